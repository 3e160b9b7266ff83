//! One call: what is sent, how often, and what comes of it.

use std::time::{Duration, Instant};

use backon::Retryable as _;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use uuid::Uuid;

use super::{Settings, new_request_id};
use crate::answer::{Answer, Head};
use crate::credential::Authorized;
use crate::envelope::Envelope;
use crate::error::Failed;
use crate::failure::Repeat;
use crate::signing::Signable;
use crate::transport::{cause, is_untrusted};
use crate::wire::{self, Unreadable};
use crate::{CreateIdentity, Error, Exchange, IdentityId, Operation, RetryPolicy, Scope, TokenLifetime};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const RETURN_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-return-client-request-id");

const REVOKE: &str = "/:revokeAccessTokens";

/// A request to be made, before it is signed.
pub(crate) struct Call {
    pub operation: Operation,
    repeat: Repeat,
    request_id: Uuid,
    path: String,
    /// `None`: no body and no `Content-Type`.
    body: Option<Vec<u8>>,
}

impl Call {
    pub fn create(create: &CreateIdentity) -> Result<Self, Error> {
        let repeat = if create.custom_id.is_some() {
            Repeat::Safe
        } else {
            Repeat::Unsafe
        };
        let call = Self {
            operation: Operation::Create,
            repeat,
            request_id: create.request_id,
            path: "/identities".into(),
            body: None,
        };
        call.with_body(wire::create_body(create))
    }

    pub fn issue(id: &IdentityId, scopes: &[Scope], lifetime: Option<TokenLifetime>) -> Result<Self, Error> {
        Self::about(id, Operation::Issue, "/:issueAccessToken").with_body(wire::issue_body(scopes, lifetime))
    }

    pub fn revoke(id: &IdentityId) -> Self {
        Self::about(id, Operation::Revoke, REVOKE)
    }

    pub fn delete(id: &IdentityId) -> Self {
        Self::about(id, Operation::Delete, "")
    }

    /// A revocation for an id that no resource owns.
    pub fn probe() -> Self {
        Self::about(&IdentityId::of_nobody(), Operation::Probe, REVOKE)
    }

    pub fn get(id: &IdentityId) -> Self {
        Self::about(id, Operation::Get, "")
    }

    fn about(id: &IdentityId, operation: Operation, action: &str) -> Self {
        let path = format!("/identities/{}{action}", id.path_segment());
        Self {
            operation,
            repeat: Repeat::Safe,
            request_id: new_request_id(),
            path,
            body: None,
        }
    }

    fn with_body(self, body: serde_json::Result<Vec<u8>>) -> Result<Self, Error> {
        match body {
            Ok(body) => Ok(Self {
                body: Some(body),
                ..self
            }),
            Err(_) => Err(self.failed().invalid("the request cannot be written as JSON")),
        }
    }

    pub fn failed(&self) -> Failed {
        Failed {
            operation: self.operation,
            repeat: self.repeat,
            request_id: self.request_id,
        }
    }

    /// What an answer to this call comes to. None of `secrets` is repeated, whatever the answer holds.
    pub fn conclude<'a, T>(
        &self,
        answer: Answer,
        read: Reader<T>,
        secrets: impl Iterator<Item = &'a str>,
    ) -> Result<T, Error> {
        let Answer { head, body } = answer;
        let Ok(body) = body else {
            return Err(self.failed().unreadable(head));
        };
        if self.operation.succeeds_with(head.status) {
            read(&body).map_err(|Unreadable| self.failed().unreadable(head))
        } else {
            Err(self.failed().refused(head, Envelope::read(&body, secrets)))
        }
    }

    fn method(&self) -> Method {
        match self.operation {
            Operation::Create | Operation::Issue | Operation::Revoke | Operation::Probe => Method::POST,
            Operation::Delete => Method::DELETE,
            Operation::Get => Method::GET,
        }
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        headers.insert(ACCEPT, JSON);
        if let Ok(id) = HeaderValue::try_from(self.request_id.to_string()) {
            headers.insert(CLIENT_REQUEST_ID, id);
            headers.insert(RETURN_CLIENT_REQUEST_ID, HeaderValue::from_static("true"));
        }
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        if self.method() == Method::POST && self.body.as_ref().is_none_or(Vec::is_empty) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }
}

