//! The background task that deletes what nobody is shown any more: idempotency keys, invitations, sessions of the console and
//! sign-ins that have expired, requests of the provisioning log that are kept no longer, and the members of deleted groups.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use store::{AnyConnection, Clock, Db, Failure, Instant};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::{
        GroupId, OrgId,
        request_log::{COUNTED_DAYS, TOTAL_BYTES, days_before, first_id, next_hour},
    },
    store::{admin, idempotency, member, organization, request_log, session, sign_in, tombstone},
};

/// An expired key counts as none from its moment on, so its row may stay for a while.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Rows in one transaction.
const BATCH: i64 = 500;
/// Members in one transaction, in which others wait for SQLite's writer.
const MEMBERS: i64 = 1000;
/// Requests in one transaction, and counts.
const REQUESTS: i64 = 1000;

/// A handle on the task. Clones share it.
#[derive(Clone)]
pub(crate) struct Expiry {
    poke: Arc<Notify>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Expiry {
    pub(crate) fn start(db: Db, clock: Clock) -> Self {
        let (poke, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let task = tokio::spawn(run(db, clock, Arc::clone(&poke), stop.clone()));
        Self { poke, stop, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Tells that a group was deleted whose members are still there.
    pub(crate) fn poke(&self) {
        self.poke.notify_one();
    }

    /// Ends the task after the batch it is at.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            // Its text would be the panic's, see the panic hook.
            tracing::error!(panicked = error.is_panic(), "deleting expired rows ended badly");
        }
    }
}

async fn run(db: Db, clock: Clock, poke: Arc<Notify>, stop: CancellationToken) {
    let mut keys = true;
    loop {
        let purged = async {
            if keys {
                purge(&db, clock.now(), &stop).await?;
                purge_consoles(&db, clock.now(), &stop).await?;
                purge_requests(&db, clock.now(), &stop).await?;
            }
            sweep(&db, &stop).await
        };
        if let Err(error) = purged.await {
            tracing::warn!(%error, "expired rows could not be deleted, that is tried again later");
        }
        keys = tokio::select! {
            () = stop.cancelled() => return,
            () = poke.notified() => false,
            () = tokio::time::sleep(EVERY) => true,
        };
    }
}

/// Deletes the members of deleted groups, and then what remembers the groups. How many members.
async fn sweep(db: &Db, stop: &CancellationToken) -> Result<usize, store::Error> {
    let mut swept = 0;
    while !stop.is_cancelled() {
        let next = db.across().read(|conn| Ok(tombstone::tombstone_next(conn)?)).await.map_err(only)?;
        let Some((org, group)) = next else { break };
        let some = db.of(org).write(move |conn| Ok(sweep_some(conn, org, group)?)).await.map_err(only)?;
        // Another process is at it, and goes on.
        let Some(some) = some else { break };
        swept += some;
    }
    Ok(swept)
}

fn sweep_some(conn: &mut AnyConnection, org: OrgId, group: GroupId) -> Result<Option<usize>, store::Error> {
    if !tombstone::tombstone_lock(conn, org, group)? {
        return Ok(None);
    }
    let count = member::members_purge(conn, org, group, MEMBERS)?;
    if i64::try_from(count).is_ok_and(|count| count < MEMBERS) {
        tombstone::tombstone_delete(conn, org, group)?;
    }
    Ok(Some(count))
}

/// Goes through the organizations that have keys. How many rows were deleted.
async fn purge(db: &Db, now: Instant, stop: &CancellationToken) -> Result<usize, store::Error> {
    let mut org = OrgId(Uuid::nil());
    let mut purged = 0;
    while let Some(next) =
        db.across().read(move |conn| Ok(idempotency::key_organization_after(conn, org)?)).await.map_err(only)?
    {
        org = next;
        loop {
            if stop.is_cancelled() {
                return Ok(purged);
            }
            let count = db
                .of(org)
                .write(move |conn| Ok(idempotency::keys_purge(conn, org, now, BATCH)?))
                .await
                .map_err(only)?;
            purged += count;
            if i64::try_from(count).unwrap_or(i64::MAX) < BATCH {
                break;
            }
        }
    }
    Ok(purged)
}

/// Goes through the organizations whose console has something that ends. How many rows were deleted.
async fn purge_consoles(db: &Db, now: Instant, stop: &CancellationToken) -> Result<usize, store::Error> {
    let mut org = OrgId(Uuid::nil());
    let mut purged = 0;
    while let Some(next) =
        db.across().read(move |conn| Ok(sign_in::console_organization_after(conn, org)?)).await.map_err(only)?
    {
        org = next;
        let mut more = true;
        while more && !stop.is_cancelled() {
            let some = db.of(org).write(move |conn| {
                let invites = admin::invites_purge(conn, org, now)?;
                let sessions = session::sessions_purge(conn, org, now, BATCH)?;
                Ok((invites, sessions, sign_in::attempts_purge(conn, org, now, BATCH)?))
            });
            let (invites, sessions, attempts) = some.await.map_err(only)?;
            purged += sessions + attempts + invites;
            more = [sessions, attempts].iter().any(|count| i64::try_from(*count).is_ok_and(|count| count >= BATCH));
        }
        if stop.is_cancelled() {
            return Ok(purged);
        }
    }
    Ok(purged)
}

/// Goes through the organizations that have requests. How many rows were deleted.
async fn purge_requests(db: &Db, now: Instant, stop: &CancellationToken) -> Result<usize, store::Error> {
    let mut org = OrgId(Uuid::nil());
    let mut purged = 0;
    while let Some(next) =
        db.across().read(move |conn| Ok(request_log::request_organization_after(conn, org)?)).await.map_err(only)?
    {
        org = next;
        let mut more = true;
        while more && !stop.is_cancelled() {
            let some = db.of(org).write(move |conn| Ok(purge_requests_some(conn, org, now)?));
            let (requests, counts) = some.await.map_err(only)?;
            purged += requests + counts;
            more = [requests, counts].iter().any(|count| i64::try_from(*count).is_ok_and(|count| count >= REQUESTS));
        }
        if stop.is_cancelled() {
            return Ok(purged);
        }
    }
    Ok(purged)
}

fn purge_requests_some(conn: &mut AnyConnection, org: OrgId, now: Instant) -> Result<(usize, usize), store::Error> {
    // Without an organization they are of no use to anybody.
    let days = organization::organization_get(conn, org)?.map_or(0, |found| found.request_log_days);
    let over = days_before(now, days);
    // And what there is no room for.
    let full = request_log::hour_without_room(conn, org, TOTAL_BYTES)?.map_or(over, next_hour);
    let requests = request_log::requests_purge(conn, org, first_id(over.max(full)), REQUESTS)?;
    let counts = request_log::counts_purge(conn, org, days_before(now, COUNTED_DAYS), REQUESTS)?;
    Ok((requests, counts))
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
        let claimed = db.of(org).write(move |conn| {
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
