//! Each request that an object needs meets each fault of the API server: nothing is made twice, and all is well soon after.

use acs_emulator::Operation;
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{Passed, Reply, World, identity};
use futures::future::join_all;
use serde_json::json;

use crate::alice::{annotate_user, status, until_renewed};
use crate::world;

/// What the API server, or something before it, may do with a request. The last three are carried out all the same.
const FAULTS: [(&str, Reply); 9] = [
    ("429", Reply::Status(429)),
    ("429-retry-after", Reply::Throttled(1)),
    ("500", Reply::Status(500)),
    ("503", Reply::Status(503)),
    ("504", Reply::Status(504)),
    ("silence", Reply::Silence),
    ("cut", Reply::Cut),
    ("cut-answer", Reply::CutAnswer),
    ("lost-answer", Reply::LoseAnswer),
];

/// What is done with each user, one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chapter {
    Creation,
    Renewal,
    Deletion,
}

/// Which request of each chapter fails, by the way a user is named.
const VICTIMS: [&str; 4] = ["object", "status", "secret", "look"];

/// In which chapter a request gets no answer at all: the operator gives up after ten seconds, which are waited for once in each story.
fn silent_chapter(victim: &str) -> Chapter {
    match victim {
        "object" => Chapter::Deletion,
        "secret" => Chapter::Renewal,
        _ => Chapter::Creation,
    }
}

/// Has the request of this chapter fail that this user is for. A request that nobody has in this chapter fails for nobody.
fn disturb(world: &World, chapter: Chapter, name: &str, victim: &str, reply: Reply) {
    if matches!(reply, Reply::Silence) && silent_chapter(victim) != chapter {
        return;
    }
    let times = if matches!(reply, Reply::Silence) { 1 } else { 2 };
    let object = format!("/communicationusers/{name}");
    let (status, secret) = (format!("{object}/status"), format!("/secrets/{name}"));
    let fail = |method: &'static str, end: &str, times, reply| {
        let end = end.to_owned();
        let matches = move |request: &Passed| request.method == method && request.path.ends_with(&end);
        world.traffic.disturb(matches, times, reply);
    };
    match (victim, chapter) {
        ("object", Chapter::Creation | Chapter::Deletion) => fail("PATCH", &object, times, reply),
        ("status", Chapter::Creation | Chapter::Renewal) => fail("PATCH", &status, times, reply),
        ("secret", Chapter::Creation | Chapter::Renewal) => fail("PATCH", &secret, times, reply),
        ("secret", Chapter::Deletion) => fail("DELETE", &secret, times, reply),
        // What is stored is looked at when a write meets something else than it expected.
        ("look", Chapter::Creation) => {
            fail("PATCH", &object, 1, Reply::Status(409));
            fail("GET", &object, times, reply);
        }
        ("look", Chapter::Renewal) => {
            fail("PATCH", &secret, 1, Reply::Status(409));
            fail("GET", &secret, times, reply);
        }
        _ => {}
    }
}

fn count(world: &World, user: &CommunicationUser, operation: Operation) -> usize {
    let id = identity(user).unwrap();
    let calls = world.calls().into_iter();
    calls
        .filter(|call| call.operation == operation && call.identity.as_deref() == Some(&id))
        .count()
}

async fn live(world: &World, name: &str, victim: &str, reply: Reply) {
    disturb(world, Chapter::Creation, name, victim, reply);
    let spec = json!({"token": {"scopes": ["voip"]}});
    world.create(name, spec).await.unwrap();
    let user = world.until_reason(name, "TokenIssued").await.unwrap();
    assert_eq!(
        status(&user).identity.as_ref().unwrap().suspected_orphans,
        None,
        "{name}"
    );
    // A token is not kept in memory while the API server is away.
    let wasted = usize::from(victim == "secret");
    let issued = count(world, &user, Operation::Issue);
    assert!(issued <= wasted, "{name}: {issued}");

    disturb(world, Chapter::Renewal, name, victim, reply);
    annotate_user(world, name, "renew-requested-at", "now").await;
    let user = until_renewed(world, name, "now").await;
    let wasted = wasted + usize::from(victim == "secret" || victim == "look");
    let issued = count(world, &user, Operation::Issue);
    assert!((1..=1 + wasted).contains(&issued), "{name}: {issued}");

    disturb(world, Chapter::Deletion, name, victim, reply);
    world.delete(name).await.unwrap();
    world.until_gone(name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_request_fails_in_whatever_way_each_user_has_one_identity_its_token_and_a_quiet_end() {
    let world = world().await;
    let stories = VICTIMS.into_iter().flat_map(|victim| {
        let world = &world;
        FAULTS.map(|(fault, reply)| async move { live(world, &format!("{victim}-{fault}"), victim, reply).await })
    });
    join_all(stories).await;
    assert_eq!(world.acs().identities(), []);
    let creates = world
        .calls()
        .into_iter()
        .filter(|call| call.operation == Operation::Create);
    assert_eq!(creates.count(), VICTIMS.len() * FAULTS.len());
}
