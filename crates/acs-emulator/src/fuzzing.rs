//! What must hold of the emulator for whatever is sent to it and to its admin API.
//!
//! The program in `fuzz/fuzz_targets` calls this with bytes of the fuzzer's making, the test below with the seeds in
//! `fuzz/seeds`. Only built for them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a target fails by panicking"
)]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request as HttpRequest, StatusCode};
use ring::{digest, hmac};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::access_keys::{AccessKey, KeySlot};
use crate::admin;
use crate::answer::Answer;
use crate::config::Config;
use crate::control::Control;
use crate::exchange::{Delivery, find_hit, process};
use crate::fault::Fault;
use crate::http_date;
use crate::request::Request;
use crate::snapshot::Snapshot;

const KEY: &str = "c2VjcmV0IGNhbmFyeSBrZXk9";

/// The headers that make a request a signed one.
const SIGNED: [&str; 4] = ["authorization", "host", "x-ms-date", "x-ms-content-sha256"];

/// What was sent and came back, and what it is sent to.
struct Session {
    control: Control,
    admin: Router,
    /// Of the identity that was made last; stands for `ID`.
    id: String,
    /// That must not be told.
    secrets: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Signature {
    Whole,
    OfAnotherBody,
    None,
}

/// Lines such as `signed POST /identities?api-version=2023-10-01 {}`, `tampered POST …`, `unsigned DELETE /identities/ID`, or for the admin API
/// `admin PUT /clock {"offset": "-10m"}`. A line `name: value` sets a header of the requests after it. What is not
/// signed changes nothing, every refusal is in the service's envelope, and what the admin API tells holds no secret.
pub fn emulator(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains(KEY) {
        return;
    }
    let mut session = Session::new();
    let mut headers = HeaderMap::new();
    for line in text.lines().take(20) {
        let mut words = line.splitn(4, ' ');
        let (kind, method, target) = (words.next(), words.next(), words.next());
        let (Some(method), Some(target)) = (method.and_then(|method| method.parse().ok()), target) else {
            add_header(&mut headers, line);
            continue;
        };
        let (target, body) = (
            session.filled_in(target),
            session.filled_in(words.next().unwrap_or_default()),
        );
        match kind {
            Some("signed") => session.send(method, &target, body, &headers, Signature::Whole),
            Some("tampered") => session.send(method, &target, body, &headers, Signature::OfAnotherBody),
            Some("unsigned") => session.send(method, &target, body, &headers, Signature::None),
            Some("admin") => session.administer(&method, &target, body),
            _ => add_header(&mut headers, line),
        }
        session.assert_tells_nothing();
    }
}

fn add_header(headers: &mut HeaderMap, line: &str) {
    let Some((name, value)) = line.split_once(": ") else {
        return;
    };
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

impl Session {
    fn new() -> Self {
        let config = Config {
            primary_key: Some(AccessKey::parse(KEY).unwrap()),
            ..Config::default()
        };
        let shared = crate::emulator::shared(config, "http://localhost/".parse().unwrap()).unwrap();
        let control = Control {
            shared: Arc::new(shared),
        };
        Self {
            admin: admin::routes(control.clone()),
            id: format!("8:acs:{}_0", control.resource_id()),
            secrets: vec![KEY.to_owned(), control.access_key(KeySlot::Secondary).text().to_owned()],
            control,
        }
    }

    fn filled_in(&self, text: &str) -> String {
        text.replace("ID", &self.id).replace("KEY", KEY)
    }

    fn send(&mut self, method: Method, target: &str, body: String, given: &HeaderMap, signature: Signature) {
        let mut request = Request {
            method,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: body.into(),
        };
        if signature != Signature::None {
            self.sign(&mut request);
        }
        if signature == Signature::OfAnotherBody {
            request.body = [&request.body[..], b" "].concat().into();
        }
        let made = request.headers.clone();
        request.headers.extend(given.clone());
        let is_spoiled = SIGNED.iter().any(|name| request.headers.get(*name) != made.get(*name));
        let signed = signature == Signature::Whole && !is_spoiled;
        let before = (self.control.identities().len(), self.control.tokens().len());
        let shared = &self.control.shared;
        let hit = find_hit(shared, &request);
        let delivery = process(shared, &request, hit.as_ref(), tokio::time::Instant::now());
        let after = (self.control.identities().len(), self.control.tokens().len());
        let call = self.control.calls().pop().unwrap();
        assert!(signed || call.signed_by.is_none(), "taken for signed: {call:?}");
        if call.signed_by.is_none() {
            assert!(!call.carried_out && before == after, "without a signature: {call:?}");
        }
        if call.signed_by.is_none() || call.error_code.is_some() {
            assert_eq!(before, after, "refused and yet done: {call:?}");
        }
        for text in [&call.path, &call.method].into_iter().chain(&call.identity) {
            assert!(text.chars().count() <= 256, "{call:?}");
        }
        assert!(call.reason.is_none_or(|reason| reason.chars().count() <= 1024));
        match delivery {
            Delivery::Whole(answer) if hit.is_none() => self.learn(&answer),
            _ => assert!(hit.is_some(), "nothing but a fault cuts an answer"),
        }
    }

    /// As a client does; headers that are given besides may spoil it.
    fn sign(&self, request: &mut Request) {
        let key = BASE64_STANDARD.decode(KEY).unwrap();
        let Some(date) = http_date::format(self.control.now()) else {
            return;
        };
        let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, &request.body));
        let text = format!("{}\n{}\n{date};localhost;{hash}", request.method, request.target);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
        let authorization = format!(
            "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={}",
            BASE64_STANDARD.encode(mac)
        );
        for (name, value) in [
            ("host", "localhost"),
            ("x-ms-date", &date),
            ("x-ms-content-sha256", &hash),
            ("content-type", "application/json"),
            ("authorization", &authorization),
        ] {
            request.headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
    }

    /// An answer of the service itself.
    fn learn(&mut self, answer: &Answer) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status.is_success() {
            let token = body.pointer("/accessToken/token").or(body.get("token"));
            self.secrets.extend(token.and_then(Value::as_str).map(str::to_owned));
            if let Some(id) = body.pointer("/identity/id").and_then(Value::as_str) {
                id.clone_into(&mut self.id);
            }
        } else {
            assert!(answer.status.is_client_error(), "{answer:?}");
            assert!(body.pointer("/error/code").is_some_and(Value::is_string), "{answer:?}");
            assert!(
                body.pointer("/error/message").is_some_and(Value::is_string),
                "{answer:?}"
            );
        }
        assert!(answer.headers.contains_key("api-supported-versions"));
    }

