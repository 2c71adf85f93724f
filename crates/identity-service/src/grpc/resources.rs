//! Users and groups together.

use wire::{Refusal, identity as proto};

use super::convert::{group, list_query, members_shown, scope, user, with_groups};
use crate::operations::Core;

pub(super) async fn list(
    core: &Core,
    request: proto::ListResourcesRequest,
) -> Result<proto::ListResourcesResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let (groups, members) = (with_groups(request.user_mask), members_shown(request.group_mask));
    let page = core.resource_list(scope, &list_query(request.query), groups, members).await?;
    Ok(proto::ListResourcesResponse {
        users: page.users.into_iter().map(user).collect(),
        groups: page.groups.into_iter().map(group).collect(),
        total_results: page.total,
        next_cursor: page.cursors.next.unwrap_or_default(),
        previous_cursor: page.cursors.previous.unwrap_or_default(),
    })
}
