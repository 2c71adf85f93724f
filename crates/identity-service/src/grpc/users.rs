//! Users.

use ::store::urgently_if;
use wire::{
    Refusal,
    identity::{self as proto, look_up_users_request::Key},
};

use super::convert::{
    group_reference, idempotency_key, invalid, known_user, list_query, operation, precondition, scope, user, user_id,
    with_groups,
};
use crate::{operations::Core, store::user::UserKey};

/// The most users that one key finds.
const LOOK_UP_LIMIT: i64 = 1000;

pub(super) async fn create(core: &Core, request: proto::CreateUserRequest) -> Result<proto::User, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let key = core.checked(&scope, idempotency_key(request.idempotency_key)).await?;
    Ok(user(core.user_create(scope, &request.resource_json, key).await?))
}

pub(super) async fn get(core: &Core, request: proto::GetUserRequest) -> Result<proto::User, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_user(user_id(&request.id))).await?;
    Ok(user(core.user_get(scope, id, with_groups(request.mask)).await?))
}

pub(super) async fn look_up(
    core: &Core,
    request: proto::LookUpUsersRequest,
) -> Result<proto::LookUpUsersResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let (key, has_nul) = match request.key {
        Some(Key::UserName(name)) => (UserKey::UserName(scim::user_name::key(&name)), name.contains('\0')),
        Some(Key::ExternalId(id)) => (UserKey::ExternalId(id.clone()), id.contains('\0')),
        Some(Key::Email(email)) => (UserKey::Email(scim::fold(&email)), email.contains('\0')),
        None => return Err(invalid("key is missing: give user_name, external_id or email.")),
    };
    if has_nul {
        return Err(invalid("a key cannot contain the character U+0000."));
    }
    let users = core.user_look_up(scope, key, with_groups(request.mask), LOOK_UP_LIMIT).await?;
    Ok(proto::LookUpUsersResponse { users: users.into_iter().map(user).collect() })
}

pub(super) async fn list(core: &Core, request: proto::ListUsersRequest) -> Result<proto::ListUsersResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let page = core.user_list(scope, &list_query(request.query), with_groups(request.mask)).await?;
    Ok(proto::ListUsersResponse {
        users: page.items.into_iter().map(user).collect(),
        total_results: page.total,
        next_cursor: page.cursors.next.unwrap_or_default(),
        previous_cursor: page.cursors.previous.unwrap_or_default(),
    })
}

pub(super) async fn replace(core: &Core, request: proto::ReplaceUserRequest) -> Result<proto::User, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_user(user_id(&request.id))).await?;
    let precondition = precondition(request.if_match);
    let groups = with_groups(request.mask);
    let urgent = scim::deactivation::body(&request.resource_json);
    let replace = core.user_replace(scope, id, precondition, &request.resource_json, groups);
    Ok(user(urgently_if(urgent, replace).await?))
}

pub(super) async fn patch(core: &Core, request: proto::PatchUserRequest) -> Result<proto::User, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_user(user_id(&request.id))).await?;
    let operations = request.operations.into_iter().map(operation).collect::<Result<Vec<_>, _>>();
    let operations = core.checked(&scope, operations).await?;
    let precondition = precondition(request.if_match);
    let urgent = scim::deactivation::patch(&operations);
    let patch = core.user_patch(scope, id, precondition, operations, with_groups(request.mask));
    Ok(user(urgently_if(urgent, patch).await?))
}

pub(super) async fn delete(
    core: &Core,
    request: proto::DeleteUserRequest,
) -> Result<proto::DeleteUserResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_user(user_id(&request.id))).await?;
    urgently_if(true, core.user_delete(scope, id, precondition(request.if_match))).await?;
    Ok(proto::DeleteUserResponse {})
}

pub(super) async fn groups(
    core: &Core,
    request: proto::ListGroupsOfUserRequest,
) -> Result<proto::ListGroupsOfUserResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_user(user_id(&request.user_id))).await?;
    let groups = core.groups_of_user(scope, id).await?;
    Ok(proto::ListGroupsOfUserResponse { groups: groups.into_iter().map(group_reference).collect() })
}
