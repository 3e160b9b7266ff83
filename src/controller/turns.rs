//! Namespaces take turns: however many of one wait, each other one has the next turn but its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::cluster::ObjectKey;

/// A key of somebody.
pub trait Owned {
    /// Who takes turns with others: a namespace. What is of none is of one owner together.
    fn owner(&self) -> &str;
}

impl Owned for ObjectKey {
    fn owner(&self) -> &str {
        self.namespace().unwrap_or_default()
    }
}

/// Keys by their places among those of the same owner. Whose owner was served longest ago is next; one who comes, or comes back, has a
/// turn after all who are there. Adding, serving and removing cost `O(log n)`.
#[derive(Debug)]
pub struct Turns<P, K> {
    owner_of: fn(&K) -> &str,
    owners: HashMap<Arc<str>, Queue<P, K>>,
    by_turn: BTreeMap<i64, Arc<str>>,
    next_turn: i64,
    len: usize,
}

/// What is of one owner: never empty.
#[derive(Debug)]
struct Queue<P, K> {
    turn: i64,
    keys: BTreeMap<P, K>,
}

impl<P: Ord, K> Queue<P, K> {
    fn before(&self, place: P, most: usize) -> usize {
        match self.keys.range(..place).take(most).count() {
            count if count == most => self.keys.len(),
            few => few,
        }
    }
}

