//! How the world is to be where everything came to rest.

use acs_operator::api::names::finalizer;
use acs_operator::api::{Origin, Reason};
use acs_operator::decide::{DesiredSecret, Finding, SecretView, User, Wish};

use super::api_server::StoredSecret;
use super::properties::{
    gone_leaves_nothing, has_usable_token, is_ready, no_identity_is_lost_from_sight, owned_secrets, ready_means_usable,
    reason, record,
};
use super::world::{World, identity_id};

/// Whether the world is as its users want it, as far as that can be.
pub fn is_as_wished(world: &World) -> Result<(), &'static str> {
    let expect = |holds: bool, otherwise: &'static str| if holds { Ok(()) } else { Err(otherwise) };
    expect(no_identity_is_lost_from_sight(world), "an identity is lost from sight")?;
    let Some(user) = &world.api.user else {
        return expect(gone_leaves_nothing(world), "the object left something behind");
    };
    expect(!user.deleting, "the deletion does not end")?;
    expect(
        user.status.observed_generation == Some(user.generation),
        "the generation is not observed",
    )?;
    expect(ready_means_usable(world), "Ready without a usable token")?;
    let says = |wanted: Reason| reason(user) == Some(wanted.as_str());
    let id = identity_id(Some(user));
    let guarded = user.finalizers.iter().any(|held| held == finalizer::IDENTITY);
    expect(guarded || id.is_none(), "not protected")?;
    if id.is_some() && world.rival.as_deref() == id {
        return expect(says(Reason::IdentityInUse), "not said to be another object's");
    }
    let Ok(wish) = &user.wish else {
        return expect(says(Reason::InvalidRequest), "not said to be invalid");
    };
    if wish.suspend {
        return expect(says(Reason::Suspended), "not said to be suspended");
    }
    if let (None, Some(pinned)) = (id, &wish.pinned_id) {
        let (forbidden, taken) = (Reason::AdoptionNotAllowed, Reason::IdentityInUse);
        let kept_from = says(forbidden) && !world.terms.allows_adoption;
        return expect(
            kept_from || (says(taken) && world.rival.as_ref() == Some(pinned)),
            "not adopted",
        );
    }
    let id = id.ok_or("no identity")?;
    let origin = user
        .status
        .identity
        .as_ref()
        .and_then(|identity| identity.origin.as_ref());
    expect(
        origin != Some(&Origin::Adopted) || world.terms.allowed_adoption,
        "adopted without leave",
    )?;
    if user.requests.replace.as_deref() == Some(id) {
        let pinned = wish.pinned_id.is_some() && says(Reason::InvalidRequest);
        return expect(pinned, "not replaced");
    }
    if world.lost.contains(id) {
        // Somebody took it away in ACS, which may not have been noticed: only a request for another one helps.
        return Ok(());
    }
    if !world.service.identities.contains_key(id) {
        // It was deleted to be replaced, and then somebody thought better of it.
        return expect(!is_ready(user), "Ready although its identity was deleted");
    }
    let revoke = user.requests.revoke.as_ref();
    expect(
        revoke.is_none() || revoke == user.status.last_handled_revoke_at.as_ref(),
        "a revocation is not met",
    )?;
    let mut tokens = world.service.tokens.values();
    expect(
        tokens.all(|token| token.revoked || !token.unwanted),
        "a token outlived its revocation",
    )?;
    expect(
        are_old_tokens_ended(world, user, id),
        "a token is older than its connection allows",
    )?;
    match &wish.token {
        None => identity_only(world, user, id),
        Some(_) => token_is_there(world, user, wish),
    }
}

/// Whether no token that this object handed out is from before the time that its connection sets.
fn are_old_tokens_ended(world: &World, user: &User, id: &str) -> bool {
    let Some(from) = world.terms.valid_from.filter(|from| *from <= world.now) else {
        return true;
    };
    let mut tokens = world.service.tokens.values();
    tokens.all(|token| {
        let old = token.identity == id && token.handed_out.as_ref() == Some(&user.uid) && token.issued < from;
        token.revoked || !old
    })
}

fn identity_only(world: &World, user: &User, id: &str) -> Result<(), &'static str> {
    // One without our label under another name is invisible: it goes with the object.
    let in_sight = |secret: &&StoredSecret| secret.labelled || secret.version.name == user.secret_name();
    if owned_secrets(world, user).any(|secret| in_sight(&secret)) {
        return Err("a Secret is left although no token is wanted");
    }
    // What a copy was not told of, its original has to end.
    let handed_out =
        |token: &&super::service::Token| token.handed_out.as_ref() == Some(&user.uid) && token.identity == id;
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
    let current = world.terms.keys.as_ref();
    if current.is_some_and(|current| !current.contains(&record.credential)) {
        return Err("a token of a key that is not in use any more");
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

/// Whether the world is as wished, or says what keeps it from being so while ACS or the connection refuses something.
pub fn is_as_wished_or_told(world: &World) -> Result<(), &'static str> {
    is_as_wished(world).or_else(|why| {
        let told = |user: &User| {
            user.status.observed_generation == Some(user.generation)
                && HINDRANCES.iter().any(|told| reason(user) == Some(told.as_str()))
        };
        let ready = ready_means_usable(world) && no_identity_is_lost_from_sight(world);
        if ready && world.api.user.as_ref().is_some_and(told) {
            Ok(())
        } else {
            Err(why)
        }
    })
}

/// What is said of an object that ACS or its connection does nothing for.
const HINDRANCES: [Reason; 11] = [
    Reason::InvalidRequest,
    Reason::IdentityNotOwned,
    Reason::IdentityGone,
    Reason::Throttled,
    Reason::ConnectionNotReady,
    Reason::ConnectionNotFound,
    Reason::ResourceMismatch,
    Reason::Suspended,
    Reason::RenewalDelayed,
    Reason::TokenExpired,
    Reason::DeletionBlocked,
];
