//! What has to hold in every state.

use acs_operator::api::names::finalizer;
use acs_operator::api::{ConditionType, Reason};
use acs_operator::decide::{DesiredSecret, Finding, Operation, SecretView, TokenRecord, User, Wish};
use uuid::Uuid;

use super::api_server::StoredSecret;
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
            || (world.service.custom_ids && !world.counted.is_empty())
            || world.kept.contains(id)
            || open.is_some_and(|open| open == *attempt || world.service.custom_ids)
            || in_hand.into_iter().any(|task| task.id == *id)
    })
}

/// Status tells how many attempts were counted for this object.
pub fn status_tells_every_suspected_orphan(world: &World) -> bool {
    let Some(user) = &world.api.user else { return true };
    let identity = user.status.identity.as_ref();
    let told = identity.and_then(|identity| identity.suspected_orphans).unwrap_or(0);
    let own = world.counted.values().filter(|uid| **uid == user.uid).count();
    // A restored copy tells those of its original too.
    usize::try_from(told).is_ok_and(|told| (own..=world.counted.len()).contains(&told))
}

/// Where everything rests, an object that is Ready and wants a token has one that can be used (invariant 3). What can't be
/// looked at or told now is believed to be as it was, but for the time.
pub fn ready_means_usable(world: &World) -> bool {
    let Some(user) = world
        .api
        .user
        .as_ref()
        .filter(|user| !user.deleting && rests(world) && is_ready(user))
    else {
        return true;
    };
    let leader = &world.replicas[world.leader()];
    let trouble = leader.memories.values().find_map(|memory| memory.trouble.as_ref());
    if trouble.is_some_and(|trouble| trouble.failure.operation == Operation::Record) {
        return true;
    }
    let Some(wish) = user.wish.as_ref().ok().filter(|wish| wish.token.is_some()) else {
        return true;
    };
    if has_usable_token(world, user) {
        return true;
    }
    let lost = identity_id(Some(user)).is_some_and(|id| !world.service.identities.contains_key(id));
    let told = user
        .status
        .token
        .as_ref()
        .and_then(|token| token.expiration_time.as_ref());
    (trouble.is_some() || wish.suspend || lost) && told.is_none_or(|expiry| world.now < expiry.0)
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

/// Whether the world is as its users want it, as far as that can be.
pub fn is_as_wished(world: &World) -> Result<(), &'static str> {
    let expect = |holds: bool, otherwise: &'static str| if holds { Ok(()) } else { Err(otherwise) };
    expect(no_identity_is_lost_from_sight(world), "an identity is lost from sight")?;
    let Some(user) = &world.api.user else {
        return expect(gone_leaves_nothing(world), "the object left something behind");
    };
    expect(!user.deleting, "the deletion does not end")?;
    let Ok(wish) = &user.wish else { return Ok(()) };
    expect(
        user.status.observed_generation == Some(user.generation),
        "the generation is not observed",
    )?;
    if wish.suspend {
        return expect(
            reason(user) == Some(Reason::Suspended.as_str()),
            "not said to be suspended",
        );
    }
    let id = identity_id(Some(user)).ok_or("no identity")?;
    expect(
        user.finalizers.iter().any(|held| held == finalizer::IDENTITY),
        "not protected",
    )?;
    expect(user.requests.replace.as_deref() != Some(id), "not replaced")?;
    if !world.service.identities.contains_key(id) {
        // Somebody took it away in ACS: only a request for another one helps.
        return Ok(());
    }
    expect(
        user.requests.revoke == user.status.last_handled_revoke_at,
        "a revocation is not met",
    )?;
    let mut tokens = world.service.tokens.values();
    expect(
        tokens.all(|token| token.revoked || !token.unwanted),
        "a token outlived its revocation",
    )?;
    match &wish.token {
        None => identity_only(world, user, id),
        Some(_) => token_is_there(world, user, wish),
    }
}

