//! The validation rules of the kinds in CEL, each with the message that says what to write instead.
//!
//! Every rule sits at `spec` or `status` or deeper, never at the root of a kind: a rule at the root that starts to fail
//! after an upgrade would also block the writes that touch neither, such as the removal of a finalizer. Elsewhere the API
//! server forgives a rule that turns false on what a write leaves as it is ("ratcheting"), but not a rule that fails to
//! evaluate: each must have a value for every object of the right types, so it asks `has` of required fields as well, and
//! there is none on a field of `format: date-time`, which fails to evaluate on some texts that the format lets pass.
//! Strings, lists and maps that a rule looks at are bounded by the schema, which bounds the cost that the API server
//! estimates.

/// A CEL expression and the message of its failure.
type Rule = (&'static str, &'static str);

/// On a name of an object in the cluster: a lower-case DNS subdomain.
pub(super) const OBJECT_NAME: Rule = (
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
    "must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends, for example contoso-1",
);

/// On a name of a namespace: a lower-case DNS label.
pub(super) const NAMESPACE_NAME: Rule = (
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "must be the name of a namespace: lower-case letters, digits and '-', with a letter or digit at both ends, for example acs-system",
);

/// On a key of a Secret's data.
pub(super) const SECRET_KEY: Rule = (
    "self.matches('^[-._a-zA-Z0-9]+$')",
    "must be a key of a Secret: letters, digits, '-', '_' and '.', for example token or ACS_TOKEN",
);

/// On the id of an identity in ACS.
pub(super) const IDENTITY_ID: Rule = (
    "self.matches('^8:(acs|dod-acs|gcch-acs|spool):[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}_[A-Za-z0-9_-]+$')",
    "identity.id must be a full ACS identity id such as 8:acs:<resource guid>_<opaque>",
);

/// On the spec of a user: no Secret without a token.
pub(super) const SECRET_NEEDS_TOKEN: Rule = (
    "!has(self.secret) || has(self.token)",
    "spec.secret needs spec.token: without a token there is nothing to write; remove spec.secret or add spec.token.scopes",
);

/// On the spec of a user: an adopted or pinned identity stays.
pub(super) const IDENTITY_ID_STAYS: Rule = (
    "!(has(oldSelf.identity) && has(oldSelf.identity.id)) || (has(self.identity) && has(self.identity.id) && self.identity.id == oldSelf.identity.id)",
    "spec.identity.id cannot be changed or removed once set; for another identity create another CommunicationUser",
);

/// On the spec of a user: the connection stays, absence included.
pub(super) const CONNECTION_STAYS: Rule = (
    "has(self.connectionRef) == has(oldSelf.connectionRef) && (!has(self.connectionRef) || self.connectionRef == oldSelf.connectionRef)",
    "spec.connectionRef is immutable: an identity lives in one ACS resource; create a new CommunicationUser instead",
);

/// On the status of a user: one identity never turns into another in one write.
pub(super) const STATUS_IDENTITY_IS_CLEARED_FIRST: Rule = (
    "!(has(oldSelf.identity) && has(oldSelf.identity.id) && has(self.identity) && has(self.identity.id)) || self.identity.id == oldSelf.identity.id",
    "status.identity.id cannot change from one identity to another; clear it first",
);

/// On `token.lifetime`.
pub(super) const LIFETIME: Rule = (
    "self.matches('^([0-9]{1,2}h)?([0-9]{1,4}m)?$') && self != '' && duration(self) >= duration('1h') && duration(self) <= duration('24h')",
    "lifetime must be 1h to 24h in whole minutes, for example 24h, 90m or 1h30m",
);

/// On `token`: the form and the least value of `renewBefore`.
pub(super) const RENEW_BEFORE: Rule = (
    "!has(self.renewBefore) || (self.renewBefore.matches('^([0-9]{1,2}h)?([0-9]{1,4}m)?$') && self.renewBefore != '' && duration(self.renewBefore) >= duration('15m'))",
    "renewBefore must be at least 15m in whole minutes, for example 8h or 20m: ACS clients refresh 10 minutes before expiry",
);

/// On `token`: a token is used for a while before it is renewed. Texts of another form are left to the two rules above.
pub(super) const RENEW_BEFORE_LEAVES_USE: Rule = (
    "!has(self.renewBefore) || !has(self.lifetime) || !self.renewBefore.matches('^([0-9]{1,2}h)?([0-9]{1,4}m)?$') || !self.lifetime.matches('^([0-9]{1,2}h)?([0-9]{1,4}m)?$') || self.renewBefore == '' || self.lifetime == '' || duration(self.lifetime) - duration(self.renewBefore) >= duration('30m')",
    "renewBefore must leave a token at least 30m of use: choose renewBefore <= lifetime - 30m",
);

