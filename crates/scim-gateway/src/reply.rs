//! Answers that are not errors.

use axum::{body::Body, response::Response};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LOCATION, CONTENT_TYPE, ETAG, LOCATION},
};
use jiff::Timestamp;

use crate::{
    error::{Failure, Result},
    negotiate::SCIM_JSON,
};

/// A SCIM body.
pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON));
    response
}

/// A resource, with `ETag`, `Location` and, as RFC 7643 section 3.1 has it, the same in `Content-Location`.
pub(crate) fn resource(status: StatusCode, body: impl Into<Body>, etag: &str, location: &str) -> Response {
    with(with(with(json(status, body), LOCATION, location), CONTENT_LOCATION, location), ETAG, etag)
}

/// 304.
pub(crate) fn not_modified(etag: &str) -> Response {
    with(empty(StatusCode::NOT_MODIFIED), ETAG, etag)
}

/// 204 for what is gone.
pub(crate) fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

/// 204 for what was changed: where it is, and its new `ETag`.
pub(crate) fn changed(etag: &str, location: &str) -> Response {
    with(with(empty(StatusCode::NO_CONTENT), LOCATION, location), ETAG, etag)
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// An instant off the wire.
pub(crate) fn instant(at: Option<&prost_types::Timestamp>) -> Result<Timestamp> {
    let micros = at.map(wire::from_timestamp).ok_or_else(|| not_ours("a resource without an instant"))?;
    Timestamp::from_microsecond(micros).map_err(|_| not_ours("an instant out of range"))
}

/// An answer of a service that breaks the contract in `proto/`.
pub(crate) fn not_ours(what: &'static str) -> Failure {
    tracing::error!(what, "a service broke its contract");
    Failure::internal()
}
