//! Every refusal leaves as a SCIM error, RFC 7644 section 3.12.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use scim::{Error, ErrorKind};
use tonic::Status;
use wire::Reason;

use crate::negotiate::SCIM_JSON;

/// What a 500 says; where it happened is in the log under the request id.
pub(crate) const INTERNAL: &str = "Something went wrong on our side. Nothing about your request has to change. If it \
                                   happens again, give the X-Request-Id of this answer to whoever runs this server.";
const UNAVAILABLE: &str = "A part of this server cannot be reached at the moment. Send the request again shortly.";

/// A SCIM error and the header fields that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    error: Error,
    /// `WWW-Authenticate` of a 401.
    challenge: Option<&'static str>,
    /// Seconds, RFC 9110 section 10.2.3. Okta understands whole seconds only.
    retry_after: Option<u64>,
    allow: Option<&'static str>,
    /// The rest of the request body was not read.
    close: bool,
    /// For the provisioning log, where it says more than the kind of error.
    reason: Option<&'static str>,
}

/// What a refusal said, among the extensions of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// A word for the provisioning log.
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Error::new(kind, detail).into()
    }

    pub(crate) fn internal() -> Self {
        Self::new(ErrorKind::Internal, INTERNAL)
    }

    /// RFC 6750 section 3: no error code where no credential was given.
    pub(crate) fn no_credential(detail: impl Into<String>) -> Self {
        Self { challenge: Some(r#"Bearer realm="SCIM""#), ..Self::new(ErrorKind::Unauthorized, detail) }
    }

    pub(crate) fn too_many_requests(detail: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after.max(1)), ..Self::new(ErrorKind::TooManyRequests, detail) }
    }

    pub(crate) fn method_not_allowed(detail: impl Into<String>, allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(ErrorKind::MethodNotAllowed, detail) }
    }

    /// One text for an id that never was, one of another organization and one that is deleted: they look the same.
    /// `name` is `user` or `group`.
    pub(crate) fn no_such(name: &str) -> Self {
        let detail = format!("There is no {name} with this id in your organization. Look it up with a filter.");
        Self::new(ErrorKind::NotFound, detail)
    }

    /// Ends the connection after the answer, since what is left of the body is not wanted.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The same failure in other words.
    pub(crate) fn saying(mut self, detail: impl Into<String>) -> Self {
        self.error.detail = detail.into();
        self
    }

    /// The same failure, with a word for the provisioning log.
    pub(crate) fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Without the header fields.
    pub(crate) fn into_error(self) -> Error {
        self.error
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.error.kind
    }

    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        &self.error.detail
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let challenge =
            (error.kind == ErrorKind::Unauthorized).then_some(r#"Bearer realm="SCIM", error="invalid_token""#);
        let retry_after = (error.kind == ErrorKind::TooManyRequests).then_some(1);
        Self { error, challenge, retry_after, allow: None, close: false, reason: None }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let refusal = wire::refusal(&status);
        let reason = refusal.reason;
        let kind = kind(reason);
        if matches!(kind, ErrorKind::Internal | ErrorKind::Unavailable) {
            // A status of ours was logged where it arose, and its text may hold what the client sent.
            let text = if status.details().is_empty() { status.message() } else { "" };
            tracing::error!(reason = reason.as_str(), code = ?status.code(), text, "a gRPC call failed");
        }
        match kind {
            _ if reason == Reason::UserNotFound => Self::no_such("user"),
            _ if reason == Reason::GroupNotFound => Self::no_such("group"),
            ErrorKind::Internal => Self::internal(),
            ErrorKind::Unavailable => Self::new(kind, UNAVAILABLE),
            _ => {
                let failure = Self::new(kind, refusal.message);
                match reason {
                    Reason::ScimDisabled => failure.because("scim_off"),
                    Reason::PlanLapsed => failure.because("plan"),
                    _ => failure,
                }
            }
        }
    }
}

/// The word of the provisioning log for a kind of error: its `scimType`, if it has one.
fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::BadRequest => "bad_request",
        ErrorKind::Unauthorized => "token",
        ErrorKind::Forbidden => "forbidden",
        ErrorKind::NotFound => "not_found",
        ErrorKind::MethodNotAllowed => "method",
        ErrorKind::Conflict => "conflict",
        ErrorKind::PreconditionFailed => "precondition",
        ErrorKind::PayloadTooLarge => "too_large",
        ErrorKind::UriTooLong | ErrorKind::HeadersTooLarge => "too_long",
        ErrorKind::UnsupportedMediaType => "media_type",
        ErrorKind::Unprocessable => "idempotency_key",
        ErrorKind::NotAcceptable => "not_acceptable",
        ErrorKind::TooManyRequests => "rate_limit",
        ErrorKind::NotImplemented => "not_implemented",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Internal => "internal",
        other => other.scim_type().unwrap_or("bad_request"),
    }
}

