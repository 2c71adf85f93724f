//! What the page and its calls say to each other: JSON with bytes as base64url, and refusals as a word and a sentence.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _};
use tonic::Status;
use wire::{Reason, Refusal};

use crate::problem::Problem;

/// The largest call: a hundred grants.
const LARGEST: usize = 128 * 1024;

/// Bytes as base64url without padding (RFC 4648 section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base64(pub(crate) Bytes);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| D::Error::custom("not base64url without padding"))?;
        Ok(Self(bytes.into()))
    }
}

impl From<Bytes> for Base64 {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Base64> for Bytes {
    fn from(bytes: Base64) -> Self {
        bytes.0
    }
}

/// Why a call was refused.
#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    #[serde(skip)]
    status: StatusCode,
    /// For the script.
    code: &'static str,
    /// For a person.
    message: String,
}

impl Refused {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn signed_out() -> Self {
        let text = "You are signed out: sessions end after a while without use, and when an account is deactivated. Sign in again.";
        Self::new(StatusCode::UNAUTHORIZED, "signed_out", text)
    }

    /// Not a page's: an agent's credential is missing.
    pub(super) fn no_agent(text: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "agent_invalid", text)
    }

    pub(super) fn not_from_here() -> Self {
        let text = "This did not come from a page of this session. Load the page anew and try again.";
        Self::new(StatusCode::FORBIDDEN, "not_from_here", text)
    }

    fn unreadable(why: &str) -> Self {
        let text = format!("What the page sent cannot be read: {why}. Load the page anew and try again.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unreadable", text)
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let Refusal { reason, .. } = wire::refusal(&status);
        let code = match reason {
            Reason::SessionInvalid => return Self::signed_out(),
            Reason::AgentInvalid => "agent_invalid",
            Reason::AccountLocked => "locked",
            Reason::AccountState => "state",
            Reason::UnlockFailed => "unlock_failed",
            Reason::Limited => "limited",
            Reason::KeyInvalid => "key_invalid",
            Reason::NotConfirming => "not_confirming",
            Reason::Contended => {
                let text = "Somebody else has just changed the same. Load the page anew, then try again.";
                return Self::new(StatusCode::CONFLICT, "contended", text);
            }
            _ => "refused",
        };
        Self { code, ..Self::from(Problem::from(status)) }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status, "refused", problem.text)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

/// An answer.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// What a call has sent.
pub(crate) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refused> {
    let body = Limited::new(body, LARGEST).collect().await.map_err(|_| {
        let text = "The call is larger than 128 KiB, or broke off on the way. Try again.";
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
    })?;
    // serde's words name fields and what was expected, and a text in the wrong place, which may be a secret: not passed on.
    serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        Refused::unreadable(match error.classify() {
            serde_json::error::Category::Data => "a value is missing or of the wrong kind",
            _ => "it is not JSON",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_travel_as_base64url_without_padding() {
        let bytes = Base64(Bytes::from_static(&[0xfb, 0xff, 0x01, 0x02]));
        let text = serde_json::to_string(&bytes).expect("json");
        assert_eq!(text, "\"-_8BAg\"");
        assert_eq!(serde_json::from_str::<Base64>(&text).expect("bytes"), bytes);
        for bad in ["\"-_8BAg==\"", "\"+/8BAg\"", "\"a\"", "1"] {
            assert!(serde_json::from_str::<Base64>(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_repeated() {
        #[derive(Debug, Deserialize)]
        struct Wanted {
            #[expect(dead_code, reason = "read by nobody")]
            n: u32,
        }
        let refused = read::<Wanted>(Body::from(r#"{"n":"hunter2"}"#)).await.expect_err("refused");
        assert!(!refused.message.contains("hunter2"), "{}", refused.message);
        assert_eq!(read::<Wanted>(Body::from("{")).await.expect_err("refused").code, "unreadable");
    }
}
