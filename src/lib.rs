//! Kubernetes operator for Azure Communication Services identities.
