use acs_emulator::{Config, Emulator, Fault};
use acs_identity::{Client, ConnectionString, CreateIdentity, InsecureEndpoints, RetryPolicy};
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::controller::room::Rooms;
use crate::decide::Bottleneck;

const CREATE: &[Operation] = &[Operation::Create];
const ISSUE: &[Operation] = &[Operation::Issue];
const REVOKE: &[Operation] = &[Operation::Revoke, Operation::Issue];

fn permits(room: usize) -> (Arc<Permits>, UnboundedReceiver<ObjectKey>) {
    permits_of(&RateLimits::default(), room)
}

fn permits_of(limits: &RateLimits, room: usize) -> (Arc<Permits>, UnboundedReceiver<ObjectKey>) {
    permits_in(limits, |_| Room::of(room))
}

fn permits_in(
    limits: &RateLimits,
    room_for: impl Fn(Operation) -> Room,
) -> (Arc<Permits>, UnboundedReceiver<ObjectKey>) {
    let (called, calls) = unbounded_channel();
    let attendant = Attendant {
        call: Arc::new(move |key, _| drop(called.send(key.clone()))),
        metrics: LimiterMetrics::default(),
    };
    let limiter = Limiter::new(limits, BudgetShare::ALL, now());
    let permits = Permits::new(limiter, room_for, attendant);
    (Arc::new(permits), calls)
}

/// So long after it was granted a permit is good, and so long after not any more.
const SHORT: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(4);

fn are_held_for(permits: &Permits, key: &ObjectKey) -> bool {
    permits
        .lock()
        .held
        .get(key)
        .is_some_and(|held| matches!(held.kept, Kept::Pass(_)))
}

fn has_room(permits: &Permits, operation: Operation) -> bool {
    permits.lock().grants.space.try_take(operation).is_some()
}

fn key(number: usize) -> ObjectKey {
    ObjectKey::namespaced("n", &format!("user-{number}"))
}

fn routine(second: usize) -> Urgency {
    Urgency::Routine {
        expires: Timestamp::from_second(i64::try_from(second).unwrap()).unwrap(),
    }
}

fn take(permits: &Arc<Permits>, key: &ObjectKey, calls: &'static [Operation], urgency: Urgency) -> Result<Pass, Turn> {
    permits.take(Ask { key, calls, urgency }, None, now())
}

/// With this in hand.
fn take_with(
    permits: &Arc<Permits>,
    key: &ObjectKey,
    calls: &'static [Operation],
    in_hand: Pass,
) -> Result<Pass, Turn> {
    let urgency = Urgency::Urgent;
    permits.take(Ask { key, calls, urgency }, Some(in_hand), now())
}

#[tokio::test(start_paused = true)]
async fn a_herd_is_called_one_by_one_at_the_pace_of_the_budget_those_first_whose_tokens_expire_first() {
    let (permits, mut calls) = permits(8);
    for number in (0..500).rev() {
        take(&permits, &key(number), ISSUE, routine(number)).err().unwrap();
    }
    let begun = now();
    for number in 0..500 {
        let called = calls.recv().await.unwrap();
        assert_eq!(called, key(number));
        drop(take(&permits, &called, ISSUE, routine(number)).ok().unwrap());
    }
    let pace = 500.0 / permits.per_second(Operation::Issue);
    let took = (now() - begun).as_secs_f64();
    assert!((pace * 0.9..pace * 1.3).contains(&took), "{took} s for {pace} s");
}

