#![doc = include_str!("../README.md")]

mod access_keys;
mod admin;
mod answer;
mod api_version;
mod checks;
mod choices;
mod clock;
mod config;
mod control;
mod delivery;
mod directory;
mod effect;
mod emulator;
mod endpoint;
mod exchange;
mod fault;
mod faults;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
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
pub use endpoint::EndpointError;
pub use fault::Fault;
pub use faults::{FaultId, InjectedFault};
pub use journal::Call;
pub use jwt::SigningError;
pub use ledger::{IssuedToken, TokenState};
pub use rate_limits::Limits;
pub use route::Operation;
pub use scope::Scope;
pub use tls::{Tls, TlsError};
