//! `/.search` on the root: users and groups as one list, RFC 7644 section 3.4.3. All users come before all groups; each
//! are in the order that was asked for, or by id.

use axum::{extract::Request, response::Response};
use http::StatusCode;
use scim::{ErrorKind, ResourceType, list::ListParams, search::Share};
use wire::identity::{ListGroupsResponse, ListUsersResponse};

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
    let mut shares = match &params.filter {
        Some(filter) => scim::search::shares(&[&types.user, &types.group], filter)?.into_iter(),
        None => vec![Share::All; 2].into_iter(),
    };
    let (user, group) = (shares.next().unwrap_or(Share::None), shares.next().unwrap_or(Share::None));
    let shown = extract::projected(&params, &types.user)?;
    let shown_groups = extract::projected(&params, &types.group)?;

    let page = match share(&params, user, &types.user, &types.group) {
        Some(of_users) => users::fetch(&session, &of_users, &shown).await?,
        None => ListUsersResponse::default(),
    };
    let (total_users, found) = (page.total_results, page.users.len());
    let rest = share(&params, group, &types.group, &types.user).map(|of_groups| ListParams {
        start_index: params.start_index.saturating_sub(total_users).max(1),
        count: params.count.saturating_sub(u32::try_from(found).unwrap_or(u32::MAX)),
        ..of_groups
    });
    let more = match rest {
        Some(rest) => groups::fetch(&session, &rest, &shown_groups).await?,
        None => ListGroupsResponse::default(),
    };

    let mut body = Vec::with_capacity(256 + found * 1024);
    let total = total_users.saturating_add(more.total_results);
    extract::list_open(&params, total, "", found + more.groups.len(), &mut body);
    users::render_all(&session, &page.users, &shown, &mut body)?;
    let body = Pages::rest(session, more.groups, shown_groups, found, body).body().await?;
    Ok(reply::json(StatusCode::OK, body))
}

/// The list of one type; `None`: nothing of it is in the whole. Resources of a type without the attribute to sort by are
/// in the order of their ids, unless no type has it.
fn share(params: &ListParams, share: Share, rt: &ResourceType, other: &ResourceType) -> Option<ListParams> {
    let filter = match share {
        Share::None => return None,
        Share::All => None,
        Share::Filter(filter) => Some(filter),
    };
    let known = |rt| params.sort_by.as_deref().is_some_and(|path| scim::attr::resolve(rt, path).is_some());
    let sort_by = if !known(rt) && known(other) { None } else { params.sort_by.clone() };
    Some(ListParams { filter, sort_by, ..params.clone() })
}
