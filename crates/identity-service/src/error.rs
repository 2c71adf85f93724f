//! What a call is refused with. Internal detail is logged here, once, and goes no further.

use store::Failure;
use wire::{Reason, Refusal};

/// How a unit of work on the database ends when it does not succeed.
pub(crate) type Refused = Failure<Refusal>;

/// A refusal out of a unit of work.
pub(crate) fn refused(reason: Reason, message: impl Into<String>) -> Refused {
    Failure::Refused(Refusal::new(reason, message))
}

/// What the client did, as the pure crate says it.
pub(crate) fn from_scim(error: scim::Error) -> Refusal {
    use scim::ErrorKind as K;
    let reason = match error.kind {
        K::InvalidFilter => Reason::InvalidFilter,
        K::TooMany | K::PayloadTooLarge | K::UriTooLong | K::HeadersTooLarge => Reason::TooMany,
        K::Mutability => Reason::Mutability,
        K::InvalidSyntax | K::BadRequest | K::UnsupportedMediaType | K::NotAcceptable => Reason::InvalidSyntax,
        K::InvalidPath => Reason::InvalidPath,
        K::NoTarget => Reason::NoTarget,
        K::InvalidCursor => Reason::InvalidCursor,
        K::ExpiredCursor => Reason::ExpiredCursor,
        K::InvalidCount => Reason::InvalidCount,
        K::InvalidValue | K::InvalidVers | K::Sensitive | K::NotImplemented => Reason::InvalidValue,
        K::Uniqueness | K::Conflict => Reason::Uniqueness,
        K::PreconditionFailed => Reason::VersionMismatch,
        K::Unprocessable => Reason::IdempotencyKeyReused,
        K::TooManyRequests => Reason::Busy,
        K::Unavailable => Reason::Unavailable,
        K::Unauthorized | K::Forbidden | K::NotFound | K::MethodNotAllowed | K::Internal => Reason::Internal,
    };
    Refusal::new(reason, error.detail)
}

/// What a caller is told.
pub(crate) fn refusal(failure: Refused) -> Refusal {
    let error = match failure {
        Failure::Refused(refusal) => return refusal,
        Failure::Store(error) => error,
    };
    match error {
        store::Error::Serialization => {
            Refusal::new(Reason::Contended, "Others kept changing the same resource. Send the request again.")
        }
        store::Error::Busy => Refusal::new(Reason::Busy, "The database is busy. Send the request again in a second."),
        store::Error::Unavailable(outage) => {
            tracing::error!(error = %outage, "the database is not available");
            Refusal::new(Reason::Unavailable, "The database cannot be reached. Send the request again shortly.")
        }
        store::Error::Unique { .. } | store::Error::Other(_) => internal(&error),
    }
}

/// Our own fault.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "a call failed");
    Refusal::new(Reason::Internal, "Something went wrong on our side. Give the request id when you ask about it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_detail_stays_here() {
        let told = refusal(Failure::Store(store::Error::Other("relation scim_user does not exist".to_owned())));
        assert_eq!(told.reason, Reason::Internal);
        assert!(!told.message.contains("scim_user"));
        assert_eq!(refusal(Failure::Store(store::Error::Serialization)).reason, Reason::Contended);
        assert_eq!(refusal(Failure::Store(store::Error::Busy)).reason, Reason::Busy);
    }

    #[test]
    fn the_kinds_that_clients_are_told_apart_keep_their_reason() {
        for (kind, reason) in [
            (scim::ErrorKind::InvalidFilter, Reason::InvalidFilter),
            (scim::ErrorKind::InvalidPath, Reason::InvalidPath),
            (scim::ErrorKind::InvalidSyntax, Reason::InvalidSyntax),
            (scim::ErrorKind::InvalidValue, Reason::InvalidValue),
            (scim::ErrorKind::Mutability, Reason::Mutability),
            (scim::ErrorKind::NoTarget, Reason::NoTarget),
            (scim::ErrorKind::TooMany, Reason::TooMany),
            (scim::ErrorKind::Uniqueness, Reason::Uniqueness),
        ] {
            assert_eq!(from_scim(scim::Error::new(kind, "why")), Refusal::new(reason, "why"));
        }
    }
}
