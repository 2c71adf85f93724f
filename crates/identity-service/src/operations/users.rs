//! Users.

use std::sync::Arc;

use ::store::{AnyConnection, Instant};
use scim::{
    Object, ResourceType,
    filter::{CompareOp, Filter, Literal},
    schema::Types,
};
use uuid::Uuid;
use wire::Refusal;

use super::{Core, OPTIMISTIC_TRIES, Scope, contended};
use crate::{
    domain::{
        Precondition, UserId,
        access::Access,
        event::{Kind, NewEvent},
        idempotency::{IdempotencyKey, digest, spent},
        list::{Cursors, ListQuery, Page},
        parse_id,
        plan::plan_full,
        user::{
            GroupOfUser, Notes, User, UserContent, delta, email_keys, parse_stored, user_name_taken, user_not_found,
        },
    },
    error::{Refused, from_scim, internal},
    store::{
        statement::Lock,
        user::{self, Nesting, UserChange, UserKey},
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
    /// Of the call that did so, or asked for it.
    pub(crate) notes: Notes,
}

impl ShownUser {
    fn read(user: User, groups: Vec<GroupOfUser>) -> Self {
        Self { user, groups, changed: false, notes: Notes::default() }
    }

    fn created(user: User, notes: &Notes) -> Self {
        Self { user, groups: Vec::new(), changed: true, notes: notes.clone() }
    }
}

/// What a PUT or PATCH makes of a stored form.
type Transform = dyn Fn(&ResourceType, &Object) -> Result<(Object, Notes), Refusal>;

/// A user that is about to be changed.
struct Change<'a> {
    access: Access,
    precondition: Option<&'a Precondition>,
    seen: ShownUser,
}

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
        let event =
            NewEvent { kind: Kind::UserCreated, subject: id.0, delta: delta(None, Some(&content.resource), &notes) };
        let Some(key) = key else {
            return self
                .write(scope.org, move |conn| {
                    let author = core.author(&scope, now);
                    let (gate, created) = user::user_create(conn, scope.org, &author, id, &content, &event)
                        .map_err(|error| taken(error, &content))?;
                    scope.access(gate, now)?.to_change().map_err(Refused::Refused)?;
                    if !created {
                        let why = match gate.and_then(|gate| gate.max_users) {
                            Some(most) => plan_full(most),
                            None => internal(&"a user was not created, and nothing says why"),
                        };
                        return Err(Refused::Refused(why));
                    }
                    Ok(ShownUser::created(content.created(id, now), &notes))
                })
                .await;
        };
        let digest = digest("User", &content.resource_text, &[]);
        self.write(scope.org, move |conn| {
            let gate = scope.gate(conn)?;
            let access = scope.access(Some(gate), now)?;
            if let Some(made) = Self::replayed(conn, &scope, &key, id.0, &digest, now)? {
                let made = UserKey::Id(UserId(made));
                let users = find(conn, &scope, &made, true, 1, now)?.1;
                let made = users.into_iter().next().ok_or(Refused::Refused(spent()))?;
                return Ok(ShownUser { notes: notes.clone(), ..made });
            }
            access.to_change().map_err(Refused::Refused)?;
            if !user::plan_has_room(conn, scope.org, &gate)? {
                return Err(Refused::Refused(plan_full(gate.max_users.unwrap_or_default())));
            }
            user::user_insert(conn, scope.org, id, &content, now).map_err(|error| taken(error, &content))?;
            core.record(conn, &scope, now, std::slice::from_ref(&event))?;
            Ok(ShownUser::created(content.created(id, now), &notes))
        })
        .await
    }

    pub(crate) async fn user_get(&self, scope: Scope, id: UserId, groups: bool) -> Result<ShownUser, Refusal> {
        let users = self.user_look_up(scope, UserKey::Id(id), groups, 1).await?;
        users.into_iter().next().ok_or_else(user_not_found)
    }

    /// By id, with their groups; at most `limit`.
    pub(crate) async fn user_look_up(
        &self,
        scope: Scope,
        key: UserKey,
        groups: bool,
        limit: i64,
    ) -> Result<Vec<ShownUser>, Refusal> {
        let now = self.clock.now();
        // Of users with one externalId or address there are few, whatever a client might do.
        self.seek(scope.org, move |conn| Ok(find(conn, &scope, &key, groups, limit, now)?.1)).await
    }

    /// The whole answer to the filters that clients match users by, where it fits on the page: one statement. `None`: the
    /// list is another one.
    pub(super) async fn users_matched(
        &self,
        scope: &Scope,
        query: &ListQuery,
        groups: bool,
    ) -> Result<Option<Page<ShownUser>>, Refusal> {
        let Some(key) = matching_key(query) else { return Ok(None) };
        let limit = i64::from(query.limit);
        let items = self.user_look_up(scope.clone(), key, groups, limit + 1).await?;
        let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
        Ok((total <= limit).then_some(Page { items, total, cursors: Cursors::default() }))
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
        F: Fn(&ResourceType, &Object) -> Result<(Object, Notes), Refusal> + Send + Sync + 'static,
    {
        let types = self.types(scope.org).await?;
        let (now, transform) = (self.clock.now(), Arc::new(transform));
        let (core, hurried, entered, computed) =
            (self.clone(), Arc::clone(&types), scope.clone(), Arc::clone(&transform));
        let precondition = Arc::new(precondition);
        let required = Arc::clone(&precondition);
        let done = self
            .write(scope.org, move |conn| {
                for _ in 0..OPTIMISTIC_TRIES {
                    let (access, users) = find(conn, &entered, &UserKey::Id(id), groups, 1, now)?;
                    let seen = users.into_iter().next().ok_or_else(not_found)?;
                    let change = Change { access, precondition: required.as_ref().as_ref(), seen };
                    if let Some(shown) = core.change(conn, &entered, now, &hurried, change, &*computed)? {
                        return Ok(Some(shown));
                    }
                }
                Ok(None)
            })
            .await?;
        if let Some(shown) = done {
            return Ok(shown);
        }
        // Others were faster each time: now they wait.
        let core = self.clone();
        self.write(scope.org, move |conn| {
            user::user_lock(conn, scope.org, id, Lock::Change)?.ok_or_else(not_found)?;
            let (access, users) = find(conn, &scope, &UserKey::Id(id), groups, 1, now)?;
            let seen = users.into_iter().next().ok_or_else(not_found)?;
            let change = Change { access, precondition: precondition.as_ref().as_ref(), seen };
            core.change(conn, &scope, now, &types, change, &*transform)?.ok_or_else(contended)
        })
        .await
    }

    /// Computes, and writes over the version that was read. `None`: another was faster.
    fn change(
        &self,
        conn: &mut AnyConnection,
        scope: &Scope,
        now: Instant,
        types: &Arc<Types>,
        change: Change<'_>,
        transform: &Transform,
    ) -> Result<Option<ShownUser>, Refused> {
        let Change { access, precondition, seen: ShownUser { user: seen, groups, .. } } = change;
        Precondition::check(precondition, seen.version).map_err(Refused::Refused)?;
        let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
        let types = Self::types_for(conn, scope.org, types, |types| &types.user, &before)?;
        let (after, notes) = transform(&types.user, &before).map_err(Refused::Refused)?;
        let content = UserContent::new(&types.user, after).map_err(Refused::Refused)?;
        content.check(access).map_err(Refused::Refused)?;
        if content.resource == before {
            return Ok(Some(ShownUser { user: seen, groups, changed: false, notes }));
        }
        let delta = delta(Some(&before), Some(&content.resource), &notes);
        let change = UserChange {
            seen: &seen,
            content: &content,
            emails_before: &email_keys(&before),
            needs_plan: content.needs_plan(),
            event: &NewEvent { kind: Kind::UserUpdated, subject: seen.id.0, delta },
        };
        let written = user::user_update(conn, scope.org, &self.author(scope, now), &change);
        let written = written.map_err(|error| taken(error, &content))?;
        Ok(written.map(|user| ShownUser { user, groups, changed: true, notes }))
    }

    /// Direct groups first, then those reached through nesting.
    pub(crate) async fn groups_of_user(&self, scope: Scope, id: UserId) -> Result<Vec<GroupOfUser>, Refusal> {
        Ok(self.user_get(scope, id, true).await?.groups)
    }
}

