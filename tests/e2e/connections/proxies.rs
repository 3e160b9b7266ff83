//! Clusters that reach ACS through a proxy only.

use acs_emulator::{Config, Emulator, Tls, TokenState};
use acs_operator_testbed::{Proxy, World, WorldSettings, beside, message};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::{accepted, contoso_of, of_contoso, users_of_contoso};
use crate::settings;

/// A name that only a proxy gets from to the emulator. Its ending is allowed without any flag.
const CONTOSO: &str = "contoso.communication.azure.com";

const PASSWORD: &str = "hunter2-of-the-proxy";
/// The same as it is sent, after `operator:`.
const AUTHORIZATION: &str = "Basic b3BlcmF0b3I6aHVudGVyMi1vZi10aGUtcHJveHk=";

/// An ACS resource under this URL, and where the certificate of its authority lies.
fn resource_at(url: Option<&str>) -> (Emulator, TempDir) {
    let files = TempDir::new().unwrap();
    let tls = Tls {
        ca_out: Some(files.path().join("ca.pem")),
        ..Tls::default()
    };
    let config = Config {
        endpoint: url.map(|url| url.parse().unwrap()),
        tls: Some(tls),
        ..Config::default()
    };
    (Emulator::start(config).unwrap(), files)
}

/// A world whose operator has these proxies in its environment. It speaks https to hosts of ACS, as outside of tests.
async fn behind(proxies: &[(&str, &str)], authority: &TempDir, more: &[&str]) -> World {
    let mut arguments = vec![format!("--ca-file={}", authority.path().join("ca.pem").display())];
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    let environment = proxies
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    World::start(WorldSettings {
        connected: false,
        arguments,
        environment: environment.collect(),
        ..settings()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_goes_through_the_proxy_and_its_password_is_written_nowhere() {
    let (resource, authority) = resource_at(Some(&format!("https://{CONTOSO}")));
    let proxy = Proxy::to(resource.address()).await.unwrap();
    let url = format!("http://operator:{PASSWORD}@{}", proxy.host());
    let world = behind(
        &[("HTTPS_PROXY", &url)],
        &authority,
        &["--allow-insecure-endpoints=false"],
    )
    .await;
    contoso_of(&world, &resource.connection_string()).await;
    accepted(&world).await;
    users_of_contoso(&world, &["alice"]).await;
    let token = &world.secret_values("alice").await.unwrap()["token"];
    assert_eq!(resource.token_state(token), TokenState::Valid);

    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for tunnel in asked {
        assert_eq!(
            tunnel.to,
            format!("{CONTOSO}:443"),
            "nothing else goes through it, the API server least of all"
        );
        assert_eq!(tunnel.authorization.as_deref(), Some(AUTHORIZATION));
    }
    assert_is_silent(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_no_proxy_names_is_reached_directly() {
    let (resource, authority) = resource_at(None);
    let proxy = Proxy::that_wants_a_password().await.unwrap();
    let url = format!("http://{}", proxy.host());
    let proxies = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "example.com,127.0.0.1")];
    let world = behind(&proxies, &authority, &[]).await;
    contoso_of(&world, &resource.connection_string()).await;
    users_of_contoso(&world, &["alice"]).await;
    assert_eq!(proxy.asked(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_lets_nothing_through_or_is_away_is_told_on_the_connection_without_its_password() {
    let (resource, authority) = resource_at(Some(&format!("https://{CONTOSO}")));
    let proxy = Proxy::that_wants_a_password().await.unwrap();
    let refusing = proxy.host();
    // Kept, so that nobody else is given it, and listened at by nobody.
    let reserved = TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let away = reserved.local_addr().unwrap().to_string();
    for (host, words) in [(refusing, "proxy"), (away, "Connection refused")] {
        let url = format!("http://operator:{PASSWORD}@{host}");
        let world = behind(
            &[("HTTPS_PROXY", &url)],
            &authority,
            &["--allow-insecure-endpoints=false"],
        )
        .await;
        contoso_of(&world, &resource.connection_string()).await;
        world.create("alice", of_contoso()).await.unwrap();
        let connection = world
            .until_connection_reason("contoso", "ServiceUnavailable")
            .await
            .unwrap();
        assert_eq!(beside(&connection), ["Reconciling"]);
        for said in [
            CONTOSO,
            "the request was not sent",
            words,
            "check the endpoint, DNS, proxy",
        ] {
            assert!(message(&connection).contains(said), "{}", message(&connection));
        }
        let alice = world.until_reason("alice", "ConnectionNotReady").await.unwrap();
        for told in [message(&connection), message(&alice)] {
            assert!(!told.contains(PASSWORD), "{told}");
        }
        assert_is_silent(&world);
    }
    assert_eq!(resource.calls(), []);
}

/// At trace level, dependencies included.
fn assert_is_silent(world: &World) {
    let (_, encoded) = AUTHORIZATION.split_once(' ').unwrap();
    for (what, text) in [("log", world.operator.log()), ("output", world.operator.stdout())] {
        let leak = text
            .lines()
            .find(|line| line.contains(PASSWORD) || line.contains(encoded));
        assert!(leak.is_none(), "{what}: {leak:?}");
    }
}
