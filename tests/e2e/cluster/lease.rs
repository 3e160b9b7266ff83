//! Candidates for a Lease of a real API server, which may be changed by others too.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use acs_operator::{
    clock::Clock,
    cluster::lease::{Election, Hold, LeaseLost, LeaseSettings},
};
use acs_operator_testbed::{CEILING, ControlPlane};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const LEASE: &str = "acs-operator";

/// A namespace where candidates compete.
struct Arena {
    client: Client,
    namespace: String,
}

struct Candidate {
    hold: Hold,
    resign: CancellationToken,
    task: JoinHandle<Result<(), LeaseLost>>,
    refusal: Arc<Mutex<Option<String>>>,
    /// It has looked at the Lease.
    has_looked: Arc<AtomicBool>,
}

impl Arena {
    async fn new() -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        Self {
            client: control_plane.client().await.unwrap(),
            namespace: control_plane.namespace("lease").await.unwrap(),
        }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn lease(&self) -> LeaseSpec {
        self.leases().get(LEASE).await.unwrap().spec.unwrap()
    }

    async fn edit(&self, patch: Value) {
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        self.leases().patch(LEASE, &params, &patch).await.unwrap();
    }

    fn candidate(&self, identity: &str, seconds: u64) -> Candidate {
        let settings = LeaseSettings {
            namespace: self.namespace.clone(),
            name: LEASE.to_owned(),
            identity: identity.to_owned(),
            duration: Duration::from_secs(seconds),
        };
        let refusal = Arc::new(Mutex::new(None));
        let has_looked = Arc::new(AtomicBool::new(false));
        let (told, looked) = (Arc::clone(&refusal), Arc::clone(&has_looked));
        let on_refusal = Box::new(move |refusal: Option<&str>| {
            looked.store(true, Ordering::Relaxed);
            *told.lock().unwrap() = refusal.map(str::to_owned);
        });
        let (election, hold) = Election::new(self.client.clone(), settings, Clock::system(), on_refusal);
        let resign = CancellationToken::new();
        Candidate {
            hold,
            task: tokio::spawn(election.run(resign.clone())),
            resign,
            refusal,
            has_looked,
        }
    }

    /// A candidate that has it.
    async fn leader(&self, identity: &str, seconds: u64) -> Candidate {
        let candidate = self.candidate(identity, seconds);
        candidate.begun().await;
        candidate
    }
}

impl Candidate {
    async fn begun(&self) {
        timeout(CEILING, self.hold.begun()).await.expect("it gets the lease");
    }

    async fn resigns(self) {
        self.resign.cancel();
        self.ended().await.unwrap();
    }

    async fn ended(self) -> Result<(), LeaseLost> {
        let ended = timeout(CEILING, self.task).await.expect("it ends").unwrap();
        assert!(!self.hold.is_held());
        ended
    }
}

#[tokio::test]
async fn who_resigns_at_the_moment_of_winning_leaves_the_lease_to_the_next() {
    let arena = Arena::new().await;
    for round in 0..5 {
        let leader = arena.leader(&format!("round-{round}"), 120).await;
        leader.resigns().await;
        let lease = arena.lease().await;
        assert_eq!((lease.holder_identity, lease.lease_duration_seconds), (None, Some(1)));
        assert_eq!(lease.lease_transitions, Some(round));
    }
}

#[tokio::test]
async fn of_many_that_wait_exactly_one_has_it_next() {
    let arena = Arena::new().await;
    let leader = arena.leader("first", 120).await;
    let waiting: Vec<_> = (0..5).map(|n| arena.candidate(&format!("waiting-{n}"), 120)).collect();
    sleep(Duration::from_millis(500)).await;
    assert!(waiting.iter().all(|candidate| !candidate.hold.is_held()));
    let released = Instant::now();
    leader.resigns().await;
    let count = || waiting.iter().filter(|candidate| candidate.hold.is_held()).count();
    while count() == 0 {
        assert!(released.elapsed() < CEILING, "nobody has it");
        sleep(Duration::from_millis(1)).await;
    }
    println!("from the release to the next holder: {:?}", released.elapsed());
    sleep(Duration::from_millis(500)).await;
    assert_eq!(count(), 1);
    assert_eq!(arena.lease().await.lease_transitions, Some(1));
}

