//! One process of the operator: what it holds, and how it goes on. It decides with the real decisions; what it does around
//! them (caches, memory, the task of a create) follows the controller.

use std::collections::BTreeMap;

use acs_operator::decide::{
    Decision, InLine, Memory, Observed, OpenAttempt, Outcome, OwnAttempt, SecretView, Seen, Step, ThisRun, User,
    advance, decide, is_to_look_again,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::api_server::StoredSecret;
use super::bugs::Bug;
use super::requests::Performed;
use super::task::Task;
use super::world::{Breach, Mishap, World, pinned_id};

/// As in the controller.
const MOST_STEPS: u8 = 24;

/// How long a process takes to start at least.
const STARTING: SignedDuration = SignedDuration::from_secs(2);

/// A process.
#[derive(Clone, Debug, PartialEq)]
pub struct Replica {
    /// Whether it holds the lease. One that lost it finishes what is under way and starts nothing.
    pub leads: bool,
    /// The object as the watch showed it last, or as it wrote it itself.
    pub user: Option<User>,
    /// The same of the Secrets with our label.
    pub secrets: BTreeMap<String, StoredSecret>,
    /// The last change of a Secret that the watch showed. Every one is shown, even of a Secret that is gone again.
    pub secrets_shown: u32,
    /// What it remembers, by uid.
    pub memories: BTreeMap<String, Memory>,
    /// The run under way.
    pub run: Option<Run>,
    /// The create under way, which goes on even when its run is dropped.
    pub task: Option<Task>,
    /// When the object is looked at next.
    pub due: Due,
    /// When the rate limits let it call ACS, where they keep it waiting.
    pub in_line: Option<InLine>,
    attempts: u32,
}

/// When an object is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Something happened.
    Now,
    /// Then.
    At(Timestamp),
    /// When something happens.
    Never,
}

/// A run: from a look through the caches to where nothing is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What decisions see.
    pub o: Observed,
    /// The token in its hand.
    pub hand: Option<String>,
    /// The step whose task it waits for.
    pub waits: Option<Step>,
    steps: u8,
}

impl Replica {
    /// A process that has just listed what is stored.
    pub fn started(leads: bool, user: Option<User>, secrets: BTreeMap<String, StoredSecret>, shown: u32) -> Self {
        Self {
            secrets_shown: shown,
            leads,
            user,
            secrets,
            memories: BTreeMap::new(),
            run: None,
            task: None,
            due: Due::Now,
            in_line: None,
            attempts: 0,
        }
    }

    /// Whether nothing is under way and nothing is to be looked at.
    pub fn rests(&self, now: Timestamp) -> bool {
        let asleep = match self.due {
            Due::Now => false,
            Due::At(at) => now < at,
            Due::Never => true,
        };
        self.run.is_none() && self.task.is_none() && (asleep || !self.leads)
    }

    /// Whether it became known since `user` was looked at that the object is deleted, or is to be.
    fn is_leaving(&self, user: &User) -> bool {
        let now = self.user.as_ref();
        now.is_none_or(|now| now.uid != user.uid || (now.deleting && !user.deleting))
    }

    /// An uuid that no process used before.
    fn next_attempt(&self, number: usize) -> Uuid {
        Uuid::from_u64_pair(number as u64 + 1, u64::from(self.attempts) + 1)
    }

    /// Remembers what is worth it.
    pub fn remember(&mut self, uid: &str, memory: Memory) {
        match memory.kept(self.memories.get(uid)) {
            Some(memory) => self.memories.insert(uid.to_owned(), memory),
            None => self.memories.remove(uid),
        };
    }

    /// Notes how far a create came.
    pub fn note_attempt(&mut self, uid: &str, attempt: OwnAttempt) {
        self.memories.entry(uid.to_owned()).or_default().attempt = Some(attempt);
    }
}

impl World {
    /// What this process sees through its caches.
    pub fn observe(&self, number: usize) -> Option<Observed> {
        let replica = &self.replicas[number];
        let user = replica.user.clone()?;
        let name = user.secret_name();
        let secret = replica.secrets.get(name);
        let secret = secret.map_or(SecretView::NotSeen, |secret| secret.view(&user));
        let others = replica.secrets.values();
        let others = others.filter(|other| other.owner.as_ref() == Some(&user.uid) && other.version.name != name);
        let other_secrets = others.map(StoredSecret::owned).collect();
        let mut memory = replica.memories.get(&user.uid).cloned().unwrap_or_default();
        memory.forget_all_but(user.identity_id());
        let claimed = user.identity_id().or_else(|| pinned_id(&user));
        let rival = claimed.filter(|id| self.rival.as_deref() == Some(*id));
        let rival = rival.map(|_| "CommunicationUser team/first".to_owned());
        let connection = self.terms.seen_by(&user, self.service.custom_ids);
        Some(Observed {
            user,
            secret,
            other_secrets,
            rival,
            connection,
            memory,
            this_run: ThisRun {
                next_attempt: replica.next_attempt(number),
                in_line: replica.in_line,
                ..ThisRun::default()
            },
        })
    }

