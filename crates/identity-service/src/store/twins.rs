//! Work that a client's request does not reach, or seldom: it keeps to its organization, too. Another one has the same ids, as
//! in crates/scim-gateway/tests/tenancy, and rows that a statement would find that forgets the organization.
//!
//! Without row-level security, which would hide what is wrong. With the feature `mutants` (`cargo xtask mutate`) tenant
//! predicates are taken out, one at a time.

mod account;
mod console;
mod log;

use std::fmt::Write as _;

use store::{AnyConnection, Backend, Config, Db, Failure, Instant};
use testkit::TestDatabase;
use uuid::Uuid;

use super::{
    deleted_user::{deleted_purge, is_held, move_delete, move_lock, move_of, purgeable_lock, saved_groups_purge},
    event::{blocks_split_alone, events_number},
    hold::{
        decided_until, deleted_between, events_after, first_loss, hold_counts, hold_get, hold_in, hold_lock,
        hold_losses, hold_write, holds, loss_done, losses_by, losses_failed, losses_over_delete, losses_pending,
        losses_purge, lost_between, still_lost_between, watch_lock, watch_write, watched_until,
    },
    idempotency::keys_purge,
    statement::{Lock, Statement},
    subject::names,
    tombstone::{tombstone_delete, tombstone_lock},
    user::user_lock,
    user_name::{name_key_update, names_page},
};
use crate::{
    domain::{
        GroupId, OrgId, UserId,
        deletion::Direction,
        hold::{Hold, HoldId, Lost, State},
        idempotency::KEPT_MICROS,
    },
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
        let row = |org: &str, at: &str, subject| {
            format!("({org}, {}, {at}, 'user.created', {}, '{{}}', '{{}}')", id(STRANGER), id(subject))
        };
        let pending = [row(&theirs, epoch, user(10)), row(&ours, at, user(310))].join(",");
        add("outbox (org, id, occurred, kind, subject, actor, delta)", pending);
    }
    let deleted = "deleted_user (org, id, version, created, modified, resource, deleted_at, purge_at, deleted_by)";
    let second = if database.is_sqlite() { "1000000" } else { "CAST('1970-01-01 00:00:01Z' AS timestamptz)" };
    let gone =
        |org: &str, user: Uuid, at: &str| format!("({org}, {}, 1, {at}, {at}, '{{}}', {at}, {at}, '{{}}')", id(user));
    let of_theirs = [gone(&theirs, user(1), epoch), gone(&theirs, STRANGER, second)];
    add(deleted, [&of_theirs[..], &[gone(&ours, STRANGER, second)]].concat().join(","));
    let saved = |org: &str, group: u128| format!("({org}, {}, {}, 'g')", id(STRANGER), id(Uuid::from_u128(group)));
    let saved = [saved(&theirs, 1), saved(&theirs, 2), saved(&ours, 2)].join(",");
    add("deleted_user_group (org, user_id, group_id, display_name)", saved);
    let holds = "hold (org, id, state, opened, first_at, last_at, users, deactivated, deleted, failed)";
    let third = if database.is_sqlite() { "3000000" } else { "CAST('1970-01-01 00:00:03Z' AS timestamptz)" };
    let hold = |org: &str, hold: u128, state: u8, (from, to): (&str, &str)| {
        let hold = id(Uuid::from_u128(hold));
        format!("({org}, {hold}, {state}, {second}, {from}, {to}, 9, 0, 0, 0)")
    };
    let (long, short) = ((epoch, third), (second, second));
    // Theirs are open where ours is decided, reach further, and hold who is not held here.
    let of_both =
        [hold(&theirs, 1, 1, long), hold(&theirs, 9, 3, long), hold(&theirs, 8, 2, long), hold(&ours, 1, 3, short)];
    add(holds, of_both.join(","));
    let loss = |org: &str, seq: i64, user: u128, kind: u8, at: &str, state: u8| {
        format!("({org}, {seq}, {}, {kind}, {at}, '{{}}', {state})", id(Uuid::from_u128(user)))
    };
    let losses = [
        loss(&theirs, 1, 1, 2, epoch, 0),
        loss(&theirs, 2, 2, 2, second, 0),
        loss(&theirs, 3, 3, 1, second, 2),
        loss(&theirs, 4, 4, 1, second, 0),
        loss(&theirs, 5, 4, 1, second, 0),
        // Of users that theirs has and ours has not, and after ours.
        loss(&theirs, 6, 7, 2, second, 0),
        loss(&theirs, 8, 5, 2, second, 0),
        loss(&theirs, 9, 6, 1, second, 2),
        loss(&ours, 5, 5, 2, second, 0),
        loss(&ours, 6, 6, 1, second, 2),
        // Who is there again.
        loss(&ours, 7, 8, 2, second, 0),
    ];
    add("access_loss (org, seq, user_id, kind, occurred, actor, state)", losses.join(","));
    let event = |org: &str, seq: i64, at: &str| {
        let any = id(STRANGER);
        format!("({org}, {seq}, {any}, {at}, 'k', {any}, '{{}}', '{{}}', {blob})")
    };
    let events = [event(&theirs, 9, epoch), event(&ours, 5, second)].join(",");
    add("event (org, seq, id, occurred, kind, subject, actor, delta, hash)", events);
    add("loss_watch (org, seq)", format!("({theirs}, 7), ({ours}, 3)"));
    add("membership_move (org, user_id, direction, created)", format!("({theirs}, {}, 1, {at})", id(STRANGER)));
    add("group_tombstone (org, group_id, created)", format!("({theirs}, {}, {at})", id(STRANGER)));
    let key = |org: &str, key: &str| format!("({org}, 'c', '{key}', {}, {blob}, {epoch})", id(STRANGER));
    let keys = [key(&ours, "a"), key(&theirs, "a"), key(&theirs, "0"), key(&theirs, "b")];
    add("idempotency_key (org, caller, key, resource, digest, created)", keys.join(","));
    sql
}

