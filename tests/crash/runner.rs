//! Runs a scenario once undisturbed, to learn its requests, and then once for each place where the operator is to be killed.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use acs_emulator::Operation;
use acs_operator_testbed::{CEILING, World, WorldSettings};
use anyhow::{Context, Result, anyhow, ensure};
use futures::{FutureExt, future::try_join_all};
use tokio::time::{sleep, timeout};

use crate::invariants::{INVARIANTS, is_reached};
use crate::kill_point::{KillPoint, Request, requests};
use crate::scenario::{Scenario, Setting};
use crate::seen::{Change, Seen};
use crate::subject::{Prepared, Subject};

/// How many namespaces an operator watches, for scenarios that use them up.
const NAMESPACES: usize = 6;

/// What came of all runs of a scenario.
pub struct Outcome {
    /// Its name.
    pub scenario: &'static str,
    /// The mutating requests of an undisturbed run.
    pub requests: usize,
    /// Where the operator was to be killed.
    pub points: usize,
    /// Where that came never.
    pub unreached: Vec<Kills>,
    /// What was seen against the invariants.
    pub breaches: Vec<Breach>,
    /// The suspected orphans that were counted, in all runs.
    pub orphans: i32,
    /// How long it took.
    pub took: Duration,
}

/// Where the operator is killed in one run, one kill after the other.
pub type Kills = Vec<KillPoint>;

/// What was seen against an invariant.
pub struct Breach {
    /// Where the operator was killed.
    pub kills: Kills,
    /// The invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

/// Runs a scenario with all kills that `choose` leaves. A fault of the test itself is told like a breach.
pub async fn run(scenario: &Scenario, choose: impl Fn(Vec<KillPoint>) -> Vec<KillPoint>) -> Outcome {
    let began = Instant::now();
    let mut runs = Runs {
        scenario,
        outcome: Outcome {
            scenario: scenario.name,
            requests: 0,
            points: 0,
            unreached: Vec::new(),
            breaches: Vec::new(),
            orphans: 0,
            took: Duration::ZERO,
        },
        undisturbed_calls: 0,
    };
    // A world that ends tells of leaks and of panics of the operator by a panic.
    let ended = AssertUnwindSafe(runs.all(choose)).catch_unwind().await;
    let ended = ended.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        Err(anyhow!(words.unwrap_or_else(|| "a panic without words".into())))
    });
    if let Err(error) = ended {
        runs.breach(
            &[],
            "the scenario can be carried out, without a leak or a panic",
            format!("{error:#}"),
        );
    }
    runs.outcome.took = began.elapsed();
    runs.outcome
}

struct Runs<'a> {
    scenario: &'a Scenario,
    outcome: Outcome,
    /// How many calls an undisturbed run takes.
    undisturbed_calls: usize,
}

/// How one run ended.
struct Ended {
    /// Since it was last killed.
    requests: Vec<Request>,
    calls: usize,
    kills: usize,
}