#[tokio::test(start_paused = true)]
async fn whatever_a_user_waits_for_is_served_at_once_in_the_middle_of_a_herd_of_renewals() {
    let (permits, mut calls) = permits(8);
    for number in 0..5000 {
        take(&permits, &key(number), ISSUE, routine(number)).err().unwrap();
    }
    for (number, ask) in [CREATE, REVOKE, ISSUE].into_iter().enumerate() {
        let newcomer = key(9000 + number);
        let begun = now();
        let told = take(&permits, &newcomer, ask, Urgency::Urgent).err().unwrap();
        assert!(told.at - begun < Duration::from_secs(5), "{:?}", told.at - begun);
        loop {
            let called = calls.recv().await.unwrap();
            let urgency = if called == newcomer {
                Urgency::Urgent
            } else {
                routine(0)
            };
            let calls = if called == newcomer { ask } else { ISSUE };
            drop(take(&permits, &called, calls, urgency).ok().unwrap());
            if called == newcomer {
                break;
            }
        }
        assert!(now() - begun < Duration::from_secs(5), "{:?}", now() - begun);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_are_bounded_and_who_waits_for_room_is_called_when_there_is_some() {
    let (permits, mut calls) = permits(1);
    take(&permits, &key(0), CREATE, Urgency::Urgent).err().unwrap();
    assert_eq!(calls.recv().await, Some(key(0)));
    let under_way = take(&permits, &key(0), CREATE, Urgency::Urgent).ok().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    take(&permits, &key(1), CREATE, Urgency::Urgent).err().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(calls.try_recv().is_err(), "there is no room");
    drop(under_way);
    assert_eq!(calls.recv().await, Some(key(1)));
}

/// As where ACS leaves all of one operation unanswered.
#[tokio::test(start_paused = true)]
async fn calls_of_one_operation_that_hang_keep_no_others_waiting_and_those_that_wait_for_them_are_told() {
    let (permits, mut calls) = permits(2);
    let delete: &[Operation] = &[Operation::Delete];
    for hanging in [ISSUE, delete, REVOKE] {
        for number in 0..2 {
            tokio::time::sleep(LATE).await;
            std::mem::forget(take(&permits, &key(number), hanging, Urgency::Urgent).ok().unwrap());
        }
        take(&permits, &key(2), hanging, Urgency::Urgent).err().unwrap();
        tokio::time::sleep(LATE * 2).await;
        assert!(calls.try_recv().is_err(), "there is no room");
        let told = take(&permits, &key(3), hanging, Urgency::Urgent).err().unwrap();
        assert_eq!(told.behind, Bottleneck::UnansweredCalls);
        assert!(told.at - now() > Duration::from_secs(10), "{:?}", told.at - now());
    }
    let begun = now();
    drop(take(&permits, &key(9), CREATE, Urgency::Urgent).ok().unwrap());
    assert_eq!(now(), begun);
}

#[tokio::test(start_paused = true)]
async fn permits_that_nobody_fetches_are_given_up_and_the_next_is_called() {
    let (permits, mut calls) = permits(1);
    for number in 0..2 {
        take(&permits, &key(number), CREATE, Urgency::Urgent).err().unwrap();
    }
    assert_eq!(calls.recv().await, Some(key(0)));
    assert!(are_held_for(&permits, &key(0)));
    let begun = now();
    assert_eq!(calls.recv().await, Some(key(1)));
    assert!((SHORT..LATE).contains(&(now() - begun)));
    assert!(!are_held_for(&permits, &key(0)));
}

/// Connections of one namespace, which share four places. Each has two of its own.
#[tokio::test(start_paused = true)]
async fn who_waits_longest_for_the_share_of_a_namespace_has_it_first_whatever_expires_meanwhile() {
    let rooms = Rooms::new(8);
    let connection = |name: &str| {
        let key = ObjectKey::namespaced("n", name);
        permits_in(&RateLimits::default(), |operation| rooms.for_users(&key, operation))
    };
    let [(crowded, mut calls), (busy, _), (also_busy, _), (late, mut late_calls)] =
        ["a", "b", "c", "d"].map(connection);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let issue = |permits, number| take(permits, &key(number), ISSUE, Urgency::Urgent);
    let under_way: Vec<_> = [(&busy, 10), (&busy, 11), (&also_busy, 12)]
        .map(|(permits, number)| issue(permits, number).ok().unwrap())
        .into();
    // It is called, does not come, and the place that is kept for it is free after a while.
    crowded.lock().line.join(key(0), ISSUE, Urgency::Urgent, now());
    issue(&crowded, 1).err().unwrap();
    assert_eq!(calls.recv().await, Some(key(0)));
    issue(&late, 2).err().unwrap();
    tokio::time::sleep(LATE).await;
    assert_eq!(
        (calls.try_recv().ok(), late_calls.try_recv().ok()),
        (Some(key(1)), None)
    );
    drop(under_way);
    assert_eq!(late_calls.recv().await, Some(key(2)));
}

/// One create in thirty seconds.
fn few() -> RateLimits {
    RateLimits {
        create: std::num::NonZeroU32::MIN,
        ..RateLimits::default()
    }
}

/// Two have asked for a create, and the permits for the first are there.
async fn first_of_two_is_called(room: usize) -> (Arc<Permits>, UnboundedReceiver<ObjectKey>) {
    let (permits, mut calls) = permits_of(&few(), room);
    for number in 0..2 {
        take(&permits, &key(number), CREATE, Urgency::Urgent).err().unwrap();
    }
    assert_eq!(calls.recv().await, Some(key(0)));
    (permits, calls)
}

#[tokio::test(start_paused = true)]
async fn who_fetches_its_permits_late_waits_for_fresh_ones_before_those_who_came_later() {
    let (permits, mut calls) = first_of_two_is_called(8).await;
    tokio::time::sleep(LATE).await;
    let late = take(&permits, &key(0), CREATE, Urgency::Urgent);
    assert!(late.is_err(), "its request would come when the service expects none");
    assert_eq!(calls.recv().await, Some(key(0)));
    assert!(take(&permits, &key(0), CREATE, Urgency::Urgent).is_ok());
    assert_eq!(calls.recv().await, Some(key(1)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_begins_too_late_waits_for_another_permit_before_those_who_came_later() {
    let (permits, mut calls) = first_of_two_is_called(8).await;
    let in_hand = take(&permits, &key(0), CREATE, Urgency::Urgent).ok().unwrap();
    tokio::time::sleep(SHORT).await;
    let in_hand = take_with(&permits, &key(0), CREATE, in_hand).ok().unwrap();
    // The API server was slow to take down what is about to be done.
    tokio::time::sleep(LATE).await;
    assert!(take_with(&permits, &key(0), CREATE, in_hand).is_err());
    assert_eq!(calls.recv().await, Some(key(0)));
    assert!(take(&permits, &key(0), CREATE, Urgency::Urgent).is_ok());
    assert_eq!(calls.recv().await, Some(key(1)));
}

/// As an announcement does, where the API server is slow: what is announced and not sent is counted as an orphan after a restart.
#[tokio::test(start_paused = true)]
async fn whoever_writes_for_longer_than_its_permits_are_good_keeps_its_place_in_the_line_and_no_room() {
    let (permits, mut calls) = first_of_two_is_called(1).await;
    let in_hand = take(&permits, &key(0), CREATE, Urgency::Urgent).ok().unwrap();
    let (in_hand, ()) = in_hand.held_during(tokio::time::sleep(SHORT)).await;
    assert!(!has_room(&permits, Operation::Create), "it may still be sent");
    let room_is_free = async {
        tokio::time::sleep(LATE).await;
        has_room(&permits, Operation::Create)
    };
    let (in_hand, room_is_free) = in_hand.held_during(room_is_free).await;
    assert!(room_is_free);
    assert!(take_with(&permits, &key(0), CREATE, in_hand).is_err());
    assert_eq!(calls.recv().await, Some(key(0)));
    assert!(take(&permits, &key(0), CREATE, Urgency::Urgent).is_ok());
    assert_eq!(calls.recv().await, Some(key(1)));
}

#[tokio::test(start_paused = true)]
async fn permits_for_a_revocation_serve_the_issue_that_follows_it_unless_it_took_long() {
    let limits = RateLimits {
        issue: std::num::NonZeroU32::MIN,
        ..RateLimits::default()
    };
    for (took, serves) in [(SHORT, true), (LATE, false)] {
        let (permits, mut calls) = permits_of(&limits, 1);
        take(&permits, &key(0), REVOKE, Urgency::Urgent).err().unwrap();
        calls.recv().await.unwrap();
        let in_hand = take(&permits, &key(0), REVOKE, Urgency::Urgent).ok().unwrap();
        tokio::time::sleep(took).await;
        let rest = in_hand.rest().unwrap();
        assert!(has_room(&permits, Operation::Revoke), "the revocation is over");
        assert_eq!(take_with(&permits, &key(0), ISSUE, rest).is_ok(), serves, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_needs_nothing_any_more_is_not_called_and_keeps_nothing_from_others() {
    let (permits, mut calls) = permits(1);
    for number in 0..3 {
        take(&permits, &key(number), CREATE, Urgency::Urgent).err().unwrap();
    }
    assert_eq!(calls.recv().await, Some(key(0)));
    let begun = now();
    permits.leave(&key(1));
    permits.leave(&key(0));
    assert_eq!(calls.recv().await, Some(key(2)));
    assert!(now() - begun < HELD);
}

#[tokio::test(start_paused = true)]
async fn permits_for_other_calls_than_those_that_were_waited_for_are_given_up() {
    let (permits, mut calls) = permits(1);
    take(&permits, &key(0), ISSUE, routine(0)).err().unwrap();
    calls.recv().await.unwrap();
    // Its deletion was asked for meanwhile.
    let delete: &[Operation] = &[Operation::Delete];
    drop(take(&permits, &key(0), delete, Urgency::Urgent));
    assert!(!are_held_for(&permits, &key(0)));
    take(&permits, &key(1), ISSUE, Urgency::Urgent).err().unwrap();
    assert!(
        [calls.recv().await, calls.recv().await].contains(&Some(key(1))),
        "there is room"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_429_nobody_is_called_before_the_service_allows_it() {
    let (permits, mut calls) = permits(8);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pass = take(&permits, &key(0), ISSUE, Urgency::Urgent).ok().unwrap();
    permits
        .lock()
        .grants
        .limiter
        .throttled(&pass.permit, Some(Duration::from_secs(20)), now());
    let begun = now();
    let told = take(&permits, &key(1), ISSUE, Urgency::Expired).err().unwrap();
    assert!(told.at - begun >= Duration::from_secs(20));
    calls.recv().await.unwrap();
    assert!((20..22).contains(&(now() - begun).as_secs()), "{:?}", now() - begun);
}

/// A resource with this fault, and the way to it.
fn resource_with(fault: Option<Fault>) -> (Emulator, Client) {
    let emulator = Emulator::start(Config::default()).unwrap();
    let connects = ConnectionString::parse(&emulator.control().connection_string(), InsecureEndpoints::Allow).unwrap();
    let client = Client::builder(connects.endpoint, connects.access_key.into()).retry(RetryPolicy::none());
    fault.map(|fault| emulator.control().inject(fault));
    (emulator, client.build().unwrap())
}

/// What a proof comes to at such a resource.
async fn answer_with(fault: Option<Fault>) -> Result<(), Error> {
    let (_emulator, client) = resource_with(fault);
    client.probe().await
}

/// What a create comes to at such a resource.
async fn create_with(fault: Option<Fault>) -> Result<(), Error> {
    let (_emulator, client) = resource_with(fault);
    client.create_identity(&CreateIdentity::new()).await.map(drop)
}

/// Of a herd of new users each would count a suspected orphan of its own at every try.
#[tokio::test]
async fn while_creates_end_in_doubt_one_at_a_time_is_tried_for_all_and_an_answer_lets_them_go_on() {
    let [lost, refused, served] = [
        create_with(Some(Fault::cut_after_processing())).await,
        create_with(Some(Fault::status(400))).await,
        create_with(None).await,
    ];
    for answer in [refused, served] {
        tokio::time::pause();
        let (permits, mut calls) = permits(8);
        for number in 0..100 {
            take(&permits, &key(number), CREATE, Urgency::Urgent).err().unwrap();
        }
        let mut waits = Vec::new();
        for number in 0..6 {
            let since = now();
            assert_eq!(calls.recv().await, Some(key(number)));
            waits.push((now() - since).as_secs());
            let sent = now();
            drop(take(&permits, &key(number), CREATE, Urgency::Urgent).ok().unwrap());
            permits.created(sent, &lost, now());
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16]);
        let told = take(&permits, &key(200), CREATE, Urgency::Urgent).err().unwrap();
        assert_eq!(told.behind, Bottleneck::DoubtfulCreates);
        // Nothing else waits for it.
        drop(take(&permits, &key(201), ISSUE, Urgency::Urgent).ok().unwrap());
        assert_eq!(calls.recv().await, Some(key(6)));
        let pass = take(&permits, &key(6), CREATE, Urgency::Urgent).ok().unwrap();
        permits.created(now(), &answer, now());
        drop(pass);
        let since = now();
        for number in 7..100 {
            assert_eq!(calls.recv().await, Some(key(number)));
            drop(take(&permits, &key(number), CREATE, Urgency::Urgent).ok().unwrap());
        }
        let pace = 93.0 / permits.per_second(Operation::Create);
        assert!((now() - since).as_secs_f64() < pace * 1.3, "{:?}", now() - since);
        tokio::time::resume();
    }
}

#[tokio::test]
async fn only_an_answer_tells_that_the_service_does_not_throttle_any_more() {
    let cases = [
        (None, true),
        (Some(Fault::status(404)), true),
        (Some(Fault::cut_before_processing()), false),
        (Some(Fault::cut_after_processing()), false),
    ];
    for (fault, tells) in cases {
        let answer = answer_with(fault).await;
        let (permits, _) = permits(8);
        let mut at = now() + Duration::from_secs(1);
        let mut throttled = |answered: Option<&Result<(), Error>>| {
            let acquire = |at| permits.lock().grants.limiter.try_acquire(ISSUE, at).unwrap();
            if let Some(answer) = answered {
                permits.answered(&acquire(at), answer, at);
            }
            at += Duration::from_secs(1);
            let permit = acquire(at);
            permits.lock().grants.limiter.throttled(&permit, None, at);
            let opens = permits.lock().grants.limiter.throttled_until(at).unwrap();
            let wait = opens - at;
            at = opens + Duration::from_secs(1);
            wait.as_secs()
        };
        assert_eq!([throttled(None), throttled(None)], [2, 4]);
        let begins_anew = throttled(Some(&answer)) == 2;
        assert_eq!(begins_anew, tells, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_go_on_under_other_limits_as_soon_as_those_allow() {
    let (permits, mut calls) = permits_of(&few(), 8);
    let told = take(&permits, &key(0), CREATE, Urgency::Urgent).err().unwrap();
    assert!(told.at - now() > Duration::from_secs(20), "{:?}", told.at - now());
    permits.adjust(&RateLimits::default(), BudgetShare::ALL, now());
    let begun = now();
    assert_eq!(calls.recv().await, Some(key(0)));
    assert!(now() - begun < Duration::from_secs(1), "{:?}", now() - begun);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_running_when_nobody_waits() {
    let (permits, mut calls) = permits(8);
    take(&permits, &key(0), ISSUE, Urgency::Urgent).err().unwrap();
    calls.recv().await.unwrap();
    drop(take(&permits, &key(0), ISSUE, Urgency::Urgent));
    tokio::time::sleep(HELD * 2).await;
    assert_eq!(Arc::strong_count(&permits), 1);
}
