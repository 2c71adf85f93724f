//! When tokens were last used: noted in memory, written in batches, never a write per request.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use store::{Db, Failure, Instant};
use tokio_util::sync::CancellationToken;

use crate::store::{self as tokens, OrgId, TokenId};

/// How far the database may be behind.
const INTERVAL: Duration = Duration::from_secs(2);

/// How many rows are written in one transaction.
const BATCH: usize = 500;

type Uses = BTreeMap<(OrgId, TokenId), Instant>;

/// Uses that are not yet written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Mutex<Uses>>);

impl Usage {
    pub(crate) fn note(&self, org: OrgId, id: TokenId, at: Instant) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = uses.entry((org, id)).or_insert(at);
        *last = at.max(*last);
    }

    /// Writes what has been noted every [`INTERVAL`], and a last time when cancelled.
    pub(crate) async fn keep(self, db: Db, stop: CancellationToken) {
        loop {
            let stopped = tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok();
            self.flush(&db).await;
            if stopped {
                return;
            }
        }
    }

    /// In key order, so that processes that write the same rows do not deadlock. What fails is noted again.
    async fn flush(&self, db: &Db) {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let uses: Vec<((OrgId, TokenId), Instant)> = uses.into_iter().collect();
        for batch in uses.chunks(BATCH) {
            let rows = batch.to_vec();
            let written = db.write(move |connection| {
                for &((org, id), at) in &rows {
                    tokens::token_used(connection, org, id, at)?;
                }
                Ok::<(), Failure<Infallible>>(())
            });
            if let Err(failure) = written.await {
                tracing::warn!(%failure, tokens = batch.len(), "last use could not be written, it will be tried again");
                for &((org, id), at) in batch {
                    self.note(org, id, at);
                }
            }
        }
    }
}
