//! The pure schedule by tables and against a naive model; the waiting under paused time.

mod model;
mod waiting;

use std::time::Duration;

use tokio::time::Instant;

use super::{Depth, FAIR_SHARE, LONGEST_WAIT, Lane, Next, Schedule};

/// A schedule with a clock that tests move by hand; times are seconds from its start.
struct Table {
    schedule: Schedule<&'static str>,
    start: Instant,
    now: Instant,
}

impl Table {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            schedule: Schedule::new(),
            start,
            now: start,
        }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn add(&mut self, key: &'static str, lane: Lane, due: u64) {
        self.schedule.add(key, lane, self.at(due), self.now);
    }

    fn done(&mut self, key: &'static str, next: Option<(Lane, u64)>) {
        let next = next.map(|(lane, due)| (lane, self.at(due)));
        self.schedule.done(&key, next, self.now);
    }

    fn take(&mut self, seconds: u64) -> Next<&'static str> {
        self.now = self.at(seconds);
        self.schedule.take(self.now)
    }

    /// Takes and ends what is due, in order.
    fn drain(&mut self, seconds: u64) -> Vec<&'static str> {
        let mut order = Vec::new();
        while let Next::Ready(key) = self.take(seconds) {
            order.push(key);
            self.done(key, None);
        }
        order
    }
}

#[test]
fn the_more_urgent_lane_goes_first_then_the_earlier_time_then_the_first_come() {
    let mut table = Table::new();
    table.add("routine, early", Lane::Routine, 1);
    table.add("urgent, late", Lane::Urgent, 5);
    table.add("urgent, early", Lane::Urgent, 2);
    table.add("urgent, late, second", Lane::Urgent, 5);
    table.add("called", Lane::Called, 6);
    table.add("not due", Lane::Urgent, 11);
    assert_eq!(
        table.drain(10),
        [
            "urgent, early",
            "urgent, late",
            "urgent, late, second",
            "called",
            "routine, early"
        ]
    );
    assert_eq!(table.take(10), Next::At(table.at(11)));
}

#[test]
fn nothing_is_handed_out_before_it_is_due() {
    let mut table = Table::new();
    assert_eq!(table.take(0), Next::Idle);
    table.add("a", Lane::Routine, 7);
    assert_eq!(table.take(6), Next::At(table.at(7)));
    assert_eq!(table.take(7), Next::Ready("a"));
    assert_eq!(table.take(7), Next::Idle);
}

#[test]
fn while_a_key_is_pending_the_earlier_time_and_the_more_urgent_lane_win() {
    for (first, second, expected) in [
        ((Lane::Routine, 9), (Lane::Urgent, 3), (Lane::Urgent, 3)),
        ((Lane::Urgent, 3), (Lane::Routine, 9), (Lane::Urgent, 3)),
        ((Lane::Routine, 3), (Lane::Urgent, 9), (Lane::Urgent, 3)),
        ((Lane::Urgent, 9), (Lane::Routine, 3), (Lane::Urgent, 3)),
        ((Lane::Routine, 9), (Lane::Routine, 3), (Lane::Routine, 3)),
    ] {
        let mut table = Table::new();
        table.add("a", first.0, first.1);
        table.add("a", second.0, second.1);
        assert_eq!(
            table.schedule.depth(expected.0, table.now),
            Depth { due: 0, later: 1 },
            "{first:?} {second:?}"
        );
        assert_eq!(table.take(0), Next::At(table.at(expected.1)), "{first:?} {second:?}");
    }
}

#[test]
fn a_key_that_is_added_again_keeps_its_place_in_the_line() {
    let mut table = Table::new();
    table.add("a", Lane::Urgent, 0);
    table.add("b", Lane::Urgent, 0);
    table.add("a", Lane::Urgent, 0);
    assert_eq!(table.drain(0), ["a", "b"]);
}

#[test]
fn a_key_runs_once_at_a_time_and_again_when_it_was_added_meanwhile() {
    let mut table = Table::new();
    table.add("a", Lane::Urgent, 0);
    assert_eq!(table.take(0), Next::Ready("a"));
    table.add("a", Lane::Urgent, 0);
    table.add("a", Lane::Routine, 0);
    assert_eq!(table.take(0), Next::Idle);
    assert_eq!(table.schedule.running(), 1);
    table.done("a", None);
    assert_eq!(table.drain(0), ["a"], "once, however often it was added");
}

#[test]
fn an_event_during_a_run_wins_over_a_later_timer_and_loses_to_an_earlier_one() {
    for (event, timer, expected) in [(2, 8, 2), (8, 2, 2)] {
        let mut table = Table::new();
        table.add("a", Lane::Routine, 0);
        table.take(0);
        table.add("a", Lane::Urgent, event);
        table.done("a", Some((Lane::Routine, timer)));
        assert_eq!(table.take(0), Next::At(table.at(expected)));
        assert_eq!(table.schedule.depth(Lane::Urgent, table.now).later, 1);
    }
}

