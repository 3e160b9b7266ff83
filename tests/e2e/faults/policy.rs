//! A policy that refuses one kind of request in one namespace.

use acs_operator_testbed::World;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api, Error,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

/// What it says.
pub const WORDS: &str = "no changes on a Friday";

/// Whom it concerns, as CEL: the operator.
pub const OPERATOR: &str = "request.userInfo.username == 'system:serviceaccount:acs-operator-system:acs-operator'";

/// The same: everybody.
pub const EVERYBODY: &str = "true";

/// See the module's page. It stays until it is lifted.
pub struct Policy {
    name: String,
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
}

impl Policy {
    /// Refuses requests by group, resource and operation once this returns. `attempt` is such a request, without effect.
    pub async fn refuse(
        world: &World,
        namespace: &str,
        whom: &str,
        requests: (&str, &str, &str),
        attempt: impl AsyncFn() -> Result<(), Error>,
    ) -> Self {
        Self::refuse_in_these_words(world, namespace, whom, requests, &format!("'{WORDS}'"), attempt).await
    }

    /// The same, and says [`WORDS`] in what CEL makes of `words`.
    pub async fn refuse_in_these_words(
        world: &World,
        namespace: &str,
        whom: &str,
        (group, resource, operation): (&str, &str, &str),
        words: &str,
        attempt: impl AsyncFn() -> Result<(), Error>,
    ) -> Self {
        let policy = Self {
            name: namespace.to_owned(),
            policies: Api::all(world.client.clone()),
            bindings: Api::all(world.client.clone()),
        };
        let refusing = json!({
            "metadata": {"name": policy.name},
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "resourceRules": [{
                        "apiGroups": [group], "apiVersions": ["*"], "operations": [operation], "resources": [resource],
                    }],
                },
                "validations": [{"expression": format!("!({whom})"), "messageExpression": words}],
            },
        });
        let binding = json!({
            "metadata": {"name": policy.name},
            "spec": {"policyName": policy.name, "validationActions": ["Deny"]},
        });
        let params = PostParams::default();
        let refusing = serde_json::from_value(refusing).unwrap();
        policy.policies.create(&params, &refusing).await.unwrap();
        let binding = serde_json::from_value(binding).unwrap();
        policy.bindings.create(&params, &binding).await.unwrap();
        let is_in_force = async || match attempt().await {
            Err(Error::Api(status)) if status.message.contains(WORDS) => Ok(true),
            Ok(()) => Ok(false),
            Err(error) => Err(error.into()),
        };
        world
            .eventually("the policy is not in force", is_in_force)
            .await
            .unwrap();
        policy
    }

    /// Refuses nothing any more, a moment after this returns.
    pub async fn lift(self) {
        let params = DeleteParams::default();
        self.bindings.delete(&self.name, &params).await.unwrap();
        self.policies.delete(&self.name, &params).await.unwrap();
    }
}
