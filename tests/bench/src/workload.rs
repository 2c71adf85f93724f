//! What is measured: each workload's requests, and what their answers must be like.
//!
//! Every write is a real change: flags and memberships go back and forth. Connections write apart from each other, but for
//! the members of one group, which two or more add and remove at once as an identity provider does.

use std::{fmt, ops::Range, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::Method;
use serde_json::json;
use testkit::{entra, okta};
use uuid::Uuid;

use crate::{
    directory::{self, Directory, Group},
    load::{Call, Expect, Reply, Script},
    stand::id_of,
};

/// How many groups the connections of one membership workload share; the same at each size.
const GROUPS: usize = 4;
/// Users on a page.
pub(crate) const PAGE: usize = 100;

/// One kind of request, or a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Workload {
    Get,
    FilterUserName,
    FilterExternalId,
    PageFirst,
    PageDeep,
    PageCursorFirst,
    PageCursorDeep,
    PatchActive,
    PutUser,
    /// With this many members, shown.
    GroupGet(usize),
    /// `excludedAttributes=members`.
    GroupGetBare(usize),
    GroupPatch(usize),
    GroupPut(usize),
    Okta,
    Entra,
    Create,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get => f.write_str("get"),
            Self::FilterUserName => f.write_str("filter-username"),
            Self::FilterExternalId => f.write_str("filter-externalid"),
            Self::PageFirst => f.write_str("page-first"),
            Self::PageDeep => f.write_str("page-deep"),
            Self::PageCursorFirst => f.write_str("page-cursor-first"),
            Self::PageCursorDeep => f.write_str("page-cursor-deep"),
            Self::PatchActive => f.write_str("patch-active"),
            Self::PutUser => f.write_str("put-user"),
            Self::GroupGet(size) => write!(f, "group-get-{size}"),
            Self::GroupGetBare(size) => write!(f, "group-get-bare-{size}"),
            Self::GroupPatch(size) => write!(f, "group-patch-{size}"),
            Self::GroupPut(size) => write!(f, "group-put-{size}"),
            Self::Okta => f.write_str("okta"),
            Self::Entra => f.write_str("entra"),
            Self::Create => f.write_str("create"),
        }
    }
}

impl Workload {
    /// In the order they run in: what adds users comes last.
    pub(crate) fn all(directory: &Directory) -> Vec<Self> {
        let sizes = directory.sizes();
        // Ten thousand members, or the most there are.
        let whole = sizes.keys().copied().rfind(|size| *size <= 10_000).unwrap_or_default();
        let mut all = vec![
            Self::Get,
            Self::FilterUserName,
            Self::FilterExternalId,
            Self::PageFirst,
            Self::PageDeep,
            Self::PageCursorFirst,
            Self::PageCursorDeep,
            Self::GroupGet(whole),
            Self::GroupGetBare(whole),
            Self::PatchActive,
            Self::PutUser,
        ];
        all.extend(sizes.keys().map(|size| Self::GroupPatch(*size)));
        all.extend([Self::GroupPut(whole), Self::Okta, Self::Entra, Self::Create]);
        all
    }

    /// Whether `--only` asks for it: by the beginning of its name.
    pub(crate) fn is_wanted(self, only: &[String]) -> bool {
        let name = self.to_string();
        only.is_empty() || only.iter().any(|wanted| name.starts_with(&wanted.to_lowercase()))
    }

    /// Whether it is measured at 64 connections, too.
    pub(crate) fn at_many_connections(self) -> bool {
        matches!(self, Self::Get | Self::FilterUserName)
    }

    /// How many connections can write apart from each other.
    pub(crate) fn connections(self, directory: &Directory, wanted: usize) -> usize {
        match self {
            Self::GroupPut(size) => wanted.min(directory.groups_of(size).len()),
            Self::GroupPatch(size) => wanted.min(size * GROUPS),
            Self::PatchActive | Self::PutUser => wanted.min(directory.asked_for().len()),
            _ => wanted,
        }
    }

    /// What each of the connections sends. `cursor` is one that continues near the end, for [`Workload::PageCursorDeep`].
    pub(crate) fn scripts(
        self,
        directory: &Arc<Directory>,
        connections: usize,
        cursor: Option<&str>,
    ) -> Result<Vec<Box<dyn Script>>> {
        (0..connections).map(|n| self.script(directory, n, connections, cursor)).collect()
    }

