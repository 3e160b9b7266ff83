use std::{collections::BTreeMap, time::Duration};

use acs_identity::{Endpoint, InsecureEndpoints};

use super::*;
use crate::telemetry::LogFormat;

const CONNECTION_STRING: &str =
    "endpoint=https://contoso.unitedstates.communication.azure.com/;accesskey=c2VjcmV0IGFjY2VzcyBrZXk=";

/// Runs the command line as a shell would split it, with these variables.
fn read(line: &str, variables: &[(&str, &str)]) -> Result<Invocation, Refusal> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    parse_from(line.split_whitespace().map(OsString::from), |name| {
        variables.get(name).map(OsString::from)
    })
}

fn settings(line: &str) -> Settings {
    settings_with(line, &[])
}

fn settings_with(line: &str, variables: &[(&str, &str)]) -> Settings {
    match read(line, variables) {
        Ok(Invocation::Run(settings)) => *settings,
        Ok(Invocation::Crds) => panic!("{line} does not run the operator"),
        Err(refusal) => panic!("{line} is refused: {refusal}"),
    }
}

fn refusal(line: &str) -> String {
    refusal_with(line, &[])
}

fn refusal_with(line: &str, variables: &[(&str, &str)]) -> String {
    match read(line, variables) {
        Ok(_) => panic!("{line} is accepted"),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn without_flags_the_operator_serves_all_namespaces_with_the_documented_defaults() {
    let settings = settings("acs-operator run");
    assert_eq!(settings.workers.get(), 32);
    assert_eq!(settings.watch_namespaces, WatchNamespaces::All);
    assert_eq!(settings.admin_listen.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.logs.format, LogFormat::Text);
    assert_eq!(settings.drain_timeout, Duration::from_secs(25));
    let election = settings.election.as_ref().unwrap();
    assert_eq!(election.lease_name, "acs-operator");
    assert_eq!(election.lease_duration, Duration::from_secs(15));
    assert_eq!(settings.probe_interval, Some(Duration::from_mins(5)));
    assert!(settings.default_connection.is_none());
    assert!(settings.ca_file.is_none());
    assert_eq!(settings.own_namespace("from-kubeconfig"), "from-kubeconfig");
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place_and_its_remedy() {
    let text = refusal(
        "acs-operator run --workers 0 --watch-namespaces Contact_Center --admin-listen :8080 --log-format xml \
         --log-level loud --drain-timeout 25 --allow-insecure-endpoints=yes --allowed-endpoint-suffixes azure.com \
         --default-connection-namespaces a,,b --default-connection-service-api-version v1 --ca-file /does/not/exist \
         --probe-interval often",
    );
    assert!(text.starts_with("error: 12 settings are wrong"), "{text}");
    for expected in [
        "--workers=\"0\"\n      is not a whole number from 1 to 1024\n      write for example 32",
        "--watch-namespaces=\"Contact_Center\"\n      \"Contact_Center\" cannot be the name of a namespace",
        "--admin-listen=\":8080\"\n      is not an IP address with a port\n      write for example 0.0.0.0:8080",
        "--log-format=\"xml\"\n      is not a log format\n      write text or json",
        "--log-level=\"loud\"\n      \"loud\" is not a level: there are error, warn",
        "--drain-timeout=\"25\"\n      is not a duration\n      write a number and its unit: 25s",
        "--allow-insecure-endpoints=\"yes\"\n      is neither true nor false",
        "--allowed-endpoint-suffixes=\"azure.com\"\n      \"azure.com\" is not the ending of a host name that begins with a dot",
        "--default-connection-namespaces=\"a,,b\"\n      \"\" cannot be the name of a namespace",
        "--default-connection-service-api-version=\"v1\"\n      is not a version of the ACS API",
        "--probe-interval=\"often\"\n      is not a duration\n      write a number and its unit",
        "--ca-file=\"/does/not/exist\"\n      cannot be read: No such file or directory",
    ] {
        assert!(text.contains(expected), "{expected}\nis missing in\n{text}");
    }
}

#[test]
fn the_connection_string_comes_from_the_environment() {
    let settings = settings_with("acs-operator run", &[(CONNECTION_STRING_VARIABLE, CONNECTION_STRING)]);
    let default = settings.default_connection.unwrap();
    assert_eq!(
        default.connection.endpoint.as_str(),
        "https://contoso.unitedstates.communication.azure.com"
    );
    assert_eq!(default.api_version.as_str(), "2023-10-01");
    assert_eq!(default.namespaces, DefaultConnectionNamespaces::OperatorsOwn);
}

#[test]
fn a_connection_string_that_cannot_be_used_is_a_fault_that_never_repeats_the_key() {
    const KEY: &str = "c2VjcmV0IGFjY2VzcyBrZXk=";
    for (text, expected) in [
        (format!("accesskey={KEY}"), "has no `endpoint`"),
        (
            format!("endpoint={KEY};accesskey=https://a.communication.azure.com"),
            "the endpoint is not a URL",
        ),
        (
            format!("endpoint=https://a.communication.azure.com/;accesskey={KEY}!"),
            "access key",
        ),
        (KEY.to_owned(), "has no `endpoint`"),
        (
            format!("endpoint=http://a.communication.azure.com/;accesskey={KEY}"),
            "is http, over which signatures and tokens can be read",
        ),
        (
            format!("endpoint=https://communication.azure.com.evil.example/;accesskey={KEY}"),
            "does not end with .communication.azure.com or .communication.azure.us",
        ),
    ] {
        let told = refusal_with("acs-operator run --workers 0", &[(CONNECTION_STRING_VARIABLE, &text)]);
        assert!(told.starts_with("error: 2 settings are wrong"), "{told}");
        assert!(
            told.contains("COMMUNICATION_SERVICES_CONNECTION_STRING\n") && told.contains(expected),
            "{expected}: {told}"
        );
        assert!(!told.contains("c2VjcmV0"), "{told}");
    }
}

#[test]
fn an_empty_connection_string_counts_as_none() {
    let settings = settings_with("acs-operator run", &[(CONNECTION_STRING_VARIABLE, "")]);
    assert!(settings.default_connection.is_none());
}

#[test]
fn a_key_among_the_arguments_is_refused_and_never_repeated() {
    for line in [
        format!("acs-operator run --connection-string {CONNECTION_STRING}"),
        format!("acs-operator run --connection-string={CONNECTION_STRING}"),
        format!("acs-operator {CONNECTION_STRING}"),
        format!("acs-operator run --ca-file {CONNECTION_STRING}"),
        format!("acs-operator run --workers {}", CONNECTION_STRING.to_uppercase()),
    ] {
        let text = refusal(&line);
        assert!(
            text.contains("set COMMUNICATION_SERVICES_CONNECTION_STRING in the environment"),
            "{text}"
        );
        assert!(!text.to_lowercase().contains("c2vjcmv0"), "{text}");
    }
}

#[test]
fn a_default_connection_serves_the_operators_own_namespace_unless_told_otherwise() {
    let allows = |flag: &str, namespace: &str| {
        let line = format!("acs-operator run {flag}");
        let settings = settings_with(
            &line,
            &[
                (CONNECTION_STRING_VARIABLE, CONNECTION_STRING),
                ("POD_NAMESPACE", "home"),
            ],
        );
        let own = settings.own_namespace("elsewhere").to_owned();
        settings.default_connection.unwrap().namespaces.allow(namespace, &own)
    };
    assert!(allows("", "home"));
    assert!(!allows("", "elsewhere"));
    assert!(allows("--default-connection-namespaces a,b", "b"));
    assert!(!allows("--default-connection-namespaces a,b", "home"));
    assert!(allows("--default-connection-namespaces *", "anything"));
}

#[test]
fn watched_namespaces_are_a_list_and_a_star_is_not_a_namespace() {
    let watched = settings("acs-operator run --watch-namespaces b,a,b").watch_namespaces;
    assert_eq!(watched, WatchNamespaces::Only(["a".to_owned(), "b".to_owned()].into()));
    assert!(refusal("acs-operator run --watch-namespaces *").contains("leave the flag out to serve all namespaces"));
}

#[test]
fn a_signature_goes_only_to_https_hosts_under_an_allowed_suffix() {
    let endpoint = |text: &str| Endpoint::parse(text, InsecureEndpoints::Allow).unwrap();
    let azure = settings("acs-operator run").endpoints;
    for text in [
        "https://contoso.unitedstates.communication.azure.com",
        "https://CONTOSO.communication.AZURE.us",
    ] {
        assert_eq!(azure.check(&endpoint(text)), Ok(()), "{text}");
    }
    for text in [
        "https://evilcommunication.azure.com",
        "https://communication.azure.com.evil.example",
        "https://.communication.azure.com",
        "https://10.0.0.1",
        "http://contoso.communication.azure.com",
    ] {
        assert!(azure.check(&endpoint(text)).is_err(), "{text}");
    }
    // A wider list of suffixes does not bring http along.
    let wider = settings("acs-operator run --allowed-endpoint-suffixes .CORP.example").endpoints;
    assert_eq!(wider.check(&endpoint("https://acs.corp.example:8443")), Ok(()));
    assert!(wider.check(&endpoint("http://acs.corp.example")).is_err());
}

#[test]
fn insecure_endpoints_can_be_switched_on_and_off_in_every_usual_spelling() {
    for (flag, any) in [
        ("--allow-insecure-endpoints", true),
        ("--allow-insecure-endpoints=true", true),
        ("--allow-insecure-endpoints=false", false),
        ("", false),
    ] {
        let policy = settings(&format!("acs-operator run {flag}")).endpoints;
        assert_eq!(policy == EndpointPolicy::Any, any, "{flag}");
    }
}

#[test]
fn durations_are_written_with_their_units() {
    for (text, seconds) in [("1s", 1), ("90s", 90), ("5m", 300), ("1m30s", 90), ("1h", 3600)] {
        let line = format!("acs-operator run --drain-timeout {text}");
        assert_eq!(settings(&line).drain_timeout, Duration::from_secs(seconds), "{text}");
    }
    for text in ["0s", "-5s", "500ms", "2h", "5", "five", "1d", ""] {
        refusal(&format!("acs-operator run --drain-timeout={text}"));
    }
}

#[test]
fn replicas_elect_a_leader_unless_told_otherwise_in_every_usual_spelling() {
    for (flag, elects) in [
        ("", true),
        ("--leader-elect", true),
        ("--leader-elect=true", true),
        ("--leader-elect=false", false),
    ] {
        let election = settings(&format!("acs-operator run {flag}")).election;
        assert_eq!(election.is_some(), elects, "{flag}");
    }
    let told = refusal("acs-operator run --leader-elect=no");
    assert!(
        told.contains("--leader-elect=\"no\"\n      is neither true nor false"),
        "{told}"
    );
}

#[test]
fn a_lease_has_the_name_of_an_object_and_a_duration_of_whole_seconds() {
    let election = |line: &str| settings(&format!("acs-operator run {line}")).election.unwrap();
    for name in ["acs-operator", "a", "team-a.acs-operator.example.com"] {
        assert_eq!(election(&format!("--lease-name {name}")).lease_name, name);
    }
    let long = "a".repeat(254);
    for name in ["", "-a", "a-", "A", "a_b", "a..b", "a/b", "$(NAME)", &long] {
        let told = refusal(&format!("acs-operator run --lease-name={name}"));
        assert!(told.contains("for example acs-operator"), "{name}: {told}");
    }
    for (text, seconds) in [("3s", 3), ("15s", 15), ("1m30s", 90), ("5m", 300)] {
        let duration = election(&format!("--lease-duration {text}")).lease_duration;
        assert_eq!(duration, Duration::from_secs(seconds), "{text}");
    }
    for text in ["2s", "2999ms", "3500ms", "301s", "1h", "0", "15", "-15s", ""] {
        let told = refusal(&format!("acs-operator run --lease-duration={text}"));
        assert!(told.contains("--lease-duration"), "{text}: {told}");
    }
    let told = refusal("acs-operator run --lease-duration 1s");
    assert!(
        told.contains("is not a number of whole seconds between 3s and 5m\n      write for example 15s"),
        "{told}"
    );
}

#[test]
fn connections_are_proven_anew_at_an_interval_or_never() {
    let interval = |text: &str| settings(&format!("acs-operator run --probe-interval {text}")).probe_interval;
    for (text, seconds) in [("1s", 1), ("90s", 90), ("24h", 86_400)] {
        assert_eq!(interval(text), Some(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["0", "0s", "0h"] {
        assert_eq!(interval(text), None, "{text}");
    }
    for text in ["999ms", "25h", "-5m", "1", "00", "off", ""] {
        let told = refusal(&format!("acs-operator run --probe-interval={text}"));
        assert!(told.contains("--probe-interval"), "{told}");
    }
    let told = refusal("acs-operator run --probe-interval 25h");
    assert!(
        told.contains("is not between 1s and 24h\n      write for example 5m, or 0 to switch it off"),
        "{told}"
    );
}

#[test]
fn a_log_level_is_a_level_or_a_filter_of_targets() {
    for text in [
        "off",
        "INFO",
        "trace",
        "info,acs_operator=debug",
        "warn,kube_runtime=debug,[reconcile]=trace",
    ] {
        settings(&format!("acs-operator run --log-level {text}"));
    }
    for text in ["verbose", "info,debgu", "acs_operator=loud", "info,,debug"] {
        assert!(
            refusal(&format!("acs-operator run --log-level {text}")).contains("--log-level"),
            "{text}"
        );
    }
}

#[test]
fn a_ca_file_needs_a_certificate() {
    let text = refusal(&format!("acs-operator run --ca-file {}", file!()));
    assert!(text.contains("holds no usable certificate in PEM form"), "{text}");
}

#[test]
fn a_damaged_certificate_in_a_ca_file_is_a_fault_before_anything_is_started() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\nMIIBZGFtYWdlZAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(file.path(), damaged).unwrap();
    let text = refusal(&format!("acs-operator run --ca-file {}", file.path().display()));
    for said in [
        "--ca-file",
        "holds no usable certificate in PEM form",
        "write the path of a file with one -----BEGIN CERTIFICATE----- block or more",
    ] {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn a_proxy_that_cannot_be_read_is_a_fault_and_is_never_gone_without_nor_repeated() {
    for good in [
        "",
        "http://proxy:3128",
        "https://me:hunter2@proxy.example.com",
        "proxy:3128",
        "http://[::1]:3128/",
    ] {
        settings_with("acs-operator run", &[("HTTPS_PROXY", good)]);
    }
    for bad in [
        "socks5://me:hunter2@proxy:1080",
        "http://me:hun ter2@proxy",
        "http://",
        "/hunter2",
        "http://me:hunter2#@proxy",
    ] {
        for name in ["HTTPS_PROXY", "https_proxy"] {
            let text = refusal_with("acs-operator run", &[(name, bad)]);
            for said in [
                name,
                "is not the address of an http or https proxy",
                "http://proxy.example.com:3128",
            ] {
                assert!(text.contains(said), "{bad}: {text}");
            }
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn a_pod_namespace_that_cannot_be_one_is_a_fault() {
    let text = refusal_with("acs-operator run", &[("POD_NAMESPACE", "$(NAMESPACE)")]);
    assert!(text.contains("set it from the pod's metadata.namespace"), "{text}");
}

#[test]
fn the_program_prints_crds_its_version_and_its_help() {
    assert!(matches!(read("acs-operator crds", &[]), Ok(Invocation::Crds)));
    for line in [
        "acs-operator --version",
        "acs-operator --help",
        "acs-operator run --help",
    ] {
        let Err(Refusal::Usage(answer)) = read(line, &[]) else {
            panic!("{line} does something else")
        };
        assert_eq!(answer.exit_code(), 0, "{line}");
    }
}
