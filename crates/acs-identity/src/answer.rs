//! Reading what the service answers, whatever it answers.

use jiff::{SignedDuration, Timestamp};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap};

use crate::ApiVersion;
use crate::retry_after::{http_date, retry_after};

/// No answer of the API comes near this; what is larger is not read.
const LARGEST_BODY: usize = 64 * 1024;

/// What is kept of an answer besides its body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub status: u16,
    pub retry_after: Option<std::time::Duration>,
    pub server_date: Option<Timestamp>,
    pub received_at: Timestamp,
    pub api_versions: Vec<ApiVersion>,
    /// A page for people. ACS answers in JSON: this comes from a gateway before it.
    pub is_html: bool,
}

impl Head {
    /// How far the service's clock is ahead of ours.
    pub fn clock_skew(&self) -> Option<SignedDuration> {
        Some(self.server_date?.duration_since(self.received_at))
    }

    /// What these headers say.
    pub fn of(status: u16, headers: &HeaderMap, received_at: Timestamp) -> Self {
        let server_date = header(headers, DATE.as_str()).and_then(http_date);
        Self {
            status,
            retry_after: retry_after(headers, server_date.unwrap_or(received_at)),
            server_date,
            received_at,
            api_versions: api_versions(headers),
            is_html: header(headers, CONTENT_TYPE.as_str())
                .is_some_and(|kind| kind.to_ascii_lowercase().contains("html")),
        }
    }
}

/// An answer whose head was read; the body may have broken off.
pub(crate) struct Answer {
    pub head: Head,
    pub body: Result<Vec<u8>, BodyLost>,
}

/// The body broke off, took too long, or is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLost;

impl Answer {
    /// Reads an answer to its end, within the time limit of its request.
    pub async fn read(mut response: Response) -> Self {
        let head = Head::of(response.status().as_u16(), response.headers(), crate::clock::now());
        let body = read_body(&mut response).await;
        Self::new(head, body)
    }

    /// An answer of these parts. A page is known by its body too.
    pub fn new(mut head: Head, body: Result<Vec<u8>, BodyLost>) -> Self {
        head.is_html |= body
            .as_ref()
            .is_ok_and(|body| body.trim_ascii_start().starts_with(b"<"));
        Self { head, body }
    }
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, BodyLost> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| BodyLost)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(BodyLost);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `api-supported-versions`: a comma list, on most answers. What is not a version is left out.
fn api_versions(headers: &HeaderMap) -> Vec<ApiVersion> {
    const MOST: usize = 64;
    let list = header(headers, "api-supported-versions").unwrap_or_default();
    list.split(',')
        .filter_map(|text| ApiVersion::parse(text.trim()).ok())
        .take(MOST)
        .collect()
}
