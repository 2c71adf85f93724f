//! The background task that numbers events after their changes are committed.
//!
//! Writers share nothing but the table they insert into: neither a counter nor a last hash is locked while they wait for
//! the disk. A change committed late gets a later number.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use store::{Backend, Db, Failure};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{domain::OrgId, store::event};

/// How long changes gather after the first of them before they are numbered.
const GATHER: Duration = Duration::from_millis(10);
/// How often to look for changes that nobody here told of: left by another process that ended, or by a failure.
const SWEEP: Duration = Duration::from_secs(1);
/// Events in one transaction.
const BATCH: i64 = 500;
/// Organizations in one round.
const ORGANIZATIONS: i64 = 64;

/// A handle on the task. Clones share it.
#[derive(Clone)]
pub(crate) struct Sequencer {
    poke: Arc<Notify>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Sequencer {
    pub(crate) fn start(db: Db) -> Self {
        let (poke, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let task = tokio::spawn(run(db, Arc::clone(&poke), stop.clone()));
        Self { poke, stop, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Tells that something was committed.
    pub(crate) fn poke(&self) {
        self.poke.notify_one();
    }

    /// Numbers what is committed, then ends the task.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "numbering events ended badly");
        }
    }
}

async fn run(db: Db, poke: Arc<Notify>, stop: CancellationToken) {
    // A SQLite file has one process: it was told of everything.
    let alone = db.backend() == Backend::Sqlite;
    loop {
        let drained = drain(&db).await;
        if let Err(error) = &drained {
            tracing::warn!(%error, "events could not be numbered, they are kept and tried again");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = poke.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(SWEEP), if !alone || drained.is_err() => {}
        }
    }
    if let Err(error) = drain(&db).await {
        tracing::warn!(%error, "events could not be numbered, that is done at the next start");
    }
}

/// Numbers until nothing is left, or what is left is being numbered by another process.
async fn drain(db: &Db) -> Result<(), store::Error> {
    loop {
        let organizations =
            db.read(|conn| Ok(event::outbox_organizations(conn, ORGANIZATIONS)?)).await.map_err(only)?;
        let mut moved = 0;
        for org in organizations {
            moved += number(db, org).await?;
        }
        if moved == 0 {
            return Ok(());
        }
    }
}

async fn number(db: &Db, org: OrgId) -> Result<usize, store::Error> {
    db.write(move |conn| Ok(event::events_number(conn, org, BATCH)?)).await.map_err(only)
}

fn only(failure: Failure<std::convert::Infallible>) -> store::Error {
    match failure {
        Failure::Store(error) => error,
        Failure::Refused(never) => match never {},
    }
}
