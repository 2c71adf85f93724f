//! Deleting a group that is a member of groups: it leaves them first, a bounded number in each transaction.
//!
//! Not here: users, who are gone before they have left all of theirs (`deleted_users`).

use std::sync::Arc;

use ::store::{AnyConnection, Error, Instant};
use serde_json::json;
use uuid::Uuid;
use wire::Refusal;

use super::{Core, Scope};
use crate::{
    domain::{
        GroupId, OrgId,
        event::{Kind, NewEvent},
    },
    error::Refused,
    store::{group, member, statement::Lock},
};

/// Groups left in one transaction: what it locks, and for how long, is bounded by this.
pub(super) const LEFT_AT_ONCE: usize = 1000;

impl Core {
    /// Takes a group out of its groups, and deletes it in the transaction in which it leaves the last of them.
    ///
    /// `lock` locks and reads its row and checks that it may be deleted, in each transaction: a call that breaks off part
    /// of the way is simply made again. `delete` deletes what was read, and says by what event.
    pub(super) async fn leave_and_delete<S, T, L, D>(
        &self,
        scope: Scope,
        member: Uuid,
        lock: L,
        delete: D,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        L: Fn(&mut AnyConnection, OrgId, Lock) -> Result<S, Refused> + Send + Sync + 'static,
        D: Fn(&mut AnyConnection, OrgId, Instant, S) -> Result<(T, NewEvent), Refused> + Send + Sync + 'static,
    {
        let (org, work) = (scope.org, Arc::new((scope, lock, delete)));
        loop {
            let (core, work, now) = (self.clone(), Arc::clone(&work), self.clock.now());
            let step = move |conn: &mut AnyConnection| {
                let (scope, lock, delete) = &*work;
                scope.enter(conn, now)?;
                let groups = groups_with_member(conn, org, member)?;
                // Groups before what is in them, in the order in which those who add members lock them. One that is a
                // group itself stands among the others.
                let (some, all) = match groups.get(..LEFT_AT_ONCE) {
                    Some(some) => (some, some.len() == groups.len()),
                    None => (&groups[..], true),
                };
                let mut locked = some.to_vec();
                locked.extend(all.then_some(member));
                locked.sort_unstable();
                group::groups_lock(conn, org, &locked)?;
                let seen = lock(conn, org, if all { Lock::Delete } else { Lock::Refer })?;
                let leaves = if all { groups_of_locked(conn, org, member, &locked)? } else { some.to_vec() };
                let mut events = leave(conn, org, member, &leaves, now)?;
                let deleted = if all { Some(delete(conn, org, now, seen)?) } else { None };
                let deleted = deleted.map(|(deleted, event)| {
                    events.push(event);
                    deleted
                });
                core.record(conn, scope, now, &events)?;
                Ok(deleted)
            };
            if let Some(deleted) = self.write(org, step).await? {
                return Ok(deleted);
            }
        }
    }
}

/// One more than are left at once, if there are that many.
pub(super) fn groups_with_member(conn: &mut AnyConnection, org: OrgId, member: Uuid) -> Result<Vec<Uuid>, Error> {
    let limit = i64::try_from(LEFT_AT_ONCE).unwrap_or(i64::MAX).saturating_add(1);
    member::groups_with_member(conn, org, member, limit)
}

/// The groups of one who is locked, so that it gets into no more. Those it got into before are not locked: to lock them
/// now would be against the order, and wait for one who waits for us, so the transaction begins again.
pub(super) fn groups_of_locked(
    conn: &mut AnyConnection,
    org: OrgId,
    member: Uuid,
    locked: &[Uuid],
) -> Result<Vec<Uuid>, Error> {
    let groups = groups_with_member(conn, org, member)?;
    if groups.iter().all(|group| locked.binary_search(group).is_ok()) { Ok(groups) } else { Err(Error::Serialization) }
}

/// Takes a member out of locked groups, as so many events.
fn leave(
    conn: &mut AnyConnection,
    org: OrgId,
    member: Uuid,
    groups: &[Uuid],
    now: Instant,
) -> Result<Vec<NewEvent>, Refused> {
    let left = member::memberships_delete(conn, org, member, groups)?;
    Ok(member_events("removed", member, group::groups_touch(conn, org, &left, now)?))
}

/// What became of one member of groups, which have these versions now.
pub(super) fn member_events(what: &str, member: Uuid, versions: Vec<(GroupId, i64)>) -> Vec<NewEvent> {
    let event = |(group, version)| {
        let delta = json!({"version": version, what: [member]});
        NewEvent { kind: Kind::MembersChanged, subject: Uuid::from(group), delta }
    };
    versions.into_iter().map(event).collect()
}
