//! Around every request: what is known of the browser, a deadline, a page even where a handler panics, and the header fields
//! that keep pages to themselves.
//!
//! Not here: the request id, the span and the line in the log, which come from around this router.

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc};

use askama::Template;
use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::FutureExt as _;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
        USER_AGENT, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    request::Parts,
};
use sha2::{Digest as _, Sha256};
use telemetry::names::REQUEST_ID_HEADER;
use wire::identity::Browser;

use crate::{
    console::Console,
    cookies,
    page::{self, Shell},
    problem::{Problem, Result},
    site::{Door, Reached},
};

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Nothing from elsewhere, nothing inline, in no frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'",
);

/// What is known of a request before anybody is signed in.
#[derive(Clone)]
pub(crate) struct Visit(Arc<Seen>);

pub(crate) struct Seen {
    pub(crate) console: Console,
    pub(crate) door: Door,
    pub(crate) request_id: Arc<str>,
    pub(crate) browser: Browser,
    /// The form that last made a secret.
    pub(crate) made: Option<String>,
    /// What was done before this page.
    pub(crate) done: Option<String>,
    secret: String,
}

impl std::ops::Deref for Visit {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.0
    }
}

impl Visit {
    /// What paths of these pages begin with.
    pub(crate) fn root(&self) -> &str {
        self.console.site.root_of(self.door)
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.browser.address.parse().ok()
    }

    /// What forms of this browser have in them, in this session; empty: in none. It stays the same when the session's secret is
    /// rotated, so that a form may be open for as long as the session lasts.
    pub(crate) fn form_token(&self, session_id: &str) -> String {
        let text = format!("rollcall console form\n{}\n{session_id}", self.secret);
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    shell: Shell,
    problem: &'a Problem,
}

/// The outermost layer.
pub(crate) async fn visit(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = cookies::get(headers, console.cookies.browser).filter(|secret| secret.len() == 43).map(str::to_owned);
    let visit = Visit(Arc::new(Seen {
        request_id: text(&HeaderName::from_static(REQUEST_ID_HEADER)).into(),
        browser: Browser {
            address: request.extensions().get::<IpAddr>().map(ToString::to_string).unwrap_or_default(),
            user_agent: text(&USER_AGENT).chars().take(300).collect(),
        },
        made: cookies::get(headers, console.cookies.made).map(str::to_owned),
        done: cookies::get(headers, console.cookies.done).map(str::to_owned),
        secret: known.clone().unwrap_or_else(|| console.secret()),
        door: Door::of(request.uri().path()),
        console: console.clone(),
    }));
    request.extensions_mut().insert(visit.clone());

    let mut response = answer(&visit, request, next).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>().or_else(|| unsaid(&response)) {
        let shell = Shell::bare(&visit, problem.title.clone());
        let cookies: Vec<_> = response.headers().get_all(SET_COOKIE).iter().cloned().collect();
        response = match page::html(problem.status, &ProblemPage { shell, problem: &problem }) {
            Ok(page) => page,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
        for cookie in cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }

    // Said once.
    if visit.done.is_some()
        && response.status() == StatusCode::OK
        && is_page(&response)
        && let Some(cookie) = console.cookies.remove(console.cookies.done)
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    let new = known.is_none() && console.site.reached != Reached::Plain;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // Pages with keys have one of their own.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    if console.site.reached == Reached::Https {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
    let cacheable = headers.get(CACHE_CONTROL).is_some_and(|value| value != "no-store");
    if new
        && !cacheable
        && let Some(cookie) = console.cookies.set(console.cookies.browser, &visit.secret, None)
    {
        headers.append(SET_COOKIE, cookie);
    }
    response
}

fn is_page(response: &Response) -> bool {
    is_of(response, b"text/html")
}

fn is_of(response: &Response, media_type: &[u8]) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(media_type))
}

/// What axum refused by itself: a path or query that cannot be read, a method that is not there. Calls of the account page are refused
/// in JSON, which its script reads.
fn unsaid(response: &Response) -> Option<Problem> {
    let status = response.status();
    if is_page(response)
        || is_of(response, b"application/json")
        || !(status.is_client_error() || status.is_server_error())
    {
        return None;
    }
    let text = match status {
        StatusCode::METHOD_NOT_ALLOWED => "This address does not take what was sent. Open the page and use its forms.",
        _ => "The address cannot be read. It may not have been copied whole.",
    };
    Some(Problem::new(status, "This cannot be answered", text))
}

async fn answer(visit: &Visit, request: Request, next: Next) -> Response {
    if visit.console.site.reached == Reached::Plain {
        let text = "The public URL of this server is plain http, so a session could be read on the way. Put a proxy that ends \
                    TLS in front, and start Rollcall with --public-url https://...";
        return Problem::new(StatusCode::FORBIDDEN, "The console needs https", text).into_response();
    }
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(visit.console.request_timeout, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            // The panic's text may hold what the browser sent; the panic hook decides whether it is shown.
            tracing::error!("a page of the console panicked");
            Problem::internal().into_response()
        }
        Err(_) => {
            tracing::error!("a page of the console took longer than allowed");
            let text = "This took too long and was given up. A change may or may not have been made: look before you try again.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not just now", text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_without_words_gets_some_and_what_has_its_own_keeps_them() {
        for (status, media_type, expected) in [
            (StatusCode::NOT_FOUND, None, true),
            (StatusCode::BAD_REQUEST, Some("text/plain; charset=utf-8"), true),
            (StatusCode::NOT_FOUND, Some("text/html; charset=utf-8"), false),
            (StatusCode::TOO_MANY_REQUESTS, Some("application/json"), false),
            (StatusCode::OK, None, false),
        ] {
            let mut response = status.into_response();
            if let Some(media_type) = media_type {
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            }
            assert_eq!(unsaid(&response).is_some(), expected, "{status} {media_type:?}");
        }
    }
}
