//! Everything that the invariants speak of, at one moment.

use std::collections::{BTreeMap, BTreeSet};

use acs_emulator::{IssuedToken, Operation, TokenState};
use acs_operator::api::{
    ClusterCommunicationConnection, CommunicationConnection, CommunicationUser, CreateAttempt, names::annotation,
};
use acs_operator_testbed::{World, identity};
use anyhow::Result;
use k8s_openapi::{
    api::core::v1::{Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, ResourceExt, api::ListParams};

use crate::subject::{ALICE, CONTOSO, Subject};

/// The objects of a subject, by their names within it, and what is in ACS.
pub struct Seen {
    pub users: BTreeMap<String, CommunicationUser>,
    pub secrets: BTreeMap<String, SecretSeen>,
    pub connection: Option<ConnectionSeen>,
    pub has_namespace: bool,
    /// All identities in ACS.
    pub identities: BTreeSet<String>,
    /// Every token that ACS remembers, by its SHA-256.
    pub issued: BTreeMap<String, IssuedToken>,
    prefix: String,
}

/// A connection of either kind.
pub struct ConnectionSeen {
    pub metadata: ObjectMeta,
    /// The name of the Secret that it names.
    pub credential: Option<String>,
    pub suspected_orphans: Option<i32>,
}

impl From<CommunicationConnection> for ConnectionSeen {
    fn from(connection: CommunicationConnection) -> Self {
        let auth = connection.spec.auth.connection_string;
        Self {
            metadata: connection.metadata,
            credential: auth.map(|auth| auth.secret_ref.name),
            suspected_orphans: connection.status.and_then(|status| status.suspected_orphans),
        }
    }
}

impl From<ClusterCommunicationConnection> for ConnectionSeen {
    fn from(connection: ClusterCommunicationConnection) -> Self {
        let auth = connection.spec.auth.connection_string;
        Self {
            metadata: connection.metadata,
            credential: auth.map(|auth| auth.secret_ref.name),
            suspected_orphans: connection.status.and_then(|status| status.suspected_orphans),
        }
    }
}

/// A Secret, and what ACS says of the token in it.
pub struct SecretSeen {
    pub secret: Secret,
    pub token: Option<IssuedToken>,
}

impl SecretSeen {
    pub fn value(&self, key: &str) -> Option<&str> {
        let value = self.secret.data.as_ref()?.get(key)?;
        std::str::from_utf8(&value.0).ok()
    }

    pub fn metadata(&self) -> &ObjectMeta {
        &self.secret.metadata
    }
}

impl Seen {
    /// What is there now.
    pub async fn of(world: &World, subject: &Subject) -> Result<Self> {
        let (place, all, prefix) = (subject.place(world), ListParams::default(), subject.prefix());
        let word = |name: String| name.strip_prefix(&prefix).map(str::to_owned);
        let users = place.users().list(&all).await?.into_iter();
        let secrets = place.secrets().list(&all).await?.into_iter();
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let seen = |secret: Secret| {
            let mut seen = SecretSeen { secret, token: None };
            seen.token = seen.value("token").and_then(|token| world.acs().token(token));
            seen
        };
        Ok(Self {
            users: users.filter_map(|user| Some((word(user.name_any())?, user))).collect(),
            secrets: secrets
                .filter_map(|secret| Some((word(secret.name_any())?, seen(secret))))
                .collect(),
            connection: connection_of(world, subject).await?,
            has_namespace: namespaces.get_opt(&place.namespace).await?.is_some(),
            identities: world
                .acs()
                .identities()
                .into_iter()
                .map(|identity| identity.id)
                .collect(),
            issued: world
                .acs()
                .tokens()
                .into_iter()
                .map(|token| (token.sha256.clone(), token))
                .collect(),
            prefix,
        })
    }

    pub fn alice(&self) -> Result<&CommunicationUser, String> {
        self.users.get(ALICE).ok_or_else(|| "there is no alice".to_owned())
    }

    /// The identity ids that status records, by user.
    pub fn recorded(&self) -> BTreeMap<&str, String> {
        let ids = self.users.iter();
        ids.filter_map(|(word, user)| Some((word.as_str(), identity(user)?)))
            .collect()
    }

    /// The Secret that holds, or should hold, the token of a user, by what the spec says.
    pub fn token_secret(&self, word: &str) -> Option<&SecretSeen> {
        let name = self.secret_name(word)?;
        self.secrets.get(&name)
    }

    /// The name, within the subject, that the Secret of a user should have; `None`: no token is wanted.
    pub fn secret_name(&self, word: &str) -> Option<String> {
        let spec = &self.users.get(word)?.spec;
        spec.token.as_ref()?;
        let name = spec.secret.as_ref().and_then(|secret| secret.name.as_deref());
        let within = |name: &str| name.strip_prefix(&self.prefix).map(str::to_owned);
        name.map_or(Some(word.to_owned()), within)
    }

    /// What ACS issued of what lies in the Secrets of users, by user.
    pub fn tokens(&self) -> BTreeMap<&str, &IssuedToken> {
        let words = self.users.keys().map(String::as_str);
        words
            .filter_map(|word| Some((word, self.token_secret(word)?.token.as_ref()?)))
            .collect()
    }

    /// How many attempts to create an identity are announced and not settled. Nobody but the process that made them knows
    /// what came of them.
    pub fn open_attempts(&self) -> i32 {
        let is_open = |user: &&CommunicationUser| {
            let announced = user.annotations().get(annotation::CREATE_ATTEMPT);
            let announced = announced.and_then(|text| text.parse::<CreateAttempt>().ok());
            let settled = user.status.as_ref().and_then(|status| status.identity.as_ref());
            let settled = settled.and_then(|identity| identity.attempt.as_deref());
            announced.is_some_and(|announced| settled != Some(announced.attempt.to_string().as_str()))
        };
        i32::try_from(self.users.values().filter(is_open).count()).unwrap_or(i32::MAX)
    }

    /// The suspected orphans that the statuses of users tell of.
    pub fn suspected_of_users(&self) -> i32 {
        let of = |user: &CommunicationUser| user.status.as_ref()?.identity.as_ref()?.suspected_orphans;
        self.users.values().filter_map(of).sum()
    }

    /// The suspected orphans that the status of the connection tells of.
    pub fn suspected_of_connection(&self) -> i32 {
        let connection = self.connection.as_ref();
        connection
            .and_then(|connection| connection.suspected_orphans)
            .unwrap_or(0)
    }

    /// The Secret that the connection names, by its name within the subject.
    pub fn credential_name(&self) -> Option<String> {
        let name = self.connection.as_ref()?.credential.as_deref()?;
        name.strip_prefix(&self.prefix).map(str::to_owned)
    }

    /// The tokens of these identities that would be accepted.
    pub fn valid_tokens_of(&self, identities: &BTreeSet<String>) -> BTreeSet<&str> {
        let valid = self.issued.values().filter(|token| token.state == TokenState::Valid);
        valid
            .filter(|token| identities.contains(&token.identity))
            .map(|token| token.sha256.as_str())
            .collect()
    }
}

/// The connection of a subject, of whichever kind.
async fn connection_of(world: &World, subject: &Subject) -> Result<Option<ConnectionSeen>> {
    let name = format!("{}{CONTOSO}", subject.prefix());
    if let Some(connection) = subject.place(world).connections().get_opt(&name).await? {
        return Ok(Some(connection.into()));
    }
    Ok(world.cluster_connections().get_opt(&name).await?.map(Into::into))
}

/// What came of a scenario.
pub struct Change<'a> {
    pub before: &'a Seen,
    /// When the operator was dead, if it was killed: the last time.
    pub death: Option<&'a Seen>,
    pub after: &'a Seen,
    /// The identity that was there to be adopted.
    pub stray: Option<String>,
    /// What was asked of ACS, but for the proofs of connections.
    pub calls: Vec<Operation>,
    /// How much the metric of suspected orphans grew.
    pub suspected_in_metric: i32,
    /// How many answers to creates got lost on the way to the operator that lived to the end.
    pub lost_answers: i32,
}