impl Runs<'_> {
    async fn all(&mut self, choose: impl Fn(Vec<KillPoint>) -> Vec<KillPoint>) -> Result<()> {
        let mut stage = Stage::set_up(self.scenario, 1).await?;
        let undisturbed = stage.subjects(self.scenario, 1).await?.remove(0);
        let learned = self.once(&mut stage.world, undisturbed, &[]).await?;
        self.outcome.requests = learned.requests.len();
        self.undisturbed_calls = learned.calls;
        let points = KillPoint::around(&learned.requests);
        let Some(is_first) = self.scenario.killed_again else {
            let kills = choose(points).into_iter().map(|point| vec![point]).collect();
            return self.each(&mut stage, kills).await;
        };
        for first in points.into_iter().filter(is_first) {
            let subject = stage.subjects(self.scenario, 1).await?.remove(0);
            let learned = self
                .once(&mut stage.world, subject, std::slice::from_ref(&first))
                .await?;
            ensure!(learned.kills == 1, "the operator was not killed {first}");
            let again = choose(KillPoint::around(&learned.requests));
            // What a connection tells after the first kill hangs on what it had told before.
            let again = again.into_iter().filter(|second| !second.is_of_a_connection());
            let kills = again.map(|second| vec![first.clone(), second]).collect();
            self.each(&mut stage, kills).await?;
        }
        Ok(())
    }

    /// A run for each of these, and with nothing due nothing is done after them.
    async fn each(&mut self, stage: &mut Stage, all: Vec<Kills>) -> Result<()> {
        let takes_the_namespace = self.scenario.act.takes_the_namespace();
        self.outcome.points += all.len();
        for all in all.chunks(stage.capacity(all.len())) {
            if takes_the_namespace {
                *stage = Stage::set_up(self.scenario, all.len()).await?;
            }
            let subjects = stage.subjects(self.scenario, all.len()).await?;
            for (kills, subject) in all.iter().zip(subjects) {
                let mut ended = self.once(&mut stage.world, subject, kills).await?;
                if ended.kills < kills.len() && !takes_the_namespace {
                    let again = stage.subjects(self.scenario, 1).await?.remove(0);
                    ended = self.once(&mut stage.world, again, kills).await?;
                }
                if ended.kills < kills.len() {
                    self.outcome.unreached.push(kills.clone());
                }
            }
            self.rest(&mut stage.world).await?;
        }
        Ok(())
    }

    /// One run, killed at each of these points, one after the other, and all invariants after it.
    async fn once(
        &mut self,
        world: &mut World,
        (subject, prepared): (Subject, Prepared),
        kills: &[KillPoint],
    ) -> Result<Ended> {
        let scenario = self.scenario;
        let before = Seen::of(world, &subject).await?;
        let (last_call, counted_before) = (world.acs().last_call(), suspected(world).await?);
        // One that met no create is not for the next run's.
        world.resource.clear_faults();
        let mut stops = kills.iter().map(|point| point.stop(subject));
        world.traffic.reset(stops.next());
        subject.act(world, scenario, &scenario.act, &prepared).await?;

        let mut run = Run {
            scenario,
            subject,
            prepared,
            before,
            death: None,
            last_call,
            counted_before,
            lost_before: 0,
        };
        let mut killed = 0;
        let mut seen = run.until_stopped_or_settled(world).await?;
        while let Settled::Stopped = seen {
            world.operator.kill();
            killed += 1;
            (run.counted_before, run.lost_before) = (0, lost_answers(world));
            run.death = Some(Seen::of(world, &run.subject).await?);
            if let Some((act, _)) = scenario.meanwhile.as_ref().filter(|_| killed == 1) {
                run.subject.act(world, scenario, act, &run.prepared).await?;
            }
            world.traffic.reset(stops.next());
            world.operator.restart()?;
            if let Err(error) = world.operator.ready().await {
                self.breach(kills, "a new operator gets ready", format!("{error:#}"));
            }
            seen = run.until_stopped_or_settled(world).await?;
        }
        let requests = requests(&world.traffic.passed(), &run.subject);
        if let Settled::Never = seen {
            let words = format!(
                "requests of the last {CEILING:?}: {requests:#?}\nlog:\n{}",
                world.operator.log_tail()
            );
            self.breach(kills, "all is settled and quiet in the end", words);
        }
        let after = Seen::of(world, &run.subject).await?;
        let counted = suspected(world).await? - run.counted_before;
        let change = run.change(world, &after, counted);
        for (invariant, check) in INVARIANTS {
            for seen in check(scenario, &change) {
                self.breach(kills, invariant, seen);
            }
        }
        let calls = self.owed(&change.calls);
        // One that is deleted meanwhile has to be found again first, where that can be done.
        let most = (1 + killed) * self.undisturbed_calls + usize::from(scenario.meanwhile.is_some());
        if killed > 0 && calls > most {
            let words = format!(
                "{:?}, where {} are enough undisturbed",
                change.calls, self.undisturbed_calls
            );
            self.breach(kills, "no more calls than a repeat takes", words);
        }
        self.outcome.orphans += change.suspected_in_metric;
        Ok(Ended {
            requests,
            calls,
            kills: killed,
        })
    }

    /// How many of these calls the scenario itself asks for. Of a namespace that goes another controller deletes the Secrets of
    /// users who are still there: whether the operator sees that, and gives them a new token, is a matter of luck.
    fn owed(&self, calls: &[Operation]) -> usize {
        let is_luck = |call: &&Operation| self.scenario.act.takes_the_namespace() && **call == Operation::Issue;
        calls.iter().filter(|call| !is_luck(call)).count()
    }

    /// With nothing due, another operator asks ACS for nothing and writes nothing.
    async fn rest(&mut self, world: &mut World) -> Result<()> {
        // Counts in the status of a connection may be half a minute old: they are brought up to date first.
        let rounds: &[bool] = match self.scenario.setting {
            Setting::Default => &[true],
            Setting::Contoso | Setting::CustomIds | Setting::Cluster => &[false, true],
        };
        for is_rested in rounds.iter().copied() {
            let last_call = world.acs().last_call();
            world.traffic.reset(None);
            world.operator.restart()?;
            world.operator.ready().await?;
            world.quiet().await;
            let (passed, calls) = (world.traffic.passed(), world.calls_since(last_call));
            if is_rested && !(passed.is_empty() && calls.is_empty()) {
                let words = format!("writes: {passed:?}, calls: {calls:?}");
                self.breach(&[], "nothing due, nothing done", words);
            }
        }
        Ok(())
    }

    fn breach(&mut self, kills: &[KillPoint], invariant: &'static str, seen: String) {
        self.outcome.breaches.push(Breach {
            kills: kills.to_vec(),
            invariant,
            seen,
        });
    }
}

