//! Whether a request is carried out, and if not, what is said to be wrong with it.

use crate::access_keys::Signer;
use crate::api_version::{self, ApiVersion};
use crate::choices::{Check, DeletedIdentity, SecondDelete};
use crate::clock::Now;
use crate::directory::Standing;
use crate::payload::{self, Payload};
use crate::rate_limits::Bucket;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::route::{self, Route};
use crate::service::Service;
use crate::signature;

/// What each check found, whatever the order in which the findings count.
pub(crate) struct Findings {
    pub signer: Result<Signer, Refusal>,
    pub route: Result<Route, Refusal>,
    pub version: Result<ApiVersion, Refusal>,
    payload: Result<Payload, Refusal>,
    identity: Result<Standing, Refusal>,
}

/// A request that passed all checks.
pub(crate) struct Accepted {
    pub signer: Signer,
    pub route: Route,
    pub payload: Payload,
    pub standing: Standing,
}

impl Service {
    /// Looks at everything.
    pub(crate) fn look_at(&self, request: &Request, now: Now) -> Findings {
        let route = route::of(request);
        let version = api_version::requested(request, &self.api_versions)
            .and_then(|version| offered(route.as_ref().ok(), version, request));
        let payload = match (&route, &version) {
            (Ok(route), Ok(version)) => payload::of(
                request,
                route.operation(),
                *version,
                self.choices.custom_id_outside_preview,
            ),
            _ => Ok(Payload::Nothing),
        };
        let identity = route.as_ref().map_or(Ok(Standing::Alive), |route| self.standing(route));
        let signer = signature::verify(request, &self.keys, now.wall, self.max_clock_skew)
            .map_err(|fault| Refusal::denied(fault.to_string()));
        Findings {
            signer,
            route,
            version,
            payload,
            identity,
        }
    }

    fn standing(&self, route: &Route) -> Result<Standing, Refusal> {
        let Some(id) = route.identity() else {
            return Ok(Standing::Alive);
        };
        let standing = self.directory.standing(id);
        match (standing, route) {
            (Standing::Alive, _) => Ok(standing),
            (Standing::Foreign, _) => Err(Refusal::not_owned()),
            (Standing::Gone, Route::Delete(_)) => match self.choices.second_delete {
                SecondDelete::NoContent => Ok(standing),
                SecondDelete::NotFound => Err(Refusal::not_found()),
                SecondDelete::NotOwned => Err(Refusal::not_owned()),
            },
            (Standing::Gone, _) => Err(match self.choices.deleted_identity {
                DeletedIdentity::NotFound => Refusal::not_found(),
                DeletedIdentity::NotOwned => Refusal::not_owned(),
                DeletedIdentity::Invalid => Refusal::invalid("id", "The identity does not exist."),
            }),
        }
    }

    /// The first finding that is a fault, in the chosen order of checks.
    pub(crate) fn judge(&mut self, findings: Findings, now: Now) -> Result<Accepted, Refusal> {
        let Findings {
            mut signer,
            mut route,
            mut version,
            mut payload,
            mut identity,
        } = findings;
        let bucket = route
            .as_ref()
            .ok()
            .and_then(|route| bucket(route, payload.as_ref().ok()));
        for check in self.choices.check_order.checks() {
            match check {
                Check::Signature => signer = Ok(signer?),
                Check::Route => route = Ok(route?),
                Check::Version => version = Ok(version?),
                Check::Body => payload = Ok(payload?),
                Check::Identity => identity = Ok(identity?),
                Check::Throttle => {
                    if let Some(bucket) = bucket {
                        self.rate_limits.admit(bucket, now.uptime).map_err(Refusal::throttled)?;
                    }
                }
            }
        }
        version?;
        Ok(Accepted {
            signer: signer?,
            route: route?,
            payload: payload?,
            standing: identity?,
        })
    }
}

/// The version, if the operation exists in it.
fn offered(route: Option<&Route>, version: ApiVersion, request: &Request) -> Result<ApiVersion, Refusal> {
    match route {
        Some(Route::Get(_)) if !version.has_custom_id() => {
            Err(api_version::unsupported(request.path(), version.as_str()))
        }
        _ => Ok(version),
    }
}

/// Creates with and without a token are counted apart, as documented. No limit is documented for GET.
fn bucket(route: &Route, payload: Option<&Payload>) -> Option<Bucket> {
    match route {
        Route::Create => match payload {
            Some(Payload::Create { token: Some(_), .. }) => Some(Bucket::CreateWithToken),
            _ => Some(Bucket::Create),
        },
        Route::Issue(_) => Some(Bucket::Issue),
        Route::Revoke(_) => Some(Bucket::Revoke),
        Route::Delete(_) => Some(Bucket::Delete),
        Route::Get(_) => None,
    }
}