/// What a service's reason is to a SCIM client.
pub(crate) fn kind(reason: Reason) -> ErrorKind {
    match reason {
        Reason::InvalidFilter => ErrorKind::InvalidFilter,
        Reason::InvalidPath => ErrorKind::InvalidPath,
        Reason::InvalidSyntax => ErrorKind::InvalidSyntax,
        Reason::InvalidValue => ErrorKind::InvalidValue,
        Reason::Mutability => ErrorKind::Mutability,
        Reason::NoTarget => ErrorKind::NoTarget,
        Reason::TooMany => ErrorKind::TooMany,
        Reason::InvalidCursor => ErrorKind::InvalidCursor,
        Reason::ExpiredCursor => ErrorKind::ExpiredCursor,
        Reason::InvalidCount => ErrorKind::InvalidCount,
        Reason::Uniqueness => ErrorKind::Uniqueness,
        Reason::IdempotencyKeyReused => ErrorKind::Unprocessable,
        Reason::IdempotencyKeySpent | Reason::TokenState | Reason::OAuthState => ErrorKind::Conflict,
        Reason::UserNotFound | Reason::GroupNotFound | Reason::TokenNotFound | Reason::OAuthNotFound => {
            ErrorKind::NotFound
        }
        Reason::VersionMismatch => ErrorKind::PreconditionFailed,
        Reason::ScimDisabled | Reason::PlanLapsed => ErrorKind::Forbidden,
        // The organization is the token's: a token of none is no token.
        Reason::TokenInvalid | Reason::OrganizationNotFound => ErrorKind::Unauthorized,
        // Okta retries 429 and gives up on 503 and 409.
        Reason::Contended | Reason::Busy => ErrorKind::TooManyRequests,
        Reason::Unavailable => ErrorKind::Unavailable,
        // The gateway's own mistakes: a malformed call, its own credential refused, an answer to OAuth or to the console that
        // came to SCIM.
        Reason::ClientInvalid
        | Reason::ApprovalInvalid
        | Reason::GrantInvalid
        | Reason::GrantNotAllowed
        | Reason::ScopeInvalid
        | Reason::InvalidArgument
        | Reason::CredentialInvalid
        | Reason::ScopeMissing
        | Reason::CallerNotAllowed
        | Reason::CredentialNotFound
        | Reason::CredentialState
        | Reason::AdminNotFound
        | Reason::AdminState
        | Reason::AdminInviteInvalid
        | Reason::SignInNotFound
        | Reason::SignInState
        | Reason::SignInInvalid
        | Reason::SignInRefused
        | Reason::SessionInvalid
        | Reason::SessionNotFound
        | Reason::AccountState
        | Reason::AccountLocked
        | Reason::KeyInvalid
        | Reason::UnlockFailed
        | Reason::Limited
        | Reason::NotConfirming
        | Reason::AgentInvalid
        | Reason::AgentNotFound
        | Reason::MailOff
        | Reason::RequestNotFound
        | Reason::Internal => ErrorKind::Internal,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.error.body()));
        *response.status_mut() =
            StatusCode::from_u16(self.error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let reason = self.reason.unwrap_or_else(|| word(self.error.kind));
        response.extensions_mut().insert(Told { reason, detail: self.error.detail });
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_status() {
        for &reason in Reason::ALL {
            let expected = match reason.as_str() {
                "INVALID_FILTER" | "INVALID_PATH" | "INVALID_SYNTAX" | "INVALID_VALUE" | "MUTABILITY" | "NO_TARGET"
                | "TOO_MANY" | "INVALID_CURSOR" | "EXPIRED_CURSOR" | "INVALID_COUNT" => 400,
                "TOKEN_INVALID" | "ORGANIZATION_NOT_FOUND" => 401,
                "SCIM_DISABLED" | "PLAN_LAPSED" => 403,
                "USER_NOT_FOUND" | "GROUP_NOT_FOUND" | "TOKEN_NOT_FOUND" | "OAUTH_NOT_FOUND" => 404,
                "UNIQUENESS" | "IDEMPOTENCY_KEY_SPENT" | "TOKEN_STATE" | "OAUTH_STATE" => 409,
                "IDEMPOTENCY_KEY_REUSED" => 422,
                "VERSION_MISMATCH" => 412,
                "CONTENDED" | "BUSY" => 429,
                "UNAVAILABLE" => 503,
                "CLIENT_INVALID"
                | "APPROVAL_INVALID"
                | "GRANT_INVALID"
                | "GRANT_NOT_ALLOWED"
                | "SCOPE_INVALID"
                | "INVALID_ARGUMENT"
                | "CREDENTIAL_INVALID"
                | "SCOPE_MISSING"
                | "CALLER_NOT_ALLOWED"
                | "CREDENTIAL_NOT_FOUND"
                | "CREDENTIAL_STATE"
                | "ADMIN_NOT_FOUND"
                | "ADMIN_STATE"
                | "ADMIN_INVITE_INVALID"
                | "SIGN_IN_NOT_FOUND"
                | "SIGN_IN_INVALID"
                | "SIGN_IN_REFUSED"
                | "SIGN_IN_STATE"
                | "SESSION_INVALID"
                | "SESSION_NOT_FOUND"
                | "REQUEST_NOT_FOUND"
                | "ACCOUNT_STATE"
                | "ACCOUNT_LOCKED"
                | "AGENT_INVALID"
                | "AGENT_NOT_FOUND"
                | "KEY_INVALID"
                | "UNLOCK_FAILED"
                | "LIMITED"
                | "NOT_CONFIRMING"
                | "MAIL_OFF"
                | "INTERNAL" => 500,
                other => panic!("no expectation for {other}"),
            };
            let failure = Failure::from(Status::from(wire::Refusal::new(reason, "why")));
            assert_eq!(failure.kind().status(), expected, "{reason:?}");
            assert_eq!(failure.challenge.is_some(), expected == 401, "{reason:?}");
            assert_eq!(failure.retry_after.is_some(), expected == 429, "{reason:?}");
            let own = matches!(reason, Reason::UserNotFound | Reason::GroupNotFound) || expected >= 500;
            assert_eq!(failure.detail() == "why", !own, "{reason:?}");
        }
    }

    #[test]
    fn a_service_out_of_reach_is_503_and_shows_no_address() {
        let status = Status::from_error(Box::new(wire::TransportError::new("tcp connect error 10.0.0.3:7000")));
        let failure = Failure::from(status);
        assert_eq!(failure.kind(), ErrorKind::Unavailable);
        assert!(!failure.detail().contains("10.0.0.3"), "{}", failure.detail());
    }
}
