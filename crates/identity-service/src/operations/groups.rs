//! Groups and their members. A group is never loaded with its members: its row is locked, then each change is one
//! statement on the members it names. On PostgreSQL the common changes are one statement altogether.

use std::sync::Arc;

use ::store::{AnyConnection, Backend, Instant};
use scim::{Object, ResourceType, schema::Types};
use serde_json::json;
use uuid::Uuid;
use wire::Refusal;

use super::{Core, OPTIMISTIC_TRIES, Scope, contended};
use crate::{
    domain::{
        GroupId, MemberId, OrgId, Precondition,
        access::Access,
        event::{Kind, NewEvent},
        group::{
            Group, GroupChange, GroupContent, IDS_PER_EVENT, MemberDelta, MemberPage, display_name_taken,
            group_not_found, member_of_itself, unknown_members,
        },
        idempotency::{IdempotencyKey, digest, spent},
        list::Target,
        user::{Notes, delta, parse_stored},
    },
    error::{Refused, from_scim, internal},
    store::{
        filter_sql::Compiler,
        group::{self, Found, GroupUpdate},
        member::{self, Membership},
        statement::{Lock, Statement},
        tombstone, violates,
    },
};

/// Members that go in the transaction that deletes their group; those of a larger one go later.
const PURGED_AT_ONCE: i64 = 1000;

/// A group with the first members that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct ShownGroup {
    pub(crate) group: Group,
    pub(crate) members: MemberPage,
    /// The call changed the group or its members.
    pub(crate) changed: bool,
    /// Of the call that did so, or asked for it.
    pub(crate) notes: Notes,
}

/// A change that is ready to be run.
enum Step {
    /// The body of a PUT, less the members.
    Body(Object),
    Attribute(scim::patch::Operation),
    Add(Vec<Uuid>),
    Remove(Vec<Uuid>),
    /// A condition on one member.
    RemoveWhere(Statement),
    Replace(Vec<Uuid>),
}

impl Step {
    /// Whether it looks at anything but members.
    fn is_attribute(&self) -> bool {
        matches!(self, Self::Body(_) | Self::Attribute(_))
    }
}

/// A PUT or PATCH.
struct Change {
    scope: Scope,
    now: Instant,
    id: GroupId,
    precondition: Option<Precondition>,
    steps: Vec<Step>,
}

/// What came of a change.
struct Applied {
    group: Group,
    changed: bool,
    notes: Notes,
}

/// A group as the steps leave it.
struct Draft {
    resource: Object,
    members: MemberDelta,
    notes: Notes,
}

impl Core {
    /// With a key that created the group before: the group as it is now.
    pub(crate) async fn group_create(
        &self,
        scope: Scope,
        body: &[u8],
        members: Vec<Uuid>,
        key: Option<IdempotencyKey>,
        show_members: u32,
    ) -> Result<ShownGroup, Refusal> {
        let types = self.types(scope.org).await?;
        let accepted = scim::json::parse_object(body)
            .and_then(|body| scim::resource::create(&types.group, body))
            .map_err(from_scim)
            .and_then(|accepted| {
                let notes = Notes { ignored: accepted.ignored, coerced: accepted.coerced };
                Ok((GroupContent::new(&types.group, accepted.resource)?, notes))
            });
        let (content, notes) = self.checked(&scope, accepted).await?;
        let members = each_once(members);
        let (core, now, id) = (self.clone(), self.clock.now(), GroupId(self.ids.next()));
        let digest = digest("Group", &content.resource_text, &members);
        self.write(scope.org, move |conn| {
            let access = scope.enter(conn, now)?;
            let replayed = match &key {
                Some(key) => Self::replayed(conn, &scope, key, id.0, &digest, now)?,
                None => None,
            };
            if let Some(made) = replayed {
                let found = group::group_find(conn, scope.org, GroupId(made), None, show_members)?;
                let (group, members) = found.group.ok_or(Refused::Refused(spent()))?;
                return Ok(ShownGroup { group, members, changed: false, notes: notes.clone() });
            }
            access.to_change().map_err(Refused::Refused)?;
            let group = group::group_insert(conn, scope.org, id, &content, now).map_err(|e| taken(e, &content))?;
            let mut members_delta = MemberDelta::default();
            add(conn, &scope, id, &members, &mut members_delta)?;
            let delta = delta(None, Some(&content.resource), &notes);
            let mut events = vec![NewEvent { kind: Kind::GroupCreated, subject: id.0, delta }];
            events.extend(members_delta.events(id, group.version, &Notes::default()));
            core.record(conn, &scope, now, &events)?;
            show(conn, &scope, group, show_members, true, notes.clone())
        })
        .await
    }

