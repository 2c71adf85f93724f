//! What is kept, what is undone, and what is tried again.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use diesel::{QueryableByName, connection::SimpleConnection as _, prelude::*, sql_query, sql_types::BigInt};
use store::{AnyConnection, Db, Error, Failure};

use crate::{Item, ItemId, Never, both, count, ids, insert, item, open, sample};

#[tokio::test]
async fn a_refused_or_failed_transaction_leaves_nothing() {
    for (_database, db) in both().await {
        let row = sample("refused");
        let refused = db.write(move |connection| {
            insert(connection, &row)?;
            Err::<(), _>(Failure::Refused("no".to_owned()))
        });
        assert_eq!(refused.await, Err(Failure::Refused("no".to_owned())));
        let row = sample("failed");
        let failed = db.write(move |connection| {
            insert(connection, &row)?;
            insert(connection, &row)?;
            Ok::<(), Never>(())
        });
        assert!(matches!(failed.await, Err(Failure::Store(Error::Unique { .. }))));
        assert_eq!(count(&db).await, 0);
        let row = sample("kept");
        db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("the connection is whole");
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn two_hundred_writers_are_all_kept_and_the_failing_ones_fail_alone() {
    for (database, db) in both().await {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200_i64 {
            let db = db.clone();
            tasks.spawn(async move {
                let row = Item { n, ..sample(&n.to_string()) };
                let written = db.write(move |connection| {
                    insert(connection, &row)?;
                    match n % 20 {
                        7 => Err(Failure::Refused("odd one".to_owned())),
                        // In the middle of a batch, with a statement that fails.
                        11 => insert(connection, &row).map_err(Failure::from),
                        _ => Ok(1),
                    }
                });
                (n, written.await)
            });
        }
        let mut kept = 0;
        while let Some(done) = tasks.join_next().await {
            let (n, result) = done.expect("task");
            match n % 20 {
                7 => assert_eq!(result, Err(Failure::Refused("odd one".to_owned()))),
                11 => assert!(matches!(result, Err(Failure::Store(Error::Unique { .. }))), "{result:?}"),
                _ => {
                    assert_eq!(result, Ok(1), "{n}");
                    kept += 1;
                }
            }
        }
        // Another handle sees them: they are committed.
        let other = open(database.url(), 1).await;
        assert_eq!(count(&other).await, kept);
        assert_eq!(kept, 180);
    }
}

#[tokio::test]
async fn a_panic_undoes_only_its_own_transaction() {
    for (_database, db) in both().await {
        let row = sample("panicked");
        let panicked = db.write(move |connection| {
            insert(connection, &row)?;
            if row.n == 0 {
                panic!("on purpose");
            }
            Ok::<(), Never>(())
        });
        assert!(matches!(panicked.await, Err(Failure::Store(Error::Other(_)))));
        let row = sample("after");
        db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn sqlite_writes_again_after_a_lost_transaction_and_a_full_disk() {
    let [(_database, db), _] = both().await;
    let row = sample("lost");
    let lost = db.write(move |connection| {
        insert(connection, &row)?;
        // What SQLite does by itself when the disk fails.
        connection.batch_execute("ROLLBACK")?;
        Ok::<(), Never>(())
    });
    assert!(matches!(lost.await, Err(Failure::Store(_))));
    assert_eq!(count(&db).await, 0);
    let row = sample("after");
    db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");

    let full = db.write(|connection| {
        connection.batch_execute("PRAGMA max_page_count = 1")?;
        for n in 0..100 {
            insert(
                connection,
                &Item { body: Some(store::JsonText(format!("\"{}\"", "x".repeat(5000)))), n, ..sample(&n.to_string()) },
            )?;
        }
        Ok::<(), Never>(())
    });
    let full = full.await;
    assert!(matches!(full, Err(Failure::Store(Error::Unavailable(_)))), "{full:?}");
    db.write(|connection| Ok::<_, Never>(connection.batch_execute("PRAGMA max_page_count = 1000000")?))
        .await
        .expect("room");
    let row = sample("room");
    db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
    assert_eq!(count(&db).await, 2);
}

#[tokio::test]
async fn nested_savepoints_undo_only_themselves() {
    for (_database, db) in both().await {
        let (outer, inner) = (sample("outer"), sample("inner"));
        db.write(move |connection| {
            insert(connection, &outer)?;
            let failed = connection.transaction(|connection| {
                insert(connection, &inner)?;
                insert(connection, &inner)
            });
            assert!(failed.is_err());
            Ok::<(), Never>(())
        })
        .await
        .expect("kept");
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn an_ignored_failure_on_postgresql_is_not_told_as_success() {
    let [_, (_database, db)] = both().await;
    let row = sample("lost");
    let result = db.write(move |connection| {
        insert(connection, &row)?;
        let _ = insert(connection, &row);
        Ok::<(), Never>(())
    });
    assert!(matches!(result.await, Err(Failure::Store(Error::Other(_)))));
    assert_eq!(count(&db).await, 0);
}

fn n_of(connection: &mut AnyConnection, id: ItemId) -> QueryResult<i64> {
    item::table.filter(item::id.eq(id)).select(item::n).first(connection)
}

fn n_set(connection: &mut AnyConnection, id: ItemId, n: i64) -> QueryResult<usize> {
    diesel::update(item::table.filter(item::id.eq(id))).set(item::n.eq(n)).execute(connection)
}

async fn two_items(db: &Db) -> [ItemId; 2] {
    let (one, other) = (sample("one"), sample("other"));
    let made = [one.id, other.id];
    db.write(move |connection| {
        insert(connection, &one)?;
        Ok::<_, Never>(insert(connection, &other)?)
    })
    .await
    .expect("written");
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serialization_failure_is_tried_again() {
    let [_, (_database, db)] = both().await;
    let [id, _] = two_items(&db).await;
    let (attempts, both_have_read) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(2)));
    let increment = || {
        let (db, attempts, barrier) = (db.clone(), Arc::clone(&attempts), Arc::clone(&both_have_read));
        let first = AtomicU32::new(1);
        async move {
            db.write(move |connection| {
                attempts.fetch_add(1, Ordering::Relaxed);
                connection.batch_execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")?;
                let n = n_of(connection, id)?;
                if first.swap(0, Ordering::Relaxed) == 1 {
                    barrier.wait();
                }
                n_set(connection, id, n + 1)?;
                Ok::<(), Never>(())
            })
            .await
        }
    };
    let (one, other) = tokio::join!(tokio::spawn(increment()), tokio::spawn(increment()));
    assert_eq!((one.expect("task"), other.expect("task")), (Ok(()), Ok(())));
    assert_eq!(db.read(move |connection| Ok::<_, Never>(n_of(connection, id)?)).await, Ok(2));
    assert_eq!(attempts.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again() {
    let [_, (_database, db)] = both().await;
    let made = two_items(&db).await;
    let barrier = Arc::new(Barrier::new(2));
    let cross = |order: [ItemId; 2]| {
        let (db, barrier, first) = (db.clone(), Arc::clone(&barrier), AtomicU32::new(1));
        async move {
            db.write(move |connection| {
                n_set(connection, order[0], 1)?;
                if first.swap(0, Ordering::Relaxed) == 1 {
                    barrier.wait();
                }
                n_set(connection, order[1], 2)?;
                Ok::<(), Never>(())
            })
            .await
        }
    };
    let [a, b] = made;
    let (one, other) = tokio::join!(tokio::spawn(cross([a, b])), tokio::spawn(cross([b, a])));
    assert_eq!((one.expect("task"), other.expect("task")), (Ok(()), Ok(())));
}

#[derive(QueryableByName)]
struct Killed {
    #[diesel(sql_type = BigInt)]
    killed: i64,
}

/// Returns when they have ended.
fn kill_others(url: &str) -> i64 {
    let mut connection = PgConnection::establish(url).expect("connect");
    let killed: Killed = sql_query(
        "SELECT count(pg_terminate_backend(pid, 10000)) AS killed FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .get_result(&mut connection)
    .expect("kill");
    killed.killed
}

/// So many connections at once, so that the pool holds them.
async fn fill(db: &Db, connections: usize) {
    let barrier = Arc::new(Barrier::new(connections));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (db, barrier) = (db.clone(), Arc::clone(&barrier));
        tasks.spawn(async move {
            let held = db.read(move |connection| {
                connection.batch_execute("SELECT 1")?;
                barrier.wait();
                Ok::<(), Never>(())
            });
            held.await
        });
    }
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.expect("task"), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_connections_are_replaced_unseen() {
    let [_, (database, db)] = both().await;
    for round in 0..3 {
        fill(&db, 6).await;
        // Behind a pooler they are fewer.
        assert!(kill_others(database.direct()) >= if database.is_pooled() { 1 } else { 6 });
        let row = sample(&format!("round {round}"));
        match round {
            0 => assert_eq!(
                db.seek(|connection| Ok::<i64, Never>(item::table.count().get_result(connection)?)).await,
                Ok(0)
            ),
            1 => assert_eq!(db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await, Ok(1)),
            _ => assert_eq!(db.write_one(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await, Ok(1)),
        }
        assert_eq!(count(&db).await, round);
    }
}

#[tokio::test]
async fn a_connection_lost_inside_a_transaction_is_tried_once_more() {
    let [_, (_database, db)] = both().await;
    let (row, attempts) = (sample("once"), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&attempts);
    let written = db.write(move |connection| {
        insert(connection, &row)?;
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            connection.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())")?;
        }
        Ok::<(), Never>(())
    });
    assert_eq!(written.await, Ok(()));
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
    assert_eq!(count(&db).await, 1);

    let always = db.write(|connection| {
        connection.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())")?;
        Ok::<(), Never>(())
    });
    assert!(matches!(always.await, Err(Failure::Store(Error::Unavailable(_)))));
    assert_eq!(count(&db).await, 1);
}

/// The whole pool has prepared what the migration changes, and the first read is answered at its second attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_by_a_newer_program_does_not_disturb_this_one() {
    let [_, (database, db)] = both().await;
    let row = sample("before");
    let id = row.id;
    db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
    let name = move |connection: &mut AnyConnection| {
        let found = item::table.filter(item::id.eq(id)).select(item::name);
        Ok::<String, Never>(found.first(connection)?)
    };
    // As many as the pool has at most: none is made beside them.
    let connections = 8;
    let barrier = Arc::new(Barrier::new(connections));
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (db, barrier) = (db.clone(), Arc::clone(&barrier));
        reads.spawn(async move {
            let held = db.read(move |connection| {
                let found = name(connection);
                barrier.wait();
                found
            });
            held.await
        });
    }
    while let Some(read) = reads.join_next().await {
        assert_eq!(read.expect("task"), Ok("before".to_owned()));
    }
    let mut other = PgConnection::establish(database.direct()).expect("connect");
    other.batch_execute("ALTER TABLE item ALTER name TYPE varchar(500)").expect("migrate");
    // One at a time: the second attempt would meet the next such connection.
    for _ in 0..connections {
        assert_eq!(db.seek(name).await, Ok("before".to_owned()));
    }
    assert_eq!(db.write(name).await, Ok("before".to_owned()));
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_not_available() {
    let [_, (_database, db)] = both().await;
    let (row, attempts) = (sample("standby"), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&attempts);
    let written = db.write(move |connection| {
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            connection.batch_execute("SET TRANSACTION READ ONLY")?;
        }
        Ok::<_, Never>(insert(connection, &row)?)
    });
    assert_eq!(written.await, Ok(1));
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_for_a_connection_is_told_busy() {
    let database = testkit::postgres();
    let db = open(database.url(), 1).await;
    let holder = db.clone();
    let held = tokio::spawn(async move {
        holder.read(|connection| Ok::<_, Never>(connection.batch_execute("SELECT pg_sleep(4)")?)).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begin = std::time::Instant::now();
    assert_eq!(db.ping().await, Err(Error::Busy));
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert_eq!(held.await.expect("task"), Ok(()));
    assert_eq!(db.ping().await, Ok(()));
}

#[tokio::test]
async fn a_sequence_of_ids_keeps_its_order_in_both() {
    for (_database, db) in both().await {
        let (ids, org) = (ids(), sample("").org);
        let made: Vec<ItemId> = (0..100).map(|_| ItemId(ids.next())).collect();
        let rows = made.clone();
        db.write(move |connection| {
            for id in rows.iter().rev() {
                insert(connection, &Item { org, id: *id, ..sample(&id.to_string()) })?;
            }
            Ok::<(), Never>(())
        })
        .await
        .expect("written");
        let sorted = db.read(|connection| {
            Ok::<Vec<ItemId>, Never>(item::table.order(item::id).select(item::id).load(connection)?)
        });
        assert_eq!(sorted.await, Ok(made));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_sees_one_state() {
    for (_database, db) in both().await {
        let (begun, written) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let reader = tokio::spawn({
            let (db, begun, written) = (db.clone(), Arc::clone(&begun), Arc::clone(&written));
            async move {
                let read = db.snapshot(move |connection| {
                    let before: i64 = item::table.count().get_result(connection)?;
                    begun.wait();
                    written.wait();
                    let after: i64 = item::table.count().get_result(connection)?;
                    Ok::<_, Never>((before, after))
                });
                read.await
            }
        });
        tokio::task::spawn_blocking(move || begun.wait()).await.expect("begun");
        let row = sample("meanwhile");
        db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
        tokio::task::spawn_blocking(move || written.wait()).await.expect("written");
        assert_eq!(reader.await.expect("task"), Ok((0, 0)));

        // It writes nothing, and its connection is as good as new however it ends.
        for n in 0..20_i64 {
            let row = Item { n, ..sample("never") };
            let wrote = db.snapshot(move |connection| Ok::<_, Never>(insert(connection, &row)?));
            assert!(matches!(wrote.await, Err(Failure::Store(_))));
            let refused = db.snapshot(|_| Err::<(), _>(Failure::Refused("no".to_owned())));
            assert_eq!(refused.await, Err(Failure::Refused("no".to_owned())));
        }
        assert_eq!(count(&db).await, 1);
    }
}
