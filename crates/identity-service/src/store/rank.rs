//! Ranks: how many users or groups there are, which one is the N-th by id, and how many come after one. Resources are
//! counted in blocks of about a thousand, so none of these reads more than the blocks and one block's ids.
//!
//! The counts follow the events: on SQLite with each change, on PostgreSQL when the sequencer numbers them; what is
//! committed and not yet numbered is added from the outbox.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, SmallInt, Text},
};
use serde::Serialize;
use store::{AnyConnection, Backend, sql_types::Id};
use uuid::Uuid;

use super::{
    Count,
    statement::{AnyId, Statement, Value},
};
use crate::domain::{OrgId, event::Kind, list::Target};

/// Resources of a block when it is made.
const BLOCK: i64 = 1000;
/// A larger block is split.
pub(crate) const LARGEST_BLOCK: i64 = 2 * BLOCK;

/// One resource more or less.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Step {
    resource_type: i16,
    id: Uuid,
    n: i64,
}

impl Step {
    /// What an event does to the counts.
    pub(crate) fn of(kind: &str, subject: Uuid) -> Option<Self> {
        let step = |target, n| Some(Self { resource_type: code(target), id: subject, n });
        match kind {
            kind if kind == Kind::UserCreated.as_str() => step(Target::User, 1),
            kind if kind == Kind::UserRestored.as_str() => step(Target::User, 1),
            kind if kind == Kind::UserDeleted.as_str() => step(Target::User, -1),
            kind if kind == Kind::GroupCreated.as_str() => step(Target::Group, 1),
            kind if kind == Kind::GroupDeleted.as_str() => step(Target::Group, -1),
            _ => None,
        }
    }
}

fn code(target: Target) -> i16 {
    match target {
        Target::User => 1,
        Target::Group => 2,
    }
}

pub(super) fn table(target: Target) -> &'static str {
    match target {
        Target::User => "scim_user",
        Target::Group => "scim_group",
    }
}

