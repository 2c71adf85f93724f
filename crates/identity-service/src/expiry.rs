//! The background task that deletes what is kept for a time only: idempotency keys.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use store::{Clock, Db, Failure, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{domain::OrgId, store::idempotency};

/// An expired key counts as none from its moment on, so its row may stay for a while.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Rows in one transaction.
const BATCH: i64 = 500;

/// A handle on the task. Clones share it.
#[derive(Clone)]
pub(crate) struct Expiry {
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Expiry {
    pub(crate) fn start(db: Db, clock: Clock) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(db, clock, stop.clone()));
        Self { stop, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Ends the task after the batch it is at.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "deleting expired rows ended badly");
        }
    }
}

async fn run(db: Db, clock: Clock, stop: CancellationToken) {
    loop {
        if let Err(error) = purge(&db, clock.now(), &stop).await {
            tracing::warn!(%error, "expired rows could not be deleted, that is tried again later");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Goes through the organizations that have keys. How many rows were deleted.
async fn purge(db: &Db, now: Instant, stop: &CancellationToken) -> Result<usize, store::Error> {
    let mut org = OrgId(Uuid::nil());
    let mut purged = 0;
    while let Some(next) =
        db.read(move |conn| Ok(idempotency::key_organization_after(conn, org)?)).await.map_err(only)?
    {
        org = next;
        loop {
            if stop.is_cancelled() {
                return Ok(purged);
            }
            let count =
                db.write(move |conn| Ok(idempotency::keys_purge(conn, org, now, BATCH)?)).await.map_err(only)?;
            purged += count;
            if i64::try_from(count).unwrap_or(i64::MAX) < BATCH {
                break;
            }
        }
    }
    Ok(purged)
}

fn only(failure: Failure<Infallible>) -> store::Error {
    match failure {
        Failure::Store(error) => error,
        Failure::Refused(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::idempotency::{IdempotencyKey, KEPT_MICROS},
        store::idempotency::{Claim, key_claim},
    };

    async fn claim(db: &Db, org: OrgId, key: String, now: Instant) -> Claim {
        let key = IdempotencyKey::parse(key).expect("key");
        let claimed = db.write(move |conn| {
            Ok::<_, Failure<Infallible>>(key_claim(conn, org, "test", &key, Uuid::from_u128(7), &[1], now)?)
        });
        claimed.await.expect("claim")
    }

    #[tokio::test]
    async fn expired_keys_go_in_batches_and_the_others_stay() {
        for database in [testkit::sqlite(), testkit::postgres()] {
            let config = store::Config { url: database.url().to_owned(), pool_size: 2 };
            let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
            let (then, orgs) = (Instant::from_micros(1_763_900_000_000_000), [1, 2].map(|n| OrgId(Uuid::from_u128(n))));
            let later = then.saturating_add_micros(KEPT_MICROS);
            let many = usize::try_from(BATCH).expect("batch") + 1;
            for n in 0..many {
                claim(&db, orgs[0], format!("old-{n}"), then).await;
            }
            claim(&db, orgs[1], "old".to_owned(), then).await;
            for org in orgs {
                claim(&db, org, "young".to_owned(), then.saturating_add_micros(1)).await;
            }

            let stop = CancellationToken::new();
            let early = then.saturating_add_micros(KEPT_MICROS - 1);
            assert_eq!(purge(&db, early, &stop).await.expect("purge"), 0);
            assert_eq!(purge(&db, later, &stop).await.expect("purge"), many + 1);
            assert_eq!(purge(&db, later, &stop).await.expect("purge"), 0);
            for org in orgs {
                assert!(matches!(claim(&db, org, "young".to_owned(), later).await, Claim::Known { .. }));
                assert_eq!(claim(&db, org, "old".to_owned(), later).await, Claim::Taken);
            }
        }
    }
}
