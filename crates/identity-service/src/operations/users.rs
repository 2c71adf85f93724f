//! Users.

use std::{collections::BTreeSet, sync::Arc};

use ::store::{AnyConnection, Instant};
use scim::{Object, ResourceType, schema::Types};
use serde_json::json;
use uuid::Uuid;
use wire::Refusal;

use super::{Core, OPTIMISTIC_TRIES, Scope, contended};
use crate::{
    domain::{
        GroupId, Precondition, UserId,
        event::{Kind, NewEvent},
        idempotency::{IdempotencyKey, digest, spent},
        user::{
            GroupOfUser, Notes, User, UserContent, delta, email_keys, parse_stored, user_name_taken, user_not_found,
        },
    },
    error::{Refused, from_scim},
    store::{
        group, member,
        statement::Lock,
        user::{self, UserKey},
        violates,
    },
};

/// A user with the groups that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct ShownUser {
    pub(crate) user: User,
    pub(crate) groups: Vec<GroupOfUser>,
    /// The call changed the row.
    pub(crate) changed: bool,
}

/// What a PUT or PATCH makes of a stored form.
type Transform = dyn Fn(&ResourceType, &Object) -> Result<(Object, Notes), Refusal>;

impl Core {
    /// With a key that created the user before: the user as it is now.
    pub(crate) async fn user_create(
        &self,
        scope: Scope,
        body: &[u8],
        key: Option<IdempotencyKey>,
    ) -> Result<ShownUser, Refusal> {
        let types = self.types(scope.org).await?;
        let accepted = scim::json::parse_object(body)
            .and_then(|body| scim::resource::create(&types.user, body))
            .map_err(from_scim)
            .and_then(|accepted| {
                let notes = Notes { ignored: accepted.ignored, coerced: accepted.coerced };
                Ok((UserContent::new(&types.user, accepted.resource)?, notes))
            });
        let (content, notes) = self.checked(&scope, accepted).await?;
        let (core, now, id) = (self.clone(), self.clock.now(), UserId(self.ids.next()));
        let digest = digest("User", &content.resource_text, &[]);
        self.write(move |conn| {
            let access = scope.enter(conn, now)?;
            if let Some(made) = Self::replayed(conn, &scope, key.as_ref(), id.0, &digest, now)? {
                let user = user::user_get(conn, scope.org, UserId(made))?.ok_or(Refused::Refused(spent()))?;
                return show(conn, &scope, user, true, false);
            }
            access.to_change().map_err(Refused::Refused)?;
            let user = user::user_insert(conn, scope.org, id, &content, now).map_err(|e| taken(e, &content))?;
            let delta = delta(None, Some(&content.resource), &notes);
            core.record(conn, &scope, now, &[NewEvent { kind: Kind::UserCreated, subject: id.0, delta }])?;
            Ok(ShownUser { user, groups: Vec::new(), changed: true })
        })
        .await
    }

    pub(crate) async fn user_get(&self, scope: Scope, id: UserId, groups: bool) -> Result<ShownUser, Refusal> {
        let now = self.clock.now();
        self.seek(move |conn| {
            scope.enter(conn, now)?;
            let user = user::user_get(conn, scope.org, id)?.ok_or_else(not_found)?;
            show(conn, &scope, user, groups, false)
        })
        .await
    }

    /// By id, with their groups.
    pub(crate) async fn user_look_up(
        &self,
        scope: Scope,
        key: UserKey,
        groups: bool,
    ) -> Result<Vec<ShownUser>, Refusal> {
        let now = self.clock.now();
        let unique = matches!(key, UserKey::UserName(_));
        let look_up = move |conn: &mut AnyConnection| {
            scope.enter(conn, now)?;
            let users = user::user_look_up(conn, scope.org, &key)?;
            show_all(conn, &scope, users, groups)
        };
        if unique { self.seek(look_up).await } else { self.read(look_up).await }
    }

