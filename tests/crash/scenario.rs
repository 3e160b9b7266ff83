//! What people and time do to the objects of the operator: each scenario is tried with a kill at every request.

use std::collections::BTreeMap;

use acs_emulator::KeySlot;
use acs_operator::api::Origin;
use serde_json::{Value, json};

use crate::kill_point::KillPoint;
use crate::seen::{Change, Seen};
use crate::subject::{ALICE, BOB, CREDENTIAL, OTHER_CREDENTIAL};

/// One thing that happens to users.
pub struct Scenario {
    /// What it is called in reports.
    pub name: &'static str,
    /// How the users get to ACS.
    pub setting: Setting,
    /// Who is there before, with a token each.
    pub users: &'static [&'static str],
    /// What sets the operator to work.
    pub act: Act,
    /// What is wished for by that.
    pub wish: Wish,
    /// What somebody does while the operator is dead, and the wish from then on.
    pub meanwhile: Option<(Act, Wish)>,
    /// What becomes of the tokens of before.
    pub old_tokens: OldTokens,
    /// Where it is tried whether the recovery from a kill survives another kill. Elsewhere than there nothing is killed then.
    pub killed_again: Option<fn(&KillPoint) -> bool>,
}

/// Tells what is missing, beyond what has to be so of any user.
pub type Wish = fn(&Change) -> Result<(), String>;

impl Scenario {
    /// Whether the wish is met; otherwise what is missing.
    pub fn is_met(&self, change: &Change) -> Result<(), String> {
        let later = self.meanwhile.as_ref().filter(|_| change.death.is_some());
        later.map_or(self.wish, |(_, wish)| *wish)(change)
    }
}

/// How the users of a scenario get to ACS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// By the operator's own connection string.
    Default,
    /// By a connection of their namespace.
    Contoso,
    /// The same by the version of the API with which a repeated create finds the identity again.
    CustomIds,
    /// By a connection of the cluster, all of which the operator serves.
    Cluster,
}

impl Setting {
    /// Whether there is a connection that the operator writes to.
    pub fn has_connection(self) -> bool {
        self != Self::Default
    }
}

/// What sets the operator to work.
pub enum Act {
    /// A user is declared.
    Declare(Value),
    /// A user is declared, and what ACS answers to the create gets lost.
    DeclareUnanswered(Value),
    /// A user is declared who adopts an identity.
    Adopt,
    /// The user is changed.
    Patch(Value),
    /// The Secret gets another name.
    RenameSecret,
    /// A request is made by an annotation.
    Annotate(&'static str),
    /// Another identity is asked for.
    ReplaceIdentity,
    /// Somebody changes the Secret.
    EditSecret(Value),
    /// Somebody deletes the Secret.
    DeleteSecret,
    /// The connection's Secret gets the other key.
    RotateKey,
    /// The connection names another Secret, with the same key.
    NameAnotherSecret,
    /// Every token of the connection is to be revoked.
    TokensValidFrom,
    /// The users are deleted.
    DeleteUsers,
    /// The connection is deleted, then its users.
    DeleteConnectionAndUsers,
    /// The namespace is deleted.
    DeleteNamespace,
}

impl Act {
    /// Whether it takes a namespace of its own.
    pub fn takes_the_namespace(&self) -> bool {
        matches!(self, Self::DeleteNamespace)
    }

    /// Whether the Secret is damaged by it, so that status is wrong until the operator sees it.
    pub fn damages_the_secret(&self) -> bool {
        matches!(self, Self::EditSecret(_) | Self::DeleteSecret | Self::DeleteNamespace)
    }
}

/// What becomes of the tokens that were handed out before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OldTokens {
    /// Nobody asked for their end.
    StayValid,
    /// None of them is accepted any more.
    End,
}

/// Scenarios that a test looks at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// From no identity to one with a token.
    Birth,
    /// What is asked for during its life.
    Life,
    /// What others do to its Secret.
    Secret,
    /// What concerns all users of a connection.
    Connection,
    /// From an identity to none.
    Death,
    /// Both of these where creates can be repeated.
    CustomIds,
    /// An operator of a whole cluster, with a connection of the cluster.
    Cluster,
    /// The operator is killed again while it recovers.
    Recovery,
}

impl Family {
    /// All of them, those that take longest first.
    pub const ALL: [Self; 8] = [
        Self::Death,
        Self::Connection,
        Self::Cluster,
        Self::Birth,
        Self::Recovery,
        Self::Life,
        Self::CustomIds,
        Self::Secret,
    ];

    /// Its scenarios, those with most kinds of requests first.
    pub fn scenarios(self) -> Vec<Scenario> {
        match self {
            Self::Birth => birth(),
            Self::Life => life(),
            Self::Secret => secret(),
            Self::Connection => connection(),
            Self::Death => death(),
            Self::CustomIds => custom_ids(),
            Self::Cluster => cluster(),
            Self::Recovery => recovery(),
        }
    }
}

const ONE: &[&str] = &[ALICE];
const TWO: &[&str] = &[ALICE, BOB];

