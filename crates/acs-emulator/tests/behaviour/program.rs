//! The program.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Answer, CEILING, Call, call_at, send_raw};

const PROGRAM: &str = env!("CARGO_BIN_EXE_acs-emulator");

struct Running {
    child: Child,
    admin: SocketAddr,
    connection_string: String,
}

fn run(flags: &[&str], variables: &[(&str, &str)]) -> Running {
    let mut child = Command::new(PROGRAM)
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-level",
            "trace",
        ])
        .args(flags)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut value = |name: &str| {
        let line = lines.next().expect("it ended early").unwrap();
        line.strip_prefix(name).unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    let admin = value("ACS_EMULATOR_ADMIN_URL=http://")
        .trim_end_matches('/')
        .parse()
        .unwrap();
    let connection_string = value("COMMUNICATION_SERVICES_CONNECTION_STRING=");
    Running {
        child,
        admin,
        connection_string,
    }
}

impl Running {
    /// Where it serves, and the key.
    fn service(&self) -> (SocketAddr, String) {
        let (endpoint, key) = self.connection_string.split_once("/;accesskey=").unwrap();
        (
            endpoint.strip_prefix("endpoint=http://").unwrap().parse().unwrap(),
            key.to_owned(),
        )
    }

    #[expect(clippy::disallowed_methods, reason = "the program's clock is the machine's")]
    fn call(&self, body: &str) -> Call {
        let (address, key) = self.service();
        call_at(address, &key, jiff::Timestamp::now(), "POST /identities", body)
    }

    fn create(&self, body: &str) -> Answer {
        self.call(body).send()
    }

    /// Sends SIGTERM and returns the exit code and the log.
    fn terminate(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ceiling = Instant::now() + CEILING;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < ceiling, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (code, log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(flags: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = Command::new(PROGRAM)
        .args(flags)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    output
}

#[test]
fn it_prints_the_connection_string_once_it_serves_and_ends_on_sigterm() {
    let key = "a2V5IGZyb20gdGhlIGVudmlyb25tZW50";
    let running = run(&[], &[("ACS_EMULATOR_PRIMARY_KEY", key)]);
    assert!(running.connection_string.ends_with(&format!("/;accesskey={key}")));
    assert_eq!(running.create("").status, 201);
    let ready = send_raw(
        running.admin,
        b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(ready.starts_with(b"HTTP/1.1 200"));
    assert_eq!(running.terminate().0, Some(0));
}

#[test]
fn its_log_at_the_most_talkative_level_holds_no_secret() {
    let running = run(&[], &[]);
    let (_, key) = running.service();
    let created = running.create(r#"{"createTokenWithScopes":["chat"]}"#);
    let token = created.token();
    let wrong = running.call("").with_key("YW5vdGhlciBrZXk=");
    let request = String::from_utf8(wrong.bytes()).unwrap();
    let signature = request
        .split_once("Signature=")
        .unwrap()
        .1
        .split_once("\r\n")
        .unwrap()
        .0;
    assert_eq!(wrong.send().status, 401);
    let log = running.terminate().1;
    for expected in ["operation=create", "status=201", "status=401", "stopping"] {
        assert!(log.contains(expected), "{log}");
    }
    for secret in [key.as_str(), &token, token.rsplit('.').next().unwrap(), signature] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn the_authority_is_written_where_it_was_asked_for() {
    let file = std::env::temp_dir().join(format!("acs-emulator-ca-{}.pem", std::process::id()));
    let running = run(&["--tls", "--tls-ca-out", file.to_str().unwrap()], &[]);
    assert!(running.connection_string.starts_with("endpoint=https://127.0.0.1:"));
    let pem = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(running.terminate().0, Some(0));
}

#[test]
fn wrong_flags_end_it_with_code_2_and_what_to_write_instead() {
    for (flags, hint) in [
        (&["--token-ttl", "fast"][..], "write a duration like 45s"),
        (&["--token-ttl", "500ms"], "whole seconds, at least one"),
        (&["--max-clock-skew", "-5m"], "it must not be negative"),
        (&["--limit", "get=5"], "write create, create-with-token"),
        (
            &["--api-versions", "2023-10-01,latest"],
            "`latest` is not an api-version",
        ),
        (
            &["--check-order", "route"],
            "write each of signature,route,version,throttle,body,identity once",
        ),
        (
            &["--second-delete", "maybe"],
            "[possible values: no-content, not-found, not-owned]",
        ),
        (&["--tls-name", "example"], "--tls"),
        (&["--listen", "8080"], "invalid socket address"),
    ] {
        let output = refused(flags, &[]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(hint), "{text}");
    }
}

#[test]
fn a_key_that_is_none_is_refused_by_the_name_of_its_variable_only() {
    let output = refused(&[], &[("ACS_EMULATOR_SECONDARY_KEY", "hush hush")]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("ACS_EMULATOR_SECONDARY_KEY") && text.contains("openssl rand") && !text.contains("hush"));
}

#[test]
fn a_taken_port_ends_it_with_code_1_and_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = refused(&["--listen", &address], &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains(&format!("cannot listen on {address}")), "{text}");
}

#[test]
fn help_explains_every_choice_and_the_environment() {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in [
        "ACS_EMULATOR_PRIMARY_KEY",
        "--second-delete",
        "--check-order",
        "COMMUNICATION_SERVICES_CONNECTION_STRING",
    ] {
        assert!(text.contains(part), "{part}");
    }
}
