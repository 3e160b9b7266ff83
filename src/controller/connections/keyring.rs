//! The credentials of a connection, each with its client, and what ACS said of them.

use acs_identity::{Client, Error, FailureClass};
use jiff::Timestamp;

use super::clock_skew::{may_be_to_blame, refusal_words};
use super::ways::Ways;
use crate::decide::connection::{Credential, Health, Obstacle, Unknown};

/// See the module's page. Empty until something was loaded.
#[derive(Default)]
pub struct Keyring {
    /// What was loaded last.
    ways: Option<Ways>,
    credential: Option<Credential>,
    health: Health,
}

/// What a load has changed.
#[derive(Default)]
pub struct Reloaded {
    /// Anything at all.
    pub is_any: bool,
    /// The credentials lead to another endpoint.
    pub leads_elsewhere: bool,
}

impl Keyring {
    /// Takes what was loaded. What can't be loaded any more is used on as it was, what is known of other credentials is
    /// forgotten, and whatever was changed is to be tried at once.
    pub fn load(&mut self, loaded: Result<Ways, Credential>) -> Reloaded {
        let mut change = Reloaded::default();
        self.credential = Some(match loaded {
            Ok(ways) => {
                let credential = ways.as_credential(None);
                let before = self.ways.replace(ways.clone());
                if let Some(before) = before.filter(|before| ways.differ_from(before)) {
                    change.is_any = true;
                    change.leads_elsewhere = before.endpoint != ways.endpoint;
                }
                if change.leads_elsewhere {
                    self.health = Health::default();
                }
                self.health.keep_only(&ways.fingerprints());
                if change.is_any {
                    self.health.begin_anew();
                }
                credential
            }
            Err(Credential::Missing(why)) => self.outlived(why, Credential::Missing),
            Err(Credential::Refused(why)) => self.outlived(why, Credential::Refused),
            Err(other) => other,
        });
        change
    }

    /// What was loaded before, if there is anything.
    fn outlived(&self, why: String, nothing: fn(String) -> Credential) -> Credential {
        match &self.ways {
            Some(ways) => ways.as_credential(Some(why)),
            None => nothing(why),
        }
    }

    /// As decisions see it; `None`: nothing was loaded yet.
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// What ACS said of the credentials.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The client with this credential.
    pub fn client(&self, credential: &str) -> Option<&Client> {
        self.ways.as_ref()?.client(credential)
    }

    /// Where they lead to, and whether creates carry custom ids.
    pub fn endpoint(&self) -> Option<(&str, bool)> {
        let ways = self.ways.as_ref()?;
        Some((&ways.endpoint, ways.api_version.has_custom_id()))
    }

    /// The fingerprint of the credential in use; `None`: there is none, or all are refused.
    pub fn in_use(&self) -> Option<String> {
        self.health.in_use(&self.ways.as_ref()?.fingerprints()).cloned()
    }

    /// Fingerprints whose tokens are good, as known now; `None`: not known.
    pub fn good(&self) -> Option<Vec<String>> {
        let credentials = self.ways.as_ref()?.fingerprints();
        self.health.proven().map(|_| self.health.good(&credentials))
    }

    /// What an answer to a call means hangs on a proof that is made from now on.
    pub fn await_proof(&mut self, now: Timestamp) {
        self.health.await_proof(now);
    }

    /// Whether an outage has ended since this was last asked.
    pub fn take_recovered(&mut self) -> bool {
        self.health.take_recovered()
    }

    /// A probe of a credential ended.
    pub fn probed(&mut self, credential: &str, answer: &Result<(), Error>, now: Timestamp) {
        match answer {
            Ok(()) => self.health.accepted(credential, now),
            Err(error) => match error.class() {
                FailureClass::CredentialRejected => self.refused(credential, error, now),
                class => self.health.unknown(Unknown {
                    words: error.fault().to_string(),
                    obstacle: match class {
                        FailureClass::Throttled { .. } => Obstacle::Throttled,
                        FailureClass::Rejected => Obstacle::Rejected,
                        _ if error.is_untrusted() => Obstacle::Untrusted,
                        _ => Obstacle::Away,
                    },
                }),
            },
        }
        self.health.probed(now);
    }

    /// A call of a user was answered. Whether that is news for who looks after the connection.
    pub fn answered(&mut self, credential: &str, error: Option<&Error>, now: Timestamp) -> bool {
        // What was said of a credential that has left meanwhile says nothing of the others.
        if self.client(credential).is_none() {
            return false;
        }
        let Some(error) = error else {
            return self.health.served(credential, now);
        };
        match error.class() {
            FailureClass::CredentialRejected => self.refused(credential, error, now),
            FailureClass::NotSent | FailureClass::Transient { .. } | FailureClass::InDoubt => {
                self.health.suspected(now);
            }
            _ => return false,
        }
        true
    }

    fn refused(&mut self, credential: &str, error: &Error, now: Timestamp) {
        let is_blamed = !may_be_to_blame(error);
        self.health.refused(credential, &refusal_words(error), is_blamed, now);
    }
}
