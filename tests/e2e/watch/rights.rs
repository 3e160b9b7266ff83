//! Rights to list and to watch that are missing for one kind, or in one namespace, hold up nothing that they don't concern.

use std::time::Duration;

use acs_emulator::KeySlot;
use acs_operator::{
    api::CommunicationUser,
    cluster::{Scope, rights},
};
use acs_operator_testbed::{
    Operator, Place, World, WorldSettings,
    account::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE},
    message,
};
use k8s_openapi::api::{
    core::v1::Namespace,
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleBinding},
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use super::create;
use crate::alice::{is_renewed, until_renewed};
use crate::settings;

const RBAC: &str = "rbac.authorization.k8s.io";

/// What the shipped role is called, and its binding.
const ROLE: &str = "acs-operator";

const HANDED_OVER: Duration = Duration::from_secs(30);

/// Something that an operator of the whole cluster watches.
struct Kind {
    resource: &'static str,
    name: &'static str,
    /// The users that are served as always while it may not be listed.
    served: &'static [&'static str],
    /// Those that have to wait for it.
    waiting: &'static [&'static str],
    /// What these are told, where it is not for the credential of their connection that they wait.
    told: Option<&'static str>,
}

const USERS: [&str; 4] = ["of-environment", "of-contoso", "of-name", "of-label"];

const KINDS: [Kind; 5] = [
    Kind {
        resource: "namespaces",
        name: "Namespace",
        served: &["of-environment", "of-contoso", "of-name"],
        waiting: &["of-label"],
        told: Some("could not list namespaces"),
    },
    Kind {
        resource: "clustercommunicationconnections",
        name: "ClusterCommunicationConnection",
        served: &["of-contoso"],
        waiting: &["of-environment", "of-name", "of-label"],
        told: Some("could not list ClusterCommunicationConnections"),
    },
    Kind {
        resource: "communicationconnections",
        name: "CommunicationConnection",
        served: &["of-environment", "of-name", "of-label"],
        waiting: &["of-contoso"],
        told: Some("could not list CommunicationConnections"),
    },
    Kind {
        resource: "secrets",
        name: "Secret",
        served: &["of-environment"],
        waiting: &["of-contoso", "of-name", "of-label"],
        told: None,
    },
    Kind {
        resource: "communicationusers",
        name: "CommunicationUser",
        served: &[],
        waiting: &USERS,
        told: None,
    },
];

