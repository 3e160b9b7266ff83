//! What Microsoft does not document, and the emulator therefore lets you choose.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One answer for each open question about the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Choices {
    /// Issue, revoke or get with the id of an identity of this resource that was deleted or never was.
    pub deleted_identity: DeletedIdentity,
    /// Delete of such an identity.
    pub second_delete: SecondDelete,
    /// Create with a `customId` that an identity already has.
    pub custom_id_repeat: CustomIdRepeat,
    /// Create with the `customId` of a deleted identity.
    pub custom_id_after_delete: CustomIdAfterDelete,
    /// `customId` under an api-version that does not have it.
    pub custom_id_outside_preview: CustomIdOutsidePreview,
    /// Body of a 429.
    pub throttle_body: ThrottleBody,
    /// How a 429 says when to come back.
    pub retry_after: RetryAfter,
    /// Which fault is reported when a request has several.
    pub check_order: CheckOrder,
}

/// Issue, revoke or get on a deleted identity of this resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletedIdentity {
    /// 404 `IdentityNotFound`.
    #[default]
    NotFound,
    /// 401 `IdentityNotOwned`.
    NotOwned,
    /// 400 `ValidationError`.
    Invalid,
}

/// Delete of a deleted identity of this resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondDelete {
    /// 204, as the first time.
    #[default]
    NoContent,
    /// 404 `IdentityNotFound`.
    NotFound,
    /// 401 `IdentityNotOwned`.
    NotOwned,
}

/// Status of a create that returns the identity which has the `customId` already. An early draft of the specification
/// had 200; the final one has only 201.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CustomIdRepeat {
    /// 201, indistinguishable from a new identity.
    #[default]
    Created,
    /// 200.
    Ok,
}

/// Create with the `customId` of a deleted identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CustomIdAfterDelete {
    /// A new identity with a new id.
    #[default]
    New,
    /// The deleted identity comes back under its old id.
    Same,
    /// 409 `Conflict`.
    Refuse,
}

/// `customId` under an api-version that does not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CustomIdOutsidePreview {
    /// As any unknown field: every create makes another identity.
    #[default]
    Ignore,
    /// 400 `ValidationError`.
    Refuse,
}

/// Body of a 429.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThrottleBody {
    /// The error envelope with `TooManyRequests`.
    #[default]
    Envelope,
    /// None.
    Empty,
    /// An HTML page, as a gateway would answer.
    Html,
}

/// How a 429 says when to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfter {
    /// `Retry-After` with whole seconds.
    #[default]
    Seconds,
    /// `Retry-After` with an HTTP date.
    Date,
    /// `retry-after-ms`, which some Azure services send.
    Milliseconds,
    /// Not at all.
    None,
}

/// One thing that can be wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The access-key signature, the date included.
    Signature,
    /// Path and method.
    Route,
    /// The api-version.
    Version,
    /// The rate limit.
    Throttle,
    /// The body.
    Body,
    /// Whether the identity is this resource's, and alive.
    Identity,
}

/// The order in which requests are checked: the first fault is the one that is reported. Every check stands in it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Check>")]
pub struct CheckOrder([Check; 6]);

impl CheckOrder {
    /// The checks, first to last.
    pub fn checks(self) -> [Check; 6] {
        self.0
    }
}

impl Default for CheckOrder {
    fn default() -> Self {
        Self([
            Check::Signature,
            Check::Route,
            Check::Version,
            Check::Throttle,
            Check::Body,
            Check::Identity,
        ])
    }
}

impl fmt::Display for CheckOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(&self.0))
    }
}

/// The text does not name every check once.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{given}` is not an order of checks: {fault}; write each of {} once, separated by commas",
    CheckOrder::default()
)]
pub struct CheckOrderError {
    given: String,
    fault: String,
}

impl FromStr for CheckOrder {
    type Err = CheckOrderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let check = |name: &str| {
            Check::from_str(name, false).map_err(|_| CheckOrderError {
                given: text.to_owned(),
                fault: format!("`{name}` is no check"),
            })
        };
        let order: Result<Vec<_>, _> = text.split(',').map(str::trim).map(check).collect();
        Self::try_from(order?)
    }
}

impl TryFrom<Vec<Check>> for CheckOrder {
    type Error = CheckOrderError;

    fn try_from(order: Vec<Check>) -> Result<Self, Self::Error> {
        let error = |fault: String| CheckOrderError {
            given: written(&order),
            fault,
        };
        if let Some(twice) = (1..order.len()).find(|at| order[..*at].contains(&order[*at])) {
            return Err(error(format!("`{}` is there twice", name_of(order[twice]))));
        }
        let too_few = error(format!("{} of 6 checks are there", order.len()));
        order.try_into().map(Self).map_err(|_| too_few)
    }
}

fn written(order: &[Check]) -> String {
    order.iter().copied().map(name_of).collect::<Vec<_>>().join(",")
}

fn name_of(check: Check) -> String {
    check
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reads_back_as_it_is_written() {
        let text = "throttle,route,version,signature,identity,body";
        assert_eq!(text.parse::<CheckOrder>().unwrap().to_string(), text);
    }

    #[test]
    fn an_order_in_json_is_checked_as_well() {
        let orders: Choices = serde_json::from_str(
            r#"{"checkOrder": ["identity", "throttle", "signature", "route", "version", "body"]}"#,
        )
        .unwrap();
        assert_eq!(orders.check_order.checks()[0], Check::Identity);
        let error = serde_json::from_str::<Choices>(r#"{"checkOrder": ["identity"]}"#).unwrap_err();
        assert!(error.to_string().contains("1 of 6 checks"), "{error}");
    }

    #[test]
    fn an_order_that_lacks_or_repeats_a_check_says_which() {
        for (text, fault) in [
            ("", "`` is no check"),
            ("route,version", "2 of 6 checks"),
            ("route,route,version,throttle,body,identity", "`route` is there twice"),
            (
                "signature,route,version,throttle,body,identity,Body",
                "`Body` is no check",
            ),
        ] {
            let error = text.parse::<CheckOrder>().unwrap_err().to_string();
            assert!(
                error.contains(fault) && error.contains("write each of signature,route"),
                "{error}"
            );
        }
    }
}
