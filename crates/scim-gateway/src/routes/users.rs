//! `/Users`: RFC 7644 sections 3.3 to 3.6. A body goes to identity-service as it came and is checked there, where the
//! row is.

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri};
use scim::{
    ResourceType, deactivation,
    list::ListParams,
    patch::Operation,
    project::Projection,
    render::{GroupRef, Head},
    schema,
};
use serde_json::Value;
use uuid::Uuid;
use wire::identity::{
    CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, PatchUserRequest,
    Precondition, ReplaceUserRequest, User, UserMask,
};

use super::{Done, Work, patch_operation, to_json};
use crate::{
    MAX_USER_BODY,
    error::Result,
    extract::{self, Id, Payload},
    gateway::Session,
    limits::Lane,
    reply,
};

fn rt() -> &'static ResourceType {
    schema::user()
}

pub(crate) async fn create(session: Session, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let projection = extract::projection(&parts.uri, &session.types.user)?;
    let payload = read(&session, &parts.headers, body).await?;
    let key = extract::idempotency_key(&parts.headers)?;
    let user = made(&session, payload.bytes.clone(), key).await?;
    Rendered::of(&session, &user, &projection)?.reply(StatusCode::CREATED)
}

/// POST.
async fn made(session: &Session, resource_json: Bytes, idempotency_key: Option<String>) -> Result<User> {
    let message = CreateUserRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        resource_json,
        idempotency_key,
    };
    let user = session.gateway.clients.identity.clone().create_user(session.call(message)).await?.into_inner();
    session.trail.user(&user);
    Ok(user)
}

pub(crate) async fn get(session: Session, id: Id, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let id = id.of(rt())?;
    let projection = extract::projection(&uri, &session.types.user)?;
    let message = GetUserRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        id: id.to_string(),
        mask: mask(&projection),
    };
    let user = session.gateway.clients.identity.clone().get_user(session.call(message)).await?.into_inner();
    let rendered = Rendered::of(&session, &user, &projection)?;
    if extract::has_current(&headers, &rendered.etag) {
        return Ok(reply::not_modified(&rendered.etag));
    }
    rendered.reply(StatusCode::OK)
}

pub(crate) async fn list(session: Session, uri: Uri) -> Result<Response> {
    page(session, extract::list(&uri)?).await
}

pub(crate) async fn search(session: Session, request: Request) -> Result<Response> {
    let params = extract::search(&session, request).await?;
    page(session, params).await
}

async fn page(session: Session, params: ListParams) -> Result<Response> {
    let projection = extract::checked(&params, &session.types.user)?;
    let page = fetch(&session, &params, &projection).await?;
    let mut body = Vec::with_capacity(256 + page.users.len() * 1024);
    let whole = extract::Whole {
        total: page.total_results,
        previous_cursor: &page.previous_cursor,
        next_cursor: &page.next_cursor,
    };
    extract::list_open(&params, &whole, page.users.len(), &mut body);
    render_all(&session, &page.users, &projection, &mut body)?;
    body.extend_from_slice(b"]}");
    Ok(reply::json(StatusCode::OK, body))
}

/// A page as identity-service has it.
async fn fetch(session: &Session, params: &ListParams, projection: &Projection) -> Result<ListUsersResponse> {
    let message = ListUsersRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        query: Some(extract::list_query(session, params)),
        mask: mask(projection),
    };
    Ok(session.gateway.clients.identity.clone().list_users(session.call(message)).await?.into_inner())
}

/// Appends the users with commas between them.
pub(super) fn render_all(session: &Session, users: &[User], projection: &Projection, out: &mut Vec<u8>) -> Result<()> {
    for (n, user) in users.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        render(session, user, projection, out)?;
    }
    Ok(())
}

pub(crate) async fn replace(session: Session, id: Id, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let id = id.of(rt());
    let payload = read(&session, &parts.headers, body).await?;
    let _place =
        session.admit(if deactivation::body(&payload.bytes) { Lane::Deprovisioning } else { Lane::Main }).await?;
    let projection = extract::projection(&parts.uri, &session.types.user)?;
    let if_match = extract::precondition(&parts.headers)?;
    let user = replaced(&session, id?, if_match, payload.bytes.clone(), mask(&projection)).await?;
    Rendered::of(&session, &user, &projection)?.reply(StatusCode::OK)
}

/// PUT.
async fn replaced(
    session: &Session,
    id: Uuid,
    if_match: Option<Precondition>,
    resource_json: Bytes,
    mask: Option<UserMask>,
) -> Result<User> {
    let message = ReplaceUserRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        id: id.to_string(),
        if_match,
        resource_json,
        mask,
    };
    let user = session.gateway.clients.identity.clone().replace_user(session.call(message)).await?.into_inner();
    session.trail.user(&user);
    Ok(user)
}

/// Answers 200 with the user: Okta and Entra take that or a 204, and it saves them a GET.
pub(crate) async fn patch(session: Session, id: Id, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let id = id.of(rt());
    let payload = read(&session, &parts.headers, body).await?;
    let operations = scim::patch::parse(&payload.bytes);
    let _place = session.admit(lane_of(&operations)).await?;
    let projection = extract::projection(&parts.uri, &session.types.user)?;
    let if_match = extract::precondition(&parts.headers)?;
    let user = patched(&session, id?, if_match, operations?, mask(&projection)).await?;
    Rendered::of(&session, &user, &projection)?.reply(StatusCode::OK)
}

