//! PostgreSQL: a pool, and as many blocking threads as it has connections.
//!
//! A session has no state but what its start-up packet and its role give it: nothing is set or locked for longer than a
//! transaction, so that a pooler may give each transaction another session (ADR 11).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _,
    connection::{CacheSize, SimpleConnection as _, TransactionManager as _},
    sql_query,
    sql_types::{Array, Bool, Nullable, Text},
};
use diesel_migrations::EmbeddedMigrations;
use tokio::sync::{AcquireError, Mutex, OwnedSemaphorePermit, Semaphore};

use crate::{
    AnyConnection, Backend, Error, Failure,
    instrument::{Failed, Statements},
    migrate,
    pool::{Manager, PATIENCE, Session, Sessions},
    tenant::Tenant,
    urgency::is_urgent,
    url::{LIMITS, Server},
};

/// How long one connection is used: what its backend process caches grows.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How often a transaction is tried before the caller hears of the collision. Where one in ten collides, one in ten thousand
/// million is told.
const ATTEMPTS: u32 = 10;

/// How long a starter waits for another one's migrations.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(120);

/// An index over a large table takes longer than any request may.
const PATIENT: &str = "SET LOCAL statement_timeout = 0";

/// "rollcall" as a number: the advisory lock held while migrations run.
const MIGRATION_LOCK: i64 = 0x726f_6c6c_6361_6c6c;

#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    sessions: Sessions,
    permits: Arc<Semaphore>,
    /// Of what is not urgent, one at a time stands in the line for a permit: so little is before what is urgent.
    turn: Arc<Semaphore>,
    /// Held by the one closure of this process that is run again after a collision: many at once would collide with each
    /// other until their attempts are used up.
    again: Arc<Mutex<()>>,
    scoped_reads: bool,
}

/// How a closure is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No transaction; run again if the connection broke.
    Read,
    /// In a transaction, of a tenant; run again if it cannot have been committed.
    Transaction(Option<Tenant>),
    /// One statement; run again only if the server cannot have run it.
    Statement,
}

