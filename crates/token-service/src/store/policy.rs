//! What an organization's new tokens may be.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Bool, Nullable},
};
use store::{AnyConnection, sql_types::Id};

use super::{OrgId, schema::token_policy};

/// That of an organization that never set one is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = token_policy)]
pub(crate) struct Policy {
    pub(crate) max_ttl_days: Option<i64>,
    pub(crate) allow_never: bool,
}

pub(crate) fn policy_get(connection: &mut AnyConnection, org: OrgId) -> QueryResult<Policy> {
    let found = token_policy::table.find(org).select(Policy::as_select()).first(connection).optional()?;
    Ok(found.unwrap_or_default())
}

pub(crate) fn policy_put(connection: &mut AnyConnection, org: OrgId, policy: Policy) -> QueryResult<()> {
    // Diesel has no ON CONFLICT for both databases at once; `$1` is the first placeholder to either.
    let put = "INSERT INTO token_policy (org, max_ttl_days, allow_never) VALUES ($1, $2, $3) \
               ON CONFLICT (org) DO UPDATE SET max_ttl_days = excluded.max_ttl_days, allow_never = excluded.allow_never";
    let put = sql_query(put).bind::<Id, _>(org).bind::<Nullable<BigInt>, _>(policy.max_ttl_days);
    put.bind::<Bool, _>(policy.allow_never).execute(connection).map(|_| ())
}
