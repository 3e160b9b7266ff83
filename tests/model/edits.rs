//! What people, backups, other programs and time do to the world.

use acs_operator::api::Scope;
use jiff::SignedDuration;

use super::world::{World, identity_id, wish};

/// One thing that happens from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edit {
    /// The object is deleted.
    Delete,
    /// An object of the same name is made, once there is none.
    Recreate,
    /// All finalizers are taken off.
    StripFinalizers,
    /// A backup brings the object back under another uid.
    Restore,
    /// Other scopes are wanted.
    OtherScopes,
    /// No token is wanted any more.
    NoToken,
    /// A token is wanted again.
    TokenAgain,
    /// The Secret is to have another name.
    Rename,
    /// The Secret is to have one more label.
    Relabel,
    /// `spec.suspend` is set.
    Suspend,
    /// `spec.suspend` is cleared.
    Resume,
    /// A renewal is requested.
    AskRenewal,
    /// A revocation is requested.
    AskRevocation,
    /// Another identity is requested in place of the recorded one.
    AskReplacement,
    /// It is requested to leave the recorded identity in ACS.
    AskAbandonment,
    /// The Secret is deleted.
    DeleteSecret,
    /// The token in the Secret is overwritten.
    DamageToken,
    /// Another value in the Secret is.
    DamageValue,
    /// The label that the watch selects by is taken off.
    Unlabel,
    /// The Secret loses its controller, as in a restore.
    Disown,
    /// Somebody makes a Secret of the wished name, where there is none.
    ForeignSecret,
    /// ACS loses the identity.
    LoseIdentity,
    /// The key is regenerated in Azure; the operator's is refused from now on.
    RegenerateKey,
    /// Most of a token's life passes.
    TimePasses,
    /// The other process takes over.
    TakeOver,
}

impl Edit {
    /// All that can happen to an object with one process.
    pub const LIFE: [Self; 24] = [
        Self::Delete,
        Self::Recreate,
        Self::StripFinalizers,
        Self::Restore,
        Self::OtherScopes,
        Self::NoToken,
        Self::TokenAgain,
        Self::Rename,
        Self::Relabel,
        Self::Suspend,
        Self::Resume,
        Self::AskRenewal,
        Self::AskRevocation,
        Self::AskReplacement,
        Self::AskAbandonment,
        Self::DeleteSecret,
        Self::DamageToken,
        Self::DamageValue,
        Self::Unlabel,
        Self::Disown,
        Self::ForeignSecret,
        Self::LoseIdentity,
        Self::RegenerateKey,
        Self::TimePasses,
    ];

    /// Whether this can happen now and would change anything.
    pub fn is_possible(self, world: &World) -> bool {
        let user = world.api.user.as_ref();
        let wish = user.and_then(|user| user.wish.as_ref().ok());
        let wants = |wanted: bool| wish.is_some_and(|wish| wish.token.is_some() == wanted);
        let secret = wish.and_then(|wish| world.api.secrets.get(&wish.secret.name));
        match self {
            Self::Delete => user.is_some_and(|user| !user.deleting),
            Self::Recreate => user.is_none(),
            Self::StripFinalizers => user.is_some_and(|user| !user.finalizers.is_empty()),
            // An attempt that was open in the copied object is the original's to account for.
            Self::Restore => identity_id(user).is_some() && world.replicas.iter().all(|replica| replica.task.is_none()),
            Self::TokenAgain => wants(false),
            Self::Suspend => wish.is_some_and(|wish| !wish.suspend),
            Self::Resume => wish.is_some_and(|wish| wish.suspend),
            Self::AskReplacement | Self::AskAbandonment => identity_id(user).is_some(),
            Self::OtherScopes | Self::NoToken => wants(true),
            Self::Rename | Self::Relabel | Self::AskRenewal | Self::AskRevocation => user.is_some(),
            Self::DeleteSecret | Self::DamageToken | Self::DamageValue | Self::Unlabel | Self::Disown => {
                secret.is_some_and(|secret| secret.written.is_some())
            }
            Self::ForeignSecret => wish.is_some() && secret.is_none(),
            Self::LoseIdentity => !world.service.identities.is_empty(),
            Self::RegenerateKey => !world.service.key_refused,
            Self::TimePasses => true,
            Self::TakeOver => world.replicas.len() > 1 && world.replicas[0].leads,
        }
    }

    /// Lets it happen.
    pub fn happen(self, world: &mut World) {
        match self {
            Self::Delete => world.delete_object(),
            Self::Recreate => world.create_object(wish()),
            Self::StripFinalizers => world.strip_finalizers(),
            Self::Restore => world.restore_object(),
            Self::OtherScopes => world.change_wish(|wish| wish.token.as_mut().unwrap().scopes = vec![Scope::Chat]),
            Self::NoToken => world.change_wish(|wish| wish.token = None),
            Self::TokenAgain => world.change_wish(|wanted| wanted.token = wish().token),
            Self::Rename => world.change_wish(|wish| "renamed".clone_into(&mut wish.secret.name)),
            Self::Relabel => world.change_wish(|wish| {
                wish.secret.labels.insert("team".to_owned(), "support".to_owned());
            }),
            Self::Suspend => world.change_wish(|wish| wish.suspend = true),
            Self::Resume => world.change_wish(|wish| wish.suspend = false),
            Self::AskRenewal => world
                .api
                .change_user(|user| user.requests.renew = Some("now".to_owned())),
            Self::AskRevocation => {
                world
                    .api
                    .change_user(|user| user.requests.revoke = Some("now".to_owned()));
                for token in world.service.tokens.values_mut() {
                    token.unwanted |= token.handed_out;
                }
            }
            Self::AskReplacement => {
                let id = identity_id(world.api.user.as_ref()).map(str::to_owned);
                world.api.change_user(|user| user.requests.replace = id);
            }
            Self::AskAbandonment => {
                let id = identity_id(world.api.user.as_ref()).map(str::to_owned);
                world.api.change_user(|user| user.requests.abandon = id);
            }
            Self::LoseIdentity => {
                for id in world.service.identities.clone().into_keys() {
                    world.service.lose(&id);
                }
            }
            Self::RegenerateKey => world.service.key_refused = true,
            Self::TimePasses => world.now += SignedDuration::from_hours(17),
            Self::TakeOver => {
                world.replicas[0].leads = false;
                world.replicas[1].leads = true;
            }
            edit => edit.happen_to_secret(world),
        }
    }

    fn happen_to_secret(self, world: &mut World) {
        let Some(Ok(wish)) = world.api.user.as_ref().map(|user| &user.wish) else {
            return;
        };
        let name = wish.secret.name.clone();
        match self {
            Self::DeleteSecret => world.api.remove_secret(&name),
            Self::DamageToken => world.api.change_secret(&name, |secret| secret.token_intact = false),
            Self::DamageValue => world.api.change_secret(&name, |secret| secret.values_intact = false),
            Self::Unlabel => world.api.change_secret(&name, |secret| secret.labelled = false),
            Self::Disown => world.api.change_secret(&name, |secret| secret.owner = None),
            _ => world.api.put_foreign_secret(&name),
        }
    }
}
