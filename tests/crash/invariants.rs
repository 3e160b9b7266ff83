//! What has to be so when all is settled again, wherever the operator was killed.

use std::collections::BTreeSet;

use acs_emulator::TokenState;
use acs_operator::api::{CommunicationUser, names::finalizer, names::secret_annotation};
use acs_operator_testbed::ready;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::scenario::{OldTokens, Scenario, Setting};
use crate::seen::{Change, Seen};
use crate::subject::{BYSTANDER, CREDENTIAL, OTHER_CREDENTIAL};

/// What is seen against an invariant.
type Against = Vec<String>;

/// An invariant in words, and what finds what is against it.
pub type Invariant = (&'static str, fn(&Scenario, &Change) -> Against);

/// All that can be seen from outside.
pub const INVARIANTS: &[Invariant] = &[
    ("the wish is met", wish),
    (
        "every user is ready, by what its status says of its present spec",
        readiness,
    ),
    (
        "an object has one identity, and each other one is counted as a suspected orphan",
        one_identity,
    ),
    (
        "an attempt whose outcome died with the operator is counted once, and no other",
        counts,
    ),
    ("an identity that is recorded exists", recorded),
    (
        "the Secret holds a valid token of the recorded identity, and status and annotations say so",
        token,
    ),
    (
        "nobody is ready without a valid token, not even while the operator is dead",
        readiness_at_death,
    ),
    (
        "a token that was handed out stays, and is not asked for again",
        handed_out,
    ),
    (
        "old tokens end where somebody asked for it, and nowhere else",
        old_tokens,
    ),
    ("nothing of ours is left without its object", leftovers),
    (
        "the connection and its Secret are held while there are users, and no longer",
        holds,
    ),
    ("what is not ours is not touched", foreign),
];

/// Whether everything is there that takes time, so that there is nothing to wait for any more.
pub fn is_reached(scenario: &Scenario, change: &Change) -> bool {
    let waited_for: [fn(&Scenario, &Change) -> Against; 4] = [wish, readiness, token, holds];
    waited_for.iter().all(|check| check(scenario, change).is_empty())
}

fn wish(scenario: &Scenario, change: &Change) -> Against {
    scenario.is_met(change).err().into_iter().collect()
}

fn each_user(seen: &Seen, check: impl Fn(&str, &CommunicationUser) -> Option<String>) -> Against {
    let users = seen.users.iter();
    users
        .filter_map(|(word, user)| check(word, user).map(|against| format!("{word}: {against}")))
        .collect()
}

fn readiness(_: &Scenario, change: &Change) -> Against {
    each_user(change.after, |_, user| {
        let wanted = if user.spec.token.is_some() {
            "TokenIssued"
        } else {
            "IdentityCreated"
        };
        let is = ready(user);
        if is != Some(("True".into(), wanted.into())) {
            return Some(format!("{is:?} instead of {wanted}"));
        }
        let observed = user.status.as_ref().and_then(|status| status.observed_generation);
        (observed != user.metadata.generation).then(|| "its status speaks of an older spec".to_owned())
    })
}

/// The identities that belong to the subject without being recorded: new ones, and those of users of before.
fn unrecorded(change: &Change) -> BTreeSet<String> {
    let recorded: BTreeSet<_> = change.after.recorded().into_values().collect();
    let before: BTreeSet<_> = change.before.recorded().into_values().collect();
    let of_others = |id: &&String| change.before.identities.contains(*id) && !before.contains(*id);
    let of_subject = change.after.identities.iter().filter(|id| !of_others(id));
    of_subject.filter(|id| !recorded.contains(*id)).cloned().collect()
}

fn one_identity(_: &Scenario, change: &Change) -> Against {
    let unrecorded = unrecorded(change);
    let recorded: Vec<_> = change.after.recorded().into_values().collect();
    let distinct: BTreeSet<_> = recorded.iter().collect();
    let mut against = Vec::new();
    if distinct.len() < recorded.len() {
        against.push(format!("two objects record one identity: {recorded:?}"));
    }
    let known = change.death.unwrap_or(change.before);
    let counted_before = known.suspected_of_users() - change.before.suspected_of_users();
    let counted = change.suspected_in_metric + counted_before;
    if unrecorded.len() > usize::try_from(counted).unwrap_or(0) {
        against.push(format!(
            "{} identities in ACS that no object names, {counted} counted: {unrecorded:?}",
            unrecorded.len(),
        ));
    }
    against
}

fn counts(scenario: &Scenario, change: &Change) -> Against {
    // Of what was counted before the death, its status tells; of the rest, whoever lived to the end.
    let known = change.death.unwrap_or(change.before);
    let counted_before = known.suspected_of_users() - change.before.suspected_of_users();
    let in_doubt = match scenario.setting {
        // Whoever repeats the create finds the identity again.
        Setting::CustomIds => 0,
        _ => change.death.map_or(0, Seen::open_attempts) + change.lost_answers,
    };
    let of_users = change.after.suspected_of_users() - change.before.suspected_of_users();
    let mut wrong = Vec::new();
    let mut compare = |place: &str, counted: i32, least: i32, most: i32| {
        if !(least..=most).contains(&counted) {
            wrong.push(format!("{place} counts {counted} instead of {least} to {most}"));
        }
    };
    compare("the metric", change.suspected_in_metric, in_doubt, in_doubt);
    let all = counted_before + in_doubt;
    if !change.after.users.is_empty() {
        compare("status of the users", of_users, all, all);
    }
    if change.after.connection.is_some() {
        let before = change.before.suspected_of_connection();
        // What it counted before its user did is counted again, rather than not at all.
        let most = known.suspected_of_connection() - before + in_doubt;
        // A user that goes may take along what it counted and the process that was killed had not counted here yet.
        let is_there = !change.after.users.is_empty();
        let least = if is_there { all } else { in_doubt };
        let of_connection = change.after.suspected_of_connection() - before;
        compare("status of the connection", of_connection, least, most.max(all));
    }
    wrong
}

fn recorded(_: &Scenario, change: &Change) -> Against {
    each_user(change.after, |word, _| {
        let ids = change.after.recorded();
        match ids.get(word) {
            None => Some("no identity is recorded".into()),
            Some(id) => (!change.after.identities.contains(id)).then(|| format!("{id} is not in ACS")),
        }
    })
}

fn token(_: &Scenario, change: &Change) -> Against {
    each_user(change.after, |word, user| token_of(change.after, word, user).err())
}

/// What is wrong with the token of a user.
fn token_of(seen: &Seen, word: &str, user: &CommunicationUser) -> Result<(), String> {
    let Some(wanted) = &user.spec.token else { return Ok(()) };
    let secret = seen.token_secret(word).ok_or("there is no Secret")?;
    let issued = secret.token.as_ref().ok_or("ACS did not issue what is in the Secret")?;
    let equal = |what: &str, is: &dyn std::fmt::Debug, should: &dyn std::fmt::Debug| {
        let (is, should) = (format!("{is:?}"), format!("{should:?}"));
        if is == should {
            Ok(())
        } else {
            Err(format!("{what} is {is} instead of {should}"))
        }
    };
    let id = seen.recorded().remove(word);
    equal("the token", &issued.state, &TokenState::Valid)?;
    equal("the token's identity", &Some(&issued.identity), &id.as_ref())?;
    equal("userId", &secret.value("userId"), &id.as_deref())?;
    let scopes = serde_json::to_value(&issued.scopes).map_err(|error| error.to_string())?;
    let wished = serde_json::to_value(&wanted.scopes).map_err(|error| error.to_string())?;
    equal("the scopes", &scopes, &wished)?;
    let noted = |key: &str| secret.metadata().annotations.as_ref()?.get(key).cloned();
    equal("the annotated identity", &noted(secret_annotation::IDENTITY), &id)?;
    equal(
        "the annotated digest",
        &noted(secret_annotation::TOKEN_SHA256),
        &Some(&issued.sha256),
    )?;
    let controller = secret
        .metadata()
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true));
    equal("the owner", &controller.map(|owner| owner.uid.clone()), &user.uid())?;
    let status = user.status.as_ref().ok_or("it has no status")?;
    let told = status.secret.as_ref().ok_or("status tells of no Secret")?;
    equal("status.secret.name", &told.name, &secret.metadata().name)?;
    equal("status.secret.uid", &told.uid, &secret.metadata().uid)?;
    equal(
        "status.secret.resourceVersion",
        &told.resource_version,
        &secret.metadata().resource_version,
    )?;
    let expires = status.token.as_ref().and_then(|token| token.expiration_time.as_ref());
    equal(
        "status.token.expirationTime",
        &expires.map(|time| time.0),
        &Some(issued.expires_at),
    )
}

