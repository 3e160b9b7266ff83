//! The validated settings of `acs-operator run`.

use std::{ffi::OsString, fs, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use acs_identity::{ApiVersion, ConnectionString, Transport};
use clap::{ArgMatches, Args, Command, parser::ValueSource};

use super::{
    DefaultConnectionNamespaces, EndpointPolicy, Fault, Refusal, RunFlags, WatchNamespaces, connection, endpoints,
    namespaces, proxy,
    values::{self, Wrong, shortened},
};
use crate::telemetry::LogSettings;

/// Everything that `run` was told, checked. What stands here can be used as it is.
///
/// There is no `Debug`: it holds a credential.
pub struct Settings {
    /// Most reconciles at a time.
    pub workers: NonZeroUsize,
    /// Which namespaces are served.
    pub watch_namespaces: WatchNamespaces,
    /// How replicas agree on one that works; `None`: they do not, there is one.
    pub election: Option<ElectionSettings>,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub admin_listen: SocketAddr,
    /// Shape and amount of the logs.
    pub logs: LogSettings,
    /// How long work under way may take after a signal.
    pub drain_timeout: Duration,
    /// How often a connection that works is proven anew; `None`: never.
    pub probe_interval: Option<Duration>,
    /// Which hosts may see a signature.
    pub endpoints: EndpointPolicy,
    /// The connection of the environment, if there is one.
    pub default_connection: Option<DefaultConnection>,
    /// Certificate authorities to trust for ACS besides the system's.
    pub ca_file: Option<CaFile>,
    /// `POD_NAMESPACE`; [`Settings::own_namespace`] is what to ask.
    pod_namespace: Option<String>,
}

/// The Lease that replicas compete for, in the operator's own namespace.
pub struct ElectionSettings {
    /// Its name.
    pub lease_name: String,
    /// How long it is held without being renewed, in whole seconds.
    pub lease_duration: Duration,
}

/// The connection that `COMMUNICATION_SERVICES_CONNECTION_STRING` stands for.
pub struct DefaultConnection {
    /// Endpoint, which the policy allows, and access key.
    pub connection: ConnectionString,
    /// Version of the REST API to use.
    pub api_version: ApiVersion,
    /// Who may use it.
    pub namespaces: DefaultConnectionNamespaces,
}

/// A PEM file that could be read when the program started.
pub struct CaFile {
    /// Where it was read from, for messages.
    pub path: PathBuf,
    /// Its content: one certificate or more.
    pub pem: Vec<u8>,
}

impl Settings {
    /// The namespace that the operator lives in: `POD_NAMESPACE`, else `otherwise`, which is that of the kubeconfig
    /// context (or `default`, as kube's configuration says when the context has none).
    pub fn own_namespace<'a>(&'a self, otherwise: &'a str) -> &'a str {
        self.pod_namespace.as_deref().unwrap_or(otherwise)
    }

    /// Judges all flags and variables, and either has every value or tells every fault.
    pub(super) fn validate(
        flags: &RunFlags,
        given: &ArgMatches,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Refusal> {
        let mut judge = Judge {
            given,
            faults: Vec::new(),
        };
        Self::judged(flags, &mut judge, variable).ok_or(Refusal::Settings(judge.faults))
    }

    /// `None` exactly when a fault was noted. First every value is judged, then they are put together.
    fn judged(flags: &RunFlags, judge: &mut Judge, variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let workers = judge.value("workers", &flags.workers, values::workers);
        let watch_namespaces = judge.value("watch_namespaces", &flags.watch_namespaces, WatchNamespaces::parse);
        let elect = judge.value("leader_elect", &flags.leader_elect, values::boolean);
        let lease_name = judge.value("lease_name", &flags.lease_name, values::lease_name);
        let lease_duration = judge.value("lease_duration", &flags.lease_duration, values::lease_duration);
        let admin_listen = judge.value("admin_listen", &flags.admin_listen, values::listen_address);
        let format = judge.value("log_format", &flags.log_format, values::log_format);
        let filter = judge.value("log_level", &flags.log_level, values::log_filter);
        let drain_timeout = judge.value("drain_timeout", &flags.drain_timeout, values::drain_timeout);
        let probe_interval = judge.value("probe_interval", &flags.probe_interval, values::probe_interval);
        let insecure = judge.value(
            "allow_insecure_endpoints",
            &flags.allow_insecure_endpoints,
            values::boolean,
        );
        let suffixes = judge.value(
            "allowed_endpoint_suffixes",
            &flags.allowed_endpoint_suffixes,
            endpoints::suffixes,
        );
        let endpoints = insecure.zip(suffixes).map(EndpointPolicy::from);
        let namespaces = judge.value(
            "default_connection_namespaces",
            &flags.default_connection_namespaces,
            DefaultConnectionNamespaces::parse,
        );
        let api_version = judge.value(
            "default_connection_service_api_version",
            &flags.default_connection_service_api_version,
            values::api_version,
        );
        let ca_file = judge.value("ca_file", &flags.ca_file, ca_file);
        let pod_namespace = judge.outcome(pod_namespace(&variable));
        let proxy = judge.outcome(proxy::usable(&variable));
        let connection = judge.outcome(connection::connection(&variable, endpoints.as_ref()));

        let ((), namespaces, api_version) = (proxy?, namespaces?, api_version?);
        let (lease_name, lease_duration) = (lease_name?, lease_duration?);
        Some(Self {
            workers: workers?,
            watch_namespaces: watch_namespaces?,
            election: elect?.then_some(ElectionSettings {
                lease_name,
                lease_duration,
            }),
            admin_listen: admin_listen?,
            logs: LogSettings {
                format: format?,
                filter: filter?,
            },
            drain_timeout: drain_timeout?,
            probe_interval: probe_interval?,
            endpoints: endpoints?,
            default_connection: connection?.map(|connection| DefaultConnection {
                connection,
                api_version,
                namespaces,
            }),
            ca_file: ca_file?,
            pod_namespace: pod_namespace?,
        })
    }
}

/// Collects what is wrong while it hands out what is right.
struct Judge<'a> {
    given: &'a ArgMatches,
    faults: Vec<Fault>,
}

impl Judge<'_> {
    /// The value of a flag, or a fault that names the flag or the variable, whichever was used.
    fn value<T>(&mut self, id: &str, text: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let from_variable = self.given.value_source(id) == Some(ValueSource::EnvVariable);
        let outcome = match text {
            "" if from_variable => parse(&default_of(id)),
            text => parse(text),
        };
        self.outcome(outcome.map_err(|wrong| {
            let name = if from_variable { variable_of(id) } else { flag_of(id) };
            // What is wrong with it may be told in its own words, so nothing of that is told.
            let wrong = if connection::looks_like_a_key(text) {
                Wrong::new("is not the place for a connection string", wrong.remedy)
            } else {
                wrong
            };
            Fault::new(format!("{name}={:?}", shortened(text)), wrong.problem, wrong.remedy)
        }))
    }

    fn outcome<T>(&mut self, outcome: Result<T, Fault>) -> Option<T> {
        outcome.map_err(|fault| self.faults.push(fault)).ok()
    }
}

