//! The limiter's promises, for any sequence of requests, pauses and restarts.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use acs_identity::Operation;
use acs_identity::limiter::{BudgetShare, Limiter, RateLimits, WINDOW};
use proptest::prelude::*;
use proptest::sample::select;

fn limits(count: u32) -> RateLimits {
    let count = NonZeroU32::new(count).unwrap();
    RateLimits {
        create: count,
        issue: count,
        revoke: count,
        delete: count,
    }
}

/// What can happen to a process that calls ACS.
#[derive(Clone, Debug)]
enum Event {
    /// Nothing for a while.
    Pause(Duration),
    /// As many issues as are permitted, up to this number, with this much time between two tries.
    Flood(u32, Duration),
    /// One revocation with the issue that follows it.
    Pair,
    /// The process ends; another starts at once and knows nothing.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let millis = |range: std::ops::Range<u64>| range.prop_map(Duration::from_millis);
    prop_oneof![
        3 => millis(0..2000).prop_map(Event::Pause),
        1 => millis(0..40_000).prop_map(Event::Pause),
        4 => (1..400_u32, millis(0..50)).prop_map(|(most, gap)| Event::Flood(most, gap)),
        2 => Just(Event::Pair),
        2 => Just(Event::Restart),
    ]
}

/// Plays the events; returns when issues were permitted.
fn play(budget: u32, events: &[Event]) -> Vec<Instant> {
    let mut now = Instant::now();
    let mut limiter = Limiter::new(&limits(budget), BudgetShare::ALL, now);
    let mut grants = Vec::new();
    for event in events {
        match *event {
            Event::Pause(pause) => now += pause,
            Event::Restart => limiter = Limiter::new(&limits(budget), BudgetShare::ALL, now),
            Event::Pair => {
                if limiter.try_acquire(&[Operation::Revoke, Operation::Issue], now).is_ok() {
                    grants.push(now);
                }
            }
            Event::Flood(most, gap) => {
                for _ in 0..most {
                    if limiter.try_acquire(&[Operation::Issue], now).is_ok() {
                        grants.push(now);
                    }
                    now += gap;
                }
            }
        }
    }
    grants
}

/// The largest number of instants in any window. One that begins with an instant is as full as any.
fn fullest(mut instants: Vec<Instant>) -> usize {
    instants.sort();
    let in_window = |(index, from): (usize, &Instant)| instants.partition_point(|at| *at < *from + WINDOW) - index;
    instants.iter().enumerate().map(in_window).max().unwrap_or(0)
}

/// What a caller may ask for at once.
const CALLS: [&[Operation]; 3] = [
    &[Operation::Issue],
    &[Operation::Revoke],
    &[Operation::Revoke, Operation::Issue],
];

proptest! {
    #[test]
    fn no_window_holds_more_than_the_budget_however_often_the_process_restarts(
        budget in prop_oneof![1..10_u32, 1..700_u32],
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let most = fullest(play(budget, &events));
        prop_assert!(most <= budget as usize, "{most} of {budget}");
    }

    #[test]
    fn requests_that_take_up_to_three_seconds_to_arrive_stay_inside_the_budget_too(
        budget in prop_oneof![1..10_u32, 1..700_u32],
        events in proptest::collection::vec(event(), 1..40),
        slow in 0..1000_usize,
    ) {
        // Worst when the slow ones meet the fast ones behind them.
        let travel = |index| if index < slow { Duration::from_millis(2999) } else { Duration::ZERO };
        let arrivals = play(budget, &events).into_iter().enumerate().map(|(index, at)| at + travel(index)).collect();
        let most = fullest(arrivals);
        prop_assert!(most <= budget as usize, "{most} of {budget}");
    }

    /// Not for a moment longer than the limiter allows for, even where the request is half a second under way.
    #[test]
    fn a_permit_that_is_fresh_covers_a_request_that_begins_now(millis in 0..10_000_u64) {
        let start = Instant::now();
        let mut limiter = Limiter::new(&limits(u32::MAX), BudgetShare::ALL, start);
        let granted = start + Duration::from_secs(1);
        let permit = limiter.try_acquire(&[Operation::Create], granted).unwrap();
        let age = Duration::from_millis(millis);
        prop_assert_eq!(permit.is_fresh(granted + age), age <= Duration::from_millis(2500));
    }

    #[test]
    fn who_waits_until_the_instant_given_is_served(
        issue in 1..700_u32,
        revoke in 1..700_u32,
        calls in proptest::collection::vec((0..5000_u64, select(CALLS.to_vec())), 1..80),
    ) {
        let mut now = Instant::now();
        let limits = RateLimits { revoke: NonZeroU32::new(revoke).unwrap(), ..limits(issue) };
        let mut limiter = Limiter::new(&limits, BudgetShare::ALL, now);
        for (pause, call) in calls {
            if let Err(earliest) = limiter.try_acquire(call, now) {
                prop_assert!(earliest > now);
                let too_soon = now + (earliest - now) * 9 / 10;
                prop_assert!(limiter.try_acquire(call, too_soon).is_err());
                now = earliest;
                prop_assert!(limiter.try_acquire(call, now).is_ok());
            }
            now += Duration::from_millis(pause);
        }
    }
}

