//! The memory that large bodies hold, so that many big groups at once do not take all there is. It is taken as they arrive:
//! a request that only announces a large body keeps nobody waiting. One organization has half of it at the most, so that
//! another one always finds room.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes.
const ALL: usize = 64 * 1024 * 1024;
/// How long a body waits for room.
const PATIENCE: Duration = Duration::from_secs(2);

/// All of it, and the part of one organization.
#[derive(Clone)]
pub(crate) struct Room {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    most: usize,
}

/// Some of it, until it is dropped.
pub(crate) struct Taken {
    all: OwnedSemaphorePermit,
    own: OwnedSemaphorePermit,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self::of(ALL)
    }

    pub(crate) fn of(bytes: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(bytes)), own: Arc::new(Semaphore::new(bytes / 2)), most: bytes / 2 }
    }

    /// The same memory, as another organization sees it.
    pub(crate) fn of_another(&self) -> Self {
        Self { all: Arc::clone(&self.all), own: Arc::new(Semaphore::new(self.most)), most: self.most }
    }

    /// `None`: there was not enough for too long.
    pub(crate) async fn take(&self, bytes: usize) -> Option<Taken> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let both = async {
            let own = Arc::clone(&self.own).acquire_many_owned(permits).await.ok()?;
            let all = Arc::clone(&self.all).acquire_many_owned(permits).await.ok()?;
            Some(Taken { all, own })
        };
        tokio::time::timeout(PATIENCE, both).await.ok()?
    }
}

impl Taken {
    pub(crate) fn bytes(&self) -> usize {
        self.all.num_permits()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.all.merge(other.all);
        self.own.merge(other.own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_organization_leaves_room_for_another() {
        let one = Room::of(1000);
        let (another, third) = (one.of_another(), one.of_another());
        let mut taken = one.take(300).await.expect("room");
        taken.merge(one.take(200).await.expect("room"));
        assert_eq!(taken.bytes(), 500);
        assert!(one.take(1).await.is_none());
        let other = another.take(500).await.expect("room");
        assert!(third.take(1).await.is_none(), "now all is taken");
        drop(other);
        assert!(third.take(500).await.is_some());
        drop(taken);
        assert!(one.take(500).await.is_some());
    }
}
