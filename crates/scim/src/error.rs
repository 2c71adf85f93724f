//! What the client did: RFC 7644 section 3.12, RFC 9865 section 2.

use serde_json::json;

/// The URN of the error body.
pub const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The kinds of error, each with one HTTP status and at most one `scimType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400: the filter does not parse, or compares what cannot be compared.
    InvalidFilter,
    /// 400: the filter would cost more than is allowed.
    TooMany,
    /// 400: the attribute cannot be changed so.
    Mutability,
    /// 400: the body is not the JSON that the message needs.
    InvalidSyntax,
    /// 400: the path of a PATCH operation names no attribute.
    InvalidPath,
    /// 400: the path of a PATCH operation names no value.
    NoTarget,
    /// 400: a required value is missing, or a value has the wrong type or form.
    InvalidValue,
    /// 400: the protocol version is not supported.
    InvalidVers,
    /// 400: personal data may not stand in a URI.
    Sensitive,
    /// 400: the cursor was not given out by this server.
    InvalidCursor,
    /// 400: the cursor is too old.
    ExpiredCursor,
    /// 400: the count is not allowed with a cursor.
    InvalidCount,
    /// 409: a value that must be unique is taken.
    Uniqueness,
    /// 400 without scimType.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 409 without scimType.
    Conflict,
    /// 412.
    PreconditionFailed,
    /// 413.
    PayloadTooLarge,
    /// 415.
    UnsupportedMediaType,
    /// 406.
    NotAcceptable,
    /// 429.
    TooManyRequests,
    /// 501.
    NotImplemented,
    /// 503.
    Unavailable,
    /// 500.
    Internal,
}

/// A refusal, with a detail that says what to change.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{detail}")]
pub struct Error {
    /// Status and scimType.
    pub kind: ErrorKind,
    /// For the client's administrator; holds no secret.
    pub detail: String,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub(crate) fn invalid_value(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidValue, detail)
    }

    pub(crate) fn invalid_syntax(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidSyntax, detail)
    }

    pub(crate) fn invalid_path(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidPath, detail)
    }

    pub(crate) fn mutability(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mutability, detail)
    }

    pub(crate) fn no_target(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::NoTarget, detail)
    }

    /// The Error message body: `schemas`, `status` (a string), `scimType`, `detail`.
    pub fn body(&self) -> Vec<u8> {
        let mut body = json!({"schemas": [ERROR_SCHEMA], "status": self.kind.status().to_string()});
        if let Some(scim_type) = self.kind.scim_type() {
            body["scimType"] = scim_type.into();
        }
        body["detail"] = self.detail.as_str().into();
        body.to_string().into_bytes()
    }
}

impl ErrorKind {
    /// HTTP status code.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidFilter
            | Self::TooMany
            | Self::Mutability
            | Self::InvalidSyntax
            | Self::InvalidPath
            | Self::NoTarget
            | Self::InvalidValue
            | Self::InvalidVers
            | Self::Sensitive
            | Self::InvalidCursor
            | Self::ExpiredCursor
            | Self::InvalidCount
            | Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::Uniqueness | Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
        }
    }

    /// RFC 7644 table 9, RFC 9865 section 2.
    pub fn scim_type(self) -> Option<&'static str> {
        match self {
            Self::InvalidFilter => Some("invalidFilter"),
            Self::TooMany => Some("tooMany"),
            Self::Uniqueness => Some("uniqueness"),
            Self::Mutability => Some("mutability"),
            Self::InvalidSyntax => Some("invalidSyntax"),
            Self::InvalidPath => Some("invalidPath"),
            Self::NoTarget => Some("noTarget"),
            Self::InvalidValue => Some("invalidValue"),
            Self::InvalidVers => Some("invalidVers"),
            Self::Sensitive => Some("sensitive"),
            Self::InvalidCursor => Some("invalidCursor"),
            Self::ExpiredCursor => Some("expiredCursor"),
            Self::InvalidCount => Some("invalidCount"),
            Self::BadRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType
            | Self::NotAcceptable
            | Self::TooManyRequests
            | Self::NotImplemented
            | Self::Unavailable
            | Self::Internal => None,
        }
    }
}

/// A client's text for a detail: one line, at most 100 characters, control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_registered_members_and_a_string_status() {
        let body = Error::new(ErrorKind::Uniqueness, "userName \"a\" is taken").body();
        assert_eq!(
            String::from_utf8(body).expect("UTF-8"),
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness","detail":"userName \"a\" is taken"}"#
        );
        let body = Error::new(ErrorKind::NotFound, "gone").body();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((body["status"].as_str(), body.get("scimType")), (Some("404"), None));
    }

    #[test]
    fn a_quoted_text_is_short_and_on_one_line() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(&"é".repeat(101)).chars().count(), 103);
    }
}
