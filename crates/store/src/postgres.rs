//! PostgreSQL: a pool, and as many blocking threads as it has connections.
//!
//! A session's only state is what is set when it connects, so a pooler between must keep that per client (pgbouncer:
//! `track_extra_parameters`, or `ALTER ROLE .. SET`); nothing is set or locked for longer than a transaction later on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _,
    connection::{SimpleConnection as _, TransactionManager as _},
    sql_query,
    sql_types::{Bool, Nullable, Text},
};
use diesel_migrations::EmbeddedMigrations;
use tokio::sync::Semaphore;

use crate::{
    AnyConnection, Backend, Error, Failure,
    instrument::{Failed, Statements},
    migrate,
    pool::{Manager, PATIENCE, Session, Sessions},
};

const ON_CONNECT: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET timezone = 'UTC'";

/// How long one connection is used: what its backend process caches grows.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How often a transaction is tried before the caller hears of the collision.
const ATTEMPTS: u32 = 5;

/// How long a starter waits for another one's migrations.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(120);

/// "rollcall" as a number: the advisory lock held while migrations run.
const MIGRATION_LOCK: i64 = 0x726f_6c6c_6361_6c6c;

#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    sessions: Sessions,
    permits: Arc<Semaphore>,
}

/// How a closure is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No transaction; run again if the connection broke.
    Read,
    /// In a transaction; run again if it cannot have been committed.
    Transaction,
    /// One statement; run again only if the server cannot have run it.
    Statement,
}

