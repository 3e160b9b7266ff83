//! A small world of an API server and ACS that carries out steps and kills the process around any request.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use crate::api::names::finalizer;
use crate::api::{CommunicationUserStatus, CreateAttempt};
use crate::decide::secret::layout;
use crate::decide::*;

const ID_PREFIX: &str = "8:acs:11111111-1111-1111-1111-111111111111_";

/// Where the process is killed, counted in mutating requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kill {
    Before(usize),
    After(usize),
}

pub(super) struct Killed;

/// The object, its Secret and the identities in ACS, with the rules of both servers that decisions rely on.
pub(super) struct World {
    pub(super) user: Option<User>,
    pub(super) secrets: BTreeMap<String, (SecretVersion, TokenRecord)>,
    pub(super) damaged: bool,
    pub(super) astray: bool,
    pub(super) revocations: usize,
    pub(super) revoked_at: Option<Timestamp>,
    pub(super) rival: Option<String>,
    pub(super) custom_ids: bool,
    pub(super) identities: BTreeSet<String>,
    pub(super) suspected: u32,
    pub(super) acs_calls: usize,
    pub(super) writes: usize,
    pub(super) version: u64,
    pub(super) minted: u32,
    pub(super) created: u32,
    /// Which identity was made under a custom id.
    pub(super) named: BTreeMap<String, u32>,
    pub(super) now: Timestamp,
    pub(super) kill: Option<Kill>,
    pub(super) memory: Memory,
    pub(super) acs_fails: Vec<FailureKind>,
}

impl World {
    pub(super) fn with_user(wish: Wish) -> Self {
        let user = User {
            namespace: "team".into(),
            name: "alice".into(),
            uid: "u-1".into(),
            resource_version: "1".into(),
            generation: 1,
            deleting: false,
            finalizers: vec!["example.com/other".into()],
            attempt: None,
            requests: Requests::default(),
            wish: Ok(wish),
            status: CommunicationUserStatus::default(),
        };
        Self {
            user: Some(user),
            secrets: BTreeMap::new(),
            damaged: false,
            astray: false,
            revocations: 0,
            revoked_at: None,
            rival: None,
            custom_ids: false,
            identities: BTreeSet::new(),
            suspected: 0,
            acs_calls: 0,
            writes: 0,
            version: 1,
            minted: 0,
            created: 0,
            named: BTreeMap::new(),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            kill: None,
            memory: blank(),
            acs_fails: Vec::new(),
        }
    }

    pub(super) fn requests(&self) -> usize {
        self.acs_calls + self.writes
    }

    pub(super) fn user(&self) -> &User {
        self.user.as_ref().unwrap()
    }

    pub(super) fn ready(&self) -> (String, String) {
        let ready = &self.user().status.conditions[0];
        (ready.status.clone(), ready.reason.clone())
    }

    pub(super) fn observe(&self, memory: Memory) -> Option<Observed> {
        let owned = |(version, record): &(SecretVersion, TokenRecord)| OwnedSecret {
            version: version.clone(),
            record: Some(Box::new(record.clone())),
        };
        let name = self
            .user
            .as_ref()?
            .wish
            .as_ref()
            .map_or("alice", |wish| wish.secret.name.as_str());
        let named = self.secrets.get(name).map(owned);
        let others = self.secrets.iter().filter(|(other, _)| *other != name);
        Some(Observed {
            user: self.user.clone()?,
            secret: named.map_or(SecretView::NotSeen, SecretView::Ours),
            other_secrets: others.map(|(_, secret)| owned(secret)).collect(),
            rival: self.rival.clone(),
            connection: Connection {
                label: "ClusterCommunicationConnection/default".into(),
                state: ConnectionState::Ready {
                    endpoint: "https://contoso.communication.azure.com".into(),
                    custom_ids: self.custom_ids,
                },
            },
            memory,
        })
    }

    /// One mutating request: killed before it arrives, or after it was carried out and before its answer.
    pub(super) fn request<T>(&mut self, carry_out: impl FnOnce(&mut Self) -> T) -> Result<T, Killed> {
        let number = self.requests();
        if self.kill == Some(Kill::Before(number)) {
            self.kill = None;
            return Err(Killed);
        }
        let answer = carry_out(self);
        if self.kill == Some(Kill::After(number)) {
            self.kill = None;
            return Err(Killed);
        }
        Ok(answer)
    }

