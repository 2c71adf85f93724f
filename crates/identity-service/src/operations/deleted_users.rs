//! Deleting users so that it can be undone, and undoing it.
//!
//! A user is gone for every read with the first transaction; who is in more groups than that one takes leaves the others in
//! the next ones, and comes back to them in the same way. What breaks off is finished in the background (`deletions`).

use std::sync::Arc;

use ::store::{AnyConnection, Error};
use scim::{
    patch::{Op, Operation},
    schema::Types,
};
use serde_json::json;
use uuid::Uuid;
use wire::Refusal;

use super::{
    Core, Scope, ShownUser,
    leaving::{LEFT_AT_ONCE, groups_of_locked, groups_with_member, member_events},
    organizations::not_a_client,
};
use crate::{
    domain::{
        GroupId, OrgId, Precondition, UserId,
        deletion::{self, Deleted, Direction, SavedGroup, Wanted},
        event::{Kind, NewEvent},
        organization::Gate,
        plan::plan_full,
        user::{GroupOfUser, Notes, UserContent, delta, parse_stored, user_not_found},
    },
    error::{Refused, from_scim},
    store::{
        deleted_user,
        event::{Author, events_append},
        group,
        statement::Lock,
        user, violates,
    },
};

/// A user that is there again.
#[derive(Clone, Debug)]
pub(crate) struct Restored {
    pub(crate) user: ShownUser,
    /// Groups it was in that are there no more.
    pub(crate) gone: Vec<GroupOfUser>,
}

/// What came of a try to restore a user.
pub(super) enum Attempt {
    /// `rest`: there are more groups to come back to.
    Restored { gone: Vec<SavedGroup>, rest: bool },
    /// It is still leaving groups.
    Leaving,
}

/// A user that comes back to groups.
struct Back {
    gone: Vec<SavedGroup>,
    events: Vec<NewEvent>,
    rest: bool,
}

impl Core {
    pub(crate) async fn user_delete(
        &self,
        scope: Scope,
        id: UserId,
        precondition: Option<Precondition>,
    ) -> Result<(), Refusal> {
        let (core, now, scope) = (self.clone(), self.clock.now(), Arc::new(scope));
        let whose = Arc::clone(&scope);
        let delete = move |conn: &mut AnyConnection| {
            let grace_days = whose.enter_to_delete(conn, now)?;
            delete(conn, whose.org, &core.author(&whose, now), id, precondition.as_ref(), grace_days)
        };
        if self.write(scope.org, delete).await? {
            self.leave_rest(&scope, id).await?;
        }
        Ok(())
    }

    async fn leave_rest(&self, scope: &Arc<Scope>, id: UserId) -> Result<(), Refusal> {
        let mut rest = true;
        while rest {
            let (core, now, whose) = (self.clone(), self.clock.now(), Arc::clone(scope));
            let step = move |conn: &mut AnyConnection| Ok(leave_some(conn, whose.org, &core.author(&whose, now), id)?);
            let left = self.write(scope.org, step).await;
            rest = left.inspect_err(|_| self.deletions.poke())?;
        }
        Ok(())
    }

    /// Newest first, those before the given one.
    pub(crate) async fn deleted_list(&self, scope: Scope, wanted: Wanted, limit: u32) -> Result<Vec<Deleted>, Refusal> {
        not_a_client(&scope.actor)?;
        let now = self.clock.now();
        self.read(scope.org, move |conn| {
            scope.enter(conn, now)?;
            Ok(deleted_user::deleted_page(conn, scope.org, wanted, now, i64::from(limit))?)
        })
        .await
    }

