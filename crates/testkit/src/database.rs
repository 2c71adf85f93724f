//! A fresh database for each test, on SQLite and on a PostgreSQL server of our own.
//!
//! Not here: tables. A service opens the URL and migrates.

mod collisions;
mod dump;
mod pooler;
mod row_security;
mod rows;
mod schema;
mod server;
mod tls;

use std::{
    path::PathBuf,
    sync::{
        Once, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::Context as _;
use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};
use tempfile::TempDir;

use pooler::PgBouncer;

pub use dump::{dump, files, server_log};
pub use rows::{execute, lines, rows};
pub use schema::{Column, Schema, Table, key_without, postgres_schema, schema_parity, sqlite_schema};
pub use server::{PostgresServer, postgres_binaries};
pub use tls::{TLS_HOST, TlsServer};

/// If set, tests make their databases on this server (`postgresql://USER@/?host=DIRECTORY`) and start none: a runner with
/// one process per test sets it.
pub const POSTGRES_VARIABLE: &str = "ROLLCALL_TEST_POSTGRES";

/// If set to a number, the seed, PostgreSQL runs every transaction of the product SERIALIZABLE and fails one in ten of those
/// that write with SQLSTATE 40001, at a statement or at COMMIT. No test may notice, but those that count statements:
/// see [`TestDatabase::without_injected_collisions`].
const COLLISIONS_VARIABLE: &str = "ROLLCALL_TEST_COLLISIONS";

/// If set, the product reaches PostgreSQL through a pgbouncer in transaction mode that keeps no prepared statements, as
/// Debian 12 has it, and finds its schemas by its roles. No test may notice.
const PGBOUNCER_VARIABLE: &str = "ROLLCALL_TEST_PGBOUNCER";

/// If set, row-level security holds the reads of the product to their organization, too, and the product says for each whose
/// it is. No test may notice.
const ROW_SECURITY_VARIABLE: &str = "ROLLCALL_TEST_RLS";

/// An empty database that is removed with this value.
#[derive(Debug)]
pub struct TestDatabase {
    /// For the product.
    url: String,
    /// For a test's own connections.
    direct: String,
    drop: OnDrop,
}

#[derive(Debug)]
enum OnDrop {
    Directory { _directory: TempDir },
    Database { server: String, name: String },
}

/// What the product's URL says of a pooler.
const POOLED: &str = "&pooler=transaction&prepare=off";

impl TestDatabase {
    /// `sqlite:PATH` or `postgresql://..`, for the product.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same for a test's own connections: never through a pooler, and with parameters of libpq only.
    pub fn direct(&self) -> &str {
        &self.direct
    }

    /// Its name on the PostgreSQL server; a file has none.
    pub fn name(&self) -> &str {
        match &self.drop {
            OnDrop::Directory { _directory } => "",
            OnDrop::Database { name, .. } => name,
        }
    }

    /// From now on no transaction fails that need not: one that is tried again sends its statements again, which a test
    /// that counts them must not see.
    ///
    /// # Errors
    /// If the database does not answer.
    pub fn without_injected_collisions(&self) -> anyhow::Result<()> {
        match std::env::var_os(COLLISIONS_VARIABLE) {
            Some(_) if !self.name().is_empty() => collisions::disarm(&self.direct),
            _ => Ok(()),
        }
    }

    /// Whether a pooler stands before it.
    pub fn is_pooled(&self) -> bool {
        self.url.ends_with(POOLED)
    }

    /// The same PostgreSQL database with this schema as the only one searched, so that two services share it. SQLite has
    /// none: there it is another file beside the first.
    pub fn url_with_schema(&self, schema: &str) -> String {
        match &self.drop {
            OnDrop::Directory { _directory } => format!("{}-{schema}", self.url),
            OnDrop::Database { name, .. } if self.is_pooled() => {
                let role = role_of(name, schema);
                #[expect(clippy::panic, reason = "a test without a database must fail with the reason")]
                if let Err(error) = self.make_role(&role, schema) {
                    panic!("{error:#}");
                }
                self.url.replacen(&format!("//{}@", role_of(name, OWNER)), &format!("//{role}@"), 1)
            }
            OnDrop::Database { .. } => format!("{}&options=-c%20search_path%3D{schema}", self.url),
        }
    }

    fn make_role(&self, role: &str, schema: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::establish(&self.direct)?;
        connection.batch_execute(&format!(
            "DO $$ BEGIN IF to_regrole('{role}') IS NULL THEN CREATE ROLE {role} LOGIN; END IF; END $$; \
             GRANT CREATE ON DATABASE {name} TO {role}; ALTER ROLE {role} SET search_path = '{schema}'",
            name = self.name(),
        ))?;
        Ok(())
    }
}

/// The role that owns a database, which the product is: a superuser is above row-level security.
const OWNER: &str = "owner";

fn role_of(database: &str, name: &str) -> String {
    format!("{database}_role_{name}")
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let OnDrop::Database { server, name } = &self.drop
            && let Ok(mut connection) = PgConnection::establish(server)
        {
            // What is left goes with the server.
            let _ = connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            let _ = connection.batch_execute(&format!(
                "DO $$ DECLARE own text; BEGIN FOR own IN SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{name}_role_') \
                 LOOP EXECUTE 'DROP ROLE ' || own; END LOOP; END $$"
            ));
        }
    }
}

