use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// Remembers what was logged.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, filter: &str, act: impl FnOnce()) -> String {
    let written = Written::default();
    let writer = written.clone();
    let settings = LogSettings {
        format,
        filter: LogFilter::parse(filter).unwrap(),
    };
    let subscriber = tracing_subscriber::registry().with(settings.layer(move || writer.clone()));
    tracing::subscriber::with_default(subscriber, act);
    String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
}

fn libraries_log_bodies() {
    tracing::warn!(target: "kube_client::client", "secret-body, invalid type");
    tracing::debug!(target: "kube_client::client", "secret-body in an unsuccessful answer");
    tracing::trace!(target: "reqwest::connect::verbose", "secret-body read");
    tracing::debug!(target: "reqwest::connect", "proxy(secret-body) intercepts");
    tracing::trace!(target: "hyper::proto::h1::io", "secret-body");
    tracing::trace!(target: "h2::codec::framed_write", "secret-body");
    tracing::debug!(target: "a_library_nobody_has_heard_of", "secret-body");
    tracing::trace!(target: "kube_runtime::watcher", "secret-body");
}

#[test]
fn no_setting_makes_a_library_log_what_it_sends_or_receives() {
    for filter in [
        "trace",
        "trace,kube_client=trace,kube_client::client=trace,reqwest=trace,hyper=trace,h2=trace",
        "kube_client::client[{name}]=trace,trace",
    ] {
        let text = logged(LogFormat::Text, filter, || {
            libraries_log_bodies();
            tracing::trace!(target: "acs_operator::controller", "our own line");
        });
        assert!(!text.contains("secret-body"), "{filter}: {text}");
        assert!(text.contains("our own line"), "{filter}: {text}");
    }
}

#[test]
fn the_level_applies_below_the_ceiling() {
    let text = logged(LogFormat::Text, "info", || {
        tracing::debug!(target: "acs_operator::controller", "too fine");
        tracing::info!(target: "acs_operator::controller", "shown");
        tracing::error!(target: "kube_client::client", "shown as well");
    });
    assert!(
        !text.contains("too fine") && text.contains("shown\n") && text.contains("shown as well"),
        "{text}"
    );
}

#[test]
fn a_failed_request_is_told_by_its_sender_only() {
    let text = logged(LogFormat::Text, "trace", || {
        tracing::error!(target: "kube_client::client::builder", "failed with error client error (Connect)");
        tracing::warn!(target: "acs_operator::cluster", "the API server cannot be reached");
    });
    assert!(
        !text.contains("client error") && text.contains("cannot be reached"),
        "{text}"
    );
}

#[test]
fn json_lines_are_objects_with_their_fields_at_the_top() {
    let text = logged(LogFormat::Json, "info", || {
        tracing::info!(target: "acs_operator::app", reason = "TokenIssued", "reconciled");
    });
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["message"], "reconciled");
    assert_eq!(line["reason"], "TokenIssued");
    assert_eq!(line["level"], "INFO");
}

#[test]
fn a_panic_message_is_logged_only_when_it_stands_in_the_source() {
    let text = logged(LogFormat::Text, "info", || {
        let before = std::panic::take_hook();
        super::super::panics::log_panics();
        let _ = std::panic::catch_unwind(|| panic!("the literal reason"));
        let token = String::from("eyJhbGciOi");
        let _ = std::panic::catch_unwind(move || panic!("cannot parse {token}"));
        std::panic::set_hook(before);
    });
    assert!(text.contains("the literal reason"), "{text}");
    assert!(text.contains("message withheld"), "{text}");
    assert!(text.contains("src/telemetry/logs/tests.rs:"), "{text}");
    assert!(!text.contains("eyJhbGciOi"), "{text}");
}
