//! What SQLite promises: a commit is on the disk, and who reads waits for nobody.

use std::{
    sync::{Arc, Barrier},
    time::Duration,
};

use diesel::{QueryableByName, connection::SimpleConnection as _, prelude::*, sql_query, sql_types::BigInt};
use store::{AnyConnection, Db};

use crate::{Never, count, insert, open, sample};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// `PRAGMA` functions: full is 2, and the timeout counts milliseconds.
const SETTINGS: &str = "SELECT (SELECT journal_mode = 'wal' FROM pragma_journal_mode) * 1000000 \
     + (SELECT synchronous FROM pragma_synchronous) * 100000 + (SELECT foreign_keys FROM pragma_foreign_keys) * 10000 \
     + (SELECT timeout FROM pragma_busy_timeout) AS n";

fn settings(connection: &mut AnyConnection) -> Result<i64, Never> {
    let row: Row = match connection {
        AnyConnection::Sqlite(connection) => sql_query(SETTINGS).get_result(connection)?,
        AnyConnection::Postgres(connection) => sql_query(SETTINGS).get_result(connection)?,
    };
    Ok(row.n)
}

async fn sqlite() -> (testkit::TestDatabase, Db) {
    let database = testkit::sqlite();
    let db = open(database.url(), 1).await;
    (database, db)
}

#[tokio::test]
async fn every_connection_writes_ahead_syncs_each_commit_and_waits_for_a_lock() {
    let (_database, db) = sqlite().await;
    for found in [db.write(settings).await, db.seek(settings).await, db.read(settings).await] {
        assert_eq!(found, Ok(1_215_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_sees_what_was_committed_and_waits_for_no_writer() {
    let (_database, db) = sqlite().await;
    let row = sample("before");
    db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
    let (barrier, writer) = (Arc::new(Barrier::new(2)), db.clone());
    let held = Arc::clone(&barrier);
    let writing = tokio::spawn(async move {
        let row = sample("during");
        let written = writer.write(move |connection| {
            insert(connection, &row)?;
            held.wait();
            held.wait();
            Ok::<(), Never>(())
        });
        written.await
    });
    barrier.wait();
    // The writer holds its transaction until all have read; more of them than there are readers.
    let mut reads = tokio::task::JoinSet::new();
    for n in 0..16 {
        let db = db.clone();
        reads.spawn(async move {
            let counted =
                |connection: &mut AnyConnection| Ok::<i64, Never>(crate::item::table.count().get_result(connection)?);
            if n % 2 == 0 { db.seek(counted).await } else { db.read(counted).await }
        });
    }
    while let Some(read) = reads.join_next().await {
        assert_eq!(read.expect("task"), Ok(1));
    }
    barrier.wait();
    assert_eq!(writing.await.expect("task"), Ok(()));
    assert_eq!(count(&db).await, 2);
}

#[tokio::test]
async fn another_program_that_holds_the_lock_for_a_moment_is_waited_for() {
    let (database, db) = sqlite().await;
    let path = database.url().trim_start_matches("sqlite:").to_owned();
    let mut other = SqliteConnection::establish(&path).expect("open");
    other.batch_execute("BEGIN IMMEDIATE").expect("lock");
    let row = sample("waits");
    let written = tokio::spawn({
        let db = db.clone();
        async move { db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!written.is_finished());
    other.batch_execute("COMMIT").expect("unlock");
    assert_eq!(written.await.expect("task"), Ok(1));
}