/// A SQLite file in a directory of its own, not yet created.
///
/// # Panics
/// If there is no temporary directory.
pub fn sqlite() -> TestDatabase {
    static CLEAN: Once = Once::new();
    CLEAN.call_once(server::remove_stale);
    let directory = tempfile::Builder::new().prefix(server::SQLITE_PREFIX).tempdir();
    let directory = directory.and_then(|directory| server::own(directory.path()).map(|()| directory));
    #[expect(clippy::panic, reason = "a test without a database must fail with the reason")]
    let directory = directory.unwrap_or_else(|error| panic!("no temporary directory: {error}"));
    let url = format!("sqlite:{}", directory.path().join("test.db").display());
    TestDatabase { direct: url.clone(), url, drop: OnDrop::Directory { _directory: directory } }
}

/// A database on this process's own server, which the first call starts.
///
/// # Panics
/// If there is no PostgreSQL here or it does not start.
#[expect(clippy::panic, reason = "a test without a database must fail with the reason")]
pub fn postgres() -> TestDatabase {
    match postgres_database() {
        Ok(database) => database,
        Err(error) => panic!("{error:#}"),
    }
}

/// One of each kind. In a mode of PostgreSQL alone SQLite has nothing new to show.
pub fn databases() -> Vec<TestDatabase> {
    let modes = [COLLISIONS_VARIABLE, PGBOUNCER_VARIABLE, ROW_SECURITY_VARIABLE];
    let mode = modes.iter().any(|mode| std::env::var_os(mode).is_some());
    if mode { vec![postgres()] } else { vec![sqlite(), postgres()] }
}

fn postgres_database() -> anyhow::Result<TestDatabase> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server_url()?;
    let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::establish(&server).context("the test server does not answer")?;
    let owner = role_of(&name, OWNER);
    connection.batch_execute(&format!("CREATE ROLE {owner} LOGIN"))?;
    connection.batch_execute(&format!("CREATE DATABASE {name} OWNER {owner}"))?;
    let (before, after) = server.split_once("/?").context("the test server's URL is not of the form USER@/?host=")?;
    let direct = format!("{before}/{name}?{after}");
    if let Ok(seed) = std::env::var(COLLISIONS_VARIABLE) {
        let seed = seed.parse().with_context(|| format!("{COLLISIONS_VARIABLE} is a number, not {seed:?}"))?;
        collisions::arm(&direct, &name, seed)?;
    }
    let user = before.rsplit_once("//").map_or(before, |(_, user)| user);
    let mut url = direct.replacen(user, &format!("{owner}@"), 1);
    if std::env::var_os(PGBOUNCER_VARIABLE).is_some() {
        // What README.md tells to set for the role.
        for (limit, value) in
            [("statement_timeout", "30s"), ("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "30s")]
        {
            connection.batch_execute(&format!("ALTER DATABASE {name} SET {limit} = '{value}'"))?;
        }
        url = pooler()?.url(&owner, &name) + POOLED;
    }
    if std::env::var_os(ROW_SECURITY_VARIABLE).is_some() {
        row_security::hold_reads(&direct)?;
        // The last parameters stay those by which a pooled URL is known.
        url = url.replacen('?', "?row_security=reads&", 1);
    }
    Ok(TestDatabase { url, direct, drop: OnDrop::Database { server, name } })
}

fn server_url() -> anyhow::Result<String> {
    match std::env::var(POSTGRES_VARIABLE) {
        Ok(url) => Ok(url),
        Err(_) => Ok(own_server()?.url("")),
    }
}

/// The server lives as long as the process: its watchdog sees the end and cleans up.
fn own_server() -> anyhow::Result<&'static PostgresServer> {
    static SERVER: OnceLock<Result<PostgresServer, String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| PostgresServer::temporary().map_err(|error| format!("{error:#}")));
    server.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn pooler() -> anyhow::Result<&'static PgBouncer> {
    static POOLER: OnceLock<Result<PgBouncer, String>> = OnceLock::new();
    anyhow::ensure!(
        std::env::var_os(POSTGRES_VARIABLE).is_none(),
        "{PGBOUNCER_VARIABLE} wants a server of its own: unset {POSTGRES_VARIABLE}"
    );
    let server = own_server()?;
    let pooler = POOLER.get_or_init(|| {
        PgBouncer::start(server.socket(), server.directory()).map_err(|error| format!("pgbouncer: {error:#}"))
    });
    pooler.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

