//! Injected faults, as a client suffers them.

use std::time::{Duration, Instant};

use acs_emulator::{Effect, Fault, Operation};

use crate::client::{Answer, call, create, delete, eventually, issue, send_raw, start};

#[test]
fn a_status_fault_leaves_the_call_undone() {
    let emulator = start();
    emulator.inject(Fault::status(503).on(Operation::Create).once());
    let answer = call(&emulator, "POST /identities", "").send();
    assert_eq!(answer.verdict(), "503 ServiceUnavailable");
    assert!(emulator.identities().is_empty());
    assert_eq!(call(&emulator, "POST /identities", "").send().status, 201);
}

#[test]
fn a_gateway_timeout_after_processing_leaves_an_identity_nobody_was_told_of() {
    let emulator = start();
    emulator.inject(Fault::status(504).processed().once());
    assert_eq!(call(&emulator, "POST /identities", "").send().status, 504);
    let orphan = &emulator.identities()[0].id;
    let call = &emulator.calls()[0];
    assert_eq!(
        (call.identity.as_ref(), call.status, call.carried_out),
        (Some(orphan), Some(504), true)
    );
}

#[test]
fn a_cut_before_processing_does_nothing() {
    let emulator = start();
    emulator.inject(Fault::cut_before_processing().once());
    assert!(call(&emulator, "POST /identities", "").try_send().is_none());
    assert!(emulator.identities().is_empty());
    assert_eq!(
        (emulator.calls()[0].status, emulator.calls()[0].carried_out),
        (None, false)
    );
}

#[test]
fn a_cut_after_processing_loses_the_answer_only() {
    let emulator = start();
    emulator.inject(Fault::cut_after_processing().on(Operation::Create).once());
    assert!(
        call(&emulator, "POST /identities", r#"{"createTokenWithScopes":["chat"]}"#)
            .try_send()
            .is_none()
    );
    let identities = emulator.identities();
    assert_eq!(identities.len(), 1);
    let call = &emulator.calls()[0];
    assert_eq!(
        (call.status, call.carried_out, call.token_sha256.is_some()),
        (None, true, true)
    );
    assert_eq!(emulator.valid_tokens(&identities[0].id).len(), 1);
}

#[test]
fn a_truncated_answer_promises_more_than_it_sends() {
    let emulator = start();
    emulator.inject(Fault::truncated().once());
    let answer = call(&emulator, "POST /identities", "").send();
    let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!((answer.status, answer.body.len()), (201, promised / 2));
    assert!(answer.text().starts_with(r#"{"identity""#));
    assert_eq!(emulator.identities().len(), 1);
}

#[test]
fn an_html_page_comes_as_a_gateway_sends_it() {
    let emulator = start();
    emulator.inject(Fault::html_bad_gateway());
    let answer = call(&emulator, "POST /identities", "").send();
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("text/html")));
    assert!(answer.text().contains("502 Bad Gateway"));
}

#[test]
fn a_429_carries_the_retry_after_it_was_given_and_no_other() {
    let emulator = start();
    for retry_after in [None, Some("7"), Some("Wed, 21 Oct 2026 07:28:00 GMT"), Some("soon")] {
        emulator.inject(Fault::throttled(retry_after).once());
        let answer = call(&emulator, "POST /identities", "").send();
        assert_eq!(
            (answer.verdict().as_str(), answer.header("retry-after")),
            ("429 TooManyRequests", retry_after)
        );
    }
}

#[test]
fn any_answer_at_all_can_be_sent() {
    let emulator = start();
    let (headers, body) = (
        [("content-type", "application/json"), ("x-odd", "yes")],
        r#"{"error":"str"}"#,
    );
    emulator.inject(Fault::respond(418, &headers, body).once());
    let answer = call(&emulator, "POST /identities", "").send();
    assert_eq!(
        (answer.status, answer.header("x-odd"), answer.text().as_str()),
        (418, Some("yes"), body)
    );
}

#[test]
fn a_fault_hits_the_call_that_was_meant() {
    let emulator = start();
    let (first, second) = (create(&emulator), create(&emulator));
    let fault = emulator.inject(
        Fault::status(500)
            .on(Operation::Delete)
            .for_identity(second.clone())
            .after(1)
            .once(),
    );
    assert_eq!(delete(&emulator, &first).status, 204);
    assert_eq!(issue(&emulator, &second).status, 200);
    assert_eq!(delete(&emulator, &second).status, 204);
    assert_eq!(delete(&emulator, &second.replace(':', "%3a")).status, 500);
    assert_eq!(delete(&emulator, &second).status, 204);
    let faults = emulator.faults();
    assert_eq!((faults[0].id, faults[0].matched, faults[0].hits), (fault, 2, 1));
}

#[test]
fn a_delayed_call_is_processed_when_its_fault_is_removed() {
    let emulator = start();
    let fault = emulator.inject(Fault::delay(Duration::from_hours(1)));
    std::thread::scope(|scope| {
        let create = scope.spawn(|| call(&emulator, "POST /identities", "").send());
        eventually(|| emulator.faults()[0].hits == 1);
        assert!(emulator.calls().is_empty());
        assert!(emulator.remove_fault(fault));
        assert_eq!(create.join().unwrap().status, 201);
    });
}

#[test]
fn a_delayed_answer_is_of_a_call_already_processed() {
    let emulator = start();
    emulator.inject(Fault::delay_answer(Duration::from_hours(1)));
    std::thread::scope(|scope| {
        let create = scope.spawn(|| call(&emulator, "POST /identities", "").send());
        eventually(|| emulator.identities().len() == 1);
        assert!(!create.is_finished());
        emulator.clear_faults();
        assert_eq!(create.join().unwrap().status, 201);
    });
}

#[test]
fn a_delay_passes_by_itself() {
    let emulator = start();
    emulator.inject(Fault::delay(Duration::from_millis(80)).answer_delayed(Duration::from_millis(40)));
    let started = Instant::now();
    assert_eq!(call(&emulator, "POST /identities", "").send().status, 201);
    assert!(started.elapsed() >= Duration::from_millis(120));
}

#[test]
fn a_client_that_hangs_up_does_not_stop_the_service() {
    let emulator = start();
    let fault = emulator.inject(Fault::delay(Duration::from_hours(1)));
    let request = call(&emulator, "POST /identities", "").bytes();
    let mut stream = std::net::TcpStream::connect(emulator.address()).unwrap();
    std::io::Write::write_all(&mut stream, &request).unwrap();
    eventually(|| emulator.faults()[0].hits == 1);
    drop(stream);
    assert_eq!(
        Answer::read(&send_raw(emulator.address(), b"BAD\r\n\r\n")).map(|answer| answer.status),
        Some(400)
    );
    emulator.remove_fault(fault);
    eventually(|| emulator.identities().len() == 1);
}

#[test]
fn a_fault_can_be_put_together_from_its_parts() {
    let emulator = start();
    let effect = Effect::Status {
        status: 403,
        code: Some("Forbidden".into()),
        message: None,
        processed: false,
    };
    emulator.inject(Fault::new(effect).on(Operation::Create).times(2));
    let statuses: Vec<_> = (0..3)
        .map(|_| call(&emulator, "POST /identities", "").send().status)
        .collect();
    assert_eq!(statuses, [403, 403, 201]);
}
