//! How an emulator is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::SignedDuration;
use url::Url;
use uuid::Uuid;

use crate::access_keys::AccessKey;
use crate::api_version::ApiVersion;
use crate::choices::Choices;
use crate::rate_limits::Limits;
use crate::tls::Tls;

/// Everything that can be set before the start. The default is a plain-http emulator on a free loopback port, with random
/// keys, a random resource and the documented limits. Without `Debug`, since it holds keys.
#[derive(Clone)]
pub struct Config {
    /// Where the service listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the admin API listens, if it is wanted. Port 0 takes a free one.
    pub admin_listen: Option<SocketAddr>,
    /// Whether the admin API may listen on an address that others can reach. It has no authentication.
    pub admin_remote: bool,
    /// The endpoint in the connection string. By default the address of `listen`.
    pub endpoint: Option<Url>,
    /// Serve https with a certificate of a CA made at the start.
    pub tls: Option<Tls>,
    /// The key in the connection string. Random by default.
    pub primary_key: Option<AccessKey>,
    /// The other key. Random by default.
    pub secondary_key: Option<AccessKey>,
    /// The resource's guid, which stands in its identities' ids. Random by default.
    pub resource_id: Option<Uuid>,
    /// `resourceLocation` in tokens.
    pub location: String,
    /// `rgn` in tokens.
    pub region: String,
    /// Lifetime of every token, whatever is asked for. Whole seconds, at least one.
    pub token_ttl: Option<Duration>,
    /// How far a request's date may be off. Not documented for this service.
    pub max_clock_skew: Duration,
    /// How far the service's clock is ahead of the machine's.
    pub clock_offset: SignedDuration,
    /// Rate limits.
    pub limits: Limits,
    /// The api-versions that are served, oldest first.
    pub api_versions: Vec<ApiVersion>,
    /// What Microsoft does not document.
    pub choices: Choices,
    /// How many calls the journal keeps.
    pub journal_capacity: usize,
}

/// Where everything listens by default.
const ANY_FREE_LOOPBACK_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ANY_FREE_LOOPBACK_PORT,
            admin_listen: None,
            admin_remote: false,
            endpoint: None,
            tls: None,
            primary_key: None,
            secondary_key: None,
            resource_id: None,
            location: "unitedstates".to_owned(),
            region: "amer".to_owned(),
            token_ttl: None,
            max_clock_skew: Duration::from_mins(5),
            clock_offset: SignedDuration::ZERO,
            limits: Limits::default(),
            api_versions: ApiVersion::ALL.to_vec(),
            choices: Choices::default(),
            journal_capacity: 100_000,
        }
    }
}