    /// `user_name`: instead of the one it had.
    pub(crate) async fn user_restore(
        &self,
        scope: Scope,
        id: UserId,
        user_name: Option<String>,
    ) -> Result<Restored, Refusal> {
        not_a_client(&scope.actor)?;
        let types = self.types(scope.org).await?;
        let (scope, user_name) = (Arc::new(scope), Arc::new(user_name));
        let (mut gone, mut rest) = loop {
            let (core, now, whose) = (self.clone(), self.clock.now(), Arc::clone(&scope));
            let (types, user_name) = (Arc::clone(&types), Arc::clone(&user_name));
            let restore = move |conn: &mut AnyConnection| {
                let gate = whose.gate(conn)?;
                let restoring = Restoring { types: &types, gate: &gate, id, user_name: user_name.as_deref() };
                restore(conn, whose.org, &core.author(&whose, now), restoring)
            };
            match self.write(scope.org, restore).await? {
                Attempt::Restored { gone, rest } => break (gone, rest),
                Attempt::Leaving => self.leave_rest(&scope, id).await?,
            }
        };
        while rest {
            let (core, now, whose) = (self.clone(), self.clock.now(), Arc::clone(&scope));
            let step = move |conn: &mut AnyConnection| Ok(return_some(conn, whose.org, &core.author(&whose, now), id)?);
            let returned = self.write(scope.org, step).await;
            let (more, further) = returned.inspect_err(|_| self.deletions.poke())?;
            gone.extend(more);
            rest = further;
        }
        let group =
            |group: SavedGroup| GroupOfUser { id: GroupId(group.id), display_name: group.display_name, direct: true };
        let user = self.user_get(Scope::clone(&scope), id, true).await?;
        Ok(Restored { user: ShownUser { changed: true, ..user }, gone: gone.into_iter().map(group).collect() })
    }
}

/// Takes a user away. Whether it has more groups to leave.
fn delete(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    id: UserId,
    precondition: Option<&Precondition>,
    grace_days: u32,
) -> Result<bool, Refused> {
    let groups = groups_with_member(conn, org, id.0)?;
    let (some, all) = at_once(&groups);
    // Groups before who is in them, in the order in which those who add members lock them.
    group::groups_lock(conn, org, some)?;
    let Some(seen) = user::user_lock(conn, org, id, Lock::Delete)? else {
        // The call that deleted it may have broken off: this one goes on.
        return match deleted_user::move_of(conn, org, id)? {
            Some(Direction::Out) => Ok(true),
            _ => Err(Refused::Refused(user_not_found())),
        };
    };
    Precondition::check(precondition, seen.version).map_err(Refused::Refused)?;
    let leaves = if all { groups_of_locked(conn, org, id.0, some)? } else { some.to_vec() };
    let mut events = leave(conn, org, author, id, &leaves)?;
    if !all {
        deleted_user::move_insert(conn, org, id, Direction::Out, author.now)?;
    }
    let purge_at = deletion::purge_at(author.now, grace_days);
    user::user_keys_delete(conn, org, id)?;
    deleted_user::user_set_aside(conn, org, id, author.now, purge_at, &author.actor.to_json())?;
    let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
    let mut delta = delta(Some(&before), None, &Notes::default());
    if let Some(delta) = delta.as_object_mut() {
        delta.insert("restorable_until".to_owned(), json!(purge_at.to_string()));
    }
    events.push(NewEvent { kind: Kind::UserDeleted, subject: id.0, delta });
    events_append(conn, org, author, &events)?;
    Ok(!all)
}

/// Takes a deleted user out of more groups. Whether there are still others.
pub(crate) fn leave_some(conn: &mut AnyConnection, org: OrgId, author: &Author<'_>, id: UserId) -> Result<bool, Error> {
    let groups = groups_with_member(conn, org, id.0)?;
    let (some, all) = at_once(&groups);
    group::groups_lock(conn, org, some)?;
    if !deleted_user::move_lock(conn, org, id, Direction::Out)? {
        return Ok(false);
    }
    let events = leave(conn, org, author, id, some)?;
    events_append(conn, org, author, &events)?;
    if all {
        deleted_user::move_delete(conn, org, id)?;
    }
    Ok(!all)
}

/// Takes a user out of locked groups, as so many events.
fn leave(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    id: UserId,
    groups: &[Uuid],
) -> Result<Vec<NewEvent>, Error> {
    let left = deleted_user::memberships_set_aside(conn, org, id, groups)?;
    Ok(member_events("removed", id.0, group::groups_touch(conn, org, &left, author.now)?))
}

/// Who is restored, and by what rules.
pub(super) struct Restoring<'a> {
    pub(super) types: &'a Arc<Types>,
    pub(super) gate: &'a Gate,
    pub(super) id: UserId,
    pub(super) user_name: Option<&'a str>,
}

