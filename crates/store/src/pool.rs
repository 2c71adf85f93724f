//! Pooled connections that know when they are of no more use.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::r2d2::R2D2Connection as _;
use r2d2::{ManageConnection, Pool, PooledConnection};

use crate::{AnyConnection, Error, instrument::Failed};

/// How long a caller waits for a connection before it is told that the database is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// An idle connection older than this is asked before a statement that may run only once.
const FRESH: Duration = Duration::from_millis(500);

type Connect = dyn Fn(Failed) -> Result<AnyConnection, Error> + Send + Sync;

pub(crate) struct Manager {
    connect: Box<Connect>,
    /// Counts the broken connections: those that were last proven before the newest break are suspect.
    breaks: Arc<AtomicU64>,
}

pub(crate) struct Session {
    pub(crate) connection: AnyConnection,
    pub(crate) failed: Failed,
    made_at_break: u64,
    proven_at_break: u64,
    last_used: Instant,
    broken: bool,
}

pub(crate) type Checkout = PooledConnection<Manager>;

impl Manager {
    pub(crate) fn new(connect: impl Fn(Failed) -> Result<AnyConnection, Error> + Send + Sync + 'static) -> Self {
        Self { connect: Box::new(connect), breaks: Arc::new(AtomicU64::new(0)) }
    }
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = Error;

    fn connect(&self) -> Result<Session, Error> {
        let breaks = self.breaks.load(Ordering::Relaxed);
        let failed = Failed::default();
        let connection = (self.connect)(failed.clone())?;
        Ok(Session {
            connection,
            failed,
            made_at_break: breaks,
            proven_at_break: breaks,
            last_used: Instant::now(),
            broken: false,
        })
    }

    fn is_valid(&self, session: &mut Session) -> Result<(), Error> {
        session.connection.ping().map_err(Error::from)
    }

    /// Diesel looks at open transactions only; a connection that broke under a single statement looks whole to it.
    fn has_broken(&self, session: &mut Session) -> bool {
        session.broken || std::thread::panicking() || session.connection.is_broken()
    }
}

/// Logs what keeps connections from being made; the pool goes on trying.
#[derive(Debug)]
struct LogErrors;

impl r2d2::HandleError<Error> for LogErrors {
    fn handle_error(&self, error: Error) {
        tracing::warn!(%error, "a database connection could not be made");
    }
}

#[derive(Clone)]
pub(crate) struct Sessions {
    pool: Pool<Manager>,
    breaks: Arc<AtomicU64>,
    /// Connections made before this break have prepared what a migration changed since.
    outdated: Arc<AtomicU64>,
}

impl Sessions {
    /// Up to `size` connections, of which `idle` are made at once. `lifetime`: how long one is used.
    pub(crate) fn new(manager: Manager, size: u32, idle: u32, lifetime: Option<Duration>) -> Self {
        let breaks = Arc::clone(&manager.breaks);
        let pool = Pool::builder()
            .max_size(size.max(1))
            .min_idle(Some(idle))
            .max_lifetime(lifetime)
            .connection_timeout(PATIENCE)
            .test_on_check_out(false)
            .error_handler(Box::new(LogErrors))
            .build_unchecked(manager);
        Self { pool, breaks, outdated: Arc::default() }
    }

    /// A connection that is at hand, without waiting.
    pub(crate) fn try_get(&self) -> Option<Checkout> {
        self.pool.try_get()
    }

    /// A connection; blocks up to [`PATIENCE`].
    pub(crate) fn get(&self) -> Result<Checkout, Error> {
        self.pool.get().map_err(|error| match self.exhausted() {
            Error::Unavailable(_) => Error::connecting(error.to_string()),
            busy => busy,
        })
    }

    /// What it means that no connection came free.
    pub(crate) fn exhausted(&self) -> Error {
        match self.pool.state().connections {
            0 => Error::connecting("no connection could be made"),
            _ => Error::Busy,
        }
    }

    /// A connection that a break elsewhere does not put in doubt: after a restart of the server all idle ones are dead,
    /// and one retry has to be enough. With `once` an idle connection is asked first, too.
    pub(crate) fn get_proven(&self, once: bool) -> Result<Checkout, Error> {
        loop {
            let mut session = self.get()?;
            if session.made_at_break < self.outdated.load(Ordering::Relaxed) {
                session.broken = true;
                continue;
            }
            let breaks = self.breaks.load(Ordering::Relaxed);
            let suspect = session.proven_at_break < breaks || (once && session.last_used.elapsed() > FRESH);
            if !suspect {
                return Ok(session);
            }
            match session.connection.ping() {
                Ok(()) => {
                    session.proven_at_break = breaks;
                    return Ok(session);
                }
                Err(error) => {
                    tracing::debug!(error = %Error::from(error), "a dead connection is replaced");
                    session.broken = true;
                }
            }
        }
    }

    /// Notes how the use of a connection ended.
    pub(crate) fn used(&self, session: &mut Session, error: Option<&Error>) {
        session.last_used = Instant::now();
        if error.is_some_and(Error::connection_lost) {
            session.broken = true;
            let breaks = self.breaks.fetch_add(1, Ordering::Relaxed) + 1;
            let is_news = session.made_at_break >= self.outdated.load(Ordering::Relaxed);
            if is_news && error.is_some_and(Error::connections_outdated) {
                self.outdated.fetch_max(breaks, Ordering::Relaxed);
            }
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sessions").field(&self.pool.state()).finish()
    }
}