    fn administer(&self, method: &Method, target: &str, body: String) {
        let request = HttpRequest::builder()
            .method(method)
            .uri(target)
            .header("content-type", "application/json")
            .body(Body::from(body));
        let Ok(request) = request else { return };
        let answer = ready(self.admin.clone().oneshot(request)).unwrap_or_else(|never| match never {});
        assert!(answer.status() != StatusCode::INTERNAL_SERVER_ERROR);
        for fault in self.control.faults() {
            let json = serde_json::to_string(&fault.fault).unwrap();
            assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault.fault, "{json}");
        }
    }

    fn assert_tells_nothing(&self) {
        let mut state = serde_json::to_value(Snapshot::of(&self.control)).unwrap();
        // Shown as they were given.
        state["faults"].take();
        let calls = self.control.calls();
        let reasons: Vec<_> = calls.iter().map(|call| &call.reason).collect();
        let shown = format!("{state}{reasons:?}");
        for secret in &self.secrets {
            assert!(!shown.contains(secret.as_str()), "{shown}");
        }
    }
}

/// What the admin API does is done at once.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("the admin API waits")
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_is_sent_nothing_unsigned_is_carried_out_and_no_secret_is_told() {
        acs_operator_seeds::run("emulator", super::emulator);
    }
}
