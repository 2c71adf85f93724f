//! Groups and members.

use ::store::urgently_if;
use wire::{
    Refusal,
    identity::{self as proto, group_change::Change},
};

use super::convert::{
    base_url, group, group_id, idempotency_key, invalid, known_group, list_query, member, member_ids, members_shown,
    next_page, operation, precondition, scope,
};
use crate::{
    domain::{group::GroupChange, list::LARGEST_PAGE, list::page_size, parse_id},
    operations::Core,
};

pub(super) async fn create(core: &Core, request: proto::CreateGroupRequest) -> Result<proto::Group, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let members = member_ids(&request.members.unwrap_or_default())?;
    let key = core.checked(&scope, idempotency_key(request.idempotency_key)).await?;
    let shown = members_shown(request.mask);
    Ok(group(core.group_create(scope, &request.resource_json, members, key, shown).await?))
}

pub(super) async fn get(core: &Core, request: proto::GetGroupRequest) -> Result<proto::Group, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_group(group_id(&request.id))).await?;
    Ok(group(core.group_get(scope, id, members_shown(request.mask)).await?))
}

pub(super) async fn list(core: &Core, request: proto::ListGroupsRequest) -> Result<proto::ListGroupsResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let page = core.group_list(scope, &list_query(request.query), members_shown(request.mask)).await?;
    Ok(proto::ListGroupsResponse {
        groups: page.items.into_iter().map(group).collect(),
        total_results: page.total,
        next_cursor: page.cursors.next.unwrap_or_default(),
        previous_cursor: page.cursors.previous.unwrap_or_default(),
    })
}

pub(super) async fn replace(core: &Core, request: proto::ReplaceGroupRequest) -> Result<proto::Group, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_group(group_id(&request.id))).await?;
    let members = request.members.as_ref().map(member_ids).transpose()?;
    let precondition = precondition(request.if_match);
    let shown = members_shown(request.mask);
    let urgent = members.as_ref().is_some_and(Vec::is_empty);
    let replace = core.group_replace(scope, id, precondition, &request.resource_json, members, shown);
    Ok(group(urgently_if(urgent, replace).await?))
}

pub(super) async fn patch(core: &Core, request: proto::PatchGroupRequest) -> Result<proto::Group, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_group(group_id(&request.id))).await?;
    let changes = request.changes.into_iter().map(change).collect::<Result<Vec<_>, _>>();
    let changes = core.checked(&scope, changes).await?;
    let precondition = precondition(request.if_match);
    let (base_url, shown) = (base_url(request.base_url), members_shown(request.mask));
    let urgent = !changes.is_empty() && changes.iter().all(takes_out);
    let patch = core.group_patch(scope, id, precondition, changes, base_url, shown);
    Ok(group(urgently_if(urgent, patch).await?))
}

/// Who is taken out of a group loses what it gives.
fn takes_out(change: &GroupChange) -> bool {
    match change {
        GroupChange::RemoveMembers(_) | GroupChange::RemoveMembersWhere(_) => true,
        GroupChange::ReplaceMembers(ids) => ids.is_empty(),
        GroupChange::AddMembers(_) | GroupChange::Attribute(_) => false,
    }
}

fn change(this: proto::GroupChange) -> Result<GroupChange, Refusal> {
    match this.change {
        Some(Change::Attribute(this)) => Ok(GroupChange::Attribute(operation(this)?)),
        Some(Change::AddMembers(ids)) => Ok(GroupChange::AddMembers(member_ids(&ids)?)),
        Some(Change::RemoveMembers(ids)) => Ok(GroupChange::RemoveMembers(member_ids(&ids)?)),
        Some(Change::RemoveMembersWhere(filter)) => Ok(GroupChange::RemoveMembersWhere(filter)),
        Some(Change::ReplaceMembers(ids)) => Ok(GroupChange::ReplaceMembers(member_ids(&ids)?)),
        None => Err(invalid("a change is empty: give an attribute or a members change.")),
    }
}

pub(super) async fn delete(
    core: &Core,
    request: proto::DeleteGroupRequest,
) -> Result<proto::DeleteGroupResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_group(group_id(&request.id))).await?;
    let display_name = urgently_if(true, core.group_delete(scope, id, precondition(request.if_match))).await?;
    Ok(proto::DeleteGroupResponse { display_name })
}

pub(super) async fn members(
    core: &Core,
    request: proto::ListMembersRequest,
) -> Result<proto::ListMembersResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, known_group(group_id(&request.group_id))).await?;
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(parse_id(token).ok_or_else(|| invalid("page_token is not one that was given out."))?),
    };
    let page = core.member_list(scope, id, after, page_size(request.page_size, LARGEST_PAGE)).await?;
    Ok(proto::ListMembersResponse {
        next_page_token: next_page(&page.members, page.more),
        members: page.members.into_iter().map(member).collect(),
    })
}
