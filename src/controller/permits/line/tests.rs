//! Who goes before whom.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::*;

const CREATE: &[Operation] = &[Operation::Create];
const ISSUE: &[Operation] = &[Operation::Issue];
const REVOKE: &[Operation] = &[Operation::Revoke, Operation::Issue];

fn routine(second: i64) -> Urgency {
    Urgency::Routine {
        expires: Timestamp::from_second(second).unwrap(),
    }
}

fn line(waiters: &[(&'static str, &'static [Operation], Urgency)]) -> Line<&'static str> {
    let (mut line, now) = (Line::default(), Instant::now());
    for (key, calls, urgency) in waiters {
        line.join(*key, calls, *urgency, now);
    }
    line
}

/// Everybody in the order in which they are served while there are permits for all.
fn order<K: Clone + Eq + Hash + Owned>(mut line: Line<K>) -> Vec<K> {
    let next = || match line.next(|_| Ok(())) {
        Next::Served(key, ..) => Some(key),
        _ => None,
    };
    std::iter::from_fn(next).collect()
}

/// How many are served before this one.
fn served_before(line: Line<usize>, key: usize) -> usize {
    order(line).iter().take_while(|served| **served != key).count()
}

#[test]
fn an_expired_token_goes_before_what_a_user_waits_for_and_that_before_renewals_by_expiry() {
    let line = line(&[
        ("late", ISSUE, routine(30)),
        ("soon", ISSUE, routine(10)),
        ("new", CREATE, Urgency::Urgent),
        ("robbed", ISSUE, Urgency::Urgent),
        ("expired", ISSUE, Urgency::Expired),
    ]);
    assert_eq!(order(line), ["expired", "new", "robbed", "soon", "late"]);
}

#[test]
fn namespaces_take_turns_where_users_wait_and_renewals_go_by_expiry_alone() {
    let line = line(&[
        ("a/1", CREATE, Urgency::Urgent),
        ("a/2", CREATE, Urgency::Urgent),
        ("a/3", CREATE, Urgency::Urgent),
        ("b/1", CREATE, Urgency::Urgent),
        ("a/soon", ISSUE, routine(10)),
        ("a/next", ISSUE, routine(20)),
        ("b/late", ISSUE, routine(30)),
    ]);
    let ahead = ["a/3", "b/1", "b/late"].map(|key| line.ahead(&key));
    assert_eq!(ahead, [3, 1, 2]);
    assert!(line.is_behind(&"b/1", CREATE, Urgency::Urgent));
    let is_of_users = |key: &&str| !key.contains("soon") && !key.contains("next") && !key.contains("late");
    let (users, renewals): (Vec<_>, Vec<_>) = order(line).into_iter().partition(is_of_users);
    assert_eq!(users, ["a/1", "b/1", "a/2", "a/3"]);
    assert_eq!(renewals, ["a/soon", "a/next", "b/late"]);
}

#[test]
fn who_asks_again_keeps_its_place_and_who_became_more_urgent_moves_up() {
    let mut line = line(&[
        ("a", ISSUE, routine(10)),
        ("b", ISSUE, routine(10)),
        ("c", ISSUE, routine(10)),
    ]);
    let now = Instant::now();
    line.join("a", ISSUE, routine(10), now);
    line.join("c", ISSUE, Urgency::Expired, now);
    assert_eq!(order(line), ["c", "a", "b"]);
}

#[test]
fn who_waits_for_another_kind_of_permit_keeps_nobody_waiting() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let mut line = line(&[("revoked", REVOKE, Urgency::Urgent), ("due", ISSUE, routine(10))]);
    let no_revocations = |calls: &'static [Operation]| if calls == REVOKE { Err(later) } else { Ok(()) };
    assert!(matches!(line.next(no_revocations), Next::Served("due", ..)));
    assert_eq!(line.next(no_revocations), Next::At(later));
}

#[test]
fn a_flood_of_urgent_calls_does_not_stop_renewals() {
    let (mut line, now) = (Line::default(), Instant::now());
    line.join(usize::MAX, ISSUE, routine(10), now);
    for key in 0..1000 {
        line.join(key, ISSUE, Urgency::Urgent, now);
    }
    let before = served_before(line, usize::MAX);
    assert_eq!(before, usize::try_from(FAIR_SHARE).unwrap());
}

#[test]
fn a_revocation_does_not_wait_behind_a_flood_of_tokens_as_urgent_that_came_before() {
    let (mut line, now) = (Line::default(), Instant::now());
    for key in 0..1000 {
        line.join(key, ISSUE, Urgency::Urgent, now);
    }
    line.join(usize::MAX, REVOKE, Urgency::Urgent, now);
    let before = served_before(line, usize::MAX);
    assert_eq!(before, usize::try_from(FAIR_SHARE).unwrap());
}

