//! The writes' preconditions, as a real API server judges them.

mod connections;
mod listing;
mod secrets;
mod users;

use acs_operator::cluster::writes::{Target, Writes};
use acs_operator_testbed::ControlPlane;
use kube::{Client, Resource};

/// A namespace of its own on the shared control plane, and an administrator's client for it.
struct Place {
    client: Client,
    namespace: String,
    writes: Writes,
}

impl Place {
    async fn new() -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        let client = control_plane.client().await.unwrap();
        Self {
            writes: Writes::new(client.clone()),
            namespace: control_plane.namespace("writes").await.unwrap(),
            client,
        }
    }
}

/// The version of an object that a test has seen.
fn target(object: &impl Resource) -> Target<'_> {
    let meta = object.meta();
    Target {
        namespace: meta.namespace.as_deref(),
        name: meta.name.as_deref().unwrap(),
        uid: meta.uid.as_deref().unwrap(),
        resource_version: meta.resource_version.as_deref().unwrap(),
    }
}
