//! What a person reads who starts the operator in the wrong place, and what is sent when all is well.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use acs_emulator::{Emulator, Tls};
use axum::{Router, http::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;
use tower::layer::layer_fn;

use super::{reachable::Obstacle, *};

/// Stands for everything that must never be told.
const SECRET: &str = "hunter2";
const SECRET_BASE64: &str = "aHVudGVyMg==";

const VERSION: &str = r#"{"major":"1","minor":"36","gitVersion":"v1.36.2","gitCommit":"","gitTreeState":"clean",
    "buildDate":"","goVersion":"","compiler":"","platform":""}"#;

/// A whole kubeconfig as JSON, which is YAML too, for a test to change.
fn kubeconfig(server: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "local", "cluster": {"server": server}}],
        "contexts": [{"name": "here", "context": {"cluster": "local", "user": "me", "namespace": "contact-center"}}],
        "users": [{"name": "me", "user": {"token": SECRET}}],
    })
}

async fn connect_by(text: &str) -> Result<Connected, ConnectError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("kubeconfig.yaml");
    fs::write(&path, text).unwrap();
    let config = configuration::of_files(path.as_os_str()).await?;
    build(config, &layer_fn(|service| service))
}

async fn refusal(text: &str) -> String {
    let Err(error) = connect_by(text).await else {
        panic!("connected by {text}");
    };
    error.to_string()
}

