//! Idempotency keys and what was created with them.

use diesel::{prelude::*, sql_types::Binary};
use store::{AnyConnection, Instant, sql_types::Id};
use uuid::Uuid;

use super::statement::{AnyId, Statement, Value};
use crate::domain::{
    OrgId,
    idempotency::{IdempotencyKey, KEPT_MICROS},
};

/// What came of claiming a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It was free, and stands for the new resource now.
    Taken,
    /// It stands for another resource already.
    Known { resource: Uuid, digest: Vec<u8> },
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Id)]
    resource: AnyId,
    #[diesel(sql_type = Binary)]
    digest: Vec<u8>,
}

/// Takes the key for a resource that this transaction creates. The primary key decides between those who come together:
/// the others wait here until the first has committed or has failed.
pub(crate) fn key_claim(
    conn: &mut AnyConnection,
    org: OrgId,
    caller: &str,
    key: &IdempotencyKey,
    resource: Uuid,
    digest: &[u8],
    now: Instant,
) -> Result<Claim, store::Error> {
    let taken = Statement::new(
        "INSERT INTO idempotency_key (org, caller, key, resource, digest, created) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (org, caller, key) DO UPDATE SET resource = excluded.resource, digest = excluded.digest, \
         created = excluded.created WHERE idempotency_key.created <= ?",
        [
            Value::id(org),
            Value::text(caller),
            Value::text(key.as_str()),
            Value::id(resource),
            Value::Bytes(digest.to_vec()),
            Value::Instant(now),
            Value::Instant(expired_at(now)),
        ],
    )
    .run(conn)?;
    if taken == 1 {
        return Ok(Claim::Taken);
    }
    let select = "SELECT resource, digest FROM idempotency_key WHERE org = ? AND caller = ? AND key = ?";
    let values = [Value::id(org), Value::text(caller), Value::text(key.as_str())];
    let row: Option<Row> = Statement::new(select, values).row(conn)?;
    // Purged in between: begin again.
    let row = row.ok_or(store::Error::Serialization)?;
    Ok(Claim::Known { resource: row.resource.0, digest: row.digest })
}

#[derive(QueryableByName)]
struct OrgRow {
    #[diesel(sql_type = Id)]
    org: OrgId,
}

/// The next organization, by id, that has keys: one seek.
pub(crate) fn key_organization_after(conn: &mut AnyConnection, after: OrgId) -> Result<Option<OrgId>, store::Error> {
    let text = "SELECT org FROM idempotency_key WHERE org > ? ORDER BY org LIMIT 1";
    let row: Option<OrgRow> = Statement::new(text, [Value::id(after)]).row(conn)?;
    Ok(row.map(|row| row.org))
}

/// Deletes expired keys of an organization, at most `limit`. How many there were.
pub(crate) fn keys_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    now: Instant,
    limit: i64,
) -> Result<usize, store::Error> {
    // The outer condition is looked at again where a row was claimed anew meanwhile.
    let text = "DELETE FROM idempotency_key WHERE org = ? AND created <= ? AND (caller, key) IN \
                (SELECT caller, key FROM idempotency_key WHERE org = ? AND created <= ? ORDER BY created LIMIT ?)";
    let before = Value::Instant(expired_at(now));
    let values = [Value::id(org), before.clone(), Value::id(org), before, Value::Integer(limit)];
    Ok(Statement::new(text, values).run(conn)?)
}

/// Keys of this instant and before are free again.
fn expired_at(now: Instant) -> Instant {
    now.saturating_add_micros(-KEPT_MICROS)
}
