//! Watches and the caches they feed, on a real API server.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use acs_operator::{
    api::CommunicationUser,
    cluster::{
        ObjectKey, Scope,
        cache::{Cache, Change},
        watch::{Watch, WatchState},
    },
};
use acs_operator_testbed::ControlPlane;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

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

#[tokio::test]
async fn a_watch_without_the_right_names_the_right_that_is_missing() {
    let control_plane = ControlPlane::shared().await.unwrap();
    control_plane.client().await.unwrap();
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.auth_info.impersonate = Some("nobody".to_owned());
    let (mut state, _stop) = watched(Client::try_from(config).unwrap());
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
