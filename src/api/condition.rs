//! Conditions in the kstatus convention: `Ready` always, `Reconciling` or `Stalled` only while they are true.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Reason, ReasonClass, time::whole_seconds};

/// The condition types that the operator writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// The desired state is reached and usable. Present once the object was observed.
    Ready,
    /// The desired state is not reached, and time or someone else can bring it.
    Reconciling,
    /// The desired state is not reached, and only a change of the object can bring it.
    Stalled,
}

impl ConditionType {
    /// The type as conditions carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }

    /// The condition of this type, if there is one.
    pub fn find(self, conditions: &[Condition]) -> Option<&Condition> {
        conditions.iter().find(|condition| condition.type_ == self.as_str())
    }
}

/// Longest message that the schema accepts, in characters.
pub const MAX_MESSAGE_CHARS: usize = 32_768;

/// Most conditions that the schema accepts.
pub const MAX_CONDITIONS: usize = 8;

/// What one observation of an object came to, from which all its conditions follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the object is usable now. Follows from the reason but for [`Reason::Suspended`], which is usable until the token expires.
    pub ready: bool,
    /// Why.
    pub reason: Reason,
    /// The same in a sentence for the user, with names, times and what to do.
    pub message: String,
}

impl Verdict {
    /// A verdict whose readiness is that of its reason's class. `message` becomes a sentence if it is none yet: it gets a
    /// capital, unless it begins with a name such as `spec.suspend`, and a full stop.
    pub fn new(reason: Reason, message: impl AsRef<str>) -> Self {
        Self {
            ready: reason.class() == ReasonClass::Ready,
            reason,
            message: sentence(message.as_ref()),
        }
    }

    /// What conditions tell that were written before; `None`: nothing, or nothing that this version knows.
    pub fn told_by(conditions: &[Condition]) -> Option<Self> {
        let ready = ConditionType::Ready.find(conditions)?;
        Some(Self {
            ready: ready.status == "True",
            reason: ready.reason.parse().ok()?,
            message: ready.message.clone(),
        })
    }

    /// The conditions to write, in the order `Ready`, then `Reconciling` or `Stalled`.
    ///
    /// `lastTransitionTime` is `now` in whole seconds where a status flipped or a condition is new, else the previous one:
    /// the same verdict on the same generation gives equal conditions, so that nothing needs to be written.
    /// Conditions of other types are not ours and are kept, as far as the schema has room for them.
    pub fn conditions(&self, previous: &[Condition], generation: i64, now: Timestamp) -> Vec<Condition> {
        let beside = match self.reason.class() {
            ReasonClass::Ready => None,
            ReasonClass::Reconciling => Some(ConditionType::Reconciling),
            ReasonClass::Stalled => Some(ConditionType::Stalled),
        };
        let foreign = previous.iter().filter(|condition| !is_ours(condition)).cloned();
        std::iter::once((ConditionType::Ready, self.ready))
            .chain(beside.map(|type_| (type_, true)))
            .map(|(type_, holds)| self.condition(type_, holds, previous, generation, now))
            .chain(foreign)
            .take(MAX_CONDITIONS)
            .collect()
    }

    fn condition(
        &self,
        type_: ConditionType,
        holds: bool,
        previous: &[Condition],
        generation: i64,
        now: Timestamp,
    ) -> Condition {
        let status = if holds { "True" } else { "False" };
        let since = type_
            .find(previous)
            .filter(|old| old.status == status)
            .map(|old| old.last_transition_time.clone());
        Condition {
            type_: type_.as_str().to_owned(),
            status: status.to_owned(),
            reason: self.reason.as_str().to_owned(),
            message: self.message.chars().take(MAX_MESSAGE_CHARS).collect(),
            observed_generation: Some(generation),
            last_transition_time: since.unwrap_or_else(|| Time(whole_seconds(now))),
        }
    }
}

fn sentence(words: &str) -> String {
    let first = words.split_whitespace().next().unwrap_or_default();
    let mut rest = words.chars();
    let capital = match rest.next() {
        Some(letter) if first.chars().all(char::is_lowercase) => letter.to_uppercase().chain(rest).collect(),
        _ => words.to_owned(),
    };
    if capital.ends_with(['.', '!', '?']) {
        capital
    } else {
        capital + "."
    }
}

