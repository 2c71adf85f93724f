//! Users that were deleted and can be restored.

use store::Instant;
use wire::{Refusal, identity as proto};

use super::convert::{group_reference, instant, invalid, scope, user, user_id};
use crate::{
    domain::{
        UserId,
        deletion::{Deleted, Wanted, not_restorable},
        list::{DEFAULT_PAGE, page_size},
        parse_id,
        user::parse_stored,
    },
    operations::{Core, Restored},
};

pub(super) async fn list(
    core: &Core,
    request: proto::ListDeletedUsersRequest,
) -> Result<proto::ListDeletedUsersResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let wanted = match (request.id.as_str(), request.page_token.as_str()) {
        ("", "") => Wanted::Before(None),
        ("", token) => {
            Wanted::Before(Some(position(token).ok_or_else(|| invalid("page_token is not one that was given out."))?))
        }
        (id, _) => Wanted::One(user_id(id).ok_or_else(|| invalid("id is not the UUID of a user."))?),
    };
    let limit = page_size(request.page_size, DEFAULT_PAGE);
    let mut page = core.deleted_list(scope, wanted, limit + 1).await?;
    let more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let next_page_token = page.last().filter(|_| more).map(token).unwrap_or_default();
    let users = page.into_iter().map(deleted).collect::<Result<_, _>>()?;
    Ok(proto::ListDeletedUsersResponse { users, next_page_token })
}

pub(super) async fn restore(
    core: &Core,
    request: proto::RestoreUserRequest,
) -> Result<proto::RestoreUserResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, user_id(&request.id).ok_or_else(not_restorable)).await?;
    let Restored { user: restored, gone } = core.user_restore(scope, id, request.user_name).await?;
    let groups_gone = gone.into_iter().map(group_reference).collect();
    Ok(proto::RestoreUserResponse { user: Some(user(restored)), groups_gone })
}

/// A page of the list continues after the last one: when it was deleted, in microseconds, and its id.
fn token(last: &Deleted) -> String {
    format!("{}.{}", last.deleted_at.as_micros(), last.id)
}

fn position(token: &str) -> Option<(Instant, UserId)> {
    let (micros, id) = token.split_once('.')?;
    Some((Instant::from_micros(micros.parse().ok()?), parse_id(id)?))
}

fn deleted(this: Deleted) -> Result<proto::DeletedUser, Refusal> {
    let keys = scim::resource::user_keys(&parse_stored(&this.resource)?);
    Ok(proto::DeletedUser {
        id: this.id.to_string(),
        user_name: keys.user_name,
        external_id: keys.external_id,
        active: keys.active,
        display_name: keys.display_name.unwrap_or_default(),
        created_at: Some(instant(this.created)),
        deleted_at: Some(instant(this.deleted_at)),
        restorable_until: Some(instant(this.purge_at)),
        deleted_by_json: this.deleted_by.into_bytes().into(),
        held: this.held,
    })
}
