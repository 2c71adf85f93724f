//! Groups: the stored form, the typed changes of a PATCH, and the net effect on members.

use std::collections::BTreeSet;

use scim::{Object, ResourceType, patch::Operation};
use serde_json::{Value, json};
use store::Instant;
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::{GroupId, MemberId, access::Access, event::Kind, event::NewEvent, fits, key, user::Notes, user::text_of};

/// The most member ids that one event names; a larger change is several events.
pub(crate) const IDS_PER_EVENT: usize = 1000;

/// The most ids that an error names.
pub(crate) const IDS_PER_ERROR: usize = 10;

/// A group as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) display_name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) version: i64,
    pub(crate) created: Instant,
    pub(crate) modified: Instant,
    /// The stored form as text.
    pub(crate) resource: String,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberType {
    User,
    Group,
}

impl MemberType {
    /// As it is stored.
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::User => 1,
            Self::Group => 2,
        }
    }
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) r#type: MemberType,
}

/// The first members of a group in id order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberPage {
    pub(crate) members: Vec<Member>,
    /// There are more after the last one.
    pub(crate) more: bool,
}

/// One change of a group, in the order of the PATCH.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GroupChange {
    Attribute(Operation),
    AddMembers(Vec<Uuid>),
    RemoveMembers(Vec<Uuid>),
    /// A value filter of `members`.
    RemoveMembersWhere(String),
    ReplaceMembers(Vec<Uuid>),
}

/// What is written of a group: the stored form and everything derived from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupContent {
    pub(crate) resource: Object,
    pub(crate) resource_text: String,
    pub(crate) search_text: String,
    pub(crate) display_name: String,
    pub(crate) display_name_key: String,
    pub(crate) external_id: Option<String>,
}

impl GroupContent {
    /// # Errors
    /// [`Reason::InvalidValue`] for a value too long to be indexed.
    pub(crate) fn new(rt: &ResourceType, resource: Object) -> Result<Self, Refusal> {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).map(str::to_owned);
        let external_id = text("externalId");
        if let Some(external_id) = &external_id {
            fits("externalId", external_id)?;
        }
        let Some(display_name) = text("displayName") else {
            return Err(Refusal::new(Reason::InvalidValue, "displayName is required. Send the name of the group."));
        };
        let search = scim::resource::search_document(rt, &resource);
        Ok(Self {
            resource_text: text_of(&resource)?,
            search_text: text_of(&search)?,
            display_name_key: key("displayName", &display_name)?,
            display_name,
            external_id,
            resource,
        })
    }
}

/// The net effect of changes on the members of one group: what was added and taken away again does not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberDelta {
    added: BTreeSet<Uuid>,
    removed: BTreeSet<Uuid>,
}

impl MemberDelta {
    pub(crate) fn add(&mut self, rows: impl IntoIterator<Item = Uuid>) {
        for id in rows {
            if !self.removed.remove(&id) {
                self.added.insert(id);
            }
        }
    }

    pub(crate) fn remove(&mut self, rows: impl IntoIterator<Item = Uuid>) {
        for id in rows {
            if !self.added.remove(&id) {
                self.removed.insert(id);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    pub(crate) fn only_removes(&self) -> bool {
        self.added.is_empty() && !self.removed.is_empty()
    }

    /// A lapsed plan forbids adding members, not removing them.
    pub(crate) fn check(&self, access: Access) -> Result<(), Refusal> {
        if self.added.is_empty() { Ok(()) } else { access.to_change() }
    }

    /// Events that name every id, in chunks.
    pub(crate) fn events(&self, group: GroupId, version: i64, notes: &Notes) -> Vec<NewEvent> {
        let mut events = Vec::new();
        for (name, ids) in [("added", &self.added), ("removed", &self.removed)] {
            let ids: Vec<Uuid> = ids.iter().copied().collect();
            for chunk in ids.chunks(IDS_PER_EVENT) {
                let mut delta = Object::new();
                delta.insert("version".to_owned(), json!(version));
                delta.insert(name.to_owned(), json!(chunk));
                notes.add_to(&mut delta);
                events.push(NewEvent { kind: Kind::MembersChanged, subject: group.0, delta: Value::Object(delta) });
            }
        }
        // A change of a few members is one event.
        if let [first, second] = &mut events[..]
            && self.added.len() + self.removed.len() <= IDS_PER_EVENT
            && let (Value::Object(first), Value::Object(second)) = (&mut first.delta, &mut second.delta)
        {
            first.append(second);
            events.truncate(1);
        }
        events
    }
}

/// The answer to members that cannot be added.
pub(crate) fn unknown_members(unknown: &[Uuid]) -> Refusal {
    let shown: Vec<String> = unknown.iter().take(IDS_PER_ERROR).map(Uuid::to_string).collect();
    Refusal::new(
        Reason::InvalidValue,
        format!(
            "No user or group of the organization has these ids: {}. Nothing was changed. Create the members first, or \
             leave these out.",
            shown.join(", ")
        ),
    )
}

pub(crate) fn member_of_itself() -> Refusal {
    Refusal::new(Reason::InvalidValue, "A group cannot be a member of itself. Leave its own id out of members.")
}

/// The answer to a displayName that is taken.
pub(crate) fn display_name_taken(display_name: &str) -> Refusal {
    Refusal::new(
        Reason::Uniqueness,
        format!(
            "A group with displayName {display_name:?} exists in this organization; names are compared without regard \
             to case. Find it with a filter on displayName and link to it, or send another displayName."
        ),
    )
}

pub(crate) fn group_not_found() -> Refusal {
    Refusal::new(
        Reason::GroupNotFound,
        "There is no group with this id in the organization. Look it up by displayName.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u128>) -> Vec<Uuid> {
        range.map(Uuid::from_u128).collect()
    }

    #[test]
    fn what_came_and_went_does_not_show() {
        let mut delta = MemberDelta::default();
        delta.add(ids(0..3));
        delta.remove(ids(0..3));
        assert!(delta.is_empty());
        delta.remove(ids(5..6));
        delta.add(ids(5..7));
        assert_eq!(delta, MemberDelta { added: ids(6..7).into_iter().collect(), removed: BTreeSet::new() });
    }

    #[test]
    fn a_small_change_is_one_event_and_a_large_one_names_every_id() {
        let group = GroupId(Uuid::from_u128(1));
        let mut delta = MemberDelta::default();
        delta.add(ids(10..12));
        delta.remove(ids(20..21));
        let events = delta.events(group, 7, &Notes::default());
        let expected = json!({"version": 7, "added": ids(10..12), "removed": ids(20..21)});
        assert_eq!(events.iter().map(|event| &event.delta).collect::<Vec<_>>(), [&expected]);

        delta.add(ids(100..2600));
        let events = delta.events(group, 7, &Notes::default());
        let named: usize = events.iter().filter_map(|event| event.delta["added"].as_array()).map(Vec::len).sum();
        assert_eq!((events.len(), named), (4, 2502));
    }
}
