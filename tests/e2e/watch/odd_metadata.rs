//! Metadata that the API server stores and that nobody needs: whatever stands in it, everybody is served.

use acs_emulator::{KeySlot, Operation};
use acs_operator_testbed::{CEILING, Moment, Place, World, WorldSettings};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request};
use kube::{Client, api::PostParams};
use serde_json::{Value, json};

use crate::settings;

/// A time that the API server accepts, as Go does, and that is later than any which Rust's libraries know.
const DOOMSDAY: &str = "9999-12-31T23:59:59Z";

/// Objects of a kind, as the API server writes them: what it stores here, a typed client cannot read.
struct Raw<'a> {
    client: &'a Client,
    path: String,
}

impl<'a> Raw<'a> {
    fn users(place: &'a Place) -> Self {
        Self::of(place, "apis/acs-operator.dev/v1beta1", "communicationusers")
    }

    fn connections(place: &'a Place) -> Self {
        Self::of(place, "apis/acs-operator.dev/v1beta1", "communicationconnections")
    }

    fn secrets(place: &'a Place) -> Self {
        Self::of(place, "api/v1", "secrets")
    }

    fn of(place: &'a Place, api: &str, kind: &str) -> Self {
        Self {
            client: &place.client,
            path: format!("/{api}/namespaces/{}/{kind}", place.namespace),
        }
    }

    async fn get(&self, name: &str) -> Value {
        let request = Request::get(format!("{}/{name}", self.path)).body(Vec::new());
        self.client.request(request.unwrap()).await.unwrap()
    }

    /// Replaces an object as `kubectl replace` does, with such a time for whoever manages fields of it.
    async fn poison(&self, name: &str) {
        let replaced = async {
            loop {
                let mut object = self.get(name).await;
                for field in object["metadata"]["managedFields"].as_array_mut().unwrap() {
                    field["time"] = DOOMSDAY.into();
                }
                // Such a time alone would be no change to the API server.
                object["metadata"]["labels"]["touched"] = "once".into();
                let request = Request::put(format!("{}/{name}", self.path)).header("content-type", "application/json");
                let request = request.body(serde_json::to_vec(&object).unwrap()).unwrap();
                // Others may change it at the same time.
                if self.client.request::<Value>(request).await.is_ok() {
                    return;
                }
            }
        };
        tokio::time::timeout(CEILING, replaced).await.unwrap();
        assert!(self.is_poisoned(name).await);
    }

    async fn is_poisoned(&self, name: &str) -> bool {
        let times = self.get(name).await["metadata"]["managedFields"].to_string();
        times.contains(DOOMSDAY)
    }

    async fn merge(&self, name: &str, patch: Value) {
        let request =
            Request::patch(format!("{}/{name}", self.path)).header("content-type", "application/merge-patch+json");
        let request = request.body(serde_json::to_vec(&patch).unwrap()).unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    async fn delete(&self, world: &World, name: &str) {
        let request = |method: Method| {
            let request = Request::builder().method(method).uri(format!("{}/{name}", self.path));
            request.body(Vec::new()).unwrap()
        };
        self.client.request::<Value>(request(Method::DELETE)).await.unwrap();
        let is_gone = async || {
            let left = self.client.request::<Value>(request(Method::GET)).await;
            Ok(matches!(left, Err(kube::Error::Api(status)) if status.code == 404))
        };
        world
            .eventually(&format!("{name} is still there"), is_gone)
            .await
            .unwrap();
    }

    async fn until(&self, world: &World, name: &str, wanted: impl Fn(&Value) -> bool) {
        let is_so = async || Ok(wanted(&self.get(name).await));
        world
            .eventually(&format!("{name} is not as wanted"), is_so)
            .await
            .unwrap();
    }
}

fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
    ready.any(|condition| condition["status"] == "True")
}

fn renewed(request: &str) -> impl Fn(&Value) -> bool {
    move |user| user["status"]["lastHandledRenewAt"] == request && is_ready(user)
}

fn renewal(request: &str) -> Value {
    json!({"metadata": {"annotations": {"acs-operator.dev/renew-requested-at": request}}})
}

fn of_contoso() -> Value {
    json!({"connectionRef": {"name": "contoso"}, "token": {"scopes": ["voip"]}})
}