    pub(crate) async fn user_replace(
        &self,
        scope: Scope,
        id: UserId,
        precondition: Option<Precondition>,
        body: &[u8],
        groups: bool,
    ) -> Result<ShownUser, Refusal> {
        let body = self.checked(&scope, scim::json::parse_object(body).map_err(from_scim)).await?;
        let replace = move |rt: &ResourceType, current: &Object| {
            let accepted = scim::resource::replace(rt, body.clone(), current).map_err(from_scim)?;
            Ok((accepted.resource, Notes { ignored: accepted.ignored, coerced: accepted.coerced }))
        };
        self.user_change(scope, id, precondition, groups, replace).await
    }

    pub(crate) async fn user_patch(
        &self,
        scope: Scope,
        id: UserId,
        precondition: Option<Precondition>,
        operations: Vec<scim::patch::Operation>,
        groups: bool,
    ) -> Result<ShownUser, Refusal> {
        let patch = move |rt: &ResourceType, current: &Object| {
            let mut resource = current.clone();
            let outcome = scim::patch::apply(rt, &mut resource, &operations).map_err(from_scim)?;
            Ok((resource, Notes { ignored: outcome.ignored, coerced: outcome.coerced }))
        };
        self.user_change(scope, id, precondition, groups, patch).await
    }

    async fn user_change<F>(
        &self,
        scope: Scope,
        id: UserId,
        precondition: Option<Precondition>,
        groups: bool,
        transform: F,
    ) -> Result<ShownUser, Refusal>
    where
        F: Fn(&ResourceType, &Object) -> Result<(Object, Notes), Refusal> + Send + 'static,
    {
        let types = self.types(scope.org).await?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(move |conn| {
            let (user, changed) = core.change(conn, &scope, now, &types, id, precondition.as_ref(), &transform)?;
            show(conn, &scope, user, groups, changed)
        })
        .await
    }

    /// Reads, computes, and writes over the version that was read; tries again where another was faster, and locks where
    /// that keeps happening.
    #[expect(clippy::too_many_arguments, reason = "the parts of one transaction")]
    fn change(
        &self,
        conn: &mut AnyConnection,
        scope: &Scope,
        now: Instant,
        types: &Arc<Types>,
        id: UserId,
        precondition: Option<&Precondition>,
        transform: &Transform,
    ) -> Result<(User, bool), Refused> {
        let access = scope.enter(conn, now)?;
        for attempt in 0..=OPTIMISTIC_TRIES {
            let seen = if attempt < OPTIMISTIC_TRIES {
                user::user_get(conn, scope.org, id)?
            } else {
                user::user_lock(conn, scope.org, id, Lock::Change)?
            };
            let seen = seen.ok_or_else(not_found)?;
            Precondition::check(precondition, seen.version).map_err(Refused::Refused)?;
            let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
            let types = Self::types_for(conn, scope.org, types, |types| &types.user, &before)?;
            let (after, notes) = transform(&types.user, &before).map_err(Refused::Refused)?;
            let content = UserContent::new(&types.user, after).map_err(Refused::Refused)?;
            content.check(access).map_err(Refused::Refused)?;
            if content.resource == before {
                return Ok((seen, false));
            }
            let written = user::user_update(conn, scope.org, &seen, &content, now).map_err(|e| taken(e, &content))?;
            let Some(user) = written else { continue };
            user::user_keys_change(conn, scope.org, id, &email_keys(&before), &content.email_keys)?;
            let delta = delta(Some(&before), Some(&content.resource), &notes);
            self.record(conn, scope, now, &[NewEvent { kind: Kind::UserUpdated, subject: id.0, delta }])?;
            return Ok((user, true));
        }
        Err(contended())
    }

