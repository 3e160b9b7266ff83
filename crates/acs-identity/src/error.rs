//! Why an operation did not succeed.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::answer::Head;
use crate::envelope::Envelope;
use crate::failure::{Ending, Repeat, classify};
use crate::{FailureClass, Operation};

/// Why an operation did not succeed.
///
/// Go by [`class`](Self::class). The text is for people: it says what failed and why, on one line, and is the same for
/// the same fault (there is no request id or time in it), so that it can be compared and shown in a status.
///
/// # Guarantees
/// Neither `Display` nor `Debug` holds a key, token, signature or raw body. Of the service's answer only its error code
/// and at most 200 printable characters of its message are kept.
pub struct Error(Box<Inner>);

struct Inner {
    operation: Operation,
    request_id: Uuid,
    class: FailureClass,
    fault: Fault,
    head: Option<Head>,
}

enum Fault {
    /// Refused before anything was sent, because it cannot succeed.
    Invalid(&'static str),
    NotSent {
        cause: String,
        untrusted: bool,
    },
    Withheld,
    NoAnswer {
        cause: String,
    },
    Unreadable {
        status: u16,
    },
    Refused {
        status: u16,
        envelope: Option<Envelope>,
    },
}

/// Which call failed.
#[derive(Clone, Copy)]
pub(crate) struct Failed {
    pub operation: Operation,
    pub repeat: Repeat,
    pub request_id: Uuid,
}

impl Failed {
    /// The request cannot succeed, so it is not sent.
    pub fn invalid(self, why: &'static str) -> Error {
        self.error(FailureClass::Rejected, Fault::Invalid(why), None)
    }

    pub fn not_sent(self, cause: String) -> Error {
        self.unsent(cause, false)
    }

    /// Not sent, because nobody who is trusted vouches for the server.
    pub fn untrusted(self, cause: String) -> Error {
        self.unsent(cause, true)
    }

    fn unsent(self, cause: String, untrusted: bool) -> Error {
        let class = self.class(Ending::NotSent, None);
        self.error(class, Fault::NotSent { cause, untrusted }, None)
    }

    pub fn withheld(self) -> Error {
        self.error(FailureClass::Withheld, Fault::Withheld, None)
    }

    pub fn no_answer(self, cause: String) -> Error {
        self.error(
            self.class(Ending::Lost { status: None }, None),
            Fault::NoAnswer { cause },
            None,
        )
    }

    /// An answer whose body broke off, is too large, or is not what the API promises.
    pub fn unreadable(self, head: Head) -> Error {
        let status = head.status;
        let class = self.class(Ending::Lost { status: Some(status) }, head.retry_after);
        self.error(class, Fault::Unreadable { status }, Some(head))
    }

    /// A whole answer that is not the operation's success.
    pub fn refused(self, head: Head, envelope: Option<Envelope>) -> Error {
        let code = envelope.as_ref().map(|envelope| envelope.code.as_str());
        let ending = Ending::Answer {
            status: head.status,
            code,
            is_html: head.is_html,
        };
        let class = self.class(ending, head.retry_after);
        self.error(
            class,
            Fault::Refused {
                status: head.status,
                envelope,
            },
            Some(head),
        )
    }

    fn class(self, ending: Ending<'_>, retry_after: Option<Duration>) -> FailureClass {
        classify(self.operation, self.repeat, ending, retry_after)
    }

    fn error(self, class: FailureClass, fault: Fault, head: Option<Head>) -> Error {
        let Self {
            operation, request_id, ..
        } = self;
        Error(Box::new(Inner {
            operation,
            request_id,
            class,
            fault,
            head,
        }))
    }
}

impl Error {
    /// What happened, without what was being done: for who says that better.
    pub fn fault(&self) -> impl fmt::Display + '_ {
        &self.0.fault
    }

    /// What the failure means for what to do next.
    pub fn class(&self) -> FailureClass {
        self.0.class
    }

    /// What was attempted.
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.0.head.as_ref().map(|head| head.status)
    }

    /// The service's error code, such as `Denied`: at most 64 letters, digits, `_`, `-` and `.`.
    pub fn code(&self) -> Option<&str> {
        self.envelope().map(|envelope| envelope.code.as_str())
    }

    /// At most 200 printable characters of the service's own message.
    pub fn message(&self) -> Option<&str> {
        self.envelope()?.message.as_deref()
    }

    /// What was sent as `x-ms-client-request-id`, by which Azure's logs can be searched. The same over retries.
    pub fn request_id(&self) -> Uuid {
        self.0.request_id
    }

    /// How long the service asks to wait, at most an hour; also on failures whose class does not carry it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.head.as_ref()?.retry_after
    }

    /// The service's clock when it answered, in whole seconds.
    pub fn server_date(&self) -> Option<Timestamp> {
        self.0.head.as_ref()?.server_date
    }

    /// How far the service's clock was ahead of ours when it answered, give or take a second and the time the answer
    /// travelled. Requests signed with a clock that is minutes off are refused with 401.
    pub fn clock_skew(&self) -> Option<SignedDuration> {
        self.0.head.as_ref()?.clock_skew()
    }

    /// Whether nothing was sent because none of the trusted authorities has signed the server's certificate: trust its
    /// authority, which may be that of a proxy on the way.
    pub fn is_untrusted(&self) -> bool {
        matches!(self.0.fault, Fault::NotSent { untrusted: true, .. })
    }

    fn envelope(&self) -> Option<&Envelope> {
        match &self.0.fault {
            Fault::Refused { envelope, .. } => envelope.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            operation,
            class,
            fault,
            ..
        } = &*self.0;
        write!(f, "could not {}: {fault}", operation.in_words())?;
        if *class == FailureClass::InDoubt {
            f.write_str("; whether an identity was made is unknown")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::NotSent { cause, .. } => write!(f, "the request was not sent: {cause}"),
            Self::Withheld => f.write_str("the request was not sent: this program may not make calls any more"),
            Self::NoAnswer { cause } => write!(f, "no answer came: {cause}"),
            Self::Unreadable { status } => {
                write!(
                    f,
                    "ACS answered {status}, but with a body that is cut off or not what the API promises"
                )
            }
            Self::Refused { status, envelope: None } => {
                write!(f, "ACS answered {status} without an error code")
            }
            Self::Refused {
                status,
                envelope: Some(Envelope { code, message }),
            } => {
                write!(f, "ACS answered {status} {code}")?;
                message.iter().try_for_each(|message| write!(f, ": {message}"))
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("class", &self.0.class)
            .field("request_id", &self.0.request_id)
            .field("text", &format_args!("{self}"))
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}
