//! Tokens whose expiry has to be warned of.

use diesel::prelude::*;
use store::{AnyConnection, Instant};

use super::{OrgId, TokenId, schema::token};

/// A token, and when its warning was due.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = token)]
pub(crate) struct Warning {
    pub(crate) org: OrgId,
    pub(crate) id: TokenId,
    #[diesel(select_expression = token::warn_at.assume_not_null())]
    pub(crate) warn_at: Instant,
    pub(crate) expires: Option<Instant>,
}

/// Those of all organizations that are due.
pub(crate) fn warnings_due(connection: &mut AnyConnection, now: Instant, limit: i64) -> QueryResult<Vec<Warning>> {
    let due = token::table.filter(token::warn_at.is_not_null()).filter(token::warn_at.le(now));
    due.order(token::warn_at).limit(limit).select(Warning::as_select()).load(connection)
}

/// Whether it fell to this call: of several processes that found the warning due, one sets the next.
pub(crate) fn warning_take(
    connection: &mut AnyConnection,
    org: OrgId,
    id: TokenId,
    due: Instant,
    next: Option<Instant>,
) -> QueryResult<bool> {
    let still = token::table.find((org, id)).filter(token::warn_at.eq(due));
    Ok(diesel::update(still).set(token::warn_at.eq(next)).execute(connection)? == 1)
}
