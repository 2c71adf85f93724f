//! Changes of one group take turns in this process before they reach PostgreSQL: a hot group then holds one connection, not
//! the whole pool, and no statement waits for its row and is evaluated twice. Between processes the row's lock decides.

use std::sync::Arc;

use store::Backend;
use tokio::sync::{Mutex, MutexGuard};

use crate::domain::GroupId;

/// Groups share a place in so many queues: two that meet in one only wait longer.
const QUEUES: usize = 1024;

/// First come, first served. Clones share the queues. SQLite has one writer, and none.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<[Mutex<()>]>);

impl Turns {
    pub(crate) fn new(backend: Backend) -> Self {
        match backend {
            Backend::Postgres => Self(std::iter::repeat_with(Mutex::default).take(QUEUES).collect()),
            Backend::Sqlite => Self::default(),
        }
    }

    /// Waits for those who came before.
    pub(crate) async fn of(&self, group: GroupId) -> Option<MutexGuard<'_, ()>> {
        // The end of a UUIDv7 is random.
        let (_, random) = group.0.as_u64_pair();
        let queue = self.0.get(usize::try_from(random % QUEUES as u64).ok()?)?;
        Some(queue.lock().await)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_group_is_waited_for_and_another_is_not() {
        let turns = Turns::new(Backend::Postgres);
        let [one, other] = [1, 2].map(|n| GroupId(Uuid::from_u128(n)));
        let turn = turns.of(one).await;
        assert!(turn.is_some() && turns.of(other).now_or_never().is_some());
        assert!(turns.of(one).now_or_never().is_none());
        drop(turn);
        assert!(turns.of(one).now_or_never().is_some());
        assert!(Turns::new(Backend::Sqlite).of(one).await.is_none());
    }
}