/// A world for one scenario, and who was in it already.
struct Stage {
    world: World,
    subjects: usize,
}

impl Stage {
    async fn set_up(scenario: &Scenario, namespaces: usize) -> Result<Self> {
        let neighbours = if scenario.act.takes_the_namespace() {
            namespaces
        } else {
            0
        };
        let settings = WorldSettings::new(env!("CARGO_BIN_EXE_acs-operator"));
        let cluster_wide = scenario.setting == Setting::Cluster;
        let world = World::start(WorldSettings {
            neighbours,
            cluster_wide,
            ..settings
        })
        .await?;
        Ok(Self { world, subjects: 0 })
    }

    /// How many subjects of `wanted` it may have at a time.
    fn capacity(&self, wanted: usize) -> usize {
        if self.world.neighbours.is_empty() {
            wanted.max(1)
        } else {
            NAMESPACES
        }
    }

    /// So many new subjects, each as the scenario begins, when all is quiet.
    async fn subjects(&mut self, scenario: &Scenario, count: usize) -> Result<Vec<(Subject, Prepared)>> {
        let (world, known) = (&self.world, self.subjects);
        let prepared = try_join_all((0..count).map(|index| async move {
            let number = known + index;
            let neighbour = (!world.neighbours.is_empty()).then_some(number);
            ensure!(
                neighbour.is_none_or(|neighbour| neighbour < world.neighbours.len()),
                "no namespace is left"
            );
            let subject = Subject { number, neighbour };
            let prepared = subject.prepare(world, scenario).await.context("prepare the scenario")?;
            anyhow::Ok((subject, prepared))
        }));
        let prepared = prepared.await?;
        self.subjects += count;
        self.world.quiet().await;
        Ok(prepared)
    }
}

/// One run of a scenario.
struct Run<'a> {
    scenario: &'a Scenario,
    subject: Subject,
    prepared: Prepared,
    before: Seen,
    death: Option<Seen>,
    last_call: u64,
    counted_before: i32,
    lost_before: usize,
}

#[derive(Clone, Copy)]
enum Settled {
    /// The request came at which the operator is to be killed.
    Stopped,
    /// Everything is as wished, and quiet.
    Yes,
    /// It takes too long.
    Never,
}

impl Run<'_> {
    async fn until_stopped_or_settled(&self, world: &World) -> Result<Settled> {
        tokio::select! {
            stopped = world.traffic.stopped(2 * CEILING) => stopped.map(|()| Settled::Stopped),
            settled = timeout(CEILING, self.settled(world)) => settled.unwrap_or(Ok(Settled::Never)),
        }
    }

    async fn settled(&self, world: &World) -> Result<Settled> {
        loop {
            let after = Seen::of(world, &self.subject).await?;
            if is_reached(self.scenario, &self.change(world, &after, 0)) {
                world.quiet().await;
                return Ok(Settled::Yes);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn change<'b>(&'b self, world: &World, after: &'b Seen, suspected_in_metric: i32) -> Change<'b> {
        let calls = world.calls_since(self.last_call).into_iter();
        Change {
            before: &self.before,
            death: self.death.as_ref(),
            after,
            stray: self.prepared.stray.clone(),
            calls: calls.map(|call| call.operation).collect(),
            suspected_in_metric,
            lost_answers: i32::try_from(lost_answers(world) - self.lost_before).unwrap_or(i32::MAX),
        }
    }
}

/// How many answers ACS has lost so far.
fn lost_answers(world: &World) -> usize {
    world
        .resource
        .faults()
        .iter()
        .map(|fault| usize::from(fault.hits > 0))
        .sum()
}

/// What the operator counted since it began.
async fn suspected(world: &World) -> Result<i32> {
    let counted = world.operator.metric("acs_operator_suspected_orphans_total").await?;
    Ok(format!("{counted}").parse()?)
}
