//! What a connection's conditions say.

use super::observed::{Credential, ObservedConnection};
use crate::api::{Reason, Verdict};

/// What one look at a connection comes to.
pub fn verdict(o: &ObservedConnection) -> Verdict {
    if o.object.deleting {
        return Verdict::new(Reason::Progressing, leaving(o));
    }
    let (endpoint, fingerprints, outlived) = match &o.credential {
        Credential::Pending => {
            return Verdict::new(Reason::Progressing, "the credential is being looked for");
        }
        Credential::Missing(why) => return Verdict::new(Reason::CredentialMissing, why),
        Credential::Invalid(why) => return Verdict::new(Reason::InvalidRequest, why),
        Credential::Unsupported(why) => return Verdict::new(Reason::AccessDenied, why),
        Credential::Loaded {
            endpoint,
            fingerprints,
            outlived,
        } => (endpoint, fingerprints, outlived),
    };
    if o.has_moved() {
        return Verdict::new(Reason::ResourceMismatch, moved(o, endpoint));
    }
    if o.object.suspend {
        return Verdict {
            ready: o.in_use().is_some(),
            ..Verdict::new(
                Reason::Suspended,
                "spec.suspend is true: nothing but deletions is done through this connection, and tokens are left to expire",
            )
        };
    }
    match (o.in_use(), o.health.proven(), o.health.why_unknown()) {
        (None, _, _) => Verdict::new(Reason::AccessDenied, denied(o, endpoint, fingerprints)),
        (Some(_), Some(_), _) => Verdict::new(
            Reason::CredentialAccepted,
            accepted(o, endpoint, fingerprints, outlived.as_ref()),
        ),
        (Some(_), None, Some(unknown)) => {
            let reason = match unknown {
                unknown if unknown.rejected => Reason::InvalidRequest,
                unknown if unknown.throttled => Reason::Throttled,
                _ => Reason::ServiceUnavailable,
            };
            Verdict::new(
                reason,
                format!("the credential could not be proven at {endpoint}: {}", unknown.words),
            )
        }
        (Some(_), None, None) => Verdict::new(
            Reason::Progressing,
            format!("the credential is being proven at {endpoint}"),
        ),
    }
}

fn leaving(o: &ObservedConnection) -> String {
    match o.memory.still_used {
        Some((1, _)) => {
            "the connection is being deleted, and goes when its one user is gone: delete that CommunicationUser".into()
        }
        Some((count, _)) if count > 0 => format!(
            "the connection is being deleted, and goes when its {count} users are gone: delete these CommunicationUsers. No new \
             one is served"
        ),
        _ => "the connection is being deleted".into(),
    }
}

fn moved(o: &ObservedConnection, endpoint: &str) -> String {
    let before = o.object.status.endpoint.as_deref().unwrap_or_default();
    let users = o.users.all;
    format!(
        "the credential is now one of {endpoint}, but the identities of its {users} users were made at {before}, and belong to \
         that ACS resource. Put a credential of {before} back, and make another connection for {endpoint}"
    )
}

fn denied(o: &ObservedConnection, endpoint: &str, fingerprints: &[String]) -> String {
    let last = fingerprints.last().and_then(|credential| o.health.refusal(credential));
    let which = match fingerprints {
        [_] => "the credential is".to_owned(),
        all => format!("all {} credentials are", all.len()),
    };
    format!(
        "{which} refused at {endpoint}: {}. Put a valid one into the Secret (keys may have been regenerated in Azure), or set \
         the clock of the operator's node right. It is tried again by itself",
        last.unwrap_or("Denied").trim_end_matches('.')
    )
}

fn accepted(o: &ObservedConnection, endpoint: &str, fingerprints: &[String], outlived: Option<&String>) -> String {
    let mut sentences = vec![format!("the credential is accepted at {endpoint}")];
    if let Some((refused, words)) = fingerprints
        .iter()
        .find_map(|credential| Some((credential, o.health.refusal(credential)?)))
    {
        let words = words.trim_end_matches('.');
        sentences.push(format!(
            "The other one, {refused}, is refused ({words}): put the new key into the Secret"
        ));
    }
    if let Some(why) = outlived {
        sentences.push(format!(
            "The last good credential is kept in memory, until the operator restarts: {why}"
        ));
    }
    if o.users.tokens_pending > 0 {
        sentences.push(format!("{} tokens are still to be replaced", o.users.tokens_pending));
    }
    sentences.join(". ")
}
