//! The writes' preconditions, as a real API server judges them.

mod secrets;
mod users;

use acs_operator::cluster::writes::Writes;
use acs_operator_testbed::ControlPlane;
use kube::Client;

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
