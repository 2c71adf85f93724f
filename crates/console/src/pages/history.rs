//! What happened to one user or group, from its events, in words.
//!
//! Not here: the requests that made it happen (the provisioning log).

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt as _;
use serde_json::Value;
use tonic::Code;
use wire::identity::{Event, ListEventsOfSubjectRequest};

use super::{
    directory::{AT_ONCE, flatten, name_of},
    overview::grouped,
    who::Names,
};
use crate::{problem::Result, session::SignedIn, time::When};

/// Events of a page.
const PAGE: usize = 20;
/// Attributes of one event that are shown.
const CHANGES: usize = 30;
/// Characters of a value that are shown.
const LONGEST: usize = 200;
/// Members of one event whose names are shown.
const MEMBERS: usize = 5;
/// Names that are looked up for a page.
const NAMED: usize = 40;

/// A page of it, the newest first.
pub(super) struct History {
    pub(super) entries: Vec<Entry>,
    /// Nothing newer is left out.
    pub(super) newest: bool,
    /// Where what is older begins; 0: there is nothing older.
    pub(super) older: i64,
    /// Who made the subject, if its beginning is on this page.
    pub(super) made_by: Option<String>,
}

pub(super) struct Entry {
    pub(super) when: Option<When>,
    pub(super) who: String,
    pub(super) told: Told,
    /// Its members by name, as far as they are shown.
    pub(super) members: Vec<MemberLine>,
}

pub(super) struct MemberLine {
    /// `Added` or `Removed`.
    pub(super) word: &'static str,
    pub(super) named: Vec<Named>,
    pub(super) others: String,
}

#[derive(Clone)]
pub(super) struct Named {
    /// Below the root; empty: it is there no more.
    pub(super) path: String,
    pub(super) name: String,
}

