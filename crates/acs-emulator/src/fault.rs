//! One fault to inject: which calls it hits and what happens to those.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::route::Operation;

/// A rule: calls that it matches suffer its delays and its effect.
///
/// ```
/// use acs_emulator::{Fault, Operation};
///
/// // The answer to the second create is lost after the identity was made.
/// let fault = Fault::cut_after_processing().on(Operation::Create).after(1).once();
/// # let _ = fault;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Only calls of this operation. Absent: of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Only calls about this identity id, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// How many matching calls are let through first.
    #[serde(default)]
    pub skip: u32,
    /// How many calls it then hits. Absent: all until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How long a call waits before it is processed. Removing the fault ends the wait.
    #[serde(default, with = "friendly", skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// How long the answer waits after the call was processed. Removing the fault ends the wait.
    #[serde(default, with = "friendly", skip_serializing_if = "Option::is_none")]
    pub answer_delay: Option<Duration>,
    /// What else happens.
    #[serde(default)]
    pub effect: Effect,
}

use jiff::fmt::serde::unsigned_duration::friendly::compact::optional as friendly;

impl Fault {
    /// A rule with this effect that hits every call until it is removed.
    pub fn new(effect: Effect) -> Self {
        Self {
            operation: None,
            identity: None,
            skip: 0,
            times: None,
            delay: None,
            answer_delay: None,
            effect,
        }
    }

    /// Calls are not processed and get this status with an error envelope.
    pub fn status(status: u16) -> Self {
        Self::new(Effect::Status {
            status,
            code: None,
            message: None,
            processed: false,
        })
    }

    /// Calls are not processed and get 429, with this `Retry-After` if any: seconds or an HTTP date, sent as it is.
    pub fn throttled(retry_after: Option<&str>) -> Self {
        Self::new(Effect::Throttle {
            retry_after: retry_after.map(str::to_owned),
        })
    }

    /// Calls are not processed and get the HTML page of a gateway with status 502.
    pub fn html_bad_gateway() -> Self {
        Self::new(Effect::Html {
            status: 502,
            processed: false,
        })
    }

    /// The connection is cut and nothing was done.
    pub fn cut_before_processing() -> Self {
        Self::new(Effect::Cut { processed: false })
    }

    /// The call is carried out, then the connection is cut without an answer.
    pub fn cut_after_processing() -> Self {
        Self::new(Effect::Cut { processed: true })
    }

    /// The call is carried out, then the connection is cut in the middle of the answer's body.
    pub fn truncated() -> Self {
        Self::new(Effect::Truncate)
    }

    /// Calls are not processed and get exactly this answer.
    pub fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<String>) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::new(Effect::Respond {
            status,
            headers,
            body: body.into(),
            processed: false,
        })
    }

    /// Calls wait this long before they are processed, then go on as usual.
    pub fn delay(delay: Duration) -> Self {
        Self::new(Effect::None).delayed(delay)
    }

    /// Calls are processed at once; their answers wait this long.
    pub fn delay_answer(delay: Duration) -> Self {
        Self::new(Effect::None).answer_delayed(delay)
    }

    /// Only calls of this operation.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only calls about this identity.
    #[must_use]
    pub fn for_identity(mut self, id: impl Into<String>) -> Self {
        self.identity = Some(id.into());
        self
    }

    /// Lets this many matching calls through first.
    #[must_use]
    pub fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Hits this many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Hits one call.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Also waits before processing.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Also holds the answer back.
    #[must_use]
    pub fn answer_delayed(mut self, delay: Duration) -> Self {
        self.answer_delay = Some(delay);
        self
    }

    /// Carries the call out all the same, where the effect leaves that open: a 504 after processing, for example.
    #[must_use]
    pub fn processed(mut self) -> Self {
        self.effect = self.effect.processed();
        self
    }

    pub(crate) fn matches(&self, operation: Operation, identity: Option<&str>) -> bool {
        self.operation.is_none_or(|wanted| wanted == operation)
            && self.identity.as_deref().is_none_or(|wanted| identity == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_back_from_the_json_it_is_written_as() {
        let fault = Fault::cut_after_processing()
            .on(Operation::Create)
            .once()
            .delayed(Duration::from_millis(1500));
        let text = serde_json::to_string(&fault).unwrap();
        assert!(
            text.contains(r#""operation":"create""#) && text.contains(r#""delay":"1s 500ms""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
    }

    #[test]
    fn a_fault_with_an_unknown_field_is_refused_by_name() {
        let error = serde_json::from_str::<Fault>(r#"{"opration": "create"}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("opration") && error.contains("operation"), "{error}");
    }
}