/// A server that gives the same answer to everything, and how often it was asked.
async fn server(status: u16, body: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move |headers: HeaderMap| {
        count.fetch_add(1, Ordering::SeqCst);
        let agent = headers[USER_AGENT].to_str().unwrap_or_default().to_owned();
        let token = headers["authorization"].to_str().unwrap_or_default().to_owned();
        async move {
            assert_eq!(agent, concat!("acs-operator/", env!("CARGO_PKG_VERSION")));
            assert_eq!(token, format!("Bearer {SECRET}"));
            (axum::http::StatusCode::from_u16(status).unwrap(), body)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (address, asked)
}

async fn connected_to(address: SocketAddr) -> Connected {
    let text = kubeconfig(&format!("http://{address}")).to_string();
    connect_by(&text).await.unwrap()
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_is_named() {
    let Err(error) = configuration::of_files("/nowhere/kubeconfig".as_ref()).await else {
        panic!("there is one");
    };
    let message = error.to_string();
    assert!(
        message.contains("/nowhere/kubeconfig") && message.contains("No such file"),
        "{message}"
    );
}

#[tokio::test]
async fn a_broken_kubeconfig_is_told_by_file_and_line_without_quoting_it() {
    for text in [
        format!("users:\n- name: me\n  user: {{token: {SECRET}"),
        format!("users: {SECRET}\n"),
        SECRET.to_owned(),
        format!("users:\n- name: me\n  user:\n    token: [{SECRET}]\n"),
    ] {
        let message = refusal(&text).await;
        assert!(message.contains("kubeconfig.yaml cannot be used: line "), "{message}");
        assert!(!message.contains(SECRET), "{message}");
    }
}

/// Expects that the kubeconfig with `changed` at `pointer` is refused with these words, and that no secret is told.
async fn refused(pointer: &str, changed: Value, expected: &str) {
    let mut kubeconfig = kubeconfig("https://127.0.0.1:1");
    *kubeconfig.pointer_mut(pointer).unwrap() = changed;
    let message = refusal(&kubeconfig.to_string()).await;
    assert!(message.contains(expected), "{message}");
    assert!(
        !message.contains(SECRET) && !message.contains(SECRET_BASE64),
        "{message}"
    );
}

#[tokio::test]
async fn a_kubeconfig_without_a_usable_context_is_told_with_what_to_do() {
    let choose = "choose one with `kubectl config use-context NAME`";
    let message = refusal("").await;
    assert!(
        message.contains("it has no current-context") && message.contains(choose),
        "{message}"
    );
    refused(
        "/current-context",
        json!("there"),
        "\"there\" is not among its contexts",
    )
    .await;
    refused("/current-context", json!("there"), choose).await;
    let gone = "the cluster \"local\" of its current-context is not among its clusters";
    refused("/clusters", json!([]), gone).await;
}

#[tokio::test]
async fn a_cluster_that_cannot_be_used_is_told_by_its_field() {
    for (cluster, expected) in [
        (json!({}), "has no server"),
        (json!({"server": "https://a b"}), "is not a URL"),
        (
            json!({"server": "https://a", "certificate-authority": "/nowhere/ca.crt"}),
            "certificate-authority /nowhere/ca.crt cannot be read",
        ),
        (
            json!({"server": "https://a", "certificate-authority-data": "hunter2!"}),
            "certificate-authority-data is not base64",
        ),
        (
            json!({"server": "https://a", "proxy-url": "http://me:hunter2@proxy:3128"}),
            "proxy-url, which is not supported",
        ),
    ] {
        refused("/clusters/0/cluster", cluster, expected).await;
    }
}

#[tokio::test]
async fn a_credential_that_cannot_be_used_is_told_without_quoting_it() {
    let plugin = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "false", "args": [SECRET],
        "env": [{"name": "PASSWORD", "value": SECRET}],
    });
    for (user, expected) in [
        (json!({"client-key-data": "hunter2!"}), "client-key-data is not base64"),
        (
            json!({"client-key-data": SECRET_BASE64}),
            "neither client-certificate nor client-certificate-data",
        ),
        (
            json!({"client-key-data": SECRET_BASE64, "client-certificate-data": SECRET_BASE64}),
            "not in PEM form",
        ),
        (
            json!({"tokenFile": "/nowhere/token"}),
            "token file /nowhere/token cannot be read",
        ),
        (json!({"token": "hunter2\n"}), "the token has a line break"),
        (
            json!({"exec": plugin}),
            "the credential plugin failed with exit status: 1",
        ),
    ] {
        refused("/users/0/user", user, expected).await;
    }
}

#[tokio::test]
async fn the_namespace_and_the_address_come_from_the_context() {
    let connected = connected_to("127.0.0.1:7".parse().unwrap()).await;
    assert_eq!(connected.default_namespace, "contact-center");
    assert_eq!(connected.server, "http://127.0.0.1:7");
    let address = address(&"https://me:hunter2@cluster.example/prefix".parse().unwrap());
    assert_eq!(address, "https://cluster.example");
}

#[tokio::test]
async fn every_request_passes_the_layer_and_is_sent_once() {
    let (address, asked) = server(503, "").await;
    let passed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed);
    let layer = layer_fn(move |service: HttpService| {
        let count = Arc::clone(&count);
        tower::ServiceExt::map_request(service, move |request: Request<Body>| {
            count.fetch_add(1, Ordering::SeqCst);
            request
        })
    });
    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    config.auth_info.token = Some(SECRET.to_owned().into());
    let connected = build(config, &layer).unwrap();
    connected.client.apiserver_version().await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(passed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_version_of_a_server_that_is_there_is_told() {
    let (address, _) = server(200, VERSION).await;
    assert_eq!(connected_to(address).await.look().await.unwrap(), "v1.36.2");
    let (address, _) = server(
        403,
        r#"{"kind":"Status","code":403,"message":"no","reason":"Forbidden"}"#,
    )
    .await;
    assert_eq!(connected_to(address).await.look().await.unwrap(), "not told");
}

#[tokio::test]
async fn each_obstacle_is_told_from_the_others() {
    let (address, _) = server(401, r#"{"kind":"Status","code":401,"message":"Unauthorized"}"#).await;
    assert_eq!(connected_to(address).await.look().await, Err(Obstacle::Unauthorized));
    let (address, _) = server(503, "starting").await;
    assert_eq!(
        connected_to(address).await.look().await,
        Err(Obstacle::Failing("starting".to_owned()))
    );
    let (address, _) = server(400, "Client sent an HTTP request to an HTTPS server.").await;
    assert!(matches!(
        connected_to(address).await.look().await,
        Err(Obstacle::Foreign(_))
    ));
    let (address, _) = server(200, "<html>It works!</html>").await;
    assert!(matches!(
        connected_to(address).await.look().await,
        Err(Obstacle::Foreign(_))
    ));

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let Err(Obstacle::Unreachable(words)) = connected_to(free).await.look().await else {
        panic!("something listens");
    };
    assert!(words.to_lowercase().contains("connection refused"), "{words}");
}

#[tokio::test]
async fn a_server_with_the_certificate_of_another_cluster_is_told_as_such() {
    let emulator = |tls| {
        let config = acs_emulator::Config {
            tls: Some(tls),
            ..acs_emulator::Config::default()
        };
        Emulator::start(config).unwrap()
    };
    let (this, other) = (emulator(Tls::default()), emulator(Tls::default()));
    let directory = TempDir::new().unwrap();
    let ca = directory.path().join("ca.crt");
    let look_trusting = async |pem: &str| {
        fs::write(&ca, pem).unwrap();
        let mut kubeconfig = kubeconfig(&format!("https://{}", this.address()));
        kubeconfig["clusters"][0]["cluster"]["certificate-authority"] = json!(ca);
        connect_by(&kubeconfig.to_string()).await.unwrap().look().await
    };
    let untrusted = look_trusting(other.ca_pem().unwrap()).await;
    assert!(matches!(untrusted, Err(Obstacle::Certificate(_))), "{untrusted:?}");
    let trusted = look_trusting(this.ca_pem().unwrap()).await;
    assert!(
        matches!(trusted, Err(Obstacle::Foreign(_) | Obstacle::Unauthorized)),
        "{trusted:?}"
    );
}

/// A client whose server answers `/version` from the `ready`th look on, and hangs before that.
fn late_server(ready: usize) -> Connected {
    let asked = AtomicUsize::new(0);
    let service = tower::service_fn(move |_: Request<Body>| {
        let hangs = asked.fetch_add(1, Ordering::SeqCst) + 1 < ready;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok::<_, BoxError>(Response::new(Body::from(VERSION.as_bytes().to_vec())))
        }
    });
    Connected {
        client: Client::new(service, "default"),
        default_namespace: "default".to_owned(),
        server: "https://cluster.example".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_at_first_is_waited_for() {
    let start = Instant::now();
    assert!(late_server(4).wait_reachable(&CancellationToken::new()).await);
    // Three looks of ten seconds, and one, two and four seconds between them.
    assert_eq!(start.elapsed().as_secs(), 37);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_waiting() {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_mins(5)).await;
        stopping.cancel();
    });
    assert!(!late_server(usize::MAX).wait_reachable(&stop).await);
}
