//! What is known of the credentials of one connection: which are accepted, which are refused, and which are done with.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// A credential that is refused twice over at least this time, while another one is accepted, is done with: its tokens are
/// replaced. One stray 401 replaces nothing.
const APART: SignedDuration = SignedDuration::from_mins(1);

/// What ACS said of the credentials of a connection. Only this process knows it; a new one asks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// By fingerprint, while they are refused.
    refused: BTreeMap<String, Refusals>,
    /// The credential that was accepted last, and when.
    accepted: Option<(String, Timestamp)>,
    /// The last probe that ended without an answer about the credential.
    unknown: Option<Unknown>,
    /// Probes in a row that accepted no credential.
    failures: u32,
    /// When the last probe ended.
    probed: Option<Timestamp>,
    /// When a call of a user failed as calls do when ACS is away, unless ACS answered since.
    outage: Option<Timestamp>,
    /// Somebody waits for a proof: whatever was proven before is no answer.
    is_awaited: bool,
    /// An outage has ended, and nobody was told yet.
    recovered: bool,
    /// When a credential was last accepted after probes had failed, or after credentials were changed.
    repaired: Option<Timestamp>,
    /// Credentials were changed, and none was accepted since.
    changed: bool,
}

/// How often a credential was refused since it was last accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusals {
    first: Timestamp,
    last: Timestamp,
    words: String,
}

/// Why a probe said nothing of the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What happened, in words that can stand after a colon.
    pub words: String,
    /// What kept ACS from saying anything of it.
    pub obstacle: Obstacle,
}

/// What keeps ACS from saying anything of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It cannot be reached, or fails to answer.
    Away,
    /// No trusted authority has signed the certificate that is shown in its place, so nothing was sent.
    Untrusted,
    /// It asks to wait.
    Throttled,
    /// It refuses the request as such, which no repeat changes: its API version, most likely.
    Rejected,
}

impl Health {
    /// ACS accepted a credential.
    pub fn accepted(&mut self, credential: &str, now: Timestamp) {
        self.recovered |= self.failures > 0;
        // Without any of these the proof was as good before: whatever fails all the same is no matter of the connection.
        if self.failures > 0 || self.changed || !self.is_accepted(credential) {
            self.repaired = Some(now);
        }
        self.refused.remove(credential);
        self.accepted = Some((credential.to_owned(), now));
        (self.unknown, self.failures, self.outage, self.changed) = (None, 0, None, false);
        self.is_awaited = false;
    }

    /// ACS served a call that was made with a credential. Whether that is news.
    pub fn served(&mut self, credential: &str, now: Timestamp) -> bool {
        let is_news = !self.is_accepted(credential) || self.refused.contains_key(credential);
        if is_news {
            self.accepted(credential, now);
            // Whoever met the refusal waits, though between two looks at the connection nothing may have changed.
            self.recovered = true;
        }
        is_news
    }

    /// ACS refused a credential. Where it is not to blame, because a clock may be, no number of refusals makes it done with.
    pub fn refused(&mut self, credential: &str, words: &str, blamed: bool, now: Timestamp) {
        let refusals = self.refused.entry(credential.to_owned()).or_insert_with(|| Refusals {
            first: now,
            last: now,
            words: words.to_owned(),
        });
        refusals.last = now.max(refusals.last);
        if !blamed {
            refusals.first = refusals.last;
        }
        words.clone_into(&mut refusals.words);
    }

    /// A probe had no answer, or one that says nothing of the credential.
    pub fn unknown(&mut self, unknown: Unknown) {
        self.unknown = Some(unknown);
    }

    /// A probe ended at `now`. Whether it accepted a credential was said before.
    pub fn probed(&mut self, now: Timestamp) {
        self.probed = Some(now);
        if self.accepted.as_ref().is_none_or(|(_, at)| *at < now) {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// A call of a user failed as calls do when ACS is away.
    pub fn suspected(&mut self, now: Timestamp) {
        self.outage.get_or_insert(now);
    }

    /// What an answer to a call means hangs on a proof that is made from now on.
    pub fn await_proof(&mut self, now: Timestamp) {
        self.suspected(now);
        self.is_awaited = true;
    }

    /// Whether somebody waits for a proof.
    pub fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Forgets what is known of credentials other than these.
    pub fn keep_only(&mut self, credentials: &[String]) {
        let is_kept = |credential: &String| credentials.contains(credential);
        self.refused.retain(|credential, _| is_kept(credential));
        self.accepted.take_if(|(credential, _)| !is_kept(credential));
    }

    /// Credentials were changed, or what they lead to: however often it was tried in vain before, the next probe is due now.
    pub fn begin_anew(&mut self) {
        (self.failures, self.probed, self.unknown, self.changed) = (0, None, None, true);
    }

    /// The credential to use: the first that is not refused.
    pub fn in_use<'a>(&self, credentials: &'a [String]) -> Option<&'a String> {
        credentials
            .iter()
            .find(|credential| !self.refused.contains_key(*credential))
    }

    /// The credentials whose tokens are good: all but those that were refused again after a while, with another one accepted
    /// since. While none is accepted nothing is done with.
    pub fn good(&self, credentials: &[String]) -> Vec<String> {
        let is_done_with = |credential: &&String| {
            let refusals = self.refused.get(*credential);
            refusals.is_some_and(|refusals| {
                let lasting = refusals.last.duration_since(refusals.first) >= APART;
                lasting && self.accepted.as_ref().is_some_and(|(_, at)| *at >= refusals.first)
            })
        };
        credentials
            .iter()
            .filter(|credential| !is_done_with(credential))
            .cloned()
            .collect()
    }

