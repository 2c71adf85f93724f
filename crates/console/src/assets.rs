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

/// The names under which they are found.
pub(crate) static CSS_FILE: LazyLock<String> = LazyLock::new(|| named(CSS, "css"));
pub(crate) static JS_FILE: LazyLock<String> = LazyLock::new(|| named(JS, "js"));

fn named(content: &str, extension: &str) -> String {
    let mut hash = String::new();
    for byte in Sha256::digest(content).iter().take(8) {
        let _ = write!(hash, "{byte:02x}");
    }
    format!("console-{hash}.{extension}")
}

/// `GET /console/assets/{file}`
pub(crate) async fn asset(Path(file): Path<String>) -> Result<Response> {
    let (content, media_type) = match file {
        file if file == *CSS_FILE => (CSS, "text/css; charset=utf-8"),
        file if file == *JS_FILE => (JS, "text/javascript; charset=utf-8"),
        _ => return Err(Problem::not_found()),
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, content).into_response())
}
