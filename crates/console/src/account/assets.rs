//! What the page loads. The modules with the keys are of `account-keys`; a build without them says so on the page.

use account_keys::browser::{File, files};
use axum::{
    extract::Path,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};

use crate::{
    assets::{self, immutable},
    problem::{Problem, Result},
};

const WORKER: &str = "worker.mjs";

/// No network, no page, nothing to make scripts of: messages alone go in and out.
const WORKER_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// Below `assets/`, if the modules were built in.
pub(super) fn worker() -> Option<&'static str> {
    files().iter().any(|file| file.path == WORKER).then_some(WORKER)
}

/// `GET /account/assets/{*path}`
pub(crate) async fn asset(Path(path): Path<String>) -> Result<Response> {
    if let Some((content, media_type)) = assets::named_file(&path) {
        return Ok(immutable(content.as_bytes(), media_type));
    }
    let File { bytes, media_type, .. } =
        files().iter().find(|file| file.path == path).ok_or_else(Problem::not_found)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        // Their names do not change with what is in them.
        (CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (CONTENT_SECURITY_POLICY, WORKER_POLICY),
    ];
    Ok((headers, *bytes).into_response())
}