impl<P: Copy + Ord, K> Turns<P, K> {
    /// Nobody waits. `owner_of` tells whose a key is.
    pub fn new(owner_of: fn(&K) -> &str) -> Self {
        Self {
            owner_of,
            owners: HashMap::new(),
            by_turn: BTreeMap::new(),
            next_turn: 0,
            len: 0,
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a key at a place that no other one of its owner has.
    pub fn insert(&mut self, place: P, key: K) {
        self.len += 1;
        let owner = (self.owner_of)(&key);
        if let Some(queue) = self.owners.get_mut(owner) {
            queue.keys.insert(place, key);
            return;
        }
        let owner: Arc<str> = owner.into();
        let turn = self.last_turn();
        self.by_turn.insert(turn, Arc::clone(&owner));
        let keys = BTreeMap::from([(place, key)]);
        self.owners.insert(owner, Queue { turn, keys });
    }

    /// Gives a key that was served, and could do nothing with it, its place back, and its owner the next turn.
    pub fn put_back(&mut self, place: P, key: K) {
        let owner = (self.owner_of)(&key).to_owned();
        self.insert(place, key);
        let first = self.by_turn.first_key_value().map_or(0, |(turn, _)| *turn);
        self.give_turn(&owner, first - 1);
    }

    /// Takes a key from its place, and with it the turn of its owner.
    pub fn serve(&mut self, place: P, key: &K) {
        self.remove(place, key);
        let turn = self.last_turn();
        self.give_turn((self.owner_of)(key), turn);
    }

    /// Removes a key from its place. The turn of its owner is left to the others of it.
    pub fn remove(&mut self, place: P, key: &K) {
        let owner = (self.owner_of)(key);
        let Some(queue) = self.owners.get_mut(owner) else {
            return;
        };
        self.len -= usize::from(queue.keys.remove(&place).is_some());
        if queue.keys.is_empty() {
            self.by_turn.remove(&queue.turn);
            self.owners.remove(owner);
        }
    }

    /// The place of the key that is next.
    pub fn next(&self) -> Option<P> {
        let (_, owner) = self.by_turn.first_key_value()?;
        let (place, _) = self.owners.get(owner)?.keys.first_key_value()?;
        Some(*place)
    }

    /// Takes the key that is next, and with it the turn of its owner.
    pub fn pop(&mut self) -> Option<(P, K)> {
        let owner = Arc::clone(self.by_turn.first_key_value()?.1);
        let queue = self.owners.get_mut(&owner)?;
        let (place, key) = queue.keys.pop_first()?;
        self.len -= 1;
        if queue.keys.is_empty() {
            self.by_turn.pop_first();
            self.owners.remove(&owner);
        } else {
            let turn = self.last_turn();
            self.give_turn(&owner, turn);
        }
        Some((place, key))
    }

    /// How many are served before the key at this place, if nobody comes. Where more than `most` of its owner are, that is an estimate.
    pub fn before(&self, place: P, key: &K, most: usize) -> usize {
        let Some(own) = self.owners.get((self.owner_of)(key)) else {
            return 0;
        };
        let own_before = own.before(place, most);
        let others = self.owners.values().filter(|other| other.turn != own.turn);
        let turns = others.map(|other| other.keys.len().min(own_before + usize::from(other.turn < own.turn)));
        own_before + turns.sum::<usize>()
    }

    /// How many have an earlier place than this one. Where more than `most` of one owner have, that is an estimate.
    pub fn earlier(&self, place: P, most: usize) -> usize {
        self.owners.values().map(|queue| queue.before(place, most)).sum()
    }

    /// A turn after all others.
    fn last_turn(&mut self) -> i64 {
        self.next_turn += 1;
        self.next_turn
    }

    /// Gives an owner another turn than it has, if it waits.
    fn give_turn(&mut self, owner: &str, turn: i64) {
        if let Some(queue) = self.owners.get_mut(owner)
            && let Some(owner) = self.by_turn.remove(&queue.turn)
        {
            queue.turn = turn;
            self.by_turn.insert(turn, owner);
        }
    }
}

/// In tests a text may name its owner before a slash, and numbers are all of one.
#[cfg(test)]
mod keys {
    use super::Owned;

    impl Owned for &str {
        fn owner(&self) -> &str {
            self.split_once('/').map_or("", |(owner, _)| owner)
        }
    }

    macro_rules! of_one_owner {
        ($($number:ty),*) => {
            $(impl Owned for $number {
                fn owner(&self) -> &str {
                    ""
                }
            })*
        };
    }
    of_one_owner!(u32, u64, usize);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(keys: &[&'static str]) -> Turns<usize, &'static str> {
        let mut turns = Turns::new(Owned::owner);
        for (place, key) in keys.iter().enumerate() {
            turns.insert(place, *key);
        }
        turns
    }

    fn all(mut turns: Turns<usize, &'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| turns.pop().map(|(_, key)| key)).collect()
    }

    #[test]
    fn owners_take_turns_and_what_is_of_one_keeps_its_order() {
        let turns = turns(&["a/1", "a/2", "a/3", "b/1", "b/2", "c/1"]);
        assert_eq!(all(turns), ["a/1", "b/1", "c/1", "a/2", "b/2", "a/3"]);
    }

    #[test]
    fn whoever_comes_back_has_its_turn_after_those_who_wait() {
        let mut turns = turns(&["a/1", "b/1", "b/2", "c/1"]);
        assert_eq!(turns.pop(), Some((0, "a/1")));
        turns.insert(9, "a/2");
        assert_eq!(all(turns), ["b/1", "c/1", "a/2", "b/2"]);
    }

    #[test]
    fn a_key_that_is_removed_is_not_served_and_leaves_the_turn_to_the_next_of_its_owner() {
        let mut turns = turns(&["a/1", "a/2", "b/1"]);
        turns.remove(0, &"a/1");
        turns.remove(0, &"a/1");
        assert_eq!((turns.len(), turns.next()), (2, Some(1)));
        assert_eq!(all(turns), ["a/2", "b/1"]);
    }

    #[test]
    fn who_is_put_back_is_next_however_many_others_wait() {
        let mut turns = turns(&["a/1", "a/2", "b/1", "c/1"]);
        assert_eq!(turns.pop(), Some((0, "a/1")));
        turns.put_back(0, "a/1");
        assert_eq!(turns.before(0, &"a/1", 10), 0);
        assert_eq!(all(turns), ["a/1", "b/1", "c/1", "a/2"]);
    }

    #[test]
    fn who_is_served_out_of_turn_has_had_it() {
        let mut turns = turns(&["a/1", "a/2", "b/1"]);
        turns.serve(0, &"a/1");
        assert_eq!(all(turns), ["b/1", "a/2"]);
    }

    /// Keys of owners `o0` to `o3`.
    fn keys() -> impl Strategy<Value = Vec<&'static str>> {
        prop::collection::vec(prop::sample::select(vec!["o0/k", "o1/k", "o2/k", "o3/k"]), 1..60)
    }

    proptest! {
        #[test]
        fn nobody_waits_for_more_than_one_turn_of_each_other_owner(keys in keys()) {
            let order = all(turns(&keys));
            prop_assert_eq!(order.len(), keys.len());
            for (at, key) in order.iter().enumerate() {
                let since = order[..at].iter().rev().take_while(|before| before.owner() != key.owner());
                let mut others: Vec<_> = since.map(Owned::owner).collect();
                others.sort_unstable();
                let waited = others.len();
                others.dedup();
                prop_assert_eq!(waited, others.len(), "{:?}", order);
            }
        }

        #[test]
        fn how_many_are_served_before_a_key_is_told_right(keys in keys(), served in 0..60_usize) {
            let mut turns = turns(&keys);
            for _ in 0..served {
                turns.pop();
            }
            let waiting: Vec<_> = turns.owners.values().flat_map(|queue| &queue.keys).map(|(place, key)| (*place, *key)).collect();
            let told: HashMap<_, _> = waiting.iter().map(|(place, key)| (*place, turns.before(*place, key, 1000))).collect();
            let mut before = 0;
            while let Some((place, _)) = turns.pop() {
                prop_assert_eq!(told[&place], before);
                before += 1;
            }
        }
    }
}