pub(crate) fn sqlite_path(url: &str) -> PathBuf {
    PathBuf::from(url.strip_prefix("sqlite:").unwrap_or(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_ours_apart_and_gone_afterwards() {
        let (one, other) = (postgres(), postgres());
        assert_ne!(one.direct(), other.direct());
        let mut connection = PgConnection::establish(one.direct()).expect("connect");
        connection.batch_execute("CREATE TABLE t (a int)").expect("create");
        let mut beside = PgConnection::establish(other.direct()).expect("connect");
        assert!(beside.batch_execute("SELECT * FROM t").is_err());
        let url = one.direct().to_owned();
        drop(one);
        assert!(PgConnection::establish(&url).is_err());
    }

    #[test]
    fn a_server_ends_and_leaves_nothing_when_dropped() {
        let server = PostgresServer::temporary().expect("start");
        let directory = server.directory().to_owned();
        assert!(PgConnection::establish(&server.url("postgres")).is_ok());
        drop(server);
        assert!(!directory.exists());
    }

    #[test]
    fn another_server_is_not_taken_for_ours() {
        let (one, other) = (PostgresServer::temporary().expect("start"), PostgresServer::temporary().expect("start"));
        let log = one.socket().join("log");
        server::wait_until_ready(&one.url("postgres"), one.directory(), &log).expect("ours");
        let error = server::wait_until_ready(&one.url("postgres"), other.directory(), &log).expect_err("another");
        assert!(error.to_string().contains("another server answers"), "{error}");
    }

    #[test]
    fn a_kept_directory_serves_again() {
        let directory = TempDir::new().expect("directory");
        let server = PostgresServer::start(directory.path()).expect("start");
        let mut connection = PgConnection::establish(&server.url("postgres")).expect("connect");
        connection.batch_execute("CREATE TABLE kept (a int)").expect("create");
        drop(server);
        let server = PostgresServer::start(directory.path()).expect("start again");
        let mut connection = PgConnection::establish(&server.url("postgres")).expect("connect");
        connection.batch_execute("SELECT a FROM kept").expect("kept");
    }

    /// Not a test: the process that the next one kills.
    #[test]
    #[ignore = "run by a_killed_process_leaves_no_server"]
    fn a_process_with_a_server() {
        let server = PostgresServer::temporary().expect("start");
        println!("data directory: {}", server.directory().display());
        std::thread::sleep(std::time::Duration::from_secs(60));
    }

    #[test]
    fn a_killed_process_leaves_no_server() {
        use std::io::{BufRead as _, BufReader};
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "database::tests::a_process_with_a_server", "--ignored", "--nocapture"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("start");
        let lines = BufReader::new(child.stdout.take().expect("output")).lines();
        let directory = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("data directory: ").map(|(_, at)| PathBuf::from(at)));
        let directory = directory.expect("a directory");
        assert!(directory.join("postmaster.pid").exists());
        child.kill().expect("kill");
        child.wait().expect("end");
        let begin = std::time::Instant::now();
        let all = directory.parent().expect("parent");
        while all.exists() {
            assert!(begin.elapsed().as_secs() < 20, "{} is still there", all.display());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}
