//! What is known of a connection, gathered through the caches; its credential is loaded as it lies there.

use std::sync::Arc;
use std::time::Duration;

use acs_identity::{Client, Credential as AcsCredential, Guard, Observer, Operation, RetryPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::Keeper;
use crate::api::names::finalizer;
use crate::cluster::ObjectKey;
use crate::cluster::lease::Hold;
use crate::controller::connections::clock_skew::SkewObserver;
use crate::controller::connections::credential::{Loaded, NotLoaded, load, refused};
use crate::controller::connections::entry::Entry;
use crate::controller::connections::secrets::Lookup;
use crate::controller::connections::source::{Place, Source};
use crate::controller::connections::ways::{Way, Ways};
use crate::decide::connection::{ConnectionObject, Credential, ObservedConnection, SecretState};

impl Keeper {
    /// What is known of the connection now, with its credential loaded as it lies there.
    pub(super) fn look(&self, source: &Source, entry: &Arc<Entry>) -> (ObservedConnection, Option<Duration>) {
        let former_place = entry.place(source.place());
        let lookup = if let Some(place) = source.place() {
            self.secrets.named_by(&source.key, &place.secret())
        } else {
            self.secrets.dropped_by(&source.key);
            Lookup::Absent
        };
        let secret = match &lookup {
            Lookup::Found(secret) => Some(secret),
            Lookup::Absent | Lookup::Refused | Lookup::Pending => None,
        };
        match lookup {
            Lookup::Pending => {}
            Lookup::Refused => entry.load(self.ways(Err(refused(source)), entry)),
            Lookup::Absent | Lookup::Found(_) => {
                let loaded = load(source, secret.map(|secret| &**secret), &self.rule);
                entry.load(self.ways(loaded, entry));
            }
        }
        let now = self.clock.now();
        entry.remember(|memory| {
            memory.began.get_or_insert(now);
            memory.note_stored_orphans(source.status.suspected_orphans.unwrap_or(0));
        });
        let (credential, health, memory) = entry.known();
        let (users, recount) = self.count(source, entry);
        let observed = ObservedConnection {
            object: object(source, self.connections.is_writable(source)),
            credential: credential.unwrap_or(Credential::Pending),
            secret: secret.map(|secret| self.secret_state(&source.key, entry, secret.meta())),
            former_secret: former_place.map(|place| self.former(&source.key, &place)),
            users,
            health,
            memory,
            probe_interval: self.probe_interval,
        };
        (observed, recount)
    }

    /// Clients for what was loaded.
    fn ways(&self, loaded: Result<Loaded, NotLoaded>, entry: &Entry) -> Result<Ways, Credential> {
        let loaded = loaded.map_err(|why| match why {
            NotLoaded::Missing(why) => Credential::Missing(why),
            NotLoaded::Refused(why) => Credential::Refused(why),
            NotLoaded::Invalid(why) => Credential::Invalid(why),
            NotLoaded::Unsupported(why) => Credential::Unsupported(why),
        })?;
        let observer: Arc<dyn Observer> = Arc::new(SkewObserver {
            skew: entry.clock_skew(),
            then: Arc::clone(&self.clients.observer),
        });
        let make = |(key, credential): (Option<String>, AcsCredential)| {
            let fingerprint = credential.fingerprint().as_str().to_owned();
            let client = Client::builder(loaded.endpoint.clone(), credential)
                .api_version(loaded.api_version.clone())
                // Retries are scheduled by the queue, where they wait without holding a worker.
                .retry(RetryPolicy::none())
                .transport(self.clients.transport.clone())
                .observer(Arc::clone(&observer))
                .guard(Arc::new(Leading(self.hold.clone())))
                .build()
                .map_err(|error| Credential::Invalid(error.to_string()))?;
            Ok(Way {
                fingerprint,
                key,
                client,
            })
        };
        Ok(Ways {
            endpoint: loaded.endpoint.as_str().to_owned(),
            api_version: loaded.api_version.clone(),
            all: loaded.credentials.into_iter().map(make).collect::<Result<_, _>>()?,
        })
    }

    /// What decisions see of a Secret.
    pub(super) fn secret_state(&self, connection: &ObjectKey, entry: &Entry, metadata: &ObjectMeta) -> SecretState {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let uid = metadata.uid.clone().unwrap_or_default();
        SecretState {
            is_shared: self.is_needed_elsewhere(connection, &ObjectKey::from_meta(metadata)),
            name: metadata.name.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            namespace_goes: self.connections.namespace_goes(&namespace) || entry.goes_with_namespace(&uid),
            namespace,
            uid,
        }
    }

    /// The Secret at a place of which nothing else is known any more.
    pub(super) fn former(&self, connection: &ObjectKey, place: &Place) -> SecretState {
        SecretState {
            namespace: place.namespace.clone(),
            name: place.name.clone(),
            uid: String::new(),
            resource_version: String::new(),
            finalizers: vec![finalizer::CREDENTIAL_IN_USE.to_owned()],
            deleting: false,
            namespace_goes: false,
            is_shared: self.is_needed_elsewhere(connection, &place.secret()),
        }
    }

    /// Whether a connection other than this one has users and its credential in that Secret.
    fn is_needed_elsewhere(&self, connection: &ObjectKey, secret: &ObjectKey) -> bool {
        let mut others = self.secrets.wanted_by(secret).into_iter();
        others.any(|other| other != *connection && self.connections.entry(&other).has_users())
    }
}

/// Only the leader calls ACS.
struct Leading(Hold);

impl Guard for Leading {
    fn lets_pass(&self, _: Operation) -> bool {
        self.0.is_held()
    }
}

fn object(source: &Source, is_writable: bool) -> ConnectionObject {
    ConnectionObject {
        kind: source.kind(),
        name: source.key.name().to_owned(),
        generation: source.metadata.generation.unwrap_or_default(),
        deleting: source.metadata.deletion_timestamp.is_some(),
        finalizers: source.metadata.finalizers.clone().unwrap_or_default(),
        is_writable,
        method: source.method.name(),
        suspend: source.settings.suspend,
        status: source.status.clone(),
    }
}
