//! The users of a connection: how many there are, what they wait for, and who wakes them.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Keeper;
use crate::api::{CommunicationUser, IdentityStatus, Origin};
use crate::cluster::ObjectKey;
use crate::controller::connections::census::Census;
use crate::controller::connections::entry::Entry;
use crate::controller::connections::key_of;
use crate::controller::connections::source::Source;
use crate::controller::queue::Lane;
use crate::controller::sources::held_identity;
use crate::decide::connection::Users;
use crate::decide::resource_of;

impl Keeper {
    /// Its users, what they wait for, and when to count again.
    pub(super) fn count(&self, source: &Source, entry: &Entry) -> (Users, Option<Duration>) {
        let (good, former) = (entry.good(), entry.former_resource());
        let now = self.clock.now();
        let asked = source.settings.tokens_valid_from.as_ref().map(|time| time.0);
        let valid_from = asked.filter(|from| *from <= now);
        let count = || {
            let mut census = Census::default();
            self.for_each_user(&source.key, |_, user| {
                census.users.all += 1;
                census.users.leaving += i32::from(user.metadata.deletion_timestamp.is_some());
                census.users.holders += i32::from(held_identity(user).is_some());
                census.users.of_former += i32::from(former.as_deref().is_some_and(|former| is_of(user, former)));
                census.users.tokens_pending += i32::from(waits_for_a_token(user, good.as_deref(), valid_from));
                let told = suspected_orphans(user);
                census.users.suspected_orphans = census.users.suspected_orphans.saturating_add(told);
                census.renewals_per_second += renewals_per_second(user);
            });
            census
        };
        let (census, recount) = entry.count(count, Instant::now());
        if recount.is_none() && census.users.of_former == 0 {
            entry.remember(|memory| {
                memory.former_resource.take_if(|is| former.as_ref() == Some(is));
            });
        }
        // Nothing happens to any user at that instant by which the connection would be looked at.
        let comes = asked.filter(|from| *from > now);
        let comes = comes.and_then(|from| Duration::try_from(from.duration_since(now)).ok());
        (census.users, recount.into_iter().chain(comes).min())
    }

    /// Shows every user of a connection.
    pub(super) fn for_each_user(&self, key: &ObjectKey, mut visit: impl FnMut(&ObjectKey, &CommunicationUser)) {
        self.users.for_each(|user, object| {
            if key_of(object).as_ref() == Some(key) {
                visit(user, object);
            }
        });
    }

    /// Every user of a connection is looked at, those first whose token ends first.
    pub(super) fn wake_users(&self, key: &ObjectKey) {
        let mut users = Vec::new();
        self.for_each_user(key, |user, object| users.push((expiry(object), user.clone())));
        users.sort();
        for (_, user) in users {
            self.user_queue.add_now(user, Lane::Routine);
        }
    }
}

fn waits_for_a_token(user: &CommunicationUser, good: Option<&[String]>, valid_from: Option<Timestamp>) -> bool {
    if user.spec.token.is_none() || user.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let status = user.status.as_ref();
    let Some(token) = status.and_then(|status| status.token.as_ref()) else {
        return false;
    };
    let retired = good
        .zip(token.credential.as_ref())
        .is_some_and(|(good, credential)| !good.contains(credential));
    let created = status.and_then(|status| status.identity.as_ref()?.creation_time.as_ref());
    let outdated = valid_from.is_some_and(|from| {
        let since = |time: Option<Timestamp>| time.is_some_and(|time| time >= from);
        !since(token.revocation_time.as_ref().map(|time| time.0)) && !since(created.map(|time| time.0))
    });
    retired || outdated
}

/// Whether a user holds an identity of this resource.
fn is_of(user: &CommunicationUser, resource: &str) -> bool {
    let of = held_identity(user).and_then(resource_of);
    of.is_some_and(|of| of.eq_ignore_ascii_case(resource))
}

/// The suspected orphans that it tells of. A copy tells those of its original as well.
fn suspected_orphans(user: &CommunicationUser) -> i32 {
    let identity = user.status.as_ref().and_then(|status| status.identity.as_ref());
    let is_own = |identity: &&IdentityStatus| {
        let owner = identity.owner_uid.as_ref();
        owner.is_none_or(|owner| Some(owner) == user.metadata.uid.as_ref()) && identity.origin != Some(Origin::Restored)
    };
    let told = identity.filter(is_own).and_then(|identity| identity.suspected_orphans);
    told.unwrap_or(0).max(0)
}

fn renewals_per_second(user: &CommunicationUser) -> f64 {
    let token = user.status.as_ref().and_then(|status| status.token.as_ref());
    let times = token.and_then(|token| Some((token.issue_time.as_ref()?.0, token.renewal_time.as_ref()?.0)));
    let between = times.map_or(0.0, |(issued, renewal)| renewal.duration_since(issued).as_secs_f64());
    if between > 0.0 { 1.0 / between } else { 0.0 }
}

fn expiry(user: &CommunicationUser) -> Option<Timestamp> {
    let token = user.status.as_ref()?.token.as_ref()?;
    Some(token.expiration_time.as_ref()?.0)
}
