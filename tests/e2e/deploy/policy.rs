//! The policy that guards `status.identity`: whose tokens are issued, and which identity is deleted.

use std::time::Duration;

use acs_operator::api::CommunicationUser;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{sync::OnceCell, time};

use super::{OPERATOR, client_as, ensure_namespace, installed, rights};

const ALICE: &str = "8:acs:11111111-1111-1111-1111-111111111111_00000000-aaaa-bbbb-cccc-111111111111";
const BOB: &str = "8:acs:11111111-1111-1111-1111-111111111111_00000000-aaaa-bbbb-cccc-222222222222";

/// What the policy says.
const REFUSED: &str = "only who may 'assignidentity' on communicationusers";

/// A CommunicationUser of its own for each test.
struct Guarded {
    namespace: &'static str,
    name: &'static str,
}

impl Guarded {
    async fn new(name: &'static str) -> Self {
        static IN_FORCE: OnceCell<()> = OnceCell::const_new();
        IN_FORCE.get_or_init(in_force).await;
        Self::unguarded(name).await
    }

    async fn unguarded(name: &'static str) -> Self {
        let guarded = Self {
            namespace: "identity-policy",
            name,
        };
        ensure_namespace(guarded.namespace).await;
        let admin = installed().client().await.unwrap();
        let user = serde_json::from_value(json!({"metadata": {"name": name}, "spec": {}})).unwrap();
        guarded
            .users(admin)
            .create(&PostParams::default(), &user)
            .await
            .unwrap();
        guarded
    }

    fn users(&self, client: Client) -> Api<CommunicationUser> {
        Api::namespaced(client, self.namespace)
    }

    /// Patches status as `user`: the refusal, if there is one.
    async fn patch_status(&self, user: &str, status: Value) -> Result<(), String> {
        let patch = Patch::Merge(json!({"status": status}));
        let users = self.users(client_as(user).await);
        let patched = users.patch_status(self.name, &PatchParams::default(), &patch).await;
        patched.map(drop).map_err(|error| error.to_string())
    }
}

/// Waits until the API server has learned of the policy, which takes it a moment.
async fn in_force() {
    let user = Guarded::unguarded("first").await;
    grant("first", &[]).await;
    let refused = async {
        for attempt in 0.. {
            let change = json!({"identity": {"endpoint": format!("https://{attempt}.example")}});
            let refusal = user.patch_status("first", change).await.err();
            if refusal.is_some_and(|words| words.contains(REFUSED)) {
                return;
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(Duration::from_secs(30), refused)
        .await
        .expect("the policy is in force");
}

/// Lets `user` write CommunicationUsers and their status, and assign the identity of the objects of these names.
async fn grant(user: &str, assignable: &[&str]) {
    let admin = installed().client().await.unwrap();
    let mut rules = vec![json!({
        "apiGroups": ["acs-operator.dev"],
        "resources": ["communicationusers", "communicationusers/status"],
        "verbs": ["create", "patch"],
    })];
    if !assignable.is_empty() {
        rules.push(json!({
            "apiGroups": ["acs-operator.dev"],
            "resources": ["communicationusers"],
            "resourceNames": assignable,
            "verbs": ["assignidentity"],
        }));
    }
    let role: ClusterRole = serde_json::from_value(json!({"metadata": {"name": user}, "rules": rules})).unwrap();
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))
    .unwrap();
    Api::all(admin.clone())
        .create(&PostParams::default(), &role)
        .await
        .unwrap();
    Api::all(admin).create(&PostParams::default(), &binding).await.unwrap();
    until_granted(user).await;
}

/// The authorizer learns of roles and bindings by watches.
async fn until_granted(user: &str) {
    let status = "communicationusers/status.acs-operator.dev";
    rights::eventually(async || rights::may(user, "patch", status, "identity-policy").await).await;
}

fn assert_refused(outcome: Result<(), String>) {
    let refusal = outcome.expect_err("the policy lets it pass");
    assert!(refusal.contains(REFUSED), "{refusal}");
}

#[tokio::test]
async fn who_may_write_status_still_cannot_say_whose_tokens_are_issued() {
    let user = Guarded::new("guarded").await;
    grant("status-writer", &[]).await;

    assert_refused(
        user.patch_status("status-writer", json!({"identity": {"id": ALICE}}))
            .await,
    );
    user.patch_status(OPERATOR, json!({"identity": {"id": ALICE, "origin": "Adopted"}}))
        .await
        .unwrap();
    // The id can't be made forgotten either, nor an adopted identity one that is deleted with its object.
    assert_refused(user.patch_status("status-writer", json!({"identity": null})).await);
    assert_refused(
        user.patch_status("status-writer", json!({"identity": {"origin": "Created"}}))
            .await,
    );
    // Everything else in status is no business of this policy.
    user.patch_status("status-writer", json!({"connection": "another"}))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_backup_tool_can_be_granted_to_restore_identities_even_for_single_objects() {
    let (granted, other) = (Guarded::new("granted").await, Guarded::new("not-granted").await);
    grant("backup", &["granted"]).await;

    granted
        .patch_status("backup", json!({"identity": {"id": ALICE}}))
        .await
        .unwrap();
    assert_refused(other.patch_status("backup", json!({"identity": {"id": ALICE}})).await);
}

#[tokio::test]
async fn who_may_do_everything_in_one_namespace_cannot_name_the_identities_of_others() {
    let user = Guarded::new("tenant").await;
    let admin = installed().client().await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "tenant"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}],
    }))
    .unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(admin, user.namespace);
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    until_granted("tenant").await;

    user.patch_status("tenant", json!({"connection": "another"}))
        .await
        .unwrap();
    assert_refused(user.patch_status("tenant", json!({"identity": {"id": ALICE}})).await);
}

#[tokio::test]
async fn an_identity_cannot_be_smuggled_in_with_a_new_object() {
    ensure_namespace("identity-policy").await;
    grant("creator", &[]).await;
    let users: Api<CommunicationUser> = Api::namespaced(client_as("creator").await, "identity-policy");
    let wanted = json!({"metadata": {"name": "smuggled"}, "spec": {}, "status": {"identity": {"id": BOB}}});
    let created = users
        .create(&PostParams::default(), &serde_json::from_value(wanted).unwrap())
        .await
        .unwrap();
    assert!(
        created.status.unwrap_or_default().identity.is_none(),
        "the API server drops status of a new object"
    );
}

#[tokio::test]
async fn labels_and_finalizers_of_an_object_with_an_identity_can_still_be_changed() {
    let user = Guarded::new("labelled").await;
    grant("labeller", &[]).await;
    user.patch_status(OPERATOR, json!({"identity": {"id": ALICE}}))
        .await
        .unwrap();
    let users = user.users(client_as("labeller").await);
    for metadata in [
        json!({"labels": {"a": "b"}}),
        json!({"finalizers": ["example.com/held"]}),
        json!({"finalizers": []}),
    ] {
        let patch = Patch::Merge(json!({"metadata": metadata}));
        users.patch(user.name, &PatchParams::default(), &patch).await.unwrap();
    }
}