    pub(super) fn write(&mut self, change: impl FnOnce(&mut User)) -> Result<User, Killed> {
        self.request(|world| {
            world.writes += 1;
            world.version += 1;
            let version = world.version.to_string();
            let user = world.user.as_mut().unwrap();
            change(user);
            user.resource_version = version;
            let written = user.clone();
            world.collect();
            written
        })
    }

    pub(super) fn delete(&mut self) {
        self.user.as_mut().unwrap().deleting = true;
        self.collect();
    }

    /// Finalizers of others are taken off at once.
    pub(super) fn collect(&mut self) {
        self.user
            .take_if(|user| user.deleting && !user.finalizers.iter().any(|f| f == finalizer::IDENTITY));
    }

    pub(super) fn call<T>(&mut self, carry_out: impl FnOnce(&mut Self) -> T) -> Result<Result<T, FailureKind>, Killed> {
        self.request(|world| {
            world.acs_calls += 1;
            match world.acs_fails.pop() {
                // The answer is lost, the request was carried out.
                Some(FailureKind::InDoubt) => {
                    carry_out(world);
                    Err(FailureKind::InDoubt)
                }
                Some(kind) => Err(kind),
                None => Ok(carry_out(world)),
            }
        })
    }

    fn store(&mut self, desired: &DesiredSecret) -> SecretVersion {
        self.writes += 1;
        self.version += 1;
        let version = SecretVersion {
            name: desired.name.clone(),
            uid: format!("uid of {}", desired.name),
            resource_version: self.version.to_string(),
        };
        (self.damaged, self.astray) = (false, false);
        let secret = (version.clone(), desired.record.clone());
        self.secrets.insert(desired.name.clone(), secret);
        version
    }

    fn revoke(&mut self) {
        self.revocations += 1;
        self.revoked_at = Some(self.now);
    }

    pub(super) fn mint(&mut self, identity: &str, order: &TokenOrder) -> TokenRecord {
        self.minted += 1;
        TokenRecord {
            identity: identity.to_owned(),
            sha256: format!("{:x}", self.minted),
            issued: self.now,
            expires: self.now + order.lifetime,
            scopes: order.scopes.clone(),
            credential: "key".into(),
            request: order.request.clone(),
        }
    }

    pub(super) fn perform(&mut self, o: &Observed, step: &Step) -> Result<Outcome, Killed> {
        let failed = |kind, operation| {
            Outcome::Failed(Failure {
                kind,
                operation,
                words: "no answer".into(),
            })
        };
        Ok(match step {
            Step::Announce { attempt } => {
                let owner_uid = o.user.uid.clone();
                let user = self.write(|user| {
                    user.finalizers.push(finalizer::IDENTITY.into());
                    user.finalizers.dedup();
                    user.attempt = Some(CreateAttempt {
                        owner_uid,
                        attempt: *attempt,
                    });
                })?;
                Outcome::Announced(Box::new(user))
            }
            Step::CreateIdentity { attempt, token } => {
                let created = self.call(|world| {
                    world.created += 1;
                    let made = world.created;
                    // As ACS may do it even after the identity was deleted.
                    let number = o
                        .custom_id()
                        .map_or(made, |name| *world.named.entry(name).or_insert(made));
                    let id = format!("{ID_PREFIX}{number}");
                    world.identities.insert(id.clone());
                    let fresh = token.as_ref().map(|order| world.mint(&id, order));
                    (id, fresh)
                })?;
                match created {
                    Ok((id, fresh)) => {
                        let status = recording(o, &id, *attempt, self.now);
                        let user = self.write(|user| user.status = status)?;
                        Outcome::Created {
                            user: Box::new(user),
                            fresh,
                        }
                    }
                    Err(kind) => failed(kind, Operation::Create),
                }
            }
            Step::IssueToken { id, order, .. } => match self.call(|world| world.mint(id, order))? {
                Ok(record) => Outcome::Issued(record),
                Err(kind) => failed(kind, Operation::Issue),
            },
            Step::TrySecret { .. } => Outcome::SecretAcceptable,
            Step::LookAtSecret { .. } => Outcome::SecretSeen(SecretView::Absent),
            Step::WriteSecret { desired, .. } => Outcome::SecretWritten(self.request(|world| world.store(desired))?),
            Step::DeleteSecret(secret) => {
                self.request(|world| {
                    world.writes += 1;
                    world.secrets.remove(&secret.name);
                })?;
                Outcome::SecretDeleted
            }
            Step::Protect => {
                let user = self.write(|user| user.finalizers.push(finalizer::IDENTITY.into()))?;
                Outcome::Protected(Box::new(user))
            }
            Step::RevokeTokens { .. } => match self.call(World::revoke)? {
                Ok(()) => Outcome::Revoked,
                Err(kind) => failed(kind, Operation::Revoke),
            },
            Step::WaitUntil(instant) => {
                self.now = *instant;
                Outcome::Waited
            }
            Step::InspectSecret { .. } => Outcome::Inspected(match (self.damaged, self.astray) {
                (true, _) => Finding::TokenLost,
                (false, true) => Finding::Astray,
                (false, false) => self.layout_of(o),
            }),
            Step::DeleteIdentity { id } => match self.call(|world| world.identities.remove(id))? {
                Ok(_) => Outcome::IdentityDeleted,
                Err(kind) => failed(kind, Operation::Delete),
            },
            Step::WriteStatus { status, suspected } => {
                self.suspected += u32::from(suspected.is_some());
                Outcome::StatusWritten(Box::new(self.write(|user| user.status = (**status).clone())?))
            }
            Step::Release { suspected } => {
                self.suspected += u32::from(suspected.is_some());
                self.write(|user| user.finalizers.retain(|f| f != finalizer::IDENTITY))?;
                Outcome::Released
            }
        })
    }

