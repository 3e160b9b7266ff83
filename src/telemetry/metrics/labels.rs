//! The values that labels can have.

use std::fmt::{self, Write};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use crate::api::Reason;

/// An enum whose variants are the values of a label.
macro_rules! label {
    ($(#[doc = $doc:literal])+ $(#[derive($($more:ident),+)])? $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash $($(, $more)+)?)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value, in metrics and in log lines.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
                encoder.write_str(self.as_str())
            }
        }
    };
}

label! {
    /// How a reconcile ended.
    ReconcileOutcome {
        /// Nothing is left to do now.
        Settled = "settled",
        /// Work is left that waits for something: a time, a permit, a connection.
        Waiting = "waiting",
        /// A call failed; it is tried again after a delay.
        Failed = "failed",
        /// It took longer than a reconcile may.
        TimedOut = "timed_out",
        /// A defect: the code panicked.
        Panicked = "panicked",
    }
}

label! {
    /// Why a token was issued.
    TokenCause {
        /// There was none yet.
        First = "first",
        /// The old one was due for renewal.
        Renewal = "renewal",
        /// A renewal was requested by annotation.
        Requested = "requested",
        /// The scopes changed.
        ScopesChanged = "scopes_changed",
        /// The lifetime changed.
        LifetimeChanged = "lifetime_changed",
        /// The Secret was missing, renamed or damaged.
        SecretLost = "secret_lost",
        /// All tokens were revoked.
        Revoked = "revoked",
        /// The credential that made it was retired.
        CredentialRetired = "credential_retired",
    }
}

label! {
    /// How urgent a call to ACS is. Declared from the most to the least urgent.
    #[derive(PartialOrd, Ord)]
    LimiterLane {
        /// The token has expired.
        Expired = "expired",
        /// A user waits: for a new identity, a revocation, a deletion, a Secret that was lost.
        Urgent = "urgent",
        /// A token is to be replaced, or ended, in good time.
        Routine = "routine",
    }
}

label! {
    /// Why the tokens of an identity were revoked.
    RevocationCause {
        /// By annotation.
        Requested = "requested",
        /// `spec.token` was removed.
        TokenRemoved = "token_removed",
        /// `spec.tokensValidFrom` of the connection.
        TokensValidFrom = "tokens_valid_from",
        /// It was announced, and taken back or interrupted before it was known to be done.
        Announced = "announced",
    }
}

/// A [`Reason`] as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReasonValue(pub(super) Reason);

impl EncodeLabelValue for ReasonValue {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        encoder.write_str(self.0.as_str())
    }
}

/// The status of an HTTP answer as a label: a number that is in use, `other`, or `none` when no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Code {
    Known(u16),
    Other,
    None,
}

impl Code {
    /// A server can send any number; a label must not have as many values.
    const KNOWN: &[u16] = &[
        200, 201, 202, 204, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415,
        422, 429, 431, 500, 501, 502, 503, 504,
    ];

    pub(super) fn of(status: Option<u16>) -> Self {
        match status {
            None => Self::None,
            Some(status) if Self::KNOWN.contains(&status) => Self::Known(status),
            Some(_) => Self::Other,
        }
    }
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        match self {
            Self::Known(status) => write!(encoder, "{status}"),
            Self::Other => encoder.write_str("other"),
            Self::None => encoder.write_str("none"),
        }
    }
}
