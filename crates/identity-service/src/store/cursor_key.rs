//! The keys that an organization's cursors are sealed with.

use diesel::prelude::*;
use store::{AnyConnection, Instant};

use super::{
    schema::cursor_key,
    statement::{Statement, Value},
};
use crate::domain::{OrgId, cursor::CursorKey};

#[derive(QueryableByName)]
#[diesel(table_name = cursor_key)]
struct KeyRow {
    generation: i64,
    secret: Vec<u8>,
}

/// The newest first; none before the first cursor is made.
pub(crate) fn cursor_keys(conn: &mut AnyConnection, org: OrgId) -> Result<Vec<CursorKey>, store::Error> {
    let text = "SELECT generation, secret FROM cursor_key WHERE org = ? ORDER BY generation DESC";
    let rows: Vec<KeyRow> = Statement::new(text, [Value::id(org)]).rows(conn)?;
    rows.into_iter().map(|row| key(row.generation, &row.secret)).collect()
}

/// Adds a key where there is none of this generation: what another process added stays.
pub(crate) fn cursor_key_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    key: &CursorKey,
    now: Instant,
) -> Result<(), store::Error> {
    let values = [
        Value::id(org),
        Value::Integer(i64::from(key.generation)),
        Value::Bytes(key.secret.to_vec()),
        Value::Instant(now),
    ];
    let text = "INSERT INTO cursor_key (org, generation, secret, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
    Statement::new(text, values).run(conn)?;
    Ok(())
}

fn key(generation: i64, secret: &[u8]) -> Result<CursorKey, store::Error> {
    let broken = || store::Error::Other("a cursor key is not as it was written".to_owned());
    let generation = u32::try_from(generation).map_err(|_| broken())?;
    Ok(CursorKey { generation, secret: secret.try_into().map_err(|_| broken())? })
}