    fn script(
        self,
        directory: &Arc<Directory>,
        n: usize,
        connections: usize,
        cursor: Option<&str>,
    ) -> Result<Box<dyn Script>> {
        let mut random = Random(n as u64 + 1);
        let asked = directory.asked_for();
        let users = directory.users.len();
        let own = Stripe::new(asked.clone(), n, connections);
        let mine = Arc::clone(directory);
        Ok(match self {
            Self::Get => Box::new(move || get_user(&mine, random.within(&asked))),
            Self::FilterUserName => Box::new(move || find_user(&mine, random.within(&asked))),
            Self::FilterExternalId => Box::new(move || find_by_external_id(&mine, random.within(&asked))),
            Self::PageFirst => {
                let call = page("startIndex=1", Some(users));
                Box::new(move || call.clone())
            }
            Self::PageDeep => {
                // Each start another one, so that no page continues the one before.
                let last = users - PAGE + 1;
                let starts = last - (users / 100).min(10_000)..last + 1;
                Box::new(move || page(&format!("startIndex={}", random.within(&starts)), Some(users)))
            }
            Self::PageCursorFirst => {
                let call = page("cursor", None);
                Box::new(move || call.clone())
            }
            Self::PageCursorDeep => {
                let call = page(&format!("cursor={}", cursor.context("no cursor")?), None);
                Box::new(move || call.clone())
            }
            Self::GroupGet(size) => {
                let groups = directory.groups_of(size);
                Box::new(move || {
                    let group = random.of(&groups);
                    let expect = Expect::status(&[200]).containing(&group.name).counting("\"value\":\"", size);
                    Call::get(format!("/Groups/{}", group.id), expect)
                })
            }
            Self::GroupGetBare(size) => {
                let groups = directory.groups_of(size);
                Box::new(move || {
                    let group = random.of(&groups);
                    let expect = Expect::status(&[200]).containing(&group.name).counting("\"members\"", 0);
                    Call::get(format!("/Groups/{}?excludedAttributes=members", group.id), expect)
                })
            }
            Self::PatchActive => Box::new(PatchActive { directory: mine, own }),
            Self::PutUser => Box::new(PutUser { directory: mine, own }),
            Self::GroupPatch(size) => Box::new(GroupPatch::new(mine, size, n, connections)?),
            Self::GroupPut(size) => Box::new(GroupPut::new(directory, size, n)?),
            Self::Okta => Box::new(Trace::new(mine, n, OKTA)),
            Self::Entra => Box::new(Trace::new(mine, n, ENTRA)),
            Self::Create => {
                let mut made = 0;
                Box::new(move || {
                    made += 1;
                    create_user(&format!("new-{n}-{made}@bench.example"), &format!("new-{n}-{made}"), made)
                })
            }
        })
    }
}

/// A small generator (splitmix64): the same requests at each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, range: &Range<usize>) -> usize {
        range.start + (self.next() % range.len().max(1) as u64) as usize
    }

    fn of<'a>(&mut self, groups: &'a [Group]) -> &'a Group {
        &groups[self.within(&(0..groups.len()))]
    }
}

/// One connection's share of the users, walked round and round.
struct Stripe {
    users: Range<usize>,
    at: usize,
    step: usize,
    /// How often the walk has begun again.
    pass: usize,
    first: usize,
}

impl Stripe {
    fn new(users: Range<usize>, n: usize, connections: usize) -> Self {
        let first = users.start + n;
        Self { users, at: first, step: connections, pass: 0, first }
    }

    /// The next user and whether this is an odd pass.
    fn next(&mut self) -> (usize, bool) {
        if self.at >= self.users.end {
            self.at = self.first;
            self.pass += 1;
        }
        let user = self.at;
        self.at += self.step;
        (user, self.pass % 2 == 1)
    }
}

fn get_user(directory: &Directory, n: usize) -> Call {
    let expect = Expect::status(&[200]).containing(format!("\"{}\"", directory::user_name(n)));
    Call::get(format!("/Users/{}", directory.users[n]), expect)
}

