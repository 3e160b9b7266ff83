//! Objects that were stored before a rule existed: a rule that they break must never keep them from being read, reported,
//! released and deleted.

use std::time::Duration;

use acs_operator::api::{
    ClusterCommunicationConnection, CommunicationConnection, CommunicationUser, crd, names::finalizer,
};
use acs_operator_testbed::ControlPlane;
use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time;

use super::{
    cluster::{Cluster, Kind, Mistake, name},
    connection_mistakes, user_mistakes,
};

/// How long the API server may take to go by a changed definition. Usually well under a second.
const IN_USE_WITHIN: Duration = Duration::from_mins(1);

/// What a schema may demand of a value, apart from its type.
const DEMANDS: [&str; 15] = [
    "enum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "required",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-validations",
];

/// Every mistake in a value that the rules of today catch.
const MISTAKES: [(Kind, &[Mistake]); 3] = [
    (Kind::User, user_mistakes::VALUES),
    (Kind::Connection, connection_mistakes::VALUES),
    (Kind::ClusterConnection, connection_mistakes::CLUSTER_VALUES),
];

/// Statuses of a user that break a rule of today, in YAML.
const STATUSES: &[&str] = &[
    "identity: {id: alice}",
    "identity: {origin: Found}",
    "identity: {suspectedOrphans: -1}",
    "identity: {attempt: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}",
    "token: {expirationTime: tomorrow}",
    "token: {scopes: [voip, voip]}",
    "conditions: [{type: Ready}]",
    "conditions: [{type: Ready, status: 'Yes', reason: '', message: '', lastTransitionTime: now}]",
    "conditions: [{type: a}, {type: a}]",
    "conditions: [{type: a}, {type: b}, {type: c}, {type: d}, {type: e}, {type: f}, {type: g}, {type: h}, {type: i}]",
];

/// The definitions, with or without what they demand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    Absent,
    Present,
}

/// An object in the cluster, and what is wrong with it.
struct Stored {
    mistake: String,
    kind: Kind,
    object: DynamicObject,
}

#[tokio::test]
async fn no_rule_keeps_a_stored_object_from_being_reported_and_released() -> Result<()> {
    let control_plane = ControlPlane::start()?;
    let cluster = Cluster::on(&control_plane, "stored").await?;
    install(&cluster, Rules::Absent).await?;
    let mut stored = store_mistakes(&cluster).await?;
    stored.extend(store_statuses(&cluster).await?);
    install(&cluster, Rules::Present).await?;

    let mut complaints = vec![];
    for Stored { mistake, kind, object } in &stored {
        if let Err(error) = report_and_release(&cluster.api(*kind), object).await {
            complaints.push(format!("{kind:?} with {mistake}: {error:#}"));
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {}: {complaints:#?}",
        complaints.len(),
        stored.len()
    );
    Ok(())
}

#[test]
fn an_object_with_a_wrong_value_can_still_be_read() -> Result<()> {
    for (kind, mistakes) in MISTAKES {
        // A field that is required has always been.
        for mistake in mistakes.iter().filter(|mistake| mistake.says != "Required value") {
            let object = kind.manifest(mistake.spec)?;
            let read = match kind {
                Kind::User => serde_json::from_value::<CommunicationUser>(object).map(drop),
                Kind::Connection => serde_json::from_value::<CommunicationConnection>(object).map(drop),
                Kind::ClusterConnection => serde_json::from_value::<ClusterCommunicationConnection>(object).map(drop),
            };
            read.with_context(|| mistake.name)?;
        }
    }
    for status in STATUSES {
        let mut object = Kind::User.manifest("{}")?;
        object["status"] = serde_saphyr::from_str(status)?;
        serde_json::from_value::<CommunicationUser>(object).context(*status)?;
    }
    Ok(())
}

/// Installs the definitions and waits until the API server goes by them.
async fn install(cluster: &Cluster, rules: Rules) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    for definition in crd::all() {
        let name = definition.name_any();
        let mut definition = serde_json::to_value(definition)?;
        if rules == Rules::Absent {
            drop_demands(&mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
        }
        definitions
            .patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&definition))
            .await?;
    }
    for (kind, mistakes) in MISTAKES {
        let manifest = kind.manifest(mistakes[0].spec)?;
        let in_use = async {
            // An error is a kind that is not served yet.
            while !matches!(cluster.try_create(kind, &manifest).await, Ok(answer) if answer.is_err() == (rules == Rules::Present))
            {
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        time::timeout(IN_USE_WITHIN, in_use)
            .await
            .with_context(|| format!("the definition of {kind:?} is not used"))?;
    }
    Ok(())
}

/// Leaves of a schema, and of everything below it, only the types.
fn drop_demands(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.retain(|field, _| !DEMANDS.contains(&field.as_str()));
    for (field, below) in fields {
        match field.as_str() {
            "properties" => below
                .as_object_mut()
                .into_iter()
                .flat_map(|all| all.values_mut())
                .for_each(drop_demands),
            "items" | "additionalProperties" => drop_demands(below),
            _ => {}
        }
    }
}

async fn store_mistakes(cluster: &Cluster) -> Result<Vec<Stored>> {
    let mut stored = vec![];
    for (kind, mistakes) in MISTAKES {
        for mistake in mistakes {
            stored.push(store(cluster, kind, mistake.name, kind.manifest(mistake.spec)?).await?);
        }
    }
    Ok(stored)
}

async fn store_statuses(cluster: &Cluster) -> Result<Vec<Stored>> {
    let mut stored = vec![];
    for status in STATUSES {
        let mut one = store(
            cluster,
            Kind::User,
            &format!("the status {status}"),
            Kind::User.manifest("{}")?,
        )
        .await?;
        one.object.data["status"] = serde_saphyr::from_str(status)?;
        one.object = cluster
            .update_status(Kind::User, &one.object)
            .await?
            .map_err(anyhow::Error::msg)
            .context(*status)?;
        stored.push(one);
    }
    Ok(stored)
}

async fn store(cluster: &Cluster, kind: Kind, mistake: &str, mut manifest: Value) -> Result<Stored> {
    manifest["metadata"]["finalizers"] = json!([finalizer::IDENTITY]);
    let manifest = serde_json::from_value(manifest)?;
    let object = cluster
        .api(kind)
        .create(&PostParams::default(), &manifest)
        .await
        .with_context(|| mistake.to_owned())?;
    Ok(Stored {
        mistake: mistake.to_owned(),
        kind,
        object,
    })
}

/// What the operator does with an object that it cannot serve: note that in its status, and when it is deleted, release it.
async fn report_and_release(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<()> {
    let name = name(object)?;
    let seen = json!({"status": {"observedGeneration": 1}});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&seen))
        .await
        .context("part of the status")?;
    let annotated = json!({"metadata": {"annotations": {"example.com/note": "seen"}}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(&annotated))
        .await
        .context("annotation")?;
    let stalled = json!({"status": {"conditions": [{
        "type": "Stalled", "status": "True", "reason": "InvalidRequest", "message": "stored before the rule",
        "lastTransitionTime": "2026-11-23T08:00:00Z", "observedGeneration": 1,
    }]}});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&stalled))
        .await
        .context("conditions")?;
    let deleting = api.delete(name, &DeleteParams::default()).await.context("deletion")?;
    let deleting = deleting.left().context("it is gone although it has a finalizer")?;
    let released = json!({"metadata": {"finalizers": [], "resourceVersion": deleting.resource_version()}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(&released))
        .await
        .context("finalizer")?;
    ensure!(
        api.get_opt(name).await?.is_none(),
        "it is still there after its last finalizer was removed"
    );
    Ok(())
}