fn lane_of(operations: &Result<Vec<Operation>, scim::Error>) -> Lane {
    let deactivates = operations.as_ref().is_ok_and(|operations| deactivation::patch(operations));
    if deactivates { Lane::Deprovisioning } else { Lane::Main }
}

/// PATCH.
async fn patched(
    session: &Session,
    id: Uuid,
    if_match: Option<Precondition>,
    operations: Vec<Operation>,
    mask: Option<UserMask>,
) -> Result<User> {
    let message = PatchUserRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        id: id.to_string(),
        if_match,
        operations: operations.into_iter().map(patch_operation).collect::<Result<_>>()?,
        mask,
    };
    let user = session.gateway.clients.identity.clone().patch_user(session.call(message)).await?.into_inner();
    session.trail.user(&user);
    Ok(user)
}

pub(crate) async fn delete(session: Session, id: Id, headers: HeaderMap) -> Result<Response> {
    let id = id.of(rt())?;
    removed(&session, id, extract::precondition(&headers)?).await?;
    Ok(reply::no_content())
}

/// DELETE.
async fn removed(session: &Session, id: Uuid, if_match: Option<Precondition>) -> Result<()> {
    let message = DeleteUserRequest {
        organization_id: session.organization_id(),
        caller: session.caller(),
        id: id.to_string(),
        if_match,
    };
    session.gateway.clients.identity.clone().delete_user(session.call(message)).await?;
    // What it was called identity-service still knows.
    session.trail.removed("");
    Ok(())
}

/// One operation of a bulk request, by the rules of the single one; `Lane` is drawn on by the caller.
pub(super) async fn operate(session: &Session, work: Work, if_match: Option<Precondition>) -> Result<Done> {
    let whole = Some(UserMask { omit_groups: false });
    let (status, user) = match work {
        Work::Create(body) => (StatusCode::CREATED, made(session, to_body(&body)?, None).await?),
        Work::Replace(id, body) => (StatusCode::OK, replaced(session, id, if_match, to_body(&body)?, whole).await?),
        Work::Patch(id, body) => {
            let operations = scim::patch::parse(&to_body(&body)?)?;
            (StatusCode::OK, patched(session, id, if_match, operations, whole).await?)
        }
        Work::Delete(id) => {
            removed(session, id, if_match).await?;
            return Ok(Done { status: StatusCode::NO_CONTENT, id, version: None });
        }
    };
    let version = scim::etag::user(user.version, &group_refs(&user)?);
    Ok(Done { status, id: uuid(&user.id)?, version: Some(version) })
}

/// The budget that an operation of a bulk request draws on.
pub(super) fn lane(work: &Work) -> Lane {
    match work {
        Work::Delete(_) => Lane::Deprovisioning,
        Work::Replace(_, body) => match to_json(body) {
            Ok(body) if deactivation::body(&body) => Lane::Deprovisioning,
            _ => Lane::Main,
        },
        Work::Patch(_, body) => to_json(body).map_or(Lane::Main, |body| lane_of(&scim::patch::parse(&body))),
        Work::Create(_) => Lane::Main,
    }
}

fn to_body(body: &Value) -> Result<Bytes> {
    let bytes = to_json(body)?;
    if bytes.len() > MAX_USER_BODY {
        return Err(extract::body_too_large(MAX_USER_BODY));
    }
    Ok(bytes)
}

async fn read(session: &Session, headers: &HeaderMap, body: Body) -> Result<Payload> {
    let payload = Payload::read(headers, body, MAX_USER_BODY, &session.room).await?;
    session.trail.body(&payload.bytes);
    Ok(payload)
}

#[expect(clippy::unnecessary_wraps, reason = "the field of every message is optional")]
pub(super) fn mask(projection: &Projection) -> Option<UserMask> {
    Some(UserMask { omit_groups: !projection.shows("groups") })
}

struct Rendered {
    body: Vec<u8>,
    etag: String,
    location: String,
}

impl Rendered {
    fn of(session: &Session, user: &User, projection: &Projection) -> Result<Self> {
        let mut body = Vec::with_capacity(user.resource_json.len() + 512);
        let etag = render(session, user, projection, &mut body)?;
        Ok(Self { body, etag, location: format!("{}/Users/{}", session.base_url(), user.id) })
    }

    #[expect(clippy::unnecessary_wraps, reason = "the last step of handlers that can fail")]
    fn reply(self, status: StatusCode) -> Result<Response> {
        Ok(reply::resource(status, self.body, &self.etag, &self.location))
    }
}

/// Appends the user, returns its ETag.
fn render(session: &Session, user: &User, projection: &Projection, out: &mut Vec<u8>) -> Result<String> {
    let groups = group_refs(user)?;
    let etag = scim::etag::user(user.version, &groups);
    let head = Head {
        id: uuid(&user.id)?,
        created: reply::instant(user.created_at.as_ref())?,
        last_modified: reply::instant(user.modified_at.as_ref())?,
        version: &etag,
        base_url: session.base_url(),
    };
    scim::render::user(&session.types.user, &user.resource_json, &head, &groups, projection, out)
        .map_err(|_| reply::not_ours("a stored user that cannot be read"))?;
    Ok(etag)
}

fn uuid(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| reply::not_ours("an id that is no UUID"))
}

fn group_refs(user: &User) -> Result<Vec<GroupRef>> {
    let groups = user.groups.iter();
    groups.map(|g| Ok(GroupRef { id: uuid(&g.id)?, display: g.display_name.clone(), direct: g.direct })).collect()
}
