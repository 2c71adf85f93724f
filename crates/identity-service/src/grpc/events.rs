//! Events.

use wire::{Refusal, identity as proto};

use super::convert::{instant, org_id};
use crate::{
    domain::list::{DEFAULT_PAGE, page_size},
    operations::Core,
    store::event::EventRow,
};

pub(super) async fn list(core: &Core, request: proto::ListEventsRequest) -> Result<proto::ListEventsResponse, Refusal> {
    let org = org_id(&request.organization_id)?;
    let rows = core.events(org, request.after_sequence, page_size(request.page_size, DEFAULT_PAGE)).await?;
    Ok(proto::ListEventsResponse { events: rows.into_iter().map(event).collect() })
}

pub(super) fn event(row: EventRow) -> proto::Event {
    proto::Event {
        sequence: row.seq,
        r#type: row.kind,
        occurred_at: Some(instant(row.occurred)),
        subject_id: row.subject.to_string(),
        actor_json: row.actor.into_bytes().into(),
        delta_json: row.delta.into_bytes().into(),
        hash: row.hash.into(),
    }
}
