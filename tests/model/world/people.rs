//! What people do to the object.

use acs_operator::api::CommunicationUserStatus;
use acs_operator::decide::{InvalidSpec, Requests, User, Wish};

use super::{World, wish};

impl World {
    /// Somebody makes the object, new.
    pub fn create_object(&mut self, wish: Wish) {
        self.uids += 1;
        self.set_aside = None;
        self.api.put_user(User {
            namespace: "team".to_owned(),
            name: "alice".to_owned(),
            uid: format!("u-{}", self.uids),
            resource_version: String::new(),
            generation: 1,
            deleting: false,
            finalizers: Vec::new(),
            attempt: None,
            requests: Requests::default(),
            wish: Ok(wish),
            status: CommunicationUserStatus::default(),
        });
    }

    /// A backup brings the object back as it was, under a new uid.
    pub fn restore_object(&mut self) {
        self.uids += 1;
        let uid = format!("u-{}", self.uids);
        if let Some(mut user) = self.api.user.take() {
            // A copy can't know what its original was about to do.
            let doomed = user.identity_id().filter(|id| self.condemned.contains(*id));
            self.lost.extend(doomed.map(str::to_owned));
            user.uid = uid;
            user.deleting = false;
            self.api.put_user(user);
        }
    }

    /// Somebody wants something else.
    pub fn change_wish(&mut self, change: impl FnOnce(&mut Wish)) {
        self.api.change_user(|user| {
            user.generation += 1;
            change(user.wish.as_mut().unwrap());
        });
    }

    /// Somebody writes what the schema lets through and nobody can read.
    pub fn spoil_spec(&mut self) {
        let wish = self.api.user.as_ref().and_then(|user| user.wish.clone().ok());
        self.api.change_user(|user| {
            user.generation += 1;
            user.wish = Err(InvalidSpec {
                why: "spec.token.lifetime: soon is no duration".to_owned(),
                deletion_policy: wish.as_ref().and_then(|wish| wish.deletion_policy.clone()),
            });
        });
        self.set_aside = wish;
    }

    /// Somebody puts that right.
    pub fn mend_spec(&mut self) {
        let mended = self.set_aside.take().unwrap_or_else(wish);
        self.api.change_user(|user| {
            user.generation += 1;
            user.wish = Ok(mended);
        });
    }

    /// Somebody wants every token that was handed out to be revoked.
    pub fn ask_revocation(&mut self, request: String) {
        let Some(user) = &self.api.user else { return };
        if user.status.last_handled_revoke_at.as_ref() != Some(&request) {
            for token in self.service.tokens.values_mut() {
                token.unwanted |= token.handed_out.is_some() && token.answers.as_ref() != Some(&request);
            }
        }
        self.api.change_user(|user| user.requests.revoke = Some(request));
    }

    /// Somebody thinks better of it.
    pub fn withdraw_revocation(&mut self) {
        self.withdrawn = self.api.user.as_ref().and_then(|user| user.requests.revoke.clone());
        self.api.change_user(|user| user.requests.revoke = None);
        for token in self.service.tokens.values_mut() {
            token.unwanted = false;
        }
    }

    /// The value of a request that was never made before.
    pub fn new_request(&mut self) -> String {
        self.asked += 1;
        format!("request {}", self.asked)
    }

    /// Somebody takes all finalizers off.
    pub fn strip_finalizers(&mut self) {
        self.stripped = true;
        self.api.change_user(|user| user.finalizers.clear());
        self.forgive();
    }

    /// Somebody deletes the object.
    pub fn delete_object(&mut self) {
        self.api.change_user(|user| {
            user.deleting = true;
            user.generation += 1;
        });
        self.forgive();
    }
}
