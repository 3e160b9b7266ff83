//! The command line of the program.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use acs_emulator::{
    AccessKey, AccessKeyError, ApiVersion, CheckOrder, Choices, Config, CustomIdAfterDelete, CustomIdOutsidePreview,
    CustomIdRepeat, DeletedIdentity, RetryAfter, SecondDelete, ThrottleBody, Tls,
};
use clap::{Args, Parser};
use jiff::SignedDuration;
use tracing::level_filters::LevelFilter;
use url::Url;
use uuid::Uuid;

mod limit;

use limit::Limit;

const PRIMARY_KEY_VARIABLE: &str = "ACS_EMULATOR_PRIMARY_KEY";
const SECONDARY_KEY_VARIABLE: &str = "ACS_EMULATOR_SECONDARY_KEY";

const EPILOGUE: &str = "\
Environment:
  ACS_EMULATOR_PRIMARY_KEY, ACS_EMULATOR_SECONDARY_KEY
          The access keys, in base64; random when not set. There is no flag for them, because arguments
          are visible to other processes.

Standard output gets, once the emulator serves, the lines
  ACS_EMULATOR_ADMIN_URL=http://…
  COMMUNICATION_SERVICES_CONNECTION_STRING=endpoint=…;accesskey=…
The log goes to standard error and holds no key, token or signature.

Durations are written like 45s, 10m or 1h30m.
Exit codes: 0 after SIGTERM or SIGINT, 1 when the emulator cannot start, 2 when a setting is wrong.";

/// A strict stand-in for the Azure Communication Services Identity API.
#[derive(Parser)]
#[command(name = "acs-emulator", version, after_long_help = EPILOGUE, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    choices: ChoiceFlags,

    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
}

#[derive(Args)]
#[command(next_help_heading = "Listening")]
struct Listening {
    /// Where to serve the identity API; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9080")]
    listen: SocketAddr,

    /// Where to serve the admin API; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9081")]
    admin_listen: SocketAddr,

    /// Allow --admin-listen on an address that others can reach. The admin API has no authentication
    #[arg(long)]
    admin_remote: bool,

    /// Endpoint in the connection string, if clients reach the emulator under another name
    #[arg(long, value_name = "URL")]
    endpoint: Option<Url>,

    /// Serve https, with a certificate of an authority that is made at the start
    #[arg(long)]
    tls: bool,

    /// Host name or address the certificate is valid for, besides localhost, loopback and --endpoint; may be repeated
    #[arg(long, value_name = "NAME", requires = "tls")]
    tls_name: Vec<String>,

    /// Where to write the authority's certificate (PEM), for clients to trust
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca_out: Option<PathBuf>,
}

#[derive(Args)]
#[command(next_help_heading = "The service")]
struct Service {
    /// Guid of the resource, which stands in the ids of its identities; random by default
    #[arg(long, value_name = "GUID")]
    resource_id: Option<Uuid>,

    /// Lifetime of every token, whatever is asked for; may be shorter than the API's minimum of one hour
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = whole_seconds)]
    token_ttl: Option<Duration>,

    /// Api-versions to serve, separated by commas; all known by default
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',')]
    api_versions: Vec<ApiVersion>,

    /// Rate limit in the window: create, create-with-token, issue, revoke, delete or all, `=` and a number or `none`;
    /// may be repeated. Those that are documented by default
    #[arg(long, value_name = "OPERATION=NUMBER")]
    limit: Vec<Limit>,

    /// Window of the rate limits
    #[arg(long, value_name = "DURATION", default_value = "30s", allow_hyphen_values = true, value_parser = whole_seconds)]
    limit_window: Duration,

    /// How far the service's clock is ahead of this machine's; negative for behind
    #[arg(long, value_name = "DURATION", default_value = "0s", allow_hyphen_values = true, value_parser = duration)]
    clock_offset: SignedDuration,
}

#[derive(Args)]
#[command(next_help_heading = "What Microsoft does not document")]
struct ChoiceFlags {
    /// Answer to issue, revoke and get on an identity that was deleted or never was
    #[arg(long, value_enum, default_value_t)]
    deleted_identity: DeletedIdentity,

    /// Answer to the second delete of an identity
    #[arg(long, value_enum, default_value_t)]
    second_delete: SecondDelete,

    /// Status of a create with a customId that an identity has already
    #[arg(long, value_enum, default_value_t)]
    custom_id_repeat: CustomIdRepeat,