    /// What this process would do next; `None`: it has nothing to do with the object.
    pub fn decision(&self, number: usize) -> Option<Decision> {
        let replica = &self.replicas[number];
        match &replica.run {
            Some(run) => Some(self.decide(&run.o)),
            None => Some(self.decide(&self.observe(number)?)),
        }
    }

    /// Lets this process go on by one step: a request, or the end of its run.
    pub fn proceed(&mut self, number: usize, mishap: Mishap) {
        let run = self.replicas[number].run.take();
        let Some(mut run) = run.or_else(|| self.begin(number)) else {
            return;
        };
        if self.replicas[number].is_leaving(&run.o.user) {
            self.replicas[number].due = Due::Now;
            return;
        }
        match self.decide(&run.o) {
            Decision::Settled { wake_at } => self.settled(number, run, wake_at),
            Decision::Do(step) => match self.perform(number, &mut run, &step, mishap) {
                Performed::Outcome(outcome) => self.absorb(number, run, &step, outcome),
                Performed::ObjectGone => self.object_gone(number, &run.o),
                Performed::UnderWay => {
                    run.waits = Some(*step);
                    self.replicas[number].run = Some(run);
                }
            },
        }
        if mishap == Mishap::Killed {
            self.restart(number);
        }
    }

    fn begin(&mut self, number: usize) -> Option<Run> {
        self.replicas[number].due = Due::Never;
        let o = self.observe(number)?;
        Some(Run {
            o,
            hand: None,
            waits: None,
            steps: 0,
        })
    }

    fn decide(&self, o: &Observed) -> Decision {
        match self.bug {
            Some(bug) => bug.spoil_decision(o, decide(&bug.spoil_view(o), self.now)),
            None => decide(o, self.now),
        }
    }

    /// What a run does with the outcome of its step.
    pub fn absorb(&mut self, number: usize, mut run: Run, step: &Step, outcome: Outcome) {
        let uid = run.o.user.uid.clone();
        if outcome == Outcome::Released {
            self.replicas[number].memories.remove(&uid);
            return;
        }
        if let Step::Announce(_) = step {
            self.replicas[number].attempts += 1;
            run.o.this_run.next_attempt = self.replicas[number].next_attempt(number);
        }
        if let (Step::WriteStatus { .. } | Step::AnnounceRevocation { .. }, Outcome::StatusWritten(user)) =
            (step, &outcome)
            && user.resource_version == run.o.user.resource_version
        {
            self.breaches.insert(Breach::FruitlessWrite);
            return;
        }
        let before = Seen::of(&run.o);
        let is_made = matches!(outcome, Outcome::Created { .. });
        run.o = advance(run.o, step, outcome, self.now);
        if self.bug == Some(Bug::NoPauseAfterRevocation) {
            run.o.memory.revoke_sent = None;
        }
        self.replicas[number].remember(&uid, run.o.memory.clone());
        if is_to_look_again(&run.o, &before, is_made) {
            self.replicas[number].due = Due::Now;
            return;
        }
        run.steps += 1;
        if run.steps > MOST_STEPS {
            self.breaches.insert(Breach::EndlessRun);
            return;
        }
        if !self.replicas[number].leads && self.bug != Some(Bug::LeaseIgnored) {
            return;
        }
        match self.decide(&run.o) {
            Decision::Settled { wake_at } => self.settled(number, run, wake_at),
            Decision::Do(_) => self.replicas[number].run = Some(run),
        }
    }

    fn settled(&mut self, number: usize, run: Run, wake_at: Option<Timestamp>) {
        let replica = &mut self.replicas[number];
        replica.remember(&run.o.user.uid, run.o.memory);
        if replica.due != Due::Now {
            replica.due = wake_at.map_or(Due::Never, Due::At);
        }
    }

    /// The object went while a run was at it: what its status would have counted is counted elsewhere.
    pub fn object_gone(&mut self, number: usize, o: &Observed) {
        if let Some(open) = o.open_attempt().filter(OpenAttempt::is_in_doubt) {
            self.counted.insert(open.uuid, o.user.uid.clone());
        }
        let replica = &mut self.replicas[number];
        replica.memories.remove(&o.user.uid);
        replica.user.take_if(|user| user.uid == o.user.uid);
    }

    /// The process is killed, and another one starts in its place, which takes a while.
    pub fn restart(&mut self, number: usize) {
        self.now += STARTING;
        self.forgive();
        let (user, secrets) = (self.api.user.clone(), self.labelled_secrets());
        let before = &self.replicas[number];
        self.replicas[number] = Replica {
            attempts: before.attempts,
            ..Replica::started(before.leads, user, secrets, self.api.secret_versions)
        };
    }
}
