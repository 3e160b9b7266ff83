//! Nothing secret is logged, by this library or by those below it, at any level.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use acs_identity::{CreateIdentity, Scope};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{KEY, Reply, Server, TOKEN, id};

/// Everything that was logged in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_key_signature_or_token_is_logged_even_at_trace_level() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    tracing_subscriber::util::SubscriberInitExt::init(subscriber);

    let failing = Reply::envelope(401, "Denied", &format!("bad key {KEY}"));
    let server = Server::answering([
        Reply::created(),
        Reply::token(),
        Reply::token().without_last(4),
        failing,
    ])
    .await;
    let client = server.client();
    client
        .create_identity(&CreateIdentity::with_scopes([Scope::Chat]))
        .await
        .unwrap();
    client.issue_token(&id(), &[Scope::Chat], None).await.unwrap();
    client.issue_token(&id(), &[Scope::Chat], None).await.unwrap_err();
    client.issue_token(&id(), &[Scope::Chat], None).await.unwrap_err();

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // The libraries below have spoken too, or there would be nothing to be afraid of.
    assert!(
        logged.contains("hyper_util") && logged.contains("exchange with the ACS Identity API"),
        "{logged}"
    );
    let mut secrets = vec![
        KEY.to_owned(),
        TOKEN.to_owned(),
        "Signature=".to_owned(),
        "eyJhbG".to_owned(),
    ];
    for request in server.requests() {
        let (_, signature) = request
            .header("authorization")
            .unwrap()
            .split_once("Signature=")
            .unwrap();
        secrets.push(signature.to_owned());
    }
    for secret in secrets {
        assert!(!logged.contains(&secret), "{secret} is in the log");
    }
}
