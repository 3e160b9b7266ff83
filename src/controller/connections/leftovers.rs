//! Secrets that still carry our finalizer although no connection names them: the connection was changed, or went without us,
//! while no operator ran. A running one lets go of what it leaves.

use std::collections::BTreeSet;

use super::Connections;
use super::source::Source;
use crate::api::names::finalizer;
use crate::cluster::writes::{WriteError, Writes};
use crate::cluster::{ObjectKey, Scope};

/// Lets go of them, once. What fails is left to the next process: a Secret that can't be deleted says why itself.
pub async fn release(connections: &Connections, writes: &Writes, scopes: &[Scope]) {
    for scope in scopes {
        let held = match writes.secrets_with_finalizer(scope, finalizer::CREDENTIAL_IN_USE).await {
            Ok(held) => held,
            Err(error) => {
                tracing::debug!(%scope, %error, "Secrets that no connection names any more could not be looked for");
                continue;
            }
        };
        let named = connections.named_secrets();
        for metadata in held {
            let secret = ObjectKey::from_meta(&metadata);
            if named.contains(&secret) {
                continue;
            }
            let of = |text: &Option<String>| text.clone().unwrap_or_default();
            let (uid, version) = (of(&metadata.uid), of(&metadata.resource_version));
            let others = finalizer::without(finalizer::CREDENTIAL_IN_USE, metadata.finalizers.iter().flatten());
            let namespace = secret.namespace().unwrap_or_default();
            match writes
                .patch_secret_finalizers(namespace, secret.name(), &uid, &version, &others)
                .await
            {
                Ok(_) | Err(WriteError::Gone) => {
                    tracing::info!(%secret, "a Secret that no connection names any more is let go");
                }
                // The next leader looks for them itself.
                Err(WriteError::NotLeading(_)) => return,
                Err(error) => {
                    tracing::warn!(%secret, %error, "a Secret that no connection names any more could not be let go");
                }
            }
        }
    }
}

impl Connections {
    /// The Secrets that connections name.
    fn named_secrets(&self) -> BTreeSet<ObjectKey> {
        let mut named = BTreeSet::new();
        let mut add = |source: &Source| named.extend(source.place().map(super::source::Place::secret));
        self.declared
            .namespaced
            .for_each(|_, object| add(&Source::namespaced(object)));
        self.declared
            .cluster
            .for_each(|_, object| add(&Source::cluster(object)));
        named
    }
}
