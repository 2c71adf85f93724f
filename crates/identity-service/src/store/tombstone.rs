//! Deleted groups whose members are still stored. Nothing reads members but through their group, so nobody sees them.

use diesel::prelude::*;
use store::{AnyConnection, Backend, Instant, sql_types::Id};

use super::{
    schema::group_tombstone,
    statement::{Lock, Statement, Value, locking},
};
use crate::domain::{GroupId, OrgId};

pub(crate) fn tombstone_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    now: Instant,
) -> Result<(), store::Error> {
    let row = (group_tombstone::org.eq(org), group_tombstone::group_id.eq(group), group_tombstone::created.eq(now));
    diesel::insert_into(group_tombstone::table).values(row).execute(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct TombstoneRow {
    #[diesel(sql_type = Id)]
    org: OrgId,
    #[diesel(sql_type = Id)]
    group_id: GroupId,
}

/// One of all organizations' tombstones.
pub(crate) fn tombstone_next(conn: &mut AnyConnection) -> Result<Option<(OrgId, GroupId)>, store::Error> {
    let text = "SELECT t.org, t.group_id FROM group_tombstone t ORDER BY t.org, t.group_id LIMIT 1";
    let row: Option<TombstoneRow> = Statement::new(text, []).row(conn)?;
    Ok(row.map(|row| (row.org, row.group_id)))
}

/// Locks it until the transaction ends. Not if it is gone, or another process works on it.
pub(crate) fn tombstone_lock(conn: &mut AnyConnection, org: OrgId, group: GroupId) -> Result<bool, store::Error> {
    let backend = conn.backend();
    let skip = match backend {
        Backend::Postgres => " SKIP LOCKED",
        Backend::Sqlite => "",
    };
    let text = format!(
        "SELECT t.org, t.group_id FROM group_tombstone t WHERE t.org = ? AND t.group_id = ?{}{skip}",
        locking(backend, Lock::Delete)
    );
    let row: Option<TombstoneRow> = Statement::new(text, [Value::id(org), Value::id(group)]).row(conn)?;
    Ok(row.is_some())
}

pub(crate) fn tombstone_delete(conn: &mut AnyConnection, org: OrgId, group: GroupId) -> Result<(), store::Error> {
    let text = "DELETE FROM group_tombstone WHERE org = ? AND group_id = ?";
    Statement::new(text, [Value::id(org), Value::id(group)]).run(conn)?;
    Ok(())
}
