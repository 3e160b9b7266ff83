//! What the Lease says, and what follows from it: without IO, and told the time.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;

use crate::clock::BootTime;

/// What candidates go by in the spec of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; `None`: it was released.
    pub(super) holder: Option<String>,
    /// How long it is held without being renewed, as its holder says.
    pub(super) duration: Option<Duration>,
    /// When it was renewed, by the holder's clock: to be compared with itself only.
    pub(super) renewed: Option<String>,
    /// How often the holder changed.
    pub(super) transitions: i32,
}

impl Record {
    pub(super) fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            duration: seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            renewed: spec.renew_time.map(|time| time.0.to_string()),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}

/// Whose the lease is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody's: it may be taken.
    Free,
    /// Ours.
    Ours,
    /// Somebody else's.
    Theirs {
        /// Whose.
        holder: String,
        /// When it may be taken, unless it changes before.
        until: BootTime,
    },
}

/// Judges a record that was first seen at `seen`. Somebody else's is over when *we* have not seen it change for as long as it
/// is held: the clocks of machines differ, so times that are written in it are not looked at. `default` is how long that is
/// where the record does not say it.
pub(super) fn evaluate(
    record: Option<&Record>,
    me: &str,
    seen: BootTime,
    default: Duration,
    now: BootTime,
) -> Standing {
    let Some(record) = record else {
        return Standing::Free;
    };
    let until = seen.after(record.duration.unwrap_or(default));
    match &record.holder {
        None => Standing::Free,
        Some(holder) if holder == me => Standing::Ours,
        Some(_) if until <= now => Standing::Free,
        Some(holder) => Standing::Theirs {
            holder: holder.clone(),
            until,
        },
    }
}

/// What was seen of the Lease, and since when it has been so.
#[derive(Debug)]
pub(super) struct View {
    record: Option<Record>,
    seen: BootTime,
    /// The resourceVersion that a write is conditional on; `None`: there is nothing to write to, only to create.
    version: Option<String>,
}

impl View {
    pub(super) fn new(now: BootTime) -> Self {
        Self {
            record: None,
            seen: now,
            version: None,
        }
    }

    /// Takes in what there is now. Who deletes a Lease does not end its holder: that is known until its time is over.
    pub(super) fn update(&mut self, lease: Option<&Lease>, now: BootTime) {
        self.version = lease.and_then(|lease| lease.metadata.resource_version.clone());
        let Some(record) = lease.map(Record::of) else {
            return;
        };
        // A label or annotation is no sign of life.
        if self.record.as_ref() != Some(&record) {
            (self.record, self.seen) = (Some(record), now);
        }
    }

