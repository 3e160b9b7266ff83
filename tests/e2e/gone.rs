//! The identity was deleted in ACS behind the operator's back.

use acs_emulator::{Fault, Operation};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{identity, ready};

use crate::alice::{alice_in, annotate};
use crate::world;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_is_gone_is_said_so_and_replaced_on_request() {
    let world = world().await;
    let before = alice_in(&world).await;
    world.acs().inject(Fault::status(404).on(Operation::Issue));
    annotate(&world, "renew-requested-at", "now").await;
    let alice = world.until_reason("alice", "IdentityGone").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "False");
    world.acs().clear_faults();
    annotate(&world, "replace-identity", &identity(&before).unwrap()).await;
    let replaced = |user: &CommunicationUser| {
        ready(user).is_some_and(|(ready, _)| ready == "True") && identity(user) != identity(&before)
    };
    let alice = world.until("alice", "replaced", replaced).await.unwrap();
    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(Some(&values["userId"]), identity(&alice).as_ref());
}
