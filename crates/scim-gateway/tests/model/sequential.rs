//! One client alone: after each call the whole of SCIM is known, so every answer must be exactly the one expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    STATUSES,
    calls::{Answer, Ask, Call, Expected, Life, Request, Shown, Verb, obey, renames, version},
    clients::{Client, Shared},
    enroll,
    harness::{BASE, Server},
    kinds::{Gone, Group, Kind, Refused, TAKEN, User, folded},
    replicas,
};

const OPERATIONS: usize = 200;
const SEEDS: [u64; 2] = [11, 12];
/// Calls between two readings of everything.
const READ_ALL: usize = 25;

struct Kept<K> {
    version: u64,
    value: K,
    created: String,
    /// Not known where the deletion of a member has changed it.
    modified: Option<String>,
}

#[derive(Default)]
struct World {
    users: BTreeMap<String, Kept<User>>,
    groups: BTreeMap<String, Kept<Group>>,
    gone: Gone,
    /// Every group there ever was.
    group_ids: BTreeSet<String>,
}

fn instant(body: &Value, name: &str) -> String {
    let text = body["meta"][name].as_str().unwrap_or_else(|| panic!("no meta.{name}: {body}"));
    let parsed: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(format!("{parsed:.6}").parse::<jiff::Timestamp>().expect("an instant"), parsed);
    text.to_owned()
}

impl<K: Kind> Kept<K> {
    /// The body must be the whole of it; what could not be known is learned from it.
    fn is_shown(&mut self, id: &str, body: &Value, group_ids: &BTreeSet<String>, groups: Option<Value>) {
        let modified = instant(body, "lastModified");
        assert!(modified >= self.created, "{body}");
        let known = self.modified.get_or_insert_with(|| modified.clone());
        let etag = body["meta"]["version"].as_str().unwrap_or_default();
        assert_eq!(version(etag), Some(self.version), "{body}");
        let mut expected = Shown::of(id, self.version, &self.value, group_ids).body;
        expected["meta"]["created"] = json!(self.created);
        expected["meta"]["lastModified"] = json!(known);
        expected["meta"]["version"] = json!(etag);
        let in_groups = groups.as_ref().and_then(Value::as_array).is_some_and(|groups| !groups.is_empty());
        assert_eq!(etag.contains('-'), in_groups, "a tag tells of groups: {body}");
        if let Some(groups) = groups {
            expected["groups"] = groups;
        }
        assert_eq!(*body, expected);
    }
}

impl World {
    /// The groups of a user as its body has them: those it is in, then those these are in, each by id.
    fn groups_of(&self, user: &str) -> Value {
        let holding = |member: &str| -> Vec<&String> {
            self.groups.iter().filter(|(_, group)| group.value.members.contains(member)).map(|(id, _)| id).collect()
        };
        let direct: BTreeSet<&String> = holding(user).into_iter().collect();
        let mut reached = direct.clone();
        let mut next: Vec<&String> = direct.iter().copied().collect();
        while let Some(id) = next.pop() {
            next.extend(holding(id).into_iter().filter(|outer| reached.insert(outer)));
        }
        let shown = |id: &&String, kind: &str| {
            let name = &self.groups[*id].value.display_name;
            json!({"value": id, "$ref": format!("{BASE}/Groups/{id}"), "display": name, "type": kind})
        };
        let indirect = reached.iter().filter(|id| !direct.contains(**id)).map(|id| shown(id, "indirect"));
        direct.iter().map(|id| shown(id, "direct")).chain(indirect).collect()
    }

    fn judge(&mut self, call: &Call) {
        match &call.request {
            Request::User(ask) => {
                let mut users = std::mem::take(&mut self.users);
                let deleted = self.judge_one(&mut users, ask, &call.answer);
                self.users = users;
                self.delete(deleted);
                self.show_users(&call.answer.body);
            }
            Request::Group(ask) => {
                let mut groups = std::mem::take(&mut self.groups);
                let deleted = self.judge_one(&mut groups, ask, &call.answer);
                self.groups = groups;
                self.delete(deleted);
                self.show_groups(&call.answer.body);
            }
        }
    }

