//! Two objects and one identity: which of them has it.

use super::connections::key_of;
use super::sources::{IDENTITY_INDEX, UserCache, claimed_identity, held_identity};
use crate::api::{CommunicationUser, Origin};
use crate::cluster::ObjectKey;

/// Another object that holds or claims the same identity and has the better claim.
pub(super) fn rival(users: &UserCache, object: &CommunicationUser) -> Option<String> {
    let id = claimed_identity(object)?;
    let mut others = users.find(IDENTITY_INDEX, id);
    others.retain(|other| other.metadata.uid != object.metadata.uid && has_precedence(other, object));
    let first = others.into_iter().min_by_key(|other| age(other))?;
    Some(format!("CommunicationUser {}", ObjectKey::of(&*first)))
}

/// All that [`rival`] goes by, but for what never changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    /// The identity.
    pub identity: &'a str,
    is_held: bool,
    is_proven: bool,
    endpoint: Option<&'a str>,
}

/// The claim of an object to an identity.
pub(super) fn claim(user: &CommunicationUser) -> Option<Claim<'_>> {
    Some(Claim {
        identity: claimed_identity(user)?,
        is_held: held_identity(user).is_some(),
        is_proven: is_proven(user),
        endpoint: endpoint(user),
    })
}

/// Whether `other` has the better claim to the identity that both name: the one that ACS proved, then the older one, then the
/// one with the smaller uid. A mere claim counts against others of the same connection only: somebody whose connection has
/// nothing to do with the identity must not keep it from its owner by naming it. Who holds it has shown a good credential of
/// the resource that it was taken from.
fn has_precedence(other: &CommunicationUser, object: &CommunicationUser) -> bool {
    match (is_proven(other), is_proven(object)) {
        (true, false) => true,
        (false, true) => false,
        (true, true) => may_be_of_one_resource(other, object) && age(other) < age(object),
        (false, false) => are_peers(other, object) && age(other) < age(object),
    }
}

/// Whether ACS has made the identity for it, or issued a token of it.
fn is_proven(user: &CommunicationUser) -> bool {
    let status = user.status.as_ref();
    let origin = status.and_then(|status| status.identity.as_ref()?.origin.as_ref());
    let is_made = matches!(origin, Some(Origin::Created | Origin::Restored));
    held_identity(user).is_some() && (is_made || status.is_some_and(|status| status.token.is_some()))
}

/// Of two resources that both say of an identity that it is theirs one lies: that takes nothing from the users of the other.
fn may_be_of_one_resource(one: &CommunicationUser, other: &CommunicationUser) -> bool {
    match (endpoint(one), endpoint(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

fn are_peers(one: &CommunicationUser, other: &CommunicationUser) -> bool {
    let both_hold_it = held_identity(one).is_some() && held_identity(other).is_some();
    key_of(one) == key_of(other) || (both_hold_it && endpoint(one).is_some() && endpoint(one) == endpoint(other))
}

fn endpoint(user: &CommunicationUser) -> Option<&str> {
    user.status.as_ref()?.identity.as_ref()?.endpoint.as_deref()
}

fn age(user: &CommunicationUser) -> impl Ord + use<> {
    let metadata = &user.metadata;
    (metadata.creation_timestamp.clone(), metadata.uid.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "8:acs:11111111-2222-3333-4444-555555555555_0001";

    fn user(name: &str, second: u32, connection: &str, status: &Value) -> CommunicationUser {
        serde_json::from_value(json!({
            "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationUser",
            "metadata": {
                "name": name, "namespace": "team", "uid": name,
                "creationTimestamp": format!("2026-11-26T08:00:{second:02}Z"),
            },
            "spec": {"identity": {"id": ID}, "connectionRef": {"name": connection}},
            "status": status,
        }))
        .unwrap()
    }

    fn adopted(with_token: bool) -> Value {
        let token = with_token.then(|| json!({"scopes": ["voip"]}));
        json!({"identity": {"id": ID, "origin": "Adopted"}, "token": token})
    }

    #[test]
    fn the_older_of_two_claims_through_one_connection_wins() {
        let (older, newer) = (user("b", 1, "contoso", &json!({})), user("a", 2, "contoso", &json!({})));
        assert!(has_precedence(&older, &newer) && !has_precedence(&newer, &older));
        let same_second = user("c", 1, "contoso", &json!({}));
        assert!(has_precedence(&older, &same_second), "the smaller uid");
    }

    #[test]
    fn a_mere_claim_keeps_nothing_from_users_of_another_connection_nor_from_who_has_it() {
        let squatter = user("squatter", 1, "evil", &json!({}));
        assert!(!has_precedence(&squatter, &user("owner", 2, "contoso", &json!({}))));
        let unproven = user("squatter", 1, "evil", &adopted(false));
        for status in [adopted(true), json!({"identity": {"id": ID, "origin": "Restored"}})] {
            let owner = user("owner", 2, "contoso", &status);
            assert!(!has_precedence(&unproven, &owner) && has_precedence(&owner, &unproven));
        }
    }

    #[test]
    fn of_two_that_hold_it_from_one_endpoint_without_a_token_the_older_keeps_it() {
        let at = |endpoint: &str| json!({"identity": {"id": ID, "origin": "Adopted", "endpoint": endpoint}});
        let here = at("https://contoso.communication.azure.com");
        let (older, newer) = (user("a", 1, "contoso", &here), user("b", 2, "same-resource", &here));
        assert!(has_precedence(&older, &newer) && !has_precedence(&newer, &older));
        let elsewhere = user("squatter", 1, "evil", &at("https://evil.communication.azure.com"));
        assert!(!has_precedence(&elsewhere, &newer));
    }

    #[test]
    fn of_two_that_have_it_from_one_resource_the_older_keeps_it_whatever_their_connections() {
        let older = user("a", 1, "contoso", &adopted(true));
        let newer = user("b", 2, "same-resource", &adopted(true));
        assert!(has_precedence(&older, &newer) && !has_precedence(&newer, &older));
    }
}
