//! The outbox, which writers fill, and the numbered events that the sequencer makes of it.

use diesel::prelude::*;
use store::{AnyConnection, Ids, Instant};

use super::{
    schema::{event, event_head, outbox},
    statement::{AnyId, Lock, Statement, Value, among, locking},
};
use crate::domain::{
    OrgId,
    actor::Actor,
    event::{GENESIS, Link, NewEvent, chain},
};

/// Rows of one INSERT, seven values each.
const ROWS_PER_INSERT: usize = 500;
/// Up to so many rows have a statement kept in the cache.
const FEW_ROWS: usize = 2;

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct OutboxRow {
    id: AnyId,
    occurred: Instant,
    kind: String,
    subject: AnyId,
    actor: String,
    delta: String,
}

/// A numbered event.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = event)]
pub(crate) struct EventRow {
    org: OrgId,
    pub(crate) seq: i64,
    id: AnyId,
    pub(crate) occurred: Instant,
    pub(crate) kind: String,
    pub(crate) subject: AnyId,
    pub(crate) actor: String,
    pub(crate) delta: String,
    pub(crate) hash: Vec<u8>,
}

/// Records changes in the transaction that makes them. Their ids ascend, and are taken here, after the rows that the
/// changes are about are locked: so the changes of one row are numbered in their order.
pub(crate) fn outbox_append(
    conn: &mut AnyConnection,
    org: OrgId,
    ids: &Ids,
    actor: &Actor,
    now: Instant,
    events: &[NewEvent],
) -> Result<(), store::Error> {
    let actor = actor.to_json();
    for chunk in events.chunks(ROWS_PER_INSERT) {
        let mut insert =
            Statement::new("INSERT INTO outbox (org, id, occurred, kind, subject, actor, delta) VALUES ", []);
        for (position, new) in chunk.iter().enumerate() {
            let values = [
                Value::id(org),
                Value::id(ids.next()),
                Value::Instant(now),
                Value::text(new.kind.as_str()),
                Value::id(new.subject),
                Value::text(&actor),
                Value::text(new.delta.to_string()),
            ];
            insert.push(if position == 0 { "(?, ?, ?, ?, ?, ?, ?)" } else { ", (?, ?, ?, ?, ?, ?, ?)" }, values);
        }
        let insert = if chunk.len() > FEW_ROWS { insert.shaped() } else { insert };
        insert.run(conn)?;
    }
    Ok(())
}

/// Some organizations with changes that are not yet numbered.
pub(crate) fn outbox_organizations(conn: &mut AnyConnection, limit: i64) -> Result<Vec<OrgId>, store::Error> {
    Ok(outbox::table.select(outbox::org).distinct().limit(limit).load(conn)?)
}

/// Moves committed changes of an organization into its numbered events, at most `limit`, in the caller's transaction.
/// The lock on the head row makes sequencers of several processes take turns; one that finds it taken moves nothing.
/// Returns how many were moved.
pub(crate) fn events_number(conn: &mut AnyConnection, org: OrgId, limit: i64) -> Result<usize, store::Error> {
    let Some((mut seq, mut hash)) = head_lock(conn, org)? else { return Ok(0) };
    let rows: Vec<OutboxRow> = outbox::table
        .filter(outbox::org.eq(org))
        .order(outbox::id)
        .limit(limit)
        .select(OutboxRow::as_select())
        .load(conn)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let moved: Vec<uuid::Uuid> = rows.iter().map(|row| row.id.0).collect();
    for row in rows {
        seq += 1;
        let link = Link {
            org,
            sequence: seq,
            occurred: row.occurred,
            kind: &row.kind,
            subject: row.subject.0,
            actor: &row.actor,
            delta: &row.delta,
        };
        hash = chain(&hash, &link).to_vec();
        let numbered = EventRow {
            org,
            seq,
            id: row.id,
            occurred: row.occurred,
            kind: row.kind,
            subject: row.subject,
            actor: row.actor,
            delta: row.delta,
            hash: hash.clone(),
        };
        diesel::insert_into(event::table).values(numbered).execute(conn)?;
    }
    let backend = conn.backend();
    let text = format!("DELETE FROM outbox WHERE org = ? AND id {}", among(backend));
    Statement::new(text, [Value::id(org), Value::ids(backend, &moved)]).run(conn)?;
    let head = "UPDATE event_head SET last_seq = ?, last_hash = ? WHERE org = ?";
    Statement::new(head, [Value::Integer(seq), Value::Bytes(hash), Value::id(org)]).run(conn)?;
    Ok(moved.len())
}

#[derive(QueryableByName)]
#[diesel(table_name = event_head)]
struct HeadRow {
    last_seq: i64,
    last_hash: Vec<u8>,
}

fn head_lock(conn: &mut AnyConnection, org: OrgId) -> Result<Option<(i64, Vec<u8>)>, store::Error> {
    let insert = "INSERT INTO event_head (org, last_seq, last_hash) VALUES (?, 0, ?) ON CONFLICT DO NOTHING";
    let backend = conn.backend();
    let select = match backend {
        store::Backend::Postgres => format!(
            "SELECT last_seq, last_hash FROM event_head WHERE org = ?{} SKIP LOCKED",
            locking(backend, Lock::Change)
        ),
        store::Backend::Sqlite => "SELECT last_seq, last_hash FROM event_head WHERE org = ?".to_owned(),
    };
    let read = |conn: &mut AnyConnection| Statement::new(select.clone(), [Value::id(org)]).row::<HeadRow>(conn);
    if let Some(head) = read(conn)? {
        return Ok(Some((head.last_seq, head.last_hash)));
    }
    Statement::new(insert, [Value::id(org), Value::Bytes(GENESIS.to_vec())]).run(conn)?;
    Ok(read(conn)?.map(|head| (head.last_seq, head.last_hash)))
}

/// Numbered events after a number, oldest first.
pub(crate) fn event_page(
    conn: &mut AnyConnection,
    org: OrgId,
    after: i64,
    limit: u32,
) -> Result<Vec<EventRow>, store::Error> {
    let query = event::table
        .filter(event::org.eq(org))
        .filter(event::seq.gt(after))
        .order(event::seq)
        .limit(i64::from(limit))
        .select(EventRow::as_select());
    Ok(query.load(conn)?)
}
