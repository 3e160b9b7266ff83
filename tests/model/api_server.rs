//! The rules of the API server that decisions rely on, for one name in one namespace.

use std::collections::BTreeMap;

use acs_operator::api::CommunicationUserStatus;
use acs_operator::api::names::finalizer;
use acs_operator::decide::{DesiredSecret, Finding, OwnedSecret, Precondition, SecretVersion, SecretView, User};

/// What it stores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiServer {
    /// The object.
    pub user: Option<User>,
    /// The Secrets by name.
    pub secrets: BTreeMap<String, StoredSecret>,
    /// Versions of the object and of Secrets are counted apart, so that independent writes in either order come to the
    /// same state.
    user_versions: u32,
    /// The version of the last change of a Secret.
    pub secret_versions: u32,
}

/// A Secret as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSecret {
    /// Which version it is.
    pub version: SecretVersion,
    /// The uid of its controller.
    pub owner: Option<String>,
    /// What the operator wrote last; `None`: it never wrote this Secret.
    pub written: Option<DesiredSecret>,
    /// Whether the token is still the one that was written.
    pub token_intact: bool,
    /// Whether the other values are.
    pub values_intact: bool,
    /// Whether the label that the watch selects by is there.
    pub labelled: bool,
}

/// Why a write was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The object is not the expected one.
    Conflict,
    /// There is no such object.
    Gone,
}

impl ApiServer {
    /// A write to the object, conditional on its uid and version.
    pub fn write_user(&mut self, seen: &User, change: impl FnOnce(&mut User)) -> Result<User, Refusal> {
        match &self.user {
            Some(stored) if stored.uid == seen.uid && stored.resource_version == seen.resource_version => {}
            Some(stored) if stored.uid == seen.uid => return Err(Refusal::Conflict),
            _ => return Err(Refusal::Gone),
        }
        self.change_user(change);
        // The answer shows the object even when the change was the end of it.
        Ok(self.user.clone().unwrap_or_else(|| seen.clone()))
    }

    /// The status subresource: nothing else is taken over.
    pub fn write_status(&mut self, seen: &User, status: &CommunicationUserStatus) -> Result<User, Refusal> {
        self.write_user(seen, |user| user.status.clone_from(status))
    }

    /// The object with this uid.
    pub fn read_user(&self, uid: &str) -> Result<User, Refusal> {
        self.user.clone().filter(|user| user.uid == uid).ok_or(Refusal::Gone)
    }

    /// Somebody changes the object. With the last finalizer goes an object that is being deleted.
    pub fn change_user(&mut self, change: impl FnOnce(&mut User)) {
        let Some(user) = &mut self.user else { return };
        let before = user.clone();
        change(user);
        if *user == before {
            return;
        }
        self.user_versions += 1;
        user.resource_version = self.user_versions.to_string();
        self.user
            .take_if(|user| user.deleting && !user.finalizers.iter().any(|held| held == finalizer::IDENTITY));
    }

    /// Somebody makes an object of this name.
    pub fn put_user(&mut self, mut user: User) {
        self.user_versions += 1;
        user.resource_version = self.user_versions.to_string();
        self.user = Some(user);
    }

    /// Server-side apply of a whole Secret.
    pub fn apply_secret(
        &mut self,
        owner: &str,
        desired: &DesiredSecret,
        precondition: &Precondition,
    ) -> Result<SecretVersion, Refusal> {
        if !self.meets(&desired.name, precondition) {
            return Err(Refusal::Conflict);
        }
        let stored = self.secrets.get(&desired.name).map(|secret| &secret.version);
        self.secret_versions += 1;
        let version = SecretVersion {
            name: desired.name.clone(),
            uid: stored.map_or(format!("secret-{}", self.secret_versions), |stored| stored.uid.clone()),
            resource_version: self.secret_versions.to_string(),
        };
        let secret = StoredSecret {
            version: version.clone(),
            owner: Some(owner.to_owned()),
            written: Some(desired.clone()),
            token_intact: true,
            values_intact: true,
            labelled: true,
        };
        self.secrets.insert(desired.name.clone(), secret);
        Ok(version)
    }

