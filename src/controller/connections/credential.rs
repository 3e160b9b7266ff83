//! From what is declared, and from what lies in the Secret, to credentials that can be used. No error repeats a value.

use acs_identity::{AccessKey, ApiVersion, ConnectionString, Credential, Endpoint, InsecureEndpoints};
use secrecy::ExposeSecret;

use super::source::{Method, Place, Source};
use crate::cluster::{CredentialSecret, ObjectKey};

/// What decides whether a credential may be sent to an endpoint; the error says what is wrong, and what to do.
pub type EndpointRule = Box<dyn Fn(&Endpoint) -> Result<(), String> + Send + Sync>;

/// Credentials to one ACS resource, in the order in which they are tried.
pub struct Loaded {
    /// The resource.
    pub endpoint: Endpoint,
    /// Version of the REST API to use.
    pub api_version: ApiVersion,
    /// At least one, each with the key that it lies under; without a key that of the environment.
    pub credentials: Vec<Held>,
}

/// A credential with its key.
type Held = (Option<String>, Credential);

/// Why there are none.
#[derive(Debug, PartialEq, Eq)]
pub enum NotLoaded {
    /// The Secret is to blame.
    Missing(String),
    /// The operator may not read the Secret.
    Refused(String),
    /// The spec is to blame.
    Invalid(String),
    /// The method is one that this version cannot use.
    Unsupported(String),
}

/// Loads what `source` declares, out of `secret`, which is the one that it names if there is one.
pub fn load(source: &Source, secret: Option<&CredentialSecret>, rule: &EndpointRule) -> Result<Loaded, NotLoaded> {
    let api_version = ApiVersion::parse(&source.settings.service_api_version)
        .map_err(|error| NotLoaded::Invalid(format!("spec.serviceApiVersion: {error}")))?;
    let (endpoint, credentials) = match &source.method {
        Method::Environment(environment) => {
            let connection = &environment.connection;
            (
                connection.endpoint.clone(),
                vec![(None, connection.access_key.clone().into())],
            )
        }
        Method::ConnectionString(place) => of_connection_strings(place, found(place, secret)?, rule)?,
        Method::AccessKey(place) => {
            let endpoint = declared_endpoint(source, rule)?;
            (endpoint, of_access_keys(place, found(place, secret)?)?)
        }
        Method::Entra(name) => {
            return Err(NotLoaded::Unsupported(format!(
                "spec.auth.{name} cannot be used with this version of the operator: use connectionString or accessKey"
            )));
        }
        Method::Unknown => {
            return Err(NotLoaded::Invalid(
                "spec.auth names no method: write one of connectionString and accessKey".to_owned(),
            ));
        }
    };
    Ok(Loaded {
        endpoint,
        api_version,
        credentials,
    })
}

fn found<'a>(place: &Place, secret: Option<&'a CredentialSecret>) -> Result<&'a CredentialSecret, NotLoaded> {
    secret.ok_or_else(|| {
        NotLoaded::Missing(format!(
            "Secret {} does not exist: create it, with the key {}",
            place.secret(),
            place.keys.join(" or ")
        ))
    })
}

/// Why there are none where the operator may not read the Secret.
pub fn refused(source: &Source) -> NotLoaded {
    let secret = source.place().map(Place::secret);
    let (name, namespace) = (
        secret.as_ref().map(ToString::to_string).unwrap_or_default(),
        secret.as_ref().and_then(ObjectKey::namespace).unwrap_or_default(),
    );
    NotLoaded::Refused(format!(
        "the operator may not read Secret {name}: allow its ServiceAccount the verbs get, list and watch on it, by a RoleBinding \
         in namespace {namespace}"
    ))
}

fn declared_endpoint(source: &Source, rule: &EndpointRule) -> Result<Endpoint, NotLoaded> {
    let text = source.settings.endpoint.as_deref().unwrap_or_default();
    let endpoint = Endpoint::parse(text, InsecureEndpoints::Allow)
        .map_err(|error| NotLoaded::Invalid(format!("spec.endpoint: {error}")))?;
    rule(&endpoint).map_err(|why| NotLoaded::Invalid(format!("spec.endpoint: {why}")))?;
    Ok(endpoint)
}

