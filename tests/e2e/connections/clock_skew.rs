//! The clock of an ACS resource is not that of the operator: who is on call sees by how much, and a few minutes harm nothing.

use acs_emulator::{Config, KeySlot, TokenState};
use acs_operator_testbed::{World, message};
use jiff::SignedDuration;

use super::{by_connection_string, contoso, put_connection_string, users_of_contoso, watchful};

/// Room for what an answer takes on a busy machine, and far less than what is told apart here.
const ABOUT: f64 = 30.0;

/// What the metric says of connection contoso; `None`: there is no such series.
async fn skew_of_contoso(world: &World) -> Option<f64> {
    let labels = format!(
        r#"{{kind="CommunicationConnection",namespace="{}",name="contoso"}}"#,
        world.namespace
    );
    let series = format!("acs_operator_connection_clock_skew_seconds{labels}");
    world.operator.metric(&series).await.ok()
}

async fn until_skew_is_about(world: &World, minutes: i64) {
    let wanted = SignedDuration::from_mins(minutes).as_secs_f64();
    let is_about = async || {
        Ok(skew_of_contoso(world)
            .await
            .is_some_and(|skew| (skew - wanted).abs() < ABOUT))
    };
    world
        .eventually(&format!("the metric is not {wanted}"), is_about)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_minutes_of_skew_change_nothing_but_the_metric_of_the_connection() {
    let world = watchful().await;
    let ahead = Config {
        clock_offset: SignedDuration::from_mins(4),
        ..Config::default()
    };
    let resource = world.resource_with(ahead).await.unwrap();
    contoso(&world, &resource).await;
    until_skew_is_about(&world, 4).await;
    users_of_contoso(&world, &["alice"]).await;
    // The probes tell: nothing else is called.
    resource.set_clock_offset(SignedDuration::from_mins(-4));
    until_skew_is_about(&world, -4).await;
    users_of_contoso(&world, &["bob"]).await;
    for name in ["alice", "bob"] {
        let token = &world.secret_values(name).await.unwrap()["token"];
        assert_eq!(resource.token_state(token), TokenState::Valid, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_too_far_off_is_told_by_connection_and_metric_and_setting_it_right_is_enough() {
    let world = watchful().await;
    world.connect("contoso", by_connection_string()).await.unwrap();
    world
        .until_connection_reason("contoso", "CredentialMissing")
        .await
        .unwrap();
    assert_eq!(skew_of_contoso(&world).await, None, "ACS was not asked yet");

    world.acs().set_clock_offset(SignedDuration::from_mins(20));
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    let connection = world.until_connection_reason("contoso", "AccessDenied").await.unwrap();
    let words = message(&connection);
    for said in [
        "the operator's clock differs from that of ACS by",
        "set the clock of the operator's node right",
    ] {
        assert!(words.contains(said), "{words}");
    }
    until_skew_is_about(&world, 20).await;

    world.acs().set_clock_offset(SignedDuration::ZERO);
    super::accepted(&world).await;
    until_skew_is_about(&world, 0).await;
}
