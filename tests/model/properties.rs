//! What has to hold in every state.

use acs_operator::api::{ConditionType, CreateAttempt};
use acs_operator::decide::{Operation, SecretView, TokenRecord, User};

use super::api_server::StoredSecret;
use super::terms::{PATIENCE, Standing};
use super::world::{World, identity_id};

/// Every identity that lives is recorded, in the hands of a task, of an attempt that is still open, counted as a suspected
/// orphan, or kept on purpose (invariants 1 and 2).
pub fn no_identity_is_lost_from_sight(world: &World) -> bool {
    let recorded = identity_id(world.api.user.as_ref());
    let open = open_attempt(world);
    world.service.identities.iter().all(|(id, attempt)| {
        let in_hand = world.replicas.iter().filter_map(|replica| replica.task.as_ref());
        recorded == Some(id)
            || world.counted.contains_key(attempt)
            // Every attempt with a custom id is about the same identity.
            || (world.service.has_custom_id(id) && !world.counted.is_empty())
            || world.kept.contains(id)
            || open.is_some_and(|open| open.attempt == *attempt || (world.service.has_custom_id(id) && open.custom_id))
            || in_hand.into_iter().any(|task| task.id == *id)
    })
}

/// Status tells how many attempts were counted for this object. What it can't take any more is counted before the object
/// is let go.
pub fn status_tells_every_suspected_orphan(world: &World) -> bool {
    let Some(user) = world.api.user.as_ref().filter(|user| !user.deleting) else {
        return true;
    };
    let identity = user.status.identity.as_ref();
    let told = identity.and_then(|identity| identity.suspected_orphans).unwrap_or(0);
    let own = world.counted.values().filter(|uid| **uid == user.uid).count();
    // A restored copy tells those of its original too.
    usize::try_from(told).is_ok_and(|told| (own..=world.counted.len()).contains(&told))
}

/// An object that is Ready and wants a token has one that can be used, as far as the operator can know (invariant 3). It
/// knows at any time of what it ended itself, whatever became of the answer; of the rest where everything rests.
pub fn ready_means_usable(world: &World) -> bool {
    let user = world.api.user.as_ref().filter(|user| !user.deleting && is_ready(user));
    let Some(user) = user.filter(|user| user.wants_token()) else {
        return true;
    };
    if let Some(record) = record(world, user)
        && world.service.tokens[&record.sha256].revoked
        && !world.lost.contains(&record.identity)
    {
        return false;
    }
    !rests(world) || is_usable_as_told(world, user)
}

/// What can't be looked at or told now is believed to be as it was, but for the time.
fn is_usable_as_told(world: &World, user: &User) -> bool {
    let leader = &world.replicas[world.leader()];
    let trouble = leader.memories.values().find_map(|memory| memory.trouble.as_ref());
    let operation = trouble.map(|trouble| trouble.failure.operation);
    if operation == Some(Operation::Record) || is_awaited(world) || has_usable_token(world, user) {
        return true;
    }
    if let Some(record) = record(world, user) {
        // Nobody told that it was taken away in ACS.
        let token = &world.service.tokens[&record.sha256];
        return Some(record.identity.as_str()) == identity_id(Some(user)) && world.now < token.expires;
    }
    let looks_well = |secret: &StoredSecret| {
        let told = secret.written.as_ref().map(|written| written.record.expires);
        matches!(secret.view(user), SecretView::Ours(_) | SecretView::Unowned(_)) && told > Some(world.now)
    };
    let may_not_look = user.wish.as_ref().is_ok_and(|wish| wish.suspend);
    let secret = world.api.secrets.get(user.secret_name());
    (may_not_look || matches!(operation, Some(Operation::Look | Operation::Write))) && secret.is_some_and(looks_well)
}

/// Whether it will be known any moment what the connection is.
fn is_awaited(world: &World) -> bool {
    matches!(world.terms.standing, Standing::New(since) if world.now < since + PATIENCE)
}

/// Where everything rests, an object that is gone leaves neither an identity nor a Secret (invariant 4).
pub fn gone_leaves_nothing(world: &World) -> bool {
    if world.api.user.is_some() || !rests(world) {
        return true;
    }
    let mut collected = world.api.clone();
    collected.collect_garbage();
    no_identity_is_lost_from_sight(world) && collected.secrets.values().all(|secret| secret.owner.is_none())
}

/// The Secrets whose controller is this object.
pub fn owned_secrets<'a>(world: &'a World, user: &'a User) -> impl Iterator<Item = &'a StoredSecret> {
    let secrets = world.api.secrets.values();
    secrets.filter(|secret| secret.owner.as_ref() == Some(&user.uid))
}

/// The record of the token in the Secret of the object.
pub fn record<'a>(world: &'a World, user: &'a User) -> Option<&'a TokenRecord> {
    let name = &user.wish.as_ref().ok()?.secret.name;
    let secret = world.api.secrets.get(name)?;
    let ours = secret.owner.as_ref() == Some(&user.uid) && secret.token_intact;
    let written = secret.written.as_ref().filter(|_| ours)?;
    Some(&written.record)
}

/// Whether the token in the Secret of the object is one of its identity and opens doors now.
pub fn has_usable_token(world: &World, user: &User) -> bool {
    let Some(record) = record(world, user) else {
        return false;
    };
    let token = &world.service.tokens[&record.sha256];
    Some(record.identity.as_str()) == identity_id(Some(user)) && !token.revoked && world.now < token.expires
}

/// Whether nothing is under way and the leader has seen everything.
pub fn rests(world: &World) -> bool {
    let leader = &world.replicas[world.leader()];
    world.replicas.iter().all(|replica| replica.rests(world.now))
        && leader.user == world.api.user
        && leader.secrets_shown == world.api.secret_versions
}

/// The attempt that status does not settle yet.
fn open_attempt(world: &World) -> Option<&CreateAttempt> {
    let user = world.api.user.as_ref()?;
    let attempt = user.attempt.as_ref().filter(|attempt| attempt.owner_uid == user.uid)?;
    let settled = user
        .status
        .identity
        .as_ref()
        .and_then(|identity| identity.attempt.clone());
    (settled != Some(attempt.attempt.to_string())).then_some(attempt)
}

/// Whether the object says that it is Ready.
pub fn is_ready(user: &User) -> bool {
    ConditionType::Ready
        .find(&user.status.conditions)
        .is_some_and(|ready| ready.status == "True")
}

/// The reason of Ready.
pub fn reason(user: &User) -> Option<&str> {
    ConditionType::Ready
        .find(&user.status.conditions)
        .map(|ready| ready.reason.as_str())
}
