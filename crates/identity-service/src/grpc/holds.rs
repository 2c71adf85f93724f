//! Holds: many users that lost their access at once.

use wire::{Refusal, identity as proto};

use super::convert::{instant, scope};
use crate::{
    domain::{
        hold::{HoldId, State, not_open},
        parse_id,
    },
    operations::{Core, ShownHold},
};

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