/// Those that can be used, of one resource: one that is missing or unreadable does not hinder the others.
fn of_connection_strings(
    place: &Place,
    secret: &CredentialSecret,
    rule: &EndpointRule,
) -> Result<(Endpoint, Vec<Held>), NotLoaded> {
    let read = |key: &String| -> Result<ConnectionString, String> {
        let text = value(secret, key)?;
        let connection = ConnectionString::parse(text, InsecureEndpoints::Allow).map_err(|error| error.to_string())?;
        rule(&connection.endpoint)?;
        Ok(connection)
    };
    let mut connections = usable(place, read)?.into_iter();
    let Some((key, first)) = connections.next() else {
        return Err(nothing_in(place));
    };
    let mut credentials = vec![(Some(key.clone()), first.access_key.into())];
    for (key, other) in connections {
        if other.endpoint != first.endpoint {
            return Err(NotLoaded::Missing(format!(
                "Secret {}, key {key}: its connection string is of {}, but that of the key before it is of {}: both have to be \
                 of one ACS resource",
                place.secret(),
                other.endpoint,
                first.endpoint
            )));
        }
        credentials.push((Some(key.clone()), other.access_key.into()));
    }
    Ok((first.endpoint, credentials))
}

fn of_access_keys(place: &Place, secret: &CredentialSecret) -> Result<Vec<Held>, NotLoaded> {
    let read = |key: &String| -> Result<Credential, String> {
        let text = value(secret, key)?;
        AccessKey::parse(text.trim())
            .map(Credential::from)
            .map_err(|error| error.to_string())
    };
    let held = |(key, credential): (&String, Credential)| (Some(key.clone()), credential);
    Ok(usable(place, read)?.into_iter().map(held).collect())
}

/// What can be read, each with its key; an error when nothing can.
fn usable<T>(place: &Place, read: impl Fn(&String) -> Result<T, String>) -> Result<Vec<(&String, T)>, NotLoaded> {
    let (mut good, mut first_problem) = (Vec::new(), None);
    for key in &place.keys {
        match read(key) {
            Ok(value) => good.push((key, value)),
            Err(problem) => {
                first_problem.get_or_insert_with(|| format!("Secret {}, key {key}: {problem}", place.secret()));
            }
        }
    }
    match first_problem {
        Some(problem) if good.is_empty() => Err(NotLoaded::Missing(problem)),
        _ => Ok(good),
    }
}

fn nothing_in(place: &Place) -> NotLoaded {
    NotLoaded::Missing(format!("Secret {} holds no credential", place.secret()))
}