    pub(super) fn standing(&self, me: &str, default: Duration, now: BootTime) -> Standing {
        evaluate(self.record.as_ref(), me, self.seen, default, now)
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// How often the holder will have changed once this one has it.
    pub(super) fn transitions_for(&self, me: &str) -> i32 {
        match &self.record {
            None => 0,
            Some(record) if record.holder.as_deref() == Some(me) => record.transitions,
            Some(record) => record.transitions.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ME: &str = "acs-operator-1_aaaa";
    const OTHER: &str = "acs-operator-2_bbbb";
    const DEFAULT: Duration = Duration::from_secs(15);

    fn lease(holder: Option<&str>, seconds: i32, renewed: u32) -> Lease {
        let renewed = format!("2026-11-26T08:00:{renewed:02}.000000Z");
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": renewed});
        serde_json::from_value(json!({"metadata": {"name": "acs-operator"}, "spec": spec})).unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn standing(view: &View, now: BootTime) -> Standing {
        view.standing(ME, DEFAULT, now)
    }

    #[test]
    fn a_lease_that_is_not_there_or_was_released_is_free_at_once() {
        let now = BootTime::now();
        let mut view = View::new(now);
        view.update(None, now);
        assert_eq!(standing(&view, now), Standing::Free);
        for released in [None, Some("")] {
            view.update(Some(&lease(released, 1, 1)), now);
            assert_eq!(standing(&view, now), Standing::Free, "{released:?}");
        }
    }

    #[test]
    fn the_lease_of_another_is_free_when_it_was_not_seen_to_change_for_its_own_duration() {
        let start = BootTime::now();
        let mut view = View::new(start);
        view.update(Some(&lease(Some(OTHER), 10, 1)), start);
        let until = |view: &View, now| match standing(view, now) {
            Standing::Theirs { holder, until } if holder == OTHER => until,
            other => panic!("{other:?}"),
        };
        assert_eq!(until(&view, start), start.after(seconds(10)));
        // Seen again, unchanged.
        view.update(Some(&lease(Some(OTHER), 10, 1)), start.after(seconds(9)));
        assert_eq!(until(&view, start.after(seconds(9))), start.after(seconds(10)));
        assert_eq!(standing(&view, start.after(seconds(10))), Standing::Free);
        // Renewed after all, by a clock that went back.
        view.update(Some(&lease(Some(OTHER), 10, 0)), start.after(seconds(11)));
        assert_eq!(until(&view, start.after(seconds(11))), start.after(seconds(21)));
    }

    #[test]
    fn a_change_of_metadata_is_no_sign_of_life() {
        let start = BootTime::now();
        let mut view = View::new(start);
        let mut labelled = lease(Some(OTHER), 10, 1);
        view.update(Some(&labelled), start);
        labelled.metadata.resource_version = Some("7".into());
        labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        view.update(Some(&labelled), start.after(seconds(5)));
        assert_eq!(standing(&view, start.after(seconds(10))), Standing::Free);
    }

    #[test]
    fn a_lease_that_is_deleted_is_its_holders_until_its_time_is_over() {
        let start = BootTime::now();
        let mut view = View::new(start);
        view.update(Some(&lease(Some(OTHER), 10, 1)), start);
        view.update(None, start.after(seconds(1)));
        assert!(matches!(
            standing(&view, start.after(seconds(9))),
            Standing::Theirs { .. }
        ));
        assert_eq!(standing(&view, start.after(seconds(10))), Standing::Free);
        assert_eq!(view.version(), None);
    }

    #[test]
    fn without_a_duration_in_it_the_own_one_is_taken() {
        let start = BootTime::now();
        for odd in [0, -5] {
            let mut view = View::new(start);
            view.update(Some(&lease(Some(OTHER), odd, 1)), start);
            let Standing::Theirs { until, .. } = standing(&view, start) else {
                panic!("{odd}")
            };
            assert_eq!(until, start.after(DEFAULT));
        }
    }

    #[test]
    fn the_changes_of_the_holder_are_counted() {
        let now = BootTime::now();
        let mut view = View::new(now);
        assert_eq!(view.transitions_for(ME), 0);
        let mut held = lease(Some(OTHER), 10, 1);
        held.spec.as_mut().unwrap().lease_transitions = Some(4);
        view.update(Some(&held), now);
        assert_eq!((view.transitions_for(ME), view.transitions_for(OTHER)), (5, 4));
    }

    proptest! {
        /// What no two candidates may differ in: it is never taken while its holder may still think that it has it.
        #[test]
        fn it_is_never_free_within_its_duration_after_a_renewal_was_seen(
            renewals in proptest::collection::vec((0_u64..40, 0_u32..60), 1..20), duration in 3_i32..60, look in 0_u64..100,
        ) {
            let start = BootTime::now();
            let (mut view, mut now, mut last, mut renewed) = (View::new(start), start, start, None);
            for (pause, time) in renewals {
                now = now.after(seconds(pause));
                if renewed.replace(time) != Some(time) {
                    last = now;
                }
                view.update(Some(&lease(Some(OTHER), duration, time)), now);
            }
            now = now.after(seconds(look));
            let free_from = last.after(seconds(u64::try_from(duration).unwrap()));
            prop_assert_eq!(standing(&view, now) == Standing::Free, now >= free_from);
        }

        #[test]
        fn ours_is_ours_whatever_else_it_says(duration in -5_i32..60, time in 0_u32..60, later in 0_u64..1000) {
            let start = BootTime::now();
            let mut view = View::new(start);
            view.update(Some(&lease(Some(ME), duration, time)), start);
            prop_assert_eq!(standing(&view, start.after(seconds(later))), Standing::Ours);
        }
    }
}
