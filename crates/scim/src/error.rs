//! What the client did: RFC 7644 section 3.12, RFC 9865 section 2.

use serde_json::json;

/// The kinds of error, each with one HTTP status and at most one `scimType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named after scimType and HTTP status")]
pub enum ErrorKind {
    InvalidFilter,
    TooMany,
    Mutability,
    InvalidSyntax,
    InvalidPath,
    NoTarget,
    InvalidValue,
    InvalidVers,
    Sensitive,
    InvalidCursor,
    ExpiredCursor,
    InvalidCount,
    Uniqueness,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    PreconditionFailed,
    PayloadTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    Unprocessable,
    NotAcceptable,
    TooManyRequests,
    HeadersTooLarge,
    NotImplemented,
    Unavailable,
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

    /// The Error message body: `schemas`, `status` (a string), `scimType`, `detail`.
    pub fn body(&self) -> Vec<u8> {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.kind.status().to_string(),
        });
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
            | Self::InvalidCursor
            | Self::ExpiredCursor
            | Self::InvalidCount
            | Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::Sensitive => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::Conflict | Self::Uniqueness => 409,
            Self::PreconditionFailed => 412,
            Self::PayloadTooLarge => 413,
            Self::UriTooLong => 414,
            Self::UnsupportedMediaType => 415,
            Self::Unprocessable => 422,
            Self::TooManyRequests => 429,
            Self::HeadersTooLarge => 431,
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
            Self::Uniqueness => Some("uniqueness"),
            Self::BadRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::PayloadTooLarge
            | Self::UriTooLong
            | Self::UnsupportedMediaType
            | Self::Unprocessable
            | Self::NotAcceptable
            | Self::TooManyRequests
            | Self::HeadersTooLarge
            | Self::NotImplemented
            | Self::Unavailable
            | Self::Internal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_a_string() {
        let body = Error::new(ErrorKind::Uniqueness, "taken").body();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness","detail":"taken"}"#
        );
    }
}