/// What a list by index is of, if its filter is one `eq` on an attribute that users are looked up by.
fn matching_key(query: &ListQuery) -> Option<UserKey> {
    let ListQuery { filter: Some(filter), sort_by: None, offset: 0, limit: 1.., cursor: None, .. } = query else {
        return None;
    };
    // Extensions add names with a URN only, so the built-in type reads these the same.
    let Ok(Filter::Compare { path, op: CompareOp::Eq, literal: Literal::String(text) }) =
        scim::filter::parse(scim::schema::user(), filter)
    else {
        return None;
    };
    if path.extension.is_some() || text.contains('\0') {
        return None;
    }
    match (path.attribute.name.as_str(), path.sub.map(|sub| sub.name.as_str())) {
        ("id", None) => parse_id(&text).map(UserKey::Id),
        // The literal has been prepared by the parser.
        ("userName", None) => Some(UserKey::UserName(text)),
        ("externalId", None) => Some(UserKey::ExternalId(text)),
        ("emails", None | Some("value")) => Some(UserKey::Email(scim::fold(&text))),
        _ => None,
    }
}

/// What the organization allows, and the users that a key finds.
fn find(
    conn: &mut AnyConnection,
    scope: &Scope,
    key: &UserKey,
    groups: bool,
    limit: i64,
    now: Instant,
) -> Result<(Access, Vec<ShownUser>), Refused> {
    let (gate, users) = user::users_find(conn, scope.org, key, groups, limit)?;
    let access = scope.access(gate, now)?;
    let nested = gate.is_some_and(|gate| gate.nested_groups) && users.iter().any(|(_, groups)| !groups.is_empty());
    if nested {
        let users = users.into_iter().map(|(user, _)| user).collect();
        return Ok((access, show_all(conn, scope, users, Some(Nesting::Searched))?));
    }
    Ok((access, users.into_iter().map(|(user, groups)| ShownUser::read(user, groups)).collect()))
}

/// Users with the groups they are in; `None`: without.
pub(super) fn show_all(
    conn: &mut AnyConnection,
    scope: &Scope,
    users: Vec<User>,
    groups: Option<Nesting>,
) -> Result<Vec<ShownUser>, Refused> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.id.0).collect();
    let mut shown: Vec<ShownUser> = users.into_iter().map(|user| ShownUser::read(user, Vec::new())).collect();
    let Some(nesting) = groups else { return Ok(shown) };
    let places: std::collections::HashMap<UserId, usize> =
        shown.iter().enumerate().map(|(place, shown)| (shown.user.id, place)).collect();
    for (id, group) in user::groups_of_users(conn, scope.org, &ids, nesting)? {
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
