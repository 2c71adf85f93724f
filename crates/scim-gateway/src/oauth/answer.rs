//! Refusals in the words of RFC 6749 section 5.2.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;
use tonic::Status;
use wire::Reason;

use crate::{auth::Guarded, error::INTERNAL, negotiate::JSON};

/// The codes of RFC 6749 sections 4.1.2.1 and 5.2, RFC 7009 section 2.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    InvalidScope,
    AccessDenied,
    TemporarilyUnavailable,
    ServerError,
}

impl Code {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) description: String,
    pub(super) status: StatusCode,
    /// Seconds, where the same request may be good later.
    retry_after: u16,
}

impl Refused {
    pub(super) fn new(code: Code, description: impl Into<String>) -> Self {
        let status = match code {
            Code::InvalidClient => StatusCode::UNAUTHORIZED,
            Code::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { code, description: description.into(), status, retry_after: 1 }
    }

    pub(super) fn request(description: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, description)
    }

    pub(super) fn too_large(description: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, ..Self::request(description) }
    }

    /// One answer for a client that is unknown or revoked and for a wrong secret or assertion.
    pub(super) fn client() -> Self {
        Self::new(
            Code::InvalidClient,
            "The client is unknown or revoked, or this is not its secret or assertion. `rollcall oauth client list` shows \
             the clients; a lost secret is replaced by `rollcall oauth client rotate-secret`.",
        )
    }

    /// The same for an assertion that is itself the grant, RFC 7523 section 3.1.
    pub(super) fn assertion() -> Self {
        Self::new(
            Code::InvalidGrant,
            "The assertion is not accepted: client_id, issuer, subject, audience, signature or time is not what the client \
             was made with, or it was used before. The log of this server says which.",
        )
    }

    pub(super) fn keys_missing() -> Self {
        Self {
            retry_after: 60,
            ..Self::new(
                Code::TemporarilyUnavailable,
                "The public keys of the client's issuer cannot be fetched at the moment, so the assertion cannot be \
                 checked. The log of this server says why; the address is the --jwks-uri that the client was made with. It \
                 is tried again in a minute.",
            )
        }
    }

    pub(super) fn crowded() -> Self {
        Self::new(
            Code::TemporarilyUnavailable,
            "This cannot be checked at the moment: too many wrong credentials come from your address. Stop the client that \
             sends them, and send this request again shortly.",
        )
    }

    /// More than one client needs; there is room for it again after so many seconds.
    pub(super) fn too_often(seconds: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: seconds.try_into().unwrap_or(u16::MAX),
            ..Self::new(
                Code::TemporarilyUnavailable,
                format!(
                    "This client asks too often: {} requests a second are enough for one. Keep the access token for as long \
                     as expires_in says, and send this request again after the time in Retry-After.",
                    super::REQUESTS_PER_SECOND
                ),
            )
        }
    }

    /// `client`: what a wrong credential is called.
    pub(super) fn of(status: &Status, client: fn() -> Self) -> Self {
        let refusal = wire::refusal(status);
        match refusal.reason {
            Reason::ClientInvalid => client(),
            Reason::GrantInvalid => Self::new(
                Code::InvalidGrant,
                "The code or refresh token is unknown, used, expired or ended, or belongs to another client or \
                 redirect_uri, or the code_verifier is wrong. Connect again: begin at the authorization endpoint.",
            ),
            Reason::GrantNotAllowed => Self::new(Code::UnauthorizedClient, refusal.message),
            Reason::ScopeInvalid => Self::new(Code::InvalidScope, refusal.message),
            Reason::ApprovalInvalid | Reason::PlanLapsed => Self::new(Code::AccessDenied, refusal.message),
            Reason::Contended | Reason::Busy => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                ..Self::new(Code::TemporarilyUnavailable, "Too much at once. Send this request again in a second.")
            },
            Reason::Unavailable => Self::new(
                Code::TemporarilyUnavailable,
                "A part of this server cannot be reached at the moment. Send the request again shortly.",
            ),
            reason => {
                tracing::error!(reason = reason.as_str(), code = ?status.code(), "a gRPC call failed");
                Self::new(Code::ServerError, INTERNAL)
            }
        }
    }

    pub(super) fn guarded(guarded: Guarded<Self>, client: fn() -> Self) -> Self {
        match guarded {
            Guarded::Unknown => client(),
            Guarded::Crowded => Self::crowded(),
            Guarded::Failed(refused) => refused,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({"error": self.code.as_str(), "error_description": ascii(&self.description)});
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="OAuth""#));
        }
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after));
        }
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// RFC 6749 section 5.2: only %x20-21 / %x23-5B / %x5D-7E.
pub(super) fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_the_characters_of_the_rfc() {
        assert_eq!(ascii("say \"no\" \\ é\n"), "say 'no' ' ??");
    }
}
