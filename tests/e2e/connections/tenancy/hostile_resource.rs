//! A resource that answers what no ACS resource would. An emulator is a host that an operator for tests allows: a tenant of
//! a real cluster has none that could lie like this.

use acs_emulator::{Fault, KeySlot, Operation};
use acs_operator::api::CommunicationConnection;
use acs_operator_testbed::{Stranger, identity, message};
use serde_json::json;

use super::super::{by_connection_string, contoso, of_contoso, put_connection_string, renew, users_of_contoso, with};
use super::{a_second_later, own_connection, unharmed, victim_and_attacker};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_claims_to_have_made_anothers_identity_takes_it_from_nobody() {
    let (world, attacker) = victim_and_attacker().await;
    let own = world.another_resource().await.unwrap();
    own_connection(&attacker, &own).await;
    attacker
        .create("older", with(of_contoso(), json!({"suspend": true})))
        .await
        .unwrap();
    attacker.until_reason("older", "Suspended").await.unwrap();
    a_second_later(&world).await;
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let body = json!({
        "identity": {"id": identity(&alice).unwrap()},
        "accessToken": {"token": "forged", "expiresOn": "2126-11-26T08:00:00Z"},
    });
    let lie = Fault::respond(201, &[("content-type", "application/json")], body.to_string());
    own.inject(lie.on(Operation::Create));
    attacker
        .patch("older", json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    let lied = async || Ok(own.faults()[0].hits > 0);
    world.eventually("nothing is created", lied).await.unwrap();
    world.quiet().await;
    unharmed(&world, &alice).await;
    attacker.delete("older").await.unwrap();
    world.quiet().await;
    unharmed(&world, &alice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_signature_follows_a_redirection_of_a_probe_or_of_a_call() {
    let (world, attacker) = victim_and_attacker().await;
    let stranger = Stranger::listen().await.unwrap();
    let own = world.another_resource().await.unwrap();
    let location = format!("http://{}/identities", stranger.host());
    for status in [301, 302, 303, 307, 308] {
        own.inject(Fault::respond(status, &[("location", &location)], "").once());
    }
    put_connection_string(&attacker, &own, KeySlot::Primary).await;
    attacker.connect("contoso", by_connection_string()).await.unwrap();
    attacker.create("mallory", of_contoso()).await.unwrap();
    let probed = async || Ok(own.calls().len() >= 5);
    attacker.eventually("no probe is made", probed).await.unwrap();
    own.clear_faults();
    attacker.until_reason("mallory", "TokenIssued").await.unwrap();
    let issue = Fault::respond(307, &[("location", &location)], "").on(Operation::Issue);
    let fault = own.inject(issue.times(2));
    renew(&attacker, "mallory", "now").await;
    let hit = async || Ok(own.faults().iter().any(|is| is.id == fault && is.hits > 0));
    attacker.eventually("no token is asked for", hit).await.unwrap();
    world.quiet().await;
    assert_eq!(stranger.heard(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hostile_resource_says_is_told_in_few_words() {
    let (world, attacker) = victim_and_attacker().await;
    let own = world.another_resource().await.unwrap();
    put_connection_string(&attacker, &own, KeySlot::Primary).await;
    // More than anybody reads, and what a terminal acts on.
    let said = |times: usize| json!({"error": {"code": "Flood", "message": "flood\u{1b}[31m ".repeat(times)}});
    for (status, times) in [(502, 100_000), (500, 100), (400, 100), (401, 100)] {
        let answer = Fault::respond(status, &[("content-type", "application/json")], said(times).to_string());
        let fault = own.inject(answer);
        let name = format!("told-{status}");
        attacker.connect(&name, by_connection_string()).await.unwrap();
        let told = |connection: &CommunicationConnection| message(connection).contains(&status.to_string());
        let connection = attacker.until_connection(&name, "told", told).await.unwrap();
        let words = message(&connection);
        assert!(words.len() < 1000 && !words.contains('\u{1b}'), "{words}");
        own.remove_fault(fault);
    }
}
