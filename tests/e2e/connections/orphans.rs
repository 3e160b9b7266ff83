//! A create whose outcome nobody knows is counted once, on the user, on its connection and in the metric, and told by an event,
//! whatever becomes of the writes that count it.

use acs_emulator::{Fault, Operation};
use acs_operator::api::{CommunicationConnection, CommunicationUser};
use acs_operator_testbed::{CEILING, Hold, Moment, Passed, Reply, World, identity};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;

use super::{contoso, of_contoso, unconnected};

fn is_create(request: &Passed) -> bool {
    request.upstream == "ACS" && request.path == "/identities"
}

fn is_status_of_connection(request: &Passed) -> bool {
    request.path.contains("/communicationconnections/") && request.path.ends_with("/status")
}

/// A connection to a resource of which the next create is carried out and not answered.
async fn lossy() -> World {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let lost = Fault::cut_after_processing().on(Operation::Create).once();
    world.resource.inject(lost);
    world
}

/// The same, with alice's create held up before it gets there.
async fn lossy_with_alice_held() -> (World, Hold) {
    let world = lossy().await;
    let hold = world.traffic.hold(Moment::Before, is_create);
    world.create("alice", of_contoso()).await.unwrap();
    hold.caught(CEILING).await.unwrap();
    (world, hold)
}

/// Somebody takes all finalizers off a user, and deletes it.
async fn vanish(world: &World) {
    let no_finalizers = json!({"metadata": {"finalizers": null}});
    world.patch("alice", no_finalizers).await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
}

async fn in_metric(world: &World) -> f64 {
    let metric = world.operator.metric("acs_operator_suspected_orphans_total").await;
    metric.unwrap()
}

fn on_user(user: &CommunicationUser) -> Option<i32> {
    user.status.as_ref()?.identity.as_ref()?.suspected_orphans
}

/// Waits until one is counted on the connection, and nothing is left to do; then it is one everywhere.
async fn one_is_counted(world: &World) {
    let is_counted = |connection: &CommunicationConnection| {
        let status = connection.status.as_ref();
        status.is_some_and(|status| status.suspected_orphans.is_some_and(|count| count > 0))
    };
    let counted = world.until_connection("contoso", "counted", is_counted).await;
    counted.unwrap();
    world.quiet().await;
    let connection = world.connections().get("contoso").await.unwrap();
    assert_eq!(connection.status.unwrap().suspected_orphans, Some(1));
    assert!((in_metric(world).await - 1.0).abs() < f64::EPSILON);
    let is_told = async || Ok(told(world).await == 1);
    world.eventually("it is not told by one event", is_told).await.unwrap();
}

async fn told(world: &World) -> usize {
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let events = events.list(&ListParams::default()).await.unwrap();
    let of_orphans = |event: &&Event| event.reason.as_deref() == Some("SuspectedOrphan");
    events.iter().filter(of_orphans).count()
}

/// Waits until alice has another identity than the one that nobody knows of.
async fn alice_is_served(world: &World) -> CommunicationUser {
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    let all = world.resource.identities();
    let others = all.iter().filter(|other| Some(&other.id) != identity(&alice).as_ref());
    assert_eq!((all.len(), others.count()), (2, 1));
    world.users().get("alice").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_that_counts_may_lose_its_answer() {
    let world = lossy().await;
    world.traffic.intercept(Passed::is_status_of_user, 1, Reply::LoseAnswer);
    world.create("alice", of_contoso()).await.unwrap();
    let alice = alice_is_served(&world).await;
    assert_eq!(on_user(&alice), Some(1));
    one_is_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_that_counts_on_the_connection_may_lose_its_answer_or_meet_another_edit() {
    for reply in [Reply::LoseAnswer, Reply::Status(409)] {
        let (world, hold) = lossy_with_alice_held().await;
        world.quiet().await;
        world.traffic.intercept(is_status_of_connection, 1, reply);
        hold.release();
        let alice = alice_is_served(&world).await;
        assert_eq!(on_user(&alice), Some(1));
        one_is_counted(&world).await;
        assert_eq!(world.traffic.intercepted(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_may_replace_the_user_without_its_annotations_meanwhile() {
    let (world, hold) = lossy_with_alice_held().await;
    let mut alice = world.users().get("alice").await.unwrap();
    (alice.metadata.annotations, alice.metadata.finalizers) = (None, None);
    let replace = world.users().replace("alice", &PostParams::default(), &alice).await;
    replace.unwrap();
    hold.release();
    let alice = alice_is_served(&world).await;
    assert_eq!(on_user(&alice), Some(1));
    one_is_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_may_vanish_meanwhile() {
    let (world, hold) = lossy_with_alice_held().await;
    vanish(&world).await;
    hold.release();
    one_is_counted(&world).await;
    assert_eq!(world.resource.identities().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_may_vanish_while_its_connection_keeps_it_from_being_counted() {
    let (mut world, hold) = lossy_with_alice_held().await;
    world.operator.kill();
    hold.release();
    let suspend = json!({"spec": {"suspend": true}});
    world.patch_connection("contoso", suspend).await.unwrap();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    world.until_reason("alice", "Suspended").await.unwrap();
    assert!(in_metric(&world).await < 1.0);
    vanish(&world).await;
    let is_counted = async || Ok(in_metric(&world).await > 0.0);
    world.eventually("it is not counted", is_counted).await.unwrap();
    world.quiet().await;
    assert!(in_metric(&world).await < 2.0);
}
