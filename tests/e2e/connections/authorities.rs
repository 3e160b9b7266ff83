//! ACS resources whose certificates no public authority has signed, or that are reached through a proxy that looks into TLS.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use acs_emulator::{Config, Emulator, KeySlot, Tls, TokenState};
use acs_operator_testbed::{CEILING, Place, World, beside, message};
use serde_json::json;
use tempfile::TempDir;

use super::{accepted, contoso_of, of_cluster, of_contoso, put_keys, renew, unconnected_with, users_of_contoso};

/// An ACS resource with an authority of its own. All have the same name.
struct Private {
    resource: Emulator,
    files: TempDir,
}

impl Private {
    fn start() -> Self {
        let files = TempDir::new().unwrap();
        let tls = Tls {
            ca_out: Some(files.path().join("ca.pem")),
            ..Tls::default()
        };
        let config = Config {
            tls: Some(tls),
            ..Config::default()
        };
        Self {
            resource: Emulator::start(config).unwrap(),
            files,
        }
    }

    /// Another one takes its place, with the same keys and an authority of its own.
    fn replace(self) -> Self {
        let key = |slot| Some(self.resource.access_key(slot));
        let config = Config {
            listen: self.resource.address(),
            primary_key: key(KeySlot::Primary),
            secondary_key: key(KeySlot::Secondary),
            tls: Some(Tls::default()),
            ..Config::default()
        };
        // The port is to be free first; for a moment an outgoing connection of another test may have it.
        drop(self.resource);
        let deadline = Instant::now() + CEILING;
        let resource = loop {
            match Emulator::start(config.clone()) {
                Ok(resource) => break resource,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        Self {
            resource,
            files: self.files,
        }
    }

    fn authority(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    fn ca_file(&self) -> String {
        format!("--ca-file={}", self.authority().display())
    }

    fn has_issued(&self, token: &str) -> bool {
        self.resource.token_state(token) == TokenState::Valid
    }
}

/// What is wrong, and what to do.
fn assert_tells_of_the_authority(words: &str) {
    for said in [
        "https://127.0.0.1",
        "invalid peer certificate",
        "No authority that the operator trusts",
        "start the operator with --ca-file",
    ] {
        assert!(words.contains(said), "{words}");
    }
}

async fn refused_contoso(place: &Place, private: &Private) {
    contoso_of(place, &private.resource.connection_string()).await;
    let connection = place
        .until_connection_reason("contoso", "ServiceUnavailable")
        .await
        .unwrap();
    assert_eq!(beside(&connection), ["Reconciling"]);
    assert_tells_of_the_authority(message(&connection));
    place.create("alice", of_contoso()).await.unwrap();
    let alice = place.until_reason("alice", "ConnectionNotReady").await.unwrap();
    assert_tells_of_the_authority(message(&alice));
    assert_eq!(
        private.resource.calls(),
        [],
        "a credential goes to nobody who is not trusted"
    );
}

/// A cluster connection by the connection string in Secret acs of the world's namespace, which it serves. Its name.
async fn shared(world: &World) -> String {
    let name = format!("private-{}", world.namespace);
    let secret = json!({"name": "acs", "namespace": world.namespace});
    let auth = json!({"connectionString": {"secretRef": secret}});
    let spec = json!({"auth": auth, "allowedNamespaces": {"names": [world.namespace]}});
    world.connect_cluster(&name, spec).await.unwrap();
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_authority_of_a_resource_connections_of_both_kinds_are_proven_and_issue_tokens() {
    let private = Private::start();
    let world = unconnected_with(0, &[&private.ca_file()]).await;
    contoso_of(&world, &private.resource.connection_string()).await;
    accepted(&world).await;
    users_of_contoso(&world, &["alice"]).await;

    let name = shared(&world).await;
    world.create("bob", of_cluster(&name)).await.unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    for user in ["alice", "bob"] {
        let values = world.secret_values(user).await.unwrap();
        assert!(private.has_issued(&values["token"]), "{user}");
        assert!(values["endpoint"].starts_with("https://"), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_authority_of_a_resource_nothing_is_sent_and_the_flag_that_helps_is_named() {
    let world = unconnected_with(0, &[]).await;
    refused_contoso(&world, &Private::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_of_the_same_name_is_not_the_right_one_and_a_start_with_the_right_one_is_enough() {
    let (private, another) = (Private::start(), Private::start());
    let mut world = unconnected_with(0, &[&another.ca_file()]).await;
    refused_contoso(&world, &private).await;

    fs::copy(private.authority(), another.authority()).unwrap();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    accepted(&world).await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    let token = &world.secret_values("alice").await.unwrap()["token"];
    assert!(private.has_issued(token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_a_shared_connection_from_its_resource_is_told_to_who_runs_it_and_not_to_its_users() {
    let private = Private::start();
    let world = unconnected_with(0, &[]).await;
    let string = private.resource.connection_string();
    put_keys(&world, &[("connectionString", &string)]).await;
    let name = shared(&world).await;
    world.create("alice", of_cluster(&name)).await.unwrap();
    let alice = world.until_reason("alice", "ConnectionNotReady").await.unwrap();
    assert!(!message(&alice).contains("127.0.0.1"), "{}", message(&alice));
    let told = world.operator.log();
    // Others on the control plane may have left cluster connections of theirs.
    let told = told
        .lines()
        .find(|line| line.contains("connection status changed") && line.contains(&name))
        .unwrap();
    assert_tells_of_the_authority(told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_proven_resource_has_another_authority_its_users_are_told_which_flag_helps() {
    let private = Private::start();
    let world = unconnected_with(0, &[&private.ca_file()]).await;
    contoso_of(&world, &private.resource.connection_string()).await;
    accepted(&world).await;
    users_of_contoso(&world, &["alice"]).await;
    let another = private.replace();
    renew(&world, "alice", "now").await;
    let alice = world.until_reason("alice", "RenewalDelayed").await.unwrap();
    for said in ["invalid peer certificate", "start the operator with --ca-file"] {
        assert!(message(&alice).contains(said), "{}", message(&alice));
    }
    assert_eq!(
        another.resource.calls(),
        [],
        "a signature goes to nobody who is not trusted"
    );
}