#[derive(QueryableByName)]
struct BlockRow {
    #[diesel(sql_type = SmallInt)]
    resource_type: i16,
    #[diesel(sql_type = Id)]
    first_id: AnyId,
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// The first blocks of an organization, which every id falls into at first.
pub(crate) fn blocks_insert(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    let insert = "INSERT INTO rank_block (org, resource_type, first_id, n) VALUES (?, 1, ?, 0), (?, 2, ?, 0) \
                  ON CONFLICT DO NOTHING";
    let (org, first) = (Value::id(org), Value::id(Uuid::nil()));
    Statement::new(insert, [org.clone(), first.clone(), org, first]).run(conn)?;
    Ok(())
}

/// Counts a change in the transaction that makes it, on SQLite. Whether a block has grown too large: split it when all
/// changes are counted.
pub(crate) fn blocks_step(conn: &mut AnyConnection, org: OrgId, step: Step) -> Result<bool, store::Error> {
    let update = "UPDATE rank_block SET n = n + ? WHERE org = ? AND resource_type = ? AND first_id = \
                  (SELECT b.first_id FROM rank_block b WHERE b.org = ? AND b.resource_type = ? AND b.first_id <= ? \
                  ORDER BY b.first_id DESC LIMIT 1) RETURNING resource_type, first_id, n";
    let kind = Value::Integer(step.resource_type.into());
    let values = [Value::Integer(step.n), Value::id(org), kind.clone(), Value::id(org), kind, Value::id(step.id)];
    let block: Option<BlockRow> = Statement::new(update, values).row(conn)?;
    let block =
        block.ok_or_else(|| store::Error::Other("an organization has no first block to count in".to_owned()))?;
    Ok(block.n > LARGEST_BLOCK)
}

/// Parts of a WITH on PostgreSQL that count changes if `head` has a row: `counted` holds the blocks as they are then.
/// They are not needed where nothing was created or deleted.
pub(crate) fn blocks_counted(org: OrgId, steps: &[Step]) -> Result<Statement, store::Error> {
    let steps = serde_json::to_string(steps).map_err(|error| store::Error::Other(error.to_string()))?;
    Ok(Statement::new(
        "counted AS (UPDATE rank_block b SET n = b.n + d.n FROM \
         (SELECT f.resource_type, f.first_id, sum(s.n) AS n FROM head, json_to_recordset(CAST(? AS json)) \
         AS s (resource_type smallint, id uuid, n bigint) CROSS JOIN LATERAL \
         (SELECT k.resource_type, k.first_id FROM rank_block k WHERE k.org = ? AND k.resource_type = s.resource_type \
         AND k.first_id <= s.id ORDER BY k.first_id DESC LIMIT 1) f GROUP BY f.resource_type, f.first_id) d \
         WHERE b.org = ? AND b.resource_type = d.resource_type AND b.first_id = d.first_id RETURNING b.n)",
        [Value::text(steps), Value::id(org), Value::id(org)],
    ))
}

/// Splits the blocks that have grown too large. PostgreSQL: through
/// [`blocks_split_alone`](super::event::blocks_split_alone).
pub(crate) fn blocks_split(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    let large = "SELECT resource_type, first_id, n FROM rank_block WHERE org = ? AND n > ?";
    let blocks: Vec<BlockRow> = Statement::new(large, [Value::id(org), Value::Integer(LARGEST_BLOCK)]).rows(conn)?;
    blocks.iter().try_for_each(|block| block_split(conn, org, block))
}

fn block_split(conn: &mut AnyConnection, org: OrgId, block: &BlockRow) -> Result<(), store::Error> {
    let target = if block.resource_type == code(Target::User) { Target::User } else { Target::Group };
    let (backend, table, code) = (conn.backend(), table(target), code(target));
    let (first, org) = (Value::id(block.first_id.0), Value::id(org));
    let next = format!(
        "SELECT resource_type, first_id, n FROM rank_block WHERE org = ? AND resource_type = {code} AND first_id > ? \
         ORDER BY first_id LIMIT 1"
    );
    let next: Option<BlockRow> = Statement::new(next, [org.clone(), first.clone()]).row(conn)?;
    let end = Value::id(next.map_or(Uuid::max(), |next| next.first_id.0));
    let insert = format!(
        "INSERT INTO rank_block (org, resource_type, first_id, n) SELECT f.org, {code}, f.id, 0 FROM \
         (SELECT r.org, r.id, row_number() OVER (ORDER BY r.id) AS i FROM {table} r WHERE r.org = ? AND r.id >= ? AND \
         r.id < ?) f WHERE f.i > 1 AND f.i % {BLOCK} = 1"
    );
    Statement::new(insert, [org.clone(), first.clone(), end.clone()]).run(conn)?;
    let blocks = format!(
        "(SELECT w.*, row_number() OVER (ORDER BY w.first_id) AS place FROM \
         (SELECT k.org, k.first_id, coalesce(lead(k.first_id) OVER (ORDER BY k.first_id), ?) AS next FROM rank_block k \
         WHERE k.org = ? AND k.resource_type = {code}) w WHERE w.first_id >= ? AND w.first_id < ?) v"
    );
    let rows = format!("(SELECT count(*) FROM {table} r WHERE r.org = v.org AND r.id >= v.first_id AND r.id < v.next)");
    let range = [first, end];
    let mut count = Statement::new("UPDATE rank_block AS b SET n = f.n FROM (SELECT v.org, v.first_id, ", []);
    match backend {
        Backend::Sqlite => count.push(&format!("{rows} AS n FROM {blocks}"), []),
        // What the outbox holds is in the table and not in the counts. It may hold a million: it is read once, sorted among the
        // blocks, each of which counts those after it.
        Backend::Postgres => count.push(&format!("{rows} - coalesce(q.n, 0) AS n FROM {blocks}"), []),
    };
    count.bind([Value::id(Uuid::max()), org.clone()]).bind(range.clone());
    if backend == Backend::Postgres {
        let pending = format!(
            " LEFT JOIN (SELECT m.place, sum(m.n) AS n FROM (SELECT count(e.block) OVER (ORDER BY e.key, e.block) AS place, e.n FROM \
             (SELECT k.first_id AS key, 1 AS block, 0 AS n FROM rank_block k WHERE k.org = ? AND k.resource_type = {code} AND \
             k.first_id >= ? AND k.first_id < ? UNION ALL \
             SELECT p.subject, NULL, {} FROM outbox p WHERE p.org = ? AND p.kind IN ({}) AND p.subject >= ? AND p.subject < ?) e) m \
             GROUP BY m.place) q ON q.place = v.place",
            pending_n(target),
            pending_kinds(target)
        );
        count.push(&pending, [org.clone()]).bind(range.clone()).bind([org]).bind(range);
    }
    count.push(&format!(") f WHERE b.org = f.org AND b.resource_type = {code} AND b.first_id = f.first_id"), []);
    count.run(conn)?;
    Ok(())
}

/// What a pending change `p` adds.
fn pending_n(target: Target) -> &'static str {
    match target {
        Target::User => "CASE p.kind WHEN 'user.deleted' THEN -1 ELSE 1 END",
        Target::Group => "CASE p.kind WHEN 'group.created' THEN 1 ELSE -1 END",
    }
}

