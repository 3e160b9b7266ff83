//! The program as a person meets it in a shell: help, version, exit codes, and the environment twins of its flags.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn operator(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acs-operator"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Flags of `run` as `--help` tells them: name and variable.
fn documented_flags() -> Vec<(String, String)> {
    let help = text(&operator(&["run", "--help"], &[]).stdout);
    let name = |line: &str, start: &str, end: &[char]| {
        let rest = &line[line.find(start)?..];
        Some(rest[..rest.find(end).unwrap_or(rest.len())].to_owned())
    };
    let flags = help
        .lines()
        .filter(|line| line.trim_start().starts_with("--"))
        .filter_map(|line| name(line, "--", &[' ', '[']));
    let variables = help
        .lines()
        .filter(|line| line.contains("[env: "))
        .filter_map(|line| name(line, "ACS_OPERATOR_", &['=', ']']));
    flags.zip(variables).collect()
}

#[test]
fn every_flag_of_run_has_an_environment_twin_of_the_same_name() {
    let flags = documented_flags();
    assert!(flags.len() >= 12, "{flags:?}");
    for (flag, variable) in flags {
        let expected = format!(
            "ACS_OPERATOR_{}",
            flag.trim_start_matches('-').replace('-', "_").to_uppercase()
        );
        assert_eq!(variable, expected);
    }
}

#[test]
fn a_wrong_environment_twin_is_named_by_its_variable_and_ends_with_exit_code_2() {
    // A colon and a blank are in no valid value of any flag but the log level, where they are malformed as well.
    for (_, variable) in documented_flags() {
        let output = operator(&["run"], &[(&variable, "/no: such]value")]);
        assert_eq!(output.status.code(), Some(2), "{variable}");
        let message = text(&output.stderr);
        assert!(
            message.contains(&format!("{variable}=\"/no: such]value\"")),
            "{message}"
        );
        assert!(message.contains("error: a setting is wrong"), "{message}");
    }
}

#[test]
fn a_connection_string_in_the_wrong_variable_is_not_repeated() {
    for (_, variable) in documented_flags() {
        for value in [
            "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0",
            "accesskey = c2VjcmV0",
            "accesskey=,c2VjcmV0",
        ] {
            let output = operator(&["run"], &[(&variable, value)]);
            assert_eq!(output.status.code(), Some(2), "{variable}");
            let message = text(&output.stderr);
            assert!(
                message.contains(&variable) && !message.contains("c2VjcmV0"),
                "{message}"
            );
        }
    }
}

#[test]
fn an_empty_environment_twin_counts_as_not_set() {
    let flags = documented_flags();
    let mut variables: Vec<(&str, &str)> = flags.iter().map(|(_, variable)| (variable.as_str(), "")).collect();
    variables.push(("ACS_OPERATOR_WORKERS", "none"));
    let message = text(&operator(&["run"], &variables).stderr);
    assert!(
        message.contains("error: a setting is wrong"),
        "only the number of workers is wrong: {message}"
    );
}

#[test]
fn a_flag_wins_over_its_environment_twin() {
    let output = operator(&["run", "--workers", "many"], &[("ACS_OPERATOR_WORKERS", "few")]);
    let message = text(&output.stderr);
    assert!(
        message.contains("--workers=\"many\"") && !message.contains("few"),
        "{message}"
    );
}

#[test]
fn the_help_of_run_names_the_connection_string_variable_and_never_its_value() {
    let output = operator(
        &["run", "--help"],
        &[
            (
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                "endpoint=https://a.example/;accesskey=c2VjcmV0",
            ),
            ("ACS_OPERATOR_WORKERS", "7"),
        ],
    );
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    assert!(help.contains("COMMUNICATION_SERVICES_CONNECTION_STRING"), "{help}");
    assert!(!help.contains("c2VjcmV0"), "{help}");
}

#[test]
fn the_version_is_the_packages() {
    let output = operator(&["--version"], &[]);
    assert_eq!(
        text(&output.stdout),
        format!("acs-operator {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn without_a_command_the_program_explains_itself_and_ends_with_exit_code_2() {
    let output = operator(&[], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Usage: acs-operator <COMMAND>"));
}
