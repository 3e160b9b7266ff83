//! What an object of any of our kinds says of itself.

use acs_operator::api::{ClusterCommunicationConnection, CommunicationConnection, CommunicationUser, ConditionType};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// An object with conditions.
pub trait Conditioned {
    /// Its conditions; none before it was looked at.
    fn conditions(&self) -> &[Condition];
}

macro_rules! conditioned {
    ($($kind:ty),+) => {
        $(impl Conditioned for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map_or(&[], |status| &status.conditions)
            }
        })+
    };
}

conditioned!(
    CommunicationUser,
    CommunicationConnection,
    ClusterCommunicationConnection
);

/// Status and reason of the Ready condition.
pub fn ready(object: &impl Conditioned) -> Option<(String, String)> {
    let condition = ConditionType::Ready.find(object.conditions())?;
    Some((condition.status.clone(), condition.reason.clone()))
}

/// What the Ready condition says; nothing before there is one.
pub fn message(object: &impl Conditioned) -> &str {
    ConditionType::Ready
        .find(object.conditions())
        .map_or("", |condition| &condition.message)
}

/// Which of `Reconciling` and `Stalled` stand beside it.
pub fn beside(object: &impl Conditioned) -> Vec<&str> {
    let conditions = object.conditions().iter();
    let others = conditions.filter(|condition| condition.type_ != ConditionType::Ready.as_str());
    others.map(|condition| condition.type_.as_str()).collect()
}
