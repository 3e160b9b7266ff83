//! What a connection comes to, in words of its users.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::api::{ConditionType, names::finalizer};

const ENDPOINT: &str = "https://contoso.communication.azure.com";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn secret() -> SecretState {
    SecretState {
        namespace: "team".into(),
        name: "acs".into(),
        uid: "s-1".into(),
        resource_version: "1".into(),
        finalizers: Vec::new(),
        deleting: false,
        namespace_goes: false,
        is_shared: false,
    }
}

/// A connection with two keys that nobody looked at yet.
fn new() -> ObservedConnection {
    ObservedConnection {
        object: ConnectionObject {
            kind: "CommunicationConnection",
            name: "contoso".into(),
            generation: 1,
            deleting: false,
            finalizers: Vec::new(),
            is_writable: true,
            method: "accessKey",
            suspend: false,
            status: ConnectionStatus::default(),
        },
        credential: Credential::Loaded {
            endpoint: ENDPOINT.into(),
            fingerprints: vec!["one".into(), "two".into()],
            keys: vec!["primaryKey".into(), "secondaryKey".into()],
            outlived: None,
        },
        secret: Some(secret()),
        former_secret: None,
        users: Users::default(),
        health: Health::default(),
        memory: ConnectionMemory::default(),
        probe_interval: Some(SignedDuration::from_mins(5)),
    }
}

/// Lets everything be done that can be done at `now`, with ACS accepting `good` credentials; the steps, and the wake-up.
fn run(o: &mut ObservedConnection, good: &[&str], now: Timestamp) -> (Vec<ConnectionStep>, Option<Timestamp>) {
    let mut steps = Vec::new();
    for _ in 0..20 {
        match decide_connection(o, now) {
            ConnectionDecision::Settled { wake_at } => return (steps, wake_at),
            ConnectionDecision::Do(step) => {
                carry_out(o, &step, good, now);
                steps.push(*step);
            }
        }
    }
    panic!("it does not come to rest: {steps:?}");
}

fn carry_out(o: &mut ObservedConnection, step: &ConnectionStep, good: &[&str], now: Timestamp) {
    let guard = |secret: &mut Option<SecretState>, guarded: bool| {
        if let Some(secret) = secret {
            secret.finalizers = if guarded {
                vec![finalizer::CREDENTIAL_IN_USE.into()]
            } else {
                Vec::new()
            };
        }
    };
    match step {
        ConnectionStep::Guard => o.object.finalizers.push(finalizer::IN_USE.into()),
        ConnectionStep::GuardSecret(_) => guard(&mut o.secret, true),
        ConnectionStep::ReleaseSecret(_) | ConnectionStep::ReleaseDeletedSecret(_) => {
            guard(&mut o.secret, false);
            guard(&mut o.former_secret, false);
        }
        ConnectionStep::Probe { credential } => {
            if good.contains(&credential.as_str()) {
                o.health.accepted(credential, now);
            } else {
                o.health.refused(credential, "ACS answered 401 Denied", true, now);
            }
            o.health.probed(now);
        }
        ConnectionStep::CountUsers => {
            o.memory.still_used = Some((usize::try_from(o.users.all).unwrap(), now));
        }
        ConnectionStep::WriteStatus(status) => {
            o.object.status = (**status).clone();
            o.memory.note_stored_orphans(status.suspected_orphans.unwrap_or(0));
            o.memory.counted = Some(now);
        }
        ConnectionStep::Release => o.object.finalizers.clear(),
    }
}

#[test]
fn a_key_that_stays_refused_is_done_with_after_a_minute_though_nothing_is_proven_again_by_the_clock() {
    let mut o = new();
    o.probe_interval = None;
    run(&mut o, &["one", "two"], at(0));
    o.health.refused("one", "ACS answered 401 Denied", true, at(10));
    let mut next = Some(at(10));
    while let Some(now) = next.filter(|now| *now < at(80)) {
        next = run(&mut o, &["two"], now).1;
    }
    assert_eq!(o.health.good(o.fingerprints()), ["two"]);
}

#[test]
fn when_the_first_key_is_refused_the_second_is_proven_before_anybody_relies_on_it_for_long() {
    let mut o = new();
    run(&mut o, &["one", "two"], at(0));
    o.health.refused("one", "ACS answered 401 Denied", true, at(10));
    let mut next = Some(at(10));
    while let Some(now) = next.filter(|now| *now < at(15)) {
        next = run(&mut o, &[], now).1;
    }
    assert_eq!(o.in_use(), None);
}

