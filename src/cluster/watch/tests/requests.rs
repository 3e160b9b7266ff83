//! The watch over a client whose answers the test makes.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body as AnswerBody;
use futures::{future::BoxFuture, stream};
use http::{Request, Response, header::ACCEPT};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{Client, Resource, client::Body, core::PartialObjectMeta};
use serde_json::json;
use tokio::{sync::watch as latest, time};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service};

use super::super::{Watch, WatchState};
use crate::{
    api::ClusterCommunicationConnection,
    cluster::{
        CredentialSecret, Scope,
        cache::{Cache, Feed},
    },
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Whole,
    HeadOnly,
    Never,
    /// The first time the server is busy; from then on as `HeadOnly`.
    BusyAtFirst,
}

/// An API server without objects, that notes what is asked and what is accepted.
#[derive(Clone)]
struct Server {
    list: Answer,
    watch: Answer,
    asked: Arc<Mutex<Vec<String>>>,
    accepted: Arc<Mutex<Vec<String>>>,
}

impl Service<Request<Body>> for Server {
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let accepted = request
            .headers()
            .get(ACCEPT)
            .map(|value| value.to_str().unwrap().to_owned());
        self.accepted.lock().unwrap().push(accepted.unwrap_or_default());
        self.asked.lock().unwrap().push(request.uri().to_string());
        let is_watch = request.uri().query().unwrap().contains("watch=true");
        let answer = if is_watch { self.watch } else { self.list };
        let is_first = self
            .asked
            .lock()
            .unwrap()
            .iter()
            .filter(|asked| asked.contains("watch=true"))
            .count()
            == 1;
        let status = if answer == Answer::BusyAtFirst && is_first {
            503
        } else {
            200
        };
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []});
        let body = match answer {
            Answer::Whole => AnswerBody::from(list.to_string()),
            Answer::BusyAtFirst if status == 503 => AnswerBody::empty(),
            Answer::HeadOnly | Answer::Never | Answer::BusyAtFirst => {
                AnswerBody::from_stream(stream::pending::<Result<String, BoxError>>())
            }
        };
        Box::pin(async move {
            match answer {
                Answer::Never => std::future::pending().await,
                _ => Ok(Response::builder().status(status).body(body).unwrap()),
            }
        })
    }
}

impl Server {
    fn new(list: Answer, watch: Answer) -> Self {
        Self {
            list,
            watch,
            asked: Arc::default(),
            accepted: Arc::default(),
        }
    }

    fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    fn watched(&self) -> latest::Receiver<WatchState> {
        let (_, mut feeds) = Cache::new([Scope::Cluster], []);
        let watch = Watch::<ConfigMap>::objects(self.client(), feeds.remove(0));
        let state = watch.state();
        tokio::spawn(watch.run(drop, CancellationToken::new()));
        state
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_given_up_and_made_again() {
    for (list, watch) in [
        (Answer::Never, Answer::HeadOnly),
        (Answer::HeadOnly, Answer::HeadOnly),
        (Answer::Whole, Answer::Never),
    ] {
        let mut state = Server::new(list, watch).watched();
        let again = state.wait_for(|state| state.restarts == 3);
        let state = time::timeout(Duration::from_mins(3), again).await;
        let state = state
            .unwrap_or_else(|_| panic!("list {list:?}, watch {watch:?}: it waits for ever"))
            .unwrap();
        assert!(!state.up, "list {list:?}, watch {watch:?}");
        assert!(
            state.fault.as_ref().unwrap().contains("no answer within 15 s"),
            "{state:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_news_is_not_given_up() {
    let state = Server::new(Answer::Whole, Answer::HeadOnly).watched();
    time::sleep(Duration::from_hours(1)).await;
    assert!(state.borrow().up);
    assert_eq!(state.borrow().restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_taken_up_again_is_up_soon_though_there_is_no_news() {
    let mut state = Server::new(Answer::Whole, Answer::BusyAtFirst).watched();
    let down = state.wait_for(|state| state.restarts == 1 && !state.up);
    time::timeout(Duration::from_mins(1), down).await.unwrap().unwrap();
    let up = state.wait_for(|state| state.up);
    time::timeout(Duration::from_secs(5), up).await.unwrap().unwrap();
}

/// What a watch in `scope` asks an API server, and what it accepts.
async fn requests<K>(scope: Scope, watch: impl FnOnce(Client, Feed<K>) -> Watch<K>) -> (Vec<String>, Vec<String>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    let server = Server::new(Answer::Whole, Answer::HeadOnly);
    let (_, mut feeds) = Cache::new([scope], []);
    let watch = watch(server.client(), feeds.remove(0));
    tokio::spawn(watch.run(drop, CancellationToken::new()));
    time::sleep(Duration::from_mins(10)).await;
    let (asked, accepted) = (
        server.asked.lock().unwrap().clone(),
        server.accepted.lock().unwrap().clone(),
    );
    assert!(asked.len() > 2, "a list and several watches");
    (asked, accepted)
}

#[tokio::test(start_paused = true)]
async fn a_watch_on_metadata_asks_for_nothing_else() {
    let metadata = |client, feed| Watch::<PartialObjectMeta<Secret>>::metadata(client, feed, "a=b");
    let (asked, accepted) = requests(Scope::Cluster, metadata).await;
    let alike = asked
        .iter()
        .zip(&accepted)
        .all(|(asked, accept)| asked.contains("labelSelector=a%3Db") && accept.contains("as=PartialObjectMetadata"));
    assert!(alike, "{asked:?} {accepted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_on_one_object_asks_for_no_other() {
    let named = |client, feed| Watch::<CredentialSecret>::named(client, feed, "acs");
    let (asked, _) = requests(Scope::Namespace("shop".into()), named).await;
    let alike = asked.iter().all(|asked| {
        asked.starts_with("/api/v1/namespaces/shop/secrets?") && asked.contains("fieldSelector=metadata.name%3Dacs")
    });
    assert!(alike, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn kinds_without_a_namespace_are_watched_where_they_are() {
    let whole = |client, feed| Watch::<ClusterCommunicationConnection>::objects(client, feed);
    let (connections, _) = requests(Scope::Cluster, whole).await;
    let path = "/apis/acs-operator.dev/v1beta1/clustercommunicationconnections?";
    assert!(
        connections.iter().all(|asked| asked.starts_with(path)),
        "{connections:?}"
    );

    let metadata = |client, feed| Watch::<PartialObjectMeta<Namespace>>::metadata(client, feed, "");
    let (namespaces, accepted) = requests(Scope::Cluster, metadata).await;
    assert!(
        namespaces.iter().all(|asked| asked.starts_with("/api/v1/namespaces?")),
        "{namespaces:?}"
    );
    assert!(
        accepted
            .iter()
            .all(|accept| accept.contains("as=PartialObjectMetadata")),
        "{accepted:?}"
    );
}
