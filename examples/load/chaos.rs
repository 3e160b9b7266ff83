//! What happens to users, to requests and to the operator.

use std::{sync::atomic::Ordering, time::Duration};

use acs_emulator::{Fault, Operation};
use acs_operator_testbed::{Passed, Reply, World};
use anyhow::Result;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    dice::Dice,
    figures::Figures,
    population::{name, spec},
    say,
};

/// Between two edits.
const EDIT_EVERY: Duration = Duration::from_millis(400);

/// Between two faults, each of which lasts for [`FAULT_FOR`].
const FAULT_EVERY: Duration = Duration::from_secs(45);
const FAULT_FOR: Duration = Duration::from_secs(12);

/// Between two ends of the operator. The last process runs for a third of the time, so that its memory tells something.
const RESTART_EVERY: Duration = Duration::from_secs(100);

/// How long the operator may take to end, and its successor to begin.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    pub edits: u64,
    pub faults: u64,
    pub kills: u64,
    pub stops: u64,
}

/// A fault that lasts for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    AcsFails,
    AcsThrottles,
    AcsIsSlow,
    AcsLosesAnswers,
    AcsIsAway,
    StatusIsRefused,
    SecretsConflict,
    AnswersAreLost,
}

const TROUBLES: [Trouble; 8] = [
    Trouble::AcsFails,
    Trouble::AcsThrottles,
    Trouble::AcsIsSlow,
    Trouble::AcsLosesAnswers,
    Trouble::AcsIsAway,
    Trouble::StatusIsRefused,
    Trouble::SecretsConflict,
    Trouble::AnswersAreLost,
];

impl Trouble {
    fn begin(self, world: &World, figures: &Figures) {
        figures.acs_is_up.store(self != Self::AcsIsAway, Ordering::Relaxed);
        for fault in self.of_acs() {
            world.resource.inject(fault);
        }
        match self {
            Self::StatusIsRefused => {
                let of_status = |request: &Passed| request.path.ends_with("/status");
                world.traffic.intercept(of_status, 40, Reply::Status(500));
            }
            Self::SecretsConflict => {
                let of_secrets = |request: &Passed| request.path.contains("/secrets/");
                world.traffic.intercept(of_secrets, 40, Reply::Status(409));
            }
            Self::AnswersAreLost => world.traffic.intercept(|_| true, 40, Reply::LoseAnswer),
            _ => {}
        }
    }

    fn of_acs(self) -> Vec<Fault> {
        match self {
            Self::AcsFails => vec![Fault::status(503).times(40)],
            Self::AcsThrottles => vec![Fault::throttled(Some("2")).times(3)],
            Self::AcsIsSlow => vec![Fault::delay_answer(Duration::from_secs(2)).times(60)],
            Self::AcsLosesAnswers => [
                Operation::Create,
                Operation::Issue,
                Operation::Revoke,
                Operation::Delete,
            ]
            .map(|operation| Fault::cut_after_processing().on(operation).times(5))
            .into(),
            Self::AcsIsAway => vec![Fault::cut_before_processing()],
            _ => Vec::new(),
        }
    }

    fn end(world: &World, figures: &Figures) {
        world.resource.clear_faults();
        world.traffic.let_pass();
        figures.acs_is_up.store(true, Ordering::Relaxed);
    }
}

/// Goes on for so long; everything is well again at the end.
pub async fn rage(world: &mut World, users: usize, figures: &Figures, dice: &mut Dice, time: Duration) -> Result<Done> {
    let mut done = Done::default();
    let begun = Instant::now();
    let (mut fault_at, mut restart_at) = (begun + FAULT_EVERY, begun + RESTART_EVERY);
    let mut fault_ends: Option<Instant> = None;
    while begun.elapsed() < time {
        let user = name(dice.below(users));
        // Others edit too, so what was to be edited may be gone: that is what happens in a cluster.
        let _ = edit(world, &user, dice, done.edits).await;
        done.edits += 1;
        let now = Instant::now();
        if fault_ends.is_some_and(|ends| now > ends) {
            Trouble::end(world, figures);
            (fault_ends, fault_at) = (None, now + FAULT_EVERY);
        } else if fault_ends.is_none() && now > fault_at {
            let trouble = *dice.one_of(&TROUBLES);
            say(&format!("    {:4} s: {trouble:?}", begun.elapsed().as_secs()));
            trouble.begin(world, figures);
            fault_ends = Some(now + FAULT_FOR);
            done.faults += 1;
        }
        if now > restart_at && begun.elapsed() < time * 2 / 3 {
            restart_at = now + RESTART_EVERY;
            restart(world, figures, dice, &mut done, begun).await?;
        }
        sleep(EDIT_EVERY).await;
    }
    Trouble::end(world, figures);
    Ok(done)
}

async fn restart(world: &mut World, figures: &Figures, dice: &mut Dice, done: &mut Done, begun: Instant) -> Result<()> {
    let kill = dice.below(2) == 0;
    let how = if kill { "killed" } else { "stopped" };
    say(&format!(
        "    {:4} s: the operator is {how} and started again",
        begun.elapsed().as_secs()
    ));
    figures.process.store(0, Ordering::Relaxed);
    if kill {
        world.operator.kill();
        done.kills += 1;
    } else {
        world.operator.stop(ENDS_WITHIN).await?;
        done.stops += 1;
    }
    world.operator.restart()?;
    world.operator.ready().await?;
    figures.process.store(world.operator.id(), Ordering::Relaxed);
    Ok(())
}

async fn edit(world: &World, user: &str, dice: &mut Dice, number: u64) -> Result<()> {
    let annotate = |request: &str| json!({"metadata": {"annotations": {format!("acs-operator.dev/{request}"): number.to_string()}}});
    let damage = || json!({"data": {"token": "bm9uZQ=="}});
    match dice.below(10) {
        0 | 1 => drop(world.patch(user, annotate("renew-requested-at")).await?),
        2 => drop(world.patch(user, annotate("revoke-requested-at")).await?),
        3 => drop(
            world
                .patch(user, json!({"spec": {"token": {"scopes": ["chat"]}}}))
                .await?,
        ),
        4 => drop(
            world
                .patch(user, json!({"spec": {"token": {"scopes": ["voip"]}}}))
                .await?,
        ),
        5 => drop(world.secrets().delete(user, &DeleteParams::default()).await?),
        6 => drop(
            world
                .secrets()
                .patch_metadata(user, &PatchParams::default(), &Patch::Merge(damage()))
                .await?,
        ),
        7 => drop(
            world
                .patch(user, json!({"spec": {"suspend": number.is_multiple_of(2)}}))
                .await?,
        ),
        8 => world.delete(user).await?,
        // What was deleted comes back.
        _ => drop(world.create(user, spec()).await?),
    }
    Ok(())
}

/// Ends what users were left with: everybody is there, and nobody is suspended.
pub async fn make_good(world: &World, users: usize) -> Result<()> {
    for number in 0..users {
        let user = name(number);
        if world
            .users()
            .get_opt(&user)
            .await?
            .is_some_and(|user| user.metadata.deletion_timestamp.is_some())
        {
            world.until_gone(&user).await?;
        }
        if world.users().get_opt(&user).await?.is_none() {
            world.create(&user, spec()).await?;
        }
        world.patch(&user, json!({"spec": {"suspend": false}})).await?;
    }
    Ok(())
}