    /// Whether this credential is the one that was accepted last.
    pub fn is_accepted(&self, credential: &str) -> bool {
        self.accepted
            .as_ref()
            .is_some_and(|(accepted, _)| accepted == credential)
    }

    /// When a credential was last accepted.
    pub fn proven(&self) -> Option<Timestamp> {
        self.accepted.as_ref().map(|(_, at)| *at)
    }

    /// When a credential was last accepted after probes had failed, or after credentials were changed.
    pub fn repaired(&self) -> Option<Timestamp> {
        self.repaired
    }

    /// Whether there was any answer to a probe, of whatever kind.
    pub fn is_known(&self) -> bool {
        self.accepted.is_some() || self.probed.is_some()
    }

    /// What ACS said when it refused this credential.
    pub fn refusal(&self, credential: &str) -> Option<&str> {
        self.refused.get(credential).map(|refusals| refusals.words.as_str())
    }

    /// Why the last probe said nothing, if it did not.
    pub fn why_unknown(&self) -> Option<&Unknown> {
        self.unknown.as_ref()
    }

    /// Whether ACS is known, or suspected, not to serve at the moment.
    pub fn is_in_doubt(&self) -> bool {
        self.outage.is_some() || self.unknown.is_some()
    }

    /// Whether an outage has ended since this was last asked.
    pub fn take_recovered(&mut self) -> bool {
        std::mem::take(&mut self.recovered)
    }

    /// Failed probes in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the last probe ended.
    pub fn last_probe(&self) -> Option<Timestamp> {
        self.probed
    }

    /// The refused credential that is to be asked about once more, and when: only a second refusal makes it done with.
    pub fn to_be_confirmed<'a>(&self, credentials: &'a [String]) -> Option<(&'a String, Timestamp)> {
        credentials.iter().find_map(|credential| {
            let refusals = self.refused.get(credential)?;
            let once = refusals.last.duration_since(refusals.first) < APART;
            once.then(|| (credential, refusals.first + APART))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn keys() -> Vec<String> {
        vec!["primary".into(), "secondary".into()]
    }

    #[test]
    fn the_first_key_that_is_not_refused_is_used() {
        let mut health = Health::default();
        assert_eq!(health.in_use(&keys()).unwrap(), "primary");
        health.refused("primary", "Denied", true, at(0));
        assert_eq!(health.in_use(&keys()).unwrap(), "secondary");
        health.refused("secondary", "Denied", true, at(1));
        assert_eq!(health.in_use(&keys()), None);
        health.accepted("primary", at(2));
        assert_eq!(health.in_use(&keys()).unwrap(), "primary");
    }

    #[test]
    fn one_stray_refusal_makes_no_key_done_with() {
        let mut health = Health::default();
        health.accepted("primary", at(0));
        health.refused("primary", "Denied", true, at(10));
        health.accepted("secondary", at(11));
        for second in [11, 100, 100_000] {
            assert_eq!(health.good(&keys()), keys(), "{second}");
        }
        assert_eq!(
            health.to_be_confirmed(&keys()),
            Some((&"primary".to_owned(), at(70))),
            "it is asked about once more"
        );
    }

    #[test]
    fn a_key_that_is_refused_again_after_a_minute_while_another_is_accepted_is_done_with() {
        let mut health = Health::default();
        health.refused("primary", "Denied", true, at(0));
        health.refused("primary", "Denied", true, at(59));
        health.accepted("secondary", at(59));
        assert_eq!(health.good(&keys()), keys());
        health.refused("primary", "Denied", true, at(60));
        assert_eq!(health.good(&keys()), ["secondary"]);
        assert_eq!(health.to_be_confirmed(&keys()), None);
        health.accepted("primary", at(61));
        assert_eq!(health.good(&keys()), keys());
    }

    #[test]
    fn what_a_clock_may_be_to_blame_for_makes_no_key_done_with() {
        let mut health = Health::default();
        for second in [0, 100, 200] {
            health.refused("primary", "Denied", false, at(second));
        }
        health.accepted("secondary", at(201));
        assert_eq!(health.good(&keys()), keys());
    }

    #[test]
    fn no_key_is_done_with_while_none_is_accepted() {
        let mut health = Health::default();
        for key in keys() {
            health.refused(&key, "Denied", true, at(0));
            health.refused(&key, "Denied", true, at(100));
        }
        assert_eq!(health.good(&keys()), keys());
    }

    #[test]
    fn new_keys_are_not_blamed_for_old_ones() {
        let mut health = Health::default();
        health.refused("primary", "Denied", true, at(0));
        health.probed(at(0));
        health.keep_only(&["new".to_owned()]);
        health.begin_anew();
        assert_eq!(health.in_use(&["new".to_owned()]).unwrap(), "new");
        assert_eq!(health.refusal("primary"), None);
        assert_eq!(
            (health.failures(), health.last_probe()),
            (0, None),
            "nobody waits for them"
        );
    }

    #[test]
    fn failed_probes_are_counted_until_one_is_answered_well() {
        let mut health = Health::default();
        health.probed(at(0));
        health.probed(at(1));
        assert_eq!(health.failures(), 2);
        health.accepted("primary", at(2));
        health.probed(at(2));
        assert_eq!(health.failures(), 0);
    }
}
