//! The cache by scripted sequences, and against a model of the API server.

mod model;

use std::{fmt::Write as _, sync::Arc};

use futures::FutureExt;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::runtime::watcher::Event;

use super::{Cache, Change, Feed, FirstList, Index};
use crate::cluster::{ObjectKey, Scope};

/// An object as `namespace/name`, version and uid; its label `color` is indexed.
fn object(key: &str, version: &str, uid: &str) -> ConfigMap {
    let (namespace, name) = key.split_once('/').unwrap();
    ConfigMap {
        metadata: ObjectMeta {
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            resource_version: Some(version.into()),
            uid: Some(uid.into()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

fn colored(color: &str, mut object: ConfigMap) -> ConfigMap {
    object.metadata.labels = Some([("color".to_owned(), color.to_owned())].into());
    object
}

fn key(text: &str) -> ObjectKey {
    let (namespace, name) = text.split_once('/').unwrap();
    ObjectKey::namespaced(namespace, name)
}

const BY_COLOR: Index<ConfigMap> = Index {
    name: "color",
    value_of: |object| object.metadata.labels.as_ref()?.get("color").map(String::as_str),
};

struct World {
    cache: Arc<Cache<ConfigMap>>,
    feed: Feed<ConfigMap>,
}

/// A cache of the whole cluster that has listed `objects`.
fn synced(objects: impl IntoIterator<Item = ConfigMap>) -> World {
    let (cache, mut feeds) = Cache::new([Scope::Cluster], [BY_COLOR]);
    let world = World {
        cache,
        feed: feeds.remove(0),
    };
    world.list(objects);
    world
}

impl World {
    fn list(&self, objects: impl IntoIterator<Item = ConfigMap>) -> Vec<String> {
        self.begin_list(objects);
        self.feed(Event::InitDone)
    }

    fn begin_list(&self, objects: impl IntoIterator<Item = ConfigMap>) {
        let list = std::iter::once(Event::Init).chain(objects.into_iter().map(Event::InitApply));
        for event in list {
            assert!(
                self.feed(event).is_empty(),
                "nothing is reported before the list is complete"
            );
        }
    }

    fn feed(&self, event: Event<ConfigMap>) -> Vec<String> {
        let mut changes: Vec<_> = self.feed.apply(event).iter().map(told).collect();
        changes.sort();
        changes
    }

    fn own_write(&self, object: ConfigMap) {
        self.cache.apply_own_write(self.cache.epoch(), object);
    }

    /// What is shown: `namespace/name@version`, sorted.
    fn shown(&self) -> Vec<String> {
        let mut shown = Vec::new();
        self.cache.for_each(|key, object| {
            shown.push(format!("{key}@{}", object.metadata.resource_version.as_ref().unwrap()));
        });
        shown.sort();
        shown
    }
}

/// A change as `namespace/name old>new`.
fn told(change: &Change<ConfigMap>) -> String {
    let mut text = format!("{} ", change.key());
    let version = |object: &Arc<ConfigMap>| object.metadata.resource_version.clone().unwrap();
    write!(
        text,
        "{}>{}",
        change.old().map(version).unwrap_or_default(),
        change.current().map(version).unwrap_or_default()
    )
    .unwrap();
    text
}

#[test]
fn a_list_shows_only_when_it_is_complete_and_reports_only_what_changed() {
    let world = synced([
        object("a/same", "1", "u1"),
        object("a/changed", "2", "u2"),
        object("a/gone", "3", "u3"),
    ]);
    world.begin_list([
        object("a/same", "1", "u1"),
        object("a/changed", "5", "u2"),
        object("a/new", "4", "u4"),
    ]);
    assert_eq!(world.shown(), ["a/changed@2", "a/gone@3", "a/same@1"]);
    assert_eq!(world.feed(Event::InitDone), ["a/changed 2>5", "a/gone 3>", "a/new >4"]);
    assert_eq!(world.shown(), ["a/changed@5", "a/new@4", "a/same@1"]);
}

#[test]
fn a_list_that_is_broken_off_leaves_no_trace() {
    let world = synced([object("a/a", "1", "u1")]);
    world.begin_list([object("a/b", "2", "u2")]);
    assert_eq!(world.list([object("a/a", "1", "u1")]), Vec::<String>::new());
}

#[test]
fn events_are_reported_once_and_old_ones_are_ignored() {
    let world = synced([object("a/a", "5", "u1")]);
    for (event, expected) in [
        (Event::Apply(object("a/a", "5", "u1")), ""),
        (Event::Apply(object("a/a", "9", "u1")), "a/a 5>9"),
        (Event::Apply(object("a/a", "10", "u1")), "a/a 9>10"),
        (Event::Apply(object("a/a", "9", "u1")), ""),
        (Event::Apply(object("a/b", "11", "u2")), "a/b >11"),
        (Event::Delete(object("a/a", "12", "u1")), "a/a 10>"),
        (Event::Delete(object("a/a", "12", "u1")), ""),
        (Event::Apply(object("a/a", "10", "u1")), ""),
        (Event::Apply(object("a/a", "13", "u3")), "a/a >13"),
        (Event::Delete(object("a/a", "12", "u1")), ""),
    ] {
        let told = format!("{event:?}");
        assert_eq!(world.feed(event).concat(), expected, "{told}");
    }
    assert_eq!(world.shown(), ["a/a@13", "a/b@11"]);
}

#[test]
fn an_own_write_shows_at_once_and_is_not_reported_when_the_watch_delivers_it() {
    let world = synced([object("a/a", "1", "u1")]);
    world.own_write(object("a/a", "4", "u1"));
    world.own_write(object("a/b", "5", "u2"));
    assert_eq!(world.shown(), ["a/a@4", "a/b@5"]);
    for late in ["2", "3", "4"] {
        assert!(world.feed(Event::Apply(object("a/a", late, "u1"))).is_empty());
    }
    assert!(world.feed(Event::Apply(object("a/b", "5", "u2"))).is_empty());
    assert_eq!(world.shown(), ["a/a@4", "a/b@5"]);
}

#[test]
fn the_late_answer_of_an_own_write_brings_nothing_old_back() {
    let world = synced([object("a/a", "1", "u1"), object("a/b", "2", "u2")]);
    world.feed(Event::Apply(object("a/a", "6", "u1")));
    world.feed(Event::Delete(object("a/b", "7", "u2")));
    world.own_write(object("a/a", "4", "u1"));
    world.own_write(object("a/b", "5", "u2"));
    assert_eq!(world.shown(), ["a/a@6"]);
}

#[test]
fn an_own_write_answered_after_a_list_does_not_bring_back_what_the_list_no_longer_had() {
    let world = synced([object("a/a", "1", "u1"), object("a/b", "2", "u2")]);
    let since = world.cache.epoch();
    world.list([object("a/b", "2", "u2")]);
    world.cache.apply_own_write(since, object("a/a", "4", "u1"));
    world.cache.apply_own_write(since, object("a/b", "5", "u2"));
    assert_eq!(world.shown(), ["a/b@5"], "what is held is brought forward");
}

#[test]
fn a_list_does_not_take_back_what_was_written_since_it_began() {
    let world = synced([
        object("a/a", "1", "u1"),
        object("a/b", "2", "u2"),
        object("a/c", "3", "u3"),
    ]);
    world.begin_list([object("a/a", "1", "u1"), object("a/c", "3", "u3")]);
    world.own_write(object("a/a", "7", "u1"));
    world.own_write(object("a/new", "8", "u4"));
    world.cache.apply_own_delete(&key("a/c"), "u3");
    assert_eq!(world.feed(Event::InitDone), ["a/b 2>"]);
    assert_eq!(world.shown(), ["a/a@7", "a/new@8"]);
}

#[test]
fn what_a_list_did_not_have_and_the_watch_passes_by_is_gone() {
    let world = synced([]);
    world.begin_list([]);
    world.own_write(object("a/a", "6", "u1"));
    assert!(world.feed(Event::InitDone).is_empty());
    assert_eq!(world.shown(), ["a/a@6"], "the list may be from before it was written");
    assert_eq!(world.feed(Event::Apply(object("a/b", "9", "u2"))), ["a/a 6>", "a/b >9"]);
}

#[test]
fn an_own_deletion_shows_at_once_whatever_the_watch_still_delivers() {
    let world = synced([object("a/a", "1", "u1")]);
    world.cache.apply_own_delete(&key("a/a"), "u1");
    assert!(world.shown().is_empty());
    assert!(world.feed(Event::Apply(object("a/a", "3", "u1"))).is_empty());
    world.own_write(object("a/a", "3", "u1"));
    assert!(world.shown().is_empty());
    assert!(world.feed(Event::Delete(object("a/a", "4", "u1"))).is_empty());
    assert_eq!(world.feed(Event::Apply(object("a/a", "5", "u2"))), ["a/a >5"]);
}

#[test]
fn a_list_from_before_an_own_deletion_does_not_bring_back_an_earlier_object_of_the_name() {
    let world = synced([object("a/a", "1", "u1")]);
    world.begin_list([object("a/a", "1", "u1")]);
    world.own_write(object("a/a", "5", "u2"));
    world.cache.apply_own_delete(&key("a/a"), "u2");
    assert!(world.feed(Event::InitDone).is_empty());
    assert!(world.shown().is_empty());
}

#[test]
fn an_own_write_that_takes_the_last_finalizer_off_an_object_in_deletion_is_its_end() {
    let world = synced([object("a/a", "1", "u1"), object("a/b", "2", "u2")]);
    let let_go = |of: &str, version: &str, uid: &str, left: &[&str]| {
        let mut object = object(of, version, uid);
        object.metadata.deletion_timestamp = Some(serde_json::from_value("2026-11-26T08:00:00Z".into()).unwrap());
        object.metadata.finalizers = Some(left.iter().map(ToString::to_string).collect());
        world.own_write(object);
    };
    let_go("a/a", "3", "u1", &[]);
    let_go("a/b", "4", "u2", &["example.org/hold"]);
    assert_eq!(world.shown(), ["a/b@4"]);
    assert!(world.feed(Event::Delete(object("a/a", "5", "u1"))).is_empty());
}

#[test]
fn an_own_deletion_means_one_object_not_its_name() {
    let world = synced([object("a/a", "5", "u2")]);
    world.cache.apply_own_delete(&key("a/a"), "u1");
    assert_eq!(world.shown(), ["a/a@5"]);
}

#[test]
fn a_new_object_of_the_same_name_is_a_change_with_both_objects() {
    let world = synced([object("a/a", "1", "u1")]);
    let changes = world.feed.apply(Event::Apply(object("a/a", "4", "u2")));
    let uids = |object: Option<&Arc<ConfigMap>>| object.and_then(|object| object.metadata.uid.clone());
    assert_eq!(uids(changes[0].old()).as_deref(), Some("u1"));
    assert_eq!(uids(changes[0].current()).as_deref(), Some("u2"));
}

#[test]
fn versions_that_are_no_numbers_count_as_newer_when_they_come_in() {
    let world = synced([object("a/a", "x9", "u1")]);
    assert_eq!(world.feed(Event::Apply(object("a/a", "x8", "u1"))), ["a/a x9>x8"]);
    world.own_write(object("a/a", "x7", "u1"));
    assert_eq!(world.shown(), ["a/a@x7"]);
    assert_eq!(world.feed(Event::Delete(object("a/a", "x6", "u1"))), ["a/a x7>"]);
}

#[test]
fn the_list_of_one_namespace_leaves_the_others_alone() {
    let scopes = ["a", "b"].map(|namespace| Scope::Namespace(namespace.into()));
    let (cache, feeds) = Cache::new(scopes, []);
    let list = |feed: &Feed<ConfigMap>, objects: Vec<ConfigMap>| {
        feed.apply(Event::Init);
        for object in objects {
            feed.apply(Event::InitApply(object));
        }
        feed.apply(Event::InitDone).len()
    };
    assert_eq!(list(&feeds[0], vec![object("a/x", "1", "u1")]), 1);
    assert!(!cache.is_synced());
    assert_eq!(list(&feeds[1], vec![object("b/x", "2", "u2")]), 1);
    assert!(cache.is_synced());
    assert_eq!(list(&feeds[0], vec![]), 1);
    assert_eq!((cache.len(), cache.get(&key("a/x"))), (1, None));
    cache.apply_own_write(cache.epoch(), object("elsewhere/x", "9", "u9"));
    assert_eq!(cache.len(), 1, "what no watch would ever correct is not shown");
}

#[test]
fn an_object_that_cannot_be_decoded_stays_as_it_was() {
    let world = synced([object("a/a", "1", "u1")]);
    world.begin_list([]);
    world.feed.unreadable(key("a/a"));
    assert!(world.feed(Event::InitDone).is_empty());
    assert_eq!(world.shown(), ["a/a@1"]);
}

#[test]
fn an_object_that_cannot_be_decoded_and_is_not_held_is_told_from_one_that_is_not_there() {
    let world = synced([]);
    let is_hidden = || (world.cache.is_hidden(&key("a/a")), world.cache.hides());
    world.begin_list([]);
    world.feed.unreadable(key("a/a"));
    assert_eq!(is_hidden(), (false, false), "the list is not complete");
    world.feed(Event::InitDone);
    assert_eq!(is_hidden(), (true, true));
    world.feed(Event::Apply(object("a/a", "5", "u1")));
    assert_eq!(is_hidden(), (false, false));
    world.feed.unreadable(key("a/a"));
    assert_eq!(is_hidden(), (false, false), "what was known stays");
    world.feed(Event::Delete(object("a/a", "7", "u1")));
    world.feed.unreadable(key("a/a"));
    assert_eq!(is_hidden(), (true, true));
    world.list([]);
    assert_eq!(is_hidden(), (false, false));
}

#[test]
fn objects_are_found_by_their_present_value_in_an_index() {
    let world = synced([
        colored("red", object("a/b", "1", "u1")),
        colored("red", object("a/a", "2", "u2")),
        colored("blue", object("a/c", "3", "u3")),
        object("a/d", "4", "u4"),
    ]);
    let names = |color: &str| {
        let found = world.cache.find("color", color).into_iter();
        found
            .map(|object| object.metadata.name.clone().unwrap())
            .collect::<String>()
    };
    assert_eq!(
        (names("red"), names("blue"), names("green")),
        ("ab".into(), "c".into(), String::new())
    );
    world.feed(Event::Apply(colored("blue", object("a/a", "5", "u2"))));
    world.own_write(colored("red", object("a/d", "6", "u4")));
    world.feed(Event::Delete(object("a/b", "7", "u1")));
    assert_eq!((names("red"), names("blue")), ("d".into(), "ac".into()));
    assert!(world.cache.find("shape", "red").is_empty());
}

#[test]
fn what_is_known_of_one_namespace_does_not_depend_on_the_lists_of_others() {
    let scopes = ["a", "b"].map(|namespace| Scope::Namespace(namespace.into()));
    let (cache, feeds) = Cache::<ConfigMap>::new(scopes, []);
    let known = |of: &str| cache.first_list(&key(of));
    let (attempted, synced) = (
        || cache.wait_attempted().now_or_never(),
        || cache.wait_synced().now_or_never(),
    );
    feeds[0].first_list(FirstList::Refused);
    feeds[0].first_list(FirstList::Failing);
    assert_eq!((known("a/x"), known("b/x")), (FirstList::Refused, FirstList::Awaited));
    assert_eq!(attempted(), None);
    for event in [Event::Init, Event::InitDone] {
        feeds[1].apply(event);
    }
    assert_eq!((known("a/x"), known("b/x")), (FirstList::Refused, FirstList::Complete));
    assert_eq!((attempted(), synced()), (Some(()), None));
    for event in [Event::Init, Event::InitDone] {
        feeds[0].apply(event);
    }
    feeds[0].first_list(FirstList::Refused);
    assert_eq!(
        (known("a/x"), synced()),
        (FirstList::Complete, Some(())),
        "a list that fails later takes nothing back"
    );
    assert_eq!(
        known("elsewhere/x"),
        FirstList::Complete,
        "there is nothing where nobody looks"
    );
}

#[tokio::test]
async fn waiting_for_the_first_list_ends_with_it() {
    let (cache, feeds) = Cache::<ConfigMap>::new([Scope::Cluster], []);
    assert!(!cache.is_synced());
    let waiting = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.wait_synced().await }
    });
    feeds[0].apply(Event::Init);
    assert!(!cache.is_synced());
    feeds[0].apply(Event::InitDone);
    tokio::time::timeout(std::time::Duration::from_secs(10), waiting)
        .await
        .unwrap()
        .unwrap();
    cache.wait_synced().await;
}
