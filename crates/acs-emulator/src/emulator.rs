//! Starts and stops an emulator.

use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::access_keys::{AccessKey, AccessKeyError, AccessKeys};
use crate::admin;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Control, Shared, State};
use crate::directory::Directory;
use crate::endpoint::{self, EndpointError};
use crate::faults::Faults;
use crate::journal::Journal;
use crate::jwt::{SigningError, TokenOrigin, TokenSigner};
use crate::ledger::Ledger;
use crate::rate_limits::RateLimits;
use crate::server;
use crate::service::Service;
use crate::tls::{TlsError, TlsServer};

/// A running emulator. It lives on a thread and a runtime of its own, so it serves synchronous and asynchronous tests
/// alike, also under paused time. Dropping it cuts all connections and frees its ports before the drop returns.
///
/// Everything that can be asked of it is on [`Control`], to which it dereferences.
///
/// ```
/// use acs_emulator::{Config, Emulator};
///
/// let emulator = Emulator::start(Config::default())?;
/// assert!(emulator.connection_string().starts_with("endpoint=http://127.0.0.1:"));
/// assert!(emulator.identities().is_empty());
/// # Ok::<(), acs_emulator::StartError>(())
/// ```
pub struct Emulator {
    control: Control,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    ca_pem: Option<String>,
    stop: CancellationToken,
    stopped: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Why an emulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not ours.
    #[error("cannot listen on {address} for {purpose}: {source}; choose another address, port 0 takes any free one")]
    Listen {
        /// Which of the two listeners.
        purpose: &'static str,
        /// Where.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The admin API has no authentication.
    #[error(
        "the admin API has no authentication and may only listen on a loopback address, not on {0}; \
         allow others to reach it with --admin-remote if everyone who can may change the emulator"
    )]
    AdminRemote(SocketAddr),
    /// The endpoint cannot stand in a connection string.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No api-version is served.
    #[error("at least one api-version must be served")]
    NoApiVersion,
    /// No key could be made.
    #[error(transparent)]
    AccessKey(#[from] AccessKeyError),
    /// No certificate could be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Tokens cannot be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The operating system gives no thread, timer or event queue.
    #[error("cannot start the emulator's thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl Emulator {
    /// Starts an emulator. When this returns it serves.
    ///
    /// # Errors
    /// When an address cannot be listened on, the endpoint or the certificate cannot be made, or the system has no
    /// randomness or threads left.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let listener = listen("the service", config.listen)?;
        let address = local_address(&listener, config.listen)?;
        let admin = config
            .admin_listen
            .map(|admin| listen_for_admin(admin, config.admin_remote))
            .transpose()?;
        let admin_address = match (&admin, config.admin_listen) {
            (Some(listener), Some(asked)) => Some(local_address(listener, asked)?),
            _ => None,
        };

        let endpoint = endpoint::choose(config.endpoint.as_ref(), config.tls.is_some(), address)?;
        let tls = config
            .tls
            .as_ref()
            .map(|tls| tls.set_up(endpoint.host_str()))
            .transpose()?;
        let (acceptor, ca_pem) = match tls {
            Some(TlsServer { acceptor, ca_pem }) => (Some(acceptor), Some(ca_pem)),
            None => (None, None),
        };
        let control = Control {
            shared: Arc::new(shared(config, endpoint)?),
        };

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let stop = CancellationToken::new();
        let stopped = CancellationToken::new();
        let stopping = stopped.clone().drop_guard();
        let services = {
            let _context = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener).map_err(StartError::Thread)?;
            let admin = admin
                .map(tokio::net::TcpListener::from_std)
                .transpose()
                .map_err(StartError::Thread)?;
            let service = server::serve(listener, acceptor, Arc::clone(&control.shared));
            let admin = admin::serve(admin, control.clone());
            let stop = stop.clone();
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = service => {}
                    () = admin => {}
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("acs-emulator".to_owned())
            // The runtime is dropped with the closure, and with it every connection.
            .spawn(move || {
                let _stopping = stopping;
                runtime.block_on(services);
            })
            .map_err(StartError::Thread)?;
        Ok(Self {
            control,
            address,
            admin_address,
            ca_pem,
            stop,
            stopped,
            thread: Some(thread),
        })
    }

    /// A handle that can be cloned and moved, and does not keep the emulator running.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Where the service listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin API listens, if it does.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Waits until the emulator serves no more, which before its drop happens only if something in it broke.
    pub async fn stopped(&self) {
        self.stopped.cancelled().await;
    }

    /// The CA certificate (PEM) that clients must trust, if the emulator serves https.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }
}

impl Deref for Emulator {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn listen(purpose: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| StartError::Listen {
        purpose,
        address,
        source,
    })
}

fn listen_for_admin(address: SocketAddr, remote: bool) -> Result<TcpListener, StartError> {
    if !address.ip().is_loopback() && !remote {
        return Err(StartError::AdminRemote(address));
    }
    listen("the admin API", address)
}

fn local_address(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen {
        purpose: "the service",
        address: asked,
        source,
    })
}

/// A service that has not been called yet.
pub(crate) fn shared(config: Config, endpoint: Url) -> Result<Shared, StartError> {
    if config.api_versions.is_empty() {
        return Err(StartError::NoApiVersion);
    }
    let key = |given: Option<AccessKey>| given.map_or_else(AccessKey::generate, Ok);
    let resource = config.resource_id.unwrap_or_else(Uuid::new_v4);
    let origin = TokenOrigin {
        resource,
        location: config.location,
        region: config.region,
    };
    let service = Service {
        keys: AccessKeys::new(key(config.primary_key)?, key(config.secondary_key)?),
        directory: Directory::new(resource),
        ledger: Ledger::default(),
        rate_limits: RateLimits::new(config.limits),
        signer: TokenSigner::new(origin)?,
        choices: config.choices,
        api_versions: config.api_versions,
        max_clock_skew: config.max_clock_skew,
        token_ttl: config.token_ttl,
    };
    let journal = Journal::new(config.journal_capacity);
    Ok(Shared {
        clock: Clock::new(config.clock_offset),
        endpoint,
        resource,
        state: Mutex::new(State {
            service,
            faults: Faults::default(),
            journal,
        }),
        newest: watch::Sender::new(0),
    })
}
