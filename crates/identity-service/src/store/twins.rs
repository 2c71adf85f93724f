//! Work that a client's request does not reach, or seldom: it keeps to its organization, too. Another one has the same ids, as
//! in crates/scim-gateway/tests/tenancy, and rows that a statement would find that forgets the organization.
//!
//! Without row-level security, which would hide what is wrong. With the feature `mutants` (`cargo xtask mutate`) tenant
//! predicates are taken out, one at a time.

mod console;

use std::fmt::Write as _;

use store::{AnyConnection, Backend, Config, Db, Failure, Instant};
use testkit::TestDatabase;
use uuid::Uuid;

use super::{
    event::{blocks_split_alone, events_number},
    idempotency::keys_purge,
    statement::{Lock, Statement},
    tombstone::{tombstone_delete, tombstone_lock},
    user::user_lock,
    user_name::{name_key_update, names_page},
};
use crate::{
    domain::{GroupId, OrgId, UserId, idempotency::KEPT_MICROS},
    store::Count,
};

const OURS: OrgId = OrgId(Uuid::from_u128(0x11));
/// Before ours, so that it is found first.
const THEIRS: OrgId = OrgId(Uuid::from_u128(0x10));
/// Too many for a block.
const USERS: u128 = 2500;
/// A user and a group of theirs alone.
const STRANGER: Uuid = Uuid::from_u128(900_000);
/// A user of both, with a name whose key is an old one.
const NAMED: u128 = 5;

fn user(n: u128) -> Uuid {
    Uuid::from_u128(n * 2)
}

/// What both have, and more of theirs.
fn rows(database: &TestDatabase) -> String {
    let id = |id: Uuid| database.literal(&id.to_string());
    let (ours, theirs, nil) = (id(OURS.0), id(THEIRS.0), id(Uuid::nil()));
    let (at, blob) = if database.is_sqlite() { ("0", "X'00'") } else { ("now()", "CAST('\\x00' AS bytea)") };
    let epoch = if database.is_sqlite() { "0" } else { "CAST('1970-01-01 00:00:00Z' AS timestamptz)" };
    let mut sql = String::new();
    let mut add = |table: &str, values: String| {
        let _ = write!(sql, "INSERT INTO {table} VALUES {values};");
    };
    let users = "scim_user (org, id, user_name, user_name_key, version, created, modified, resource, search)";
    let named = |n: u128| if n == NAMED { "\u{e9}".to_owned() } else { format!("u{n}") };
    let user_row = |org: &str, key: Uuid, name: &str| {
        format!("({org}, {}, '{name}', '{name}-old', 1, {at}, {at}, '', '{{}}')", id(key))
    };
    let of_ours: Vec<String> = (1..=USERS).map(|n| user_row(&ours, user(n), &named(n))).collect();
    // Theirs stand between ours and are as many.
    let of_theirs = (1..=USERS).map(|n| user_row(&theirs, Uuid::from_u128(n * 2 + 1), &format!("t{n}")));
    let of_theirs: Vec<String> =
        of_theirs.chain([user_row(&theirs, STRANGER, "stranger"), user_row(&theirs, user(NAMED), "\u{e9}")]).collect();
    add(users, of_ours.join(","));
    add(users, of_theirs.join(","));
    let blocks = "rank_block (org, resource_type, first_id, n)";
    // Found first: one too large that begins where none of ours does, and one where one of ours will.
    add(
        blocks,
        format!(
            "({theirs}, 1, {nil}, 7), ({theirs}, 1, {}, 2600), ({theirs}, 1, {}, 7), ({theirs}, 2, {nil}, 0)",
            id(user(300)),
            id(user(1001))
        ),
    );
    add(blocks, format!("({ours}, 1, {nil}, {USERS}), ({ours}, 2, {nil}, 0)"));
    // Theirs is as ours will be.
    add("event_head (org, last_seq, last_hash, splits)", format!("({ours}, 0, {blob}, 0), ({theirs}, 0, {blob}, 1)"));
    if !database.is_sqlite() {
        // The ids of changes are the same, too.
        let row = |org: &str, subject| {
            format!("({org}, {}, {at}, 'user.created', {}, '{{}}', '{{}}')", id(STRANGER), id(subject))
        };
        let pending = [row(&theirs, user(10)), row(&ours, user(310))].join(",");
        add("outbox (org, id, occurred, kind, subject, actor, delta)", pending);
    }
    add("group_tombstone (org, group_id, created)", format!("({theirs}, {}, {at})", id(STRANGER)));
    let key = |org: &str, key: &str| format!("({org}, 'c', '{key}', {}, {blob}, {epoch})", id(STRANGER));
    let keys = [key(&ours, "a"), key(&theirs, "a"), key(&theirs, "0"), key(&theirs, "b")];
    add("idempotency_key (org, caller, key, resource, digest, created)", keys.join(","));
    sql
}

