//! The right to watch one kind is missing: what that is for is told, everything else goes on, and nobody has to start anything anew when
//! it is granted.

use std::time::Duration;

use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{World, WorldSettings, ready};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;
use tokio::time::Instant;

use crate::alice::{annotate_user, status};
use crate::settings;

const ROLE: &str = "acs-operator";

/// After a right was granted all due work is under way within this time.
const SOON: Duration = Duration::from_secs(30);

/// What is watched, as RBAC and as the metric name it.
const KINDS: [(&str, &str); 3] = [
    ("communicationusers", "CommunicationUser"),
    ("communicationconnections", "CommunicationConnection"),
    ("secrets", "Secret"),
];

/// An operator of a cluster of its own, whose rights can be changed without harm to others.
struct Ruled {
    world: World,
    roles: Api<ClusterRole>,
    shipped: ClusterRole,
}

impl Ruled {
    async fn start() -> Self {
        let world = World::start(WorldSettings {
            cluster_wide: true,
            ..settings()
        })
        .await
        .unwrap();
        let roles: Api<ClusterRole> = Api::all(world.client.clone());
        let shipped = roles.get(ROLE).await.unwrap();
        Self { world, roles, shipped }
    }

    async fn put(&self, role: &ClusterRole) {
        let now = self.roles.get(ROLE).await.unwrap();
        let mut role = role.clone();
        role.metadata.resource_version = now.metadata.resource_version;
        self.roles.replace(ROLE, &PostParams::default(), &role).await.unwrap();
    }

    /// Takes away the right to list and watch a kind, once this returns.
    async fn take(&self, resource: &str) {
        let mut role = self.shipped.clone();
        for rule in role.rules.iter_mut().flatten() {
            let resources = rule.resources.get_or_insert_default();
            let verbs_of_watches = rule.verbs.iter().any(|verb| verb == "watch");
            if verbs_of_watches && resources.iter().any(|named| named == resource) {
                let mut others = rule.clone();
                others
                    .resources
                    .get_or_insert_default()
                    .retain(|named| named != resource);
                rule.resources = Some(vec![resource.to_owned()]);
                rule.verbs.retain(|verb| verb != "list" && verb != "watch");
                let others = others
                    .resources
                    .as_ref()
                    .is_some_and(|left| !left.is_empty())
                    .then_some(others);
                role.rules.get_or_insert_default().extend(others);
                break;
            }
        }
        self.put(&role).await;
        self.until_listing_is(resource, false).await;
    }

    async fn give_back(&self, resource: &str) {
        self.put(&self.shipped).await;
        self.until_listing_is(resource, true).await;
    }

    /// The authorizer learns of a role by a watch.
    async fn until_listing_is(&self, resource: &str, allowed: bool) {
        let operator = self.world.control_plane.operator_client().await.unwrap();
        let kind = kube::api::ApiResource {
            group: if resource == "secrets" {
                String::new()
            } else {
                "acs-operator.dev".into()
            },
            version: "v1beta1".into(),
            api_version: if resource == "secrets" {
                "v1".into()
            } else {
                "acs-operator.dev/v1beta1".into()
            },
            kind: String::new(),
            plural: resource.into(),
        };
        let objects: Api<kube::api::DynamicObject> = Api::all_with(operator, &kind);
        let is_so = async || Ok(objects.list_metadata(&ListParams::default()).await.is_ok() == allowed);
        self.world.eventually("the right is as it was", is_so).await.unwrap();
    }

    async fn until_up(&self, kind: &str, up: bool) {
        let series = format!("acs_operator_watch_up{{kind=\"{kind}\"}}");
        let is_so = async || Ok((self.world.operator.metric(&series).await? > 0.5) == up);
        self.world
            .eventually(&format!("{series} is not {up}"), is_so)
            .await
            .unwrap();
    }
}

async fn user(world: &World, name: &str) {
    world
        .create(name, json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason(name, "TokenIssued").await.unwrap();
}

fn is_renewed(request: &str) -> impl Fn(&CommunicationUser) -> bool {
    move |user| status(user).last_handled_renew_at.as_deref() == Some(request)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_away_while_it_works_is_told_stops_nothing_else_and_is_used_again_when_it_is_back() {
    let ruled = Ruled::start().await;
    user(&ruled.world, "alice").await;
    for (resource, kind) in KINDS {
        ruled.take(resource).await;
        // Those under way go on for a while.
        ruled.world.gate.end_watches();
        ruled.until_up(kind, false).await;
        for (_, other) in KINDS.iter().filter(|(_, other)| *other != kind) {
            ruled.until_up(other, true).await;
        }
        let world = &ruled.world;
        let remedy = format!("the verbs list and watch on {resource}");
        let is_told = async || Ok(world.operator.log().contains(&remedy));
        world
            .eventually("the log does not name the right", is_told)
            .await
            .unwrap();
        annotate_user(world, "alice", "renew-requested-at", kind).await;
        if resource != "communicationusers" {
            world.until("alice", "renewed", is_renewed(kind)).await.unwrap();
            user(world, &format!("without-{resource}")).await;
        }
        world.operator.answers("/livez", 200, "ok").await.unwrap();
        assert!(world.operator.leads().await.unwrap());
        ruled.give_back(resource).await;
        let since = Instant::now();
        world.until("alice", "renewed", is_renewed(kind)).await.unwrap();
        // Of each kind something is told, for a watch that is not told anything is not known to work for a while.
        annotate_user(world, "alice", "renew-requested-at", "now").await;
        let auth = json!({"connectionString": {"secretRef": {"name": "nowhere"}}});
        world
            .connect(&format!("after-{resource}"), json!({"auth": auth}))
            .await
            .unwrap();
        ruled.until_up(kind, true).await;
        assert!(since.elapsed() < SOON, "{resource}: {:?}", since.elapsed());
    }
    let alice = ruled.world.users().get("alice").await.unwrap();
    assert_eq!(ready(&alice).unwrap().1, "TokenIssued");
    assert_eq!(ruled.world.acs().identities().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_at_the_start_is_named_by_readiness_until_it_is_granted() {
    let mut ruled = Ruled::start().await;
    for (resource, _) in KINDS {
        ruled.world.operator.kill();
        ruled.take(resource).await;
        ruled.world.operator.restart().unwrap();
        let remedy = format!("the verbs list and watch on {resource}");
        ruled.world.operator.answers("/readyz", 503, &remedy).await.unwrap();
        ruled.world.operator.answers("/livez", 200, "ok").await.unwrap();
        ruled.give_back(resource).await;
        let since = Instant::now();
        ruled.world.operator.ready().await.unwrap();
        user(&ruled.world, &format!("after-{resource}")).await;
        assert!(since.elapsed() < SOON, "{resource}: {:?}", since.elapsed());
    }
    assert_eq!(ruled.world.acs().identities().len(), KINDS.len());
}