/// Issues that a process gets which takes whatever it can for `time`.
fn greedy(limiter: &mut Limiter, start: Instant, time: Duration) -> usize {
    let mut now = start;
    let mut count = 0;
    while now < start + time {
        match limiter.try_acquire(&[Operation::Issue], now) {
            Ok(_) => count += 1,
            Err(earliest) => now = earliest,
        }
    }
    count
}

#[test]
fn seven_eighths_of_the_budget_can_be_used_for_long() {
    let start = Instant::now();
    for budget in [1, 2, 5, 20, 250, 500, 1000] {
        let mut limiter = Limiter::new(&limits(budget), BudgetShare::ALL, start);
        let got = greedy(&mut limiter, start, 20 * WINDOW);
        let all = 20 * budget as usize;
        assert!(got * 8 >= all * 7, "{got} of {all}");
    }
}

#[test]
fn a_newcomer_is_served_at_once() {
    let start = Instant::now();
    let half = BudgetShare::percent(50).unwrap();
    let mut limiter = Limiter::new(&RateLimits::default(), half, start);
    for (operation, millis) in [
        (Operation::Create, 68),
        (Operation::Issue, 68),
        (Operation::Revoke, 135),
        (Operation::Delete, 135),
    ] {
        let earliest = limiter.try_acquire(&[operation], start).unwrap_err();
        assert!(
            earliest - start <= Duration::from_millis(millis),
            "{operation}: {:?}",
            earliest - start
        );
    }
}

#[test]
fn after_a_quiet_time_a_fiftieth_of_the_budget_is_there_at_once() {
    let start = Instant::now();
    let mut limiter = Limiter::new(&limits(500), BudgetShare::ALL, start);
    let now = start + WINDOW;
    let got = (0..100)
        .filter(|_| limiter.try_acquire(&[Operation::Issue], now).is_ok())
        .count();
    assert_eq!(got, 10);
}

#[test]
fn several_permits_are_taken_together_or_not_at_all() {
    let start = Instant::now();
    let mut limiter = Limiter::new(&limits(2), BudgetShare::ALL, start);
    let now = start + WINDOW;
    let _ = limiter.try_acquire(&[Operation::Revoke], now).unwrap();
    let earliest = limiter
        .try_acquire(&[Operation::Revoke, Operation::Issue], now)
        .unwrap_err();
    // The issue was not taken in vain.
    let _ = limiter.try_acquire(&[Operation::Issue], now).unwrap();
    let _ = limiter
        .try_acquire(&[Operation::Revoke, Operation::Issue], earliest)
        .unwrap();
}

#[test]
fn operations_have_budgets_of_their_own() {
    let start = Instant::now();
    let limiter = Limiter::new(&RateLimits::default(), BudgetShare::percent(50).unwrap(), start);
    let budgets = Operation::ALL.map(|operation| limiter.budget(operation));
    // A probe is a revocation to the service.
    assert_eq!(budgets, [Some(500), Some(500), Some(250), Some(250), None, Some(250)]);
}

