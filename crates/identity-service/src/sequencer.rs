//! The background task that numbers events after their changes are committed, on PostgreSQL. SQLite's one writer numbers
//! them itself.
//!
//! Writers share nothing but the table they insert into: neither a counter nor a last hash is locked while they wait for
//! the disk. A change committed late gets a later number.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use store::{Backend, Db, Failure};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{domain::OrgId, store::event};

/// How long changes gather after the first of them before they are numbered.
const GATHER: Duration = Duration::from_millis(20);
/// How often to look for changes that nobody here told of: left by another process that ended, or by a failure.
const SWEEP: Duration = Duration::from_secs(1);
/// Events numbered by one statement.
const BATCH: i64 = 500;
/// Organizations in one round.
const ORGANIZATIONS: i64 = 64;

/// A handle on the task. Clones share it.
#[derive(Clone)]
pub(crate) struct Sequencer {
    told: Option<Arc<Told>>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// The organizations with something committed and not yet numbered.
#[derive(Default)]
struct Told {
    organizations: Mutex<BTreeSet<OrgId>>,
    any: Notify,
}

impl Sequencer {
    pub(crate) fn start(db: Db) -> Self {
        let stop = CancellationToken::new();
        let told = (db.backend() == Backend::Postgres).then(Arc::<Told>::default);
        let task = told.clone().map(|told| tokio::spawn(run(db, told, stop.clone())));
        Self { told, stop, task: Arc::new(Mutex::new(task)) }
    }

    /// Tells that something was committed.
    pub(crate) fn poke(&self, org: OrgId) {
        let Some(told) = &self.told else { return };
        if told.organizations.lock().unwrap_or_else(PoisonError::into_inner).insert(org) {
            told.any.notify_one();
        }
    }

    /// Numbers what is committed, then ends the task.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            // Its text would be the panic's, see the panic hook.
            tracing::error!(panicked = error.is_panic(), "numbering events ended badly");
        }
    }
}

impl Told {
    fn take(&self) -> BTreeSet<OrgId> {
        std::mem::take(&mut *self.organizations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn run(db: Db, told: Arc<Told>, stop: CancellationToken) {
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let numbered = tokio::select! {
            () = stop.cancelled() => break,
            () = told.any.notified() => {
                tokio::time::sleep(GATHER).await;
                number_all(&db, told.take()).await
            }
            _ = sweep.tick() => drain(&db).await,
        };
        if let Err(error) = numbered {
            tracing::warn!(%error, "events could not be numbered, they are kept and tried again");
        }
    }
    if let Err(error) = drain(&db).await {
        tracing::warn!(%error, "events could not be numbered, that is done at the next start");
    }
}

/// Numbers until nothing is left, or what is left is being numbered by another process.
async fn drain(db: &Db) -> Result<(), store::Error> {
    loop {
        let found =
            db.across().read(|conn| Ok(event::outbox_organizations(conn, ORGANIZATIONS)?)).await.map_err(only)?;
        let mut moved = 0;
        for org in found {
            moved += number(db, org).await?;
        }
        if moved == 0 {
            return Ok(());
        }
    }
}

async fn number_all(db: &Db, organizations: BTreeSet<OrgId>) -> Result<(), store::Error> {
    for org in organizations {
        while number(db, org).await? >= BATCH {}
    }
    Ok(())
}

async fn number(db: &Db, org: OrgId) -> Result<i64, store::Error> {
    let numbered = db.of(org).write(move |conn| Ok(event::events_number(conn, org, BATCH)?)).await.map_err(only)?;
    if numbered.split {
        db.of(org).write(move |conn| Ok(event::blocks_split_alone(conn, org)?)).await.map_err(only)?;
    }
    Ok(numbered.events)
}

fn only(failure: Failure<std::convert::Infallible>) -> store::Error {
    match failure {
        Failure::Store(error) => error,
        Failure::Refused(never) => match never {},
    }
}