fn count(conn: &mut AnyConnection, text: &str) -> Result<i64, store::Error> {
    Ok(Statement::new(text.to_owned(), []).row::<Count>(conn)?.map_or(0, |row| row.n))
}

/// All of it, for ours.
fn work(conn: &mut AnyConnection) -> Result<(), store::Error> {
    for lock in [Lock::Refer, Lock::Change, Lock::Delete] {
        assert!(user_lock(conn, OURS, UserId(STRANGER), lock)?.is_none(), "a user of theirs");
    }
    let theirs = GroupId(STRANGER);
    assert!(!tombstone_lock(conn, OURS, theirs)?, "a group of theirs that is gone");
    tombstone_delete(conn, OURS, theirs)?;
    let now = Instant::from_micros(KEPT_MICROS + 1);
    assert_eq!(keys_purge(conn, OURS, now, 1)?, 1, "ours, though theirs are as old");
    let names = names_page(conn, OURS, UserId(Uuid::nil()), 10)?;
    assert_eq!(names.len(), 1, "one of ours is beyond ASCII");
    name_key_update(conn, OURS, &names[0], "new")?;
    console::work(conn)?;
    blocks_split_alone(conn, OURS)?;
    if conn.backend() == Backend::Postgres {
        assert_eq!(events_number(conn, OURS, 10)?.events, 1, "a change of ours");
    }
    // The places of ours, and how many are at each: a thousand, and what is left.
    let first = |n: u128| match conn.backend() {
        Backend::Sqlite => format!("X'{}'", Uuid::from_u128(n * 2).simple()),
        Backend::Postgres => format!("CAST('{}' AS uuid)", Uuid::from_u128(n * 2)),
    };
    let places = [(first(0), 1000), (first(1001), 1000), (first(2001), 500)]
        .map(|(first, n)| format!("(first_id = {first} AND n = {n})"))
        .join(" OR ");
    let ours = match conn.backend() {
        Backend::Sqlite => format!("hex(org) = '{}'", OURS.0.simple()),
        Backend::Postgres => format!("CAST(org AS text) = '{}'", OURS.0),
    };
    let blocks = format!("SELECT count(*) AS n FROM rank_block WHERE {ours} AND resource_type = 1");
    assert_eq!(count(conn, &blocks)?, 3, "blocks of ours");
    assert_eq!(count(conn, &format!("{blocks} AND ({places})"))?, 3, "blocks of ours, as they should be");
    Ok(())
}

async fn kept(database: &TestDatabase) {
    let config = Config { url: database.direct().to_owned(), pool_size: 2 };
    let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
    database.execute(&rows(database)).expect("rows");
    database.execute(&console::rows(database)).expect("rows of consoles");
    let theirs = || {
        let tables = ["scim_user", "rank_block", "event_head", "outbox", "group_tombstone", "idempotency_key"];
        let rows = |table: &str| database.rows_of(table, &THEIRS.0.to_string()).expect("rows");
        tables.into_iter().chain(console::TABLES).map(rows).collect::<Vec<_>>()
    };
    let before = theirs();
    db.of(OURS).write(|conn| Ok::<_, Failure<String>>(work(conn)?)).await.expect("work");
    assert!(theirs() == before, "rows of another organization have changed");
}

#[tokio::test]
async fn work_in_the_background_keeps_to_its_organization() {
    for database in [testkit::sqlite(), testkit::postgres()] {
        kept(&database).await;
    }
}

/// Which it notices; `cargo xtask mutate` asks crates/scim-gateway/tests/tenancy for the others.
#[cfg(feature = "mutants")]
#[tokio::test]
async fn work_is_told_from_work_without_a_predicate() {
    use std::panic::AssertUnwindSafe;

    use futures::FutureExt as _;

    use crate::mutants;

    let mut killed = std::collections::BTreeSet::new();
    for fresh in [testkit::sqlite, testkit::postgres] {
        kept(&fresh()).await;
        for mutant in mutants::seen() {
            let database = fresh();
            mutants::choose(Some(mutant.clone()));
            let run = AssertUnwindSafe(kept(&database)).catch_unwind().await;
            mutants::choose(None);
            if run.is_err() {
                killed.insert(mutant);
            }
        }
    }
    assert!(!killed.is_empty(), "no predicate was taken out");
    if let Some(path) = std::env::var_os("ROLLCALL_MUTANTS_KILLED") {
        let lines: String = killed.iter().map(|mutant| format!("{mutant}\n")).collect();
        std::fs::write(path, lines).expect("written");
    }
}
