//! What a request brings: its body, the id in its path, its query, its conditions.
//! Not here: the meaning of a body (the `scim` crate).

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{FromRequestParts, Path, Request},
};
use bytes::BytesMut;
use http::{
    HeaderMap, HeaderName, Uri,
    header::{CONTENT_LENGTH, EXPECT, IF_MATCH, IF_NONE_MATCH},
    request::Parts,
};
use http_body_util::BodyExt as _;
use scim::{ErrorKind, ResourceType, list::ListParams, project::Projection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;
use wire::identity::Precondition;

use crate::{
    error::{Failure, Result},
    gateway::Session,
    negotiate::check_content_type,
};

/// Bytes that bodies may hold together beyond their first [`LARGE`], so that many big groups at once do not take all
/// memory. They are taken as they arrive: a request that only announces a large body keeps nobody waiting.
pub(crate) const LARGE_BODIES: usize = 64 * 1024 * 1024;
const LARGE: usize = 256 * 1024;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// A body that is too large is read on for a moment, so that a client that is still sending sees the 413.
const DISCARD_LARGE: usize = 32 * 1024 * 1024;
/// A SearchRequest: a filter of the greatest length, and names.
const MAX_SEARCH_BODY: usize = 64 * 1024;
/// A body that is not wanted at all.
const DISCARD: usize = 1024 * 1024;

/// A body that has arrived. Keep it until the request is done: it holds its share of the memory for large bodies.
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Payload {
    /// Reads a JSON body of at most `limit` bytes: 415, 413, 400 if it does not arrive.
    pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize, large: &Arc<Semaphore>) -> Result<Self> {
        if body.is_end_stream() {
            return Ok(Self { bytes: Bytes::new(), _share: None });
        }
        if let Err(failure) = check_content_type(headers) {
            return Err(refuse(headers, body, failure).await);
        }
        let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(headers, body, limit).await);
        }
        let arrived = tokio::time::timeout(ARRIVAL, collect(body, announced.unwrap_or(0), limit, large)).await;
        let slow = || Failure::new(ErrorKind::BadRequest, "The body did not arrive in time. Send it again.").closing();
        match arrived.map_err(|_| slow())?? {
            Collected::Whole(payload) => Ok(payload),
            Collected::TooLarge(body) => Err(too_large(headers, body, limit).await),
            Collected::NoShare(body) => {
                let detail = "Too many large requests at once. Send this one again in a second.";
                let whole = discard(headers, body, DISCARD_LARGE).await;
                let failure = Failure::too_many_requests(detail, 1);
                Err(if whole { failure } else { failure.closing() })
            }
        }
    }

    /// Applies `parse` to the bytes, and lets go of them. A large body is parsed off the threads that serve everybody.
    pub(crate) async fn parse<T: Send + 'static>(self, parse: fn(&[u8]) -> Result<T, scim::Error>) -> Result<T> {
        if self.bytes.len() <= LARGE {
            return Ok(parse(&self.bytes)?);
        }
        let parsed = tokio::task::spawn_blocking(move || parse(&self.bytes)).await;
        Ok(parsed.map_err(|_| Failure::internal())??)
    }
}

async fn share(large: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
    let acquired = tokio::time::timeout(Duration::from_secs(2), Arc::clone(large).acquire_many_owned(permits)).await;
    acquired.ok()?.ok()
}

/// The whole body, or the rest of one that is not taken.
enum Collected {
    Whole(Payload),
    TooLarge(Body),
    NoShare(Body),
}

