//! The schedule against a list that is searched from end to end for every answer.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::{FAIR_SHARE, LONGEST_WAIT, Lane, Next, Schedule};

type Key = &'static str;

/// Three of one namespace, two of another, and one.
const KEYS: [Key; 6] = ["a/1", "a/2", "a/3", "b/1", "b/2", "c/1"];

fn owner_of(key: Key) -> &'static str {
    key.split_once('/').unwrap().0
}

#[derive(Debug, Clone)]
enum Action {
    Add(Key, Lane, Duration),
    Take,
    Done(Key, Option<(Lane, Duration)>),
    Forget(Key),
    Pass(Duration),
}

#[derive(Debug, Clone, Copy)]
struct Request {
    lane: Lane,
    due: Instant,
    order: usize,
    /// Whether it was there when a key was taken at a time that is not before its own.
    stands_in_line: bool,
}

#[derive(Debug, Default)]
struct Model {
    pending: Vec<(Key, Request)>,
    running: Vec<(Key, Option<Request>, bool)>,
    orders: usize,
    /// The lanes of the keys that were handed out, while others waited: the last turn at the end.
    turns: Vec<(Lane, Vec<Lane>)>,
    /// Whose keys stand in line in each lane, whoever is next at the front.
    owners: Vec<(Lane, &'static str)>,
}

impl Model {
    fn request(&mut self, lane: Lane, due: Instant, now: Instant) -> Request {
        self.orders += 1;
        Request {
            lane,
            due: due.min(now + LONGEST_WAIT),
            order: self.orders,
            stands_in_line: false,
        }
    }

    fn merge(held: Option<Request>, new: Request) -> Request {
        let Some(held) = held else { return new };
        let (due, order) = if new.due < held.due {
            (new.due, new.order)
        } else {
            (held.due, held.order)
        };
        let lane = held.lane.min(new.lane);
        Request {
            lane,
            due,
            order,
            stands_in_line: held.stands_in_line && lane == held.lane,
        }
    }

    fn add(&mut self, key: Key, lane: Lane, due: Instant, now: Instant) {
        let new = self.request(lane, due, now);
        if let Some((_, again, _)) = self.running.iter_mut().find(|(k, ..)| *k == key) {
            *again = Some(Self::merge(*again, new));
            return;
        }
        let held = self
            .pending
            .iter()
            .position(|(k, _)| *k == key)
            .map(|at| self.pending.remove(at).1);
        self.pending.push((key, Self::merge(held, new)));
        self.owners_leave();
    }

    /// Who has nothing in line any more has no turn.
    fn owners_leave(&mut self) {
        let in_line: Vec<_> = self.in_line().map(|(key, r)| (r.lane, owner_of(key))).collect();
        self.owners.retain(|owner| in_line.contains(owner));
    }

    fn in_line(&self) -> impl Iterator<Item = &(Key, Request)> {
        self.pending.iter().filter(|(_, r)| r.stands_in_line)
    }

    /// Those whose time has come stand in line, and who was not there comes after all who were.
    fn line_up(&mut self, now: Instant) {
        self.pending.sort_by_key(|(_, r)| (r.due, r.order));
        for (key, request) in self.pending.iter_mut().filter(|(_, r)| r.due <= now) {
            request.stands_in_line = true;
            let owner = (request.lane, owner_of(key));
            if !self.owners.contains(&owner) {
                self.owners.push(owner);
            }
        }
    }

