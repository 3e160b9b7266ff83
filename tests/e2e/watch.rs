//! Watches and the caches they feed, on a real API server.

mod expired;
mod hidden;
mod odd_metadata;
mod rights;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use acs_operator::{
    api::{ClusterCommunicationConnection, CommunicationUser},
    cluster::{
        CredentialSecret, ObjectKey, Scope,
        cache::{Cache, Change, Feed},
        watch::{Watch, WatchState},
    },
};
use acs_operator_testbed::ControlPlane;
use futures::{StreamExt, stream};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Secret},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, PartialObjectMeta, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use secrecy::ExposeSecret;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

const CEILING: Duration = Duration::from_mins(1);

fn config_map(number: usize) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("object-{number}")),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

/// Fails when a change does not go forward.
#[derive(Clone, Default)]
struct Forward(Arc<Mutex<HashMap<ObjectKey, u64>>>);

impl Forward {
    fn check(&self, change: &Change<ConfigMap>) {
        let version = |object: &Arc<ConfigMap>| object.resource_version().unwrap().parse::<u64>().unwrap();
        let mut seen = self.0.lock().unwrap();
        if let Some(now) = change.current().map(version) {
            let before = seen.insert(change.key().clone(), now);
            assert!(before.is_none_or(|before| before < now), "{} went back", change.key());
        }
    }
}