/// An event in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Such as `Deactivated`: what follows is who did it.
    pub(super) what: String,
    pub(super) changes: Vec<Change>,
    /// How many more there are.
    pub(super) more: usize,
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// An attribute, by its path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// None: the service does not tell yet.
pub(super) async fn of(signed_in: &SignedIn, id: &str, before: &str) -> Result<Option<History>> {
    let before_sequence = before.parse().unwrap_or(0).max(0);
    let request = ListEventsOfSubjectRequest {
        organization_id: signed_in.organization_id(),
        subject_id: id.to_owned(),
        before_sequence,
        page_size: u32::try_from(PAGE + 1).unwrap_or_default(),
    };
    let mut log = signed_in.visit.console.clients.log.clone();
    let mut events = match log.list_events_of_subject(signed_in.call(request)).await {
        Ok(listed) => listed.into_inner().events,
        Err(status) if status.code() == Code::Unimplemented => return Ok(None),
        Err(status) => return Err(status.into()),
    };
    let more = events.len() > PAGE;
    events.truncate(PAGE);
    let older = events.last().filter(|_| more).map_or(0, |event| event.sequence);
    let names = Names::of(signed_in).await?;
    let entries = entries(signed_in, &events, &names).await;
    let made = |event: &&Event| matches!(event.r#type.as_str(), "user.created" | "group.created");
    let made_by = events.iter().find(made).map(|event| names.who(&event.actor_json));
    Ok(Some(History { entries, newest: before_sequence == 0, older, made_by }))
}

/// Of events, in their order.
pub(super) async fn entries(signed_in: &SignedIn, events: &[Event], names: &Names) -> Vec<Entry> {
    let now = signed_in.visit.console.now();
    let mut entries: Vec<_> = events.iter().map(|event| Entry::new(event, names, now)).collect();
    name_members(signed_in, &mut entries).await;
    entries
}

impl Entry {
    fn new(event: &Event, names: &Names, now: jiff::Timestamp) -> Self {
        let delta = serde_json::from_slice(&event.delta_json).unwrap_or_default();
        Self {
            when: When::of(event.occurred_at.as_ref(), now),
            who: names.who(&event.actor_json),
            told: told(&event.r#type, &delta),
            members: Vec::new(),
        }
    }
}

/// An event in words, from what it keeps.
pub(super) fn told(kind: &str, delta: &Value) -> Told {
    let mut told = Told { notes: notes(delta), ..Told::default() };
    let name_in = |side: &str| {
        let names = ["userName", "displayName"].map(|name| delta[side][name].as_str());
        let name = if kind.starts_with("user.") { names[0] } else { names[1] };
        name.map(|name| format!(" as \"{}\"", cut(name))).unwrap_or_default()
    };
    let inactive = delta["after"]["active"].as_bool() == Some(false);
    told.what = match kind {
        "user.created" if inactive => format!("Created inactive{}", name_in("after")),
        "user.created" | "group.created" => format!("Created{}", name_in("after")),
        "user.updated" | "group.updated" => {
            let mut changes = changes(&delta["before"], &delta["after"]);
            changes.retain(|change| change.name != "active");
            let others = !changes.is_empty();
            told.more = changes.len().saturating_sub(CHANGES);
            changes.truncate(CHANGES);
            told.changes = changes;
            let (was, is) = (delta["before"].get("active"), delta["after"].get("active"));
            let (was, is) = (was.and_then(Value::as_bool), is.and_then(Value::as_bool));
            match (was, is) {
                (Some(true), None | Some(false)) if others => "Deactivated and changed".to_owned(),
                (Some(true), None | Some(false)) => "Deactivated".to_owned(),
                (None | Some(false), Some(true)) if others => "Activated and changed".to_owned(),
                (None | Some(false), Some(true)) => "Activated".to_owned(),
                _ => "Changed".to_owned(),
            }
        }
        "user.deleted" => match delta["restorable_until"].as_str() {
            Some(until) => format!("Deleted, to be restored until {}", day(until)),
            None => "Deleted".to_owned(),
        },
        "user.restored" => format!("Restored{}", name_in("after")),
        "user.purged" => "Erased for good".to_owned(),
        "group.deleted" => "Deleted".to_owned(),
        "group.members_changed" => {
            told.added = ids(&delta["added"]);
            told.removed = ids(&delta["removed"]);
            match (told.added.len(), told.removed.len()) {
                (added, 0) => format!("{} added", members(added)),
                (0, removed) => format!("{} removed", members(removed)),
                (added, removed) => format!("{} added and {} removed", members(added), grouped(removed as u64)),
            }
        }
        "account.signed_in" => match delta["linked_by"].as_str() {
            Some(_) => "Signed in for the first time by this account of the provider".to_owned(),
            None => "Signed in".to_owned(),
        },
        "account.sign_in_refused" => "A sign-in was refused".to_owned(),
        "account.unlinked" => "Forgotten as whom it signs in".to_owned(),
        "account.invited" => "Told by mail where to set up the account".to_owned(),
        "account.keys_set_up" => "Made its keys".to_owned(),
        "account.keys_reset" => "Made new keys, since those before could not be used any more".to_owned(),
        "account.unlock_refused" => "Too many guesses at the password".to_owned(),
        "account.recovered" => "Opened with the emergency kit".to_owned(),
        "account.password_changed" => "Changed the master password".to_owned(),
        "account.confirmed" if delta["by_kit"] == true => {
            "Confirmed: has the organization key, by the organization's kit".to_owned()
        }
        "account.confirmed" => "Confirmed: has the organization key".to_owned(),
        // Of a later version: its own name says most.
        other => other.to_owned(),
    };
    told
}

/// What came with it and was not stored as it came.
fn notes(delta: &Value) -> Vec<String> {
    let listed = |name: &str| ids(&delta[name]).join(", ");
    let mut notes = Vec::new();
    for (text, list) in [("Not stored: ", listed("ignored")), ("Read leniently: ", listed("coerced"))] {
        if !list.is_empty() {
            notes.push(format!("{text}{}", cut(&list)));
        }
    }
    notes
}

fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn members(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} member{plural}", grouped(count as u64))
}

/// `2026-12-24T08:00:00Z` as `2026-12-24`.
fn day(instant: &str) -> &str {
    instant.split('T').next().unwrap_or(instant)
}

/// The attributes that differ, by their paths; what a path has several times is one list.
fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let [before, after] = [before, after].map(by_path);
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let change = |name: &String| Change {
        name: name.clone(),
        before: before.get(name).map(|values| cut(&values.join(", "))),
        after: after.get(name).map(|values| cut(&values.join(", "))),
    };
    differs.map(change).collect()
}

