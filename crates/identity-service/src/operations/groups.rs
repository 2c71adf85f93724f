//! Groups and their members. A group is never loaded with its members: its row is locked, then each change is one
//! statement on the members it names.

use std::collections::BTreeSet;

use ::store::{AnyConnection, Instant};
use scim::{Object, ResourceType};
use uuid::Uuid;
use wire::Refusal;

use super::{
    Core, Scope,
    users::{left, locked_groups, ordered},
};
use crate::{
    domain::{
        GroupId, MemberId, Precondition,
        access::Access,
        event::{Kind, NewEvent},
        group::{
            Group, GroupChange, GroupContent, MemberDelta, MemberPage, display_name_taken, group_not_found,
            member_of_itself, unknown_members,
        },
        idempotency::{IdempotencyKey, digest, spent},
        user::{Notes, delta, parse_stored},
    },
    error::{Refused, from_scim, internal},
    store::{
        filter_sql::{Compiler, Target},
        group, member,
        statement::{Lock, Statement},
        violates,
    },
};

/// A group with the first members that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct ShownGroup {
    pub(crate) group: Group,
    pub(crate) members: MemberPage,
    /// The call changed the group or its members.
    pub(crate) changed: bool,
}

/// A change that is ready to be run.
enum Step {
    Attribute(scim::patch::Operation),
    Add(Vec<Uuid>),
    Remove(Vec<Uuid>),
    /// A condition on one member.
    RemoveWhere(Statement),
    Replace(Vec<Uuid>),
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
        self.write(move |conn| {
            let access = scope.enter(conn, now)?;
            if let Some(made) = Self::replayed(conn, &scope, key.as_ref(), id.0, &digest, now)? {
                let group = group::group_get(conn, scope.org, GroupId(made))?.ok_or(Refused::Refused(spent()))?;
                return show(conn, &scope, group, show_members, false);
            }
            access.to_change().map_err(Refused::Refused)?;
            let group = group::group_insert(conn, scope.org, id, &content, now).map_err(|e| taken(e, &content))?;
            let mut members_delta = MemberDelta::default();
            add(conn, &scope, id, &members, &mut members_delta)?;
            let delta = delta(None, Some(&content.resource), &notes);
            let mut events = vec![NewEvent { kind: Kind::GroupCreated, subject: id.0, delta }];
            events.extend(members_delta.events(id, group.version, &Notes::default()));
            core.record(conn, &scope, now, &events)?;
            show(conn, &scope, group, show_members, true)
        })
        .await
    }

    pub(crate) async fn group_get(&self, scope: Scope, id: GroupId, show_members: u32) -> Result<ShownGroup, Refusal> {
        let now = self.clock.now();
        let get = move |conn: &mut AnyConnection| {
            scope.enter(conn, now)?;
            let group = group::group_get(conn, scope.org, id)?.ok_or_else(not_found)?;
            show(conn, &scope, group, show_members, false)
        };
        if show_members == 0 { self.seek(get).await } else { self.read(get).await }
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
        self.read(move |conn| {
            scope.enter(conn, now)?;
            group::group_get(conn, scope.org, id)?.ok_or_else(not_found)?;
            Ok(member::member_page(conn, scope.org, id, after, limit)?)
        })
        .await
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
        let members = members.map(each_once);
        let types = self.types(scope.org).await?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(move |conn| {
            let (access, seen, before) = lock(conn, &scope, now, id, precondition.as_ref())?;
            let types = Self::types_for(conn, scope.org, &types, |types| &types.group, &before)?;
            let accepted = scim::resource::replace(&types.group, body.clone(), &before)
                .map_err(|error| Refused::Refused(from_scim(error)))?;
            let notes = Notes { ignored: accepted.ignored, coerced: accepted.coerced };
            let mut draft = Draft { resource: accepted.resource, members: MemberDelta::default(), notes };
            if let Some(members) = &members {
                replace(conn, &scope, id, members, &mut draft.members)?;
            }
            let (group, changed) = core.finish(conn, &scope, now, &types.group, access, seen, &before, draft)?;
            show(conn, &scope, group, show_members, changed)
        })
        .await
    }

    pub(crate) async fn group_patch(
        &self,
        scope: Scope,
        id: GroupId,
        precondition: Option<Precondition>,
        changes: Vec<GroupChange>,
        show_members: u32,
    ) -> Result<ShownGroup, Refusal> {
        let compiler = Compiler { backend: self.db.backend(), org: scope.org, target: Target::Group };
        let steps = changes.into_iter().map(|change| step(compiler, change)).collect::<Result<Vec<_>, _>>();
        let steps = self.checked(&scope, steps).await?;
        let types = self.types(scope.org).await?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(move |conn| {
            let (access, seen, before) = lock(conn, &scope, now, id, precondition.as_ref())?;
            let types = Self::types_for(conn, scope.org, &types, |types| &types.group, &before)?;
            let mut draft =
                Draft { resource: before.clone(), members: MemberDelta::default(), notes: Notes::default() };
            for step in &steps {
                run(conn, &scope, &types.group, id, step, &mut draft)?;
            }
            let (group, changed) = core.finish(conn, &scope, now, &types.group, access, seen, &before, draft)?;
            show(conn, &scope, group, show_members, changed)
        })
        .await
    }

    /// Checks the plan against what really changes, then writes the row and the events. Nothing changed: neither.
    #[expect(clippy::too_many_arguments, reason = "the parts of one transaction")]
    fn finish(
        &self,
        conn: &mut AnyConnection,
        scope: &Scope,
        now: Instant,
        rt: &ResourceType,
        access: Access,
        seen: Group,
        before: &Object,
        draft: Draft,
    ) -> Result<(Group, bool), Refused> {
        let Draft { resource, members, notes } = draft;
        members.check(access).map_err(Refused::Refused)?;
        let mut events = Vec::new();
        let group = if &resource != before {
            // A PUT that takes members out also clears what it leaves out; that is no reason to keep them in.
            let same_name = resource.get("displayName") == before.get("displayName");
            if !(same_name && members.only_removes()) {
                access.to_change().map_err(Refused::Refused)?;
            }
            let content = GroupContent::new(rt, resource).map_err(Refused::Refused)?;
            let group = group::group_update(conn, scope.org, &seen, &content, now).map_err(|e| taken(e, &content))?;
            let delta = delta(Some(before), Some(&content.resource), &notes);
            events.push(NewEvent { kind: Kind::GroupUpdated, subject: group.id.0, delta });
            group
        } else if members.is_empty() {
            return Ok((seen, false));
        } else {
            group::group_touch(conn, scope.org, seen, now)?
        };
        let notes = if events.is_empty() { notes } else { Notes::default() };
        events.extend(members.events(group.id, group.version, &notes));
        self.record(conn, scope, now, &events)?;
        Ok((group, true))
    }

    pub(crate) async fn group_delete(
        &self,
        scope: Scope,
        id: GroupId,
        precondition: Option<Precondition>,
    ) -> Result<(), Refusal> {
        let (core, now) = (self.clone(), self.clock.now());
        self.write(move |conn| {
            scope.enter(conn, now)?;
            // The groups that this one is a member of and itself, in one order; then itself against being added anywhere.
            let known: BTreeSet<Uuid> = member::groups_with_member(conn, scope.org, id)?.into_iter().collect();
            let mut both = known.clone();
            both.insert(id.0);
            group::groups_lock(conn, scope.org, &ordered(&both))?;
            let seen = group::group_lock(conn, scope.org, id, Lock::Delete)?.ok_or_else(not_found)?;
            Precondition::check(precondition.as_ref(), seen.version).map_err(Refused::Refused)?;
            let groups = locked_groups(conn, &scope, id.0, &known)?;
            member::memberships_delete(conn, scope.org, id)?;
            let versions = group::groups_touch(conn, scope.org, &groups, now)?;
            let members = member::members_delete(conn, scope.org, id)?;
            group::group_delete(conn, scope.org, id)?;

            let mut events = left(&versions, id.0);
            let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
            let mut delta = delta(Some(&before), None, &Notes::default());
            if let Some(delta) = delta.as_object_mut() {
                delta.insert("members".to_owned(), members.into());
            }
            events.push(NewEvent { kind: Kind::GroupDeleted, subject: id.0, delta });
            core.record(conn, &scope, now, &events)
        })
        .await
    }
}

fn step(compiler: Compiler, change: GroupChange) -> Result<Step, Refusal> {
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

/// Locks the group's row, in a statement of its own, and checks the gate and the precondition.
fn lock(
    conn: &mut AnyConnection,
    scope: &Scope,
    now: Instant,
    id: GroupId,
    precondition: Option<&Precondition>,
) -> Result<(Access, Group, Object), Refused> {
    let access = scope.enter(conn, now)?;
    let seen = group::group_lock(conn, scope.org, id, Lock::Change)?.ok_or_else(not_found)?;
    Precondition::check(precondition, seen.version).map_err(Refused::Refused)?;
    let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
    Ok((access, seen, before))
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
    members.remove(member::members_retain(conn, scope.org, id, ids)?);
    add(conn, scope, id, ids, members)
}

fn show(
    conn: &mut AnyConnection,
    scope: &Scope,
    group: Group,
    show_members: u32,
    changed: bool,
) -> Result<ShownGroup, Refused> {
    let members = match show_members {
        0 => MemberPage::default(),
        limit => member::member_page(conn, scope.org, group.id, None, limit)?,
    };
    Ok(ShownGroup { group, members, changed })
}

fn each_once(ids: Vec<Uuid>) -> Vec<Uuid> {
    ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
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