fn count(conn: &mut AnyConnection, text: &str) -> Result<i64, store::Error> {
    Ok(Statement::new(text.to_owned(), []).row::<Count>(conn)?.map_or(0, |row| row.n))
}

/// Holds, and what they are made of.
fn held(conn: &mut AnyConnection) -> Result<(), store::Error> {
    let (from, to) = (Instant::from_micros(0), Instant::from_micros(1_000_000));
    assert_eq!(watch_lock(conn, OURS)?, 3);
    assert!(watched_until(conn, OURS, from)?, "though there is one of theirs");
    assert!(!watched_until(conn, OURS, to)?, "though theirs are read further");
    let seen: Vec<i64> = events_after(conn, OURS, 0, 10)?.iter().map(|event| event.seq).collect();
    assert_eq!(seen, [5]);
    watch_write(conn, OURS, 4)?;
    assert_eq!((lost_between(conn, OURS, from, to)?, deleted_between(conn, OURS, from, to)?), (3, 1));
    assert_eq!(still_lost_between(conn, OURS, from, to)?, 2);
    assert_eq!(first_loss(conn, OURS, from)?, Some(to));
    assert_eq!(losses_by(conn, OURS, from, to)?, [("{}".to_owned(), 3)]);
    assert_eq!(decided_until(conn, OURS)?, Some(to));
    assert_eq!(hold_in(conn, OURS, State::Open)?, None, "one of theirs");
    assert_eq!(hold_in(conn, OURS, State::Approved)?, None, "one of theirs");
    assert_eq!(holds(conn, OURS, 10)?.len(), 1);
    assert_eq!(hold_lock(conn, OURS, HoldId(Uuid::from_u128(9)))?, None, "one of theirs");
    let mut hold = hold_lock(conn, OURS, HoldId(Uuid::from_u128(1)))?.expect("one of ours");
    assert_eq!(hold.state, State::Restoring);
    assert_eq!(hold_get(conn, OURS, HoldId(Uuid::from_u128(9)))?, None, "one of theirs");
    let seqs = |losses: Vec<Lost>| losses.iter().map(|lost| lost.seq).collect::<Vec<_>>();
    assert_eq!(seqs(hold_losses(conn, OURS, &hold, 0, 10)?), [5, 6, 7]);
    let open = Hold { state: State::Open, ..hold.clone() };
    assert_eq!(seqs(hold_losses(conn, OURS, &open, 0, 10)?), [5, 6], "less who is there again");
    let counts = hold_counts(conn, OURS, &open)?;
    assert_eq!((counts.deactivated, counts.deleted), (1, 1));
    losses_over_delete(conn, OURS, &hold)?;
    let counts = hold_counts(conn, OURS, &hold)?;
    assert_eq!((counts.deactivated, counts.deleted, counts.failed, counts.restored), (1, 1, 1, 0));
    let pending = seqs(losses_pending(conn, OURS, &hold, 10)?);
    loss_done(conn, OURS, 6, Some("later"))?;
    assert_eq!(losses_failed(conn, OURS, &hold, 10)?[0].why, "", "what was said first stays");
    assert_eq!((pending, losses_failed(conn, OURS, &hold, 10)?.len()), (vec![5], 1));
    loss_done(conn, OURS, 5, None)?;
    loss_done(conn, OURS, 2, None)?;
    hold.state = State::Approved;
    hold_write(conn, OURS, &hold)?;
    // What is left of ours is what failed; theirs that are earlier stay.
    let later = Instant::from_micros(2_000_000);
    assert_eq!(losses_purge(conn, OURS, later, 1)?, 1, "ours, though theirs are first");
    assert_eq!(lost_between(conn, OURS, from, to)?, 1);
    Ok(())
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
    assert_eq!(move_of(conn, OURS, UserId(STRANGER))?, None, "one of theirs that leaves");
    assert!(!move_lock(conn, OURS, UserId(STRANGER), Direction::Out)?, "one of theirs that leaves");
    move_delete(conn, OURS, UserId(STRANGER))?;
    held(conn)?;
    let called = names(conn, OURS, &[user(1), STRANGER, Uuid::from_u128(3)])?;
    assert_eq!((called[&user(1)].name.as_str(), called[&STRANGER].name.as_str(), called.len()), ("u1", "", 2));
    assert!(!is_held(conn, OURS, UserId(STRANGER))?, "by a hold of theirs");
    assert_eq!(purgeable_lock(conn, OURS, now, 1)?, [STRANGER], "ours, though one of theirs is first");
    assert_eq!(saved_groups_purge(conn, OURS, &[STRANGER], 1)?, 1, "ours, though one of theirs is first");
    deleted_purge(conn, OURS, &[STRANGER])?;
    let names = names_page(conn, OURS, UserId(Uuid::nil()), 10)?;
    assert_eq!(names.len(), 1, "one of ours is beyond ASCII");
    name_key_update(conn, OURS, &names[0], "new")?;
    account::work(conn, OURS)?;
    console::work(conn, OURS)?;
    log::work(conn, log::NUMBERED)?;
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
    database.execute(&account::rows(database)).expect("rows of accounts");
    database.execute(&console::rows(database)).expect("rows of consoles");
    database.execute(&log::rows(database)).expect("rows of logs");
    let theirs = || {
        let tables = [
            "scim_user",
            "rank_block",
            "event_head",
            "outbox",
            "group_tombstone",
            "idempotency_key",
            "deleted_user",
            "deleted_user_group",
            "membership_move",
            "hold",
            "access_loss",
            "loss_watch",
        ];
        let rows = |table: &str| database.rows_of(table, &THEIRS.0.to_string()).expect("rows");
        tables
            .into_iter()
            .chain(account::TABLES)
            .chain(console::TABLES)
            .chain(log::TABLES)
            .map(rows)
            .collect::<Vec<_>>()
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
