//! Media types: which one an answer has, which ones a body may have. RFC 7644 section 3.1, RFC 9110 section 12.5.1.

use http::{
    HeaderMap,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE},
};
use scim::ErrorKind;

use crate::error::{Failure, Result};

pub(crate) const SCIM_JSON: &str = "application/scim+json";
pub(crate) const JSON: &str = "application/json";

/// `application/scim+json`, but where `Accept` prefers `application/json` to it. One that takes neither gets SCIM all
/// the same: no client is helped by a 406.
pub(crate) fn answer_type(headers: &HeaderMap) -> &'static str {
    let accepts: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if quality(&accepts, JSON) > quality(&accepts, SCIM_JSON) { JSON } else { SCIM_JSON }
}

/// The quality of the most specific range that matches, in thousandths.
fn quality(accepts: &[&str], media_type: &str) -> u32 {
    let mut best = (0, 0);
    for range in accepts.iter().flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let specificity = match name {
            _ if name.eq_ignore_ascii_case(media_type) => 3,
            _ if name.eq_ignore_ascii_case("application/*") => 2,
            "*/*" => 1,
            _ => continue,
        };
        let q = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"))
            .map_or(1.0, |(_, q)| q.trim().parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0));
        best = best.max((specificity, (q * 1000.0) as u32));
    }
    best.1
}

/// A body is `application/scim+json` or `application/json`, in UTF-8.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let refuse = |given: &str| {
        Err(Failure::new(
            ErrorKind::UnsupportedMediaType,
            format!("{given} Send the body as JSON with the header Content-Type: {SCIM_JSON} (or {JSON})."),
        ))
    };
    if headers.get(CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refuse("A Content-Encoding is not taken.");
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => return refuse("The request has a body but no Content-Type."),
        (Some(_), Some(_)) => return refuse("The request has more than one Content-Type."),
    };
    let Ok(value) = value.to_str() else { return refuse("The Content-Type is not readable.") };
    let mut parts = value.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    if !name.eq_ignore_ascii_case(SCIM_JSON) && !name.eq_ignore_ascii_case(JSON) {
        return refuse("The Content-Type is not one that SCIM uses.");
    }
    let charset =
        parts.filter_map(|parameter| parameter.split_once('=')).find(|(key, _)| key.eq_ignore_ascii_case("charset"));
    match charset {
        Some((_, set)) if !set.trim_matches('"').eq_ignore_ascii_case("utf-8") => {
            refuse("JSON is UTF-8 (RFC 8259 section 8.1), the Content-Type names another charset.")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: http::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).expect("header"))).collect()
    }

    #[test]
    fn the_answer_is_json_only_where_accept_prefers_it() {
        for (accept, expected) in [
            (&[][..], SCIM_JSON),
            (&["application/scim+json"], SCIM_JSON),
            (&["application/json"], JSON),
            (&["APPLICATION/JSON; charset=utf-8"], JSON),
            (&["application/json, application/scim+json"], SCIM_JSON),
            (&["application/json", "application/scim+json;q=0.5"], JSON),
            (&["application/json, */*"], SCIM_JSON),
            (&["application/json, text/plain, */*;q=0.1"], JSON),
            (&["*/*"], SCIM_JSON),
            (&["text/html"], SCIM_JSON),
            (&["application/scim+json;q=0, application/*"], JSON),
            (&["application/json;q=x"], SCIM_JSON),
        ] {
            assert_eq!(answer_type(&headers(ACCEPT, accept)), expected, "{accept:?}");
        }
    }

    #[test]
    fn bodies_are_scim_or_plain_json() {
        for (given, taken) in [
            (&["application/scim+json"][..], true),
            (&["application/scim+json; charset=utf-8"], true),
            (&["application/json;charset=\"UTF-8\""], true),
            (&["Application/Json"], true),
            (&[], false),
            (&["text/plain"], false),
            (&["application/x-www-form-urlencoded"], false),
            (&["application/json; charset=utf-16"], false),
            (&["application/json", "application/scim+json"], false),
            (&["application/jsonx"], false),
        ] {
            assert_eq!(check_content_type(&headers(CONTENT_TYPE, given)).is_ok(), taken, "{given:?}");
        }
    }
}
