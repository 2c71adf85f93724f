//! What is not SCIM: probes and the page at `/`.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};

use crate::gateway::Gateway;

/// The process is up.
pub(crate) async fn health() -> &'static str {
    "ok"
}

/// Requests can be served: both services answer.
pub(crate) async fn ready(State(gateway): State<Gateway>) -> Response {
    match gateway.verifier.ready().await {
        Ok(()) => "ready".into_response(),
        Err(what) => (StatusCode::SERVICE_UNAVAILABLE, what).into_response(),
    }
}

/// For a person who opens the address in a browser.
pub(crate) async fn home(State(gateway): State<Gateway>) -> Response {
    let url = escape(&gateway.base_url);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Rollcall</title>\n\
         <h1>Rollcall is running</h1>\n\
         <p>SCIM base URL: <code>{url}</code></p>\n\
         <p>Paste it into your identity provider together with a SCIM token. \
         <code>rollcall token create ORG --description TEXT</code> makes one.</p>\n\
         <p>How to connect Okta step by step is in the README that came with this program; \
         <code>rollcall --help</code> lists the commands.</p>\n\
         <p>Probes: <a href=\"/healthz\">/healthz</a> (the process is up), \
         <a href=\"/readyz\">/readyz</a> (it can serve).</p>\n</html>\n"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ];
    (headers, page).into_response()
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