/// A scenario of one user who is there, and whose tokens nobody wants to end.
fn of_a_user(name: &'static str, act: Act, wish: Wish) -> Scenario {
    Scenario {
        name,
        setting: Setting::Default,
        users: ONE,
        act,
        wish,
        meanwhile: None,
        old_tokens: OldTokens::StayValid,
        killed_again: None,
    }
}

/// A scenario of one user who is not there before.
fn born(name: &'static str, act: Act) -> Scenario {
    Scenario {
        users: &[],
        ..of_a_user(name, act, exists)
    }
}

fn voip() -> Act {
    Act::Declare(json!({"token": {"scopes": ["voip"]}}))
}

fn unanswered() -> Act {
    Act::DeclareUnanswered(json!({"token": {"scopes": ["voip"]}}))
}

fn birth() -> Vec<Scenario> {
    vec![
        Scenario {
            setting: Setting::Contoso,
            ..born("create on a connection", voip())
        },
        born("create", voip()),
        born("create without a token", Act::Declare(json!({}))),
        Scenario {
            setting: Setting::Contoso,
            ..born("create that is not answered", unanswered())
        },
        Scenario {
            setting: Setting::Contoso,
            meanwhile: Some((Act::DeleteUsers, is_gone)),
            ..born("create that is not answered then delete while away", unanswered())
        },
        Scenario {
            meanwhile: Some((Act::DeleteUsers, is_gone)),
            ..born("create then delete while away", voip())
        },
        Scenario {
            setting: Setting::Contoso,
            wish: is_adopted,
            ..born("adoption", Act::Adopt)
        },
    ]
}

fn life() -> Vec<Scenario> {
    let chat = json!({"spec": {"token": {"scopes": ["chat"]}}});
    let ending = |scenario| Scenario {
        old_tokens: OldTokens::End,
        ..scenario
    };
    let no_token = json!({"spec": {"token": null}});
    vec![
        ending(of_a_user("revoke", Act::Annotate("revoke-requested-at"), is_revoked)),
        ending(of_a_user("replace", Act::ReplaceIdentity, is_replaced)),
        ending(of_a_user("token removed", Act::Patch(no_token), has_no_token)),
        of_a_user("rename of the Secret", Act::RenameSecret, is_renamed),
        of_a_user("renew", Act::Annotate("renew-requested-at"), is_renewed),
        of_a_user("change of scopes", Act::Patch(chat), has_another_token),
    ]
}

fn secret() -> Vec<Scenario> {
    let wrong_endpoint = json!({"stringData": {"endpoint": "http://elsewhere.example"}});
    let no_token = json!({"stringData": {"token": "spoilt"}});
    vec![
        of_a_user("Secret robbed", Act::EditSecret(no_token), exists),
        of_a_user("Secret edited", Act::EditSecret(wrong_endpoint), has_the_same_token),
        of_a_user("Secret deleted", Act::DeleteSecret, exists),
    ]
}

fn connection() -> Vec<Scenario> {
    vec![
        Scenario {
            setting: Setting::Contoso,
            users: TWO,
            ..of_a_user("key rotated", Act::RotateKey, has_a_token_of_the_other_key)
        },
        Scenario {
            setting: Setting::Contoso,
            users: TWO,
            old_tokens: OldTokens::End,
            ..of_a_user("break glass", Act::TokensValidFrom, has_another_token)
        },
        Scenario {
            setting: Setting::Contoso,
            users: TWO,
            ..of_a_user(
                "connection names another Secret",
                Act::NameAnotherSecret,
                names_another_secret,
            )
        },
    ]
}

fn custom_ids() -> Vec<Scenario> {
    let with_custom_id = |scenario| Scenario {
        setting: Setting::CustomIds,
        ..scenario
    };
    let deleted_meanwhile = |scenario| Scenario {
        meanwhile: Some((Act::DeleteUsers, is_gone)),
        ..scenario
    };
    vec![
        with_custom_id(born("custom id: create", voip())),
        with_custom_id(deleted_meanwhile(born(
            "custom id: create then delete while away",
            voip(),
        ))),
        with_custom_id(born("custom id: create that is not answered", unanswered())),
        with_custom_id(Scenario {
            old_tokens: OldTokens::End,
            ..of_a_user("custom id: replace", Act::ReplaceIdentity, is_replaced)
        }),
    ]
}

fn cluster() -> Vec<Scenario> {
    let of_cluster = |scenario| Scenario {
        setting: Setting::Cluster,
        ..scenario
    };
    vec![
        of_cluster(Scenario {
            users: TWO,
            old_tokens: OldTokens::End,
            ..of_a_user(
                "cluster: connection and users deleted",
                Act::DeleteConnectionAndUsers,
                is_gone_with_its_connection,
            )
        }),
        of_cluster(born("cluster: create", voip())),
        of_cluster(of_a_user(
            "cluster: connection names another Secret",
            Act::NameAnotherSecret,
            names_another_secret,
        )),
    ]
}

fn recovery() -> Vec<Scenario> {
    let after_create = |scenario| Scenario {
        killed_again: Some(KillPoint::is_after_create),
        ..scenario
    };
    vec![
        after_create(Scenario {
            setting: Setting::Contoso,
            ..born("create killed again", voip())
        }),
        after_create(Scenario {
            setting: Setting::CustomIds,
            ..born("custom id: create killed again", voip())
        }),
    ]
}

