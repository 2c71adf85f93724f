//! What a request brings: its body, the id in its path, its query, its conditions.
//! Not here: the meaning of a body (the `scim` crate).

use std::time::Duration;

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
use scim::{
    ErrorKind, ResourceType,
    group::{GroupBody, Reader},
    list::ListParams,
    project::Projection,
};
use uuid::Uuid;
use wire::identity::Precondition;

use crate::{
    MAX_USER_BODY,
    error::{Failure, Result},
    gateway::Session,
    negotiate::check_content_type,
    room::{Room, Taken},
};

/// A body of more than this has a share of the memory for large bodies.
const LARGE: usize = 256 * 1024;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// A body that is too large is read on for a moment, so that a client that is still sending sees the 413.
const DISCARD_LARGE: usize = 32 * 1024 * 1024;
/// A body that is not wanted at all.
const DISCARD: usize = 1024 * 1024;

/// A share of the memory for large bodies, held until it is dropped.
pub(crate) type Share = Option<Taken>;

/// A body that has arrived. Keep it until the request is done: it holds its share of the memory for large bodies.
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    _share: Share,
}

impl Payload {
    /// Reads a JSON body of at most `limit` bytes: 415, 413, 400 if it does not arrive.
    pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize, large: &Room) -> Result<Self> {
        let (bytes, share) = read(headers, body, BytesMut::new(), limit, large).await?;
        Ok(Self { bytes: bytes.freeze(), _share: share })
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

/// Reads a group, a large one while it arrives: then its members' ids and what stands beside the members are all that
/// is held of it, and has a share of the memory for large bodies.
/// `small` sees one that is not.
pub(crate) async fn group(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    large: &Room,
    small: impl FnOnce(&Bytes),
) -> Result<(GroupBody, Share)> {
    let (arriving, share) = read(headers, body, Arriving::Small(BytesMut::new()), limit, large).await?;
    let group = match arriving {
        Arriving::Small(bytes) => {
            let bytes = bytes.freeze();
            small(&bytes);
            scim::group::parse(&bytes)
        }
        Arriving::Large(reader) => reader.finish(),
    };
    Ok((group?, share))
}

/// What takes a body in.
trait Sink {
    /// How long the body is, as far as it says so.
    fn expect(&mut self, bytes: usize);
    fn take(&mut self, data: &[u8]) -> Result<(), scim::Error>;
    /// Bytes in memory.
    fn held(&self) -> usize;
}

impl Sink for BytesMut {
    fn expect(&mut self, bytes: usize) {
        self.reserve(bytes);
    }

    fn take(&mut self, data: &[u8]) -> Result<(), scim::Error> {
        self.extend_from_slice(data);
        Ok(())
    }

    fn held(&self) -> usize {
        self.len()
    }
}

/// A group body: parsed whole, or in pieces once it turns out to be large.
enum Arriving {
    Small(BytesMut),
    Large(Box<Reader>),
}

impl Sink for Arriving {
    fn expect(&mut self, bytes: usize) {
        match self {
            Self::Small(all) => all.reserve(bytes),
            Self::Large(_) => {}
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), scim::Error> {
        match self {
            Self::Large(reader) => reader.push(data),
            Self::Small(all) if all.len() + data.len() <= LARGE => all.take(data),
            Self::Small(all) => {
                let mut reader = Box::<Reader>::default();
                reader.push(all)?;
                reader.push(data)?;
                *self = Self::Large(reader);
                Ok(())
            }
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Small(all) => all.held(),
            Self::Large(reader) => reader.held(),
        }
    }
}

/// Takes a JSON body of at most `limit` bytes into a sink: 415, 413, 400 if it does not arrive.
async fn read<S: Sink>(headers: &HeaderMap, body: Body, mut sink: S, limit: usize, large: &Room) -> Result<(S, Share)> {
    if body.is_end_stream() {
        return Ok((sink, None));
    }
    if let Err(failure) = check_content_type(headers) {
        return Err(refuse(headers, body, failure).await);
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(headers, body, limit).await);
    }
    sink.expect(announced.unwrap_or(0).min(LARGE));
    let arrived = tokio::time::timeout(ARRIVAL, collect(body, sink, limit, large)).await;
    let slow = || Failure::new(ErrorKind::BadRequest, "The body did not arrive in time. Send it again.").closing();
    let (body, failure) = match arrived.map_err(|_| slow())?? {
        Collected::Whole(sink, share) => return Ok((sink, share)),
        Collected::TooLarge(body) => (body, body_too_large(limit)),
        Collected::Refused(body, error) => (body, error.into()),
        Collected::NoShare(body) => {
            let detail = "Too many large requests at once. Send this one again in a second.";
            (body, Failure::too_many_requests(detail, 1))
        }
    };
    Err(refuse_large(headers, body, failure).await)
}

/// The whole body, or the rest of one that is not taken.
enum Collected<S> {
    Whole(S, Share),
    TooLarge(Body),
    Refused(Body, scim::Error),
    NoShare(Body),
}

async fn collect<S: Sink>(mut body: Body, mut sink: S, limit: usize, large: &Room) -> Result<Collected<S>> {
    let mut seen = 0;
    let mut held: Share = None;
    while let Some(frame) = body.frame().await {
        let broken = |_| Failure::new(ErrorKind::BadRequest, "The body broke off. Send it again.").closing();
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        seen += data.len();
        if seen > limit {
            return Ok(Collected::TooLarge(body));
        }
        if let Err(error) = sink.take(&data) {
            return Ok(Collected::Refused(body, error));
        }
        let more = sink.held().saturating_sub(LARGE + held.as_ref().map_or(0, Taken::bytes));
        if more > 0 {
            match (large.take(more).await, &mut held) {
                (None, _) => return Ok(Collected::NoShare(body)),
                (Some(share), Some(held)) => held.merge(share),
                (Some(share), none) => *none = Some(share),
            }
        }
    }
    Ok(Collected::Whole(sink, held))
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
    refuse_large(headers, body, body_too_large(limit)).await
}

async fn refuse_large(headers: &HeaderMap, body: Body, failure: Failure) -> Failure {
    if discard(headers, body, DISCARD_LARGE).await { failure } else { failure.closing() }
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
    let payload = Payload::read(&parts.headers, body, MAX_USER_BODY, &session.room).await?;
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
pub(crate) fn list_query(session: &Session, params: &ListParams) -> wire::identity::ListQuery {
    let order =
        if params.descending { wire::identity::SortOrder::Descending } else { wire::identity::SortOrder::Ascending };
    wire::identity::ListQuery {
        filter: params.filter.clone().unwrap_or_default(),
        sort_by: params.sort_by.clone().unwrap_or_default(),
        sort_order: order.into(),
        start_index: params.start_index,
        count: Some(params.count),
        cursor: params.cursor.clone(),
        base_url: session.base_url().to_owned(),
    }
}

/// What a ListResponse says of the whole list.
pub(crate) struct Whole<'a> {
    pub(crate) total: i64,
    /// Empty: there is no such page.
    pub(crate) previous_cursor: &'a str,
    pub(crate) next_cursor: &'a str,
}

/// The beginning of a ListResponse, by the method that the client asked for.
pub(crate) fn list_open(params: &ListParams, whole: &Whole<'_>, items: usize, out: &mut Vec<u8>) {
    if params.cursor.is_some() {
        let given = |cursor| Some(cursor).filter(|cursor: &&str| !cursor.is_empty());
        scim::render::cursor_list_open(whole.total, given(whole.previous_cursor), given(whole.next_cursor), items, out);
    } else {
        scim::render::list_open(whole.total, params.start_index, items, out);
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
        let large = Room::new();
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
        let large = Room::of(2 * 2048);
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

    /// A group of so many members whose text has unused parts.
    fn large_group(members: u128) -> Vec<u8> {
        let member = |n| format!("{{\"value\":\"{}\",\"display\":\"{}\"}}", Uuid::from_u128(n), "x".repeat(200));
        let members: Vec<String> = (0..members).map(member).collect();
        format!("{{\"displayName\":\"Ops\",\"members\":[{}]}}", members.join(",")).into_bytes()
    }

    fn in_frames(body: Vec<u8>) -> Body {
        let frames: Vec<Bytes> = body.chunks(1000).map(Bytes::copy_from_slice).collect();
        Body::from_stream(stream::iter(frames.into_iter().map(Ok::<_, std::io::Error>)))
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_large_group_little_more_than_the_ids_is_held() {
        // Of 5 MB there is no room for a tenth.
        let (body, large) = (large_group(20_000), Room::of(1024 * 1024));
        let limit = body.len();
        let (group, share) =
            super::group(&headers(None), in_frames(body), limit, &large, |_| ()).await.expect("a group");
        assert_eq!(group.members.map(|members| members.len()), Some(20_000));
        assert_eq!(group.rest["displayName"], "Ops");
        let held = share.expect("a share").bytes();
        assert!(held < 20_000 * 16 * 2, "{held}");

        let plain = Payload::read(&headers(None), in_frames(large_group(20_000)), limit, &large).await;
        assert_eq!(plain.err().map(|failure| failure.kind()), Some(ErrorKind::TooManyRequests));
    }

    #[tokio::test]
    async fn a_large_group_is_refused_as_a_small_one_is() {
        let large = Room::new();
        let read = async |body: Vec<u8>, limit: usize| {
            let group = super::group(&headers(None), in_frames(body), limit, &large, |_| ()).await;
            group.map(|(group, _)| group.members.map(|ids| ids.len())).map_err(|failure| failure.kind())
        };
        let body = large_group(2000);
        assert!(body.len() > LARGE);
        assert_eq!(read(body.clone(), body.len()).await, Ok(Some(2000)));
        assert_eq!(read(body.clone(), body.len() - 1).await, Err(ErrorKind::PayloadTooLarge));
        assert_eq!(read([&body[..], b"}"].concat(), body.len() + 1).await, Err(ErrorKind::InvalidSyntax));
        assert_eq!(read(body[..body.len() - 1].to_vec(), body.len()).await, Err(ErrorKind::InvalidSyntax));
        let twice = String::from_utf8(body.clone()).expect("text").replacen("\"display\"", "\"value\"", 1).into_bytes();
        assert_eq!(read(twice, body.len()).await, Err(ErrorKind::InvalidSyntax));
        let nobody = String::from_utf8(body.clone()).expect("text").replacen("00000000-", "nobody---", 1).into_bytes();
        assert_eq!(read(nobody, body.len()).await, Err(ErrorKind::InvalidValue));
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