/// More objects than fit a page of a list, changed by others and by ourselves while the watch lists them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_follows_the_api_server_through_paged_lists_and_concurrent_writes() {
    const OBJECTS: usize = 520;
    let control_plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (
        control_plane.client().await.unwrap(),
        control_plane.namespace("watch").await.unwrap(),
    );
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let create = |number| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &config_map(number)).await.unwrap() }
    };
    stream::iter(0..OBJECTS).map(create).buffer_unordered(16).count().await;

    let (cache, mut feeds) = Cache::new([Scope::Namespace(namespace.as_str().into())], []);
    let (forward, stop) = (Forward::default(), CancellationToken::new());
    let checked = forward.clone();
    let task = tokio::spawn(
        Watch::<ConfigMap>::objects(client.clone(), feeds.remove(0))
            .run(move |change| checked.check(&change), stop.clone()),
    );
    let labelled = |number: usize| json!({"metadata": {"labels": {"number": number.to_string()}}});
    for number in 0..60 {
        let name = format!("object-{number}");
        match number % 3 {
            0 => drop(api.delete(&name, &DeleteParams::default()).await.unwrap()),
            1 => {
                let since = cache.epoch();
                let written = api
                    .patch(&name, &PatchParams::default(), &Patch::Merge(labelled(number)))
                    .await
                    .unwrap();
                let version = written.resource_version();
                cache.apply_own_write(since, written);
                let shown = cache.get(&ObjectKey::namespaced(&namespace, &name));
                // Before the first list an object that is new to the cache may be left for the watch to deliver.
                assert!(shown.is_none_or(|shown| shown.resource_version() == version));
            }
            _ => drop(
                api.patch(&name, &PatchParams::default(), &Patch::Merge(labelled(number)))
                    .await
                    .unwrap(),
            ),
        }
    }
    timeout(CEILING, cache.wait_synced()).await.unwrap();
    let server: BTreeMap<String, Option<String>> = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .map(|object| (object.name_any(), object.resource_version()))
        .collect();
    let shown = || {
        let mut shown = BTreeMap::new();
        cache.for_each(|key, object| drop(shown.insert(key.name().to_owned(), object.resource_version())));
        shown
    };
    let equal = async {
        while shown() != server {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(CEILING, equal)
        .await
        .expect("the cache does not become what the API server has");
    stop.cancel();
    task.await.unwrap();
}

fn watched(client: Client) -> (watch::Receiver<WatchState>, CancellationToken) {
    let (_, mut feeds) = Cache::new([Scope::Cluster], []);
    let watch = Watch::<CommunicationUser>::objects(client, feeds.remove(0));
    let (state, stop) = (watch.state(), CancellationToken::new());
    tokio::spawn(watch.run(drop, stop.clone()));
    (state, stop)
}

async fn fault(state: &mut watch::Receiver<WatchState>) -> String {
    let failed = timeout(CEILING, state.wait_for(|state| state.fault.is_some())).await;
    failed.unwrap().unwrap().fault.clone().unwrap()
}

/// A client on the shared control plane that acts as `user`.
async fn client_as(user: &str) -> Client {
    let control_plane = ControlPlane::shared().await.unwrap();
    control_plane.client().await.unwrap();
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.auth_info.impersonate = Some(user.to_owned());
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn a_watch_without_the_right_names_the_right_that_is_missing() {
    let (mut state, _stop) = watched(client_as("nobody").await);
    let fault = fault(&mut state).await;
    assert!(
        fault.contains(r#"User "nobody" cannot list resource "communicationusers""#),
        "{fault}"
    );
    assert!(
        fault.contains("the verbs list and watch on communicationusers.acs-operator.dev in the cluster"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_watch_of_a_kind_that_is_not_served_says_what_to_install_and_works_once_it_is() {
    let control_plane = ControlPlane::start().unwrap();
    let client = control_plane.client().await.unwrap();
    let (mut state, _stop) = watched(client);
    let fault = fault(&mut state).await;
    assert!(
        fault.contains("install the CustomResourceDefinition communicationusers.acs-operator.dev"),
        "{fault}"
    );
    assert!(!state.borrow().up);
    control_plane.install_crds().await.unwrap();
    timeout(CEILING, state.wait_for(|state| state.up))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(state.borrow().fault, None);
}

/// What one watch delivers.
struct Watched<K> {
    cache: Arc<Cache<K>>,
    changed: watch::Receiver<()>,
    state: watch::Receiver<WatchState>,
    _stop: DropGuard,
}

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    fn start(scope: Scope, watch: impl FnOnce(Feed<K>) -> Watch<K>) -> Self {
        let (cache, mut feeds) = Cache::new([scope], []);
        let watch = watch(feeds.remove(0));
        let (report, changed) = watch::channel(());
        let (state, stop) = (watch.state(), CancellationToken::new());
        tokio::spawn(watch.run(move |_| report.send_replace(()), stop.clone()));
        Self {
            cache,
            changed,
            state,
            _stop: stop.drop_guard(),
        }
    }

    /// Waits until what is held under `key` is as wanted.
    async fn becomes(&mut self, key: &ObjectKey, wanted: impl Fn(Option<&K>) -> bool) {
        let arrival = async {
            while !wanted(self.cache.get(key).as_deref()) {
                self.changed.changed().await.unwrap();
            }
        };
        timeout(CEILING, arrival)
            .await
            .unwrap_or_else(|_| panic!("{key} is {:?}", self.cache.get(key)));
    }
}

async fn create<K>(api: &Api<K>, manifest: Value) -> K
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    let object = serde_json::from_value(manifest).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap()
}

#[tokio::test]
async fn one_secret_is_followed_with_the_right_to_that_one_alone() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespace = control_plane.namespace("watch").await.unwrap();
    let rule =
        json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["acs"], "verbs": ["list", "watch"]});
    let roles: Api<Role> = Api::namespaced(client.clone(), &namespace);
    create(&roles, json!({"metadata": {"name": "reader"}, "rules": [rule]})).await;
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &namespace);
    let reader = json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": namespace}],
    });
    create(&bindings, reader).await;
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let secret = |name: &str, value: &str| json!({"metadata": {"name": name}, "stringData": {"accessKey": value}});
    create(&secrets, secret("acs", "first")).await;
    create(&secrets, secret("another", "other")).await;

    let reader = client_as(&namespace).await;
    let watched = |name: &str| {
        let (client, scope) = (reader.clone(), Scope::Namespace(namespace.as_str().into()));
        Watched::<CredentialSecret>::start(scope, |feed| Watch::named(client, feed, name))
    };
    let (mut acs, mut another) = (watched("acs"), watched("another"));
    let (key, other) = (
        ObjectKey::namespaced(&namespace, "acs"),
        ObjectKey::namespaced(&namespace, "another"),
    );
    let is = |value: &'static str| {
        move |held: Option<&CredentialSecret>| {
            held.and_then(|held| held.value("accessKey"))
                .is_some_and(|held| held.expose_secret() == value.as_bytes())
        }
    };
    acs.becomes(&key, is("first")).await;
    let regenerated = Patch::Merge(json!({"stringData": {"accessKey": "second"}}));
    secrets
        .patch("acs", &PatchParams::default(), &regenerated)
        .await
        .unwrap();
    acs.becomes(&key, is("second")).await;
    secrets.delete("acs", &DeleteParams::default()).await.unwrap();
    acs.becomes(&key, |held| held.is_none()).await;
    create(&secrets, secret("acs", "third")).await;
    acs.becomes(&key, is("third")).await;
    assert_eq!(acs.cache.len(), 1);
    assert!(acs.state.borrow().up);

    let fault = fault(&mut another.state).await;
    assert!(fault.contains(r#"cannot list resource "secrets""#), "{fault}");
    assert!(another.cache.get(&other).is_none());
}

#[tokio::test]
async fn kinds_without_a_namespace_are_followed_too() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let name = control_plane.namespace("watch").await.unwrap();
    let key = ObjectKey::cluster_scoped(&name);
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"team": "blue"}}}));
    let is_blue = |meta: &ObjectMeta| {
        meta.labels
            .iter()
            .flatten()
            .any(|label| label == (&"team".into(), &"blue".into()))
    };
    let params = PatchParams::default();

    let mut namespaces = Watched::<PartialObjectMeta<Namespace>>::start(Scope::Cluster, |feed| {
        Watch::metadata(client.clone(), feed, "")
    });
    namespaces.becomes(&key, |held| held.is_some()).await;
    let api: Api<Namespace> = Api::all(client.clone());
    api.patch(&name, &params, &labelled).await.unwrap();
    namespaces
        .becomes(&key, |held| held.is_some_and(|held| is_blue(&held.metadata)))
        .await;

    let mut connections =
        Watched::<ClusterCommunicationConnection>::start(Scope::Cluster, |feed| Watch::objects(client.clone(), feed));
    let api: Api<ClusterCommunicationConnection> = Api::all(client.clone());
    let reference = json!({"secretRef": {"name": "acs", "namespace": "acs"}});
    let manifest = json!({
        "apiVersion": "acs-operator.dev/v1beta1",
        "kind": "ClusterCommunicationConnection",
        "metadata": {"name": name},
        "spec": {"auth": {"connectionString": reference}, "allowedNamespaces": {"names": [name]}},
    });
    create(&api, manifest).await;
    connections.becomes(&key, |held| held.is_some()).await;
    api.patch(&name, &params, &labelled).await.unwrap();
    connections
        .becomes(&key, |held| held.is_some_and(|held| is_blue(&held.metadata)))
        .await;
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    connections.becomes(&key, |held| held.is_none()).await;
}
