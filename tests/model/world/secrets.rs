//! What processes do to Secrets, and what they must not do.

use acs_operator::decide::{DesiredSecret, Precondition, SecretVersion, User};

use super::{Breach, World, identity_id};
use crate::api_server::{Refusal, StoredSecret};
use crate::bugs::Bug;

impl World {
    /// A process writes a Secret.
    pub fn apply_secret(
        &mut self,
        number: usize,
        user: &User,
        desired: &DesiredSecret,
        precondition: &Precondition,
    ) -> Result<SecretVersion, Refusal> {
        let before = self.api.secrets.get(&desired.name).cloned();
        let current = before.as_ref().map(|secret| secret.version.clone());
        let blind = current.map_or(Precondition::Absent, Precondition::Version);
        let careless = self.bug == Some(Bug::SecretOverwritten);
        let precondition = if careless { &blind } else { precondition };
        let version = self.api.apply_secret(&user.uid, desired, precondition)?;
        if let Some(before) = before {
            self.check_replaced(&before, user, desired);
        }
        let stored = self.api.user.as_ref().filter(|stored| stored.uid == user.uid);
        let recorded = stored.is_none_or(|stored| identity_id(Some(stored)) == Some(&desired.record.identity));
        // One that has just lost the lease may be overtaken by a replacement: its successor puts that right.
        if !recorded && self.replicas[number].leads {
            self.breaches.insert(Breach::TokenOfAnotherIdentity);
        }
        if let Some(token) = self.service.tokens.get_mut(&desired.record.sha256) {
            token.handed_out = Some(user.uid.clone());
        }
        Ok(version)
    }

    fn check_replaced(&mut self, before: &StoredSecret, user: &User, desired: &DesiredSecret) {
        let Some(written) = before.written.as_ref().filter(|_| is_ours(before, user)) else {
            self.breaches.insert(Breach::ForeignSecret);
            return;
        };
        let number = |fingerprint: &str| self.service.tokens.get(fingerprint).map(|token| token.number);
        let same_identity = written.record.identity == desired.record.identity;
        if before.token_intact && same_identity && number(&desired.record.sha256) < number(&written.record.sha256) {
            self.breaches.insert(Breach::OlderToken);
        }
    }

    /// A process deletes a Secret.
    pub fn delete_secret(&mut self, user: &User, version: &SecretVersion) -> Result<(), Refusal> {
        let stored = self.api.secrets.get(&version.name).cloned();
        let by_name = stored.as_ref().map(|stored| &stored.version);
        let version = match self.bug {
            Some(Bug::NoUidPrecondition) => by_name.unwrap_or(version),
            _ => version,
        };
        self.api.delete_secret(version)?;
        if stored.is_some_and(|stored| !is_ours(&stored, user)) {
            self.breaches.insert(Breach::ForeignSecret);
        }
        Ok(())
    }
}

fn is_ours(secret: &StoredSecret, user: &User) -> bool {
    match &secret.owner {
        Some(owner) => *owner == user.uid,
        None => secret.written.is_some(),
    }
}