fn is_ours(condition: &Condition) -> bool {
    [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled]
        .iter()
        .any(|type_| type_.as_str() == condition.type_)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::new(second, 500_000_000).unwrap()
    }

    fn shown(conditions: &[Condition]) -> Vec<String> {
        conditions
            .iter()
            .map(|c| format!("{}={} {}", c.type_, c.status, c.last_transition_time.0.as_second()))
            .collect()
    }

    #[test]
    fn a_verdict_is_read_back_from_its_conditions() {
        for reason in [Reason::TokenIssued, Reason::Throttled, Reason::InvalidRequest] {
            let verdict = Verdict::new(reason, "m");
            let conditions = verdict.conditions(&[], 3, at(10));
            assert_eq!(Verdict::told_by(&conditions), Some(verdict));
        }
        assert_eq!(Verdict::told_by(&[]), None);
    }

    #[test]
    fn ready_stands_alone_and_every_other_class_sets_its_own_condition_beside_it() {
        let show = |reason| shown(&Verdict::new(reason, "m").conditions(&[], 3, at(10)));
        assert_eq!(show(Reason::TokenIssued), ["Ready=True 10"]);
        assert_eq!(show(Reason::RenewalDelayed), ["Ready=True 10"]);
        assert_eq!(show(Reason::Throttled), ["Ready=False 10", "Reconciling=True 10"]);
        assert_eq!(show(Reason::IdentityGone), ["Ready=False 10", "Stalled=True 10"]);
    }

    #[test]
    fn a_suspended_object_stops_being_ready_without_reconciling_or_stalling() {
        let expired = Verdict {
            ready: false,
            ..Verdict::new(Reason::Suspended, "m")
        };
        assert_eq!(shown(&expired.conditions(&[], 1, at(10))), ["Ready=False 10"]);
    }

    #[test]
    fn the_same_verdict_later_gives_equal_conditions() {
        let verdict = Verdict::new(Reason::TokenIssued, "m");
        let first = verdict.conditions(&[], 1, at(10));
        assert_eq!(verdict.conditions(&first, 1, at(99)), first);
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let waiting = Verdict::new(Reason::Progressing, "m").conditions(&[], 1, at(10));
        let throttled = Verdict::new(Reason::Throttled, "other").conditions(&waiting, 1, at(20));
        assert_eq!(shown(&throttled), ["Ready=False 10", "Reconciling=True 10"]);
        let stalled = Verdict::new(Reason::IdentityGone, "m").conditions(&throttled, 2, at(30));
        assert_eq!(shown(&stalled), ["Ready=False 10", "Stalled=True 30"]);
        let issued = Verdict::new(Reason::TokenIssued, "m").conditions(&stalled, 2, at(40));
        assert_eq!(shown(&issued), ["Ready=True 40"]);
        assert_eq!(issued[0].observed_generation, Some(2));
    }

    #[test]
    fn a_message_is_a_sentence_and_names_keep_their_spelling() {
        for (words, sentence) in [
            ("the token is valid", "The token is valid."),
            ("spec.suspend is true", "spec.suspend is true."),
            ("ACS answered 503: Busy.", "ACS answered 503: Busy."),
            ("connectionRef is not served", "connectionRef is not served."),
        ] {
            assert_eq!(Verdict::new(Reason::Progressing, words).message, sentence);
        }
    }

    #[test]
    fn conditions_of_others_are_kept() {
        let foreign = Condition {
            type_: "example.com/Audited".to_owned(),
            ..Verdict::new(Reason::TokenIssued, "m")
                .conditions(&[], 1, at(1))
                .remove(0)
        };
        let conditions = Verdict::new(Reason::TokenIssued, "m").conditions(&[foreign], 1, at(10));
        assert_eq!(shown(&conditions), ["Ready=True 10", "example.com/Audited=True 1"]);
    }

    #[test]
    fn conditions_of_others_never_make_a_status_too_long_to_be_written() {
        let foreign = |n: usize| Condition {
            type_: format!("example.com/{n}"),
            ..Verdict::new(Reason::TokenIssued, "m")
                .conditions(&[], 1, at(1))
                .remove(0)
        };
        let previous: Vec<_> = (0..MAX_CONDITIONS).map(foreign).collect();
        let conditions = Verdict::new(Reason::IdentityGone, "m").conditions(&previous, 1, at(10));
        assert_eq!(conditions.len(), MAX_CONDITIONS);
        assert_eq!(shown(&conditions)[..2], ["Ready=False 10", "Stalled=True 10"]);
    }

    #[test]
    fn a_message_is_cut_to_what_the_schema_accepts() {
        let verdict = Verdict::new(Reason::InvalidRequest, "é".repeat(MAX_MESSAGE_CHARS + 1));
        assert_eq!(
            verdict.conditions(&[], 1, at(1))[0].message.chars().count(),
            MAX_MESSAGE_CHARS
        );
    }
}