fn pending_kinds(target: Target) -> &'static str {
    match target {
        Target::User => "'user.created', 'user.restored', 'user.deleted'",
        Target::Group => "'group.created', 'group.deleted'",
    }
}

/// A table expression: blocks and pending changes, each with its first id (`key`) and what it adds (`n`).
fn counts(backend: Backend, org: OrgId, target: Target) -> Statement {
    let blocks = format!(
        "(SELECT b.first_id AS key, b.n, 1 AS block FROM rank_block b WHERE b.org = ? AND b.resource_type = {}",
        code(target)
    );
    let mut counts = Statement::new(blocks, [Value::id(org)]);
    if backend == Backend::Postgres {
        let pending = format!(
            " UNION ALL SELECT p.subject, {}, 0 FROM outbox p WHERE p.org = ? AND p.kind IN ({})",
            pending_n(target),
            pending_kinds(target)
        );
        counts.push(&pending, [Value::id(org)]);
    }
    std::mem::take(counts.push(")", []))
}

/// How many there are.
pub(crate) fn rank_total(conn: &mut AnyConnection, org: OrgId, target: Target) -> Result<i64, store::Error> {
    Ok(total_of(conn.backend(), org, target).row::<Count>(conn)?.map_or(0, |row| row.n))
}

/// The same as a SELECT of one row, for a statement that needs it on the way.
pub(crate) fn total_of(backend: Backend, org: OrgId, target: Target) -> Statement {
    let mut total = Statement::new("SELECT CAST(coalesce(sum(c.n), 0) AS bigint) AS n FROM ", []);
    total.append(counts(backend, org, target));
    std::mem::take(total.push(" c", []))
}

/// Somewhere before the resource that has so many before it: an id, and how many there are from it on to that resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) from: Uuid,
    pub(crate) skip: i64,
}

#[derive(QueryableByName)]
struct SpotRow {
    #[diesel(sql_type = Id)]
    key: AnyId,
    #[diesel(sql_type = BigInt)]
    before: i64,
}

/// On SQLite in a snapshot: it takes two statements.
pub(crate) fn rank_seek(conn: &mut AnyConnection, org: OrgId, target: Target, rank: i64) -> Result<Spot, store::Error> {
    match conn.backend() {
        Backend::Postgres => {
            let mut seek = Statement::new(
                "SELECT s.key, s.before FROM (SELECT c.key, c.block, CAST(sum(c.n) OVER (ORDER BY c.key, c.block DESC) - c.n \
                 AS bigint) AS before FROM ",
                [],
            );
            seek.append(counts(Backend::Postgres, org, target));
            seek.push(" c) s WHERE s.block = 1 AND s.before <= ? ORDER BY s.key DESC LIMIT 1", [Value::Integer(rank)]);
            let row: Option<SpotRow> = seek.row(conn)?;
            Ok(row.map_or(Spot { from: Uuid::nil(), skip: rank }, |row| Spot {
                from: row.key.0,
                skip: rank - row.before,
            }))
        }
        Backend::Sqlite => seek_by_list(conn, org, target, rank),
    }
}

#[derive(QueryableByName)]
struct ListRow {
    #[diesel(sql_type = Text)]
    list: String,
}