    /// The version is that of the members shown with it: a client may write over what it saw.
    pub(crate) async fn group_get(&self, scope: Scope, id: GroupId, show_members: u32) -> Result<ShownGroup, Refusal> {
        let (now, org) = (self.clock.now(), scope.org);
        let get = move |conn: &mut AnyConnection| {
            let (_, group, members) = find(conn, &scope, now, id, None, show_members)?;
            Ok(ShownGroup { group, members, changed: false, notes: Notes::default() })
        };
        match self.db.backend() {
            _ if show_members == 0 => self.seek(org, get).await,
            // One statement.
            Backend::Postgres => self.read(org, get).await,
            Backend::Sqlite => self.snapshot(org, get).await,
        }
    }

    /// Members in id order after the given one.
    pub(crate) async fn member_list(
        &self,
        scope: Scope,
        id: GroupId,
        after: Option<MemberId>,
        limit: u32,
    ) -> Result<MemberPage, Refusal> {
        let now = self.clock.now();
        self.read(scope.org, move |conn| Ok(find(conn, &scope, now, id, after, limit)?.2)).await
    }

    /// `members` absent: they stay.
    pub(crate) async fn group_replace(
        &self,
        scope: Scope,
        id: GroupId,
        precondition: Option<Precondition>,
        body: &[u8],
        members: Option<Vec<Uuid>>,
        show_members: u32,
    ) -> Result<ShownGroup, Refusal> {
        let body = self.checked(&scope, scim::json::parse_object(body).map_err(from_scim)).await?;
        let members = members.map(|members| Step::Replace(each_once(members)));
        let steps = std::iter::once(Step::Body(body)).chain(members).collect();
        self.group_change(Change { scope, now: self.clock.now(), id, precondition, steps }, show_members).await
    }

    pub(crate) async fn group_patch(
        &self,
        scope: Scope,
        id: GroupId,
        precondition: Option<Precondition>,
        changes: Vec<GroupChange>,
        base_url: Option<String>,
        show_members: u32,
    ) -> Result<ShownGroup, Refusal> {
        let compiler = Compiler {
            backend: self.db.backend(),
            org: scope.org,
            target: Target::Group,
            // Extensions do not change what a member is.
            rt: scim::schema::group(),
            base_url: base_url.as_deref(),
        };
        let steps = changes.into_iter().map(|change| step(compiler, change)).collect::<Result<Vec<_>, _>>();
        let steps = self.checked(&scope, steps).await?;
        self.group_change(Change { scope, now: self.clock.now(), id, precondition, steps }, show_members).await
    }

