//! Parameters, from a form body or a query: each once (RFC 6749 section 3.1), and one without a value is one that is not
//! there.

use std::collections::BTreeMap;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::answer::Refused;

/// The largest body, bytes: an assertion takes a few thousand.
const LARGEST: usize = 64 * 1024;

/// Read, and each known to be there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Refused> {
        let mut form = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') || value.contains('\0') {
                return Err(Refused::request("A parameter is not UTF-8, or holds a NUL. Encode it as UTF-8."));
            }
            if form.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                let name: String = name.chars().take(40).collect();
                return Err(Refused::request(format!(
                    "The parameter {name} stands there more than once. Send it once."
                )));
            }
        }
        Ok(Self(form))
    }

    /// That of a POST.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Refused> {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refused::request(
                "The parameters belong into the body, with Content-Type: application/x-www-form-urlencoded.",
            ));
        }
        Self::parse(&bytes(body).await?)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn require(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| Refused::request(format!("The parameter {name} is missing. Send it.")))
    }

    /// Scopes as words. `offline_access`, which some clients ask for to get a refresh token, is understood: they get one.
    pub(super) fn scopes(text: Option<&str>) -> Vec<String> {
        let words = text.unwrap_or_default().split(' ').filter(|word| !matches!(*word, "" | "offline_access"));
        words.map(str::to_owned).collect()
    }
}

async fn bytes(body: Body) -> Result<Bytes, Refused> {
    let read = Limited::new(body, LARGEST).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Refused::too_large("The body is larger than 64 KiB. Send less.")
        } else {
            Refused::request("The body ended before it was whole. Send the request again.")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_once_and_empty_ones_are_not_there() {
        let form = Form::parse(b"a=1+2&b=%C3%A9&c=&d").expect("form");
        assert_eq!((form.get("a"), form.get("b"), form.get("c"), form.get("d")), (Some("1 2"), Some("é"), None, None));
        for wrong in ["a=1&a=1", "a=&a=1", "%61=1&a=2", "a=%FF", "a=%00"] {
            assert!(Form::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn scopes_are_words() {
        assert_eq!(Form::scopes(Some("users:read  offline_access groups:read")), ["users:read", "groups:read"]);
        assert!(Form::scopes(None).is_empty());
    }
}
