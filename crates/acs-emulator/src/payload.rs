//! What request bodies ask for.

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api_version::ApiVersion;
use crate::choices::CustomIdOutsidePreview;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::route::Operation;
use crate::scope::Scope;

/// Documented bounds of `expiresInMinutes`, and its default.
const EXPIRY_MINUTES: std::ops::RangeInclusive<i64> = 60..=1440;
const DEFAULT_EXPIRY_MINUTES: i64 = 1440;

/// Documented upper bound of the length of a `customId`, in characters.
const CUSTOM_ID_MAX: usize = 256;

/// The token that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    /// Not empty, without repetition, in the order asked for.
    pub scopes: Vec<Scope>,
    pub minutes: i64,
}

/// A validated body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Create {
        custom_id: Option<String>,
        token: Option<TokenRequest>,
    },
    Issue(TokenRequest),
    /// The operation takes no body.
    Nothing,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct CreateBody {
    create_token_with_scopes: Option<Vec<String>>,
    expires_in_minutes: Option<i64>,
    custom_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssueBody {
    scopes: Option<Vec<String>>,
    expires_in_minutes: Option<i64>,
}

/// Validates the body of a request for an operation under a version.
pub(crate) fn of(
    request: &Request,
    operation: Operation,
    version: ApiVersion,
    outside_preview: CustomIdOutsidePreview,
) -> Result<Payload, Refusal> {
    match operation {
        Operation::Create => create(request, version, outside_preview),
        Operation::Issue => issue(request, version),
        _ => Ok(Payload::Nothing),
    }
}

/// No body, `{}` and nulls all ask for an identity without a token, as official SDKs send them.
fn create(request: &Request, version: ApiVersion, outside: CustomIdOutsidePreview) -> Result<Payload, Refusal> {
    let body = if request.body.is_empty() {
        CreateBody::default()
    } else {
        json::<CreateBody>(request)?
    };
    let minutes = expiry(body.expires_in_minutes, version)?;
    let token = match body.create_token_with_scopes {
        Some(scopes) if !scopes.is_empty() => Some(TokenRequest {
            scopes: known_scopes(&scopes, version)?,
            minutes,
        }),
        _ => None,
    };
    Ok(Payload::Create {
        custom_id: custom_id(body.custom_id, version, outside)?,
        token,
    })
}

fn issue(request: &Request, version: ApiVersion) -> Result<Payload, Refusal> {
    if request.body.is_empty() {
        return Err(Refusal::invalid("", "A non-empty request body is required."));
    }
    let body: IssueBody = json(request)?;
    // Two answers, both recorded: one of the framework for null, one of the service for an empty list.
    let scopes = body
        .scopes
        .ok_or_else(|| Refusal::invalid("Scopes", "Scopes: The Scopes field is required."))?;
    if scopes.is_empty() {
        return Err(Refusal::invalid("scopes", "Invalid scopes - Scopes field is required."));
    }
    let minutes = expiry(body.expires_in_minutes, version)?;
    Ok(Payload::Issue(TokenRequest {
        scopes: known_scopes(&scopes, version)?,
        minutes,
    }))
}

fn json<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "The body must be application/json.",
        ));
    }
    serde_json::from_slice(&request.body).map_err(|error| {
        Refusal::invalid(
            "",
            format!("The body is not the JSON that this operation takes: {error}"),
        )
    })
}

fn expiry(minutes: Option<i64>, version: ApiVersion) -> Result<i64, Refusal> {
    match minutes.filter(|_| version.has_custom_expiry()) {
        None => Ok(DEFAULT_EXPIRY_MINUTES),
        Some(minutes) if EXPIRY_MINUTES.contains(&minutes) => Ok(minutes),
        Some(minutes) => Err(Refusal::invalid(
            "ExpiresInMinutes",
            format!(
                "ExpiresInMinutes value {minutes} is invalid. Value must be within the [{}, {}] interval.",
                EXPIRY_MINUTES.start(),
                EXPIRY_MINUTES.end()
            ),
        )),
    }
}

fn known_scopes(names: &[String], version: ApiVersion) -> Result<Vec<Scope>, Refusal> {
    let mut scopes = Vec::with_capacity(names.len().min(Scope::ALL.len()));
    for name in names {
        let scope = Scope::ALL
            .into_iter()
            .find(|scope| scope.as_str() == name && (!scope.is_join() || version.has_join_scopes()))
            .ok_or_else(|| Refusal::invalid("scopes", "Invalid scopes - there is a scope that this version lacks."))?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

fn custom_id(
    given: Option<String>,
    version: ApiVersion,
    outside: CustomIdOutsidePreview,
) -> Result<Option<String>, Refusal> {
    let Some(given) = given else { return Ok(None) };
    match (version.has_custom_id(), outside) {
        (true, _) if (1..=CUSTOM_ID_MAX).contains(&given.chars().count()) => Ok(Some(given)),
        (true, _) => Err(Refusal::invalid(
            "CustomId",
            format!("CustomId must have between 1 and {CUSTOM_ID_MAX} characters."),
        )),
        (false, CustomIdOutsidePreview::Ignore) => Ok(None),
        (false, CustomIdOutsidePreview::Refuse) => Err(Refusal::invalid(
            "CustomId",
            format!("CustomId is not known in api-version {version}."),
        )),
    }
}
