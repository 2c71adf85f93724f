//! The outbox, which writers fill, and the numbered events that the sequencer makes of it.

use std::fmt::Write as _;

use diesel::{prelude::*, sql_types::BigInt};
use serde::Serialize;
use store::{AnyConnection, Backend, Ids, Instant, sql_types::Id};
use uuid::Uuid;

use super::{
    Count,
    rank::{LARGEST_BLOCK, Step, blocks_counted, blocks_split, blocks_step},
    schema::{event, event_head, outbox},
    statement::{AnyId, Statement, Value, limit_to},
};
use crate::domain::{
    OrgId,
    actor::Actor,
    event::{GENESIS, Kind, Link, NewEvent, chain},
};

/// Rows of one INSERT, seven values each.
const ROWS_PER_INSERT: usize = 500;
/// Up to so many rows have a statement kept in the cache.
const FEW_ROWS: usize = 2;

#[derive(QueryableByName)]
#[diesel(table_name = outbox)]
struct OutboxRow {
    #[diesel(sql_type = Id)]
    id: AnyId,
    occurred: Instant,
    kind: String,
    #[diesel(sql_type = Id)]
    subject: AnyId,
    actor: String,
    delta: String,
}

/// A numbered event.
#[derive(Clone, Debug, QueryableByName)]
#[diesel(table_name = event)]
pub(crate) struct EventRow {
    org: OrgId,
    pub(crate) seq: i64,
    #[diesel(sql_type = Id)]
    id: AnyId,
    pub(crate) occurred: Instant,
    pub(crate) kind: String,
    #[diesel(sql_type = Id)]
    pub(crate) subject: AnyId,
    pub(crate) actor: String,
    pub(crate) delta: String,
    pub(crate) hash: Vec<u8>,
}

/// Who changes something, when, and where the ids of events come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) now: Instant,
    pub(crate) ids: &'a Ids,
}

/// Records changes in the transaction that makes them. Their order is that in which the rows that they are about were
/// locked.
///
/// SQLite has one writer, so they are numbered at once. On PostgreSQL that is left to the sequencer.
pub(crate) fn events_append(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    events: &[NewEvent],
) -> Result<(), store::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let actor = author.actor.to_json();
    match conn.backend() {
        Backend::Sqlite => {
            let rows = events.iter().map(|new| OutboxRow {
                id: AnyId(author.ids.next()),
                occurred: author.now,
                kind: new.kind.as_str().to_owned(),
                subject: AnyId(new.subject),
                actor: actor.clone(),
                delta: new.delta.to_string(),
            });
            let (mut head, rows) = (head(conn, org)?, rows.collect());
            let mut large = false;
            for numbered in head.number(org, rows) {
                if let Some(step) = Step::of(&numbered.kind, numbered.subject.0) {
                    large |= blocks_step(conn, org, step)?;
                }
                event_insert(conn, numbered)?;
            }
            if large {
                blocks_split(conn, org)?;
            }
            head_write(conn, org, head)
        }
        Backend::Postgres => {
            for (chunk, first) in events.chunks(ROWS_PER_INSERT).zip((0_u64..).step_by(ROWS_PER_INSERT)) {
                let mut insert = Statement::new(format!("INSERT INTO outbox ({OUTBOX_COLUMNS}) VALUES "), []);
                for (new, position) in chunk.iter().zip(first..) {
                    insert.push(if position == first { "(?, " } else { ", (?, " }, [Value::id(org)]);
                    insert.append(event_values(author, position, &actor, new.kind, new.subject));
                    insert.push("?)", [Value::text(new.delta.to_string())]);
                }
                let insert = if chunk.len() > FEW_ROWS { insert.shaped() } else { insert };
                insert.run(conn)?;
            }
            Ok(())
        }
    }
}

/// A part of a WITH on PostgreSQL that records one change for each row of `made`, which is one row or none: the change is
/// recorded if it was made.
pub(crate) fn event_of_made(author: &Author<'_>, new: &NewEvent) -> Statement {
    let delta = Statement::new("?", [Value::text(new.delta.to_string())]);
    event_of_made_with(author, new.kind, new.subject, delta)
}

