//! The service: one request in, one answer out. No IO, no clock.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::json;

use crate::access_keys::{AccessKeys, Signer};
use crate::answer::Answer;
use crate::api_version::{self, ApiVersion};
use crate::checks::Accepted;
use crate::choices::{Choices, CustomIdRepeat, RetryAfter, ThrottleBody};
use crate::clock::Now;
use crate::directory::{Created, Directory, Standing};
use crate::effect;
use crate::http_date;
use crate::jwt::{Grant, TokenSigner};
use crate::ledger::{Issue, Ledger, World};
use crate::payload::{Payload, TokenRequest};
use crate::rate_limits::RateLimits;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::route::Route;

/// The emulated resource.
pub(crate) struct Service {
    pub keys: AccessKeys,
    pub directory: Directory,
    pub ledger: Ledger,
    pub rate_limits: RateLimits,
    pub signer: TokenSigner,
    pub choices: Choices,
    pub api_versions: Vec<ApiVersion>,
    pub max_clock_skew: Duration,
    /// Lifetime of every token, in place of what is asked for.
    pub token_ttl: Option<Duration>,
}

/// What a request led to, for the client and for the journal.
pub(crate) struct Outcome {
    pub answer: Answer,
    pub identity: Option<String>,
    pub api_version: Option<ApiVersion>,
    pub signer: Option<Signer>,
    pub error_code: Option<Cow<'static, str>>,
    pub reason: Option<String>,
    pub token_sha256: Option<String>,
}

/// What a carried-out request answers and leaves behind.
struct Done {
    answer: Answer,
    identity: Option<String>,
    token_sha256: Option<String>,
}

impl Done {
    fn plain(answer: Answer) -> Self {
        Self {
            answer,
            identity: None,
            token_sha256: None,
        }
    }
}

impl Service {
    /// Carries out a request, or refuses it.
    pub(crate) fn handle(&mut self, request: &Request, now: Now) -> Outcome {
        let findings = self.look_at(request, now);
        let mut outcome = Outcome {
            answer: Answer::no_content(),
            identity: findings
                .route
                .as_ref()
                .ok()
                .and_then(|route| route.identity().map(str::to_owned)),
            api_version: findings.version.as_ref().ok().copied(),
            signer: findings.signer.as_ref().ok().copied(),
            error_code: None,
            reason: None,
            token_sha256: None,
        };
        match self
            .judge(findings, now)
            .and_then(|accepted| self.carry_out(accepted, now))
        {
            Ok(done) => {
                outcome.answer = done.answer;
                outcome.identity = done.identity.or(outcome.identity);
                outcome.token_sha256 = done.token_sha256;
            }
            Err(refusal) => {
                outcome.answer = self.refuse(&refusal, now);
                outcome.error_code = Some(refusal.code);
                outcome.reason = refusal.reason;
            }
        }
        let supported = api_version::list(&self.api_versions);
        outcome.answer = outcome.answer.with_text("api-supported-versions", &supported);
        outcome
    }

    fn carry_out(&mut self, accepted: Accepted, now: Now) -> Result<Done, Refusal> {
        let signer = accepted.signer;
        match (accepted.route, accepted.payload) {
            (Route::Create, Payload::Create { custom_id, token }) => self.create(custom_id, token, signer, now),
            (Route::Issue(id), Payload::Issue(token)) => {
                let (token, token_sha256) = self.issue(&id, token, signer, now)?;
                let answer = Answer::json(StatusCode::OK, &token);
                Ok(Done {
                    answer,
                    identity: None,
                    token_sha256: Some(token_sha256),
                })
            }
            (Route::Revoke(id), _) => {
                if let Some(identity) = self.directory.get_mut(&id) {
                    identity.tokens_revoked_at = Some(now.wall);
                }
                Ok(Done::plain(Answer::no_content()))
            }
            (Route::Delete(id), _) => {
                if accepted.standing == Standing::Alive {
                    self.directory.delete(&id, now.wall);
                }
                Ok(Done::plain(Answer::no_content()))
            }
            (Route::Get(id), _) => Ok(Done::plain(self.describe(&id))),
            (Route::Create | Route::Issue(_), _) => Err(broken()),
        }
    }