/// SQLite's window functions take ten times as long over a thousand blocks.
fn seek_by_list(conn: &mut AnyConnection, org: OrgId, target: Target, rank: i64) -> Result<Spot, store::Error> {
    let code = code(target);
    let list = format!(
        "SELECT coalesce(group_concat(b.n), '') AS list FROM (SELECT k.n FROM rank_block k WHERE k.org = ? AND \
         k.resource_type = {code} ORDER BY k.first_id) b"
    );
    let list: Option<ListRow> = Statement::new(list, [Value::id(org)]).row(conn)?;
    let list = list.map_or_else(String::new, |row| row.list);
    let (mut before, mut places) = (0, 0);
    for n in list.split(',').filter(|n| !n.is_empty()) {
        let n: i64 = n.parse().map_err(|_| store::Error::Other("a block has no number of resources".to_owned()))?;
        if before + n > rank {
            break;
        }
        (before, places) = (before + n, places + 1);
    }
    // Beyond the last block there is nobody.
    let key = format!(
        "SELECT k.first_id AS key, CAST(? AS bigint) AS before FROM rank_block k WHERE k.org = ? AND k.resource_type = {code} \
         ORDER BY k.first_id LIMIT 1 OFFSET ? + 0"
    );
    let values = [Value::Integer(before), Value::id(org), Value::Integer(places)];
    let row: Option<SpotRow> = Statement::new(key, values).row(conn)?;
    Ok(row.map_or(Spot { from: Uuid::max(), skip: rank - before }, |row| Spot { from: row.key.0, skip: rank - before }))
}

