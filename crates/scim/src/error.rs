//! What the client did: RFC 7644 section 3.12, RFC 9865 section 2.

/// The kinds of error, each with one HTTP status and at most one `scimType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ErrorKind {
    // 400 with a scimType
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
    // 409 with scimType uniqueness
    Uniqueness,
    // no scimType
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    NotAcceptable,
    TooManyRequests,
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
        todo!()
    }
}

impl ErrorKind {
    /// HTTP status code.
    pub fn status(self) -> u16 {
        todo!()
    }
    /// RFC 7644 table 9, RFC 9865 section 2.
    pub fn scim_type(self) -> Option<&'static str> {
        todo!()
    }
}
