//! What the operator's account must be allowed to do, and whether it is.
//!
//! A watch that is forbidden is only ever tried again, and a write that is forbidden fails one object after the other. So
//! the rights are looked at once, at the start, to tell in one place what is missing.

use std::{fmt, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};
use tokio::time::timeout;

use super::{ObjectKey, Scope, cause::cause};
use crate::api::names;

/// Reviews that are asked for at a time.
const CONCURRENCY: usize = 8;

/// Longest that one review may take.
const REVIEW: Duration = Duration::from_secs(5);

/// Longest that all of them may take.
const ALL_REVIEWS: Duration = Duration::from_secs(20);

/// What comes of a missing right that the work can't be done without.
const IN_THE_WAY: &str = "what needs them fails until they are granted";

/// The same for the Lease.
const NOBODY_LEADS: &str = "no replica can lead, so nothing is done until they are granted";

/// A verb on a resource, as a rule of RBAC names it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural, with `/subresource` if it is about one.
    pub resource: &'static str,
    /// What to do with it.
    pub verb: &'static str,
    /// What it is used for.
    pub part: Part,
}

/// A part of the operator's work, as far as rights are granted for it as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// In each namespace that is served: CommunicationUsers, what belongs to them, and connections.
    Served,
    /// Saying whose identity an object has, which the shipped policy asks for in the whole cluster.
    Identities,
    /// Connections that belong to no namespace.
    ClusterConnections,
    /// Writing to them, which only an operator of all namespaces does: where there may be others, they are everyone's.
    HoldingClusterConnections,
    /// The namespaces themselves: their labels, and whether they are being deleted.
    Namespaces,
    /// The Lease, in the operator's own namespace.
    Lease,
}

impl Part {
    /// What does not work without the rights of a part that an operator of chosen namespaces can do without.
    const fn lost_where_optional(self) -> Option<&'static str> {
        match self {
            Self::Served | Self::Identities | Self::HoldingClusterConnections | Self::Lease => None,
            Self::ClusterConnections => {
                Some("no ClusterCommunicationConnection can be used, the one named default included")
            }
            Self::Namespaces => Some(
                "a ClusterCommunicationConnection serves the namespaces that it names and none by label, and a namespace \
                 that is being deleted can lose its credential before its identities are deleted",
            ),
        }
    }
}

const fn right(group: &'static str, resource: &'static str, verb: &'static str) -> Right {
    Right {
        group,
        resource,
        verb,
        part: Part::Served,
    }
}

impl Right {
    const fn of(self, part: Part) -> Self {
        Self { part, ..self }
    }
}

/// Every right that the operator uses. The shipped role holds exactly these.
pub const NEEDED: [Right; 27] = [
    right(names::GROUP, "communicationusers", "get"),
    right(names::GROUP, "communicationusers", "list"),
    right(names::GROUP, "communicationusers", "watch"),
    right(names::GROUP, "communicationusers", "patch"),
    right(names::GROUP, "communicationusers/status", "patch"),
    // Asked for by the admission plugin OwnerReferencesPermissionEnforcement.
    right(names::GROUP, "communicationusers/finalizers", "update"),
    right(names::GROUP, "communicationconnections", "get"),
    right(names::GROUP, "communicationconnections", "list"),
    right(names::GROUP, "communicationconnections", "watch"),
    right(names::GROUP, "communicationconnections", "patch"),
    right(names::GROUP, "communicationconnections/status", "patch"),
    right("", "secrets", "get"),
    right("", "secrets", "list"),
    right("", "secrets", "watch"),
    right("", "secrets", "create"),
    right("", "secrets", "patch"),
    right("", "secrets", "delete"),
    right("events.k8s.io", "events", "create"),
    right(names::GROUP, "communicationusers", names::ASSIGN_IDENTITY_VERB).of(Part::Identities),
    right(names::GROUP, "clustercommunicationconnections", "get").of(Part::ClusterConnections),
    right(names::GROUP, "clustercommunicationconnections", "list").of(Part::ClusterConnections),
    right(names::GROUP, "clustercommunicationconnections", "watch").of(Part::ClusterConnections),
    right(names::GROUP, "clustercommunicationconnections", "patch").of(Part::HoldingClusterConnections),
    right(names::GROUP, "clustercommunicationconnections/status", "patch").of(Part::HoldingClusterConnections),
    right("", "namespaces", "get").of(Part::Namespaces),
    right("", "namespaces", "list").of(Part::Namespaces),
    right("", "namespaces", "watch").of(Part::Namespaces),
];