fn death() -> Vec<Scenario> {
    let of_contoso = |name, users, act, wish| Scenario {
        setting: Setting::Contoso,
        users,
        old_tokens: OldTokens::End,
        ..of_a_user(name, act, wish)
    };
    vec![
        of_contoso(
            "namespace deleted",
            TWO,
            Act::DeleteNamespace,
            is_gone_with_its_namespace,
        ),
        of_contoso(
            "connection and users deleted",
            TWO,
            Act::DeleteConnectionAndUsers,
            is_gone_with_its_connection,
        ),
        of_contoso("delete", ONE, Act::DeleteUsers, is_gone),
    ]
}

fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

fn exists(change: &Change) -> Result<(), String> {
    change.after.alice().map(drop)
}

fn is_adopted(change: &Change) -> Result<(), String> {
    let alice = change.after.alice()?;
    let identity = alice.status.as_ref().and_then(|status| status.identity.as_ref());
    let identity = identity.ok_or("no identity is recorded")?;
    ensure(
        identity.id.is_some() && identity.id == change.stray && identity.origin == Some(Origin::Adopted),
        || format!("{:?} is not {:?} as adopted", identity, change.stray),
    )
}

fn is_renewed(change: &Change) -> Result<(), String> {
    let handled = change.after.alice()?.status.as_ref();
    let handled = handled.and_then(|status| status.last_handled_renew_at.as_deref());
    ensure(handled == Some("now"), || format!("lastHandledRenewAt is {handled:?}"))?;
    has_another_token(change)
}

fn is_revoked(change: &Change) -> Result<(), String> {
    let handled = change.after.alice()?.status.as_ref();
    let handled = handled.and_then(|status| status.last_handled_revoke_at.as_deref());
    ensure(handled == Some("now"), || format!("lastHandledRevokeAt is {handled:?}"))?;
    has_another_token(change)
}

fn is_renamed(change: &Change) -> Result<(), String> {
    ensure(change.after.secrets.contains_key("other"), || {
        "there is no Secret other".into()
    })?;
    has_the_same_token(change)
}

fn has_the_same_token(change: &Change) -> Result<(), String> {
    ensure(change.before.tokens() == change.after.tokens(), || {
        "the token is another".into()
    })?;
    let endpoint = |seen: &Seen| {
        seen.token_secret(ALICE)
            .and_then(|secret| secret.value("endpoint").map(str::to_owned))
    };
    let (before, after) = (endpoint(change.before), endpoint(change.after));
    ensure(before == after, || format!("the endpoint in the Secret is {after:?}"))
}

fn has_another_token(change: &Change) -> Result<(), String> {
    for (word, old) in change.before.tokens() {
        let new = change.after.tokens().get(word).copied().map(|token| &token.sha256);
        ensure(new.is_some() && new != Some(&old.sha256), || {
            format!("{word} has the token of before, or none")
        })?;
    }
    Ok(())
}

fn has_a_token_of_the_other_key(change: &Change) -> Result<(), String> {
    has_another_token(change)?;
    let tokens = change.after.tokens();
    let are_new = tokens.values().all(|token| token.asked_with == KeySlot::Secondary);
    ensure(are_new, || "a token was asked for with the key of before".into())
}

fn names_another_secret(change: &Change) -> Result<(), String> {
    let named = change.after.credential_name();
    ensure(named.as_deref() == Some(OTHER_CREDENTIAL), || {
        format!("the connection names {named:?}")
    })?;
    has_the_same_token(change)
}

fn has_no_token(change: &Change) -> Result<(), String> {
    let told = change
        .after
        .alice()?
        .status
        .as_ref()
        .and_then(|status| status.token.as_ref());
    ensure(told.is_none() && change.after.tokens().is_empty(), || {
        format!("there is a token, or status tells of one: {told:?}")
    })
}

fn is_replaced(change: &Change) -> Result<(), String> {
    let of = |ids: &BTreeMap<&str, String>| ids.get(ALICE).cloned();
    let (before, after) = (of(&change.before.recorded()), of(&change.after.recorded()));
    ensure(after.is_some() && before != after, || {
        format!("the identity is {after:?}")
    })?;
    ensure(before.is_some_and(|id| !change.after.identities.contains(&id)), || {
        "the old identity is still in ACS".into()
    })
}

fn is_gone(change: &Change) -> Result<(), String> {
    let left: Vec<_> = change.after.users.keys().collect();
    ensure(left.is_empty(), || format!("still there: {left:?}"))
}

fn is_gone_with_its_connection(change: &Change) -> Result<(), String> {
    is_gone(change)?;
    ensure(change.after.connection.is_none(), || {
        "the connection is still there".into()
    })?;
    ensure(change.after.secrets.contains_key(CREDENTIAL), || {
        "the Secret of the connection is gone too".into()
    })
}

fn is_gone_with_its_namespace(change: &Change) -> Result<(), String> {
    is_gone(change)?;
    ensure(!change.after.has_namespace, || "the namespace is still there".into())
}