fn ready(o: &ObservedConnection) -> (String, String, String) {
    let ready = ConditionType::Ready.find(&o.object.status.conditions).unwrap();
    (ready.status.clone(), ready.reason.clone(), ready.message.clone())
}

fn probes(steps: &[ConnectionStep]) -> usize {
    steps
        .iter()
        .filter(|step| matches!(step, ConnectionStep::Probe { .. }))
        .count()
}

#[test]
fn a_new_connection_is_proven_by_one_probe_and_told_in_one_write() {
    let mut o = new();
    let (steps, wake_at) = run(&mut o, &["one"], at(0));
    assert_eq!((steps.len(), probes(&steps)), (2, 1));
    let (status, reason, message) = ready(&o);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "CredentialAccepted"));
    assert_eq!(message, format!("The credential is accepted at {ENDPOINT}."));
    assert_eq!(wake_at, Some(at(300)), "it is proven again after the interval");
    assert_eq!(o.object.status.credential.as_deref(), Some("one"));
}

#[test]
fn the_second_key_is_used_when_the_first_is_refused_and_the_message_says_which() {
    let mut o = new();
    let (steps, _) = run(&mut o, &["two"], at(0));
    assert_eq!(probes(&steps), 1);
    // The next one is tried after a moment.
    let (steps, wake_at) = run(&mut o, &["two"], at(1));
    assert_eq!(probes(&steps), 1);
    let (status, _, message) = ready(&o);
    assert_eq!(status, "True");
    assert!(message.contains("under the key primaryKey is refused"), "{message}");
    assert_eq!(wake_at, Some(at(60)), "the refused one is asked about once more");
    assert_eq!(o.health.good(o.fingerprints()), ["one", "two"]);
    run(&mut o, &["two"], at(60));
    assert_eq!(o.health.good(o.fingerprints()), ["two"]);
}

#[test]
fn a_refused_credential_is_probed_ever_more_rarely_and_within_half_a_minute_of_its_repair() {
    let mut o = new();
    let (mut now, mut pauses) = (at(0), Vec::new());
    for _ in 0..12 {
        let (steps, wake_at) = run(&mut o, &[], now);
        assert_eq!(probes(&steps), 1);
        let next = wake_at.unwrap();
        pauses.push(next.duration_since(now).as_secs());
        now = next;
    }
    assert_eq!(ready(&o).1, "AccessDenied");
    assert_eq!(pauses[..5], [1, 2, 4, 8, 16]);
    assert!(pauses[5..].iter().all(|pause| *pause == 20), "{pauses:?}");
    let words = ready(&o).2;
    run(&mut o, &["one", "two"], now);
    assert_eq!(ready(&o).1, "CredentialAccepted", "{words}");
}

#[test]
fn while_acs_says_nothing_of_a_proven_credential_the_connection_stays_ready() {
    let mut o = new();
    run(&mut o, &["one"], at(0));
    o.health.suspected(at(10));
    let unknown = Unknown {
        words: "no answer".into(),
        obstacle: Obstacle::Away,
    };
    o.health.unknown(unknown);
    o.health.probed(at(11));
    assert_eq!(
        decide_connection(&o, at(11)),
        ConnectionDecision::Settled { wake_at: Some(at(12)) }
    );
    let (steps, wake_at) = run(&mut o, &["one"], at(12));
    assert_eq!((probes(&steps), wake_at), (1, Some(at(312))));
}

/// What fails may be calls of one kind: each would lead to a probe.
#[test]
fn however_often_calls_fail_a_credential_that_proves_good_is_proven_every_few_seconds_only() {
    let mut o = new();
    run(&mut o, &["one"], at(0));
    let mut count = 0;
    for second in 1..=60 {
        o.health.suspected(at(second));
        count += probes(&run(&mut o, &["one"], at(second)).0);
    }
    assert_eq!(count, 12);
    o.health.await_proof(at(61));
    let (steps, _) = run(&mut o, &["one"], at(61));
    assert_eq!(probes(&steps), 1, "whoever waits for a proof waits no longer");
}

/// As it is where the credential may do some of it only.
#[test]
fn however_often_calls_are_refused_a_credential_that_proves_good_is_proven_once_in_a_second_only() {
    let mut o = new();
    if let Credential::Loaded { fingerprints, .. } = &mut o.credential {
        fingerprints.truncate(1);
    }
    run(&mut o, &["one"], at(0));
    let mut count = 0;
    for tenth in 1..=100 {
        let now = at(0) + SignedDuration::from_millis(100 * tenth);
        // Other calls are served meanwhile.
        o.health.served("one", now);
        o.health.refused("one", "ACS answered 403 Denied", true, now);
        count += probes(&run(&mut o, &["one"], now).0);
    }
    assert_eq!(count, 10);
}