/// What it uses besides where replicas elect a leader, in its own namespace. The shipped role there holds exactly these.
pub const NEEDED_TO_LEAD: [Right; 5] = [
    right("coordination.k8s.io", "leases", "get").of(Part::Lease),
    right("coordination.k8s.io", "leases", "list").of(Part::Lease),
    right("coordination.k8s.io", "leases", "watch").of(Part::Lease),
    right("coordination.k8s.io", "leases", "create").of(Part::Lease),
    right("coordination.k8s.io", "leases", "patch").of(Part::Lease),
];

/// A right that the account does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct MissingRight {
    /// The right.
    pub right: &'static Right,
    /// Where it is missing.
    pub scope: Scope,
    /// What comes of that.
    pub consequence: &'static str,
}

/// `patch communicationusers/status.acs-operator.dev`
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group, resource, verb, ..
        } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{verb} {resource}{dot}{group}")
    }
}

/// `patch communicationusers/status.acs-operator.dev in namespace contact-center`
impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.right, self.scope)
    }
}

/// Warns of them: once for all that are missing in one place and have the same consequence.
pub fn warn_of(missing: &[MissingRight]) {
    for alike in missing.chunk_by(|one, other| (&one.scope, one.consequence) == (&other.scope, other.consequence)) {
        let rights: Vec<_> = alike.iter().map(|missing| missing.right.to_string()).collect();
        let MissingRight { scope, consequence, .. } = &alike[0];
        tracing::warn!(missing = rights.join(", "), %scope, consequence, "rights are missing");
    }
}

/// The rights of [`NEEDED`] that this account does not have: those that belong to namespaces in each of the `scopes`, then
/// the others in the cluster. Every account may ask this. A review that fails or takes too long says nothing, and is not in
/// the answer: the rights may well be there.
pub async fn missing(client: &Client, scopes: &[Scope]) -> Vec<MissingRight> {
    let (served, others): (Vec<_>, Vec<_>) = NEEDED.iter().partition(|right| right.part == Part::Served);
    let serves_all = scopes.contains(&Scope::Cluster);
    let in_scopes = scopes
        .iter()
        .flat_map(|scope| served.iter().map(move |right| (*right, scope, IN_THE_WAY)));
    let is_used = |right: &&&Right| serves_all || right.part != Part::HoldingClusterConnections;
    let in_cluster = others.iter().filter(is_used).map(|right| {
        let lost = right.part.lost_where_optional().filter(|_| !serves_all);
        (*right, &Scope::Cluster, lost.unwrap_or(IN_THE_WAY))
    });
    let wanted = in_scopes
        .chain(in_cluster)
        .map(|(right, scope, consequence)| MissingRight {
            right,
            scope: scope.clone(),
            consequence,
        });
    missing_of(client, wanted, None).await
}

/// Those of [`NEEDED_TO_LEAD`] that this account does not have on this Lease.
pub async fn missing_to_lead(client: &Client, lease: &ObjectKey) -> Vec<MissingRight> {
    let scope = Scope::Namespace(lease.namespace().unwrap_or_default().into());
    let wanted = NEEDED_TO_LEAD.iter().map(|right| MissingRight {
        right,
        scope: scope.clone(),
        consequence: NOBODY_LEADS,
    });
    missing_of(client, wanted, Some(lease.name())).await
}

/// Those that are missing for certain; `name` is that of the one object which they are wanted on.
async fn missing_of(
    client: &Client,
    wanted: impl Iterator<Item = MissingRight>,
    name: Option<&str>,
) -> Vec<MissingRight> {
    let reviews = stream::iter(wanted.map(|wanted| review(client, wanted, name))).buffered(CONCURRENCY);
    let mut missing = Vec::new();
    let collect = reviews.for_each(|outcome| {
        missing.extend(outcome);
        std::future::ready(())
    });
    if timeout(ALL_REVIEWS, collect).await.is_err() {
        tracing::debug!("the rights of this account could not all be reviewed in time");
    }
    missing
}

/// What is wanted, if it is missing for certain.
async fn review(client: &Client, wanted: MissingRight, name: Option<&str>) -> Option<MissingRight> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let (question, params) = (question(wanted.right, &wanted.scope, name), PostParams::default());
    let problem = match timeout(REVIEW, reviews.create(&params, &question)).await {
        Ok(Ok(answer)) => {
            let allowed = answer.status.is_none_or(|status| status.allowed);
            return (!allowed).then_some(wanted);
        }
        Ok(Err(error)) => cause(&error),
        Err(_) => format!("no answer within {} s", REVIEW.as_secs()),
    };
    tracing::debug!(problem, "a right could not be reviewed");
    None
}

fn question(right: &Right, scope: &Scope, name: Option<&str>) -> SelfSubjectAccessReview {
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
    // An empty namespace asks for all of them.
    let namespace = match scope {
        Scope::Cluster => "",
        Scope::Namespace(namespace) => namespace,
    };
    let attributes = ResourceAttributes {
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        verb: Some(right.verb.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: name.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests;