/// The answer holds this one user.
fn one_user(directory: &Directory, n: usize) -> Expect {
    Expect::status(&[200]).containing("\"totalResults\":1,").containing(directory.users[n].to_string())
}

fn find_user(directory: &Directory, n: usize) -> Call {
    Call::get(okta::find_user(&directory::user_name(n)), one_user(directory, n))
}

fn find_by_external_id(directory: &Directory, n: usize) -> Call {
    let path = format!("/Users?filter=externalId+eq+%22{}%22", directory::external_id(n));
    Call::get(path, one_user(directory, n))
}

fn page(from: &str, total: Option<usize>) -> Call {
    let mut expect = Expect::status(&[200]).containing(format!("\"itemsPerPage\":{PAGE}"));
    if let Some(total) = total {
        expect = expect.containing(format!("\"totalResults\":{total},"));
    }
    Call::get(format!("/Users?{from}&count={PAGE}"), expect.counting("\"userName\":", PAGE))
}

fn create_user(user_name: &str, external_id: &str, n: usize) -> Call {
    let body = directory::user(user_name, external_id, n).to_string();
    Call::new(Method::POST, "/Users", body, Expect::status(&[201]).containing(format!("\"{user_name}\"")))
}

/// The catalogue app's deactivation, then reactivation.
struct PatchActive {
    directory: Arc<Directory>,
    own: Stripe,
}

impl Script for PatchActive {
    fn next(&mut self) -> Call {
        let (user, active) = self.own.next();
        let expect = Expect::status(&[200, 204]).containing(format!("\"active\":{active}"));
        let path = format!("/Users/{}", self.directory.users[user]);
        Call::new(Method::PATCH, path, okta::set_active(active).to_string(), expect)
    }
}

/// The wizard app's update of one attribute: the whole user.
struct PutUser {
    directory: Arc<Directory>,
    own: Stripe,
}

impl Script for PutUser {
    fn next(&mut self) -> Call {
        let (user, odd) = self.own.next();
        let title = if odd { "Engineer" } else { "Director" };
        let mut body = directory::user(&directory::user_name(user), &directory::external_id(user), user);
        body["title"] = json!(title);
        let expect = Expect::status(&[200]).containing(format!("\"title\":\"{title}\""));
        Call::new(Method::PUT, format!("/Users/{}", self.directory.users[user]), body.to_string(), expect)
    }
}

/// Removes one member, then adds it again.
struct GroupPatch {
    directory: Arc<Directory>,
    group: Group,
    own: Stripe,
    /// Who was removed.
    out: Option<usize>,
}

impl GroupPatch {
    fn new(directory: Arc<Directory>, size: usize, n: usize, connections: usize) -> Result<Self> {
        let groups: Vec<Group> = directory.groups_of(size).into_iter().take(GROUPS).collect();
        let group = groups.get(n % groups.len().max(1)).context("no group of this size")?.clone();
        let sharing = connections.div_ceil(groups.len());
        let own = Stripe::new(group.first..group.first + group.size, n / groups.len(), sharing);
        Ok(Self { directory, group, own, out: None })
    }
}

impl Script for GroupPatch {
    fn next(&mut self) -> Call {
        let operation = match self.out.take() {
            None => {
                let (user, _) = self.own.next();
                self.out = Some(user);
                json!({"op": "remove", "path": format!("members[value eq \"{}\"]", self.directory.users[user])})
            }
            Some(user) => {
                json!({"op": "add", "path": "members", "value": [{"value": self.directory.users[user]}]})
            }
        };
        let body = okta::patch(json!([operation])).to_string();
        Call::new(Method::PATCH, format!("/Groups/{}", self.group.id), body, Expect::status(&[204]))
    }
}

/// The wizard app's membership change: the whole group, now with one member less, now with all.
struct GroupPut {
    path: String,
    bodies: [Bytes; 2],
    sent: usize,
    expect: Expect,
}

