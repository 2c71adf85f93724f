//! `/Groups`: RFC 7644 sections 3.3 to 3.6. Members travel as ids, apart from the rest; an answer that shows them is
//! streamed, see [`super::pages`].

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri};
use scim::{
    ResourceType,
    group::{Change, GroupBody},
    list::ListParams,
    project::Projection,
    schema,
};
use serde_json::Value;
use uuid::Uuid;
use wire::identity::{
    CreateGroupRequest, DeleteGroupRequest, GetGroupRequest, Group, GroupChange, GroupMask, ListGroupsRequest,
    ListGroupsResponse, MemberIds, PatchGroupRequest, Precondition, ReplaceGroupRequest, group_change,
};

use super::{Done, Work, pages::Pages, patch_operation, to_json};
use crate::{
    MAX_GROUP_BODY,
    error::Result,
    extract::{self, Id, Payload, Share},
    gateway::Session,
    limits::Lane,
    reply,
};

/// Members that come with the group itself; more are fetched while the answer is under way.
const FIRST_MEMBERS: u32 = 1000;
const NO_MEMBERS: Option<GroupMask> = Some(GroupMask { members: 0 });
/// Members that come with a page of groups, all together.
const FIRST_MEMBERS_OF_PAGE: u32 = 100_000;

fn rt() -> &'static ResourceType {
    schema::group()
}

pub(crate) async fn create(session: Session, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let projection = extract::projection(&parts.uri, &session.types.group)?;
    let (group, _share) = read(&session, &parts.headers, body).await?;
    let key = extract::idempotency_key(&parts.headers)?;
    let group = made(&session, group, key, mask(&projection, FIRST_MEMBERS)).await?;
    answer(session, StatusCode::CREATED, group, projection).await
}

/// POST.
async fn made(
    session: &Session,
    body: GroupBody,
    idempotency_key: Option<String>,
    mask: Option<GroupMask>,
) -> Result<Group> {
    let (resource_json, members) = in_parts(body)?;
    let message = CreateGroupRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        resource_json,
        members,
        mask,
        idempotency_key,
    };
    let group = session.gateway.clients.identity.clone().create_group(session.call(message)).await?.into_inner();
    session.trail.group(&group);
    Ok(group)
}

pub(crate) async fn get(session: Session, id: Id, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let id = id.of(rt())?;
    let projection = extract::projection(&uri, &session.types.group)?;
    let message = GetGroupRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        id: id.to_string(),
        mask: mask(&projection, FIRST_MEMBERS),
    };
    let group = session.gateway.clients.identity.clone().get_group(session.call(message)).await?.into_inner();
    let etag = scim::etag::group(group.version);
    if extract::has_current(&headers, &etag) {
        return Ok(reply::not_modified(&etag));
    }
    answer(session, StatusCode::OK, group, projection).await
}

pub(crate) async fn list(session: Session, uri: Uri) -> Result<Response> {
    page(session, extract::list(&uri)?).await
}

pub(crate) async fn search(session: Session, request: Request) -> Result<Response> {
    let params = extract::search(&session, request).await?;
    page(session, params).await
}

async fn page(session: Session, params: ListParams) -> Result<Response> {
    let projection = extract::checked(&params, &session.types.group)?;
    let page = fetch(&session, &params, &projection).await?;
    let body = Pages::list(session, page, &params, projection).body().await?;
    Ok(reply::json(StatusCode::OK, body))
}

/// A page as identity-service has it.
async fn fetch(session: &Session, params: &ListParams, projection: &Projection) -> Result<ListGroupsResponse> {
    let message = ListGroupsRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        query: Some(extract::list_query(session, params)),
        mask: page_mask(params, projection),
    };
    Ok(session.gateway.clients.identity.clone().list_groups(session.call(message)).await?.into_inner())
}

