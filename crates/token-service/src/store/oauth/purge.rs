//! What has expired is deleted: a row's end is all that decides.

use diesel::{prelude::*, sql_query, sql_types::BigInt};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantSql},
};

use super::super::OrgId;

/// What is kept for a while after its end. In the order in which it must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Access,
    Approval,
    Code,
    Assertion,
    Refresh,
    Grant,
}

impl Kept {
    pub(crate) const ALL: [Self; 6] =
        [Self::Access, Self::Approval, Self::Code, Self::Assertion, Self::Refresh, Self::Grant];

    /// How long it is kept after it has expired, microseconds.
    pub(crate) fn after(self) -> i64 {
        const HOUR: i64 = 3_600_000_000;
        match self {
            // Gateways and their clocks are through with it.
            Self::Access | Self::Assertion | Self::Refresh => HOUR,
            // A second use of a code is noticed for so long.
            Self::Approval | Self::Code => 24 * HOUR,
            // For administrators to see.
            Self::Grant => 90 * 24 * HOUR,
        }
    }
}

/// The table, the rest of its key after the organization, and which rows of it must stay.
fn rows(kept: Kept) -> (&'static str, &'static str, &'static str) {
    match kept {
        Kept::Access => (
            "token",
            "id",
            " AND r.oauth_client IS NOT NULL AND NOT EXISTS (SELECT 1 FROM token_event e WHERE e.org = r.org AND \
             e.token = r.id)",
        ),
        Kept::Approval => ("oauth_approval", "client, code_sha256", ""),
        Kept::Code => ("oauth_code", "code_sha256", ""),
        Kept::Assertion => ("oauth_assertion", "client, jti_sha256", ""),
        Kept::Refresh => ("oauth_refresh", "refresh_sha256", ""),
        Kept::Grant => (
            "oauth_grant",
            "id",
            " AND NOT EXISTS (SELECT 1 FROM oauth_refresh f WHERE f.org = r.org AND f.grant_id = r.id)",
        ),
    }
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Id)]
    org: OrgId,
}

/// One that has something that expired before.
pub(crate) fn purge_organization(
    connection: &mut AnyConnection,
    kept: Kept,
    before: Instant,
) -> QueryResult<Option<OrgId>> {
    let (table, _, but) = rows(kept);
    let text = format!("SELECT r.org FROM {table} r WHERE r.expires < $1{but} ORDER BY r.expires LIMIT 1");
    let next = sql_query(text).bind::<InstantSql, _>(before).get_result::<Next>(connection);
    Ok(next.optional()?.map(|next| next.org))
}

/// Deletes those that expired before, at most `limit`. How many there were.
pub(crate) fn purge(
    connection: &mut AnyConnection,
    org: OrgId,
    kept: Kept,
    before: Instant,
    limit: i64,
) -> QueryResult<usize> {
    let (table, key, but) = rows(kept);
    let of_row = key.split(", ").map(|column| format!("r.{column}")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "DELETE FROM {table} WHERE org = $1 AND ({key}) IN (SELECT {of_row} FROM {table} r WHERE r.org = $1 AND \
         r.expires < $2{but} ORDER BY r.expires LIMIT $3)"
    );
    let delete = sql_query(text).bind::<Id, _>(org).bind::<InstantSql, _>(before).bind::<BigInt, _>(limit);
    delete.execute(connection)
}