#[test]
fn operations_that_the_service_counts_as_one_are_permitted_once() {
    let start = Instant::now();
    let at_once = |operations: &[Operation]| {
        let mut limiter = Limiter::new(&limits(1000), BudgetShare::ALL, start);
        let permits = std::iter::from_fn(|| limiter.try_acquire(operations, start + WINDOW).ok());
        permits.count()
    };
    assert_eq!(
        at_once(&[Operation::Revoke, Operation::Probe]),
        at_once(&[Operation::Revoke])
    );
}

#[test]
fn a_throttled_request_holds_back_every_operation() {
    let start = Instant::now();
    let mut limiter = Limiter::new(&limits(1000), BudgetShare::ALL, start);
    let now = start + WINDOW;
    let permit = limiter.try_acquire(&[Operation::Issue], now).unwrap();
    limiter.throttled(&permit, Some(Duration::from_secs(9)), now);
    let opens = now + Duration::from_secs(9);
    for operation in Operation::ALL {
        assert_eq!(limiter.try_acquire(&[operation], now).unwrap_err(), opens);
    }
    assert_eq!(limiter.throttled_until(now), Some(opens));
    assert_eq!(limiter.throttled_until(opens), None);
    let permit = limiter
        .try_acquire(&[Operation::Get, Operation::Create], opens)
        .unwrap();
    limiter.served(&permit);
}

#[test]
fn a_flood_that_slows_down_and_recovers_stays_inside_the_budget() {
    for budget in [2, 10, 100, 1000] {
        let start = Instant::now();
        let mut limiter = Limiter::new(&limits(budget), BudgetShare::ALL, start);
        let mut now = start;
        let mut arrivals = Vec::new();
        while now < start + 4 * WINDOW {
            match limiter.try_acquire(&[Operation::Create], now) {
                Ok(_) if now < start + WINDOW => arrivals.push(now + Duration::from_millis(2999)),
                Ok(_) => arrivals.push(now),
                Err(earliest) => now = earliest,
            }
        }
        assert!(fullest(arrivals) <= budget as usize);
    }
}

#[test]
fn who_comes_at_the_pace_never_waits() {
    let start = Instant::now();
    let mut limiter = Limiter::new(&RateLimits::default(), BudgetShare::ALL, start);
    let pace = limiter.pace(Operation::Delete).unwrap();
    for turn in 1..1000 {
        let _ = limiter.try_acquire(&[Operation::Delete], start + pace * turn).unwrap();
    }
    assert_eq!(limiter.pace(Operation::Get), None);
}

#[test]
fn a_429_holds_everything_back_under_other_limits_too() {
    let start = Instant::now();
    let mut limiter = Limiter::new(&limits(1000), BudgetShare::ALL, start);
    let now = start + Duration::from_secs(1);
    let permit = limiter.try_acquire(&[Operation::Issue], now).unwrap();
    limiter.throttled(&permit, Some(Duration::from_mins(1)), now);
    limiter.adjust(&limits(5000), BudgetShare::ALL, now);
    for operation in Operation::ALL {
        let earliest = limiter.try_acquire(&[operation], now).unwrap_err();
        assert_eq!(earliest, now + Duration::from_mins(1), "{operation:?}");
    }
    assert_eq!(limiter.budget(Operation::Issue), Some(5000));
}

#[test]
fn an_operation_whose_limit_stays_keeps_its_permits_when_others_change() {
    let start = Instant::now();
    let mut limiter = Limiter::new(&limits(1000), BudgetShare::ALL, start);
    let now = start + WINDOW;
    let raised = NonZeroU32::new(5000).unwrap();
    let other = RateLimits {
        create: raised,
        ..limits(1000)
    };
    limiter.adjust(&other, BudgetShare::ALL, now);
    assert!(limiter.try_acquire(&[Operation::Issue], now).is_ok());
    assert!(
        limiter.try_acquire(&[Operation::Create], now).is_err(),
        "what was granted under the former limit is not known to leave room under the new one"
    );
}