fn readiness_at_death(scenario: &Scenario, change: &Change) -> Against {
    let Some(death) = change.death.filter(|_| !scenario.act.damages_the_secret()) else {
        return Vec::new();
    };
    each_user(death, |word, user| {
        let status = user.status.as_ref()?;
        let is_present =
            status.observed_generation == user.metadata.generation && user.metadata.deletion_timestamp.is_none();
        let is_ready = ready(user).is_some_and(|(is, _)| is == "True");
        user.spec.token.as_ref().filter(|_| is_present && is_ready)?;
        match death.token_secret(word).map(|secret| secret.token.as_ref()) {
            None => Some("it is ready, and its Secret is not there".into()),
            Some(None) => Some("it is ready, and ACS did not issue what is in its Secret".into()),
            Some(Some(token)) => {
                (token.state != TokenState::Valid).then(|| format!("it is ready, and its token is {:?}", token.state))
            }
        }
    })
}

/// Applications may have read what was in the Secret when the operator died.
fn handed_out(_: &Scenario, change: &Change) -> Against {
    let Some(death) = change.death else { return Vec::new() };
    let (old, now) = (change.before.tokens(), change.after.tokens());
    let new = death.tokens().into_iter().filter(|(word, token)| {
        old.get(word).is_none_or(|old| old.sha256 != token.sha256) && change.after.secret_name(word).is_some()
    });
    new.filter(|(word, token)| now.get(word).is_none_or(|now| now.sha256 != token.sha256))
        .map(|(word, _)| {
            format!("{word}: the token that was in the Secret when the operator died is not there any more")
        })
        .collect()
}

