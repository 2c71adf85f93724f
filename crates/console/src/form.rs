//! What a form has sent.

use axum::{body::Body, extract::FromRequestParts};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt as _, Limited};

use crate::problem::{Problem, Result};

/// The largest body, bytes: a JWK Set is the largest thing that is pasted.
const LARGEST: usize = 64 * 1024;

/// Fields in their order; a group of check boxes sends its name several times. `guard` puts it on requests that may change
/// something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.replace('\0', ""))).collect())
    }

    pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Self> {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let text = "This was not sent by a form of the console. Open the page anew and send it from there.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "Nothing was changed", text));
        }
        let body = Limited::new(body, LARGEST).collect().await.map_err(|_| {
            let text = "The form is larger than 64 KiB, or broke off on the way. Send less, or try again.";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Nothing was changed", text)
        })?;
        Ok(Self::parse(&body.to_bytes()))
    }

    /// Without spaces at its ends; empty where it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.trim()).unwrap_or_default()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone()).collect()
    }

    /// What a text area has, one a line, or with commas between them.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.get(name).split(['\n', ',']).map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        // Absent only on a route without the guard: a mistake of ours that must not change anything.
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_trimmed_and_lists_are_split() {
        let form = Form::parse(b"a=+x+&s=1&s=2&l=10.0.0.0%2F8%0D%0A%0D%0A+10.1.0.0%2F16,10.2.0.0/16&n=a%00b");
        assert_eq!((form.get("a"), form.get("missing"), form.get("n")), ("x", "", "ab"));
        assert_eq!(form.all("s"), ["1", "2"]);
        assert_eq!(form.lines("l"), ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"]);
    }
}