    /// A Secret whose values are right for its own record is still astray when another layout is wished.
    fn layout_of(&self, o: &Observed) -> Finding {
        let wish = o.user.wish.as_ref().unwrap();
        let held = self.secrets.values().next();
        let wanted = layout(wish, o.endpoint().unwrap());
        match held {
            Some((_, record)) if record.request.layout == wanted => Finding::Intact,
            _ => Finding::Astray,
        }
    }

    /// Somebody changes the Secret.
    pub(super) fn touch_secret(&mut self) {
        self.version += 1;
        let version = self.version.to_string();
        self.secrets
            .values_mut()
            .for_each(|(held, _)| held.resource_version.clone_from(&version));
    }

    /// Reconciles until nothing is due, restarting the process where it is killed and waiting where it waits.
    pub(super) fn run(&mut self) {
        for _ in 0..60 {
            let Some(mut o) = self.observe(self.memory.clone()) else {
                return;
            };
            o.memory.next_attempt = Uuid::new_v4();
            loop {
                match decide(&o, self.now) {
                    Decision::Settled { wake_at } => {
                        let in_trouble = o.memory.trouble.is_some();
                        self.memory = Memory {
                            fresh: None,
                            ..o.memory
                        };
                        match wake_at {
                            Some(at) if in_trouble => self.now = self.now.max(at),
                            _ => return,
                        }
                        break;
                    }
                    Decision::Do(step) => {
                        let Ok(outcome) = self.perform(&o, &step) else {
                            self.restart();
                            break;
                        };
                        o = advance(o, &step, outcome, self.now);
                    }
                }
            }
        }
        panic!("never settled");
    }

    /// Another process takes over, which remembers nothing.
    pub(super) fn restart(&mut self) {
        self.memory = blank();
    }

    pub(super) fn check(&self, context: &str) {
        let recorded = self
            .user
            .as_ref()
            .and_then(|user| user.status.identity.as_ref()?.id.clone());
        let unaccounted = self
            .identities
            .iter()
            .filter(|id| Some(*id) != recorded.as_ref())
            .count();
        assert!(
            u32::try_from(unaccounted).unwrap() <= self.suspected,
            "{context}: {unaccounted} orphans, {} counted",
            self.suspected
        );
        if let Some(user) = &self.user {
            let id = recorded
                .as_deref()
                .unwrap_or_else(|| panic!("{context}: no id recorded"));
            assert!(
                self.identities.contains(id),
                "{context}: the recorded identity does not exist"
            );
            let counted = user.status.identity.as_ref().unwrap().suspected_orphans.unwrap_or(0);
            assert_eq!(
                counted.cast_unsigned(),
                self.suspected,
                "{context}: status tells all suspected orphans"
            );
            for (_, record) in self.secrets.values() {
                assert_eq!(
                    record.identity, id,
                    "{context}: the token in the Secret is the identity's"
                );
            }
        } else {
            assert!(self.secrets.is_empty(), "{context}: the Secret outlived its object");
        }
    }
}

pub(super) fn blank() -> Memory {
    Memory {
        next_attempt: Uuid::new_v4(),
        ..Memory::default()
    }
}
