//! ACS is away for so long that each try comes long after the one before: all due work is under way soon after it is back.

use std::time::Duration;

use acs_emulator::{Fault, KeySlot, Operation};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{Resource, World, WorldSettings};
use futures::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::alice::{annotate_user, is_renewed, is_revoked};
use crate::settings;

/// An object that is tried at once and then after 1, 2, 4, 8, 16 and 32 seconds would be tried next after another minute.
const OUTAGE: Duration = Duration::from_secs(65);

/// After an outage all due work is under way within this time.
const SOON: Duration = Duration::from_secs(30);

/// How a resource is away.
#[derive(Clone, Copy, Debug)]
enum Away {
    /// It answers 503.
    Failing,
    /// Its port is closed.
    Closed,
    /// It does not answer.
    Silent,
    /// It answers 429, without saying for how long.
    Throttling,
    /// It answers 503 to whatever makes or deletes something, and proofs as ever.
    Partial,
}

impl Away {
    /// Its connection and its Secret.
    fn connection(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn user(self, task: &str) -> String {
        format!("{}-{task}", self.connection())
    }

    async fn begin(self, resource: &mut Resource) {
        match self {
            Self::Failing => drop(resource.inject(Fault::status(503))),
            Self::Closed => resource.gate.close().await.unwrap(),
            Self::Silent => resource.gate.cut(),
            Self::Throttling => drop(resource.inject(Fault::throttled(None))),
            Self::Partial => {
                for operation in [Operation::Create, Operation::Issue, Operation::Delete] {
                    resource.inject(Fault::status(503).on(operation));
                }
            }
        }
    }

    fn end(self, resource: &mut Resource) {
        match self {
            Self::Failing | Self::Throttling | Self::Partial => resource.clear_faults(),
            Self::Closed => resource.gate.reopen().unwrap(),
            Self::Silent => resource.gate.mend(),
        }
    }

    fn wants(self) -> serde_json::Value {
        json!({"connectionRef": {"name": self.connection()}, "token": {"scopes": ["voip"]}})
    }

    /// A connection, and a user for each task that can't be begun without one.
    async fn prepare(self, world: &World, resource: &Resource) {
        let name = self.connection();
        let values = [("connectionString", &*resource.connects(KeySlot::Primary))];
        world.put_credential(&name, &values).await.unwrap();
        let auth = json!({"connectionString": {"secretRef": {"name": name}}});
        world.connect(&name, json!({"auth": auth})).await.unwrap();
        for task in ["renew", "revoke", "delete"] {
            world.create(&self.user(task), self.wants()).await.unwrap();
            world.until_reason(&self.user(task), "TokenIssued").await.unwrap();
        }
    }

    async fn ask(self, world: &World) {
        world.create(&self.user("create"), self.wants()).await.unwrap();
        annotate_user(world, &self.user("renew"), "renew-requested-at", "now").await;
        annotate_user(world, &self.user("revoke"), "revoke-requested-at", "now").await;
        world.delete(&self.user("delete")).await.unwrap();
    }

    async fn until_done(self, world: &World) {
        let since = Instant::now();
        let renewed = |user: &CommunicationUser| is_renewed(user, "now");
        let revoked = |user: &CommunicationUser| is_revoked(user, "now");
        for (task, done) in [
            (
                "create",
                world.until_reason(&self.user("create"), "TokenIssued").await.map(drop),
            ),
            (
                "renew",
                world.until(&self.user("renew"), "renewed", renewed).await.map(drop),
            ),
            (
                "revoke",
                world.until(&self.user("revoke"), "revoked", revoked).await.map(drop),
            ),
            ("delete", world.until_gone(&self.user("delete")).await),
        ] {
            done.unwrap_or_else(|error| panic!("{self:?} {task}: {error:#}"));
            assert!(since.elapsed() < SOON, "{self:?} {task}: {:?}", since.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_long_absence_of_acs_everything_due_is_done_soon_and_once() {
    let world = World::start(WorldSettings {
        connected: false,
        ..settings()
    })
    .await
    .unwrap();
    let mut resources = Vec::new();
    for away in [
        Away::Failing,
        Away::Closed,
        Away::Silent,
        Away::Throttling,
        Away::Partial,
    ] {
        let resource = world.another_resource().await.unwrap();
        away.prepare(&world, &resource).await;
        resources.push((away, resource));
    }
    let before: Vec<_> = resources.iter().map(|(_, resource)| resource.last_call()).collect();
    for (away, resource) in &mut resources {
        away.begin(resource).await;
        away.ask(&world).await;
    }
    // Its length is what is tested.
    sleep(OUTAGE).await;
    for (away, resource) in &mut resources {
        away.end(resource);
    }
    join_all(resources.iter().map(|(away, _)| away.until_done(&world))).await;
    for ((away, resource), before) in resources.iter().zip(before) {
        let done = resource.work_since(before).into_iter().filter(|call| call.carried_out);
        let mut done: Vec<_> = done.map(|call| call.operation).collect();
        done.sort_by_key(Operation::to_string);
        let wanted = [
            Operation::Create,
            Operation::Delete,
            Operation::Issue,
            Operation::Issue,
            Operation::Revoke,
        ];
        // What was sent and not answered may have been done.
        let extra = if matches!(away, Away::Silent) { 4 } else { 0 };
        assert!(done.len() <= wanted.len() + extra, "{away:?}: {done:?}");
        assert!(
            wanted.iter().all(|operation| done.contains(operation)),
            "{away:?}: {done:?}"
        );
        assert_eq!(resource.identities().len(), 3, "{away:?}");
    }
}

/// Users who are new in the outage.
const NEW: [&str; 4] = ["bob", "carol", "dave", "erin"];

/// Calls of one kind fail, and the connection proves itself as ever: that is no end of an outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_acs_fails_for_one_operation_alone_that_is_tried_ever_more_rarely() {
    let world = World::start(settings()).await.unwrap();
    let spec = json!({"token": {"scopes": ["voip"]}});
    world.create("alice", spec.clone()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    for operation in [Operation::Issue, Operation::Create] {
        world.acs().inject(Fault::status(503).on(operation));
    }
    let before = world.acs().last_call();
    annotate_user(&world, "alice", "renew-requested-at", "now").await;
    for name in NEW {
        world.create(name, spec.clone()).await.unwrap();
    }
    world.until_reason("alice", "RenewalDelayed").await.unwrap();
    for name in NEW {
        world.until_reason(name, "ServiceUnavailable").await.unwrap();
    }
    // Long enough for a loop to show: tries come after 1, 2, 4, … seconds.
    sleep(Duration::from_secs(6)).await;
    let calls = world.calls_since(before);
    let count = |operation| calls.iter().filter(|call| call.operation == operation).count();
    let (issues, creates) = (count(Operation::Issue), count(Operation::Create));
    // Those that were sent together before the first had failed, and then one for all of them.
    let together = NEW.len();
    assert!(
        issues <= 5 && creates <= 4 + together,
        "{issues} issues, {creates} creates"
    );
    world.acs().clear_faults();
    for name in NEW.iter().chain(["alice"].iter()) {
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
}