    async fn group_change(&self, change: Change, show_members: u32) -> Result<ShownGroup, Refusal> {
        let _turn = self.turns.of(change.id).await;
        let (org, change) = (change.scope.org, Arc::new(change));
        // SQLite's writer has no round trips to save.
        let single = self.db.backend() == Backend::Postgres && show_members == 0;
        let mut changed_before = false;
        if single && let Some((membership, notes)) = membership(&change) {
            let (core, hurried) = (self.clone(), Arc::clone(&change));
            let done = self.write(org, move |conn| {
                let author = core.author(&hurried.scope, hurried.now);
                Ok(member::members_change(conn, org, &author, hurried.id, &membership)?)
            });
            if let Some(done) = done.await? {
                if !done.again {
                    let members = MemberPage::default();
                    return Ok(ShownGroup { group: done.group, members, changed: done.changed, notes });
                }
                changed_before = done.changed;
            }
        }
        let types = self.types(org).await?;
        if single && change.steps.iter().all(Step::is_attribute) {
            let (core, types, hurried) = (self.clone(), Arc::clone(&types), Arc::clone(&change));
            let done = self.write(org, move |conn| {
                for _ in 0..OPTIMISTIC_TRIES {
                    let Change { scope, now, id, .. } = &*hurried;
                    let (access, seen, _) = find(conn, scope, *now, *id, None, 0)?;
                    if let Some(done) = core.apply(conn, &hurried, &types, access, seen)? {
                        return Ok(Some(done));
                    }
                }
                Ok(None)
            });
            if let Some(Applied { group, changed, notes }) = done.await? {
                return Ok(ShownGroup { group, members: MemberPage::default(), changed, notes });
            }
        }
        let core = self.clone();
        self.write(org, move |conn| {
            let (access, seen) = lock(conn, &change.scope, change.now, change.id)?;
            let applied = core.apply(conn, &change, &types, access, seen)?.ok_or_else(contended)?;
            let changed = applied.changed || changed_before;
            show(conn, &change.scope, applied.group, show_members, changed, applied.notes)
        })
        .await
    }

    /// Runs the steps, checks the plan against what really changes, then writes the row and the events. Nothing changed:
    /// neither. `None`: another wrote since the group was read, which is not locked then.
    fn apply(
        &self,
        conn: &mut AnyConnection,
        change: &Change,
        types: &Arc<Types>,
        access: Access,
        seen: Group,
    ) -> Result<Option<Applied>, Refused> {
        let Change { scope, now, id, precondition, steps } = change;
        Precondition::check(precondition.as_ref(), seen.version).map_err(Refused::Refused)?;
        let (before, types) = if steps.iter().any(Step::is_attribute) {
            let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
            let types = Self::types_for(conn, scope.org, types, |types| &types.group, &before)?;
            (before, types)
        } else {
            (Object::new(), Arc::clone(types))
        };
        let mut draft = Draft { resource: before.clone(), members: MemberDelta::default(), notes: Notes::default() };
        for step in steps {
            run(conn, scope, &types.group, *id, step, &mut draft)?;
        }
        let Draft { resource, members, notes } = draft;
        members.check(access).map_err(Refused::Refused)?;
        if resource == before {
            if members.is_empty() {
                return Ok(Some(Applied { group: seen, changed: false, notes }));
            }
            let group = group::group_touch(conn, scope.org, seen, *now)?;
            self.record(conn, scope, *now, &members.events(group.id, group.version, &notes))?;
            return Ok(Some(Applied { group, changed: true, notes }));
        }
        // A PUT that takes members out also clears what it leaves out; that is no reason to keep them in.
        let same_name = resource.get("displayName") == before.get("displayName");
        let needs_plan = !(same_name && members.only_removes());
        if needs_plan {
            access.to_change().map_err(Refused::Refused)?;
        }
        let content = GroupContent::new(&types.group, resource).map_err(Refused::Refused)?;
        let delta = delta(Some(&before), Some(&content.resource), &notes);
        let event = NewEvent { kind: Kind::GroupUpdated, subject: id.0, delta };
        let update = GroupUpdate { seen: &seen, content: &content, needs_plan, event: &event };
        let written = group::group_update(conn, scope.org, &self.author(scope, *now), &update);
        let Some(group) = written.map_err(|error| taken(error, &content))? else { return Ok(None) };
        self.record(conn, scope, *now, &members.events(group.id, group.version, &Notes::default()))?;
        Ok(Some(Applied { group, changed: true, notes }))
    }

