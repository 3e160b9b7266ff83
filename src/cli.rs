//! The command line: flags, their environment twins, and what they mean.
//!
//! Values arrive as text and are judged all at once by [`Settings`], so that a person with three mistakes reads of three
//! mistakes. After that nothing else in the program looks at a flag or at the environment.

use std::{env, ffi::OsString};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

mod connection;
mod endpoints;
mod faults;
mod namespaces;
mod proxy;
mod settings;
mod values;

pub use endpoints::{EndpointPolicy, EndpointRefused};
pub use faults::{Fault, Refusal};
pub use namespaces::{DefaultConnectionNamespaces, WatchNamespaces};
pub use settings::{CaFile, DefaultConnection, ElectionSettings, Settings};

/// The environment variable that carries the default connection's access key. There is no flag for it: arguments can be
/// read by every process of the machine.
pub const CONNECTION_STRING_VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// What the program was asked to do.
pub enum Invocation {
    /// Run the operator until a signal ends it.
    Run(Box<Settings>),
    /// Print the CustomResourceDefinitions.
    Crds,
}

/// Reads this process's arguments and environment.
///
/// # Errors
/// A [`Refusal`] that names everything that is wrong, or carries the text of `--help` or `--version`.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
pub fn parse() -> Result<Invocation, Refusal> {
    parse_from(env::args_os(), |name| env::var_os(name))
}

/// As [`parse`], with the arguments (the program's name first) and the variables that are not a flag's twin given.
pub(crate) fn parse_from(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Invocation, Refusal> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    connection::refuse_key_in(&arguments)?;
    let matches = command().try_get_matches_from(arguments)?;
    match Cli::from_arg_matches(&matches)?.command {
        Command::Crds => Ok(Invocation::Crds),
        Command::Run(flags) => {
            let given = matches.subcommand_matches("run").unwrap_or(&matches);
            let settings = Settings::validate(&flags, given, variable)?;
            Ok(Invocation::Run(Box::new(settings)))
        }
    }
}

/// The command line as clap knows it. Help shows the names of variables, not what they are set to.
fn command() -> clap::Command {
    Cli::command().mut_subcommand("run", |run| run.mut_args(|argument| argument.hide_env_values(true)))
}

/// Declares Azure Communication Services identities in Kubernetes and keeps their access tokens valid.
#[derive(Parser)]
#[command(name = "acs-operator", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator, in a cluster or against the cluster of KUBECONFIG
    #[command(after_long_help = RUN_EPILOGUE)]
    Run(Box<RunFlags>),
    /// Print the CustomResourceDefinitions as YAML, for `kubectl apply --server-side -f -`
    Crds,
}