impl GroupPut {
    fn new(directory: &Directory, size: usize, n: usize) -> Result<Self> {
        let groups = directory.groups_of(size);
        let group = groups.get(n).context("no group of this size")?;
        let mut ids: Vec<Uuid> = directory.users[group.first..group.first + group.size].to_vec();
        let all = directory::group_body(&group.name, &directory::members(&ids)).into();
        ids.remove(size / 2);
        let less = directory::group_body(&group.name, &directory::members(&ids)).into();
        // As Okta, which reads the answer of a PUT for nothing else than its status.
        let path = format!("/Groups/{}?excludedAttributes=members", group.id);
        Ok(Self { path, bodies: [less, all], sent: 0, expect: Expect::status(&[200]).containing(&group.name) })
    }
}

impl Script for GroupPut {
    fn next(&mut self) -> Call {
        let body = self.bodies[self.sent % 2].clone();
        self.sent += 1;
        Call::new(Method::PUT, self.path.clone(), body, self.expect.clone())
    }
}

/// One person's life in the directory, step by step, again and again.
struct Trace {
    directory: Arc<Directory>,
    steps: &'static [fn(&Person<'_>) -> Call],
    step: usize,
    connection: usize,
    person: usize,
    id: Uuid,
}

/// Whom a step is about.
struct Person<'a> {
    user_name: &'a str,
    external_id: &'a str,
    id: Uuid,
    group: &'a Group,
    n: usize,
}

/// The catalogue app: looked up, pushed, read, put in a group, updated, put out again, deactivated.
const OKTA: &[fn(&Person<'_>) -> Call] = &[
    |p| Call::get(okta::find_user(p.user_name), Expect::status(&[200]).containing("\"totalResults\":0")),
    |p| create_user(p.user_name, p.external_id, p.n),
    read_user,
    |p| {
        Call::get(
            okta::find_group(&p.group.name).replace("count=100", "count=1&excludedAttributes=members"),
            Expect::status(&[200]).containing("\"totalResults\":1"),
        )
    },
    |p| {
        let operations = json!([
            okta::name_operation(&p.group.id.to_string(), &p.group.name),
            {"op": "add", "path": "members", "value": [okta::member(&p.id.to_string(), p.user_name)]},
        ]);
        patch_group(p, &okta::patch(operations))
    },
    |p| {
        let mut body = directory::user(p.user_name, p.external_id, p.n);
        body["title"] = json!("Director");
        let expect = Expect::status(&[200]).containing("\"title\":\"Director\"");
        Call::new(Method::PUT, format!("/Users/{}", p.id), body.to_string(), expect)
    },
    |p| Call::get(okta::find_user(p.user_name), Expect::status(&[200]).containing("\"totalResults\":1,")),
    |p| {
        let operation = json!({"op": "remove", "path": format!("members[value eq \"{}\"]", p.id)});
        patch_group(p, &okta::patch(json!([operation])))
    },
    |p| {
        let expect = Expect::status(&[200, 204]).containing("\"active\":false");
        Call::new(Method::PATCH, format!("/Users/{}", p.id), okta::set_active(false).to_string(), expect)
    },
];

/// Entra ID's default dialect: looked up, created, read, changed, put in a group, put out again, disabled.
const ENTRA: &[fn(&Person<'_>) -> Call] = &[
    |p| {
        let path = format!("/Users?filter=externalId+eq+%22{}%22", p.external_id);
        Call::get(path, Expect::status(&[200]).containing("\"totalResults\":0"))
    },
    |p| {
        let expect = Expect::status(&[201]).containing(format!("\"{}\"", p.user_name));
        let body = entra::create_user(p.user_name, p.external_id);
        Call::new(Method::POST, "/Users", body.to_string(), expect)
    },
    read_user,
    |p| {
        let operations = json!([
            entra::operation("Replace", "displayName", json!("Ana Moor")),
            entra::operation("Add", "emails[type eq \"work\"].value", json!(p.user_name)),
        ]);
        let expect = Expect::status(&[200, 204]).containing("\"Ana Moor\"");
        Call::new(Method::PATCH, format!("/Users/{}", p.id), okta::patch(operations).to_string(), expect)
    },
    |p| {
        let path = format!("/Groups/{}?excludedAttributes=members", p.group.id);
        Call::get(path, Expect::status(&[200]).containing(&p.group.name))
    },
    |p| {
        let operation = entra::operation("Add", "members", json!([{"value": p.id, "$ref": null}]));
        patch_group(p, &okta::patch(json!([operation])))
    },
    |p| {
        let operation = entra::operation("Remove", "members", json!([{"value": p.id}]));
        patch_group(p, &okta::patch(json!([operation])))
    },
    |p| {
        let operation = entra::operation("Replace", "active", json!("False"));
        let expect = Expect::status(&[200, 204]).containing("\"active\":false");
        Call::new(Method::PATCH, format!("/Users/{}", p.id), okta::patch(json!([operation])).to_string(), expect)
    },
];

fn read_user(p: &Person<'_>) -> Call {
    Call::get(format!("/Users/{}", p.id), Expect::status(&[200]).containing(format!("\"{}\"", p.user_name)))
}

fn patch_group(p: &Person<'_>, body: &serde_json::Value) -> Call {
    Call::new(Method::PATCH, format!("/Groups/{}", p.group.id), body.to_string(), Expect::status(&[200, 204]))
}

impl Trace {
    fn new(directory: Arc<Directory>, connection: usize, steps: &'static [fn(&Person<'_>) -> Call]) -> Self {
        Self { directory, steps, step: 0, connection, person: 0, id: Uuid::nil() }
    }
}

