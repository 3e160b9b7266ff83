//! The client of the API server.

use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri, header::USER_AGENT};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, DynBody},
};
use secrecy::{ExposeSecret, SecretString};
use tower::{BoxError, Layer, Service, util::BoxService};

mod configuration;
mod error;
mod reachable;

pub use error::ConnectError;

/// Longest that a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest that the API server may leave a request unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The HTTP service of kube's client, which a layer goes around.
pub type HttpService = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// A client, and what its configuration says.
pub struct Connected {
    /// Sends each request once: a caller that wants another try looks at the world again first. There is no limit on how
    /// long an answer may take, because a watch lasts for minutes: each other request needs a timeout of its own.
    pub client: Client,
    /// The ServiceAccount's namespace, else that of the kubeconfig context, else `default`.
    pub default_namespace: String,
    /// Address of the API server, for messages.
    pub server: String,
}

/// Builds the client: of the cluster that `KUBECONFIG` names, else of the cluster that this pod runs in, else that of
/// `~/.kube/config`. Every request passes `layer`. Nothing is sent yet: see [`Connected::wait_reachable`].
///
/// The API server is reached directly: `HTTPS_PROXY` is for the calls to ACS. rustls needs a crypto provider by then.
///
/// # Errors
/// When there is no cluster to talk to, or what describes it cannot be used. No message holds a credential.
pub async fn connect<L>(layer: L) -> Result<Connected, ConnectError>
where
    L: Layer<HttpService>,
    L::Service: Service<Request<Body>, Response = Response<Box<DynBody>>> + Send + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
{
    build(configuration::find().await?, &layer)
}

fn build<L>(mut config: Config, layer: &L) -> Result<Connected, ConnectError>
where
    L: Layer<HttpService>,
    L::Service: Service<Request<Body>, Response = Response<Box<DynBody>>> + Send + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
{
    check_token(config.auth_info.token.as_ref())?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    config.read_timeout = None;
    // kube would send a request up to 15 times, creates too, for minutes.
    config.default_retry = false;
    let user_agent = HeaderValue::from_static(concat!("acs-operator/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, user_agent));

    let (default_namespace, server) = (config.default_namespace.clone(), address(&config.cluster_url));
    let client = ClientBuilder::try_from(config)
        .map_err(ConnectError::unusable)?
        .with_layer(layer)
        .build();
    Ok(Connected {
        client,
        default_namespace,
        server,
    })
}

/// Where kube would panic (tower-http does).
fn check_token(token: Option<&SecretString>) -> Result<(), ConnectError> {
    match token.map(|token| HeaderValue::from_str(token.expose_secret())) {
        Some(Err(_)) => Err(ConnectError::Unusable(
            "the token has a line break, or another character that cannot be sent".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// The address without user and password.
fn address(url: &Uri) -> String {
    let host = url.host().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", url.scheme_str().unwrap_or("https"))
}

#[cfg(test)]
mod tests;