impl Postgres {
    /// Connects, creates the schema that `search_path` names, and migrates. Blocks.
    pub(crate) fn open(server: Server, pool_size: u32, migrations: &EmbeddedMigrations) -> Result<Self, Error> {
        prepare(&server, migrations)?;
        let scoped_reads = server.scoped_reads;
        let manager = Manager::new(move |failed| connect(&server, failed).map(AnyConnection::Postgres));
        let size = pool_size.max(1);
        let permits = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS)));
        Ok(Self {
            sessions: Sessions::new(manager, size, 1, Some(LIFETIME)),
            permits,
            turn: Arc::new(Semaphore::new(1)),
            again: Arc::default(),
            scoped_reads,
        })
    }

    /// Whether reads are held to their tenant as well.
    pub(crate) fn scoped_reads(&self) -> bool {
        self.scoped_reads
    }

    /// Runs a closure in a transaction of a tenant.
    pub(crate) async fn transaction<T, E, F>(&self, tenant: Tenant, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.run(Mode::Transaction(Some(tenant)), f).await
    }

    pub(crate) async fn run<T, E, F>(&self, mode: Mode, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let mut f = f;
        let mut attempt = 1;
        let mut turn = None;
        loop {
            let permit = tokio::time::timeout(PATIENCE, self.permit()).await;
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
                    if error == Error::Serialization && turn.is_none() {
                        turn = Some(self.again.lock().await);
                    }
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

impl Postgres {
    async fn permit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        let _turn = if is_urgent() { None } else { Some(self.turn.acquire().await?) };
        Arc::clone(&self.permits).acquire_owned().await
    }
}

/// How often it may be tried altogether, given how it ended.
fn attempts(mode: Mode, error: &Error) -> u32 {
    match (mode, error) {
        // Reads as well: under SERIALIZABLE even one that only reads may have to give way.
        (_, Error::Serialization) => ATTEMPTS,
        (_, Error::Unavailable(outage)) if error.connection_lost() => match mode {
            // `attempt_once` marks a lost connection as `Unsent` unless COMMIT was under way.
            Mode::Transaction(_) | Mode::Statement if outage.outcome_unknown() => 1,
            _ => 2,
        },
        _ => 1,
    }
}

/// 2, 4, 8 ms and so on to 128, and up to as much again, so that the processes that collide part.
fn pause(attempt: u32) -> Duration {
    let base = 1_u64 << attempt.min(7);
    let mut byte = [128];
    // Without randomness the pause is still a pause.
    let _ = getrandom::fill(&mut byte);
    let jitter = base * u64::from(byte[0]) / 256;
    Duration::from_millis(base + jitter)
}

fn attempt_once<T, E>(
    sessions: &Sessions,
    mode: Mode,
    f: &impl Fn(&mut AnyConnection) -> Result<T, Failure<E>>,
) -> Result<T, Failure<E>> {
    let mut session = sessions.get_proven(mode == Mode::Statement)?;
    let result = match mode {
        Mode::Read | Mode::Statement => f(&mut session.connection),
        Mode::Transaction(tenant) => transaction(&mut session, tenant, f),
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
    tenant: Option<Tenant>,
    f: &impl Fn(&mut AnyConnection) -> Result<T, Failure<E>>,
) -> Result<T, Failure<E>> {
    let Session { connection, failed, .. } = session;
    failed.set(false);
    let begun = match tenant {
        Some(tenant) => connection.begin_of(tenant),
        None => AnyConnection::begin_transaction(connection).map_err(Error::from),
    };
    begun.map_err(not_committed)?;
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

fn connect(server: &Server, failed: Failed) -> Result<PgConnection, Error> {
    let mut connection =
        PgConnection::establish(&server.url).map_err(|error| Error::connecting(explain(&error.to_string())))?;
    connection.set_instrumentation(Statements::new(Backend::Postgres, failed));
    if !server.prepare {
        connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    Ok(connection)
}

/// What libpq says, and what to do about it where it does not say that.
fn explain(message: &str) -> String {
    let next = if message.contains("unsupported startup parameter") {
        " This is a pooler: add pooler=transaction to the URL, and give the role its timeouts and search_path (README.md, \
         In production)."
    } else if message.contains("SSL support is not compiled in") {
        " This program was built without TLS to PostgreSQL: use a release, or build with `--features pg-tls`."
    } else {
        ""
    };
    without_password(message) + next
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
fn prepare(server: &Server, migrations: &EmbeddedMigrations) -> Result<(), Error> {
    let mut guard = connect(server, Failed::default())?;
    let begin = Instant::now();
    loop {
        guard.batch_execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")?;
        let held: Locked = sql_query(format!("SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK}) AS locked"))
            .get_result(&mut guard)?;
        if held.locked {
            break;
        }
        // Who waits gives a pooler's session back, of which the one that migrates needs another.
        guard.batch_execute("ROLLBACK")?;
        if begin.elapsed() > MIGRATION_PATIENCE {
            return Err(Error::Other(
                "Another program has been migrating this database for two minutes. Wait for it, or end its connection."
                    .to_owned(),
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut connection = connect(server, Failed::default())?;
    create_schema(&mut connection)?;
    if server.pooled {
        warn_of_missing_limits(&mut connection)?;
    }
    warn_of_a_role_above_policies(&mut connection)?;
    // A migration may collide with what a program of the version before does meanwhile.
    let mut attempt = 1;
    loop {
        match migrate::run(&mut connection, migrations, PATIENT) {
            Err(Error::Serialization) if attempt < ATTEMPTS => std::thread::sleep(pause(attempt)),
            result => break result?,
        }
        attempt += 1;
    }
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
    if !is_english(&found.language) {
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

/// Whether a locale's messages are those that [`Error`] knows.
fn is_english(locale: &str) -> bool {
    ["", "C", "POSIX", "en"].contains(&locale) || ["C.", "en_", "en.", "English"].iter().any(|s| locale.starts_with(s))
}

#[derive(QueryableByName)]
struct Role {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Array<Text>)]
    endless: Vec<String>,
}

/// Behind a pooler what a statement may wait for is the role's to say; PostgreSQL's own default is without end.
fn warn_of_missing_limits(connection: &mut PgConnection) -> Result<(), Error> {
    let found: Role = sql_query(
        "SELECT quote_ident(current_user) AS role, ARRAY(SELECT name FROM pg_settings WHERE name = ANY ($1) \
         AND setting = '0' ORDER BY name) AS endless",
    )
    .bind::<Array<Text>, _>(LIMITS.map(|(name, _)| name).to_vec())
    .get_result(connection)?;
    for (name, value) in LIMITS.iter().filter(|(name, _)| found.endless.iter().any(|endless| endless == name)) {
        tracing::warn!(
            "the database role has no {name}: run ALTER ROLE {} SET {name} = '{value}' and reconnect the pooler",
            found.role
        );
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Standing {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Bool)]
    above: bool,
}

/// Row-level security does not hold for superusers.
fn warn_of_a_role_above_policies(connection: &mut PgConnection) -> Result<(), Error> {
    let found: Standing = sql_query(
        "SELECT quote_ident(rolname) AS role, rolsuper OR rolbypassrls AS above FROM pg_roles WHERE rolname = current_user",
    )
    .get_result(connection)?;
    if found.above {
        tracing::warn!(
            "row-level security does not hold for the database role {}, which is a superuser or has BYPASSRLS: give the \
             service a role of its own, which owns its database",
            found.role
        );
    }
    Ok(())
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
    fn messages_are_known_in_english_only() {
        for english in ["", "C", "C.UTF-8", "en_US.UTF-8", "en_GB", "POSIX", "English_United States.1252"] {
            assert!(is_english(english), "{english}");
        }
        for other in ["de_DE.UTF-8", "fr_FR", "Chinese", "ja_JP.eucJP", "eng", "Catalan"] {
            assert!(!is_english(other), "{other}");
        }
    }

    #[test]
    fn a_pooler_that_refuses_is_told_apart() {
        let said = explain("connection to server at \"db\" failed: FATAL:  unsupported startup parameter: options\n");
        assert!(said.contains("pooler=transaction"), "{said}");
    }

    #[test]
    fn no_part_of_a_password_is_shown() {
        assert!(
            !without_password("invalid integer value \"hunter2\" for connection option \"port\"").contains("hunter2")
        );
        assert!(without_password("connection to server at \"db\" failed: refused\n").ends_with("refused"));
    }
}
