//! What the operator's account must be allowed to do, and whether it is.
//!
//! A watch that is forbidden is only ever tried again, and a write that is forbidden fails one object after the other. So
//! the rights are looked at once, at the start, to tell in one place what is missing.

use std::{fmt, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};
use tokio::time::timeout;

use super::{Scope, cause::cause};
use crate::api::names;

/// Reviews that are asked for at a time.
const CONCURRENCY: usize = 8;

/// Longest that one review may take.
const REVIEW: Duration = Duration::from_secs(5);

/// Longest that all of them may take.
const ALL_REVIEWS: Duration = Duration::from_secs(20);

/// A verb on a resource, as a rule of RBAC names it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural, with `/subresource` if it is about one.
    pub resource: &'static str,
    /// What to do with it.
    pub verb: &'static str,
}

const fn right(group: &'static str, resource: &'static str, verb: &'static str) -> Right {
    Right { group, resource, verb }
}

/// Every right that the operator uses, in each namespace that it serves. The shipped role holds exactly these.
pub const NEEDED: [Right; 14] = [
    right(names::GROUP, "communicationusers", "get"),
    right(names::GROUP, "communicationusers", "list"),
    right(names::GROUP, "communicationusers", "watch"),
    right(names::GROUP, "communicationusers", "patch"),
    // Asked for by the shipped policy on identity ids.
    right(names::GROUP, "communicationusers", names::ASSIGN_IDENTITY_VERB),
    right(names::GROUP, "communicationusers/status", "patch"),
    // Asked for by the admission plugin OwnerReferencesPermissionEnforcement.
    right(names::GROUP, "communicationusers/finalizers", "update"),
    right("", "secrets", "get"),
    right("", "secrets", "list"),
    right("", "secrets", "watch"),
    right("", "secrets", "create"),
    right("", "secrets", "patch"),
    right("", "secrets", "delete"),
    right("events.k8s.io", "events", "create"),
];

/// A right that the account does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct MissingRight {
    /// The right.
    pub right: &'static Right,
    /// Where it is missing.
    pub scope: Scope,
}

/// `patch communicationusers/status.acs-operator.dev in namespace contact-center`
impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Right { group, resource, verb } = self.right;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{verb} {resource}{dot}{group} in {}", self.scope)
    }
}

/// The rights of [`NEEDED`] that this account does not have in the `scopes`, in order. Every account may ask this. A review
/// that fails or takes too long says nothing, and is not in the answer: the rights may well be there.
pub async fn missing(client: &Client, scopes: &[Scope]) -> Vec<MissingRight> {
    let wanted = scopes
        .iter()
        .flat_map(|scope| NEEDED.iter().map(move |right| (right, scope)));
    let reviews = stream::iter(wanted.map(|(right, scope)| review(client, right, scope))).buffered(CONCURRENCY);
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

/// The right, if it is missing for certain.
async fn review(client: &Client, right: &'static Right, scope: &Scope) -> Option<MissingRight> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let (question, params) = (question(right, scope), PostParams::default());
    let problem = match timeout(REVIEW, reviews.create(&params, &question)).await {
        Ok(Ok(answer)) => {
            let allowed = answer.status.is_none_or(|status| status.allowed);
            return (!allowed).then(|| MissingRight {
                right,
                scope: scope.clone(),
            });
        }
        Ok(Err(error)) => cause(&error),
        Err(_) => format!("no answer within {} s", REVIEW.as_secs()),
    };
    tracing::debug!(problem, "a right could not be reviewed");
    None
}

fn question(right: &Right, scope: &Scope) -> SelfSubjectAccessReview {
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