    /// Whether a write on this condition would be accepted.
    pub fn meets(&self, name: &str, precondition: &Precondition) -> bool {
        match (precondition, self.secrets.get(name)) {
            (Precondition::Absent, None) => true,
            (Precondition::Version(expected), Some(stored)) => *expected == stored.version,
            _ => false,
        }
    }

    /// Deletes exactly this version of a Secret.
    pub fn delete_secret(&mut self, version: &SecretVersion) -> Result<(), Refusal> {
        match self.secrets.get(&version.name) {
            Some(stored) if stored.version != *version => return Err(Refusal::Conflict),
            Some(_) => self.remove_secret(&version.name),
            None => {}
        }
        Ok(())
    }

    /// Somebody deletes a Secret.
    pub fn remove_secret(&mut self, name: &str) {
        self.secret_versions += 1;
        self.secrets.remove(name);
    }

    /// Somebody changes a Secret.
    pub fn change_secret(&mut self, name: &str, change: impl FnOnce(&mut StoredSecret)) {
        if let Some(secret) = self.secrets.get_mut(name) {
            self.secret_versions += 1;
            change(secret);
            secret.version.resource_version = self.secret_versions.to_string();
        }
    }

    /// Somebody makes a Secret that has nothing to do with the operator.
    pub fn put_foreign_secret(&mut self, name: &str) {
        self.secret_versions += 1;
        let secret = StoredSecret {
            version: SecretVersion {
                name: name.to_owned(),
                uid: format!("secret-{}", self.secret_versions),
                resource_version: self.secret_versions.to_string(),
            },
            owner: None,
            written: None,
            token_intact: false,
            values_intact: false,
            labelled: false,
        };
        self.secrets.insert(name.to_owned(), secret);
    }

    /// What the garbage collector does sooner or later: a Secret whose controller is gone goes.
    pub fn collect_garbage(&mut self) {
        let uid = self.user.as_ref().map(|user| user.uid.clone());
        let before = self.secrets.len();
        self.secrets
            .retain(|_, secret| secret.owner.is_none() || secret.owner == uid);
        self.secret_versions += u32::from(self.secrets.len() != before);
    }

    /// The Secret of this name as `user` sees it.
    pub fn look_at_secret(&self, name: &str, user: &User) -> SecretView {
        self.secrets
            .get(name)
            .map_or(SecretView::Absent, |secret| secret.view(user))
    }
}

impl StoredSecret {
    /// How it looks to `user`.
    pub fn view(&self, user: &User) -> SecretView {
        match &self.owner {
            Some(owner) if *owner == user.uid => SecretView::Ours(self.owned()),
            None if self.labelled && self.written.is_some() => SecretView::Unowned(self.owned()),
            _ => SecretView::Foreign,
        }
    }

    /// Its version and the record of its token.
    pub fn owned(&self) -> OwnedSecret {
        OwnedSecret {
            version: self.version.clone(),
            record: self.written.as_ref().map(|written| Box::new(written.record.clone())),
        }
    }

    /// What reading it against `desired` finds.
    pub fn compare(&self, desired: &DesiredSecret) -> Finding {
        let Some(written) = self.written.as_ref().filter(|_| self.token_intact) else {
            return Finding::TokenLost;
        };
        let same_content = written.labels == desired.labels
            && written.annotations == desired.annotations
            && written.values == desired.values
            && written.token_key == desired.token_key;
        if written.record.sha256 != desired.record.sha256 {
            Finding::TokenLost
        } else if same_content && self.values_intact && self.labelled && self.owner.is_some() {
            Finding::Intact
        } else {
            Finding::Astray
        }
    }
}