fn old_tokens(scenario: &Scenario, change: &Change) -> Against {
    let before: BTreeSet<_> = change.before.recorded().into_values().collect();
    let old = change.before.valid_tokens_of(&before);
    let states = old.iter().map(|sha256| {
        let token = change.after.issued.get(*sha256);
        token.map_or(TokenState::Unknown, |token| token.state)
    });
    states
        .filter(|state| (*state == TokenState::Valid) != (scenario.old_tokens == OldTokens::StayValid))
        .map(|state| format!("a token of before is {state:?}"))
        .collect()
}

fn leftovers(_: &Scenario, change: &Change) -> Against {
    let expected: BTreeSet<_> = change
        .after
        .users
        .keys()
        .filter_map(|word| change.after.secret_name(word))
        .chain([BYSTANDER, CREDENTIAL, OTHER_CREDENTIAL].map(str::to_owned))
        .collect();
    let secrets = change.after.secrets.keys().filter(|word| !expected.contains(*word));
    secrets.map(|word| format!("Secret {word} is left")).collect()
}

fn is_held(metadata: &ObjectMeta, by: &str) -> bool {
    metadata.finalizers.iter().flatten().any(|held| held == by)
}

fn holds(_: &Scenario, change: &Change) -> Against {
    let has_users = !change.after.users.is_empty();
    let (connection, named) = (&change.after.connection, change.after.credential_name());
    let mut against = Vec::new();
    for name in [CREDENTIAL, OTHER_CREDENTIAL] {
        let is_needed = has_users && named.as_deref() == Some(name);
        if let Some(secret) = change.after.secrets.get(name)
            && is_held(secret.metadata(), finalizer::CREDENTIAL_IN_USE) != is_needed
        {
            against.push(format!(
                "users: {has_users}, named: {named:?}, finalizers of Secret {name}: {:?}",
                secret.metadata().finalizers
            ));
        }
    }
    if let Some(connection) = connection
        && has_users
        && !is_held(&connection.metadata, finalizer::IN_USE)
    {
        against.push("the connection is not held, and has users".into());
    }
    against
}

fn foreign(_: &Scenario, change: &Change) -> Against {
    let mut against = Vec::new();
    if change.after.has_namespace {
        let version = |seen: &Seen| {
            let metadata = seen.secrets.get(BYSTANDER).map(|secret| secret.metadata().clone());
            metadata.and_then(|metadata| metadata.resource_version)
        };
        if version(change.before) != version(change.after) {
            against.push("somebody else's Secret was changed or deleted".into());
        }
        let values = |seen: &Seen| {
            seen.secrets
                .get(CREDENTIAL)
                .and_then(|secret| secret.secret.data.clone())
        };
        if let Some(death) = change.death
            && values(death) != values(change.after)
        {
            against.push("the values of the connection's Secret were changed".into());
        }
    }
    let of_subject: BTreeSet<_> = change.before.recorded().into_values().collect();
    let gone = change.before.identities.difference(&change.after.identities);
    let gone = gone.filter(|id| !of_subject.contains(*id));
    against.extend(gone.map(|id| format!("the identity {id} of somebody else was deleted")));
    against
}
