//! What a PostgreSQL session has and has not, so that a pooler may stand between.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use diesel::{QueryableByName, connection::SimpleConnection as _, prelude::*, sql_query, sql_types::Text};
use store::{AnyConnection, Db, Error, Failure};

use crate::{Never, both, count, insert, item, open, sample};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

fn texts(connection: &mut AnyConnection, sql: &str) -> Result<Vec<String>, Never> {
    let rows: Vec<Row> = match connection {
        AnyConnection::Postgres(connection) => sql_query(sql).load(connection)?,
        AnyConnection::Sqlite(connection) => sql_query(sql).load(connection)?,
    };
    Ok(rows.into_iter().map(|row| row.text).collect())
}

async fn asked(db: &Db, sql: &'static str) -> Vec<String> {
    db.read(move |connection| texts(connection, sql)).await.expect("asked")
}

const LIMITS: &str = "SELECT setting AS text FROM pg_settings WHERE name IN \
     ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name";

#[tokio::test]
async fn a_session_has_its_limits_and_nothing_that_was_set_in_it() {
    let [_, (_database, db)] = both().await;
    let row = sample("written");
    db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
    assert_eq!(asked(&db, LIMITS).await, ["30000", "10000", "30000"]);
    let set = "SELECT name AS text FROM pg_settings WHERE source = 'session'";
    // These a pooler keeps for each client.
    let kept = ["TimeZone", "client_encoding", "application_name", "DateStyle", "standard_conforming_strings"];
    for name in asked(&db, set).await {
        assert!(kept.contains(&name.as_str()), "{name} is set in the session");
    }
    let name = asked(&db, "SELECT current_setting('application_name') AS text").await;
    assert_eq!(name, ["rollcall"]);
}

#[tokio::test]
async fn behind_a_pooler_limits_and_schema_are_the_roles() {
    let database = testkit::postgres();
    let role = format!("pooled_{}", std::process::id());
    let mut administrator = PgConnection::establish(database.direct()).expect("connect");
    let name = database.name();
    administrator
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {name} TO {role}; \
             ALTER ROLE {role} SET search_path = 'mine'; ALTER ROLE {role} SET statement_timeout = '21s'"
        ))
        .expect("a role");
    let url = database.direct().replace("//postgres@", &format!("//{role}@")) + "&pooler=transaction";
    let db = open(&url, 2).await;
    let path = asked(&db, "SELECT schemaname::text AS text FROM pg_tables WHERE tablename = 'item'").await;
    assert_eq!(path, ["mine"]);
    assert_eq!(asked(&db, "SELECT current_setting('statement_timeout') AS text").await, ["21s"]);
    let row = sample("written");
    db.write_one(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
    assert_eq!(count(&db).await, 1);
    drop(db);
    administrator.batch_execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).expect("no role");
}

#[tokio::test]
async fn statements_are_prepared_once_or_not_at_all() {
    let database = testkit::postgres();
    for (url, prepared) in [(database.direct().to_owned(), true), (format!("{}&prepare=off", database.direct()), false)]
    {
        let db = open(&url, 1).await;
        for _ in 0..3 {
            assert_eq!(count(&db).await, 0);
        }
        let found = asked(&db, "SELECT name AS text FROM pg_prepared_statements").await;
        assert_eq!(!found.is_empty(), prepared, "{found:?}");
    }
}

#[tokio::test]
async fn who_waits_too_long_for_a_lock_or_a_statement_is_told_busy() {
    let [_, (database, db)] = both().await;
    let mut holder = PgConnection::establish(database.direct()).expect("connect");
    holder.batch_execute("BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE").expect("lock");
    let row = sample("waits");
    let waited = db.write(move |connection| {
        connection.batch_execute("SET LOCAL lock_timeout = '20ms'")?;
        Ok::<_, Never>(insert(connection, &row)?)
    });
    assert_eq!(waited.await, Err(Failure::Store(Error::Busy)));
    holder.batch_execute("ROLLBACK").expect("unlock");
    let slow = db.write(|connection| {
        connection.batch_execute("SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(60)")?;
        Ok::<(), Never>(())
    });
    assert_eq!(slow.await, Err(Failure::Store(Error::Busy)));
    assert_eq!(count(&db).await, 0);
}