fn by_path(side: &Value) -> BTreeMap<String, Vec<String>> {
    let mut flat = Vec::new();
    for (name, value) in side.as_object().into_iter().flatten() {
        flatten(name, value, &mut flat);
    }
    let mut by_path = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in flat {
        by_path.entry(name).or_default().push(value);
    }
    by_path
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Looks up the names of the first members of each event.
async fn name_members(signed_in: &SignedIn, entries: &mut [Entry]) {
    let lists = |told: &Told| [("Added", told.added.clone()), ("Removed", told.removed.clone())];
    let mut wanted: Vec<String> = Vec::new();
    for id in entries.iter().flat_map(|entry| lists(&entry.told)).flat_map(|(_, ids)| ids.into_iter().take(MEMBERS)) {
        if wanted.len() < NAMED && !wanted.contains(&id) {
            wanted.push(id);
        }
    }
    let look = futures::stream::iter(wanted).map(|id| async move {
        let named = name_of(signed_in, &id).await;
        (id, named)
    });
    let found: HashMap<String, Option<(&'static str, String)>> = look.buffer_unordered(AT_ONCE).collect().await;
    let named = |id: &String| match found.get(id) {
        Some(Some((kind, name))) => Named { path: format!("{kind}/{id}"), name: name.clone() },
        _ => Named { path: String::new(), name: id.clone() },
    };
    for entry in entries {
        entry.members = lists(&entry.told)
            .into_iter()
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(word, ids)| MemberLine {
                word,
                named: ids.iter().take(MEMBERS).map(named).collect(),
                others: ids
                    .len()
                    .checked_sub(MEMBERS)
                    .filter(|n| *n > 0)
                    .map(|n| grouped(n as u64))
                    .unwrap_or_default(),
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn what(kind: &str, delta: Value) -> String {
        told(kind, &delta).what
    }

    #[test]
    fn an_event_is_told_in_words() {
        let kit =
            json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "kit@x", "active": true});
        assert_eq!(what("user.created", json!({"after": kit})), "Created as \"kit@x\"");
        let sleeping = json!({"after": {"userName": "kit@x", "active": false}});
        assert_eq!(what("user.created", sleeping), "Created inactive as \"kit@x\"");
        assert_eq!(what("group.created", json!({"after": {"displayName": "Ops"}})), "Created as \"Ops\"");
        for (before, after, said) in [
            (json!({"active": true}), json!({"active": false}), "Deactivated"),
            (json!({"active": true}), json!({}), "Deactivated"),
            (json!({"active": true, "title": "x"}), json!({"active": false}), "Deactivated and changed"),
            (json!({"active": false}), json!({"active": true}), "Activated"),
            (json!({}), json!({"active": true, "title": "x"}), "Activated and changed"),
            (json!({"title": "x"}), json!({"title": "y"}), "Changed"),
            (json!({"active": false}), json!({}), "Changed"),
        ] {
            assert_eq!(what("user.updated", json!({"before": before, "after": after})), said);
        }
        let deleted = json!({"before": {"userName": "kit@x"}, "restorable_until": "2026-12-24T08:00:00Z"});
        assert_eq!(what("user.deleted", deleted), "Deleted, to be restored until 2026-12-24");
        assert_eq!(what("user.deleted", json!({"before": {}})), "Deleted");
        assert_eq!(what("user.restored", json!({"after": {"userName": "kit@x"}})), "Restored as \"kit@x\"");
        assert_eq!(what("user.purged", json!({})), "Erased for good");
        assert_eq!(what("group.deleted", json!({"before": {"displayName": "Ops"}, "members": 3})), "Deleted");
        assert_eq!(what("group.moved", json!({})), "group.moved");
    }

    #[test]
    fn members_are_counted_and_kept() {
        for (delta, said) in [
            (json!({"version": 2, "added": ["a"]}), "1 member added"),
            (json!({"version": 2, "removed": ["a", "b"]}), "2 members removed"),
            (json!({"version": 2, "added": ["a"], "removed": ["b", "c"]}), "1 member added and 2 removed"),
        ] {
            let told = told("group.members_changed", &delta);
            assert_eq!(told.what, said);
            assert_eq!((told.added, told.removed), (ids(&delta["added"]), ids(&delta["removed"])));
        }
    }

    #[test]
    fn what_differs_is_told_by_paths() {
        let delta = json!({
            "before": {
                "name": {"givenName": "Kit", "familyName": "Moor"},
                "emails": [{"type": "work", "value": "kit@x"}],
                "title": "x".repeat(300),
                "active": true,
            },
            "after": {
                "name": {"givenName": "Kit", "familyName": "Moss"},
                "emails": [{"type": "work", "value": "kit@x"}, {"type": "work", "value": "moss@x"}],
                "nickName": "<b>",
                "active": false,
            },
            "ignored": ["color", "shoe"],
            "coerced": ["boolean_text"],
        });
        let told = told("user.updated", &delta);
        let shown: Vec<_> = told
            .changes
            .iter()
            .map(|change| {
                let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
                format!("{}: {} > {}", change.name, side(&change.before), side(&change.after))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "emails (work): kit@x > kit@x, moss@x".to_owned(),
                "name.familyName: Moor > Moss".to_owned(),
                "nickName: - > <b>".to_owned(),
                format!("title: {}... > -", "x".repeat(LONGEST)),
            ]
        );
        assert_eq!(told.notes, ["Not stored: color, shoe", "Read leniently: boolean_text"]);
        assert_eq!((told.what.as_str(), told.more), ("Deactivated and changed", 0));
    }

    #[test]
    fn of_many_attributes_some_are_shown() {
        let after: serde_json::Map<_, _> = (0..CHANGES + 3).map(|n| (format!("a{n}"), json!("v"))).collect();
        let told = told("user.updated", &json!({"before": {}, "after": after}));
        assert_eq!((told.changes.len(), told.more), (CHANGES, 3));
    }
}
