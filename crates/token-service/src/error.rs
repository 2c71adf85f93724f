//! How the database's errors leave the service: logged here once, told without detail.

use store::{Error, Failure};
use wire::{Reason, Refusal};

pub(crate) fn refusal(failure: Failure<Refusal>) -> Refusal {
    let error = match failure {
        Failure::Refused(refusal) => return refusal,
        Failure::Store(error) => error,
    };
    let (reason, message) = match &error {
        Error::Serialization => (Reason::Contended, "Others kept changing the same rows. Try again."),
        Error::Busy => (Reason::Busy, "Too much at once. Try again in a second."),
        Error::Unavailable(_) => (Reason::Unavailable, "The token database cannot be reached. Try again shortly."),
        // The only unique values are made here.
        Error::Unique { .. } | Error::Other(_) => (Reason::Internal, "Something went wrong on our side."),
    };
    match reason {
        Reason::Contended | Reason::Busy => tracing::warn!(%error, "the token database refused work"),
        _ => tracing::error!(%error, "the token database failed"),
    }
    Refusal::new(reason, message)
}
