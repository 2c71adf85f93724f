//! A fresh database for each test, on SQLite and on a PostgreSQL server of our own.
//!
//! Not here: tables. A service opens the URL and migrates.

mod schema;
mod server;

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

pub use schema::{Column, Schema, Table, key_without, postgres_schema, schema_parity, sqlite_schema};
pub use server::{PostgresServer, postgres_binaries};

/// If set, tests make their databases on this server (`postgresql://USER@/?host=DIRECTORY`) and start none: a runner with
/// one process per test sets it.
pub const POSTGRES_VARIABLE: &str = "ROLLCALL_TEST_POSTGRES";

/// An empty database that is removed with this value.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    drop: OnDrop,
}

#[derive(Debug)]
enum OnDrop {
    Directory { _directory: TempDir },
    Database { server: String, name: String },
}

impl TestDatabase {
    /// `sqlite:PATH` or `postgresql://..`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same PostgreSQL database with this schema as the only one searched, so that two services share it. SQLite has
    /// none: there it is another file beside the first.
    pub fn url_with_schema(&self, name: &str) -> String {
        match &self.drop {
            OnDrop::Directory { _directory } => format!("{}-{name}", self.url),
            OnDrop::Database { .. } => format!("{}&options=-c%20search_path%3D{name}", self.url),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let OnDrop::Database { server, name } = &self.drop
            && let Ok(mut connection) = PgConnection::establish(server)
        {
            // What is left goes with the server.
            let _ = connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
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
    TestDatabase { url, drop: OnDrop::Directory { _directory: directory } }
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

fn postgres_database() -> anyhow::Result<TestDatabase> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server_url()?;
    let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::establish(&server).context("the test server does not answer")?;
    connection.batch_execute(&format!("CREATE DATABASE {name}"))?;
    let (before, after) = server.split_once("/?").context("the test server's URL is not of the form USER@/?host=")?;
    Ok(TestDatabase { url: format!("{before}/{name}?{after}"), drop: OnDrop::Database { server, name } })
}

/// The server lives as long as the process: its watchdog sees the end and cleans up.
fn server_url() -> anyhow::Result<String> {
    static SERVER: OnceLock<Result<PostgresServer, String>> = OnceLock::new();
    if let Ok(url) = std::env::var(POSTGRES_VARIABLE) {
        return Ok(url);
    }
    let server = SERVER.get_or_init(|| PostgresServer::temporary().map_err(|error| format!("{error:#}")));
    match server {
        Ok(server) => Ok(server.url("")),
        Err(error) => anyhow::bail!("{error}"),
    }
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
        assert_ne!(one.url(), other.url());
        let mut connection = PgConnection::establish(one.url()).expect("connect");
        connection.batch_execute("CREATE TABLE t (a int)").expect("create");
        let mut beside = PgConnection::establish(other.url()).expect("connect");
        assert!(beside.batch_execute("SELECT * FROM t").is_err());
        let url = one.url().to_owned();
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
