//! A strict stand-in for the Azure Communication Services Identity API.
//!
//! It verifies every signature, keeps identities and tokens, enforces the documented limits, and can be told to fail in
//! the ways in which a service fails. Use it in-process through [`Emulator`], or as the program `acs-emulator`.
//!
//! It is written without the code of any client, so that a client's mistake cannot hide in it.

mod access_keys;
mod admin;
mod answer;
mod api_version;
mod choices;
mod clock;
mod config;
mod control;
mod delivery;
mod directory;
mod effect;
mod emulator;
mod exchange;
mod faults;
mod http_date;
mod journal;
mod jwt;
mod ledger;
mod payload;
mod rate_limits;
mod refusal;
mod request;
mod route;
mod scope;
mod server;
mod service;
mod signature;
mod snapshot;
mod tls;

pub use access_keys::{AccessKey, AccessKeyError, KeySlot};
pub use api_version::{ApiVersion, UnknownApiVersion};
pub use choices::{
    Check, CheckOrder, CheckOrderError, Choices, CustomIdAfterDelete, CustomIdOutsidePreview, CustomIdRepeat,
    DeletedIdentity, RetryAfter, SecondDelete, ThrottleBody,
};
pub use config::Config;
pub use control::{CallsMissing, Control};
pub use directory::Identity;
pub use effect::Effect;
pub use emulator::{Emulator, StartError};
pub use faults::{Fault, FaultId, InjectedFault};
pub use journal::Call;
pub use jwt::SigningError;
pub use ledger::{IssuedToken, TokenState};
pub use rate_limits::Limits;
pub use route::Operation;
pub use scope::Scope;
pub use tls::{Tls, TlsError};
