//! The cache beside a model of the API server, its watch and this process's writes, in any order.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::Event;
use proptest::{prelude::*, sample};

use super::{World, key, object, synced};
use crate::cluster::cache::Epoch;

const NAMES: [&str; 3] = ["n/a", "n/b", "n/c"];

#[derive(Debug, Clone)]
enum Action {
    /// Someone else writes or deletes.
    Write(&'static str),
    Delete(&'static str),
    /// This process sends a request, which the server carries out at once.
    OwnWrite(&'static str),
    OwnDelete(&'static str),
    /// One of the outstanding answers arrives.
    Answer(sample::Index),
    /// The watch delivers the next event, or the next part of its list.
    Deliver,
    /// The watch delivers an event once more that it delivered since its last list.
    Repeat(sample::Index),
    /// The watch lost its place.
    Relist,
}

fn action() -> impl Strategy<Value = Action> {
    let name = || sample::select(&NAMES[..]);
    prop_oneof![
        4 => name().prop_map(Action::Write),
        2 => name().prop_map(Action::Delete),
        4 => name().prop_map(Action::OwnWrite),
        2 => name().prop_map(Action::OwnDelete),
        5 => any::<sample::Index>().prop_map(Action::Answer),
        12 => Just(Action::Deliver),
        2 => any::<sample::Index>().prop_map(Action::Repeat),
        2 => Just(Action::Relist),
    ]
}

#[derive(Debug, Clone, Copy)]
struct Version {
    name: &'static str,
    revision: u64,
    uid: u64,
}

impl Version {
    fn as_object(self) -> ConfigMap {
        object(self.name, &self.revision.to_string(), &self.uid.to_string())
    }
}

#[derive(Debug, Clone, Copy)]
enum LogEntry {
    Put(Version),
    Gone(Version),
}

enum Answer {
    Written(Epoch, Version),
    Deleted(Version),
}

#[derive(Default)]
struct Server {
    revision: u64,
    objects: BTreeMap<&'static str, Version>,
    log: Vec<LogEntry>,
}

impl Server {
    fn write(&mut self, name: &'static str) -> Version {
        self.revision += 1;
        let revision = self.revision;
        let uid = self.objects.get(name).map_or(revision, |object| object.uid);
        let version = Version { name, revision, uid };
        self.objects.insert(name, version);
        self.log.push(LogEntry::Put(version));
        version
    }

    fn delete(&mut self, name: &'static str) -> Option<Version> {
        let mut version = self.objects.remove(name)?;
        self.revision += 1;
        version.revision = self.revision;
        self.log.push(LogEntry::Gone(version));
        Some(version)
    }
}

enum Watch {
    /// What is left of the list, once the server has made it.
    Listing(Option<Vec<Version>>),
    /// Where in the log the last list was made, and how far the watch has come since.
    Watching { from: usize, next: usize },
}

struct Run {
    server: Server,
    watch: Watch,
    listed_at: usize,
    answers: Vec<Answer>,
    world: World,
    /// What was shown last under each name.
    shown: BTreeMap<&'static str, Version>,
    /// Uids that were shown and then not any more.
    buried: HashSet<u64>,
}

impl Run {
    fn new() -> Self {
        Self {
            server: Server::default(),
            watch: Watch::Watching { from: 0, next: 0 },
            listed_at: 0,
            answers: Vec::new(),
            world: synced([]),
            shown: BTreeMap::new(),
            buried: HashSet::new(),
        }
    }

    fn held(&self, name: &'static str) -> Option<Version> {
        let metadata = self.world.cache.get(&key(name))?.metadata.clone();
        Some(Version {
            name,
            revision: metadata.resource_version.unwrap().parse().unwrap(),
            uid: metadata.uid.unwrap().parse().unwrap(),
        })
    }

    fn step(&mut self, action: &Action) {
        match action {
            Action::Write(name) => drop(self.server.write(name)),
            Action::Delete(name) => drop(self.server.delete(name)),
            Action::OwnWrite(name) => {
                // As the operator's: on the version that is shown, or where nothing is shown and nothing is there.
                let shown = self.held(name).map(|held| held.revision);
                if shown == self.server.objects.get(name).map(|object| object.revision) {
                    let since = self.world.cache.epoch();
                    self.answers.push(Answer::Written(since, self.server.write(name)));
                }
            }
            Action::OwnDelete(name) => {
                let deleted = self.server.delete(name);
                self.answers.extend(deleted.map(Answer::Deleted));
            }
            Action::Answer(_) if self.answers.is_empty() => {}
            Action::Answer(which) => self.answer(which.index(self.answers.len())),
            Action::Deliver => self.deliver(),
            Action::Repeat(which) => {
                if let Watch::Watching { from, next } = self.watch
                    && from < next
                {
                    self.feed(self.server.log[from + which.index(next - from)]);
                }
            }
            Action::Relist => {
                self.watch = Watch::Listing(None);
                self.world.feed(Event::Init);
            }
        }
    }

    fn answer(&mut self, which: usize) {
        match self.answers.remove(which) {
            Answer::Written(since, version) => drop(self.world.cache.apply_own_write(since, version.as_object())),
            Answer::Deleted(version) => {
                let uid = version.uid.to_string();
                self.world.cache.apply_own_delete(&key(version.name), &uid);
            }
        }
    }

    fn deliver(&mut self) {
        match &mut self.watch {
            Watch::Listing(list @ None) => {
                *list = Some(self.server.objects.values().copied().collect());
                self.listed_at = self.server.log.len();
            }
            Watch::Listing(Some(list)) => {
                if let Some(version) = list.pop() {
                    self.world.feed(Event::InitApply(version.as_object()));
                    return;
                }
                let (from, next) = (self.listed_at, self.listed_at);
                self.watch = Watch::Watching { from, next };
                self.world.feed(Event::InitDone);
            }
            Watch::Watching { next, .. } => {
                if let Some(entry) = self.server.log.get(*next).copied() {
                    *next += 1;
                    self.feed(entry);
                }
            }
        }
    }

    fn feed(&self, entry: LogEntry) {
        self.world.feed(match entry {
            LogEntry::Put(version) => Event::Apply(version.as_object()),
            LogEntry::Gone(version) => Event::Delete(version.as_object()),
        });
    }

    /// What is shown now against what was shown before.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for name in NAMES {
            let (before, held) = (self.shown.get(name).copied(), self.held(name));
            if let Some(before) = before
                && held.is_none_or(|held| held.uid != before.uid)
            {
                self.buried.insert(before.uid);
            }
            let Some(held) = held else { continue };
            let went_back = before.is_some_and(|before| held.revision < before.revision);
            prop_assert!(!went_back, "{name} went back from {before:?} to {held:?}");
            prop_assert!(!self.buried.contains(&held.uid), "{name} came back: {held:?}");
            self.shown.insert(name, held);
        }
        Ok(())
    }

    fn catch_up(&mut self) {
        // One more event, which passes by what this process wrote and was deleted again before a list.
        self.server.write(NAMES[0]);
        let end = self.server.log.len();
        while !matches!(self.watch, Watch::Watching { next, .. } if next == end) {
            self.deliver();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn the_cache_never_goes_back_and_ends_equal_to_the_server(actions in prop::collection::vec(action(), 0..120)) {
        let mut run = Run::new();
        for action in &actions {
            run.step(action);
            run.check()?;
        }
        while !run.answers.is_empty() {
            run.answer(0);
            run.check()?;
        }
        run.catch_up();
        run.check()?;
        let objects = run.server.objects.values();
        let expected: Vec<_> = objects.map(|object| format!("{}@{}", object.name, object.revision)).collect();
        prop_assert_eq!(run.world.shown(), expected);
    }
}
