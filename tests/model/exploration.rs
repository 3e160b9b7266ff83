//! The world as a model to be explored: what can happen next in every state, and what has to hold.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use acs_operator::decide::{Decision, Step};
use jiff::SignedDuration;
use stateright::{Model, Property};

use super::edits::Edit;
use super::properties::{
    gone_leaves_nothing, no_identity_is_lost_from_sight, ready_means_usable, status_tells_every_suspected_orphan,
};
use super::replica::Due;
use super::service::Service;
use super::settle::{self, Known, brief, does_not_converge};
use super::world::{Breach, Mishap, Traffic, World};

/// When the controller looks again at an object whose run it dropped.
const AFTER_FAULT: SignedDuration = SignedDuration::from_secs(30);

/// What is explored: a start, what may happen, and how much of it on one way.
#[derive(Clone)]
pub struct Exploration {
    /// Its name.
    pub name: &'static str,
    /// Where it starts.
    pub start: World,
    /// What may happen from outside.
    pub edits: &'static [Edit],
    /// How many of these on one way.
    pub most_edits: u8,
    /// Whether one of them may be the same again, where that makes sense.
    pub repeats: bool,
    /// How many lost, refused or cut requests, and kills.
    pub most_mishaps: u8,
    /// How often a process is woken by time before something else happens.
    pub most_wakes: u8,
    /// What was found out on the way.
    pub known: Known,
}

/// A state.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The world.
    pub world: World,
    used: Vec<Edit>,
    mishaps: u8,
    wakes: u8,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process goes on with its run.
    Proceed(usize, Mishap),
    /// A process goes on with the task of a create.
    ProceedTask(usize, Mishap),
    /// A process is killed between two requests.
    Kill(usize),
    /// A run that waits for its task is dropped.
    DropRun(usize),
    /// The watch shows the object.
    ShowObject(usize),
    /// The watch shows the Secrets.
    ShowSecrets(usize),
    /// A process is woken by time.
    Wake(usize),
    /// Something happens from outside.
    Edit(Edit),
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_printed(self, state);
    }
}

/// Structures of the operator are compared by what they print: none of them is hidden from their `Debug`.
pub fn hash_printed<H: Hasher>(value: &impl std::fmt::Debug, state: &mut H) {
    struct Into<'a, H>(&'a mut H);
    impl<H: Hasher> std::fmt::Write for Into<'_, H> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    // Writing to a hasher can't fail.
    let _ = write!(Into(state), "{value:?}");
}

impl Model for Exploration {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            world: self.start.clone(),
            used: Vec::new(),
            mishaps: 0,
            wakes: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let world = &state.world;
        let may_fail = state.mishaps < self.most_mishaps;
        for number in 0..world.replicas.len() {
            self.actions_of(number, state, may_fail, actions);
        }
        if state.used.len() < usize::from(self.most_edits) {
            let times = |edit: Edit| state.used.iter().filter(|used| **used == edit).count();
            let possible = |edit: &&Edit| times(**edit) < edit.most(self.repeats) && edit.is_possible(world);
            actions.extend(self.edits.iter().filter(possible).map(|edit| Action::Edit(*edit)));
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        let world = &mut state.world;
        let mut mishap = |mishap: Mishap| state.mishaps += u8::from(mishap != Mishap::None);
        match action {
            Action::Proceed(number, how) => {
                mishap(how);
                world.proceed(number, how);
            }
            Action::ProceedTask(number, how) => {
                mishap(how);
                world.proceed_task(number, how);
            }
            Action::Kill(number) => {
                mishap(Mishap::Killed);
                world.restart(number);
            }
            Action::DropRun(number) => {
                mishap(Mishap::NotDone);
                let at = world.now + AFTER_FAULT;
                let replica = &mut world.replicas[number];
                (replica.run, replica.due) = (None, Due::At(at));
            }
            Action::ShowObject(number) => world.show_object(number),
            Action::ShowSecrets(number) => world.show_secrets(number),
            Action::Wake(number) => {
                if let Due::At(at) = world.replicas[number].due {
                    world.now = world.now.max(at);
                }
                world.proceed(number, Mishap::None);
                state.wakes += 1;
            }
            Action::Edit(edit) => {
                edit.happen(world);
                state.used.push(edit);
                state.used.sort();
            }
        }
        state.world.traffic = Traffic::default();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no identity is lost from sight", |_, s: &State| {
                no_identity_is_lost_from_sight(&s.world)
            }),
            Property::always("status tells every suspected orphan", |_, s: &State| {
                status_tells_every_suspected_orphan(&s.world)
            }),
            Property::always("Ready means usable", |_, s: &State| ready_means_usable(&s.world)),
            Property::always("what is gone leaves nothing", |_, s: &State| {
                gone_leaves_nothing(&s.world)
            }),
            Property::always("a foreign Secret is never touched", |_, s: &State| {
                holds(s, Breach::ForeignSecret)
            }),
            Property::always("a token never goes back", |_, s: &State| holds(s, Breach::OlderToken)),
            Property::always("the token is the recorded identity's", |_, s: &State| {
                holds(s, Breach::TokenOfAnotherIdentity)
            }),
            Property::always("an attempt is counted once", |_, s: &State| {
                holds(s, Breach::CountedTwice)
            }),
            Property::always("a status write changes something", |_, s: &State| {
                holds(s, Breach::FruitlessWrite)
            }),
            Property::always("a run ends", |_, s: &State| holds(s, Breach::EndlessRun)),
            Property::always("only what somebody condemned is deleted", |_, s: &State| {
                holds(s, Breach::DeletedUnasked)
            }),
            Property::always("what is to be left alone is left alone", |_, s: &State| {
                holds(s, Breach::Meddled)
            }),
            Property::always("a connection is used for what it is good for", |_, s: &State| {
                holds(s, Breach::ForbiddenCall)
            }),
            Property::always("no Secret is left behind", |_, s: &State| {
                holds(s, Breach::SecretLeftBehind)
            }),
            Property::always("when faults stop, all is as wished", |e: &Self, s: &State| {
                does_not_converge(&s.world, &e.known).is_none()
            }),
        ]
    }
}

