//! `/.search` on the root: users and groups as one list, RFC 7644 section 3.4.3. All users come before all groups; each
//! are in the order that was asked for, or by id.

use axum::{extract::Request, response::Response};
use http::StatusCode;
use wire::identity::ListResourcesRequest;

use super::{groups, pages::Pages, users};
use crate::{
    error::Result,
    extract::{self, Whole},
    gateway::Session,
    reply,
};

pub(crate) async fn all(session: Session, request: Request) -> Result<Response> {
    let params = extract::search(&session, request).await?;
    let shown = extract::projected(&params, &session.types.user)?;
    let shown_groups = extract::projected(&params, &session.types.group)?;
    let message = ListResourcesRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        query: Some(extract::list_query(&session, &params)),
        user_mask: users::mask(&shown),
        group_mask: groups::page_mask(&params, &shown_groups),
    };
    let page = session.gateway.clients.identity.clone().list_resources(session.call(message)).await?.into_inner();

    let found = page.users.len();
    let mut body = Vec::with_capacity(256 + found * 1024);
    let whole =
        Whole { total: page.total_results, previous_cursor: &page.previous_cursor, next_cursor: &page.next_cursor };
    extract::list_open(&params, &whole, found + page.groups.len(), &mut body);
    users::render_all(&session, &page.users, &shown, &mut body)?;
    let body = Pages::rest(session, page.groups, shown_groups, found, body).body().await?;
    Ok(reply::json(StatusCode::OK, body))
}