/// The same where only the statement itself knows the delta: an expression over the row `m` of `made`.
pub(crate) fn event_of_made_with(author: &Author<'_>, kind: Kind, subject: Uuid, delta: Statement) -> Statement {
    let mut part = Statement::new(format!("recorded AS (INSERT INTO outbox ({OUTBOX_COLUMNS}) SELECT m.org, "), []);
    part.append(event_values(author, 0, &author.actor.to_json(), kind, subject));
    part.append(delta).push(" FROM made m)", []);
    part
}

/// The columns of an outbox row; [`event_values`] gives all but the first and the last.
const OUTBOX_COLUMNS: &str = "org, id, occurred, kind, subject, actor, delta";

/// The values of an outbox row on PostgreSQL between the organization and the delta, each with a comma after it. The id is a UUIDv7 of the
/// server's clock when the row is made: where that waits for a lock, after it. So the order of ids is that of the locks,
/// whichever process and statement a change comes from.
fn event_values(author: &Author<'_>, position: u64, actor: &str, kind: Kind, subject: Uuid) -> Statement {
    // 48 bits of milliseconds and 12 of their fraction are 4096 to the millisecond.
    const TEXT: &str = "CAST(overlay(lpad(to_hex(CAST(extract(epoch FROM clock_timestamp()) * 4096000 AS bigint)), 15, '0') \
         PLACING '7' FROM 13 FOR 0) || ? AS uuid), ?, ?, ?, ?, ";
    let values = [
        Value::text(id_tail(author.ids.next(), position)),
        Value::Instant(author.now),
        Value::text(kind.as_str()),
        Value::id(subject),
        Value::text(actor),
    ];
    Statement::new(TEXT, values)
}

/// The last 16 digits of an id: variant, then the place among the changes that are made together, then randomness.
fn id_tail(random: Uuid, position: u64) -> String {
    let (_, random) = random.as_u64_pair();
    let tail = 0b10 << 62 | position.min(0x3fff) << 48 | random & 0xffff_ffff_ffff;
    format!("{tail:016x}")
}

/// Some organizations with changes that are not yet numbered.
pub(crate) fn outbox_organizations(conn: &mut AnyConnection, limit: i64) -> Result<Vec<OrgId>, store::Error> {
    Ok(outbox::table.select(outbox::org).distinct().limit(limit).load(conn)?)
}

/// What came of numbering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) events: i64,
    /// A block of resources has grown too large, see [`blocks_split_alone`].
    pub(crate) split: bool,
}

#[derive(QueryableByName)]
struct NumberedRow {
    #[diesel(sql_type = BigInt)]
    events: i64,
    #[diesel(sql_type = BigInt)]
    large: i64,
}