#[test]
fn a_connection_with_users_and_its_secret_are_held_and_without_users_the_secret_is_let_go() {
    let mut o = new();
    o.users.all = 1;
    let (steps, _) = run(&mut o, &["one"], at(0));
    assert_eq!(steps[0], ConnectionStep::Guard);
    assert!(matches!(steps[1], ConnectionStep::GuardSecret(_)));
    o.users.all = 0;
    let (steps, _) = run(&mut o, &["one"], at(1));
    assert!(matches!(steps[..], [ConnectionStep::ReleaseSecret(_)]), "{steps:?}");
}

#[test]
fn a_secret_that_another_connection_needs_stays_held() {
    let mut o = new();
    o.users.all = 1;
    run(&mut o, &["one"], at(0));
    o.secret.as_mut().unwrap().is_shared = true;
    o.former_secret = o.secret.clone();
    o.users.all = 0;
    assert_eq!(run(&mut o, &["one"], at(1)).0, []);
    o.object.deleting = true;
    let (steps, _) = run(&mut o, &["one"], at(2));
    assert!(
        matches!(steps[..], [ConnectionStep::CountUsers, ConnectionStep::Release]),
        "{steps:?}"
    );
}

#[test]
fn a_secret_that_is_deleted_alone_is_let_go_and_one_that_goes_with_its_namespace_is_not() {
    for namespace_goes in [false, true] {
        let mut o = new();
        o.users.all = 1;
        run(&mut o, &["one"], at(0));
        let secret = o.secret.as_mut().unwrap();
        (secret.deleting, secret.namespace_goes) = (true, namespace_goes);
        let (steps, _) = run(&mut o, &["one"], at(1));
        assert_eq!(steps.is_empty(), namespace_goes, "{steps:?}");
    }
}

#[test]
fn a_deleted_connection_goes_after_its_last_user_and_lets_its_secret_go_first() {
    let mut o = new();
    o.users.all = 2;
    run(&mut o, &["one"], at(0));
    o.object.deleting = true;
    let (steps, wake_at) = run(&mut o, &["one"], at(1));
    assert!(
        matches!(steps[..], [ConnectionStep::CountUsers, ConnectionStep::WriteStatus(_)]),
        "{steps:?}"
    );
    assert!(ready(&o).2.contains("2 users"), "{}", ready(&o).2);
    assert_eq!(wake_at, Some(at(6)));
    o.users.all = 0;
    let (steps, _) = run(&mut o, &["one"], at(2));
    assert!(
        matches!(
            steps[..],
            [
                ConnectionStep::CountUsers,
                ConnectionStep::ReleaseSecret(_),
                ConnectionStep::Release
            ]
        ),
        "{steps:?}"
    );
}

#[test]
fn users_that_the_watch_does_not_show_keep_a_deleted_connection_and_are_counted_each_second() {
    let mut o = new();
    o.users.all = 1;
    run(&mut o, &["one"], at(0));
    (o.object.deleting, o.users.all) = (true, 0);
    o.memory.still_used = Some((1, at(1)));
    let (steps, wake_at) = run(&mut o, &["one"], at(1));
    assert!(
        !steps
            .iter()
            .any(|step| *step == ConnectionStep::Release || *step == ConnectionStep::CountUsers),
        "{steps:?}"
    );
    assert_eq!(wake_at, Some(at(2)));
}

#[test]
fn a_credential_of_another_resource_is_not_used_while_users_hold_identities_of_the_first() {
    let mut o = new();
    (o.users.all, o.users.holders) = (3, 2);
    o.memory.resource_id = Some("r-1".into());
    run(&mut o, &["one"], at(0));
    let other = "https://fabrikam.communication.azure.com";
    o.credential = Credential::Loaded {
        endpoint: other.into(),
        fingerprints: vec!["three".into()],
        keys: vec!["accessKey".into()],
        outlived: None,
    };
    let (steps, _) = run(&mut o, &["three"], at(1));
    assert_eq!(probes(&steps), 0);
    let (status, reason, message) = ready(&o);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ResourceMismatch"));
    for told in [ENDPOINT, other, "2 users hold identities"] {
        assert!(message.contains(told), "{message}");
    }
    o.users.holders = 0;
    o.memory.resource_id = None;
    run(&mut o, &["three"], at(2));
    assert_eq!(ready(&o).1, "CredentialAccepted");
    assert_eq!(o.object.status.resource_id, None);
}