    /// A create with the customId of a deleted identity
    #[arg(long, value_enum, default_value_t)]
    custom_id_after_delete: CustomIdAfterDelete,

    /// A customId under an api-version that does not have it
    #[arg(long, value_enum, default_value_t)]
    custom_id_outside_preview: CustomIdOutsidePreview,

    /// Body of a 429
    #[arg(long, value_enum, default_value_t)]
    throttle_body: ThrottleBody,

    /// How a 429 says when to come back
    #[arg(long, value_enum, default_value_t)]
    retry_after: RetryAfter,

    /// Whether requests that were refused with 429 count against the limit
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    refused_requests_count: bool,

    /// Order in which requests are checked: the first fault found is the one reported
    #[arg(long, value_name = "CHECKS", default_value_t)]
    check_order: CheckOrder,

    /// How far the date of a request may be off
    #[arg(long, value_name = "DURATION", default_value = "5m", allow_hyphen_values = true, value_parser = not_negative)]
    max_clock_skew: Duration,
}

/// Why the program does not start.
pub(crate) enum Refusal {
    Flags(clap::Error),
    Key { variable: &'static str, fault: KeyFault },
}

pub(crate) enum KeyFault {
    NotText,
    NoKey(AccessKeyError),
}

impl Refusal {
    /// Tells the person who started the program. `--help` and `--version` come this way too, with success.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Flags(error) => {
                // Nothing is left to do when the terminal is gone.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::Key { variable, fault } => {
                let fault = match fault {
                    KeyFault::NotText => "it is not text".to_owned(),
                    KeyFault::NoKey(error) => error.to_string(),
                };
                let _ = std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("error: the environment variable {variable} holds no access key: {fault}\n"),
                );
                ExitCode::from(2)
            }
        }
    }
}

/// Reads this process's arguments and environment.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
pub(crate) fn parse() -> Result<(Config, LevelFilter), Refusal> {
    parse_from(std::env::args_os(), |name| std::env::var_os(name))
}

fn parse_from(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(Config, LevelFilter), Refusal> {
    let Cli {
        listening,
        service,
        choices,
        log_level,
    } = Cli::try_parse_from(arguments).map_err(Refusal::Flags)?;
    let defaults = Config::default();
    let config = Config {
        listen: listening.listen,
        admin_listen: Some(listening.admin_listen),
        admin_remote: listening.admin_remote,
        endpoint: listening.endpoint,
        tls: listening.tls.then_some(Tls {
            names: listening.tls_name,
            ca_out: listening.tls_ca_out,
        }),
        primary_key: key(PRIMARY_KEY_VARIABLE, &variable)?,
        secondary_key: key(SECONDARY_KEY_VARIABLE, &variable)?,
        resource_id: service.resource_id,
        token_ttl: service.token_ttl,
        max_clock_skew: choices.max_clock_skew,
        clock_offset: service.clock_offset,
        limits: limit::all(&service.limit, service.limit_window, choices.refused_requests_count),
        api_versions: if service.api_versions.is_empty() {
            defaults.api_versions
        } else {
            service.api_versions
        },
        choices: Choices {
            deleted_identity: choices.deleted_identity,
            second_delete: choices.second_delete,
            custom_id_repeat: choices.custom_id_repeat,
            custom_id_after_delete: choices.custom_id_after_delete,
            custom_id_outside_preview: choices.custom_id_outside_preview,
            throttle_body: choices.throttle_body,
            retry_after: choices.retry_after,
            check_order: choices.check_order,
        },
        ..defaults
    };
    Ok((config, log_level))
}

/// An empty variable counts as not set.
fn key(name: &'static str, variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<AccessKey>, Refusal> {
    let refused = |fault| Refusal::Key { variable: name, fault };
    let Some(text) = variable(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text.to_str().ok_or(refused(KeyFault::NotText))?;
    AccessKey::parse(text.trim())
        .map(Some)
        .map_err(|error| refused(KeyFault::NoKey(error)))
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    text.parse()
        .map_err(|_| "write a duration like 45s, 10m or 1h30m".to_owned())
}

fn not_negative(text: &str) -> Result<Duration, String> {
    Duration::try_from(duration(text)?).map_err(|_| "it must not be negative".to_owned())
}

/// Tokens carry whole seconds.
fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = not_negative(text)?;
    if duration.is_zero() || duration.subsec_nanos() != 0 {
        return Err("it must be whole seconds, at least one".to_owned());
    }
    Ok(duration)
}
