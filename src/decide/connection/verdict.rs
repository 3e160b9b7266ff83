//! What a connection's conditions say.

use super::health::Obstacle;
use super::observed::{Credential, ObservedConnection};
use crate::api::{Reason, Verdict};

/// What to do about a certificate that is not trusted, as a sentence without a full stop.
pub const TRUST_ITS_AUTHORITY: &str = "No authority that the operator trusts has signed the certificate that it was shown: \
    where that is right, as behind a proxy that looks into TLS, start the operator with --ca-file and the certificate of the \
    authority that signed it";

/// What one look at a connection comes to.
pub fn verdict(o: &ObservedConnection) -> Verdict {
    if o.object.deleting {
        return Verdict::new(Reason::Progressing, leaving(o));
    }
    let (endpoint, fingerprints) = match &o.credential {
        Credential::Pending => {
            return Verdict::new(Reason::Progressing, "the credential is being looked for");
        }
        Credential::Missing(why) | Credential::Refused(why) => return Verdict::new(Reason::CredentialMissing, why),
        Credential::Invalid(why) => return Verdict::new(Reason::InvalidRequest, why),
        Credential::Unsupported(why) => return Verdict::new(Reason::AccessDenied, why),
        Credential::Loaded {
            endpoint, fingerprints, ..
        } => (endpoint, fingerprints),
    };
    if o.has_moved() {
        return Verdict::new(Reason::ResourceMismatch, moved(o, endpoint));
    }
    if o.object.suspend {
        let ready = o.in_use().is_some();
        let mut words =
            "spec.suspend is true: nothing but deletions is done through this connection, and tokens are left to \
                         expire"
                .to_owned();
        if !ready {
            words = format!("{words}. Deletions wait: {}", denied(o, endpoint, fingerprints));
        }
        return Verdict {
            ready,
            ..Verdict::new(Reason::Suspended, words)
        };
    }
    if let (Some(former), Some(resource), Some(_)) = (o.former_resource(), o.resource_id(), o.health.proven()) {
        return Verdict::new(Reason::ResourceMismatch, made_anew(o, endpoint, former, resource));
    }
    match (o.in_use(), o.health.proven(), o.health.why_unknown()) {
        (None, _, _) => Verdict::new(Reason::AccessDenied, denied(o, endpoint, fingerprints)),
        (Some(_), Some(_), _) => Verdict::new(Reason::CredentialAccepted, accepted(o, endpoint)),
        (Some(_), None, Some(unknown)) => {
            let (reason, remedy) = match unknown.obstacle {
                Obstacle::Rejected => (Reason::InvalidRequest, "Check spec.serviceApiVersion"),
                Obstacle::Throttled => (Reason::Throttled, "It is tried again by itself"),
                Obstacle::Untrusted => (Reason::ServiceUnavailable, TRUST_ITS_AUTHORITY),
                Obstacle::Away => (
                    Reason::ServiceUnavailable,
                    "If this stays, check the endpoint, DNS, proxy and network policies between the operator and ACS. It is \
                     tried again by itself",
                ),
            };
            let words = unknown.words.trim_end_matches('.');
            Verdict::new(
                reason,
                format!("the credential could not be proven at {endpoint}: {words}. {remedy}"),
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
    let users = match o.users.holders {
        1 => "one user holds an identity".to_owned(),
        users => format!("{users} users hold identities"),
    };
    format!(
        "the credential is now one of {endpoint}, but {users} of the ACS resource at {before}. \
         Put a credential of {before} back, and make another connection for {endpoint}"
    )
}

fn made_anew(o: &ObservedConnection, endpoint: &str, former: &str, resource: &str) -> String {
    let users = match o.users.of_former {
        1 => "the identity of one user".to_owned(),
        users => format!("the identities of {users} users"),
    };
    format!(
        "the ACS resource at {endpoint} was deleted and made anew: it is {resource} now, and serves its own users, but {users} \
         went with the resource {former}. Annotate these CommunicationUsers with acs-operator.dev/abandon and their identity's id, \
         and with acs-operator.dev/replace-identity as well to have new ones, or delete them then"
    )
}

fn denied(o: &ObservedConnection, endpoint: &str, fingerprints: &[String]) -> String {
    let last = fingerprints.last().and_then(|credential| o.health.refusal(credential));
    let which = match fingerprints {
        [_] => "the credential is".to_owned(),
        [_, _] => "both credentials are".to_owned(),
        all => format!("all {} credentials are", all.len()),
    };
    let put = if lies_in_a_secret(o) {
        "Put a valid one into the Secret"
    } else {
        "Set COMMUNICATION_SERVICES_CONNECTION_STRING to a valid one and restart the operator"
    };
    format!(
        "{which} refused at {endpoint}: {}. {put} (keys may have been regenerated in Azure), or set the clock of the operator's \
         node right. It is tried again by itself",
        last.unwrap_or("Denied").trim_end_matches('.')
    )
}

/// The credential of the environment does not.
fn lies_in_a_secret(o: &ObservedConnection) -> bool {
    matches!(&o.credential, Credential::Loaded { keys, .. } if !keys.is_empty())
}

fn accepted(o: &ObservedConnection, endpoint: &str) -> String {
    let mut sentences = vec![format!("the credential is accepted at {endpoint}")];
    sentences.extend(warnings(o).into_iter().map(|warning| warning.words));
    match o.users.tokens_pending {
        ..=0 => {}
        1 => sentences.push("one token is still to be replaced".to_owned()),
        pending => sentences.push(format!("{pending} tokens are still to be replaced")),
    }
    sentences.join(". ")
}

/// Something that a person should see to before it does harm: the connection works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The reason of its event.
    pub reason: &'static str,
    /// What happened and what to do, as a sentence without a full stop.
    pub words: String,
}

/// What a person should see to.
pub fn warnings(o: &ObservedConnection) -> Vec<Warning> {
    let Credential::Loaded {
        fingerprints,
        keys,
        outlived,
        ..
    } = &o.credential
    else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    if o.in_use().is_some_and(|credential| o.health.is_accepted(credential)) {
        for (number, credential) in fingerprints.iter().enumerate() {
            let Some(refusal) = o.health.refusal(credential) else {
                continue;
            };
            let which = keys
                .get(number)
                .map_or_else(|| credential.clone(), |key| format!("under the key {key}"));
            warnings.push(Warning {
                reason: "KeyRefused",
                words: format!(
                    "The credential {which} is refused ({}), and another one is used: put a valid one in its place",
                    refusal.trim_end_matches('.')
                ),
            });
        }
    }
    if let Some(why) = outlived {
        warnings.push(Warning {
            reason: "CredentialOutlived",
            words: format!("What the Secret held last is used on until the operator restarts: {why}"),
        });
    }
    warnings
}