impl Script for Trace {
    fn next(&mut self) -> Call {
        let groups = &self.directory.facts.groups;
        let name = format!("{}-{}-{}", self.steps.len(), self.connection, self.person);
        let (user_name, external_id) = (format!("sync-{name}@bench.example"), format!("sync-{name}"));
        let person = Person {
            user_name: &user_name,
            external_id: &external_id,
            id: self.id,
            group: &groups[(self.connection + self.person) % groups.len()],
            n: self.person,
        };
        self.steps[self.step](&person)
    }

    fn seen(&mut self, reply: &Reply) -> Result<()> {
        if reply.status == 201 {
            self.id = id_of(reply)?;
        }
        self.step += 1;
        if self.step == self.steps.len() {
            self.step = 0;
            self.person += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Facts, groups};

    fn directory(users: usize) -> Arc<Directory> {
        let ids = (0..users as u128).map(Uuid::from_u128).collect();
        let facts = Facts { organization: String::new(), token: String::new(), groups: groups(users) };
        Arc::new(Directory { users: ids, facts })
    }

    #[test]
    fn each_connection_walks_its_own_users_and_changes_them_each_time() {
        let mut stripes: Vec<_> = (0..3).map(|n| Stripe::new(10..18, n, 3)).collect();
        let mut walk = |n: usize, steps: usize| (0..steps).map(|_| stripes[n].next()).collect::<Vec<_>>();
        assert_eq!(walk(0, 4), [(10, false), (13, false), (16, false), (10, true)]);
        assert_eq!(walk(2, 3), [(12, false), (15, false), (12, true)]);
    }

    #[test]
    fn connections_that_share_a_group_change_other_members() {
        let directory = directory(1000);
        let mut removed = std::collections::BTreeSet::new();
        for n in 0..8 {
            let mut script = GroupPatch::new(Arc::clone(&directory), 10, n, 8).expect("a group");
            for _ in 0..5 {
                let remove = script.next();
                assert!(removed.insert((remove.path.clone(), remove.body.clone())), "{n}");
                let add = script.next();
                assert!(add.body.starts_with(b"{") && add.body != remove.body);
            }
        }
    }

    #[test]
    fn names_are_asked_for_by_their_beginning() {
        let only = ["get".to_owned(), "group-patch".to_owned()];
        assert!(Workload::Get.is_wanted(&only) && Workload::GroupPatch(10).is_wanted(&only));
        assert!(!Workload::GroupGet(10).is_wanted(&only) && Workload::Okta.is_wanted(&[]));
    }

    #[test]
    fn a_put_takes_one_member_out_and_puts_it_back() {
        let mut put = GroupPut::new(&directory(1000), 10, 3).expect("a group");
        let size = |call: Call| {
            let body: serde_json::Value = serde_json::from_slice(&call.body).expect("JSON");
            body["members"].as_array().expect("members").len()
        };
        assert_eq!([size(put.next()), size(put.next()), size(put.next())], [9, 10, 9]);
    }
}
