//! Calls to the API server, counted between the client and the network.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::http::{Method, Request, Response, Uri};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tower::{Layer, Service};

use super::labels::Code;

/// `kube_requests_total{verb,resource,code}`. As a [`Layer`] it goes around the client's HTTP service, below its retries,
/// so that every request that leaves is counted.
#[derive(Clone, Default)]
pub struct KubeMetrics(Family<Call, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    verb: &'static str,
    resource: &'static str,
    code: Code,
}

impl KubeMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Requests to the API server, by verb, resource and status (none: no answer came)";
        registry.register("kube_requests", help, metrics.0.clone());
        metrics
    }

    fn count(&self, (verb, resource): (&'static str, &'static str), status: Option<u16>) {
        self.0
            .get_or_create(&Call {
                verb,
                resource,
                code: Code::of(status),
            })
            .inc();
    }
}

/// What `resource` can be; everything else is `other`.
const RESOURCES: [&str; 12] = [
    "clustercommunicationconnections",
    "clustercommunicationconnections/status",
    "communicationconnections",
    "communicationconnections/status",
    "communicationusers",
    "communicationusers/status",
    "customresourcedefinitions",
    "events",
    "leases",
    "namespaces",
    "secrets",
    "serviceaccounts/token",
];

/// Verb (as RBAC has it) and resource of a request.
fn verb_and_resource(method: &Method, uri: &Uri) -> (&'static str, &'static str) {
    let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let after_version = match segments.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => &[],
    };
    let (plural, name, subresource) = match after_version {
        ["namespaces", _, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
            (*plural, rest.first(), rest.get(1))
        }
        [plural, rest @ ..] => (*plural, rest.first(), rest.get(1)),
        [] => ("", None, None),
    };
    let full = subresource.map_or_else(|| plural.to_owned(), |subresource| format!("{plural}/{subresource}"));
    let resource = RESOURCES.into_iter().find(|known| *known == full).unwrap_or("other");
    (verb(method, uri.query().unwrap_or_default(), name.is_some()), resource)
}

fn verb(method: &Method, query: &str, named: bool) -> &'static str {
    let watches = || {
        query
            .split('&')
            .any(|parameter| matches!(parameter, "watch=true" | "watch=1" | "watch=True"))
    };
    match *method {
        Method::GET if watches() => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    }
}

impl<S> Layer<S> for KubeMetrics {
    type Service = CountedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountedService {
            inner,
            metrics: self.clone(),
        }
    }
}

/// An HTTP service whose requests are counted.
#[derive(Clone)]
pub struct CountedService<S> {
    inner: S,
    metrics: KubeMetrics,
}

impl<S, Sent, Answered> Service<Request<Sent>> for CountedService<S>
where
    S: Service<Request<Sent>, Response = Response<Answered>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        let call = verb_and_resource(request.method(), request.uri());
        let metrics = self.metrics.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            metrics.count(call, answer.as_ref().ok().map(|answer| answer.status().as_u16()));
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_the_verbs_and_resources_of_rbac() {
        let users = "/apis/acs-operator.dev/v1beta1";
        for (method, uri, expected) in [
            (
                Method::GET,
                format!("{users}/communicationusers?watch=true&limit=1"),
                ("watch", "communicationusers"),
            ),
            (
                Method::GET,
                format!("{users}/communicationusers?limit=500"),
                ("list", "communicationusers"),
            ),
            (
                Method::GET,
                format!("{users}/namespaces/a/communicationusers"),
                ("list", "communicationusers"),
            ),
            (
                Method::PATCH,
                format!("{users}/namespaces/a/communicationusers/b"),
                ("patch", "communicationusers"),
            ),
            (
                Method::PATCH,
                format!("{users}/namespaces/a/communicationusers/b/status?fieldManager=x"),
                ("patch", "communicationusers/status"),
            ),
            (
                Method::DELETE,
                "/api/v1/namespaces/a/secrets/b".to_owned(),
                ("delete", "secrets"),
            ),
            (
                Method::POST,
                "/apis/events.k8s.io/v1/namespaces/a/events".to_owned(),
                ("create", "events"),
            ),
            (Method::GET, "/api/v1/namespaces/a".to_owned(), ("get", "namespaces")),
            (Method::GET, "/api/v1/namespaces".to_owned(), ("list", "namespaces")),
            (Method::GET, "/version".to_owned(), ("list", "other")),
            (Method::GET, "/api/v1/namespaces/a/pods/b".to_owned(), ("get", "other")),
            (Method::OPTIONS, "/".to_owned(), ("other", "other")),
        ] {
            assert_eq!(
                verb_and_resource(&method, &uri.parse().unwrap()),
                expected,
                "{method} {uri}"
            );
        }
    }

    #[tokio::test]
    async fn answers_are_counted_by_status_and_lost_ones_as_none() {
        let metrics = KubeMetrics::default();
        let server = tower::service_fn(|request: Request<()>| async move {
            match request.uri().path() {
                "/api/v1/secrets" => Ok(Response::builder().status(429).body(()).unwrap()),
                "/api/v1/namespaces" => Ok(Response::builder().status(599).body(()).unwrap()),
                _ => Err("cut"),
            }
        });
        let mut service = metrics.layer(server);
        for path in ["/api/v1/secrets", "/api/v1/namespaces", "/api/v1/events"] {
            let _ = service.call(Request::get(path).body(()).unwrap()).await;
        }
        for (resource, code) in [
            ("secrets", Code::Known(429)),
            ("namespaces", Code::Other),
            ("events", Code::None),
        ] {
            assert_eq!(
                metrics
                    .0
                    .get_or_create(&Call {
                        verb: "list",
                        resource,
                        code
                    })
                    .get(),
                1,
                "{resource}"
            );
        }
    }
}
