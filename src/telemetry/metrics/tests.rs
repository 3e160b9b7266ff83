use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::*;
use crate::api::Reason;

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Metrics of an operator that has done a bit of everything, at nine o'clock.
fn busy() -> Metrics {
    let (clock, _) = Clock::manual(instant("2026-11-23T09:00:00Z"));
    let metrics = Metrics::new(clock);
    metrics.acs.count("create", Some(201), Duration::from_millis(80));
    metrics.acs.count("issue", Some(429), Duration::from_millis(5));
    metrics.acs.count("issue", None, Duration::from_secs(10));
    metrics.identities.created();
    metrics.identities.deleted();
    metrics.identities.adopted();
    metrics.identities.revoked(RevocationCause::Requested);
    metrics.identities.issued(TokenCause::Renewal);
    metrics.identities.suspected_orphan();
    metrics.leader.ask(|| true);
    metrics.queue.ask(|| vec![("urgent", 3), ("routine", 0)]);
    metrics
        .reconciles
        .finished(ReconcileOutcome::Settled, Duration::from_millis(2));
    metrics.reconciles.failed(Reason::ServiceUnavailable);
    metrics.watches.up("CommunicationUser", true);
    metrics.watches.up("Secret", false);
    metrics.watches.restarted("Secret");
    metrics.users.ask(|visit| {
        for (reason, expires, renewal_due) in [
            (
                Reason::TokenIssued,
                Some("2026-11-24T08:00:00Z"),
                Some("2026-11-24T00:00:00Z"),
            ),
            (
                Reason::RenewalDelayed,
                Some("2026-11-23T09:10:00Z"),
                Some("2026-11-23T08:58:30Z"),
            ),
            (
                Reason::TokenExpired,
                Some("2026-11-23T08:59:00Z"),
                Some("2026-11-23T08:59:00Z"),
            ),
            (Reason::IdentityCreated, None, None),
            (Reason::DeletionBlocked, None, None),
        ] {
            let (expires, renewal_due) = (expires.map(instant), renewal_due.map(instant));
            visit(UserSample {
                reason,
                expires,
                renewal_due,
            });
        }
    });
    metrics
}

fn value(text: &str, series: &str) -> String {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).to_owned()
}

#[test]
fn series_have_the_documented_names_and_tell_what_happened() {
    let text = busy().render().unwrap();
    for (series, expected) in [
        ("acs_operator_users{reason=\"TokenIssued\"}", "1"),
        ("acs_operator_users{reason=\"Throttled\"}", "0"),
        ("acs_operator_token_remaining_seconds_bucket{le=\"0.0\"}", "1"),
        ("acs_operator_token_remaining_seconds_bucket{le=\"900.0\"}", "2"),
        ("acs_operator_token_remaining_seconds_bucket{le=\"+Inf\"}", "3"),
        ("acs_operator_token_remaining_seconds_count", "3"),
        // 23 hours and 10 minutes; the expired one takes nothing away.
        ("acs_operator_token_remaining_seconds_sum", "83400.0"),
        ("acs_operator_oldest_overdue_renewal_seconds", "90.0"),
        ("acs_operator_deletions_blocked", "1"),
        (
            "acs_operator_reconcile_duration_seconds_count{outcome=\"settled\"}",
            "1",
        ),
        (
            "acs_operator_reconcile_duration_seconds_count{outcome=\"panicked\"}",
            "0",
        ),
        (
            "acs_operator_reconcile_errors_total{reason=\"ServiceUnavailable\"}",
            "1",
        ),
        ("acs_operator_reconcile_errors_total{reason=\"AccessDenied\"}", "0"),
        (
            "acs_operator_acs_requests_total{operation=\"create\",code=\"201\"}",
            "1",
        ),
        (
            "acs_operator_acs_requests_total{operation=\"issue\",code=\"none\"}",
            "1",
        ),
        (
            "acs_operator_acs_request_duration_seconds_count{operation=\"issue\"}",
            "2",
        ),
        ("acs_operator_acs_throttled_total{operation=\"issue\"}", "1"),
        ("acs_operator_acs_throttled_total{operation=\"create\"}", "0"),
        ("acs_operator_leader", "1"),
        ("acs_operator_queue_depth{lane=\"urgent\"}", "3"),
        ("acs_operator_watch_up{kind=\"CommunicationUser\"}", "1"),
        ("acs_operator_watch_up{kind=\"Secret\"}", "0"),
        ("acs_operator_watch_restarts_total{kind=\"Secret\"}", "1"),
        ("acs_operator_watch_restarts_total{kind=\"CommunicationUser\"}", "0"),
        ("acs_operator_identities_created_total", "1"),
        ("acs_operator_identities_deleted_total", "1"),
        ("acs_operator_identities_adopted_total", "1"),
        ("acs_operator_tokens_revoked_total{cause=\"requested\"}", "1"),
        ("acs_operator_tokens_revoked_total{cause=\"token_removed\"}", "0"),
        ("acs_operator_tokens_issued_total{cause=\"renewal\"}", "1"),
        ("acs_operator_tokens_issued_total{cause=\"first\"}", "0"),
        ("acs_operator_suspected_orphans_total", "1"),
        (
            concat!("acs_operator_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
            "1",
        ),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
}

#[test]
fn every_metric_has_a_help_text_and_the_whole_ends_as_openmetrics_wants() {
    let text = busy().render().unwrap();
    assert!(text.ends_with("# EOF\n"));
    let documented: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
        .filter(|(_, help)| help.len() > "a few words.".len() && help.ends_with('.'))
        .map(|(name, _)| name)
        .collect();
    let typed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(documented, typed);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(
            typed.iter().any(|name| line.starts_with(name)),
            "{line} belongs to no described metric"
        );
    }
    assert_eq!(typed.len(), 26, "{typed:?}");
}

#[test]
fn before_anything_happened_counters_stand_at_zero_so_that_an_increase_can_be_seen() {
    let text = Metrics::new(Clock::system()).render().unwrap();
    for series in [
        "acs_operator_suspected_orphans_total",
        "acs_operator_identities_created_total",
        "acs_operator_tokens_issued_total{cause=\"renewal\"}",
        "acs_operator_reconcile_errors_total{reason=\"AccessDenied\"}",
        "acs_operator_users{reason=\"TokenExpired\"}",
        "acs_operator_deletions_blocked",
    ] {
        assert_eq!(value(&text, series), "0", "{series}");
    }
    assert_eq!(value(&text, "acs_operator_oldest_overdue_renewal_seconds"), "0.0");
}