#[test]
fn a_clock_that_is_set_back_holds_up_neither_proof_nor_write() {
    let mut o = new();
    run(&mut o, &[], at(1000));
    let (steps, _) = run(&mut o, &["one", "two"], at(400));
    assert!(probes(&steps) > 0, "{steps:?}");
    assert_eq!(ready(&o).1, "CredentialAccepted");

    o.users.all = 1;
    o.memory.trouble = Some(WriteTrouble {
        count: 5,
        at: at(1000),
        pause: SignedDuration::from_secs(16),
    });
    assert_eq!(run(&mut o, &["one", "two"], at(1001)), (Vec::new(), Some(at(1016))));
    let (steps, _) = run(&mut o, &["one", "two"], at(500));
    assert!(steps.contains(&ConnectionStep::Guard), "{steps:?}");
}

#[test]
fn a_restart_is_no_news_until_the_credential_is_known_or_ought_to_be() {
    let mut o = new();
    run(&mut o, &["one"], at(0));
    let told = o.object.status.clone();
    let loaded = std::mem::replace(&mut o.credential, Credential::Pending);
    (o.health, o.memory) = (Health::default(), ConnectionMemory::default());
    o.memory.began = Some(at(100));
    assert_eq!(run(&mut o, &["one"], at(100)), (Vec::new(), Some(at(115))));
    o.credential = loaded;
    let (steps, _) = run(&mut o, &["one"], at(101));
    assert!(matches!(steps[..], [ConnectionStep::Probe { .. }]), "{steps:?}");
    assert_eq!(o.object.status, told);
    (o.credential, o.health) = (Credential::Pending, Health::default());
    run(&mut o, &["one"], at(115));
    assert_eq!(ready(&o).1, "Progressing", "now it is news");
}

#[test]
fn counts_reach_status_at_most_every_thirty_seconds() {
    let mut o = new();
    run(&mut o, &["one"], at(0));
    for second in 1..30 {
        o.users.all += 1;
        let (steps, wake_at) = run(&mut o, &["one"], at(second));
        assert!(
            !steps.iter().any(|step| matches!(step, ConnectionStep::WriteStatus(_))),
            "{steps:?}"
        );
        assert_eq!(wake_at, Some(at(30)));
    }
    run(&mut o, &["one"], at(30));
    assert_eq!(o.object.status.users, Some(29));
}

#[test]
fn suspected_orphans_add_up() {
    let mut o = new();
    o.memory.note_stored_orphans(0);
    for (found, told) in [(1, 1), (2, 3)] {
        o.memory.suspected_orphans = found;
        run(&mut o, &["one"], at(0));
        assert_eq!(o.object.status.suspected_orphans, Some(told), "at once");
        assert_eq!(o.memory.suspected_orphans, 0);
    }
}

#[test]
fn suspected_orphans_are_counted_once_whatever_became_of_the_write() {
    let mut o = new();
    o.memory.note_stored_orphans(4);
    o.memory.suspected_orphans = 2;
    o.memory.note_stored_orphans(4);
    assert_eq!(o.memory.suspected_orphans, 2, "it met another version");
    o.memory.suspected_orphans += 1;
    o.memory.note_stored_orphans(6);
    assert_eq!(
        o.memory.suspected_orphans, 1,
        "two were written, and the answer was lost"
    );
    o.memory.note_stored_orphans(0);
    assert_eq!(o.memory.suspected_orphans, 1, "somebody set the count back");
}

#[test]
fn a_connection_that_is_not_ours_to_write_to_is_proven_and_nothing_is_written_to_it() {
    let mut o = new();
    o.object.is_writable = false;
    o.users.all = 5;
    let (steps, _) = run(&mut o, &["one"], at(0));
    assert!(matches!(steps[..], [ConnectionStep::Probe { .. }]), "{steps:?}");
}

#[test]
fn a_resource_that_was_made_anew_is_told_while_users_hold_identities_of_the_former_one() {
    let mut o = new();
    (o.users.all, o.memory.resource_id) = (2, Some("r-1".into()));
    run(&mut o, &["one"], at(0));
    o.memory.resource_id = Some("r-2".into());
    (o.memory.former_resource, o.users.of_former) = (Some("r-1".into()), 1);
    run(&mut o, &["one"], at(1));
    let (status, reason, message) = ready(&o);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ResourceMismatch"));
    for told in ["r-1", "r-2", "one user", "acs-operator.dev/abandon"] {
        assert!(message.contains(told), "{message}");
    }
    assert_eq!(
        o.object.status.resource_id.as_deref(),
        Some("r-2"),
        "so another process goes by it too"
    );
    o.users.of_former = 0;
    run(&mut o, &["one"], at(2));
    assert_eq!(ready(&o).1, "CredentialAccepted");
}