pub(crate) async fn replace(session: Session, id: Id, request: Request) -> Result<Response> {
    let id = id.of(rt())?;
    let (parts, body) = request.into_parts();
    let projection = extract::projection(&parts.uri, &session.types.group)?;
    let if_match = extract::precondition(&parts.headers)?;
    let group = read(&session, &parts.headers, body).await;
    let empties = group.as_ref().is_ok_and(|(group, _)| group.members.as_ref().is_some_and(Vec::is_empty));
    let _place = session.admit(if empties { Lane::Deprovisioning } else { Lane::Main }).await?;
    let (group, _share) = group?;
    let group = replaced(&session, id, if_match, group, mask(&projection, FIRST_MEMBERS)).await?;
    answer(session, StatusCode::OK, group, projection).await
}

/// PUT.
async fn replaced(
    session: &Session,
    id: Uuid,
    if_match: Option<Precondition>,
    body: GroupBody,
    mask: Option<GroupMask>,
) -> Result<Group> {
    let (resource_json, members) = in_parts(body)?;
    let message = ReplaceGroupRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        id: id.to_string(),
        if_match,
        resource_json,
        members,
        mask,
    };
    let group = session.gateway.clients.identity.clone().replace_group(session.call(message)).await?.into_inner();
    session.trail.group(&group);
    Ok(group)
}

/// Answers 204, unless the client asked for attributes (RFC 7644 section 3.5.2): the group may be large.
pub(crate) async fn patch(session: Session, id: Id, request: Request) -> Result<Response> {
    let id = id.of(rt())?;
    let (parts, body) = request.into_parts();
    let projection = extract::projection(&parts.uri, &session.types.group)?;
    let if_match = extract::precondition(&parts.headers)?;
    let payload = payload(&session, &parts.headers, body).await?;
    let changes = payload.parse(changes).await;
    let _place = session.admit(changes.as_deref().map_or(Lane::Main, lane_of)).await?;
    let silent = projection.is_default();
    let mask = if silent { NO_MEMBERS } else { mask(&projection, FIRST_MEMBERS) };
    let group = patched(&session, id, if_match, changes?, mask).await?;
    if silent {
        return Ok(reply::changed(&scim::etag::group(group.version), &location(&session, &group)));
    }
    answer(session, StatusCode::OK, group, projection).await
}

/// The lane of one operation of a bulk request.
pub(super) fn lane(work: &Work) -> Lane {
    match work {
        Work::Delete(_) => Lane::Deprovisioning,
        Work::Patch(_, body) => {
            to_json(body).ok().and_then(|body| changes(&body).ok()).map_or(Lane::Main, |changes| lane_of(&changes))
        }
        Work::Replace(_, body) => match to_json(body).ok().and_then(|body| scim::group::parse(&body).ok()) {
            Some(group) if group.members.as_ref().is_some_and(Vec::is_empty) => Lane::Deprovisioning,
            _ => Lane::Main,
        },
        Work::Create(_) => Lane::Main,
    }
}

/// Taking members out takes access away.
fn lane_of(changes: &[Change]) -> Lane {
    let removes = |change: &Change| match change {
        Change::RemoveMembers(_) | Change::RemoveMembersWhere(_) => true,
        Change::ReplaceMembers(ids) => ids.is_empty(),
        Change::AddMembers(_) | Change::Attribute(_) => false,
    };
    if !changes.is_empty() && changes.iter().all(removes) { Lane::Deprovisioning } else { Lane::Main }
}

fn changes(body: &[u8]) -> Result<Vec<Change>, scim::Error> {
    scim::group::lower(scim::patch::parse(body)?)
}

/// PATCH.
async fn patched(
    session: &Session,
    id: Uuid,
    if_match: Option<Precondition>,
    changes: Vec<Change>,
    mask: Option<GroupMask>,
) -> Result<Group> {
    let message = PatchGroupRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        id: id.to_string(),
        if_match,
        changes: changes.into_iter().map(change).collect::<Result<_>>()?,
        mask,
        base_url: session.base_url().to_owned(),
    };
    let group = session.gateway.clients.identity.clone().patch_group(session.call(message)).await?.into_inner();
    session.trail.group(&group);
    Ok(group)
}

pub(crate) async fn delete(session: Session, id: Id, headers: HeaderMap) -> Result<Response> {
    let id = id.of(rt())?;
    removed(&session, id, extract::precondition(&headers)?).await?;
    Ok(reply::no_content())
}

