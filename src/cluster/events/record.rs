//! The Event object, within the limits that the API server sets (documented in `kubectl explain event.events.k8s.io`).

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::api::ObjectMeta;
use uuid::Uuid;

use super::EventType;

/// Who reports, for filters such as `--field-selector reportingController=…`.
const REPORTING_CONTROLLER: &str = "acs-operator.dev/acs-operator";

/// Events about cluster-scoped objects live here: the API server accepts no other namespace for them but `kube-system`.
const NAMESPACE_OF_CLUSTER_SCOPED: &str = "default";

/// Most bytes of `note`.
const NOTE_BYTES: usize = 1024;

/// Most bytes of `reportingInstance`.
const INSTANCE_BYTES: usize = 128;

/// Most bytes of `metadata.name`.
const NAME_BYTES: usize = 253;

/// What happened, before it has become an Event.
#[derive(Clone, Debug)]
pub(super) struct Occurrence {
    pub(super) regarding: ObjectReference,
    pub(super) kind: EventType,
    pub(super) reason: &'static str,
    pub(super) action: &'static str,
    pub(super) note: String,
    pub(super) time: Timestamp,
}

impl Occurrence {
    /// The namespace that its Event belongs to.
    pub(super) fn namespace(&self) -> &str {
        let own = self.regarding.namespace.as_deref().filter(|own| !own.is_empty());
        own.unwrap_or(NAMESPACE_OF_CLUSTER_SCOPED)
    }

    /// The Event, under a name that no other one has.
    pub(super) fn into_event(self, instance: &str) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(unique_name(
                    self.regarding.name.as_deref().unwrap_or_default(),
                    self.time,
                )),
                namespace: Some(self.namespace().to_owned()),
                ..ObjectMeta::default()
            },
            action: Some(self.action.to_owned()),
            event_time: Some(MicroTime(self.time)),
            note: Some(cut(&self.note, NOTE_BYTES).to_owned()),
            reason: Some(self.reason.to_owned()),
            regarding: Some(self.regarding),
            reporting_controller: Some(REPORTING_CONTROLLER.to_owned()),
            reporting_instance: Some(cut(instance, INSTANCE_BYTES).to_owned()),
            type_: Some(self.kind.as_str().to_owned()),
            ..Event::default()
        }
    }
}

/// The object's name and the time, as client-go has it: kubectl shows events of one object in the order of their names.
/// A few random digits besides, because two can have the same time. Where both are too long, the name gives way.
fn unique_name(name: &str, time: Timestamp) -> String {
    let nanoseconds = u64::try_from(time.as_nanosecond()).unwrap_or_default();
    let (random, ..) = Uuid::new_v4().as_fields();
    let suffix = format!("{nanoseconds:016x}{random:08x}");
    let room = NAME_BYTES - suffix.len() - 1;
    // Each part between dots has to end with a letter or a digit.
    let prefix = cut(name, room).trim_end_matches(['.', '-']);
    if prefix.is_empty() {
        suffix
    } else {
        format!("{prefix}.{suffix}")
    }
}

/// The longest beginning of `text` within `bytes` that ends between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn about(regarding: ObjectReference, note: &str) -> Occurrence {
        Occurrence {
            regarding,
            kind: EventType::Warning,
            reason: "Throttled",
            action: "Renew",
            note: note.to_owned(),
            time: Timestamp::UNIX_EPOCH,
        }
    }

    fn user(name: &str) -> ObjectReference {
        ObjectReference {
            name: Some(name.to_owned()),
            namespace: Some("contact-center".to_owned()),
            ..ObjectReference::default()
        }
    }

    fn name_of(event: &Event) -> &str {
        event.metadata.name.as_deref().unwrap()
    }

    #[test]
    fn events_about_one_object_begin_with_its_name_and_never_share_one() {
        let names: HashSet<String> = (0..100)
            .map(|_| name_of(&about(user("alice"), "").into_event("pod")).to_owned())
            .collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| name.starts_with("alice.")));
    }

    #[test]
    fn events_about_one_object_are_listed_in_the_order_in_which_they_happened() {
        let names: Vec<String> = [
            "2026-11-23T09:00:00.000000001Z",
            "2026-11-23T09:00:00.5Z",
            "2026-11-23T09:00:01Z",
        ]
        .into_iter()
        .map(|time| {
            let occurrence = Occurrence {
                time: time.parse().unwrap(),
                ..about(user("alice"), "")
            };
            name_of(&occurrence.into_event("pod")).to_owned()
        })
        .collect();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn an_object_with_the_longest_name_has_events_with_valid_names() {
        for name in [
            "a".repeat(253),
            format!("{}.{}", "a".repeat(227), "b".repeat(25)),
            "a-".repeat(120),
        ] {
            let event = about(user(&name), "").into_event("pod");
            let (prefix, suffix) = name_of(&event).rsplit_once('.').unwrap();
            assert!(name_of(&event).len() <= 253);
            assert_eq!(suffix.len(), 24);
            assert!(name.starts_with(prefix) && prefix.ends_with('a'), "{prefix}");
        }
    }

    #[test]
    fn a_note_is_cut_between_two_characters_at_a_kilobyte() {
        let short = about(user("alice"), "fits").into_event("pod");
        assert_eq!(short.note.as_deref(), Some("fits"));
        let event = about(user("alice"), &format!("a{}", "é".repeat(1024))).into_event("pod");
        assert_eq!(event.note.unwrap(), format!("a{}", "é".repeat(511)));
    }

    #[test]
    fn the_instance_fits_however_long_the_name_of_the_pod_is() {
        let event = about(user("alice"), "").into_event(&"p".repeat(253));
        assert_eq!(event.reporting_instance.unwrap(), "p".repeat(128));
    }

    #[test]
    fn an_event_lives_beside_its_object_or_in_default() {
        assert_eq!(about(user("alice"), "").namespace(), "contact-center");
        assert_eq!(about(ObjectReference::default(), "").namespace(), "default");
        let event = about(ObjectReference::default(), "").into_event("pod");
        assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(name_of(&event).len(), 24);
    }
}