const RUN_EPILOGUE: &str = "\
Environment:
  COMMUNICATION_SERVICES_CONNECTION_STRING
          Connection string of an ACS resource (endpoint=https://…;accesskey=…). It serves the
          CommunicationUsers without connectionRef in the namespaces of
          --default-connection-namespaces, unless there is a ClusterCommunicationConnection named
          `default`. There is no flag for it, because arguments are visible to other processes.
  POD_NAMESPACE
          The operator's own namespace, where its Lease is. Without it: the namespace of the
          kubeconfig context, else `default`.
  KUBECONFIG
          Cluster to use outside of a pod.
  HTTPS_PROXY, NO_PROXY
          Proxy for the calls to ACS.

An empty variable counts as not set. A flag wins over its variable.
Exit codes: 0 after SIGTERM or SIGINT, 1 when the operator failed or lost its lease, 2 when a
setting is wrong.";

/// The flags of `run`, as written. [`Settings`] is what they mean.
#[derive(Args)]
struct RunFlags {
    /// CommunicationUsers worked on at the same time, 1 to 1024; those that wait for ACS do not count
    #[arg(long, env = "ACS_OPERATOR_WORKERS", value_name = "NUMBER", default_value = "32")]
    workers: String,

    /// Namespaces to serve, separated by commas; all when empty
    ///
    /// With names, ClusterCommunicationConnections are used where the account may read them, but not written to.
    #[arg(
        long,
        env = "ACS_OPERATOR_WATCH_NAMESPACES",
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true
    )]
    watch_namespaces: String,

    /// Whether replicas agree on one that works, through a Lease in the operator's own namespace; the others stand by
    ///
    /// Without it nothing keeps a second operator from working on the same objects: only where there cannot be one.
    #[arg(
        long, env = "ACS_OPERATOR_LEADER_ELECT", value_name = "true|false",
        num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true"
    )]
    leader_elect: String,

    /// Name of that Lease. Installations that share a namespace need different ones
    #[arg(
        long,
        env = "ACS_OPERATOR_LEASE_NAME",
        value_name = "NAME",
        default_value = "acs-operator"
    )]
    lease_name: String,

    /// How long the work waits for another replica after the leader died, in whole seconds, for example 15s or 1m
    ///
    /// The leader renews the lease three times in this time, and ends itself when it could not for two thirds of it. One
    /// that ends in order is followed at once.
    #[arg(
        long,
        env = "ACS_OPERATOR_LEASE_DURATION",
        value_name = "DURATION",
        default_value = "15s"
    )]
    lease_duration: String,

    /// Address of the admin port: /livez, /readyz and /metrics, without authentication
    #[arg(
        long,
        env = "ACS_OPERATOR_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    admin_listen: String,

    /// How log lines look: `text` for people, `json` for log collectors. Logs go to standard error
    #[arg(
        long,
        env = "ACS_OPERATOR_LOG_FORMAT",
        value_name = "text|json",
        default_value = "text"
    )]
    log_format: String,

    /// What to log: error, warn, info, debug, trace or off; also per target, as in `info,acs_operator=debug`
    ///
    /// Libraries that could print a request or an answer stay capped, whatever is asked for: `kube_client::client` at
    /// error, `kube_runtime` at debug, every other library at info. No level prints a token, a key or a signature.
    #[arg(long, env = "ACS_OPERATOR_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    log_level: String,

    /// How long creates and revocations under way may take to finish after SIGTERM, for example 25s or 1m
    ///
    /// All else has a second, and is begun again by the next leader. Keep it above the 10 s that a call may take, and below
    /// the pod's terminationGracePeriodSeconds: an identity whose creation is cut off between the answer and its record has to
    /// be counted as a suspected orphan.
    #[arg(
        long,
        env = "ACS_OPERATOR_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "25s"
    )]
    drain_timeout: String,

    /// How often a connection that works is proven anew, for example 5m; 0 switches it off
    ///
    /// So a key that was regenerated in Azure is noticed when nothing else is due. Nothing is created: a probe revokes
    /// the tokens of an identity that does not exist. Azure's logs show each as a 401 with the code `IdentityNotOwned`.
    #[arg(
        long,
        env = "ACS_OPERATOR_PROBE_INTERVAL",
        value_name = "DURATION",
        default_value = "5m"
    )]
    probe_interval: String,

    /// Allow http, and hosts outside of --allowed-endpoint-suffixes: for emulators and tests only
    ///
    /// Over http the access token of every identity can be read on the network.
    #[arg(
        long, env = "ACS_OPERATOR_ALLOW_INSECURE_ENDPOINTS", value_name = "true|false",
        num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        hide_default_value = true
    )]
    allow_insecure_endpoints: String,

    /// Hosts that a signature may be sent to, as endings separated by commas, each with its leading dot
    #[arg(
        long,
        env = "ACS_OPERATOR_ALLOWED_ENDPOINT_SUFFIXES",
        value_name = "SUFFIXES",
        default_value = ".communication.azure.com,.communication.azure.us"
    )]
    allowed_endpoint_suffixes: String,

    /// Namespaces that COMMUNICATION_SERVICES_CONNECTION_STRING serves, separated by commas; `*` for all
    ///
    /// When empty: the operator's own namespace. Whoever may create a CommunicationUser in a namespace of this list gets
    /// identities and tokens of that ACS resource.
    #[arg(
        long,
        env = "ACS_OPERATOR_DEFAULT_CONNECTION_NAMESPACES",
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true
    )]
    default_connection_namespaces: String,

    /// Version of the ACS REST API that COMMUNICATION_SERVICES_CONNECTION_STRING is used with
    #[arg(
        long,
        env = "ACS_OPERATOR_DEFAULT_CONNECTION_SERVICE_API_VERSION",
        value_name = "VERSION",
        default_value = "2023-10-01"
    )]
    default_connection_service_api_version: String,

    /// PEM file with certificate authorities to trust for ACS endpoints, besides those of the system
    #[arg(
        long,
        env = "ACS_OPERATOR_CA_FILE",
        value_name = "PATH",
        default_value = "",
        hide_default_value = true
    )]
    ca_file: String,
}

#[cfg(test)]
mod tests;