#[tokio::test]
async fn it_is_renewed_for_longer_than_its_duration_whatever_else_is_written_on_it() {
    let arena = Arena::new().await;
    let leader = arena.leader("first", 9).await;
    let won = arena.lease().await;
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < Duration::from_secs(13) {
        number += 1;
        let since = Instant::now();
        arena
            .edit(json!({"metadata": {"labels": {"number": number.to_string()}}}))
            .await;
        assert!(leader.hold.is_held());
        // An API server that is slow for this is slow for the renewals too, which have to come in between.
        sleep((since.elapsed() * 4).max(Duration::from_millis(50))).await;
    }
    let now = arena.lease().await;
    assert!(now.renew_time > won.renew_time);
    assert_eq!(now.acquire_time, won.acquire_time);
    assert_eq!(now.lease_transitions, Some(0));
    leader.resigns().await;
}

#[tokio::test]
async fn who_loses_it_to_another_or_to_nobody_is_told_and_never_has_it_again() {
    let arena = Arena::new().await;
    let leader = arena.leader("first", 120).await;
    arena.edit(json!({"spec": {"holderIdentity": "usurper"}})).await;
    let lost = leader.ended().await.unwrap_err();
    let said = format!("lease {}/{LEASE} is held by usurper now", arena.namespace);
    assert_eq!(lost.to_string(), said);
    assert_eq!(
        arena.lease().await.holder_identity.as_deref(),
        Some("usurper"),
        "it is left alone"
    );

    arena.edit(json!({"spec": {"holderIdentity": null}})).await;
    let leader = arena.leader("second", 120).await;
    arena.edit(json!({"spec": {"holderIdentity": ""}})).await;
    assert!(matches!(leader.ended().await, Err(LeaseLost::Cleared { .. })));
}

#[tokio::test]
async fn a_lease_that_somebody_deletes_is_put_back_and_nobody_takes_it_meanwhile() {
    let arena = Arena::new().await;
    let leader = arena.leader("first", 120).await;
    let waiting = arena.candidate("waiting", 120);
    let begun = Instant::now();
    while !waiting.has_looked.load(Ordering::Relaxed) {
        assert!(begun.elapsed() < CEILING, "it does not look");
        sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..3 {
        let before = arena.leases().get(LEASE).await.unwrap().metadata.uid;
        arena.leases().delete(LEASE, &DeleteParams::default()).await.unwrap();
        let begun = Instant::now();
        loop {
            let now = arena.leases().get_opt(LEASE).await.unwrap();
            if now.is_some_and(|lease| lease.metadata.uid != before) {
                break;
            }
            assert!(begun.elapsed() < CEILING, "it is not back");
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(arena.lease().await.holder_identity.as_deref(), Some("first"));
        assert!(leader.hold.is_held() && !waiting.hold.is_held());
    }
    leader.resigns().await;
    waiting.begun().await;
}

#[tokio::test]
async fn one_that_died_is_followed_after_the_time_that_its_own_record_names() {
    let arena = Arena::new().await;
    let leader = arena.leader("first", 4).await;
    leader.task.abort();
    let waited = Instant::now();
    // By its own settings it would wait for two minutes, which is longer than the ceiling.
    let next = arena.candidate("next", 120);
    next.begun().await;
    let took = waited.elapsed();
    assert!(took >= Duration::from_secs(4), "{took:?}");
    assert_eq!(next.refusal.lock().unwrap().clone(), None);
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_is_told_with_what_to_do() {
    let mut arena = Arena::new().await;
    "nowhere".clone_into(&mut arena.namespace);
    let candidate = arena.candidate("first", 120);
    let begun = Instant::now();
    while candidate.refusal.lock().unwrap().is_none() {
        assert!(begun.elapsed() < CEILING, "nothing is told");
        sleep(Duration::from_millis(10)).await;
    }
    let refusal = candidate.refusal.lock().unwrap().clone().unwrap();
    assert!(
        refusal.contains("create namespace nowhere, or say in POD_NAMESPACE"),
        "{refusal}"
    );
    assert!(!candidate.hold.is_held());
}