    /// What it was called.
    pub(crate) async fn group_delete(
        &self,
        scope: Scope,
        id: GroupId,
        precondition: Option<Precondition>,
    ) -> Result<String, Refusal> {
        let lock = move |conn: &mut AnyConnection, org: OrgId, lock: Lock| {
            let seen = group::group_lock(conn, org, id, lock)?.ok_or_else(not_found)?;
            Precondition::check(precondition.as_ref(), seen.version).map_err(Refused::Refused)?;
            Ok(seen)
        };
        let delete = move |conn: &mut AnyConnection, org: OrgId, now: Instant, seen: Group| {
            // Members of a large group are deleted later: without their group nobody sees them.
            let members = member::members_purge(conn, org, id, PURGED_AT_ONCE)?;
            let all = i64::try_from(members).is_ok_and(|members| members < PURGED_AT_ONCE);
            if !all {
                tombstone::tombstone_insert(conn, org, id, now)?;
            }
            group::group_delete(conn, org, id)?;
            let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
            let mut delta = delta(Some(&before), None, &Notes::default());
            if let Some(delta) = delta.as_object_mut().filter(|_| all) {
                delta.insert("members".to_owned(), members.into());
            }
            Ok(((all, seen.display_name), NewEvent { kind: Kind::GroupDeleted, subject: id.0, delta }))
        };
        let (all, display_name) = self.leave_and_delete(scope, id.0, lock, delete).await?;
        if !all {
            self.expiry.poke();
        }
        Ok(display_name)
    }
}

/// The change as one of members only, if it is one and small enough for one event.
fn membership(change: &Change) -> Option<(Membership, Notes)> {
    let mut membership = Membership::default();
    let mut notes = Notes::default();
    for step in &change.steps {
        match step {
            Step::Add(ids) => membership.add.extend(ids),
            Step::Remove(ids) => membership.remove.extend(ids),
            Step::Attribute(operation) => {
                let name = scim::group::display_name(operation)?;
                if membership.display_name.get_or_insert_with(|| name.to_owned()) != name {
                    return None;
                }
                // What it notes is the same whatever else the group has.
                let mut named = Object::from_iter([("displayName".to_owned(), json!(name))]);
                let operation = std::slice::from_ref(operation);
                let outcome = scim::patch::apply(scim::schema::group(), &mut named, operation).ok()?;
                notes.ignored.extend(outcome.ignored);
                notes.coerced.extend(outcome.coerced);
            }
            Step::Body(_) | Step::RemoveWhere(_) | Step::Replace(_) => return None,
        }
    }
    membership.version = match &change.precondition {
        None => None,
        Some(Precondition(versions)) => match versions[..] {
            [only] => Some(only),
            _ => return None,
        },
    };
    membership.add = each_once(membership.add);
    membership.remove = each_once(membership.remove);
    let Membership { add, remove, .. } = &membership;
    let small = (1..=IDS_PER_EVENT).contains(&(add.len() + remove.len()));
    let apart = add.binary_search(&change.id.0).is_err() && add.iter().all(|id| remove.binary_search(id).is_err());
    let mut delta = Object::new();
    notes.add_to(&mut delta);
    if !delta.is_empty() {
        let text = serde_json::to_string(&delta).ok()?;
        membership.notes = format!(",{}", text.strip_prefix('{')?.strip_suffix('}')?);
    }
    (small && apart).then_some((membership, notes))
}

fn step(compiler: Compiler<'_>, change: GroupChange) -> Result<Step, Refusal> {
    Ok(match change {
        GroupChange::Attribute(operation) => Step::Attribute(operation),
        GroupChange::AddMembers(ids) => Step::Add(each_once(ids)),
        GroupChange::RemoveMembers(ids) => Step::Remove(ids),
        GroupChange::ReplaceMembers(ids) => Step::Replace(each_once(ids)),
        GroupChange::RemoveMembersWhere(filter) => {
            let members = scim::attr::resolve(scim::schema::group(), "members")
                .ok_or_else(|| internal(&"the Group schema has no members"))?;
            let filter = scim::filter::parse_element(members, &filter).map_err(from_scim)?;
            Step::RemoveWhere(compiler.members(&filter)?)
        }
    })
}

