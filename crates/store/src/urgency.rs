//! What goes before other work in the queues for a connection and for SQLite's writer: taking access away must not wait for
//! whoever creates a hundred thousand users.

use std::future::Future;

tokio::task_local! {
    static URGENT: ();
}

/// Runs work that goes, if it is urgent, before all that waits and is not.
pub async fn urgently_if<F: Future>(urgent: bool, work: F) -> F::Output {
    if urgent { URGENT.scope((), work).await } else { work.await }
}

pub(crate) fn is_urgent() -> bool {
    URGENT.try_with(|()| ()).is_ok()
}
