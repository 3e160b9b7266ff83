//! Client for the Azure Communication Services (ACS) Identity REST API.

mod access_key;
mod api_version;
mod connection_string;
mod custom_id;
mod endpoint;
mod fingerprint;
mod identity_id;
mod lifetime;
mod scope;

pub use access_key::{AccessKey, AccessKeyError};
pub use api_version::{ApiVersion, ApiVersionError};
pub use connection_string::{ConnectionString, ConnectionStringError, ConnectionStringPart};
pub use custom_id::{CustomId, CustomIdError};
pub use endpoint::{Endpoint, EndpointError, InsecureEndpoints};
pub use fingerprint::Fingerprint;
pub use identity_id::{IdentityId, IdentityIdError};
pub use lifetime::{TokenLifetime, TokenLifetimeError};
pub use scope::{Scope, UnknownScope};