/// Moves committed changes of an organization into its numbered events, at most `limit`, and counts what was created and
/// deleted. One statement writes, and only if no other process has numbered since the head was read. PostgreSQL only.
pub(crate) fn events_number(conn: &mut AnyConnection, org: OrgId, limit: i64) -> Result<Numbered, store::Error> {
    let mut head = head(conn, org)?;
    let pending = "SELECT id, occurred, kind, subject, actor, delta FROM outbox WHERE org = ? ORDER BY id LIMIT ?";
    let rows: Vec<OutboxRow> = Statement::new(pending, [Value::id(org), Value::Integer(limit)]).rows(conn)?;
    if rows.is_empty() {
        return Ok(Numbered::default());
    }
    let seen = head.last_seq;
    let numbered = head.number(org, rows);
    let steps: Vec<Step> = numbered.iter().filter_map(|event| Step::of(&event.kind, event.subject.0)).collect();
    let moves: Vec<Move> =
        numbered.iter().map(|event| Move { id: event.id.0, seq: event.seq, hash: hex(&event.hash) }).collect();
    let moves = serde_json::to_string(&moves).map_err(|error| store::Error::Other(error.to_string()))?;

    // The rows go from table to table inside the server; only numbers and hashes are sent.
    let mut statement = Statement::new(
        "WITH head AS (UPDATE event_head SET last_seq = ?, last_hash = ? WHERE org = ? AND last_seq = ? AND splits = ? RETURNING org), \
         numbered AS (SELECT n.id, n.seq, decode(n.hash, 'hex') AS hash FROM head, \
         json_to_recordset(CAST(? AS json)) AS n (id uuid, seq bigint, hash text)), \
         moved AS (DELETE FROM outbox o USING numbered n WHERE o.org = ? AND o.id = n.id \
         RETURNING o.org, n.seq, o.id, o.occurred, o.kind, o.subject, o.actor, o.delta, n.hash), \
         kept AS (INSERT INTO event (org, seq, id, occurred, kind, subject, actor, delta, hash) SELECT * FROM moved \
         RETURNING 1)",
        [
            Value::Integer(head.last_seq),
            Value::Bytes(head.last_hash),
            Value::id(org),
            Value::Integer(seen),
            Value::Integer(head.splits),
            Value::text(moves),
            Value::id(org),
        ],
    );
    let large = if steps.is_empty() {
        "CAST(0 AS bigint)"
    } else {
        statement.push(", ", []).append(blocks_counted(org, &steps)?);
        "(SELECT count(*) FROM counted WHERE n > ?)"
    };
    statement.push(&format!(" SELECT (SELECT count(*) FROM kept) AS events, {large} AS large"), []);
    if !steps.is_empty() {
        statement.bind([Value::Integer(LARGEST_BLOCK)]);
    }
    let row: Option<NumberedRow> = statement.row(conn)?;
    Ok(row.map_or(Numbered::default(), |row| Numbered { events: row.events, split: row.large > 0 }))
}

/// Splits the blocks of resources that have grown too large, in the caller's transaction. Who numbers events meanwhile
/// waits, and then begins again: it saw the blocks as they were.
pub(crate) fn blocks_split_alone(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    Statement::new("UPDATE event_head SET splits = splits + 1 WHERE org = ?", [Value::id(org)]).run(conn)?;
    blocks_split(conn, org)
}

/// What is sent of an event that is numbered.
#[derive(Serialize)]
struct Move {
    id: Uuid,
    seq: i64,
    hash: String,
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn event_insert(conn: &mut AnyConnection, event: EventRow) -> Result<(), store::Error> {
    let insert = "INSERT INTO event (org, seq, id, occurred, kind, subject, actor, delta, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = [
        Value::id(event.org),
        Value::Integer(event.seq),
        Value::Id(event.id),
        Value::Instant(event.occurred),
        Value::Text(event.kind),
        Value::Id(event.subject),
        Value::Text(event.actor),
        Value::Text(event.delta),
        Value::Bytes(event.hash),
    ];
    Statement::new(insert, values).run(conn)?;
    Ok(())
}

/// Where the chain of an organization's events ends.
#[derive(QueryableByName)]
#[diesel(table_name = event_head)]
struct Head {
    last_seq: i64,
    last_hash: Vec<u8>,
    splits: i64,
}

impl Head {
    /// Adds to the chain.
    fn number(&mut self, org: OrgId, rows: Vec<OutboxRow>) -> Vec<EventRow> {
        rows.into_iter().map(|row| self.number_one(org, row)).collect()
    }

    fn number_one(&mut self, org: OrgId, row: OutboxRow) -> EventRow {
        self.last_seq += 1;
        let link = Link {
            org,
            sequence: self.last_seq,
            occurred: row.occurred,
            kind: &row.kind,
            subject: row.subject.0,
            actor: &row.actor,
            delta: &row.delta,
        };
        self.last_hash = chain(&self.last_hash, &link).to_vec();
        EventRow {
            org,
            seq: self.last_seq,
            id: row.id,
            occurred: row.occurred,
            kind: row.kind,
            subject: row.subject,
            actor: row.actor,
            delta: row.delta,
            hash: self.last_hash.clone(),
        }
    }
}