/// On `secret.keys`.
pub(super) const KEYS_HOLD_TOKEN: Rule = (
    "has(self.token)",
    "keys.token is needed: a Secret without the token serves nobody",
);

/// On `secret.keys`: no two values under one key. The stand-ins for absent ones hold a '/', which no key can.
pub(super) const KEYS_DIFFER: Rule = (
    "[has(self.token) ? self.token : 'a/', has(self.userId) ? self.userId : 'b/', has(self.expiresOn) ? self.expiresOn : 'c/', has(self.endpoint) ? self.endpoint : 'd/'].all(k, [has(self.token) ? self.token : 'a/', has(self.userId) ? self.userId : 'b/', has(self.expiresOn) ? self.expiresOn : 'c/', has(self.endpoint) ? self.endpoint : 'd/'].exists_one(j, j == k))",
    "two values have the same key: give each of token, userId, expiresOn and endpoint its own",
);

/// On labels and annotations of a Secret: keys that belong to Kubernetes, to deployment tools or to the operator.
pub(super) const KEYS_NOT_RESERVED: Rule = (
    "self.all(k, !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|argoproj[.]io|acs-operator[.]dev)/') || (k.startsWith('app.kubernetes.io/') && !(k in ['app.kubernetes.io/managed-by', 'app.kubernetes.io/instance'])))",
    "keys under kubernetes.io/, k8s.io/, argoproj.io/ and acs-operator.dev/, app.kubernetes.io/managed-by and app.kubernetes.io/instance are reserved",
);

/// On labels and annotations of a Secret: what Kubernetes accepts as a key.
pub(super) const KEYS_WELL_FORMED: Rule = (
    "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
    "a key is an optional lower-case DNS prefix and a slash, then up to 63 letters, digits, '-', '_' or '.', for example team or example.com/team",
);

/// On each value of the labels of a Secret: what Kubernetes accepts.
pub(super) const LABEL_VALUE: Rule = (
    "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
    "a label's value is up to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends; other text fits an annotation",
);

/// On the spec of a connection: the endpoint is known from somewhere.
pub(super) const ENDPOINT_NEEDED: Rule = (
    "!has(self.auth) || has(self.auth.connectionString) || has(self.endpoint)",
    "spec.endpoint is needed, for example https://contoso.unitedstates.communication.azure.com; only auth.connectionString carries it in the Secret",
);

/// On the spec of a connection: the endpoint is known from one place only.
pub(super) const ENDPOINT_ONCE: Rule = (
    "!(has(self.auth) && has(self.auth.connectionString) && has(self.endpoint))",
    "remove spec.endpoint: with auth.connectionString the endpoint comes from the connection string",
);

/// On the spec of a connection: identities do not move between ACS resources.
pub(super) const ENDPOINT_STAYS: Rule = (
    "!has(oldSelf.endpoint) || (has(self.endpoint) && self.endpoint == oldSelf.endpoint)",
    "spec.endpoint is immutable: identities belong to one ACS resource; create a new connection",
);

/// On `endpoint`: nothing that a request path or a credential could hide in.
pub(super) const ENDPOINT: Rule = (
    "self.matches('^https?://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?/?$')",
    "endpoint must be scheme and host only, for example https://contoso.unitedstates.communication.azure.com",
);

/// On `auth` of a `CommunicationConnection`.
pub(super) const ONE_METHOD: Rule = (
    "[has(self.connectionString), has(self.accessKey), has(self.workloadIdentity), has(self.clientSecret)].filter(x, x).size() == 1",
    "set exactly one of auth.connectionString, auth.accessKey, auth.workloadIdentity, auth.clientSecret",
);

/// On `auth` of a `ClusterCommunicationConnection`.
pub(super) const ONE_CLUSTER_METHOD: Rule = (
    "[has(self.connectionString), has(self.accessKey), has(self.workloadIdentity), has(self.managedIdentity), has(self.clientSecret)].filter(x, x).size() == 1",
    "set exactly one of auth.connectionString, auth.accessKey, auth.workloadIdentity, auth.managedIdentity, auth.clientSecret",
);

/// On `serviceApiVersion`.
pub(super) const SERVICE_API_VERSION: Rule = (
    "self.matches('^20[0-9]{2}-[0-9]{2}-[0-9]{2}(-preview[0-9]*)?$')",
    "serviceApiVersion must be a version of the ACS Identity API, for example 2023-10-01 or 2025-03-02-preview",
);

/// On `allowedNamespaces`.
pub(super) const NAMESPACES_CHOSEN: Rule = (
    "has(self.names) || has(self.selector)",
    "list allowedNamespaces.names, or give a selector; 'selector: {}' allows every namespace",
);
