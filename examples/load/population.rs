//! The users of a run, and their connection.

use std::{path::Path, time::Duration};

use acs_emulator::KeySlot;
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{OperatorLog, Place, World, WorldSettings, has_reason};
use anyhow::{Context, Result, bail};
use futures::{StreamExt, stream};
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Objects created at the same time.
pub const AT_A_TIME: usize = 16;

/// Far more than is needed, for what is not about limits.
const NO_LIMIT: u32 = 100_000;

/// A world whose operator runs as shipped, and logs into this directory.
pub async fn world(logs: &Path, change: impl FnOnce(&mut WorldSettings)) -> Result<World> {
    let operator = std::env::current_exe()?
        .parent()
        .and_then(Path::parent)
        .context("the example lies beside the binaries")?
        .join("acs-operator");
    let mut settings = WorldSettings {
        connected: false,
        log: OperatorLog::Readable(logs.to_owned()),
        ..WorldSettings::new(operator)
    };
    change(&mut settings);
    World::start(settings).await
}

/// The connection of all users.
pub async fn connect(world: &World, limits: Value) -> Result<()> {
    let string = world.resource.connects(KeySlot::Primary);
    world.put_credential("acs", &[("connectionString", &string)]).await?;
    let mut spec = json!({"auth": {"connectionString": {"secretRef": {"name": "acs"}}}});
    if let (Value::Object(spec), Value::Object(limits)) = (&mut spec, limits) {
        spec.extend(limits);
    }
    world.connect("contoso", spec).await?;
    world.until_connection_reason("contoso", "CredentialAccepted").await?;
    Ok(())
}

/// The connection of all users, whose limits nobody reaches.
pub async fn connect_without_limits(world: &World) -> Result<()> {
    let limit = json!({"create": NO_LIMIT, "issue": NO_LIMIT, "revoke": NO_LIMIT, "delete": NO_LIMIT});
    connect(world, json!({"rateLimits": limit})).await
}

/// What a user asks for.
pub fn spec() -> Value {
    json!({"connectionRef": {"name": "contoso"}, "token": {"scopes": ["voip"]}})
}

pub fn name(number: usize) -> String {
    format!("user-{number:05}")
}

/// Creates so many users.
pub async fn create(place: &Place, count: usize) -> Result<()> {
    let created = stream::iter(0..count).map(|number| async move { place.create(&name(number), spec()).await });
    let results: Vec<_> = created.buffer_unordered(AT_A_TIME).collect().await;
    results.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(())
}

/// Waits until every user has its token, and none is being deleted.
pub async fn until_all_are_served(place: &Place, within: Duration) -> Result<()> {
    let deadline = Instant::now() + within;
    loop {
        let users = place.users().list(&ListParams::default()).await?;
        let is_served = |user: &&CommunicationUser| {
            has_reason::<CommunicationUser>("TokenIssued")(user) && user.metadata.deletion_timestamp.is_none()
        };
        let waiting: Vec<_> = users.iter().filter(|user| !is_served(user)).collect();
        let Some(one) = waiting.first() else { return Ok(()) };
        if Instant::now() > deadline {
            bail!(
                "{} of {} users are not served after {} s, one of them: {:?}",
                waiting.len(),
                users.items.len(),
                within.as_secs(),
                one.status.as_ref().map(|status| &status.conditions)
            );
        }
        sleep(Duration::from_millis(500)).await;
    }
}
