//! Tokens of many users are due at the same time: a key was rotated. ACS permits a few calls in a second.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use acs_emulator::{Fault, KeySlot, Operation};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{CEILING, Passed, Reply, World, identity};
use http::Method;
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::{
    SERVED_WITHIN, by_connection_string, credential_of, of_contoso, put_connection_string, unconnected,
    unconnected_with, with,
};

const USERS: usize = 120;

fn name(number: usize) -> String {
    format!("user-{number}")
}

fn spec(lifetime: &str) -> Value {
    with(
        of_contoso(),
        json!({"token": {"scopes": ["voip"], "lifetime": lifetime}}),
    )
}

/// A world with [`USERS`] users.
async fn many_users() -> World {
    let world = unconnected().await;
    settle(&world, USERS).await;
    world
}

/// A connection that may issue four tokens in a second, and users of which every second one has a token for an hour, the
/// others for a day.
async fn settle(world: &World, users: usize) {
    put_connection_string(world, &world.resource, KeySlot::Primary).await;
    let limits = json!({"rateLimits": {"create": 100_000, "issue": 120}, "requestBudgetPercent": 100});
    world
        .connect("contoso", with(by_connection_string(), limits))
        .await
        .unwrap();
    super::accepted(world).await;
    for number in 0..users {
        let lifetime = if number % 2 == 0 { "24h" } else { "1h" };
        world.create(&name(number), spec(lifetime)).await.unwrap();
    }
    let all_are_served = async || Ok(with_token_of(world, |_| true).await.len() == users);
    world
        .eventually_within(CEILING * 2, "not all have tokens", all_are_served)
        .await
        .unwrap();
}

/// The users whose token's credential is such.
async fn with_token_of(world: &World, is_such: impl Fn(&str) -> bool) -> Vec<String> {
    let users = world.users().list(&ListParams::default()).await.unwrap();
    let with_token = users.items.into_iter().filter(|user| {
        let token = user.status.as_ref().and_then(|status| status.token.as_ref());
        token
            .and_then(|token| token.credential.as_deref())
            .is_some_and(&is_such)
    });
    with_token.map(|user| user.metadata.name.unwrap_or_default()).collect()
}

