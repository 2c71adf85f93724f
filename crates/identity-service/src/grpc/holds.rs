//! Holds: many users that lost their access at once.

use wire::{Refusal, identity as proto};

use super::convert::{instant, invalid, scope};
use crate::{
    domain::{
        hold::{Held, HoldId, Loss, State, hold_not_found, not_open},
        list::page_size,
        parse_id,
    },
    operations::{Core, ShownHold},
};

/// The page of users where none is asked for.
const DEFAULT_PAGE: u32 = 50;

pub(super) async fn list(core: &Core, request: proto::ListHoldsRequest) -> Result<proto::ListHoldsResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let holds = core.hold_list(scope).await?;
    Ok(proto::ListHoldsResponse { holds: holds.into_iter().map(hold).collect() })
}

pub(super) async fn approve(core: &Core, request: proto::ApproveHoldRequest) -> Result<proto::Hold, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, hold_id(&request.id)).await?;
    core.hold_decide(scope, id, State::Approved).await.map(hold)
}

pub(super) async fn restore(core: &Core, request: proto::RestoreHoldRequest) -> Result<proto::Hold, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, hold_id(&request.id)).await?;
    core.hold_decide(scope, id, State::Restoring).await.map(hold)
}

pub(super) async fn users(
    core: &Core,
    request: proto::ListHoldUsersRequest,
) -> Result<proto::ListHoldUsersResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, parse_id(&request.id).ok_or_else(hold_not_found)).await?;
    let after = match request.page_token.as_str() {
        "" => Ok(0),
        token => {
            token.parse().map_err(|_| invalid("page_token is not one that was given out. Begin again without one."))
        }
    };
    let after = core.checked(&scope, after).await?;
    let (users, last) = core.hold_users(scope, id, after, page_size(request.page_size, DEFAULT_PAGE)).await?;
    let held = |Held { lost, user_name, display_name }: Held| proto::HeldUser {
        user_id: lost.user.to_string(),
        user_name,
        display_name,
        deleted: lost.loss == Loss::Deleted,
        lost_at: Some(instant(lost.occurred)),
    };
    Ok(proto::ListHoldUsersResponse {
        users: users.into_iter().map(held).collect(),
        next_page_token: last.map(|last| last.to_string()).unwrap_or_default(),
    })
}

/// An id that is none is one that no hold has.
fn hold_id(text: &str) -> Result<HoldId, Refusal> {
    parse_id(text).ok_or_else(not_open)
}

fn hold((this, failed): ShownHold) -> proto::Hold {
    let state = match this.state {
        State::Open => proto::HoldState::Open,
        State::Approved => proto::HoldState::Approved,
        State::Restoring => proto::HoldState::Restoring,
        State::Restored => proto::HoldState::Restored,
    };
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let failure =
        |failed: crate::domain::hold::Failed| proto::HoldFailure { user_id: failed.user.to_string(), why: failed.why };
    proto::Hold {
        id: this.id.to_string(),
        state: state.into(),
        opened_at: Some(instant(this.opened)),
        first_at: Some(instant(this.first)),
        last_at: Some(instant(this.last)),
        deactivated: count(this.counts.deactivated),
        deleted: count(this.counts.deleted),
        users: count(this.users),
        decided_at: this.decided.map(instant),
        decided_by_json: this.decided_by.unwrap_or_default().into_bytes().into(),
        failed: count(this.counts.failed),
        failures: failed.into_iter().map(failure).collect(),
        restored: count(this.counts.restored),
    }
}