pub(super) fn restore(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    Restoring { types, gate, id, user_name }: Restoring<'_>,
) -> Result<Attempt, Refused> {
    let locked = lock_saved(conn, org, id)?;
    let deleted = deleted_user::deleted_lock(conn, org, id)?;
    let deleted = deleted.ok_or_else(|| Refused::Refused(deletion::not_restorable()))?;
    if deleted.purge_at <= author.now && !deleted_user::is_held(conn, org, id)? {
        return Err(Refused::Refused(deletion::not_restorable()));
    }
    if deleted_user::move_of(conn, org, id)? == Some(Direction::Out) {
        return Ok(Attempt::Leaving);
    }
    if !user::plan_has_room(conn, org, gate)? {
        return Err(Refused::Refused(plan_full(gate.max_users.unwrap_or_default())));
    }
    let mut resource = parse_stored(&deleted.resource).map_err(Refused::Refused)?;
    let types = Core::types_for(conn, org, types, |types| &types.user, &resource)?;
    if let Some(user_name) = user_name {
        let rename = Operation { op: Op::Replace, path: Some("userName".to_owned()), value: Some(json!(user_name)) };
        scim::patch::apply(&types.user, &mut resource, &[rename])
            .map_err(|error| Refused::Refused(from_scim(error)))?;
    }
    let content = UserContent::new(&types.user, resource).map_err(Refused::Refused)?;
    let restored = content.written(id, deleted.version + 1, deleted.created, author.now.max(deleted.modified));
    user::user_insert_as(conn, org, &restored, &content).map_err(|error| {
        if violates(&error, user::USER_NAME) {
            return Refused::Refused(deletion::restored_name_taken(&content.user_name));
        }
        error.into()
    })?;
    deleted_user::deleted_delete(conn, org, id)?;
    let delta = delta(None, Some(&content.resource), &Notes::default());
    let mut events = vec![NewEvent { kind: Kind::UserRestored, subject: id.0, delta }];
    let Back { gone, events: of_groups, rest } = bring_back(conn, org, author, id, &locked)?;
    if rest {
        deleted_user::move_insert(conn, org, id, Direction::Back, author.now)?;
    }
    events.extend(of_groups);
    events_append(conn, org, author, &events)?;
    Ok(Attempt::Restored { gone, rest })
}

/// Brings a restored user back to more groups. Those that are gone, and whether there are still others.
pub(crate) fn return_some(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    id: UserId,
) -> Result<(Vec<SavedGroup>, bool), Error> {
    let locked = lock_saved(conn, org, id)?;
    let there = user::user_lock(conn, org, id, Lock::Refer)?.is_some();
    if !deleted_user::move_lock(conn, org, id, Direction::Back)? {
        return Ok((Vec::new(), false));
    }
    if !there {
        // Deleted again, with what it was to come back to.
        deleted_user::move_delete(conn, org, id)?;
        return Ok((Vec::new(), false));
    }
    let Back { gone, events, rest } = bring_back(conn, org, author, id, &locked)?;
    events_append(conn, org, author, &events)?;
    if !rest {
        deleted_user::move_delete(conn, org, id)?;
    }
    Ok((gone, rest))
}

/// Locks the first groups that a user is to come back to.
fn lock_saved(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<Vec<Uuid>, Error> {
    let saved = deleted_user::saved_groups(conn, org, id, one_more())?;
    let locked: Vec<Uuid> = saved.iter().take(LEFT_AT_ONCE).map(|group| group.id).collect();
    group::groups_lock(conn, org, &locked)?;
    Ok(locked)
}

/// Brings a user, who is locked, back to groups, which are.
fn bring_back(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    id: UserId,
    locked: &[Uuid],
) -> Result<Back, Error> {
    // What they are now that nobody changes them.
    let mut saved = deleted_user::saved_groups(conn, org, id, one_more())?;
    let rest = saved.len() > LEFT_AT_ONCE;
    saved.truncate(LEFT_AT_ONCE);
    if saved.iter().any(|group| locked.binary_search(&group.id).is_err()) {
        // It left more of them meanwhile.
        return Err(Error::Serialization);
    }
    let ids: Vec<Uuid> = saved.iter().map(|group| group.id).collect();
    let back = deleted_user::memberships_bring_back(conn, org, id, &ids)?;
    let events = member_events("added", id.0, group::groups_touch(conn, org, &back, author.now)?);
    let gone = saved.into_iter().filter(|group| !group.there).collect();
    Ok(Back { gone, events, rest })
}

/// The groups of one transaction, and whether these are all.
fn at_once(groups: &[Uuid]) -> (&[Uuid], bool) {
    match groups.get(..LEFT_AT_ONCE) {
        Some(some) => (some, some.len() == groups.len()),
        None => (groups, true),
    }
}

fn one_more() -> i64 {
    i64::try_from(LEFT_AT_ONCE).unwrap_or(i64::MAX).saturating_add(1)
}
