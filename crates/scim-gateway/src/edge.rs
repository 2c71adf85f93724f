//! Around every request: its id, its client's address, its span, its log line, its deadline, and an answer even where a handler panics.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use scim::ErrorKind;
use telemetry::names;
use tracing::{Instrument as _, field};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::{
    Clock,
    client_address::ClientAddress,
    error::{Failure, Told},
    gateway::{Gateway, RequestId},
    negotiate::{SCIM_JSON, answer_type},
    provisioning_log::{Arrived, Ended, Trail},
    unreadable::Unreadable,
};

const REQUEST_ID: HeaderName = HeaderName::from_static(names::REQUEST_ID_HEADER);

/// The outermost layer.
pub(crate) async fn edge(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers(), &gateway.clock);
    let media_type = answer_type(request.headers());
    let method = request.method().clone();
    let route = route(&request);
    let span = tracing::info_span!(
        names::HTTP_REQUEST,
        otel.name = %format_args!("{} {}", known(&method), route.as_deref().unwrap_or(names::OTHER)),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = known(&method),
        http.route = route.as_deref(),
        http.response.status_code = field::Empty,
        request_id = &*id,
        rollcall.organization_id = field::Empty,
    );
    telemetry::set_parent(&span, request.headers());
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let address = ClientAddress::of(request.extensions(), request.headers(), &gateway.trusted_proxies);
    let arrived = is_scim(&request).then(|| {
        let address = address.map(|address| address.0);
        let trail = Trail::new(new_id((gateway.clock)().as_microsecond()));
        Arrived::new(trail, request.method(), request.uri(), request.headers(), address)
    });
    if let Some(arrived) = &arrived {
        request.extensions_mut().insert(arrived.trail.clone());
    }
    if let Some(address) = address {
        request.extensions_mut().insert(address);
        // For pages beside the gateway, which know none of its types.
        request.extensions_mut().insert(address.0);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, id);
    }

    let mut response = answer(&gateway, request, next).instrument(span.clone()).await;

    let headers = response.headers_mut();
    if headers.get(CONTENT_TYPE).is_some_and(|value| value == SCIM_JSON) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }

    let elapsed = begun.elapsed();
    if let Some(arrived) = arrived {
        let told = response.extensions_mut().remove::<Told>();
        let at = (gateway.clock)().as_microsecond();
        let (status, told) = (response.status(), told.as_ref());
        gateway.log.note(&arrived, &Ended { status, told, request_id: &id, duration: elapsed, at });
    }
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    telemetry::record_http(&method, route.as_deref(), status, elapsed);
    span.in_scope(|| {
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        match route.as_deref() {
            // Probes come every second and say nothing new.
            Some("/healthz" | "/readyz") if status < 500 => tracing::debug!(status, elapsed_us, "request"),
            _ => tracing::info!(status, elapsed_us, "request"),
        }
    });
    response
}

async fn answer(gateway: &Gateway, request: Request, next: Next) -> Response {
    if let Some(unreadable) = request.extensions().get::<Unreadable>() {
        return unreadable.failure().into_response();
    }
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(gateway.request_timeout, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            // The panic's text may hold what the client sent; the panic hook decides whether it is shown.
            tracing::error!("a request handler panicked");
            Failure::internal().into_response()
        }
        Err(_) => {
            tracing::error!("a request took longer than allowed");
            let detail = "The request took too long and was given up. A change may or may not have been made: read \
                          the resource, then send the request again if need be.";
            Failure::new(ErrorKind::Unavailable, detail).into_response()
        }
    }
}

/// The client's own id where it may be logged, else a new UUIDv7.
fn request_id(headers: &HeaderMap, clock: &Clock) -> Arc<str> {
    match telemetry::request_id(headers) {
        Some(id) => id.into(),
        None => new_id(clock().as_microsecond()).to_string().into(),
    }
}

/// A UUIDv7 of an instant, microseconds since the epoch.
pub(crate) fn new_id(at: i64) -> Uuid {
    let at = u64::try_from(at).unwrap_or_default();
    let nanos = u32::try_from(at % 1_000_000 * 1000).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(ContextV7::new(), at / 1_000_000, nanos))
}

/// Below `/scim/v2`, or where a client looks for SCIM that was given another base URL.
fn is_scim(request: &Request) -> bool {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    matched.is_none_or(|path| path.starts_with("/scim/v2")) && request.extensions().get::<Unreadable>().is_none()
}

/// The template that matched, without the slash at its end; none for what no route has.
fn route(request: &Request) -> Option<String> {
    if request.extensions().get::<Unreadable>().is_some() {
        return None;
    }
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let trimmed = path.trim_end_matches('/');
    // axum's own catch-all of a nested router.
    (!path.contains("{*")).then(|| if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
}

fn known(method: &http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => names::OTHER,
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use http::{StatusCode, header::ACCEPT};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    use wire::Transport;

    use super::*;
    use crate::Config;

    fn gateway() -> Gateway {
        let nobody = || Transport::in_process(tonic::service::Routes::default());
        let config = Config { request_timeout: std::time::Duration::from_millis(50), ..Config::new("http://h") };
        let clock: Clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        Gateway::new(&config, nobody(), nobody(), clock)
    }

    async fn panics() -> &'static str {
        panic!("kit@example.com")
    }

    #[tokio::test]
    async fn panics_and_long_requests_end_as_scim_errors() {
        let gateway = gateway();
        let slow = async || tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        let router = Router::new()
            .route("/panic", get(panics))
            .route("/slow", get(slow))
            .layer(from_fn_with_state(gateway.clone(), edge));
        for (path, status, media_type) in [
            ("/panic", StatusCode::INTERNAL_SERVER_ERROR, SCIM_JSON),
            ("/slow", StatusCode::SERVICE_UNAVAILABLE, crate::negotiate::JSON),
        ] {
            let request = Request::get(path).header(ACCEPT, media_type).header(REQUEST_ID, "r-1");
            let request = request.body(Body::empty()).expect("request");
            let answer = router.clone().oneshot(request).await.expect("infallible");
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()[CONTENT_TYPE], media_type);
            assert_eq!(answer.headers()[REQUEST_ID], "r-1");
            assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            let body = answer.into_body().collect().await.expect("body").to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body["status"], status.as_str());
            assert!(!body.to_string().contains("kit@example.com"), "{body}");
        }
    }

    #[test]
    fn an_id_of_the_clients_is_kept_only_if_plain() {
        let clock: Clock = Arc::new(|| jiff::Timestamp::from_second(1_800_000_000).expect("instant"));
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(value).expect("header"));
            request_id(&headers, &clock)
        };
        assert_eq!(&*of("req-1.A_b"), "req-1.A_b");
        for bad in ["", "a b", "a\"b", "a/b", "rc_scim_abc", &"x".repeat(65)] {
            let id = Uuid::parse_str(&of(bad)).expect("uuid");
            assert_eq!(id.get_version_num(), 7, "{bad}");
        }
        assert_ne!(request_id(&HeaderMap::new(), &clock), request_id(&HeaderMap::new(), &clock));
    }
}