/// DELETE.
async fn removed(session: &Session, id: Uuid, if_match: Option<Precondition>) -> Result<()> {
    let message = DeleteGroupRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        id: id.to_string(),
        if_match,
    };
    let deleted = session.gateway.clients.identity.clone().delete_group(session.call(message)).await?.into_inner();
    session.trail.removed(&deleted.display_name);
    Ok(())
}

/// One operation of a bulk request, by the rules of the single one.
pub(super) async fn operate(session: &Session, work: Work, if_match: Option<Precondition>) -> Result<Done> {
    let (status, group) = match work {
        Work::Create(body) => {
            let body = scim::group::parse(&to_json(&body)?)?;
            (StatusCode::CREATED, made(session, body, None, NO_MEMBERS).await?)
        }
        Work::Replace(id, body) => {
            let body = scim::group::parse(&to_json(&body)?)?;
            (StatusCode::OK, replaced(session, id, if_match, body, NO_MEMBERS).await?)
        }
        Work::Patch(id, body) => {
            let changes = changes(&to_json(&body)?)?;
            (StatusCode::NO_CONTENT, patched(session, id, if_match, changes, NO_MEMBERS).await?)
        }
        Work::Delete(id) => {
            removed(session, id, if_match).await?;
            return Ok(Done { status: StatusCode::NO_CONTENT, id, version: None });
        }
    };
    let id = Uuid::try_parse(&group.id).map_err(|_| reply::not_ours("an id that is no UUID"))?;
    Ok(Done { status, id, version: Some(scim::etag::group(group.version)) })
}

fn location(session: &Session, group: &Group) -> String {
    format!("{}/Groups/{}", session.base_url(), group.id)
}

async fn answer(session: Session, status: StatusCode, group: Group, projection: Projection) -> Result<Response> {
    let etag = scim::etag::group(group.version);
    let location = location(&session, &group);
    let body = Pages::one(session, group, projection).body().await?;
    Ok(reply::resource(status, body, &etag, &location))
}

async fn payload(session: &Session, headers: &HeaderMap, body: Body) -> Result<Payload> {
    let payload = Payload::read(headers, body, MAX_GROUP_BODY, &session.room).await?;
    session.trail.body(&payload.bytes);
    Ok(payload)
}

async fn read(session: &Session, headers: &HeaderMap, body: Body) -> Result<(GroupBody, Share)> {
    extract::group(headers, body, MAX_GROUP_BODY, &session.room, |bytes| session.trail.body(bytes)).await
}

/// A POST or PUT body in its two parts.
fn in_parts(group: GroupBody) -> Result<(Bytes, Option<MemberIds>)> {
    let members = group.members.map(|ids| MemberIds { ids: wire::ids::pack(&ids) });
    Ok((to_json(&Value::Object(group.rest))?, members))
}

fn mask(projection: &Projection, first_members: u32) -> Option<GroupMask> {
    Some(GroupMask { members: if projection.shows("members") { first_members } else { 0 } })
}

/// The same for a page of groups.
pub(super) fn page_mask(params: &ListParams, projection: &Projection) -> Option<GroupMask> {
    mask(projection, (FIRST_MEMBERS_OF_PAGE / params.count.max(1)).min(FIRST_MEMBERS))
}

fn change(change: Change) -> Result<GroupChange> {
    let ids = |ids: Vec<uuid::Uuid>| MemberIds { ids: wire::ids::pack(&ids) };
    let change = match change {
        Change::Attribute(operation) => group_change::Change::Attribute(patch_operation(operation)?),
        Change::AddMembers(members) => group_change::Change::AddMembers(ids(members)),
        Change::RemoveMembers(members) => group_change::Change::RemoveMembers(ids(members)),
        Change::RemoveMembersWhere(filter) => group_change::Change::RemoveMembersWhere(filter),
        Change::ReplaceMembers(members) => group_change::Change::ReplaceMembers(ids(members)),
    };
    Ok(GroupChange { change: Some(change) })
}