fn value<'a>(secret: &'a CredentialSecret, key: &str) -> Result<&'a str, String> {
    let Some(value) = secret.value(key) else {
        // Their names are not for everyone who may read a connection.
        return Err(match secret.keys().count() {
            0 => "there is no such key, and the Secret is empty".to_owned(),
            1 => "there is no such key, and the Secret has one other".to_owned(),
            others => format!("there is no such key, and the Secret has {others} others"),
        });
    };
    str::from_utf8(value.expose_secret()).map_err(|_| "its value is not text in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::CommunicationConnection;

    const ENDPOINT: &str = "https://contoso.communication.azure.com";
    const KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtdGVzdC1zZWNyZXQta2V5LW9mLXRoZS10ZXN0";
    const OTHER_KEY: &str = "b3RoZXItc2VjcmV0LWtleS1vZi10aGUtdGVzdC1vdGhlci1zZWNyZXQta2V5";

    fn source(spec: &Value) -> Source {
        let object: CommunicationConnection = serde_json::from_value(json!({
            "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationConnection",
            "metadata": {"name": "contoso", "namespace": "team"}, "spec": spec,
        }))
        .unwrap();
        Source::namespaced(&object)
    }

    fn secret(values: &Value) -> CredentialSecret {
        serde_json::from_value(json!({"metadata": {"name": "acs"}, "data": values})).unwrap()
    }

    fn encoded(text: &str) -> Value {
        json!(k8s_openapi::ByteString(text.as_bytes().to_vec()))
    }

    fn rule() -> EndpointRule {
        Box::new(|endpoint| {
            if endpoint.host().ends_with(".communication.azure.com") {
                Ok(())
            } else {
                Err(format!("the host of {endpoint} is not allowed"))
            }
        })
    }

    fn fingerprints(loaded: &Loaded) -> Vec<String> {
        let of = |(_, credential): &Held| credential.fingerprint().as_str().to_owned();
        loaded.credentials.iter().map(of).collect()
    }

    #[test]
    fn a_connection_string_carries_endpoint_and_key() {
        let source = source(&json!({"auth": {"connectionString": {"secretRef": {"name": "acs"}}}}));
        let text = format!("endpoint={ENDPOINT}/;accesskey={KEY}");
        let loaded = load(
            &source,
            Some(&secret(&json!({"connectionString": encoded(&text)}))),
            &rule(),
        )
        .unwrap();
        assert_eq!(loaded.endpoint.as_str().trim_end_matches('/'), ENDPOINT);
        assert_eq!(loaded.credentials.len(), 1);
    }

    #[test]
    fn two_keys_are_tried_in_order_and_one_that_is_missing_hinders_nothing() {
        let keys = json!(["primaryKey", "secondaryKey"]);
        let spec = json!({"endpoint": ENDPOINT, "auth": {"accessKey": {"secretRef": {"name": "acs", "keys": keys}}}});
        let both = secret(&json!({"primaryKey": encoded(KEY), "secondaryKey": encoded(&format!("{OTHER_KEY}\n"))}));
        let loaded = load(&source(&spec), Some(&both), &rule()).unwrap();
        let [first, second] = &fingerprints(&loaded)[..] else {
            panic!()
        };
        let one = secret(&json!({"secondaryKey": encoded(OTHER_KEY), "primaryKey": encoded("no key")}));
        let alone = load(&source(&spec), Some(&one), &rule()).unwrap();
        assert_eq!(fingerprints(&alone), std::slice::from_ref(second));
        assert_ne!(first, second);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_its_value() {
        let string = || source(&json!({"auth": {"connectionString": {"secretRef": {"name": "acs"}}}}));
        let key = |endpoint: &str| {
            source(&json!({"endpoint": endpoint, "auth": {"accessKey": {"secretRef": {"name": "acs"}}}}))
        };
        let elsewhere = format!("endpoint=https://evil.example;accesskey={KEY}");
        let cases = [
            (
                string(),
                None,
                "Secret team/acs does not exist: create it, with the key connectionString",
            ),
            (
                string(),
                Some(json!({"unrelated": encoded(KEY)})),
                "key connectionString: there is no such key, and the Secret has one other",
            ),
            (
                string(),
                Some(json!({"unrelated": encoded(KEY), "unrelated-too": encoded(KEY)})),
                "key connectionString: there is no such key, and the Secret has 2 others",
            ),
            (
                string(),
                Some(json!({"connectionString": encoded(KEY)})),
                "Secret team/acs, key connectionString: ",
            ),
            (
                string(),
                Some(json!({"connectionString": encoded(&elsewhere)})),
                "is not allowed",
            ),
            (
                key(ENDPOINT),
                Some(json!({"accessKey": encoded("not base64!")})),
                "Secret team/acs, key accessKey: ",
            ),
            (
                key("https://evil.example"),
                Some(json!({"accessKey": encoded(KEY)})),
                "spec.endpoint: ",
            ),
            (
                source(
                    &json!({"endpoint": ENDPOINT, "auth": {"workloadIdentity": {"serviceAccountRef": {"name": "sa"}}}}),
                ),
                None,
                "spec.auth.workloadIdentity cannot be used with this version",
            ),
        ];
        for (source, values, expected) in cases {
            let secret = values.as_ref().map(secret);
            let Err(problem) = load(&source, secret.as_ref(), &rule()) else {
                panic!("{expected}");
            };
            let words = format!("{problem:?}");
            assert!(words.contains(expected), "{words}");
            for untold in [KEY, "not base64!", "unrelated"] {
                assert!(!words.contains(untold), "{words}");
            }
        }
    }

    #[test]
    fn two_connection_strings_have_to_be_of_one_resource() {
        let keys = json!(["primaryConnectionString", "secondaryConnectionString"]);
        let source = source(&json!({"auth": {"connectionString": {"secretRef": {"name": "acs", "keys": keys}}}}));
        let of = |host: &str| {
            encoded(&format!(
                "endpoint=https://{host}.communication.azure.com;accesskey={KEY}"
            ))
        };
        let both = json!({"primaryConnectionString": of("contoso"), "secondaryConnectionString": of("fabrikam")});
        let problem = load(&source, Some(&secret(&both)), &rule()).err().unwrap();
        assert!(matches!(problem, NotLoaded::Missing(words) if words.contains("one ACS resource")));
    }
}