/// Alice in one namespace and bob in another, each with a connection of that namespace.
async fn two_tenants() -> World {
    let world = World::start(WorldSettings {
        connected: false,
        neighbours: 1,
        ..settings()
    })
    .await
    .unwrap();
    let connection = json!({"auth": {"connectionString": {"secretRef": {"name": "acs"}}}});
    let connects = world.resource.connects(KeySlot::Primary);
    for (place, user) in [(&*world, "alice"), (&world.neighbours[0], "bob")] {
        place
            .put_credential("acs", &[("connectionString", &connects)])
            .await
            .unwrap();
        place.connect("contoso", connection.clone()).await.unwrap();
        place.create(user, of_contoso()).await.unwrap();
        place.until_reason(user, "TokenIssued").await.unwrap();
    }
    world.quiet().await;
    world
}

async fn poison_all_of(place: &Place) {
    Raw::users(place).poison("alice").await;
    Raw::connections(place).poison("contoso").await;
    for secret in ["alice", "acs"] {
        Raw::secrets(place).poison(secret).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_of_the_year_9999_among_the_managed_fields_holds_up_nobody_while_the_operator_runs() {
    let world = two_tenants().await;
    poison_all_of(&world).await;
    let (alice, bob) = (Raw::users(&world), &world.neighbours[0]);
    bob.patch("bob", renewal("1")).await.unwrap();
    Raw::users(bob).until(&world, "bob", renewed("1")).await;
    alice.merge("alice", renewal("1")).await;
    alice.until(&world, "alice", renewed("1")).await;
    assert!(alice.is_poisoned("alice").await && Raw::secrets(&world).is_poisoned("acs").await);
    for kind in ["CommunicationUser", "CommunicationConnection", "Secret"] {
        let restarts = format!("acs_operator_watch_restarts_total{{kind=\"{kind}\"}}");
        let restarts = world.operator.metric(&restarts).await.unwrap_or(0.0);
        assert!(restarts < 0.5, "{kind}");
    }
    alice.delete(&world, "alice").await;
    assert_eq!(world.acs().identities().len(), 1, "only bob's is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_of_the_year_9999_among_the_managed_fields_holds_up_nobody_when_the_operator_starts() {
    let mut world = two_tenants().await;
    poison_all_of(&world).await;
    world.operator.kill();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    let (alice, bob) = (Raw::users(&world), &world.neighbours[0]);
    bob.create("carol", of_contoso()).await.unwrap();
    bob.until_reason("carol", "TokenIssued").await.unwrap();
    alice.merge("alice", renewal("1")).await;
    alice.until(&world, "alice", renewed("1")).await;
    world.quiet().await;
    assert_eq!(world.acs().identities().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_create_brings_is_recorded_although_the_object_has_an_odd_time_by_then() {
    let world = two_tenants().await;
    let is_create = |request: &acs_operator_testbed::Passed| request.path.ends_with("/identities");
    let create = world.traffic.hold(Moment::After, is_create);
    world.create("dave", of_contoso()).await.unwrap();
    create.caught(CEILING).await.unwrap();
    let users = Raw::users(&world);
    users.poison("dave").await;
    create.release();
    users.until(&world, "dave", is_ready).await;
    world.quiet().await;
    assert_eq!(world.resource.count(Operation::Create), 3);
    assert_eq!(
        users.get("dave").await["status"]["identity"]["suspectedOrphans"],
        Value::Null
    );
}

/// The most memory that a process has had so far, in MiB.
fn peak_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_annotations_of_one_tenant_take_up_hardly_any_memory() {
    const OBJECTS: usize = 240;
    let mut world = World::start(WorldSettings {
        connected: false,
        ..settings()
    })
    .await
    .unwrap();
    let without = peak_of(world.operator.id());
    world.operator.kill();
    // All annotations of an object may have 256 KiB.
    let note = "x".repeat(250 << 10);
    let users = world.users();
    let create = |number: usize| {
        let user = json!({
            "metadata": {"name": format!("user-{number}"), "annotations": {"note": note}}, "spec": {"suspend": true},
        });
        let (users, user) = (&users, serde_json::from_value(user).unwrap());
        async move { users.create(&PostParams::default(), &user).await.map(drop) }
    };
    let created = stream::iter(0..OBJECTS).map(create).buffer_unordered(8);
    created.try_collect::<()>().await.unwrap();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    let more = peak_of(world.operator.id()).saturating_sub(without);
    assert!(
        more < 90,
        "{more} MiB more than with nobody to serve, who had {without}"
    );
    world.create("alice", of_contoso()).await.unwrap();
    world.until_reason("alice", "ConnectionNotFound").await.unwrap();
}
