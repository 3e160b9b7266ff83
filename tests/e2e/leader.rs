//! Two operators of one installation: one works, the other stands by.

mod fence;
mod hand_over;
mod standby;

use std::time::{Duration, Instant};

use acs_operator_testbed::{CEILING, Operator, Replica, World, WorldSettings};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use tokio::time::sleep;

use crate::{settings, with_lease};

/// Short enough to wait for its end, and long enough for a busy machine to renew it: within two thirds of this.
const SHORT: Duration = Duration::from_secs(15);

/// A world whose operator leads, and a replica that stands by.
async fn pair(lease: Duration) -> (World, Replica) {
    pair_with(lease, settings()).await
}

/// The same in another world.
async fn pair_with(lease: Duration, settings: WorldSettings) -> (World, Replica) {
    let world = World::start(with_lease(settings, lease)).await.unwrap();
    until_leads(&world.operator, CEILING).await;
    let replica = standby(&world).await;
    assert!(!replica.operator.leads().await.unwrap());
    (world, replica)
}

/// Another replica, which is ready.
async fn standby(world: &World) -> Replica {
    let mut replica = world.another_replica(&[]).await.unwrap();
    replica.operator.ready().await.unwrap();
    replica
}

/// Waits until it leads; returns how long that took.
async fn until_leads(operator: &Operator, within: Duration) -> Duration {
    let begun = Instant::now();
    while !operator.leads().await.unwrap_or_default() {
        assert!(
            begun.elapsed() < within,
            "it does not lead after {within:?}:\n{}",
            operator.log_tail()
        );
        sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

/// The Lease of an operator.
pub async fn lease(world: &World) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.own_namespace);
    leases.get("acs-operator").await.unwrap().spec.unwrap()
}
