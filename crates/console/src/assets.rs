//! Style and script, each one file of our own, at addresses that change with their content.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    extract::Path,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use sha2::{Digest as _, Sha256};

use crate::problem::{Problem, Result};

const CSS: &str = include_str!("../assets/console.css");
const JS: &str = include_str!("../assets/console.js");
const ACCOUNT_JS: &str = include_str!("../assets/account.js");

/// The names under which they are found.
pub(crate) static CSS_FILE: LazyLock<String> = LazyLock::new(|| named("console", CSS, "css"));
pub(crate) static JS_FILE: LazyLock<String> = LazyLock::new(|| named("console", JS, "js"));
pub(crate) static ACCOUNT_JS_FILE: LazyLock<String> = LazyLock::new(|| named("account", ACCOUNT_JS, "js"));

fn named(name: &str, content: &str, extension: &str) -> String {
    let mut hash = String::new();
    for byte in Sha256::digest(content).iter().take(8) {
        let _ = write!(hash, "{byte:02x}");
    }
    format!("{name}-{hash}.{extension}")
}

/// The file of this name, and its media type.
pub(crate) fn named_file(file: &str) -> Option<(&'static str, &'static str)> {
    match file {
        file if file == *CSS_FILE => Some((CSS, "text/css; charset=utf-8")),
        file if file == *JS_FILE => Some((JS, "text/javascript; charset=utf-8")),
        file if file == *ACCOUNT_JS_FILE => Some((ACCOUNT_JS, "text/javascript; charset=utf-8")),
        _ => None,
    }
}

/// A file whose name changes with what is in it.
pub(crate) fn immutable(content: &'static [u8], media_type: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, content).into_response()
}

/// `GET /console/assets/{file}`
pub(crate) async fn asset(Path(file): Path<String>) -> Result<Response> {
    let (content, media_type) = named_file(&file).ok_or_else(Problem::not_found)?;
    Ok(immutable(content.as_bytes(), media_type))
}