impl Postgres {
    /// Connects, creates the schema that `search_path` names, and migrates. Blocks.
    pub(crate) fn open(url: &str, pool_size: u32, migrations: EmbeddedMigrations) -> Result<Self, Error> {
        let url = with_timeouts(url);
        prepare(&url, migrations)?;
        let manager = Manager::new(move |failed| connect(&url, failed).map(AnyConnection::Postgres));
        let size = pool_size.max(1);
        let permits = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS)));
        Ok(Self { sessions: Sessions::new(manager, size, 1, Some(LIFETIME)), permits })
    }

    pub(crate) async fn run<T, E, F>(&self, mode: Mode, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let mut f = f;
        let mut attempt = 1;
        loop {
            let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
            let Ok(Ok(permit)) = permit else { return Err(self.sessions.exhausted().into()) };
            let sessions = self.sessions.clone();
            let span = tracing::Span::current();
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let result = span.in_scope(|| attempt_once(&sessions, mode, &f));
                (f, result)
            });
            let (again, result) =
                work.await.map_err(|_| Error::Other("a database closure panicked, see the log".to_owned()))?;
            f = again;
            match result {
                Err(Failure::Store(error)) if attempt < attempts(mode, &error) => {
                    tracing::debug!(%error, attempt, "a database closure is run again");
                    pause(attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

/// How often it may be tried altogether, given how it ended.
fn attempts(mode: Mode, error: &Error) -> u32 {
    match (mode, error) {
        (Mode::Transaction | Mode::Statement, Error::Serialization) => ATTEMPTS,
        (_, Error::Unavailable(outage)) if error.connection_lost() => match mode {
            // `attempt_once` marks a lost connection as `Unsent` unless COMMIT was under way.
            Mode::Transaction | Mode::Statement if outage.outcome_unknown() => 1,
            _ => 2,
        },
        _ => 1,
    }
}

/// 2, 4, 8, 16 ms and up to as much again, so that colliding transactions part.
async fn pause(attempt: u32) {
    let base = 2_u64 << attempt.min(8);
    let mut byte = [128];
    // Without randomness the pause is still a pause.
    let _ = getrandom::fill(&mut byte);
    let jitter = base * u64::from(byte[0]) / 256;
    tokio::time::sleep(Duration::from_millis(base + jitter)).await;
}

fn attempt_once<T, E>(
    sessions: &Sessions,
    mode: Mode,
    f: &impl Fn(&mut AnyConnection) -> Result<T, Failure<E>>,
) -> Result<T, Failure<E>> {
    let mut session = sessions.get_proven(mode == Mode::Statement)?;
    let result = match mode {
        Mode::Read | Mode::Statement => f(&mut session.connection),
        Mode::Transaction => transaction(&mut session, f),
    };
    let error = match &result {
        Err(Failure::Store(error)) => Some(error),
        _ => None,
    };
    sessions.used(&mut session, error);
    result
}

fn transaction<T, E>(
    session: &mut Session,
    f: &impl Fn(&mut AnyConnection) -> Result<T, Failure<E>>,
) -> Result<T, Failure<E>> {
    let Session { connection, failed, .. } = session;
    failed.set(false);
    AnyConnection::begin_transaction(connection).map_err(|error| not_committed(error.into()))?;
    match f(connection) {
        Ok(_) if failed.is_set() => {
            let _ = AnyConnection::rollback_transaction(connection);
            Err(Error::Other("a statement failed and its transaction went on, so nothing was kept".to_owned()).into())
        }
        Ok(value) => {
            AnyConnection::commit_transaction(connection).map_err(Error::from)?;
            Ok(value)
        }
        Err(failure) => {
            // If even this fails the connection is broken; the server rolls back, and the first error says why.
            let _ = AnyConnection::rollback_transaction(connection);
            Err(match failure {
                Failure::Store(error) => not_committed(error).into(),
                refused => refused,
            })
        }
    }
}

/// Before COMMIT a lost connection means that nothing was done.
fn not_committed(error: Error) -> Error {
    match error {
        Error::Unavailable(mut outage) => {
            if outage.stage == crate::error::Stage::Sent {
                outage.stage = crate::error::Stage::Unsent;
            }
            Error::Unavailable(outage)
        }
        other => other,
    }
}

/// What libpq waits for without end by default. A URL that names one of them keeps its own.
const TIMEOUTS: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "15"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
];

fn with_timeouts(url: &str) -> String {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let named = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let mut full = url.to_owned();
    for (name, value) in TIMEOUTS.iter().filter(|(name, _)| !named(name)) {
        let join = if full.contains('?') { '&' } else { '?' };
        full.push_str(&format!("{join}{name}={value}"));
    }
    full
}

fn connect_plain(url: &str, failed: Failed) -> Result<PgConnection, Error> {
    let mut connection =
        PgConnection::establish(url).map_err(|error| Error::connecting(without_password(&error.to_string())))?;
    connection.set_instrumentation(Statements::new(Backend::Postgres, failed));
    Ok(connection)
}

fn connect(url: &str, failed: Failed) -> Result<PgConnection, Error> {
    let mut connection = connect_plain(url, failed)?;
    connection.batch_execute(ON_CONNECT)?;
    Ok(connection)
}

/// libpq's messages about servers name host, user and database, never the password; those about the URL quote parts of it,
/// and which part a password with special characters lands in is open.
fn without_password(message: &str) -> String {
    let safe =
        ["connection to server", "could not translate host name", "sslmode value", "invalid URI query parameter"];
    if safe.iter().any(|start| message.starts_with(start)) {
        message.trim_end().to_owned()
    } else {
        "the URL is not understood: it is postgresql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS, with special \
         characters of the password percent-encoded"
            .to_owned()
    }
}

#[derive(QueryableByName)]
struct SearchPath {
    #[diesel(sql_type = Text)]
    path: String,
    #[diesel(sql_type = Text)]
    language: String,
    #[diesel(sql_type = Nullable<Text>)]
    current: Option<String>,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// One starter at a time: the lock lives in a transaction of its own connection, so that it works through a pooler and
/// migrations outside of a transaction stay possible. It is polled for, because a statement that waits for the lock
/// would hold a snapshot, which `CREATE INDEX CONCURRENTLY` waits for in turn.
fn prepare(url: &str, migrations: EmbeddedMigrations) -> Result<(), Error> {
    let mut guard = connect_plain(url, Failed::default())?;
    guard.batch_execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")?;
    let begin = Instant::now();
    loop {
        let held: Locked = sql_query(format!("SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK}) AS locked"))
            .get_result(&mut guard)?;
        if held.locked {
            break;
        }
        if begin.elapsed() > MIGRATION_PATIENCE {
            return Err(Error::Other(
                "Another program has been migrating this database for two minutes. Wait for it, or end its connection."
                    .to_owned(),
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut connection = connect_plain(url, Failed::default())?;
    create_schema(&mut connection)?;
    migrate::run(&mut connection, migrations)?;
    guard.batch_execute("COMMIT")?;
    Ok(())
}

/// Creates the schema that stands first in `search_path`; without it the tables would go to the next one in the path.
fn create_schema(connection: &mut PgConnection) -> Result<(), Error> {
    let found: SearchPath = sql_query(
        "SELECT current_setting('search_path') AS path, current_setting('lc_messages') AS language, \
         current_schema()::text AS current",
    )
    .get_result(connection)?;
    let english = ["", "C", "POSIX", "en"].iter().any(|name| *name == found.language)
        || ["C.", "en_"].iter().any(|prefix| found.language.starts_with(prefix));
    if !english {
        tracing::warn!(
            lc_messages = found.language,
            "the server speaks another language than English: set lc_messages to C for this role, otherwise deadlocks \
             are not recognized and not tried again"
        );
    }
    let first = first_schema(&found.path);
    match first {
        Some(first) if found.current.as_deref() != Some(first.as_str()) => {
            let quoted = first.replace('"', "\"\"");
            connection.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS \"{quoted}\""))?;
            Ok(())
        }
        _ if found.current.is_none() => {
            Err(Error::Other("The role's search_path names no schema that exists. Set it to one.".to_owned()))
        }
        _ => Ok(()),
    }
}

/// The first schema of a `search_path`, unless it is the default path's `"$user"`.
fn first_schema(path: &str) -> Option<String> {
    let first = path.split(',').next()?.trim();
    let name = match first.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => first.to_lowercase(),
    };
    (!name.is_empty() && name != "$user").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_schema_is_read_as_the_server_reads_it() {
        assert_eq!(first_schema("identity"), Some("identity".to_owned()));
        assert_eq!(first_schema("Identity, public"), Some("identity".to_owned()));
        assert_eq!(first_schema("\"My \"\"own\"\"\", public"), Some("My \"own\"".to_owned()));
        assert_eq!(first_schema("\"$user\", public"), None);
        assert_eq!(first_schema(""), None);
    }

    #[test]
    fn timeouts_are_added_where_none_are_named() {
        let full = with_timeouts("postgresql://u@h/d?connect_timeout=60&application_name=x");
        assert!(full.contains("connect_timeout=60") && !full.contains("connect_timeout=5&"), "{full}");
        assert!(with_timeouts("postgresql://u@h/d").starts_with("postgresql://u@h/d?connect_timeout=5&keepalives"));
    }

    #[test]
    fn no_part_of_a_password_is_shown() {
        assert!(
            !without_password("invalid integer value \"hunter2\" for connection option \"port\"").contains("hunter2")
        );
        assert!(without_password("connection to server at \"db\" failed: refused\n").ends_with("refused"));
    }
}