fn head(conn: &mut AnyConnection, org: OrgId) -> Result<Head, store::Error> {
    let select = "SELECT last_seq, last_hash, splits FROM event_head WHERE org = ?";
    if let Some(head) = Statement::new(select, [Value::id(org)]).row::<Head>(conn)? {
        return Ok(head);
    }
    let insert = "INSERT INTO event_head (org, last_seq, last_hash) VALUES (?, 0, ?) ON CONFLICT DO NOTHING";
    Statement::new(insert, [Value::id(org), Value::Bytes(GENESIS.to_vec())]).run(conn)?;
    let head = Statement::new(select, [Value::id(org)]).row::<Head>(conn)?;
    head.ok_or_else(|| store::Error::Other("the head of a chain of events was not kept".to_owned()))
}

fn head_write(conn: &mut AnyConnection, org: OrgId, head: Head) -> Result<(), store::Error> {
    let update = "UPDATE event_head SET last_seq = ?, last_hash = ? WHERE org = ?";
    let values = [Value::Integer(head.last_seq), Value::Bytes(head.last_hash), Value::id(org)];
    Statement::new(update, values).run(conn)?;
    Ok(())
}

/// Numbered events after a number, oldest first.
pub(crate) fn event_page(
    conn: &mut AnyConnection,
    org: OrgId,
    after: i64,
    limit: u32,
) -> Result<Vec<EventRow>, store::Error> {
    let mut page = Statement::new(
        "SELECT org, seq, id, occurred, kind, subject, actor, delta, hash FROM event WHERE org = ? AND seq > ? ORDER BY seq",
        [Value::id(org), Value::Integer(after)],
    );
    page.append(limit_to(conn.backend(), i64::from(limit)));
    Ok(page.rows(conn)?)
}

/// Events about one user or group before a number, newest first.
pub(crate) fn events_of_subject(
    conn: &mut AnyConnection,
    org: OrgId,
    subject: Uuid,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<EventRow>, store::Error> {
    let before = before.unwrap_or(i64::MAX);
    Ok(of_subject(conn.backend(), org, subject, (0, before), i64::from(limit)).rows(conn)?)
}

/// Those from one number on and before another. Also newest first.
pub(crate) fn events_of_subject_between(
    conn: &mut AnyConnection,
    org: OrgId,
    subject: Uuid,
    numbers: (i64, i64),
    limit: i64,
) -> Result<Vec<EventRow>, store::Error> {
    Ok(of_subject(conn.backend(), org, subject, numbers, limit).rows(conn)?)
}

pub(crate) fn of_subject(
    backend: Backend,
    org: OrgId,
    subject: Uuid,
    (from, before): (i64, i64),
    limit: i64,
) -> Statement {
    // SQLite would rather go through all numbers backwards.
    let index = match backend {
        Backend::Sqlite => " INDEXED BY event_subject",
        Backend::Postgres => "",
    };
    let mut page = Statement::new(
        format!(
            "SELECT v.org, v.seq, v.id, v.occurred, v.kind, v.subject, v.actor, v.delta, v.hash FROM event v{index} \
             WHERE v.org = ? AND v.subject = ? AND v.seq >= ? AND v.seq < ? ORDER BY v.seq DESC"
        ),
        [Value::id(org), Value::id(subject), Value::Integer(from), Value::Integer(before)],
    );
    page.append(limit_to(backend, limit));
    page
}

/// About the number of the first event from an instant on: events are numbered in the order of time, but for what waited
/// and for clocks that differ. One seek for each time that the number of events halves.
pub(crate) fn event_number_at(conn: &mut AnyConnection, org: OrgId, at: Instant) -> Result<i64, store::Error> {
    #[derive(QueryableByName)]
    #[diesel(table_name = event)]
    struct Seen {
        occurred: Instant,
    }
    let last = "SELECT h.last_seq AS n FROM event_head h WHERE h.org = ?";
    let last = Statement::new(last, [Value::id(org)]).row::<Count>(conn)?.map_or(0, |row| row.n);
    let (mut from, mut before) = (1, last.saturating_add(1));
    while from < before {
        let middle = from + (before - from) / 2;
        let seek = "SELECT v.occurred FROM event v WHERE v.org = ? AND v.seq = ?";
        let seen: Option<Seen> = Statement::new(seek, [Value::id(org), Value::Integer(middle)]).row(conn)?;
        if seen.is_some_and(|seen| seen.occurred < at) {
            from = middle + 1;
        } else {
            before = middle;
        }
    }
    Ok(from)
}