    fn create(
        &mut self,
        custom_id: Option<String>,
        token: Option<TokenRequest>,
        signer: Signer,
        now: Now,
    ) -> Result<Done, Refusal> {
        let (id, status) = match self
            .directory
            .create(custom_id, self.choices.custom_id_after_delete, now.wall)?
        {
            Created::New(id) => (id, StatusCode::CREATED),
            Created::Existing(id) => match self.choices.custom_id_repeat {
                CustomIdRepeat::Created => (id, StatusCode::CREATED),
                CustomIdRepeat::Ok => (id, StatusCode::OK),
            },
        };
        let mut body = json!({"identity": {"id": id}});
        let mut token_sha256 = None;
        if let Some(token) = token {
            let (token, sha256) = self.issue(&id, token, signer, now)?;
            body["accessToken"] = token;
            token_sha256 = Some(sha256);
        }
        Ok(Done {
            answer: Answer::json(status, &body),
            identity: Some(id),
            token_sha256,
        })
    }

    /// A token as the response tells it, and its SHA-256.
    fn issue(
        &mut self,
        id: &str,
        request: TokenRequest,
        signer: Signer,
        now: Now,
    ) -> Result<(serde_json::Value, String), Refusal> {
        let lifetime = self
            .token_ttl
            .and_then(|ttl| SignedDuration::try_from(ttl).ok())
            .unwrap_or_else(|| SignedDuration::from_mins(request.minutes));
        let grant = Grant::new(id.to_owned(), request.scopes, now.wall, lifetime).ok_or_else(broken)?;
        let text = self.signer.sign(&grant).map_err(|_| broken())?;
        let answer = json!({"token": text, "expiresOn": grant.expires_on_text()});
        let issue = Issue {
            identity: grant.identity,
            scopes: grant.scopes,
            issued_at: grant.issued_at,
            expires_at: grant.expires_at,
            signer,
        };
        let sha256 = self.ledger.record(&text, issue);
        if let Some(identity) = self.directory.get_mut(id) {
            identity.last_token_issued_at = Some(now.wall);
        }
        Ok((answer, sha256))
    }

    fn describe(&self, id: &str) -> Answer {
        let Some(identity) = self.directory.get(id) else {
            return Refusal::not_found().answer();
        };
        let mut body = json!({"id": identity.id});
        if let Some(custom_id) = &identity.custom_id {
            body["customId"] = custom_id.as_str().into();
        }
        if let Some(at) = identity.last_token_issued_at {
            body["lastTokenIssuedAt"] = at.strftime("%Y-%m-%dT%H:%M:%S.%7f+00:00").to_string().into();
        }
        Answer::json(StatusCode::OK, &body)
    }

    fn refuse(&self, refusal: &Refusal, now: Now) -> Answer {
        let Some(wait) = refusal.retry_after else {
            return refusal.answer();
        };
        let answer = match self.choices.throttle_body {
            ThrottleBody::Envelope => refusal.answer(),
            ThrottleBody::Empty => Answer::empty(refusal.status),
            ThrottleBody::Html => effect::gateway_page(refusal.status.as_u16()),
        };
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        match self.choices.retry_after {
            RetryAfter::None => answer,
            RetryAfter::Seconds => answer.with_text("retry-after", &seconds.to_string()),
            RetryAfter::Milliseconds => answer.with_text("retry-after-ms", &(seconds * 1000).to_string()),
            RetryAfter::Date => {
                let then = i64::try_from(seconds)
                    .ok()
                    .and_then(|seconds| seconds.checked_add(1))
                    .and_then(|seconds| now.wall.checked_add(SignedDuration::from_secs(seconds)).ok())
                    .and_then(http_date::format);
                then.iter()
                    .fold(answer, |answer, date| answer.with_text("retry-after", date))
            }
        }
    }

    /// What decides about tokens at this moment.
    pub(crate) fn world(&self, now: Now) -> World<'_> {
        World {
            directory: &self.directory,
            keys: &self.keys,
            now: now.wall,
        }
    }
}

fn broken() -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "The emulator failed; this is a fault of its own.",
    )
}