/// How many have a greater id: what is in its block and the later ones, less those of its block up to it.
pub(crate) fn rank_after(conn: &mut AnyConnection, org: OrgId, target: Target, id: Uuid) -> Result<i64, store::Error> {
    let (org_id, id) = (Value::id(org), Value::id(id));
    // The block is found first and once; left to themselves, planners count for each block before the last.
    let mut after = Statement::new(
        format!(
            "WITH block AS MATERIALIZED (SELECT k.first_id AS key FROM rank_block k WHERE k.org = ? AND k.resource_type = {} \
             AND k.first_id <= ? ORDER BY k.first_id DESC LIMIT 1) \
             SELECT CAST(coalesce(sum(c.n), 0) AS bigint) - (SELECT count(*) FROM {} r WHERE r.org = ? AND \
             r.id >= (SELECT b.key FROM block b) AND r.id <= ?) AS n FROM block b CROSS JOIN ",
            code(target),
            table(target)
        ),
        [org_id.clone(), id.clone(), org_id, id],
    );
    after.append(counts(conn.backend(), org, target)).push(" c WHERE c.key >= b.key", []);
    Ok(after.row::<Count>(conn)?.map_or(0, |row| row.n))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use store::{Clock, Config, Db, Failure, Ids, Instant, Random};

    use super::*;
    use crate::{
        domain::{
            actor::{Actor, ActorKind},
            event::NewEvent,
        },
        store::event::{Author, blocks_split_alone, events_append, events_number},
    };

    const ORG: OrgId = OrgId(Uuid::from_u128(1));

    /// Spread over all ids, each one another.
    fn id(n: u64) -> Uuid {
        Uuid::from_u128(u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n))
    }

    fn change(conn: &mut AnyConnection, ids: &Ids, kind: Kind, users: &[Uuid]) -> Result<(), store::Error> {
        let text = if kind == Kind::UserCreated {
            let instant = if conn.backend() == Backend::Sqlite { "0" } else { "now()" };
            format!(
                "INSERT INTO scim_user (org, id, user_name, user_name_key, version, created, modified, resource, search) \
                 SELECT ?, CAST(i.id AS {}), {name}, {name}, 1, {instant}, {instant}, '', '{{}}' FROM {} i",
                if conn.backend() == Backend::Sqlite { "BLOB" } else { "uuid" },
                super::super::statement::each(conn.backend()),
                name = if conn.backend() == Backend::Sqlite { "hex(i.id)" } else { "CAST(i.id AS text)" },
            )
        } else {
            format!(
                "DELETE FROM scim_user WHERE org = ? AND id IN (SELECT i.id FROM {} i)",
                super::super::statement::each(conn.backend())
            )
        };
        Statement::new(text, [Value::id(ORG), Value::ids(conn.backend(), users)]).run(conn)?;
        let actor = Actor { kind: ActorKind::Administrator { name: "a".to_owned() }, request_id: String::new() };
        let author = Author { actor: &actor, now: Instant::from_micros(0), ids };
        let event = |user: &Uuid| NewEvent { kind, subject: *user, delta: serde_json::json!({}) };
        events_append(conn, ORG, &author, &users.iter().map(event).collect::<Vec<_>>())
    }

    fn number(conn: &mut AnyConnection, limit: i64) -> Result<(), store::Error> {
        if conn.backend() == Backend::Postgres && events_number(conn, ORG, limit)?.split {
            blocks_split_alone(conn, ORG)?;
        }
        Ok(())
    }

    fn check(conn: &mut AnyConnection, users: &BTreeSet<Uuid>) -> Result<(), store::Error> {
        let sorted: Vec<Uuid> = users.iter().copied().collect();
        let count = |n: usize| i64::try_from(n).expect("small");
        let pending = Statement::new("SELECT count(*) AS n FROM outbox", []).row::<Count>(conn)?.map_or(0, |row| row.n);
        assert_eq!(rank_total(conn, ORG, Target::User)?, count(sorted.len()));
        assert_eq!(rank_total(conn, ORG, Target::Group)?, 0);
        for rank in (0..sorted.len()).step_by(487).chain([0, sorted.len() - 1]) {
            let spot = rank_seek(conn, ORG, Target::User, count(rank))?;
            let found = sorted.iter().filter(|id| **id >= spot.from).nth(usize::try_from(spot.skip).expect("positive"));
            assert_eq!(found, Some(&sorted[rank]), "{rank} {spot:?}");
            assert!(spot.skip <= LARGEST_BLOCK + pending, "{rank} {spot:?}");
            let after = rank_after(conn, ORG, Target::User, sorted[rank])?;
            assert_eq!(after, count(sorted.len() - rank - 1), "{rank}");
        }
        assert_eq!(rank_after(conn, ORG, Target::User, Uuid::max())?, 0);
        assert_eq!(rank_after(conn, ORG, Target::User, Uuid::nil())?, count(sorted.len()));
        Ok(())
    }

    #[tokio::test]
    async fn ranks_are_exact_whatever_is_numbered_yet() {
        for database in [testkit::sqlite(), testkit::postgres()] {
            let config = Config { url: database.url().to_owned(), pool_size: 2 };
            let opened = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
            let db = opened.of(ORG);
            let ids = Ids::new(Clock::fixed(Instant::from_micros(1)), Random::system());
            db.write(move |conn| {
                blocks_insert(conn, ORG)?;
                let mut users = BTreeSet::new();
                for round in 0..9_u64 {
                    let new: Vec<Uuid> = (1 + round * 600..=(round + 1) * 600).map(id).collect();
                    change(conn, &ids, Kind::UserCreated, &new)?;
                    users.extend(&new);
                    check(conn, &users)?;
                    let gone: Vec<Uuid> = new.iter().copied().step_by(3).collect();
                    change(conn, &ids, Kind::UserDeleted, &gone)?;
                    gone.iter().for_each(|id| assert!(users.remove(id)));
                    number(conn, 500)?;
                    check(conn, &users)?;
                }
                for _ in 0..20 {
                    number(conn, 500)?;
                }
                check(conn, &users)?;
                // All gone: the blocks stay and count nothing.
                let gone: Vec<Uuid> = users.iter().copied().skip(1).collect();
                change(conn, &ids, Kind::UserDeleted, &gone)?;
                check(conn, &users.iter().take(1).copied().collect())?;
                let blocks =
                    Statement::new("SELECT count(*) AS n FROM rank_block WHERE n >= 0", []).row::<Count>(conn)?;
                assert!(blocks.is_some_and(|row| row.n > 3), "blocks were split");
                Ok::<_, Failure<String>>(())
            })
            .await
            .expect("ranks");
        }
    }
}