fn run(
    conn: &mut AnyConnection,
    scope: &Scope,
    rt: &ResourceType,
    id: GroupId,
    step: &Step,
    draft: &mut Draft,
) -> Result<(), Refused> {
    match step {
        Step::Body(body) => {
            let accepted = scim::resource::replace(rt, body.clone(), &draft.resource)
                .map_err(|error| Refused::Refused(from_scim(error)))?;
            draft.resource = accepted.resource;
            draft.notes.ignored.extend(accepted.ignored);
            draft.notes.coerced.extend(accepted.coerced);
        }
        Step::Attribute(operation) => {
            let operations = std::slice::from_ref(operation);
            let outcome = scim::patch::apply(rt, &mut draft.resource, operations)
                .map_err(|error| Refused::Refused(from_scim(error)))?;
            draft.notes.ignored.extend(outcome.ignored);
            draft.notes.coerced.extend(outcome.coerced);
        }
        Step::Add(ids) => add(conn, scope, id, ids, &mut draft.members)?,
        Step::Remove(ids) => draft.members.remove(member::members_remove(conn, scope.org, id, ids)?),
        Step::RemoveWhere(condition) => {
            draft.members.remove(member::members_remove_where(conn, scope.org, id, condition)?);
        }
        Step::Replace(ids) => replace(conn, scope, id, ids, &mut draft.members)?,
    }
    Ok(())
}

/// What the organization allows, and a group with its members after one.
fn find(
    conn: &mut AnyConnection,
    scope: &Scope,
    now: Instant,
    id: GroupId,
    after: Option<MemberId>,
    members: u32,
) -> Result<(Access, Group, MemberPage), Refused> {
    let Found { gate, group } = group::group_find(conn, scope.org, id, after, members)?;
    let access = scope.access(gate, now)?;
    let (group, members) = group.ok_or_else(not_found)?;
    Ok((access, group, members))
}

/// What the organization allows, and the group, locked.
fn lock(conn: &mut AnyConnection, scope: &Scope, now: Instant, id: GroupId) -> Result<(Access, Group), Refused> {
    match group::group_enter(conn, scope.org, id)? {
        Some((gate, group)) => Ok((scope.access(Some(gate), now)?, group)),
        None => {
            scope.enter(conn, now)?;
            Err(not_found())
        }
    }
}

fn add(
    conn: &mut AnyConnection,
    scope: &Scope,
    id: GroupId,
    ids: &[Uuid],
    members: &mut MemberDelta,
) -> Result<(), Refused> {
    if ids.is_empty() {
        return Ok(());
    }
    if ids.contains(&id.0) {
        return Err(Refused::Refused(member_of_itself()));
    }
    let outcome = member::members_add(conn, scope.org, id, ids)?;
    if !outcome.unknown.is_empty() {
        return Err(Refused::Refused(unknown_members(&outcome.unknown)));
    }
    members.add(outcome.added);
    Ok(())
}

/// Two set differences: who is not named goes, who is new comes.
fn replace(
    conn: &mut AnyConnection,
    scope: &Scope,
    id: GroupId,
    ids: &[Uuid],
    members: &mut MemberDelta,
) -> Result<(), Refused> {
    let difference = member::members_difference(conn, scope.org, id, ids)?;
    members.remove(member::members_remove(conn, scope.org, id, &difference.surplus)?);
    add(conn, scope, id, &difference.missing, members)
}

fn show(
    conn: &mut AnyConnection,
    scope: &Scope,
    group: Group,
    show_members: u32,
    changed: bool,
    notes: Notes,
) -> Result<ShownGroup, Refused> {
    let members = match show_members {
        0 => MemberPage::default(),
        limit => member::member_page(conn, scope.org, group.id, None, limit)?,
    };
    Ok(ShownGroup { group, members, changed, notes })
}

/// In ascending order.
fn each_once(mut ids: Vec<Uuid>) -> Vec<Uuid> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn taken(error: ::store::Error, content: &GroupContent) -> Refused {
    if violates(&error, group::DISPLAY_NAME) {
        Refused::Refused(display_name_taken(&content.display_name))
    } else {
        error.into()
    }
}

fn not_found() -> Refused {
    Refused::Refused(group_not_found())
}