    pub(crate) async fn user_delete(
        &self,
        scope: Scope,
        id: UserId,
        precondition: Option<Precondition>,
    ) -> Result<(), Refusal> {
        let (core, now) = (self.clone(), self.clock.now());
        self.write(move |conn| {
            scope.enter(conn, now)?;
            // Groups before the user, in the order in which those who add members lock them.
            let known: BTreeSet<Uuid> = member::groups_with_member(conn, scope.org, id)?.into_iter().collect();
            group::groups_lock(conn, scope.org, &ordered(&known))?;
            let seen = user::user_lock(conn, scope.org, id, Lock::Delete)?.ok_or_else(not_found)?;
            Precondition::check(precondition.as_ref(), seen.version).map_err(Refused::Refused)?;
            // Nobody can add the user to a group from here on.
            let groups = locked_groups(conn, &scope, id.0, &known)?;
            member::memberships_delete(conn, scope.org, id)?;
            let versions = group::groups_touch(conn, scope.org, &groups, now)?;
            user::user_delete(conn, scope.org, id)?;

            let mut events = left(&versions, id.0);
            let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
            let delta = delta(Some(&before), None, &Notes::default());
            events.push(NewEvent { kind: Kind::UserDeleted, subject: id.0, delta });
            core.record(conn, &scope, now, &events)
        })
        .await
    }

    /// Direct groups first, then those reached through nesting.
    pub(crate) async fn groups_of_user(&self, scope: Scope, id: UserId) -> Result<Vec<GroupOfUser>, Refusal> {
        Ok(self.user_get(scope, id, true).await?.groups)
    }
}

/// The groups that one who is to be deleted, and is locked, is in. Those it got into before it was locked are not: to
/// lock them now would be against the order, and wait for one who waits for us, so the transaction begins again.
pub(super) fn locked_groups(
    conn: &mut AnyConnection,
    scope: &Scope,
    member: Uuid,
    locked: &BTreeSet<Uuid>,
) -> Result<Vec<Uuid>, Refused> {
    let groups = member::groups_with_member(conn, scope.org, member)?;
    if groups.iter().all(|group| locked.contains(group)) {
        Ok(groups)
    } else {
        Err(::store::Error::Serialization.into())
    }
}

/// The events of groups that a deleted member has left.
pub(super) fn left(versions: &[(GroupId, i64)], member: Uuid) -> Vec<NewEvent> {
    let event = |(group, version): &(GroupId, i64)| NewEvent {
        kind: Kind::MembersChanged,
        subject: group.0,
        delta: json!({"version": version, "removed": [member]}),
    };
    versions.iter().map(event).collect()
}

pub(super) fn ordered(ids: &BTreeSet<Uuid>) -> Vec<Uuid> {
    ids.iter().copied().collect()
}

fn show(
    conn: &mut AnyConnection,
    scope: &Scope,
    user: User,
    groups: bool,
    changed: bool,
) -> Result<ShownUser, Refused> {
    let groups = if groups { user::groups_of_users(conn, scope.org, &[user.id.0])? } else { Vec::new() };
    Ok(ShownUser { user, groups: groups.into_iter().map(|(_, group)| group).collect(), changed })
}

pub(super) fn show_all(
    conn: &mut AnyConnection,
    scope: &Scope,
    users: Vec<User>,
    groups: bool,
) -> Result<Vec<ShownUser>, Refused> {
    let ids: Vec<Uuid> = if groups { users.iter().map(|user| user.id.0).collect() } else { Vec::new() };
    let mut shown: Vec<ShownUser> =
        users.into_iter().map(|user| ShownUser { user, groups: Vec::new(), changed: false }).collect();
    let places: std::collections::HashMap<UserId, usize> =
        shown.iter().enumerate().map(|(place, shown)| (shown.user.id, place)).collect();
    for (id, group) in user::groups_of_users(conn, scope.org, &ids)? {
        if let Some(shown) = places.get(&id).and_then(|place| shown.get_mut(*place)) {
            shown.groups.push(group);
        }
    }
    Ok(shown)
}

fn taken(error: ::store::Error, content: &UserContent) -> Refused {
    if violates(&error, user::USER_NAME) { Refused::Refused(user_name_taken(&content.user_name)) } else { error.into() }
}

fn not_found() -> Refused {
    Refused::Refused(user_not_found())
}
