//! The client against a strict stand-in of the service that shares no code with it.

use acs_emulator::{AccessKey as EmulatorKey, Config, Emulator, Fault, KeySlot, Operation, Tls, TokenState};
use acs_identity::{
    ApiVersion, BuildError, Client, ClientBuilder, ConnectionString, CreateIdentity, CustomId, Deleted, Endpoint,
    FailureClass, InsecureEndpoints, RetryPolicy, Scope, TokenLifetime, Transport,
};
use jiff::SignedDuration;
use secrecy::ExposeSecret as _;

use crate::support::id;

fn builder(emulator: &Emulator) -> ClientBuilder {
    let text = emulator.connection_string();
    let ConnectionString { endpoint, access_key } = ConnectionString::parse(&text, InsecureEndpoints::Allow).unwrap();
    Client::builder(endpoint, access_key.into()).retry(RetryPolicy::none())
}

fn client(emulator: &Emulator) -> Client {
    builder(emulator).build().unwrap()
}

#[tokio::test]
async fn an_identity_lives_from_create_to_delete() {
    let emulator = Emulator::start(Config::default()).unwrap();
    let client = client(&emulator);
    let create = CreateIdentity {
        lifetime: Some(TokenLifetime::MIN),
        ..CreateIdentity::with_scopes([Scope::Chat, Scope::VoipJoin])
    };
    let identity = client.create_identity(&create).await.unwrap();
    assert_eq!(identity.id.resource_id(), emulator.resource_id().to_string());
    let first = identity.token.unwrap();
    let left = first.expires_on.duration_since(emulator.now());
    assert!(
        left <= SignedDuration::from_hours(1) && left > SignedDuration::from_mins(55),
        "{left}"
    );
    let state = |token: &acs_identity::AccessToken| emulator.token_state(token.token.expose_secret());
    assert_eq!(state(&first), TokenState::Valid);

    let second = client.issue_token(&identity.id, &[Scope::Voip], None).await.unwrap();
    assert_eq!((state(&first), state(&second)), (TokenState::Valid, TokenState::Valid));
    client.revoke_tokens(&identity.id).await.unwrap();
    assert_ne!(state(&second), TokenState::Valid);

    assert_eq!(client.delete_identity(&identity.id).await.unwrap(), Deleted::Deleted);
    assert!(emulator.identities().is_empty());
    client.delete_identity(&identity.id).await.unwrap();
}

#[tokio::test]
async fn a_custom_id_makes_a_create_repeatable() {
    let emulator = Emulator::start(Config::default()).unwrap();
    let client = builder(&emulator)
        .api_version(ApiVersion::PREVIEW_2025_03_02)
        .build()
        .unwrap();
    let alice = || CreateIdentity {
        custom_id: CustomId::parse("alice").ok(),
        ..CreateIdentity::new()
    };
    emulator.inject(Fault::cut_after_processing().on(Operation::Create).once());
    let lost = client.create_identity(&alice()).await.unwrap_err();
    assert_eq!(lost.class(), FailureClass::Transient { retry_after: None });

    let identity = client.create_identity(&alice()).await.unwrap();
    assert_eq!(
        client.get_identity(&identity.id).await.unwrap().custom_id.as_deref(),
        Some("alice")
    );
    assert_eq!(emulator.identities().len(), 1);
}

#[tokio::test]
async fn refusals_of_the_service_have_their_classes() {
    let emulator = Emulator::start(Config::default()).unwrap();
    let before = client(&emulator);
    let foreign = before.revoke_tokens(&id()).await.unwrap_err();
    assert_eq!(
        (foreign.class(), foreign.code()),
        (FailureClass::NotOwned, Some("IdentityNotOwned"))
    );

    let unknown = builder(&emulator)
        .api_version("2019-01-01".parse().unwrap())
        .build()
        .unwrap();
    assert_eq!(
        unknown.revoke_tokens(&id()).await.unwrap_err().class(),
        FailureClass::Rejected
    );

    emulator.replace_key(KeySlot::Primary, EmulatorKey::generate().unwrap());
    let rotated = before.create_identity(&CreateIdentity::new()).await.unwrap_err();
    assert_eq!(
        (rotated.class(), rotated.code()),
        (FailureClass::CredentialRejected, Some("Denied"))
    );
    let after = before.with_credential(client(&emulator).credential().clone());
    after.create_identity(&CreateIdentity::new()).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_off_is_seen_in_the_refusal() {
    let ahead = SignedDuration::from_mins(20);
    let emulator = Emulator::start(Config {
        clock_offset: ahead,
        ..Config::default()
    })
    .unwrap();
    let refused = client(&emulator).revoke_tokens(&id()).await.unwrap_err();
    assert_eq!(refused.class(), FailureClass::CredentialRejected);
    let off = refused.clock_skew().unwrap() - ahead;
    assert!(off.abs() <= SignedDuration::from_secs(5), "{off}");
}

#[tokio::test]
async fn a_private_certificate_authority_is_trusted_only_when_given() {
    let emulator = Emulator::start(Config {
        tls: Some(Tls::default()),
        ..Config::default()
    })
    .unwrap();
    // It has the name of the right one.
    let another = Emulator::start(Config {
        tls: Some(Tls::default()),
        ..Config::default()
    })
    .unwrap();
    for distrusting in [
        client(&emulator),
        builder(&emulator).transport(trusting(&another)).build().unwrap(),
    ] {
        let distrusts = distrusting.create_identity(&CreateIdentity::new()).await.unwrap_err();
        assert_eq!(distrusts.class(), FailureClass::NotSent, "{distrusts}");
        assert!(distrusts.is_untrusted(), "{distrusts}");
        assert!(distrusts.to_string().contains("certificate"), "{distrusts}");
    }

    let trusting = builder(&emulator).transport(trusting(&emulator)).build().unwrap();
    trusting.create_identity(&CreateIdentity::new()).await.unwrap();
    assert_eq!(emulator.identities().len(), 1);
}

fn trusting(emulator: &Emulator) -> Transport {
    Transport::builder()
        .trust_pem(emulator.ca_pem().unwrap().as_bytes())
        .unwrap()
        .build()
        .unwrap()
}

#[test]
fn certificates_that_are_none_are_refused_where_they_are_given() {
    for pem in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n",
    ] {
        let refused = Transport::builder().trust_pem(pem.as_bytes());
        assert!(matches!(refused, Err(BuildError::CaCertificates)), "{pem:?}");
    }
}

#[test]
fn a_client_shows_where_it_calls_but_no_key() {
    let emulator = Emulator::start(Config::default()).unwrap();
    let shown = format!("{:?}", client(&emulator));
    let endpoint = Endpoint::parse(emulator.endpoint().as_str(), InsecureEndpoints::Allow).unwrap();
    assert!(shown.contains(endpoint.as_str()), "{shown}");
    assert!(!shown.contains(emulator.access_key(KeySlot::Primary).text()), "{shown}");
}
