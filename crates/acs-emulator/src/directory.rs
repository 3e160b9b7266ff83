//! The identities of the resource.

use std::collections::HashMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::choices::CustomIdAfterDelete;
use crate::refusal::Refusal;

/// A living identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// `8:acs:<resource>_<opaque>`.
    pub id: String,
    /// The caller's own name for it, under the preview version.
    pub custom_id: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it last got a token.
    pub last_token_issued_at: Option<Timestamp>,
    /// When its tokens were last revoked.
    pub tokens_revoked_at: Option<Timestamp>,
}

/// What an id is to this resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Alive,
    /// Of this resource, but deleted or never handed out.
    Gone,
    /// Of another resource, or no identity id at all.
    Foreign,
}

/// What a create led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    New(String),
    /// The `customId` belonged to this living identity already.
    Existing(String),
}

struct Deleted {
    identity: Identity,
    at: Timestamp,
}

/// All identities of one resource, living and deleted.
pub(crate) struct Directory {
    prefix: String,
    alive: HashMap<String, Identity>,
    deleted: HashMap<String, Deleted>,
    /// Who holds, or last held, a `customId`.
    custom_ids: HashMap<String, String>,
}

impl Directory {
    pub(crate) fn new(resource: Uuid) -> Self {
        Self {
            prefix: format!("8:acs:{resource}_"),
            alive: HashMap::new(),
            deleted: HashMap::new(),
            custom_ids: HashMap::new(),
        }
    }

    pub(crate) fn standing(&self, id: &str) -> Standing {
        if self.alive.contains_key(id) {
            Standing::Alive
        } else if id.starts_with(&self.prefix) {
            Standing::Gone
        } else {
            Standing::Foreign
        }
    }

    /// Makes an identity, or finds the one that has the `customId`.
    pub(crate) fn create(
        &mut self,
        custom_id: Option<String>,
        after_delete: CustomIdAfterDelete,
        now: Timestamp,
    ) -> Result<Created, Refusal> {
        let Some(custom_id) = custom_id else {
            return Ok(Created::New(self.add(None, now)));
        };
        let Some(holder) = self.custom_ids.get(&custom_id).cloned() else {
            return Ok(Created::New(self.add(Some(custom_id), now)));
        };
        if self.alive.contains_key(&holder) {
            return Ok(Created::Existing(holder));
        }
        match after_delete {
            CustomIdAfterDelete::New => Ok(Created::New(self.add(Some(custom_id), now))),
            CustomIdAfterDelete::Same => Ok(Created::New(self.bring_back(holder))),
            CustomIdAfterDelete::Refuse => Err(Refusal::new(
                StatusCode::CONFLICT,
                "Conflict",
                "The customId belonged to an identity that was deleted.",
            )),
        }
    }

    fn add(&mut self, custom_id: Option<String>, now: Timestamp) -> String {
        let id = format!("{}{}", self.prefix, opaque_part());
        if let Some(custom_id) = &custom_id {
            self.custom_ids.insert(custom_id.clone(), id.clone());
        }
        let identity = Identity {
            id: id.clone(),
            custom_id,
            created: now,
            last_token_issued_at: None,
            tokens_revoked_at: None,
        };
        self.alive.insert(id.clone(), identity);
        id
    }

    /// The deletion had revoked its tokens; that stays so.
    fn bring_back(&mut self, id: String) -> String {
        if let Some(Deleted { identity, at }) = self.deleted.remove(&id) {
            self.alive.insert(
                id.clone(),
                Identity {
                    tokens_revoked_at: Some(at),
                    ..identity
                },
            );
        }
        id
    }

    pub(crate) fn delete(&mut self, id: &str, now: Timestamp) {
        if let Some(identity) = self.alive.remove(id) {
            self.deleted.insert(id.to_owned(), Deleted { identity, at: now });
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Identity> {
        self.alive.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Identity> {
        self.alive.get_mut(id)
    }

    /// The living ones, oldest first.
    pub(crate) fn alive(&self) -> Vec<Identity> {
        let mut identities: Vec<_> = self.alive.values().cloned().collect();
        identities.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        identities
    }
}

/// Like the service's: in the form of a guid whose first block is small.
fn opaque_part() -> String {
    let random = Uuid::new_v4();
    let (first, second, third, rest) = random.as_fields();
    Uuid::from_fields(first & 0xff, second, third, rest).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: Uuid = Uuid::from_u128(0x2dee_53b4_368b_45b4_ab52_8493_fb11_7652);
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn created(outcome: Result<Created, Refusal>) -> String {
        match outcome.unwrap() {
            Created::New(id) => id,
            Created::Existing(id) => panic!("{id} was there before"),
        }
    }

    #[test]
    fn an_id_names_its_resource_and_has_the_services_form() {
        let id = created(Directory::new(RESOURCE).create(None, CustomIdAfterDelete::New, NOW));
        assert!(
            id.starts_with("8:acs:2dee53b4-368b-45b4-ab52-8493fb117652_000000"),
            "{id}"
        );
        assert_eq!(id.len(), "8:acs:".len() + 36 + 1 + 36);
    }

    #[test]
    fn an_id_is_alive_gone_or_of_another_resource() {
        let mut directory = Directory::new(RESOURCE);
        let id = created(directory.create(None, CustomIdAfterDelete::New, NOW));
        assert_eq!(directory.standing(&id), Standing::Alive);
        directory.delete(&id, NOW);
        assert_eq!(directory.standing(&id), Standing::Gone);
        for foreign in [
            "8:acs:00000000-0000-0000-0000-000000000000_00000000-0000",
            "",
            "alice",
            "8:acs:",
        ] {
            assert_eq!(directory.standing(foreign), Standing::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_custom_id_leads_to_one_living_identity() {
        let mut directory = Directory::new(RESOURCE);
        let alice = || Some("alice".to_owned());
        let id = created(directory.create(alice(), CustomIdAfterDelete::New, NOW));
        assert_eq!(
            directory.create(alice(), CustomIdAfterDelete::New, NOW),
            Ok(Created::Existing(id.clone()))
        );
        let other = created(directory.create(Some("Alice".into()), CustomIdAfterDelete::New, NOW));
        assert_ne!(id, other);
    }

    #[test]
    fn after_a_delete_the_custom_id_does_what_was_chosen() {
        let mut directory = Directory::new(RESOURCE);
        let alice = || Some("alice".to_owned());
        let id = created(directory.create(alice(), CustomIdAfterDelete::New, NOW));
        directory.delete(&id, NOW);
        let refusal = directory.create(alice(), CustomIdAfterDelete::Refuse, NOW).unwrap_err();
        assert_eq!(refusal.status, StatusCode::CONFLICT);
        assert_eq!(created(directory.create(alice(), CustomIdAfterDelete::Same, NOW)), id);
        directory.delete(&id, NOW);
        assert_ne!(created(directory.create(alice(), CustomIdAfterDelete::New, NOW)), id);
    }
}