/// Reads the body of a success.
pub(crate) type Reader<T> = fn(&[u8]) -> Result<T, Unreadable>;

impl Settings {
    /// Makes the call, and makes it again where that is safe, useful and allowed.
    pub async fn run<T>(&self, call: &Call, read: Reader<T>) -> Result<T, Error> {
        if call.operation == Operation::Create {
            return self.attempt(call, read).await;
        }
        (|| self.attempt(call, read))
            .retry(self.retry.delays())
            .when(RetryPolicy::can_pass)
            .adjust(|error, delay| self.retry.wait(error, delay))
            .await
    }

    /// One request, signed as of now, and its answer.
    async fn attempt<T>(&self, call: &Call, read: Reader<T>) -> Result<T, Error> {
        let started = Instant::now();
        let mut head = None;
        let result = self.exchange(call, read, &mut head).await;
        self.report(call, started.elapsed(), head.as_ref(), result.as_ref().err());
        result
    }

    async fn exchange<T>(&self, call: &Call, read: Reader<T>, seen: &mut Option<Head>) -> Result<T, Error> {
        let (request, authorized) = self.request(call).await?;
        if self
            .guard
            .as_ref()
            .is_some_and(|guard| !guard.lets_pass(call.operation))
        {
            return Err(call.failed().withheld());
        }
        let response = self.transport.send(request).await.map_err(|error| {
            let cause = format!("{}: {}", self.endpoint.authority(), cause(&error));
            if is_untrusted(&error) {
                call.failed().untrusted(cause)
            } else if error.is_connect() || error.is_builder() {
                call.failed().not_sent(cause)
            } else {
                call.failed().no_answer(cause)
            }
        })?;
        let answer = Answer::read(response).await;
        *seen = Some(answer.head.clone());
        call.conclude(answer, read, authorized.secrets())
    }

    /// The request as it goes on the wire. What is signed is taken from it, so the two cannot differ.
    async fn request(&self, call: &Call) -> Result<(Request, Authorized), Error> {
        let not_sent = |cause: &dyn std::fmt::Display| call.failed().not_sent(cause.to_string());
        let url = format!("{}{}?api-version={}", self.endpoint, call.path, self.api_version);
        let url = Url::parse(&url).map_err(|error| not_sent(&error))?;
        let host = HeaderValue::from_str(self.endpoint.authority()).map_err(|error| not_sent(&error))?;
        let method = call.method();
        let mut request = Request::new(method.clone(), url);
        let path_and_query = path_and_query(request.url());
        let signable = Signable {
            verb: method.as_str(),
            path_and_query: &path_and_query,
            authority: self.endpoint.authority(),
            body: call.body.as_deref().unwrap_or_default(),
        };
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        call.add_headers(headers);
        let authorized = self
            .credential
            .authorize(signable, crate::clock::now(), headers)
            .await
            .map_err(|error| not_sent(&error))?;
        *request.body_mut() = call.body.clone().filter(|body| !body.is_empty()).map(Into::into);
        *request.timeout_mut() = Some(self.timeout(call.operation));
        Ok((request, authorized))
    }

    fn timeout(&self, operation: Operation) -> Duration {
        match operation {
            Operation::Create => self.timeouts.create,
            _ => self.timeouts.call,
        }
    }

    fn report(&self, call: &Call, duration: Duration, head: Option<&Head>, error: Option<&Error>) {
        let exchange = Exchange {
            operation: call.operation,
            request_id: call.request_id,
            status: head.map(|head| head.status),
            code: error.and_then(Error::code),
            failure: error.map(Error::class),
            duration,
            clock_skew: head.and_then(Head::clock_skew),
            api_versions: head.map(|head| head.api_versions.as_slice()).unwrap_or_default(),
        };
        let Exchange {
            operation,
            request_id,
            status,
            code,
            failure,
            ..
        } = exchange;
        let failure = failure.map(tracing::field::debug);
        tracing::debug!(%operation, %request_id, status, code, failure, ?duration, "exchange with the ACS Identity API");
        if let Some(observer) = &self.observer {
            observer.on_exchange(&exchange);
        }
    }
}

fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