/// A cluster with a user of each sort of connection.
async fn cluster() -> World {
    let world = World::start(WorldSettings {
        cluster_wide: true,
        ..settings()
    })
    .await
    .unwrap();
    let connects = world.resource.connects(KeySlot::Primary);
    world
        .put_credential("acs", &[("connectionString", &connects)])
        .await
        .unwrap();
    let auth = json!({"connectionString": {"secretRef": {"name": "acs"}}});
    world.connect("contoso", json!({"auth": auth})).await.unwrap();
    let auth = json!({"connectionString": {"secretRef": {"name": "acs", "namespace": world.namespace}}});
    let by_label = json!({"selector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}});
    for (name, allowed) in [("name", json!({"names": [world.namespace]})), ("label", by_label)] {
        let spec = json!({"auth": auth, "allowedNamespaces": allowed});
        world.connect_cluster(name, spec).await.unwrap();
    }
    let of_cluster = |name| json!({"kind": "ClusterCommunicationConnection", "name": name});
    for (user, connection) in [
        ("of-environment", Value::Null),
        ("of-contoso", json!({"name": "contoso"})),
        ("of-name", of_cluster("name")),
        ("of-label", of_cluster("label")),
    ] {
        let mut spec = json!({"token": {"scopes": ["voip"]}});
        if connection.is_object() {
            spec["connectionRef"] = connection;
        }
        world.create(user, spec).await.unwrap();
        world.until_reason(user, "TokenIssued").await.unwrap();
    }
    world.quiet().await;
    world
}

pub async fn ask_for_renewal(place: &Place, user: &str, request: &str) {
    let annotations = json!({"acs-operator.dev/renew-requested-at": request});
    place
        .patch(user, json!({"metadata": {"annotations": annotations}}))
        .await
        .unwrap();
}

pub async fn watch_up(operator: &Operator, kind: &str) -> anyhow::Result<bool> {
    let series = format!("acs_operator_watch_up{{kind=\"{kind}\"}}");
    Ok(operator.metric(&series).await? > 0.5)
}

/// The same rules, without the rights to list and to watch one resource.
fn without(resource: &str, role: &ClusterRole) -> ClusterRole {
    let mut role = role.clone();
    let rules = role.rules.take().unwrap_or_default().into_iter();
    let narrowed = rules.flat_map(|rule| {
        let alone = |of: &String| {
            let mut rule = PolicyRule {
                resources: Some(vec![of.clone()]),
                ..rule.clone()
            };
            if of == resource {
                rule.verbs.retain(|verb| verb != "list" && verb != "watch");
            }
            rule
        };
        let resources = rule.resources.iter().flatten();
        resources.map(alone).collect::<Vec<_>>()
    });
    role.rules = Some(narrowed.collect());
    role
}

/// Gives the operator these rights and no others, and waits until they are in force.
async fn grant(world: &World, role: &ClusterRole, are_all: bool) {
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let mut role = role.clone();
    role.metadata.resource_version = None;
    role.metadata.managed_fields = None;
    roles.replace(ROLE, &PostParams::default(), &role).await.unwrap();
    let operator = world.control_plane.operator_client().await.unwrap();
    let in_force = async || Ok(rights::missing(&operator, &[Scope::Cluster]).await.is_empty() == are_all);
    world.eventually("the rights are not in force", in_force).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_needs_nothing_of_a_kind_that_may_not_be_listed_is_served_from_the_start_and_the_others_once_it_may_be() {
    let mut world = cluster().await;
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let role = roles.get(ROLE).await.unwrap();
    for kind in KINDS {
        let resource = kind.resource;
        world.operator.stop(HANDED_OVER).await.unwrap();
        grant(&world, &without(resource, &role), false).await;
        world.operator.restart().unwrap();
        let missing = format!("the verbs list and watch on {resource}");
        world.operator.answers("/readyz", 503, &missing).await.unwrap();
        for user in USERS {
            ask_for_renewal(&world, user, resource).await;
        }
        for user in kind.served {
            until_renewed(&world, user, resource).await;
        }
        for (user, words) in kind
            .told
            .iter()
            .flat_map(|words| kind.waiting.iter().map(move |user| (user, words)))
        {
            let is_told = |user: &CommunicationUser| message(user).contains(words);
            world.until(user, words, is_told).await.unwrap();
        }
        for user in kind.waiting {
            assert!(!is_renewed(&world.users().get(user).await.unwrap(), resource), "{user}");
        }
        assert!(!watch_up(&world.operator, kind.name).await.unwrap(), "{resource}");
        // Where nobody is served, nothing above has waited for it.
        let leads = async || world.operator.leads().await;
        world.eventually("it does not lead", leads).await.unwrap();

        grant(&world, &role, true).await;
        for user in kind.waiting {
            until_renewed(&world, user, resource).await;
        }
        world.operator.answers("/readyz", 200, "ok").await.unwrap();
        assert!(watch_up(&world.operator, kind.name).await.unwrap(), "{resource}");
        world.quiet().await;
    }
    assert_eq!(world.acs().identities().len(), USERS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_away_while_the_operator_runs_leaves_it_with_what_it_knows() {
    let world = cluster().await;
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let role = roles.get(ROLE).await.unwrap();
    for Kind { resource, name, .. } in KINDS {
        grant(&world, &without(resource, &role), false).await;
        // Those under way go on for up to a minute.
        world.gate.end_watches();
        let is_down = async || Ok(!watch_up(&world.operator, name).await?);
        world.eventually("the watch is not down", is_down).await.unwrap();
        for user in USERS {
            ask_for_renewal(&world, user, resource).await;
        }
        if name == "CommunicationUser" {
            let secrets = world.secrets();
            let uid = async || Ok(secrets.get_opt("of-name").await?.and_then(|secret| secret.metadata.uid));
            let before: Option<String> = uid().await.unwrap();
            secrets.delete("of-name", &DeleteParams::default()).await.unwrap();
            let is_back = async || uid().await.map(|now| now.is_some() && now != before);
            world.eventually("its Secret is not back", is_back).await.unwrap();
        } else {
            for user in USERS {
                until_renewed(&world, user, resource).await;
            }
        }
        grant(&world, &role, true).await;
        for user in USERS {
            until_renewed(&world, user, resource).await;
        }
        // One that is told nothing is not known to work for a while.
        let (is_up, ceiling) = (async || watch_up(&world.operator, name).await, Duration::from_mins(2));
        world
            .eventually_within(ceiling, "the watch is not up", is_up)
            .await
            .unwrap();
    }
    assert_eq!(world.acs().identities().len(), USERS.len());
}

/// As the admin of a namespace does for whom serves only that.
async fn bind(world: &World, namespace: &str) {
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), namespace);
    create(&bindings, binding_of("ClusterRole", ROLE)).await;
}

fn binding_of(kind: &str, role: &str) -> Value {
    json!({
        "metadata": {"name": role},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR_ACCOUNT, "namespace": OPERATOR_NAMESPACE}],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_gone_with_the_rights_to_it_holds_up_no_other_namespace() {
    let mut world = World::start(WorldSettings {
        cluster_wide: true,
        served_namespace: Some("*".to_owned()),
        ..settings()
    })
    .await
    .unwrap();
    world.operator.stop(HANDED_OVER).await.unwrap();
    // What the overlay for some namespaces leaves of the rights in the cluster.
    let cluster_bindings: Api<ClusterRoleBinding> = Api::all(world.client.clone());
    cluster_bindings.delete(ROLE, &DeleteParams::default()).await.unwrap();
    let assigns = json!({
        "apiGroups": ["acs-operator.dev"], "resources": ["communicationusers"], "verbs": ["assignidentity"],
    });
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    create(&roles, json!({"metadata": {"name": "assigns"}, "rules": [assigns]})).await;
    create(&cluster_bindings, binding_of("ClusterRole", "assigns")).await;

    let (here, there) = (world.new_place().await.unwrap(), world.new_place().await.unwrap());
    for place in [&here, &there] {
        bind(&world, &place.namespace).await;
    }
    let watched = format!("--watch-namespaces={},{}", here.namespace, there.namespace);
    let mut replica = world.another_replica(&[&watched]).await.unwrap();
    replica.operator.ready().await.unwrap();
    let user = json!({"token": {"scopes": ["voip"]}});
    for (place, name) in [(&here, "alice"), (&there, "bob")] {
        place.create(name, user.clone()).await.unwrap();
        place.until_reason(name, "TokenIssued").await.unwrap();
    }

    // With the namespace go the rights in it, and maybe before bob, who could never go then.
    there.delete("bob").await.unwrap();
    there.until_gone("bob").await.unwrap();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces
        .delete(&there.namespace, &DeleteParams::default())
        .await
        .unwrap();
    world.until_none(&namespaces, &there.namespace).await.unwrap();
    replica.operator.stop(HANDED_OVER).await.unwrap();
    replica.operator.restart().unwrap();
    ask_for_renewal(&here, "alice", "now").await;
    until_renewed(&here, "alice", "now").await;
    here.create("carol", user.clone()).await.unwrap();
    here.until_reason("carol", "TokenIssued").await.unwrap();
    replica
        .operator
        .answers("/readyz", 503, &there.namespace)
        .await
        .unwrap();

    create(&namespaces, json!({"metadata": {"name": there.namespace}})).await;
    bind(&world, &there.namespace).await;
    there.create("bob", user).await.unwrap();
    there.until_reason("bob", "TokenIssued").await.unwrap();
    replica.operator.answers("/readyz", 200, "ok").await.unwrap();
    assert_eq!(world.acs().identities().len(), 3);
}