    /// Judges status, error and version, and keeps what the call has done; an id is one that it has deleted.
    fn judge_one<K: Kind>(
        &mut self,
        kept: &mut BTreeMap<String, Kept<K>>,
        ask: &Ask<K>,
        answer: &Answer,
    ) -> Option<String> {
        let taken = |kept: &BTreeMap<String, Kept<K>>, name: &str| {
            kept.values().any(|kept| folded(kept.value.name()) == folded(name))
        };
        match ask {
            Ask::Find(name) => {
                let found = kept.values().filter(|kept| folded(kept.value.name()) == folded(name)).count();
                assert_eq!(answer.status, 200);
                let resources = &answer.body["Resources"];
                let expected = json!({
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
                    "totalResults": found, "startIndex": 1, "itemsPerPage": found, "Resources": resources,
                });
                assert_eq!((answer.body.clone(), resources.as_array().map(Vec::len)), (expected, Some(found)));
            }
            Ask::Create(body) if taken(kept, K::name_of(body)) => self.refuses(answer, TAKEN),
            Ask::Create(body) => match K::created(body, &self.gone) {
                Err(refused) => self.refuses(answer, refused),
                Ok(value) => {
                    assert_eq!(answer.status, 201, "{answer}");
                    let created = instant(&answer.body, "created");
                    let id = answer.shown()[0].id.clone();
                    if K::TYPE == Group::TYPE {
                        self.group_ids.insert(id.clone());
                    }
                    let modified = Some(created.clone());
                    let new = kept.insert(id, Kept { version: 1, value, created, modified });
                    assert!(new.is_none(), "an id was given twice");
                }
            },
            Ask::To { id, if_match, verb } => {
                let life = kept
                    .get(id)
                    .map_or(Life::Unborn, |kept| Life::Alive { version: kept.version, value: kept.value.clone() });
                let (expected, after) = obey(&life, &self.gone, id, *if_match, verb);
                match expected {
                    Expected::Refused(refused) => self.refuses(answer, refused),
                    Expected::Done(..)
                        if renames(&life, &after)
                            && matches!(&after, Life::Alive { value, .. } if taken(kept, value.name())) =>
                    {
                        self.refuses(answer, TAKEN);
                    }
                    Expected::Done(status, tag, shown) => {
                        assert_eq!((answer.status, version(&answer.etag)), (status, tag), "{answer}");
                        assert_eq!(answer.body.is_null(), shown.is_none(), "{answer}");
                        if matches!(verb, Verb::Delete) {
                            kept.remove(id);
                            return Some(id.clone());
                        }
                        if let (Life::Alive { version, value }, Some(kept)) = (after, kept.get_mut(id))
                            && version != kept.version
                        {
                            (kept.version, kept.value, kept.modified) = (version, value, None);
                        }
                    }
                }
            }
        }
        None
    }

    fn refuses(&self, answer: &Answer, (status, scim_type): Refused) {
        let mut expected = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": status.to_string(), "detail": answer.body["detail"],
        });
        if let Some(scim_type) = scim_type {
            expected["scimType"] = json!(scim_type);
        }
        assert_eq!((answer.status, &answer.body), (status, &expected), "{answer}");
    }

    fn delete(&mut self, id: Option<String>) {
        let Some(id) = id else { return };
        for group in self.groups.values_mut().filter(|group| group.value.members.contains(&id)) {
            group.value.forget(&id);
            group.version += 1;
            group.modified = None;
        }
        self.gone.insert(id);
    }

    /// Each resource in a body is as it is kept.
    fn show_users(&mut self, body: &Value) {
        for body in shown(body) {
            let id = body["id"].as_str().unwrap_or_default();
            let groups = self.groups_of(id);
            let groups = groups.as_array().is_some_and(|groups| !groups.is_empty()).then_some(groups);
            let kept = self.users.get_mut(id).unwrap_or_else(|| panic!("no such user: {body}"));
            kept.is_shown(id, body, &self.group_ids, groups);
        }
    }

    fn show_groups(&mut self, body: &Value) {
        for body in shown(body) {
            let id = body["id"].as_str().unwrap_or_default();
            let kept = self.groups.get_mut(id).unwrap_or_else(|| panic!("no such group: {body}"));
            kept.is_shown(id, body, &self.group_ids, None);
        }
    }

    /// All of it, in the order of ids.
    async fn read_all(&mut self, server: &Server) {
        let ids = |body: &Value| -> Vec<String> {
            shown(body).iter().map(|body| body["id"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let users = server.get("/Users").await.is(200).json();
        assert_eq!(ids(&users), self.users.keys().cloned().collect::<Vec<_>>());
        self.show_users(&users);
        let groups = server.get("/Groups").await.is(200).json();
        assert_eq!(ids(&groups), self.groups.keys().cloned().collect::<Vec<_>>());
        self.show_groups(&groups);
    }
}

/// The resources in a body: itself, or the list.
fn shown(body: &Value) -> Vec<&Value> {
    match body.get("Resources").and_then(Value::as_array) {
        Some(resources) => resources.iter().collect(),
        None if body.get("id").is_some() => vec![body],
        None => Vec::new(),
    }
}

async fn exact(databases: [testkit::TestDatabase; 2]) {
    let mut servers = replicas(databases).await;
    let mut statuses = BTreeSet::new();
    for seed in SEEDS {
        enroll(&mut servers, &format!("alone-{seed}")).await;
        let server = Arc::new(servers.swap_remove(0));
        let mut client = Client::new(0, seed, Arc::clone(&server), Arc::new(Shared::default()));
        let mut world = World::default();
        for n in 0..OPERATIONS {
            let call = client.call().await;
            // With the output of a test that fails.
            #[expect(clippy::print_stdout, reason = "the calls that led to a failure")]
            {
                println!("seed {seed}, call {n}: {} -> {}", call.request, call.answer);
            }
            statuses.insert(call.answer.status);
            world.judge(&call);
            if n % READ_ALL == 0 {
                world.read_all(&server).await;
            }
        }
        world.read_all(&server).await;
        drop(client);
        servers.insert(0, Arc::into_inner(server).expect("the client is gone"));
    }
    assert!(STATUSES.iter().all(|status| statuses.contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn every_answer_is_the_one_expected_on_sqlite() {
    exact([testkit::sqlite(), testkit::sqlite()]).await;
}

#[tokio::test]
async fn every_answer_is_the_one_expected_on_postgres() {
    exact([testkit::postgres(), testkit::postgres()]).await;
}