fn identity_only(world: &World, user: &User, id: &str) -> Result<(), &'static str> {
    if owned_secrets(world, user).next().is_some() {
        return Err("a Secret is left although no token is wanted");
    }
    let handed_out = |token: &&super::service::Token| token.handed_out && token.identity == id;
    if world
        .service
        .tokens
        .values()
        .filter(handed_out)
        .any(|token| !token.revoked)
    {
        return Err("a token can be used although none is wanted");
    }
    if is_ready(user) { Ok(()) } else { Err("not Ready") }
}

fn token_is_there(world: &World, user: &User, wish: &Wish) -> Result<(), &'static str> {
    let name = &wish.secret.name;
    if world.api.look_at_secret(name, user) == SecretView::Foreign {
        let told = reason(user) == Some(Reason::SecretConflict.as_str());
        return if told { Ok(()) } else { Err("the conflict is not told") };
    }
    if !has_usable_token(world, user) {
        return Err("no usable token");
    }
    let record = record(world, user).ok_or("no record")?;
    if Some(&record.scopes) != wish.token.as_ref().map(|token| &token.scopes) {
        return Err("a token for other scopes");
    }
    if user.requests.renew.is_some() && user.status.last_handled_renew_at != user.requests.renew {
        return Err("a renewal is not met");
    }
    let desired = DesiredSecret::new(user, wish, record, "https://contoso.communication.azure.com");
    let secret = &world.api.secrets[name];
    if secret.compare(&desired) != Finding::Intact {
        return Err("the Secret is not as it should be");
    }
    // One without our label under another name is invisible: it goes with the object.
    if owned_secrets(world, user).filter(|secret| secret.labelled).count() != 1 {
        return Err("a Secret is left over");
    }
    if is_ready(user) { Ok(()) } else { Err("not Ready") }
}

fn owned_secrets<'a>(world: &'a World, user: &'a User) -> impl Iterator<Item = &'a StoredSecret> {
    let secrets = world.api.secrets.values();
    secrets.filter(|secret| secret.owner.as_ref() == Some(&user.uid))
}

/// The record of the token in the Secret of the object.
fn record<'a>(world: &'a World, user: &'a User) -> Option<&'a TokenRecord> {
    let name = &user.wish.as_ref().ok()?.secret.name;
    let secret = world.api.secrets.get(name)?;
    let ours = secret.owner.as_ref() == Some(&user.uid) && secret.token_intact;
    let written = secret.written.as_ref().filter(|_| ours)?;
    Some(&written.record)
}

fn has_usable_token(world: &World, user: &User) -> bool {
    let Some(record) = record(world, user) else {
        return false;
    };
    let token = &world.service.tokens[&record.sha256];
    Some(record.identity.as_str()) == identity_id(Some(user)) && !token.revoked && world.now < token.expires
}

/// Whether nothing is under way and the leader has seen everything.
fn rests(world: &World) -> bool {
    let leader = &world.replicas[world.leader()];
    world.replicas.iter().all(|replica| replica.rests(world.now))
        && leader.user == world.api.user
        && leader.secrets_shown == world.api.secret_versions
}

/// The attempt that status does not settle yet.
fn open_attempt(world: &World) -> Option<Uuid> {
    let user = world.api.user.as_ref()?;
    let attempt = user.attempt.as_ref().filter(|attempt| attempt.owner_uid == user.uid)?;
    let settled = user
        .status
        .identity
        .as_ref()
        .and_then(|identity| identity.attempt.clone());
    (settled != Some(attempt.attempt.to_string())).then_some(attempt.attempt)
}

/// Whether the object says that it is Ready.
pub fn is_ready(user: &User) -> bool {
    ConditionType::Ready
        .find(&user.status.conditions)
        .is_some_and(|ready| ready.status == "True")
}

fn reason(user: &User) -> Option<&str> {
    ConditionType::Ready
        .find(&user.status.conditions)
        .map(|ready| ready.reason.as_str())
}
