//! Opening: files, schemas, migrations, and what is said when it does not work.

use std::os::unix::fs::PermissionsExt as _;

use diesel::connection::SimpleConnection as _;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use store::{Backend, Config, Db, Error};
use testkit::PostgresServer;

use crate::{Never, POSTGRES, SQLITE, count, insert, open, sample};

/// Three releases: the second adds a table which the first can do without, the third drops what the second no longer
/// uses.
const FIRST: [EmbeddedMigrations; 2] = [SQLITE, POSTGRES];
const SECOND: [EmbeddedMigrations; 2] =
    [embed_migrations!("tests/expanded/sqlite"), embed_migrations!("tests/expanded/postgres")];
const THIRD: [EmbeddedMigrations; 2] =
    [embed_migrations!("tests/contracted/sqlite"), embed_migrations!("tests/contracted/postgres")];

async fn try_open(url: &str) -> Result<Db, Error> {
    open_as(FIRST, url).await
}

async fn open_as([sqlite, postgres]: [EmbeddedMigrations; 2], url: &str) -> Result<Db, Error> {
    Db::open(&Config { url: url.to_owned(), pool_size: 2 }, sqlite, postgres).await
}

#[tokio::test]
async fn the_backend_is_told_by_the_url_and_others_are_refused() {
    let (sqlite, postgres) = (testkit::sqlite(), testkit::postgres());
    assert_eq!(open(sqlite.url(), 1).await.backend(), Backend::Sqlite);
    assert_eq!(open(postgres.url(), 1).await.backend(), Backend::Postgres);
    let error = try_open("mysql://root:hunter2@db/x").await.expect_err("refused").to_string();
    assert!(error.contains("mysql") && error.contains("postgresql://") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_sqlite_file_is_its_owners_alone() {
    let database = testkit::sqlite();
    let db = open(database.url(), 1).await;
    let row = sample("journal");
    db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
    let path = database.url().trim_start_matches("sqlite:");
    for suffix in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{path}{suffix}")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn what_keeps_it_from_opening_is_said() {
    let database = testkit::sqlite();
    let missing = format!("{}/no/such.db", database.url());
    let error = try_open(&missing).await.expect_err("no directory").to_string();
    assert!(error.contains("does not exist") && error.contains("Create it"), "{error}");

    let path = database.url().trim_start_matches("sqlite:");
    std::fs::write(path, "no database at all, but long enough to have a header of its own".repeat(20)).expect("write");
    let error = try_open(database.url()).await.expect_err("no database").to_string();
    assert!(error.contains("not a database"), "{error}");

    let begin = std::time::Instant::now();
    let error = try_open("postgresql://u:hunter2@127.0.0.1:9/x").await.expect_err("nobody there");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(begin.elapsed().as_secs() < 5);
}

#[cfg(not(feature = "pg-tls"))]
#[tokio::test]
async fn without_tls_built_in_it_is_said_what_to_do() {
    let error = try_open("postgresql://u@127.0.0.1:9/x?sslmode=verify-full").await.expect_err("no TLS").to_string();
    assert!(error.contains("sslmode") && error.contains("--features pg-tls"), "{error}");
}

#[tokio::test]
async fn a_release_and_the_next_run_side_by_side() {
    for database in [testkit::sqlite(), testkit::postgres()] {
        drop(try_open(database.url()).await.expect("the first"));
        drop(open_as(SECOND, database.url()).await.expect("the second migrates"));
        let db = try_open(database.url()).await.expect("the first starts again");
        let row = sample("by the first");
        db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
        drop(db);

        drop(open_as(THIRD, database.url()).await.expect("the third migrates"));
        assert_eq!(count(&open_as(SECOND, database.url()).await.expect("the second starts again")).await, 1);
        let error = try_open(database.url()).await.expect_err("the first is too old").to_string();
        assert!(error.contains("00000000000003") && error.contains("newer program"), "{error}");
    }
}

#[tokio::test]
async fn a_newer_migration_that_says_nothing_keeps_older_programs_out() {
    for database in [testkit::sqlite(), testkit::postgres()] {
        let db = open_as(SECOND, database.url()).await.expect("the second");
        let forget = "DELETE FROM __schema_compatibility";
        db.write(move |connection| Ok::<_, Never>(connection.batch_execute(forget)?)).await.expect("deleted");
        drop(db);
        let error = try_open(database.url()).await.expect_err("the first").to_string();
        assert!(error.contains("00000000000002") && error.contains("newer program"), "{error}");
        open_as(SECOND, database.url()).await.expect("who knows it is not kept out");
    }
}

#[tokio::test]
async fn many_may_start_at_once() {
    for database in [testkit::sqlite(), testkit::postgres()] {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let url = database.url_with_schema("fresh");
            tasks.spawn(async move { try_open(&url).await.map(|_| ()) });
        }
        while let Some(done) = tasks.join_next().await {
            assert_eq!(done.expect("task"), Ok(()));
        }
    }
}

#[tokio::test]
async fn two_services_share_a_database_in_schemas_of_their_own() {
    let database = testkit::postgres();
    let (one, other) =
        (open(&database.url_with_schema("one"), 2).await, open(&database.url_with_schema("other"), 2).await);
    let row = sample("mine");
    one.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
    assert_eq!((count(&one).await, count(&other).await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_used_again() {
    let directory = tempfile::Builder::new().prefix("rc-restart-").tempdir_in("/tmp").expect("directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("open to the server");
    let server = PostgresServer::start(directory.path()).expect("start");
    let link = directory.path().join("socket");
    let socket = |server: &PostgresServer| server.url("").split_once("host=").expect("host").1.to_owned();
    std::os::unix::fs::symlink(socket(&server), &link).expect("link");
    let db = open(&format!("postgresql://postgres@/postgres?host={}", link.display()), 2).await;
    let row = sample("before");
    db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");

    drop(server);
    let error = db.ping().await.expect_err("down");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");

    let server = PostgresServer::start(directory.path()).expect("start again");
    std::fs::remove_file(&link).expect("unlink");
    std::os::unix::fs::symlink(socket(&server), &link).expect("link");
    let begin = std::time::Instant::now();
    while db.ping().await.is_err() {
        assert!(begin.elapsed().as_secs() < 10, "not recovered");
    }
    assert_eq!(count(&db).await, 1);
}