#[test]
fn who_is_put_back_is_next_however_many_namespaces_wait() {
    let mut line = line(&[("a/1", CREATE, Urgency::Urgent), ("b/1", CREATE, Urgency::Urgent)]);
    let Next::Served(key, waiter, ()) = line.next(|_| Ok(())) else {
        panic!("somebody waits")
    };
    line.put_back(key, waiter);
    assert_eq!(order(line), ["a/1", "b/1"]);
}

#[test]
fn who_asks_by_itself_has_its_turn_for_what_it_waited_for_and_no_other() {
    let waiters = [
        ("a/1", CREATE, Urgency::Urgent),
        ("a/2", CREATE, Urgency::Urgent),
        ("b/1", CREATE, Urgency::Urgent),
    ];
    for (asks_for, expected) in [(CREATE, ["b/1", "a/2"]), (ISSUE, ["a/2", "b/1"])] {
        let mut line = line(&waiters);
        line.serve(&"a/1", asks_for, Urgency::Urgent);
        assert_eq!(order(line), expected);
    }
}

#[test]
fn a_newcomer_waits_behind_those_of_the_same_urgency_that_need_the_same_permits_and_no_others() {
    let line = line(&[("revoked", REVOKE, Urgency::Urgent), ("due", ISSUE, routine(10))]);
    assert!(line.is_behind(&"new", ISSUE, Urgency::Urgent));
    assert!(!line.is_behind(&"new", ISSUE, Urgency::Expired));
    assert!(!line.is_behind(&"new", CREATE, routine(0)));
    assert!(
        !line.is_behind(&"revoked", REVOKE, Urgency::Urgent),
        "it is the first itself"
    );
}

#[test]
fn who_asks_how_many_go_first_hears_of_those_that_need_the_same_permits_and_expire_sooner() {
    let line = line(&[
        ("late", ISSUE, routine(30)),
        ("middle", ISSUE, routine(20)),
        ("soon", ISSUE, routine(10)),
        ("revoked", REVOKE, Urgency::Urgent),
        ("new", CREATE, Urgency::Urgent),
    ]);
    let ahead = ["late", "middle", "soon", "revoked", "new"].map(|key| line.ahead(&key));
    assert_eq!(ahead, [3, 2, 1, 0, 0]);
}

/// A herd of each urgency, and one call of each kind that waits before the end of it.
fn all_urgencies() -> [(Urgency, &'static [Operation]); 5] {
    [
        (Urgency::Expired, ISSUE),
        (Urgency::Urgent, ISSUE),
        (Urgency::Urgent, CREATE),
        (Urgency::Urgent, REVOKE),
        (routine(10), ISSUE),
    ]
}

proptest! {
    /// Whatever else comes, and however often.
    #[test]
    fn the_first_of_any_urgency_is_served_after_its_fair_share_of_others(
        comers in vec(0..all_urgencies().len(), 1..400),
        watched in 0..all_urgencies().len(),
    ) {
        let (mut line, now, rows) = (Line::default(), Instant::now(), all_urgencies());
        // It never empties while the watched one waits.
        for (number, row) in comers.iter().cycle().take(1000).enumerate() {
            let (urgency, calls) = rows[*row];
            line.join(number, calls, urgency, now);
        }
        let (urgency, calls) = rows[watched];
        let first = (0..1000).find(|number| rows[comers[number % comers.len()]] == rows[watched]);
        let first = first.unwrap_or_else(|| {
            line.join(usize::MAX, calls, urgency, now);
            usize::MAX
        });
        let before = served_before(line, first);
        // Those that are overdue as well go first, and of the same urgency those that came first.
        let of_the_same = comers.iter().cycle().take(first.min(1000)).filter(|row| rows[**row].0 == urgency).count();
        let most = (usize::try_from(FAIR_SHARE).unwrap() + rows.len()) * (1 + of_the_same);
        prop_assert!(before <= most, "{before} of {most}");
    }
}

#[test]
fn a_herd_of_expired_tokens_leaves_their_share_to_users_and_to_renewals() {
    let (mut line, now) = (Line::default(), Instant::now());
    for key in 0..1000 {
        line.join(key, ISSUE, Urgency::Expired, now);
        line.join(1000 + key, ISSUE, Urgency::Urgent, now);
        line.join(2000 + key, ISSUE, routine(10), now);
    }
    let mut counts = [0; 3];
    for _ in 0..170 {
        if let Next::Served(key, ..) = line.next(|_| Ok(())) {
            counts[key / 1000] += 1;
        }
    }
    assert_eq!(counts, [150, 10, 10]);
}

#[test]
fn who_leaves_is_not_served() {
    let mut line = line(&[("a", ISSUE, Urgency::Urgent), ("b", ISSUE, Urgency::Urgent)]);
    assert_eq!(line.leave(&"a").map(|waiter| waiter.calls), Some(ISSUE));
    assert_eq!(line.leave(&"a"), None);
    assert_eq!(order(line), ["b"]);
}