/// Beyond the one that is first in line already.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_urgent_goes_before_all_that_waits_for_a_connection() {
    let database = testkit::postgres();
    let db = open(database.url(), 1).await;
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let begun = std::sync::Mutex::new(Some(begun));
    let holder = db.clone();
    let holder = tokio::spawn(async move {
        let held = holder.read(move |connection| {
            begun.lock().expect("whole").take().map(|begun| begun.send(()));
            connection.batch_execute("SELECT pg_sleep(0.3)")?;
            Ok::<(), Never>(())
        });
        held.await
    });
    beginning.await.expect("a connection is held");
    let done = Arc::new(AtomicU32::new(0));
    let job = |done: &Arc<AtomicU32>| {
        let done = Arc::clone(done);
        move |_: &mut AnyConnection| Ok::<u32, Never>(done.fetch_add(1, Ordering::Relaxed))
    };
    let rest: Vec<_> = (0..50)
        .map(|_| {
            let (db, job) = (db.clone(), job(&done));
            tokio::spawn(async move { db.write(job).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let urgent = store::urgently_if(true, db.write(job(&done))).await.expect("written");
    assert!(urgent <= 1, "{urgent} went before");
    holder.await.expect("task").expect("held");
    for write in rest {
        write.await.expect("task").expect("written");
    }
}

const COLLIDE: &str = "DO $$ BEGIN RAISE serialization_failure; END $$";

#[tokio::test]
async fn reads_and_single_statements_give_way_like_transactions() {
    let [_, (_database, db)] = both().await;
    for kind in ["seek", "read", "write", "write_one"] {
        let attempts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&attempts);
        let collides_twice = move |connection: &mut AnyConnection| {
            if counted.fetch_add(1, Ordering::Relaxed) < 2 {
                connection.batch_execute(COLLIDE)?;
            }
            Ok::<i64, Never>(item::table.count().get_result(connection)?)
        };
        let found = match kind {
            "seek" => db.seek(collides_twice).await,
            "read" => db.read(collides_twice).await,
            "write" => db.write(collides_twice).await,
            _ => db.write_one(collides_twice).await,
        };
        assert_eq!((found, attempts.load(Ordering::Relaxed)), (Ok(0), 3), "{kind}");
    }
    let always = db.write_one(|connection| Ok::<_, Never>(connection.batch_execute(COLLIDE)?));
    assert_eq!(always.await, Err(Failure::Store(Error::Serialization)));
}

#[tokio::test]
async fn a_connection_lost_at_commit_is_not_tried_again_unless_nothing_was_kept() {
    let [_, (database, db)] = both().await;
    let mut other = PgConnection::establish(database.direct()).expect("connect");
    other
        .batch_execute(
            "CREATE TABLE killed (n int); GRANT ALL ON killed TO PUBLIC; \
             CREATE FUNCTION kill_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               IF new.n = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER kill AFTER INSERT ON killed DEFERRABLE INITIALLY DEFERRED \
               FOR EACH ROW EXECUTE FUNCTION kill_once()",
        )
        .expect("trigger");
    let (row, attempts) = (sample("once"), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&attempts);
    let written = db.write(move |connection| {
        let n = counted.fetch_add(1, Ordering::Relaxed) + 1;
        connection.batch_execute(&format!("INSERT INTO killed VALUES ({n})"))?;
        Ok::<_, Never>(insert(connection, &row)?)
    });
    // The server's farewell says that it did nothing; where it got lost nobody knows.
    match (written.await, attempts.load(Ordering::Relaxed)) {
        (Err(Failure::Store(Error::Unavailable(outage))), 1) => {
            assert!(outage.outcome_unknown());
            assert_eq!(count(&db).await, 0);
        }
        (Ok(1), 2) => assert_eq!(count(&db).await, 1),
        other => panic!("{other:?}"),
    }
}

/// Hands on what client and server say, but for the answer to a COMMIT, when told to: then it hangs up.
fn lossy(socket: &Path, server: &Path, lose: &Arc<AtomicBool>) {
    let listener = UnixListener::bind(socket).expect("listen");
    let (server, lose) = (server.to_owned(), Arc::clone(lose));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let upstream = UnixStream::connect(&server).expect("connect");
            let lost = Arc::new(AtomicBool::new(false));
            let (mut back, mut answers) = (client.try_clone().expect("clone"), upstream.try_clone().expect("clone"));
            let muted = Arc::clone(&lost);
            std::thread::spawn(move || {
                let mut buffer = [0; 65536];
                while let Ok(n @ 1..) = answers.read(&mut buffer) {
                    if muted.load(Ordering::SeqCst) || back.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                let _ = back.shutdown(Shutdown::Both);
                let _ = answers.shutdown(Shutdown::Both);
            });
            let (lose, mut client, mut upstream) = (Arc::clone(&lose), client, upstream);
            std::thread::spawn(move || {
                let mut buffer = [0; 65536];
                while let Ok(n @ 1..) = client.read(&mut buffer) {
                    let commits = buffer[..n].windows(6).any(|word| word == b"COMMIT");
                    lost.fetch_or(commits && lose.swap(false, Ordering::SeqCst), Ordering::SeqCst);
                    if upstream.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                let _ = upstream.shutdown(Shutdown::Both);
            });
        }
    });
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_told_as_unknown_and_not_done_twice() {
    let database = testkit::postgres();
    let directory = tempfile::tempdir().expect("directory");
    let (before, server) = database.direct().split_once("host=").expect("a socket");
    let lose = Arc::new(AtomicBool::new(false));
    lossy(&directory.path().join(".s.PGSQL.5432"), &Path::new(server).join(".s.PGSQL.5432"), &lose);
    let url = format!("{before}host={}&application_name=lossy", directory.path().display());
    let db = open(&url, 1).await;

    lose.store(true, Ordering::SeqCst);
    let row = sample("kept");
    let written = db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?));
    match written.await {
        Err(Failure::Store(Error::Unavailable(outage))) => assert!(outage.outcome_unknown()),
        other => panic!("{other:?}"),
    }
    assert!(!lose.load(Ordering::SeqCst));
    assert_eq!(count(&db).await, 1);
}
