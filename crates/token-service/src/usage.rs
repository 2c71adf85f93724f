//! When tokens and service credentials were last used, and tokens from where: noted in memory, written in batches, never a write per request.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use store::{Db, Failure, Instant};
use tokio_util::sync::CancellationToken;

use crate::store::{
    self as tokens, OrgId, TokenId, Use,
    credential::{CredentialId, credential_used},
};

/// How far the database may be behind.
const INTERVAL: Duration = Duration::from_secs(2);

/// How many rows are written in one transaction.
const BATCH: usize = 500;

/// The longest address or user agent that is kept, characters.
const LONGEST: usize = 200;

/// A credential, and the SHA-256 of the secret that was shown.
type Shown = (CredentialId, Option<[u8; 32]>);

#[derive(Debug, Default)]
struct Uses {
    tokens: BTreeMap<(OrgId, TokenId), Use>,
    credentials: BTreeMap<Shown, Instant>,
}

/// Uses that are not yet written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Mutex<Uses>>);

impl Usage {
    pub(crate) fn note(&self, org: OrgId, id: TokenId, new: Use) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.tokens.get_mut(&(org, id)) {
            Some(last) if last.at > new.at => {}
            Some(last) => *last = new,
            None => drop(uses.tokens.insert((org, id), new)),
        }
    }

    /// `secret_sha256`: of what was shown, if that was a secret.
    pub(crate) fn note_credential(&self, id: CredentialId, secret_sha256: Option<[u8; 32]>, at: Instant) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = uses.credentials.entry((id, secret_sha256)).or_insert(at);
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
    pub(crate) async fn flush(&self, db: &Db) {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.flush_credentials(db, uses.credentials).await;
        let uses: Vec<((OrgId, TokenId), Use)> = uses.tokens.into_iter().collect();
        for batch in uses.chunks(BATCH) {
            let rows = batch.to_vec();
            let written = db.across().write(move |connection| {
                for ((org, id), last) in &rows {
                    connection.enter(*org)?;
                    tokens::token_used(connection, *org, *id, last)?;
                    tokens::oauth::grant_used(connection, *org, *id, last)?;
                }
                Ok::<(), Failure<Infallible>>(())
            });
            if let Err(failure) = written.await {
                tracing::warn!(%failure, tokens = batch.len(), "last use could not be written, it will be tried again");
                for ((org, id), last) in batch {
                    self.note(*org, *id, last.clone());
                }
            }
        }
    }

    async fn flush_credentials(&self, db: &Db, uses: BTreeMap<Shown, Instant>) {
        let uses: Vec<(Shown, Instant)> = uses.into_iter().collect();
        for batch in uses.chunks(BATCH) {
            let rows = batch.to_vec();
            let written = db.write(move |connection| {
                for ((id, secret), at) in &rows {
                    credential_used(connection, *id, secret.as_ref(), *at)?;
                }
                Ok::<(), Failure<Infallible>>(())
            });
            if let Err(failure) = written.await {
                tracing::warn!(%failure, "uses of service credentials could not be written, they will be tried again");
                for ((id, secret), at) in batch {
                    self.note_credential(*id, *secret, *at);
                }
            }
        }
    }
}

/// What a client says of itself, as it may be kept and shown.
pub(crate) fn told(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!kept.is_empty()).then_some(kept)
}