async fn collect(mut body: Body, announced: usize, limit: usize, large: &Arc<Semaphore>) -> Result<Collected> {
    let mut all = BytesMut::with_capacity(announced.min(LARGE));
    let mut held: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let broken = |_| Failure::new(ErrorKind::BadRequest, "The body broke off. Send it again.").closing();
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        let length = all.len() + data.len();
        if length > limit {
            return Ok(Collected::TooLarge(body));
        }
        let more = length.saturating_sub(LARGE + held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if more > 0 {
            match (share(large, more).await, &mut held) {
                (None, _) => return Ok(Collected::NoShare(body)),
                (Some(share), Some(held)) => held.merge(share),
                (Some(share), none) => *none = Some(share),
            }
        }
        all.extend_from_slice(&data);
    }
    Ok(Collected::Whole(Payload { bytes: all.freeze(), _share: held }))
}

pub(crate) fn body_too_large(limit: usize) -> Failure {
    let detail = format!(
        "The body is larger than the {} KiB taken here. Split it: the members of a large group can be added by \
         several PATCH requests.",
        limit / 1024
    );
    Failure::new(ErrorKind::PayloadTooLarge, detail)
}

async fn too_large(headers: &HeaderMap, body: Body, limit: usize) -> Failure {
    let whole = discard(headers, body, DISCARD_LARGE).await;
    let failure = body_too_large(limit);
    if whole { failure } else { failure.closing() }
}

/// Refuses a request whose body was not read. A client that is still sending while the connection closes would lose
/// the answer, so the body is taken and dropped, within reason.
pub(crate) async fn refuse(headers: &HeaderMap, body: Body, failure: Failure) -> Failure {
    if discard(headers, body, DISCARD).await { failure } else { failure.closing() }
}

