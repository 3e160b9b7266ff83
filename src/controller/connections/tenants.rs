//! Which namespaces a connection serves.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::PartialObjectMeta;
use kube::core::{Selector, SelectorExt};

use super::source::{Serves, Source};
use crate::api::AllowedNamespaces;
use crate::cluster::ObjectKey;
use crate::cluster::cache::Cache;

type Namespaces = Cache<PartialObjectMeta<Namespace>>;

/// Whether users in `namespace` may use the connection.
pub(super) fn serves(source: &Source, namespace: &str, namespaces: &Namespaces) -> bool {
    match (&source.serves, &source.method) {
        (Serves::Own, _) => source.key.namespace() == Some(namespace),
        (Serves::Allowed(allowed), _) => is_named(allowed, namespace) || is_selected(allowed, namespace, namespaces),
        (Serves::Configured, super::source::Method::Environment(environment)) => (environment.allows)(namespace),
        (Serves::Configured, _) => false,
    }
}

/// Whether that may depend on the labels of the namespace.
pub(super) fn goes_by_labels(source: &Source) -> bool {
    matches!(&source.serves, Serves::Allowed(allowed) if allowed.selector.is_some())
}

/// Why not, and what to do.
pub(super) fn not_served(source: &Source, namespace: &str) -> String {
    if source.is_object() {
        format!(
            "{} does not serve namespace {namespace}: whoever runs it has to add the namespace to spec.allowedNamespaces",
            source.label()
        )
    } else {
        format!(
            "the default connection does not serve namespace {namespace}: whoever runs the operator has to add it to \
             --default-connection-namespaces"
        )
    }
}

fn is_named(allowed: &AllowedNamespaces, namespace: &str) -> bool {
    let names = allowed.names.as_ref();
    names.is_some_and(|names| names.iter().any(|name| name == namespace))
}

/// An empty selector selects every namespace; one that cannot be read, or whose labels are not known, selects none.
fn is_selected(allowed: &AllowedNamespaces, namespace: &str, namespaces: &Namespaces) -> bool {
    let Some(Ok(selector)) = allowed.selector.clone().map(Selector::try_from) else {
        return false;
    };
    if selector.selects_all() {
        return true;
    }
    let namespace = namespaces.get(&ObjectKey::cluster_scoped(namespace));
    namespace.is_some_and(|namespace| selector.matches(&namespace.metadata.labels.clone().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::ClusterCommunicationConnection;
    use crate::cluster::Scope;
    use kube::runtime::watcher::Event;

    fn connection(allowed: &Value) -> Source {
        let secret = json!({"secretRef": {"name": "acs", "namespace": "acs-system"}});
        let object: ClusterCommunicationConnection = serde_json::from_value(json!({
            "apiVersion": "acs-operator.dev/v1beta1", "kind": "ClusterCommunicationConnection",
            "metadata": {"name": "shared"},
            "spec": {"auth": {"connectionString": secret}, "allowedNamespaces": allowed},
        }))
        .unwrap();
        Source::cluster(&object)
    }

    fn known(labels: &Value) -> std::sync::Arc<Namespaces> {
        let (cache, feeds) = Cache::new([Scope::Cluster], []);
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": labels}});
        for event in [
            Event::Init,
            Event::InitApply(serde_json::from_value(namespace).unwrap()),
            Event::InitDone,
        ] {
            feeds[0].apply(event);
        }
        cache
    }

    #[test]
    fn a_namespace_is_served_when_it_is_named_or_selected() {
        let namespaces = known(&json!({"acs": "yes"}));
        let cases = [
            (json!({"names": ["team"]}), true),
            (json!({"names": ["other"]}), false),
            (json!({"selector": {}}), true),
            (json!({"selector": {"matchLabels": {"acs": "yes"}}}), true),
            (json!({"selector": {"matchLabels": {"acs": "no"}}}), false),
            (
                json!({"selector": {"matchExpressions": [{"key": "acs", "operator": "Exists"}]}}),
                true,
            ),
            (
                json!({"selector": {"matchExpressions": [{"key": "acs", "operator": "DoesNotExist"}]}}),
                false,
            ),
            (
                json!({"names": ["other"], "selector": {"matchLabels": {"acs": "yes"}}}),
                true,
            ),
            (json!({"names": []}), false),
        ];
        for (allowed, expected) in cases {
            let source = connection(&allowed);
            assert_eq!(serves(&source, "team", &namespaces), expected, "{allowed}");
        }
    }

    #[test]
    fn what_is_not_known_of_a_namespace_selects_it_not() {
        let namespaces = known(&json!({}));
        let absent =
            connection(&json!({"selector": {"matchExpressions": [{"key": "tenant", "operator": "DoesNotExist"}]}}));
        assert!(serves(&absent, "team", &namespaces));
        assert!(!serves(&absent, "unheard-of", &namespaces));
    }
}