/// Rotates the key, so that every token is due; the fingerprint of the old one.
async fn everybody_is_due(world: &World) -> String {
    let retired = credential_of(&world.users().get(&name(0)).await.unwrap());
    put_connection_string(world, &world.resource, KeySlot::Secondary).await;
    let has_begun = async || Ok(with_token_of(world, |credential| credential != retired).await.len() > 2);
    world.eventually("no token is issued anew", has_begun).await.unwrap();
    retired
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_user_asks_for_does_not_wait_behind_the_renewals_of_others() {
    let world = many_users().await;
    let retired = everybody_is_due(&world).await;
    let waits = with_token_of(&world, |credential| credential == retired).await;
    let [revoked, robbed, deleted] = [0, 1, 2].map(|index| waits[waits.len() - 1 - index].clone());
    let before = world.resource.last_call();
    world.create("newcomer", of_contoso()).await.unwrap();
    let ask = json!({"metadata": {"annotations": {"acs-operator.dev/revoke-requested-at": "now"}}});
    world.patch(&revoked, ask).await.unwrap();
    world.secrets().delete(&robbed, &DeleteParams::default()).await.unwrap();
    let goes = identity(&world.users().get(&deleted).await.unwrap());
    world.delete(&deleted).await.unwrap();

    world.until_gone(&deleted).await.unwrap();
    let mut served = vec![
        goes,
        identity(&world.until_reason("newcomer", "TokenIssued").await.unwrap()),
    ];
    let is_new = |user: &CommunicationUser| credential_of(user) != retired;
    for user in [&revoked, &robbed] {
        served.push(identity(&world.until(user, "with a new token", is_new).await.unwrap()));
    }
    let calls = world.resource.work_since(before);
    let place = |user: &Option<String>| calls.iter().position(|call| call.identity == *user).unwrap();
    let places: Vec<_> = served.iter().map(place).collect();
    let soon = |place: &usize| *place < USERS / 3;
    assert!(
        places.iter().all(soon),
        "so many others were served before each of them: {places:?}"
    );
}

/// Each of the herd is looked at before it stands in line, one after the other. Whose turn comes meanwhile keeps the one room for calls
/// until it is looked at again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_called_out_of_a_herd_that_is_still_looked_at_keeps_nobody_waiting() {
    const HERD: usize = 300;
    const SLOW: Duration = Duration::from_millis(300);
    let world = unconnected_with(0, &["--workers=4"]).await;
    settle(&world, HERD).await;
    let looks: fn(&Passed) -> bool = |request| request.method == Method::GET && request.path.contains("/secrets/user-");
    world.traffic.disturb(looks, usize::MAX, Reply::Late(SLOW));
    let retired = everybody_is_due(&world).await;
    world.create("newcomer", of_contoso()).await.unwrap();
    world.until_reason("newcomer", "TokenIssued").await.unwrap();
    let some_are_renewed =
        async || Ok(with_token_of(&world, |credential| credential != retired).await.len() > HERD / 30);
    world.eventually("nobody is renewed", some_are_renewed).await.unwrap();
    let looks = world.traffic.intercepted();
    assert!(looks < HERD, "all were looked at before: {looks}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tokens_that_expire_first_are_replaced_first() {
    let world = many_users().await;
    let before = world.resource.work_since(0).last().map_or(0, |call| call.seq);
    everybody_is_due(&world).await;
    let half_is_done = async || Ok(world.resource.operations_since(before).len() >= USERS / 2);
    world.eventually("no tokens are issued", half_is_done).await.unwrap();
    let short_lived: Vec<_> = {
        let users = world.users().list(&ListParams::default()).await.unwrap();
        let is_short_lived = |user: &CommunicationUser| {
            let lifetime = user.spec.token.as_ref().and_then(|token| token.lifetime.as_ref());
            lifetime.is_some_and(|lifetime| lifetime.to_string() == "1h")
        };
        users
            .iter()
            .filter(|user| is_short_lived(user))
            .filter_map(identity)
            .collect()
    };
    let calls = world.resource.work_since(before);
    let first = calls.iter().take(USERS / 2);
    let out_of_order = first.filter(|call| {
        call.operation == Operation::Issue && !short_lived.iter().any(|id| call.identity.as_ref() == Some(id))
    });
    // Before the herd stands in line, whoever is looked at first is served first.
    assert!(out_of_order.count() <= 8, "{calls:#?}");
}

/// Nobody could be renewed while they became due: ACS is away, and the connection is suspended for so long, so that all are told at
/// one time that calls can be made again.
///
/// | by the end of their tokens | created after | lifetime | due at the latest after | token ends after |
/// |---|---|---|---|---|
/// | first | 3 s | 24 s | 19 s | 27 s |
/// | last | 0 s | 31 s | 21 s | 31 s |
///
/// So at 21 s all are due. A token is issued every 0.7 s, the last one after 11 s. In the order in which they were created, that is when
/// the token that ends first would be replaced, 4 s too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_no_token_expires_that_could_have_been_saved() {
    const HERD: u64 = 16;
    /// So many others may be served before one whose turn it is: it takes a moment until all stand in line.
    const BEFORE_THE_LINE: usize = 4;
    let world = unconnected().await;
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    let limits = json!({"rateLimits": {"create": 100_000, "issue": 47}, "requestBudgetPercent": 100});
    let contoso = with(by_connection_string(), limits);
    world.connect("contoso", contoso).await.unwrap();
    super::accepted(&world).await;
    for number in (0..HERD).rev() {
        world.acs().set_token_ttl(Some(Duration::from_secs(24 + number / 2)));
        let name = format!("user-{number}");
        world.create(&name, of_contoso()).await.unwrap();
        world.until_reason(&name, "TokenIssued").await.unwrap();
    }
    world.acs().set_token_ttl(None);
    world.acs().inject(Fault::status(503));
    let suspend = |is_suspended: bool| json!({"spec": {"suspend": is_suspended}});
    world.patch_connection("contoso", suspend(true)).await.unwrap();
    let ends: BTreeMap<String, Timestamp> = world
        .acs()
        .tokens()
        .into_iter()
        .map(|token| (token.identity, token.expires_at))
        .collect();
    let users = world.users().list(&ListParams::default()).await.unwrap();
    let due = users.iter().filter_map(|user| {
        let token = user.status.as_ref()?.token.as_ref()?;
        Some(token.renewal_time.as_ref()?.0)
    });
    let all_are_due = due.max().unwrap();
    let is_time = async || Ok(world.acs().now() > all_are_due);
    world.eventually("not all are due", is_time).await.unwrap();

    let before = world.acs().last_call();
    world.acs().clear_faults();
    world.patch_connection("contoso", suspend(false)).await.unwrap();
    let renewals = || {
        let calls = world.resource.work_since(before).into_iter();
        let issues = calls.filter(|call| call.operation == Operation::Issue && call.carried_out);
        issues.collect::<Vec<_>>()
    };
    let all_are_served = async || Ok(renewals().len() == ends.len());
    world
        .eventually_within(CEILING * 2, "not all are renewed", all_are_served)
        .await
        .unwrap();

    let served: Vec<_> = renewals()
        .into_iter()
        .map(|call| (ends[&call.identity.unwrap()], call.at))
        .collect();
    // Those whose tokens have ended wait in the order in which they came.
    let first_end = *ends.values().min().unwrap();
    let while_all_live = served.iter().filter(|(_, at)| *at < first_end).count();
    let is_out_of_turn = |at: &usize| served[at + 1..].iter().any(|(end, _)| *end < served[*at].0);
    let out_of_turn = (0..while_all_live).filter(is_out_of_turn).count();
    assert!(out_of_turn <= BEFORE_THE_LINE, "{served:#?}");
    // In the order of their ends, the first would have had the first call, and so on.
    let mut in_order = served.clone();
    in_order.sort();
    let turns = served.iter().map(|(_, at)| *at).skip(BEFORE_THE_LINE);
    let could_be_saved: Vec<_> = in_order
        .iter()
        .zip(turns)
        .filter(|((end, _), turn)| turn < end)
        .collect();
    // On a machine that is too busy there are few.
    println!("{} of {} could be saved", could_be_saved.len(), served.len());
    for ((end, at), _) in could_be_saved {
        assert!(at < end, "one that ended at {end} was replaced at {at}: {served:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_that_are_deleted_while_they_wait_for_their_turn_leave_it_to_the_next() {
    const HERD: usize = 500;
    let world = unconnected().await;
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    // One in a second or so.
    let limits = json!({"rateLimits": {"create": 30}, "requestBudgetPercent": 100});
    let contoso = with(by_connection_string(), limits);
    world.connect("contoso", contoso).await.unwrap();
    super::accepted(&world).await;
    world.create_many("user", HERD, &of_contoso()).await.unwrap();
    let all = (DeleteParams::default(), ListParams::default());
    world.users().delete_collection(&all.0, &all.1).await.unwrap();
    world.until_gone(&name(HERD - 1)).await.unwrap();
    let begun = Instant::now();
    world.create("newcomer", of_contoso()).await.unwrap();
    world.until_reason("newcomer", "TokenIssued").await.unwrap();
    assert!(begun.elapsed() < SERVED_WITHIN * 4, "{:?}", begun.elapsed());
}

/// As where an admission webhook of one namespace does not answer: each write there keeps a worker for as long as writes are waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_users_whose_writes_hang_do_not_keep_one_of_another_namespace_waiting() {
    const HERD: usize = 100;
    let world = unconnected_with(1, &["--workers=4"]).await;
    let neighbour = &world.neighbours[0];
    super::contoso(neighbour, &world.resource).await;
    let of_herd = |request: &Passed| request.path.contains("/communicationusers/user-");
    world.traffic.intercept(of_herd, usize::MAX, Reply::Silence);
    // Each is to be told that there is no such connection.
    world.create_many("user", HERD, &of_contoso()).await.unwrap();
    let all_workers_wait = async || Ok(world.traffic.intercepted() >= 4);
    world.eventually("no writes hang", all_workers_wait).await.unwrap();
    let begun = Instant::now();
    neighbour.create("bob", of_contoso()).await.unwrap();
    neighbour.until_reason("bob", "TokenIssued").await.unwrap();
    assert!(begun.elapsed() < CEILING / 2, "{:?}", begun.elapsed());
    world.traffic.let_pass();
    world.until_reason("user-0", "ConnectionNotFound").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_user_does_not_wait_behind_the_new_users_of_another_namespace() {
    const HERD: usize = 100;
    let world = unconnected_with(1, &[]).await;
    let neighbour = &world.neighbours[0];
    let shared = format!("shared-{}", world.namespace);
    let limits = json!({"rateLimits": {"create": 120}, "requestBudgetPercent": 100});
    let auth = super::platform_key(&world, &world.resource).await;
    let allowed = json!({"auth": auth, "allowedNamespaces": {"names": [world.namespace, neighbour.namespace]}});
    world.connect_cluster(&shared, with(allowed, limits)).await.unwrap();
    let spec = super::of_cluster(&shared);
    world.create_many("user", HERD, &spec).await.unwrap();
    let some_are_made = async || Ok(world.resource.count(Operation::Create) > 0);
    world.eventually("no identities are made", some_are_made).await.unwrap();
    let before = world.resource.last_call();
    neighbour.create("bob", spec).await.unwrap();
    let bob = neighbour.until_reason("bob", "TokenIssued").await.unwrap();
    let calls = world.resource.work_since(before);
    let place = calls.iter().position(|call| call.identity == identity(&bob)).unwrap();
    assert!(place < HERD / 4, "so many were served before: {place}");
}
