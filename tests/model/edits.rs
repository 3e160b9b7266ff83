//! What people, backups, other programs and time do to the world.

use acs_operator::api::{DeletionPolicy, Scope, whole_seconds};
use acs_operator::decide::FailureKind;
use jiff::SignedDuration;

use super::terms::{RESOURCE, Standing};
use super::world::{World, identity_id, pinned_id, wish};

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
    /// The spec becomes one that nobody can read.
    InvalidSpec,
    /// It is put right again.
    MendSpec,
    /// The identity is to outlive its object.
    Retain,
    /// The manifest names the identity that is recorded.
    Pin,
    /// A renewal is requested.
    AskRenewal,
    /// A revocation is requested.
    AskRevocation,
    /// That request is taken back.
    WithdrawRevocation,
    /// The request that was taken back is made once more.
    RepeatRevocation,
    /// Another identity is requested in place of the recorded one.
    AskReplacement,
    /// That request is taken back.
    WithdrawReplacement,
    /// It is requested to leave the recorded identity in ACS.
    AskAbandonment,
    /// That request is taken back.
    WithdrawAbandonment,
    /// An older object comes to hold the same identity.
    RivalAppears,
    /// It goes, and leaves the identity.
    RivalGoes,
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
    /// ACS refuses every request as it is.
    Reject,
    /// ACS says of every identity that another resource owns it.
    Disclaim,
    /// ACS wants to hear nothing.
    Throttle,
    /// ACS refuses nothing any more.
    Accept,
    /// The credential of the connection is refused.
    Disconnect,
    /// The connection is gone.
    DropConnection,
    /// The connection is suspended.
    SuspendConnection,
    /// Nothing is known of the connection yet.
    NewConnection,
    /// It can be used again.
    Connect,
    /// It turns out to be one of another resource.
    MoveConnection,
    /// It is one of the right resource again.
    MoveConnectionBack,
    /// Objects may take over identities by id.
    AllowAdoption,
    /// They may not any more.
    ForbidAdoption,
    /// A key takes the place of another one.
    RotateKey,
    /// Creates carry a custom id from now on.
    UseCustomIds,
    /// They do not any more.
    DropCustomIds,
    /// Tokens from before now are to be revoked.
    EndOldTokens,
    /// Those from before a time to come are.
    EndOldTokensLater,
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

    /// How often it happens on one way at most.
    pub fn most(self, repeats: bool) -> usize {
        match self {
            _ if !repeats => 1,
            Self::AskRenewal
            | Self::AskRevocation
            | Self::WithdrawRevocation
            | Self::AskReplacement
            | Self::DeleteSecret
            | Self::DamageToken
            | Self::TimePasses => 2,
            _ => 1,
        }
    }

    /// Whether this can happen now and would change anything.
    pub fn is_possible(self, world: &World) -> bool {
        let user = world.api.user.as_ref();
        let wish = user.and_then(|user| user.wish.as_ref().ok());
        let wants = |wanted: bool| wish.is_some_and(|wish| wish.token.is_some() == wanted);
        let secret = wish.and_then(|wish| world.api.secrets.get(&wish.secret.name));
        let requests = user.map(|user| &user.requests);
        let claimed = identity_id(user).or_else(|| user.and_then(pinned_id));
        // Who holds an identity is looked at once in a run.
        let idle = world.replicas.iter().all(|replica| replica.run.is_none());
        match self {
            Self::Delete => user.is_some_and(|user| !user.deleting),
            Self::Recreate => user.is_none(),
            Self::StripFinalizers => user.is_some_and(|user| !user.finalizers.is_empty()),
            // An attempt that was open in the copied object is the original's to account for.
            Self::Restore => identity_id(user).is_some() && world.replicas.iter().all(|replica| replica.task.is_none()),
            Self::TokenAgain => wants(false),
            Self::Suspend => wish.is_some_and(|wish| !wish.suspend),
            Self::Resume => wish.is_some_and(|wish| wish.suspend),
            Self::InvalidSpec | Self::Rename | Self::Relabel => wish.is_some(),
            Self::MendSpec => user.is_some_and(|user| user.wish.is_err()),
            Self::Retain => wish.is_some_and(|wish| wish.deletion_policy.is_none()),
            Self::Pin => identity_id(user).is_some() && wish.is_some_and(|wish| wish.pinned_id.is_none()),
            Self::AskReplacement => requests.is_some_and(|requests| requests.replace.as_deref() != identity_id(user)),
            Self::AskAbandonment => requests.is_some_and(|requests| requests.abandon.as_deref() != identity_id(user)),
            Self::WithdrawRevocation => requests.is_some_and(|requests| requests.revoke.is_some()),
            Self::WithdrawReplacement => requests.is_some_and(|requests| requests.replace.is_some()),
            Self::WithdrawAbandonment => requests.is_some_and(|requests| requests.abandon.is_some()),
            Self::RepeatRevocation => {
                world.withdrawn.is_some() && requests.is_some_and(|requests| requests.revoke.is_none())
            }
            Self::RivalAppears => idle && world.rival.is_none() && claimed.is_some(),
            Self::RivalGoes => idle && world.rival.is_some() && world.rival.as_deref() == claimed,
            Self::OtherScopes | Self::NoToken => wants(true),
            Self::AskRenewal | Self::AskRevocation => user.is_some(),
            Self::DeleteSecret | Self::DamageToken | Self::DamageValue | Self::Unlabel | Self::Disown => {
                secret.is_some_and(|secret| secret.written.is_some())
            }
            Self::ForeignSecret => wish.is_some() && secret.is_none(),
            Self::LoseIdentity => !world.service.identities.is_empty(),
            Self::RegenerateKey => !world.service.key_refused,
            Self::Reject | Self::Disclaim | Self::Throttle => world.service.refuses.is_none(),
            Self::Accept => world.service.refuses.is_some(),
            Self::Disconnect | Self::DropConnection | Self::SuspendConnection | Self::NewConnection => {
                world.terms.standing == Standing::Ready
            }
            Self::Connect => world.terms.standing != Standing::Ready,
            Self::MoveConnection => !world.terms.is_foreign() && identity_id(user).is_some(),
            Self::MoveConnectionBack => world.terms.is_foreign(),
            Self::AllowAdoption => !world.terms.allows_adoption,
            Self::ForbidAdoption => world.terms.allows_adoption,
            Self::UseCustomIds => !world.service.custom_ids,
            Self::DropCustomIds => world.service.custom_ids,
            Self::RotateKey | Self::EndOldTokens | Self::EndOldTokensLater | Self::TimePasses => true,
            Self::TakeOver => world.replicas.len() > 1 && world.replicas[0].leads,
        }
    }

    /// Lets it happen.
    pub fn happen(self, world: &mut World) {
        let id = identity_id(world.api.user.as_ref()).map(str::to_owned);
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
            Self::InvalidSpec => world.spoil_spec(),
            Self::MendSpec => world.mend_spec(),
            Self::Retain => world.change_wish(|wish| wish.deletion_policy = Some(DeletionPolicy::Retain)),
            Self::Pin => world.change_wish(|wish| wish.pinned_id = id),
            Self::AskRenewal => {
                let request = world.new_request();
                world.api.change_user(|user| user.requests.renew = Some(request));
            }
            Self::AskRevocation => {
                let request = world.new_request();
                world.ask_revocation(request);
            }
            Self::WithdrawRevocation => world.withdraw_revocation(),
            Self::RepeatRevocation => {
                let request = world.withdrawn.take().unwrap();
                world.ask_revocation(request);
            }
            Self::AskReplacement => world.api.change_user(|user| user.requests.replace = id),
            Self::WithdrawReplacement => world.api.change_user(|user| user.requests.replace = None),
            Self::AskAbandonment => world.api.change_user(|user| user.requests.abandon = id),
            Self::WithdrawAbandonment => world.api.change_user(|user| user.requests.abandon = None),
            Self::RivalAppears => {
                let pinned = world.api.user.as_ref().and_then(pinned_id);
                world.rival = id.or_else(|| pinned.map(str::to_owned));
            }
            Self::RivalGoes => world.rival = None,
            Self::TimePasses => world.now += SignedDuration::from_hours(17),
            Self::TakeOver => {
                world.replicas[0].leads = false;
                world.replicas[1].leads = true;
            }
            Self::LoseIdentity
            | Self::RegenerateKey
            | Self::Reject
            | Self::Disclaim
            | Self::Throttle
            | Self::Accept
            | Self::UseCustomIds
            | Self::DropCustomIds => self.happen_to_service(world),
            Self::DeleteSecret
            | Self::DamageToken
            | Self::DamageValue
            | Self::Unlabel
            | Self::Disown
            | Self::ForeignSecret => self.happen_to_secret(world),
            edit => edit.happen_to_connection(world),
        }
        world.note_condemned();
        if self == Self::RivalAppears {
            world.wake_all();
        }
    }

    fn happen_to_service(self, world: &mut World) {
        match self {
            Self::LoseIdentity => {
                for id in world.service.identities.clone().into_keys() {
                    world.service.lose(&id);
                    world.lost.insert(id);
                }
            }
            Self::RegenerateKey => world.service.key_refused = true,
            Self::Reject => world.service.refuses = Some(FailureKind::Rejected),
            Self::Disclaim => world.service.refuses = Some(FailureKind::NotOwned),
            Self::Throttle => world.service.refuses = Some(FailureKind::Throttled { until: None }),
            Self::UseCustomIds | Self::DropCustomIds => {
                world.service.custom_ids = self == Self::UseCustomIds;
                world.wake_all();
            }
            _ => world.service.refuses = None,
        }
    }

    fn happen_to_connection(self, world: &mut World) {
        let (now, terms) = (whole_seconds(world.now), &mut world.terms);
        match self {
            Self::Disconnect => terms.standing = Standing::Refused,
            Self::DropConnection => terms.standing = Standing::Missing,
            Self::SuspendConnection => terms.standing = Standing::Suspended,
            Self::NewConnection => terms.standing = Standing::New(now),
            Self::Connect => terms.standing = Standing::Ready,
            Self::MoveConnection => terms.resource = Some("22222222-2222-2222-2222-222222222222".to_owned()),
            Self::MoveConnectionBack => terms.resource = Some(RESOURCE.to_owned()),
            Self::AllowAdoption => (terms.allows_adoption, terms.allowed_adoption) = (true, true),
            Self::ForbidAdoption => terms.allows_adoption = false,
            Self::RotateKey => {
                "another key".clone_into(&mut world.service.key);
                terms.keys = Some(vec![world.service.key.clone()]);
            }
            Self::EndOldTokens => terms.valid_from = Some(now),
            _ => terms.valid_from = Some(now + SignedDuration::from_hours(2)),
        }
        world.wake_all();
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