    fn take(&mut self, now: Instant) -> Next<Key> {
        self.line_up(now);
        let waiting: Vec<Lane> = Lane::ALL
            .into_iter()
            .filter(|lane| self.owners.iter().any(|(of, _)| of == lane))
            .collect();
        let overdue = waiting.iter().copied().find(|lane| self.is_overdue(*lane));
        let Some(lane) = overdue.or_else(|| waiting.first().copied()) else {
            let next = self.pending.iter().map(|(_, r)| r.due).min();
            return next.map_or(Next::Idle, Next::At);
        };
        let turn = self.owners.iter().position(|(of, _)| *of == lane).unwrap();
        let owner = self.owners.remove(turn);
        let of_owner = self.in_line().filter(|(key, r)| (r.lane, owner_of(key)) == owner);
        let key = of_owner.min_by_key(|(_, r)| (r.due, r.order)).unwrap().0;
        self.turns.push((lane, waiting));
        self.pending.retain(|(k, _)| *k != key);
        self.running.push((key, None, false));
        self.owners.push(owner);
        self.owners_leave();
        Next::Ready(key)
    }

    /// Whether in its share of turns since its last one, or since nothing of it was due, more urgent ones were served.
    fn is_overdue(&self, lane: Lane) -> bool {
        let since = self.turns.iter().rev();
        let passed_over = since.take_while(|(served, waiting)| *served != lane && waiting.contains(&lane));
        passed_over.filter(|(served, _)| *served < lane).count() >= usize::try_from(FAIR_SHARE).unwrap()
    }

    fn done(&mut self, key: Key, next: Option<(Lane, Instant)>, now: Instant) {
        let Some(at) = self.running.iter().position(|(k, ..)| *k == key) else {
            return;
        };
        let (_, again, forgotten) = self.running.remove(at);
        let timer = next
            .filter(|_| !forgotten)
            .map(|(lane, due)| self.request(lane, due, now));
        if let Some(request) = timer.map(|timer| Self::merge(again, timer)).or(again) {
            self.pending.push((key, request));
        }
    }

    fn forget(&mut self, key: Key) {
        self.pending.retain(|(k, _)| *k != key);
        self.owners_leave();
        if let Some((_, again, forgotten)) = self.running.iter_mut().find(|(k, ..)| *k == key) {
            (*again, *forgotten) = (None, true);
        }
    }
}

fn lane() -> impl Strategy<Value = Lane> {
    prop::sample::select(&Lane::ALL[..])
}

fn delay() -> impl Strategy<Value = Duration> {
    // Few distinct values, so that equal times are common.
    prop_oneof![
        4 => (0u64..6).prop_map(Duration::from_secs),
        1 => Just(Duration::from_hours(5)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let key = || prop::sample::select(&KEYS[..]);
    prop_oneof![
        6 => (key(), lane(), delay()).prop_map(|(key, lane, delay)| Action::Add(key, lane, delay)),
        6 => Just(Action::Take),
        5 => (key(), prop::option::of((lane(), delay()))).prop_map(|(key, next)| Action::Done(key, next)),
        1 => key().prop_map(Action::Forget),
        2 => delay().prop_map(Action::Pass),
    ]
}

proptest! {
    #[test]
    fn the_schedule_answers_as_a_plain_list_would(actions in prop::collection::vec(action(), 0..300)) {
        let (mut schedule, mut model, mut now) = (Schedule::new(), Model::default(), Instant::now());
        for action in actions {
            match action {
                Action::Add(key, lane, delay) => {
                    schedule.add(key, lane, now + delay, now);
                    model.add(key, lane, now + delay, now);
                }
                Action::Take => prop_assert_eq!(schedule.take(now), model.take(now)),
                Action::Done(key, next) => {
                    let next = next.map(|(lane, delay)| (lane, now + delay));
                    schedule.done(&key, next, now);
                    model.done(key, next, now);
                }
                Action::Forget(key) => {
                    schedule.forget(&key);
                    model.forget(key);
                }
                Action::Pass(delay) => now += delay,
            }
            prop_assert_eq!(schedule.running(), model.running.len());
            for lane in Lane::ALL {
                let depth = schedule.depth(lane, now);
                let in_lane = model.pending.iter().filter(|(_, r)| r.lane == lane);
                let due = in_lane.clone().filter(|(_, r)| r.due <= now).count();
                prop_assert_eq!((depth.due, depth.due + depth.later), (due, in_lane.count()));
            }
        }
    }
}
