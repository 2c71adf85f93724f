//! `/.search` on the root: users and groups as one list, RFC 7644 section 3.4.3. All users come before all groups; each
//! are in the order that was asked for, or by id.

use axum::{extract::Request, response::Response};
use http::StatusCode;
use scim::{ErrorKind, ResourceType, list::ListParams};

use super::{groups, pages::Pages, users};
use crate::{
    error::{Failure, Result},
    extract,
    gateway::Session,
    reply,
};

pub(crate) async fn all(session: Session, request: Request) -> Result<Response> {
    let params = extract::search(&session, request).await?;
    if params.cursor.is_some() {
        let detail = "A search over all resource types has no cursors. Page with startIndex and count, or search \
                      /Users and /Groups by cursor, each for itself.";
        return Err(Failure::new(ErrorKind::InvalidCursor, detail));
    }
    let types = std::sync::Arc::clone(&session.types);
    let filter = params.filter.as_deref();
    let user = applies(filter, &types.user);
    let group = applies(filter, &types.group);
    let (user, group) = match (user, group) {
        (Err(error), Err(_)) => return Err(error.into()),
        (user, group) => (user.is_ok(), group.is_ok()),
    };
    let shown = extract::projected(&params, &types.user)?;
    let shown_groups = extract::projected(&params, &types.group)?;

    let page = match user {
        true => users::fetch(&session, &sorted(&params, &types.user, &types.group), &shown).await?,
        false => Default::default(),
    };
    let (total_users, found) = (page.total_results, page.users.len());
    let rest = ListParams {
        start_index: params.start_index.saturating_sub(total_users).max(1),
        count: params.count.saturating_sub(u32::try_from(found).unwrap_or(u32::MAX)),
        ..sorted(&params, &types.group, &types.user)
    };
    let more = match group {
        true => groups::fetch(&session, &rest, &shown_groups).await?,
        false => Default::default(),
    };

    let mut body = Vec::with_capacity(256 + found * 1024);
    let total = total_users.saturating_add(more.total_results);
    extract::list_open(&params, total, "", found + more.groups.len(), &mut body);
    users::render_all(&session, &page.users, &shown, &mut body)?;
    let body = Pages::rest(session, more.groups, shown_groups, found, body).body().await?;
    Ok(reply::json(StatusCode::OK, body))
}

/// A filter on what a type does not have matches none of that type.
fn applies(filter: Option<&str>, rt: &ResourceType) -> Result<(), scim::Error> {
    filter.map_or(Ok(()), |filter| scim::filter::parse(rt, filter).map(|_| ()))
}

/// Resources of a type without the attribute to sort by are in the order of their ids, unless no type has it.
fn sorted(params: &ListParams, rt: &ResourceType, other: &ResourceType) -> ListParams {
    let known = |rt| params.sort_by.as_deref().is_some_and(|path| scim::attr::resolve(rt, path).is_some());
    let sort_by = if !known(rt) && known(other) { None } else { params.sort_by.clone() };
    ListParams { sort_by, ..params.clone() }
}
