//! An API server to try manifests on.

use acs_operator::api::{ClusterCommunicationConnection, CommunicationConnection, CommunicationUser};
use acs_operator_testbed::ControlPlane;
use anyhow::{Context, Result};
use kube::{
    Api, Client, CustomResourceExt,
    api::{ApiResource, DynamicObject, PostParams, Request},
};
use serde_json::{Value, json};

/// A kind of ours, as tests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    User,
    Connection,
    ClusterConnection,
}

impl Kind {
    pub fn resource(self) -> ApiResource {
        match self {
            Self::User => CommunicationUser::api_resource(),
            Self::Connection => CommunicationConnection::api_resource(),
            Self::ClusterConnection => ClusterCommunicationConnection::api_resource(),
        }
    }

    /// The kind of this name, if it is one of ours.
    pub fn named(name: &str) -> Option<Self> {
        [Self::User, Self::Connection, Self::ClusterConnection]
            .into_iter()
            .find(|kind| kind.resource().kind == name)
    }

    /// A manifest of this kind with the `spec` given in YAML. The API server chooses the rest of the name.
    pub fn manifest(self, spec: &str) -> Result<Value> {
        let resource = self.resource();
        let spec: Value =
            serde_saphyr::from_str(spec).with_context(|| format!("the test's own YAML is wrong: {spec}"))?;
        Ok(json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"generateName": "try-"},
            "spec": spec,
        }))
    }
}

/// A namespace on a real API server.
pub struct Cluster {
    pub client: Client,
    pub namespace: String,
}

impl Cluster {
    /// A fresh namespace on the control plane that all tests share.
    pub async fn shared(prefix: &str) -> Result<Self> {
        Self::on(ControlPlane::shared().await?, prefix).await
    }

    pub async fn on(control_plane: &ControlPlane, prefix: &str) -> Result<Self> {
        let namespace = control_plane.namespace(prefix).await?;
        Ok(Self {
            client: control_plane.client().await?,
            namespace,
        })
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        match kind {
            Kind::ClusterConnection => Api::all_with(self.client.clone(), &kind.resource()),
            Kind::User | Kind::Connection => {
                Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
            }
        }
    }

    /// Creates an object.
    pub async fn create(&self, kind: Kind, spec: &str) -> Result<DynamicObject> {
        let manifest = serde_json::from_value(kind.manifest(spec)?)?;
        self.api(kind)
            .create(&PostParams::default(), &manifest)
            .await
            .with_context(|| spec.to_owned())
    }

    /// What `kubectl create --dry-run=server` answers: the object with defaults, or the words of the refusal. Like
    /// kubectl it asks for strict validation, which refuses fields that the schema does not know.
    pub async fn try_create(&self, kind: Kind, manifest: &Value) -> Result<Result<Value, String>> {
        let parameters = PostParams {
            dry_run: true,
            field_manager: None,
        };
        let mut request =
            Request::new(self.api(kind).resource_url()).create(&parameters, serde_json::to_vec(manifest)?)?;
        *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri()).parse()?;
        said(self.client.request(request).await)
    }

    /// What a full update answers, without carrying it out.
    pub async fn try_update(&self, kind: Kind, object: &DynamicObject) -> Result<Result<DynamicObject, String>> {
        let parameters = PostParams {
            dry_run: true,
            field_manager: None,
        };
        said(self.api(kind).replace(name(object)?, &parameters, object).await)
    }

    /// What a full update of the status answers, without carrying it out.
    pub async fn try_status_update(&self, kind: Kind, object: &DynamicObject) -> Result<Result<DynamicObject, String>> {
        let parameters = PostParams {
            dry_run: true,
            field_manager: None,
        };
        said(self.api(kind).replace_status(name(object)?, &parameters, object).await)
    }

    /// Updates the status.
    pub async fn update_status(&self, kind: Kind, object: &DynamicObject) -> Result<Result<DynamicObject, String>> {
        said(
            self.api(kind)
                .replace_status(name(object)?, &PostParams::default(), object)
                .await,
        )
    }

    /// The words with which the API server refuses each manifest that lacks what its mistake calls for: at which field,
    /// and what to write instead. Empty when all are refused well.
    pub async fn badly_refused(&self, kind: Kind, mistakes: &[Mistake]) -> Result<Vec<String>> {
        let mut complaints = vec![];
        for mistake in mistakes {
            let answer = self.try_create(kind, &kind.manifest(mistake.spec)?).await?;
            complaints.extend(mistake.complaint(answer.map(drop)));
        }
        Ok(complaints)
    }
}

/// A manifest that people get wrong.
pub struct Mistake {
    /// What is wrong with it.
    pub name: &'static str,
    /// The `spec` in YAML.
    pub spec: &'static str,
    /// The field that the refusal names.
    pub at: &'static str,
    /// What the refusal says about it.
    pub says: &'static str,
}

impl Mistake {
    /// What is wrong with the API server's answer to this mistake, if anything.
    pub fn complaint(&self, answer: Result<(), String>) -> Option<String> {
        let Self { name, at, says, .. } = self;
        match answer {
            Ok(()) => Some(format!("{name}: accepted, but should be refused at {at} with {says:?}")),
            Err(words) if words.contains(at) && words.contains(says) => None,
            Err(words) => Some(format!(
                "{name}: refused without naming {at} or saying {says:?}: {words}"
            )),
        }
    }
}

pub fn name(object: &DynamicObject) -> Result<&str> {
    object
        .metadata
        .name
        .as_deref()
        .context("an object from the API server has no name")
}

/// Tells a refusal, in its words, from a failure to ask.
fn said<T>(answer: kube::Result<T>) -> Result<Result<T, String>> {
    match answer {
        Ok(object) => Ok(Ok(object)),
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => Ok(Err(status.message)),
        Err(error) => Err(error.into()),
    }
}