/// Whether all of the body is gone.
async fn discard(headers: &HeaderMap, mut body: Body, most: usize) -> bool {
    if body.is_end_stream() {
        return true;
    }
    // Reading would invite the client to send what it asks about.
    if headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return false;
    }
    let all = async {
        let mut seen = 0;
        while seen < most {
            match body.frame().await {
                Some(Ok(frame)) => seen += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        false
    };
    tokio::time::timeout(Duration::from_secs(2), all).await.unwrap_or(false)
}

/// The id in the path. `None`: no id that this server gave, so a resource that does not exist.
pub(crate) struct Id(Option<Uuid>);

impl Id {
    /// An id is caseExact (RFC 7643 section 3.1), so only the form it was given in is it.
    pub(crate) fn read(text: &str) -> Self {
        Self(Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text))
    }

    pub(crate) fn of(self, rt: &ResourceType) -> Result<Uuid> {
        self.0.ok_or_else(|| Failure::no_such(&rt.name.to_lowercase()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        Ok(Self::read(&text))
    }
}

/// The query, decoded as form data: `+` is a space.
fn pairs(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The same; 400 where a value is no UTF-8. Decoding would put U+FFFD there, and a look-up would match another name.
fn strict_pairs(uri: &Uri) -> Result<Vec<(String, String)>> {
    let pairs = pairs(uri);
    let marks: usize = borrow(&pairs).map(|(n, v)| n.matches('\u{FFFD}').count() + v.matches('\u{FFFD}').count()).sum();
    let sent = uri.query().unwrap_or_default().to_ascii_uppercase().matches("%EF%BF%BD").count();
    if marks > sent {
        return Err(Failure::new(
            ErrorKind::BadRequest,
            "The query is not UTF-8 after percent-decoding. Encode it as UTF-8.",
        ));
    }
    Ok(pairs)
}

fn borrow(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Whether the query has a parameter of this name with a value.
pub(crate) fn has_parameter(uri: &Uri, name: &str) -> bool {
    borrow(&pairs(uri)).any(|(n, value)| n.eq_ignore_ascii_case(name) && !value.trim().is_empty())
}

/// `attributes` and `excludedAttributes` of a request about one resource; other parameters mean nothing there.
pub(crate) fn projection(uri: &Uri, rt: &ResourceType) -> Result<Projection> {
    let pairs = strict_pairs(uri)?;
    let ours = borrow(&pairs)
        .filter(|(name, _)| name.eq_ignore_ascii_case("attributes") || name.eq_ignore_ascii_case("excludedAttributes"));
    let params = ListParams::from_query(ours)?;
    Ok(Projection::parse(rt, params.attributes.as_deref(), params.excluded_attributes.as_deref())?)
}

/// The parameters of a list.
pub(crate) fn list(uri: &Uri) -> Result<ListParams> {
    Ok(ListParams::from_query(borrow(&strict_pairs(uri)?))?)
}

/// The same out of a SearchRequest.
pub(crate) async fn search(session: &Session, request: Request) -> Result<ListParams> {
    let (parts, body) = request.into_parts();
    let payload = Payload::read(&parts.headers, body, MAX_SEARCH_BODY, &session.gateway.large_bodies).await?;
    payload.parse(scim::search::parse).await
}

/// The filter checked for syntax and attributes, and what of the resources is shown.
pub(crate) fn checked(params: &ListParams, rt: &ResourceType) -> Result<Projection> {
    if let Some(filter) = &params.filter {
        scim::filter::parse(rt, filter)?;
    }
    projected(params, rt)
}

/// What of the resources of a list is shown.
pub(crate) fn projected(params: &ListParams, rt: &ResourceType) -> Result<Projection> {
    Ok(Projection::parse(rt, params.attributes.as_deref(), params.excluded_attributes.as_deref())?)
}

/// The parameters of a list as the services take them.
pub(crate) fn list_query(params: &ListParams) -> wire::identity::ListQuery {
    let order =
        if params.descending { wire::identity::SortOrder::Descending } else { wire::identity::SortOrder::Ascending };
    wire::identity::ListQuery {
        filter: params.filter.clone().unwrap_or_default(),
        sort_by: params.sort_by.clone().unwrap_or_default(),
        sort_order: order.into(),
        start_index: params.start_index,
        count: Some(params.count),
        cursor: params.cursor.clone(),
    }
}

/// The beginning of a ListResponse, by the method that the client asked for.
pub(crate) fn list_open(params: &ListParams, total: i64, next_cursor: &str, items: usize, out: &mut Vec<u8>) {
    if params.cursor.is_some() {
        let next = Some(next_cursor).filter(|cursor| !cursor.is_empty());
        scim::render::cursor_list_open(total, next, items, out);
    } else {
        scim::render::list_open(total, params.start_index, items, out);
    }
}

/// `If-Match`.
pub(crate) fn precondition(headers: &HeaderMap) -> Result<Option<Precondition>> {
    let tags = joined(headers, &IF_MATCH)?;
    Ok(scim::etag::if_match(tags.as_deref())?.map(|versions| Precondition { versions }))
}

/// `Idempotency-Key`. What a key may look like is identity-service's rule.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let (Ok(key), None) = (value.to_str(), values.next()) else {
        return Err(Failure::new(
            ErrorKind::BadRequest,
            "Idempotency-Key must be one key of 1 to 255 visible ASCII characters. Send another key, or none.",
        ));
    };
    Ok(Some(key.to_owned()))
}

/// `If-None-Match`: whether the client has this version already.
pub(crate) fn has_current(headers: &HeaderMap, etag: &str) -> bool {
    joined(headers, &IF_NONE_MATCH).is_ok_and(|tags| scim::etag::none_match(tags.as_deref(), etag))
}

/// A list header that came in several lines means their concatenation, RFC 9110 section 5.3.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>> {
    let mut all: Option<String> = None;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| {
            Failure::new(ErrorKind::BadRequest, format!("The {name} header holds characters no entity tag has."))
        })?;
        match &mut all {
            Some(all) => {
                all.push_str(", ");
                all.push_str(text);
            }
            None => all = Some(text.to_owned()),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use futures::stream;
    use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};

    use super::*;

    fn headers(length: Option<usize>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/scim+json"));
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers
    }

    /// `chunks` times 1 KiB, of unknown length.
    fn chunked(chunks: usize) -> Body {
        Body::from_stream(stream::iter((0..chunks).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1024])))))
    }

    async fn read(length: Option<usize>, body: Body, limit: usize) -> Result<usize, ErrorKind> {
        let large = Arc::new(Semaphore::new(LARGE_BODIES));
        let payload = Payload::read(&headers(length), body, limit, &large).await;
        payload.map(|payload| payload.bytes.len()).map_err(|failure| failure.kind())
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_the_limit_whether_its_length_is_announced_or_not() {
        assert_eq!(read(Some(2048), chunked(2), 2048).await, Ok(2048));
        assert_eq!(read(None, chunked(2), 2048).await, Ok(2048));
        assert_eq!(read(Some(2049), chunked(3), 2048).await, Err(ErrorKind::PayloadTooLarge));
        assert_eq!(read(None, chunked(3), 2048).await, Err(ErrorKind::PayloadTooLarge));
        assert_eq!(read(Some(1), chunked(3), 2048).await, Err(ErrorKind::PayloadTooLarge));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_the_clients_error() {
        let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]);
        assert_eq!(read(None, Body::from_stream(broken), 2048).await, Err(ErrorKind::BadRequest));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        assert_eq!(
            read(None, Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()), 2048).await,
            Err(ErrorKind::BadRequest)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_share_their_memory() {
        let large = Arc::new(Semaphore::new(2048));
        let limit = LARGE * 2;
        let read = async |length: Option<usize>, kib: usize| {
            Payload::read(&headers(length), chunked(kib), limit, &large).await.map_err(|failure| failure.kind())
        };
        let first = read(Some(LARGE + 2048), LARGE / 1024 + 2).await.expect("there is room");
        assert_eq!(first.bytes.len(), LARGE + 2048);
        assert!(read(None, LARGE / 1024).await.is_ok(), "what is small needs no share, announced or not");
        assert_eq!(read(None, LARGE / 1024 + 1).await.err(), Some(ErrorKind::TooManyRequests));
        drop(first);
        assert!(read(None, LARGE / 1024 + 1).await.is_ok());
    }

    #[tokio::test]
    async fn an_id_is_only_what_this_server_gives() {
        let router = axum::Router::new().route(
            "/{id}",
            axum::routing::get(async |Id(id): Id| if id.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }),
        );
        for (path, status) in [
            ("/0192a0f0-0000-7000-8000-00000000abcd", 200),
            ("/0192A0F0-0000-7000-8000-00000000ABCD", 404),
            ("/0192a0f0000070008000000000000001", 404),
            ("/%7B0192a0f0-0000-7000-8000-000000000001%7D", 404),
            ("/010101001010101011001010101011", 404),
            ("/1", 404),
            ("/%FF", 404),
            ("/a%2F..%2Fb", 404),
        ] {
            let request = Request::get(path).body(Body::empty()).expect("request");
            let answer = tower::ServiceExt::oneshot(router.clone(), request).await.expect("infallible");
            assert_eq!(answer.status().as_u16(), status, "{path}");
        }
    }

    #[test]
    fn the_query_is_form_data() {
        let uri: Uri = "/Users?filter=userName+eq+%22a%2Bb%40x%22&aadOptscim062020&FILTER".parse().expect("uri");
        let pairs = pairs(&uri);
        assert_eq!(borrow(&pairs).next(), Some(("filter", "userName eq \"a+b@x\"")));
        assert!(has_parameter(&uri, "Filter"));
        assert!(!has_parameter(&uri, "aadOptscim062020"));
        let of = |query: &str| strict_pairs(&format!("/Users?{query}").parse().expect("uri")).map(|p| p.len()).ok();
        assert_eq!(of("filter=%C3%A9"), Some(1));
        assert_eq!(of("filter=%ef%bf%bd"), Some(1));
        assert_eq!(of("filter=a%FF"), None);
    }
}