fn flag_of(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

fn variable_of(id: &str) -> String {
    format!("ACS_OPERATOR_{}", id.to_ascii_uppercase())
}

/// What the flag means when its variable is empty.
fn default_of(id: &str) -> String {
    let command = RunFlags::augment_args(Command::new("run"));
    let argument = command.get_arguments().find(|argument| argument.get_id() == id);
    let default = argument.and_then(|argument| argument.get_default_values().first());
    default
        .map(|value| value.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn ca_file(text: &str) -> Result<Option<CaFile>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(text);
    let pem = fs::read(&path)
        .map_err(|error| Wrong::new(format!("cannot be read: {error}"), "write the path of a PEM file"))?;
    Transport::builder().trust_pem(&pem).map_err(|_| {
        Wrong::new(
            "holds no usable certificate in PEM form",
            "write the path of a file with one -----BEGIN CERTIFICATE----- block or more",
        )
    })?;
    Ok(Some(CaFile { path, pem }))
}

fn pod_namespace(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<String>, Fault> {
    const NAME: &str = "POD_NAMESPACE";
    let Some(raw) = variable(NAME).filter(|raw| !raw.is_empty()) else {
        return Ok(None);
    };
    namespaces::name(&raw.to_string_lossy()).map(Some).map_err(|wrong| {
        Fault::new(
            NAME,
            wrong.problem,
            "set it from the pod's metadata.namespace, or leave it out outside of a pod",
        )
    })
}
