//! Secrets that still carry our finalizer although no connection names them: the connection was changed, or went without us,
//! while no operator ran. A running one lets go of what it leaves.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::sleep;

use super::Connections;
use super::source::Source;
use crate::api::names::finalizer;
use crate::cluster::writes::{WriteError, Writes};
use crate::cluster::{ObjectKey, Scope, retry_delays};

/// Lets go of them, in each scope once all connections are known that may name one there: of the Secrets in a served namespace, cluster
/// connections may name some as well, even where they are another installation's to guard.
pub async fn release(connections: &Connections, writes: &Writes, scopes: &[Scope]) {
    join_all(scopes.iter().map(|scope| release_in(connections, writes, scope))).await;
}

async fn release_in(connections: &Connections, writes: &Writes, scope: &Scope) {
    connections.declared.namespaced.wait_synced_in(scope).await;
    connections.declared.cluster.wait_synced().await;
    for delay in retry_delays() {
        match release_all(connections, writes, scope).await {
            // The next leader looks for them itself.
            Ok(()) | Err(WriteError::NotLeading(_)) => return,
            Err(error) => {
                tracing::debug!(%scope, %error, "Secrets that no connection names any more could not be let go yet");
            }
        }
        sleep(delay).await;
    }
}

/// # Errors
/// When some are left that may be let go later.
async fn release_all(connections: &Connections, writes: &Writes, scope: &Scope) -> Result<(), WriteError> {
    let held = writes
        .secrets_with_finalizer(scope, finalizer::CREDENTIAL_IN_USE)
        .await?;
    if connections.declared.namespaced.hides() || connections.declared.cluster.hides() {
        let why = "not every connection can be decoded, so it is not known which Secrets they name";
        return Err(WriteError::Unavailable(why.to_owned()));
    }
    let named = connections.named_secrets();
    let mut left = Ok(());
    for metadata in held.iter().filter(|held| !named.contains(&ObjectKey::from_meta(held))) {
        let secret = ObjectKey::from_meta(metadata);
        match let_go(writes, &secret, metadata).await {
            Ok(()) => tracing::info!(%secret, "a Secret that no connection names any more is let go"),
            Err(error @ WriteError::Refused(_)) => {
                // It says itself why it can't be deleted.
                tracing::warn!(%secret, %error, "a Secret that no connection names any more could not be let go");
            }
            Err(error) => left = Err(error),
        }
    }
    left
}

async fn let_go(writes: &Writes, secret: &ObjectKey, metadata: &ObjectMeta) -> Result<(), WriteError> {
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    let (uid, version) = (of(&metadata.uid), of(&metadata.resource_version));
    let others = finalizer::without(finalizer::CREDENTIAL_IN_USE, metadata.finalizers.iter().flatten());
    let namespace = secret.namespace().unwrap_or_default();
    let written = writes.patch_secret_finalizers(namespace, secret.name(), &uid, &version, &others);
    match written.await {
        Ok(_) | Err(WriteError::Gone) => Ok(()),
        Err(error) => Err(error),
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