impl State {
    /// What is in it, and what happens next, for the story of a counterexample.
    pub fn tell(&self, action: Option<&Action>) -> String {
        let world = &self.world;
        let user = world.api.user.as_ref();
        let status = user.map(|user| (user.status.identity.as_ref(), user.deleting, &user.attempt));
        let secrets: Vec<_> = world
            .api
            .secrets
            .values()
            .map(|secret| (&secret.version, &secret.owner))
            .collect();
        let mut story = format!(
            "  {} object {status:?}\n    Secrets {secrets:?}\n    identities {:?} counted {:?} {:?}\n",
            world.now, world.service.identities, world.counted, world.breaches
        );
        for replica in &world.replicas {
            let trouble = replica
                .memories
                .values()
                .map(|memory| (&memory.attempt, &memory.trouble));
            let (busy, task) = (replica.run.is_some(), replica.task.as_ref().map(|task| &task.id));
            let _ = writeln!(
                story,
                "    leads {} busy {busy} task {task:?} due {:?} {:?}",
                replica.leads,
                replica.due,
                trouble.collect::<Vec<_>>()
            );
        }
        let next = match action {
            Some(Action::Proceed(number, _)) => brief(&world.decision(*number)),
            Some(_) => String::new(),
            None => format!(
                "{:?}\n{}",
                does_not_converge(world, &Known::default()),
                settle::story(world)
            ),
        };
        let _ = writeln!(story, "{action:?} {next}");
        story
    }
}

fn holds(state: &State, breach: Breach) -> bool {
    !state.world.breaches.contains(&breach)
}

impl Exploration {
    fn actions_of(&self, number: usize, state: &State, may_fail: bool, actions: &mut Vec<Action>) {
        let world = &state.world;
        let replica = &world.replicas[number];
        let waits = replica.run.as_ref().is_some_and(|run| run.waits.is_some());
        let looks = match replica.due {
            Due::Now => true,
            Due::At(at) => at <= world.now,
            Due::Never => false,
        };
        let mishaps = |step: Option<&Step>| {
            let possible = if may_fail { possible_mishaps(step) } else { &[] };
            std::iter::once(Mishap::None).chain(possible.iter().copied())
        };
        if (replica.run.is_some() && !waits) || (replica.run.is_none() && replica.leads && looks) {
            let decision = world.decision(number);
            let step = match &decision {
                Some(Decision::Do(step)) => Some(&**step),
                _ => None,
            };
            let late = !replica.leads && step.is_some_and(|step| is_refused_without_lease(step, &world.service));
            if step.is_some() && !late {
                actions.extend(mishaps(step).map(|mishap| Action::Proceed(number, mishap)));
            } else if step.is_none() {
                actions.push(Action::Proceed(number, Mishap::None));
            }
        }
        if replica.task.is_some() {
            actions.extend(mishaps(None).map(|mishap| Action::ProceedTask(number, mishap)));
        }
        let busy = replica.run.is_some() || replica.task.is_some();
        if may_fail && busy {
            actions.push(Action::Kill(number));
        }
        if may_fail && waits {
            actions.push(Action::DropRun(number));
        }
        let lost_lease = number < world.leader();
        if !lost_lease && replica.user != world.api.user {
            actions.push(Action::ShowObject(number));
        }
        if !lost_lease && replica.secrets_shown != world.api.secret_versions {
            actions.push(Action::ShowSecrets(number));
        }
        if replica.leads
            && !busy
            && matches!(replica.due, Due::At(at) if at > world.now)
            && state.wakes < self.most_wakes
        {
            actions.push(Action::Wake(number));
        }
    }
}

/// A call to ACS, and the token that answers a revocation, is sent while the lease is held or not at all. A create is let
/// through all the same where it can do no harm: its id is recorded or it is deleted again.
fn is_refused_without_lease(step: &Step, service: &Service) -> bool {
    match step {
        Step::RevokeTokens { .. } => true,
        // Its successor may have revoked once more, and been killed before it wrote.
        Step::WriteSecret { desired, .. } => desired.record.request.revoke.is_some(),
        Step::CreateIdentity { .. } => service.custom_ids,
        _ => false,
    }
}

/// What can go wrong with the request of a step; `None`: the task of a create.
fn possible_mishaps(step: Option<&Step>) -> &'static [Mishap] {
    match step {
        Some(Step::WaitUntil(_)) => &[],
        Some(Step::LookAtSecret { .. } | Step::InspectSecret { .. } | Step::TrySecret { .. }) => &[Mishap::NotDone],
        Some(
            Step::CreateIdentity { .. }
            | Step::IssueToken { .. }
            | Step::RevokeTokens { .. }
            | Step::DeleteIdentity { .. },
        ) => &[Mishap::NotDone, Mishap::AnswerLost, Mishap::Killed],
        None | Some(_) => &[Mishap::NotDone, Mishap::AnswerLost, Mishap::Refused, Mishap::Killed],
    }
}