#[test]
fn ending_a_run_that_is_not_there_changes_nothing() {
    let mut table = Table::new();
    table.done("a", Some((Lane::Urgent, 0)));
    assert_eq!(table.take(0), Next::Idle);
    table.add("a", Lane::Urgent, 5);
    table.done("a", None);
    assert_eq!(table.take(0), Next::At(table.at(5)));
}

#[test]
fn a_forgotten_key_is_not_handed_out() {
    let mut table = Table::new();
    table.add("a", Lane::Routine, 5);
    table.schedule.forget(&"a");
    assert_eq!(table.take(9), Next::Idle);
}

#[test]
fn a_key_forgotten_during_its_run_ignores_the_runs_timer_but_not_a_new_event() {
    let mut table = Table::new();
    table.add("a", Lane::Urgent, 0);
    table.take(0);
    table.add("a", Lane::Urgent, 0);
    table.schedule.forget(&"a");
    table.done("a", Some((Lane::Routine, 3)));
    assert_eq!(table.take(9), Next::Idle);

    table.add("a", Lane::Urgent, 0);
    table.take(9);
    table.schedule.forget(&"a");
    table.add("a", Lane::Urgent, 12);
    table.done("a", Some((Lane::Routine, 10)));
    assert_eq!(table.take(9), Next::At(table.at(12)));
}

#[test]
fn an_absurdly_late_time_is_moved_up() {
    let mut table = Table::new();
    let years = Duration::from_hours(24 * 365 * 50);
    table.schedule.add("a", Lane::Routine, table.now + years, table.now);
    assert_eq!(table.take(0), Next::At(table.start + LONGEST_WAIT));
}

#[test]
fn a_due_key_of_a_less_urgent_lane_is_served_although_urgent_ones_never_end() {
    let mut table = Table::new();
    table.add("renewal", Lane::Routine, 0);
    let mut turns = 0;
    loop {
        table.add("restless", Lane::Urgent, 0);
        let Next::Ready(key) = table.take(1) else {
            panic!("something is due")
        };
        table.done(key, None);
        if key == "renewal" {
            break;
        }
        turns += 1;
        assert!(turns <= FAIR_SHARE, "the renewal starves");
    }
    assert_eq!(turns, FAIR_SHARE, "and urgent work keeps its share");
}

#[test]
fn each_less_urgent_lane_has_its_share_although_more_urgent_keys_never_end() {
    let mut table = Table::new();
    let mut turns = [0; Lane::ALL.len()];
    for _ in 0..170 {
        for (key, lane) in [
            ("urgent", Lane::Urgent),
            ("called", Lane::Called),
            ("routine", Lane::Routine),
        ] {
            table.add(key, lane, 0);
        }
        let Next::Ready(key) = table.take(1) else {
            panic!("something is due")
        };
        let lane = Lane::ALL.into_iter().find(|lane| lane.as_str() == key).unwrap();
        turns[lane as usize] += 1;
        table.done(key, None);
    }
    assert_eq!(turns, [150, 10, 10]);
}

#[test]
fn namespaces_take_turns_in_a_lane_and_within_one_the_order_stays() {
    let mut table = Table::new();
    for (key, lane, due) in [
        ("a/late", Lane::Urgent, 5),
        ("a/early", Lane::Urgent, 1),
        ("a/last", Lane::Urgent, 6),
        ("b/last", Lane::Urgent, 6),
        ("b/routine", Lane::Routine, 0),
        ("c/not due", Lane::Urgent, 11),
    ] {
        table.add(key, lane, due);
    }
    assert_eq!(table.drain(10), ["a/early", "b/last", "a/late", "a/last", "b/routine"]);
}

#[test]
fn however_often_it_is_added_again_a_key_that_waits_loses_no_turn() {
    let mut table = Table::new();
    table.add("a/1", Lane::Urgent, 0);
    table.add("b/1", Lane::Urgent, 0);
    table.add("c/1", Lane::Urgent, 0);
    assert_eq!(table.take(0), Next::Ready("a/1"));
    table.add("b/1", Lane::Urgent, 0);
    assert_eq!(table.drain(0), ["b/1", "c/1"]);
}

#[test]
fn depth_tells_what_waits_for_a_worker_from_what_waits_for_its_time() {
    let mut table = Table::new();
    for (key, due) in [("a", 0), ("b", 3), ("c", 4)] {
        table.add(key, Lane::Routine, due);
    }
    table.now = table.at(3);
    assert_eq!(
        table.schedule.depth(Lane::Routine, table.now),
        Depth { due: 2, later: 1 }
    );
    assert_eq!(table.schedule.depth(Lane::Urgent, table.now), Depth::default());
}
