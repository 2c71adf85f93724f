//! Tokens whose expiry has to be warned of.

use diesel::{dsl::sql, prelude::*, sql_types::Bool};
use store::{AnyConnection, Instant};

use super::{
    EventId, OrgId, TokenId,
    schema::{token, token_event},
};

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

/// A warning that was written.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct Given {
    pub(crate) id: EventId,
    pub(crate) occurred: Instant,
    pub(crate) kind: String,
    pub(crate) org: OrgId,
    pub(crate) token: TokenId,
    pub(crate) description: String,
    pub(crate) expires: Option<Instant>,
}

/// As the index of them has it, so that it is taken.
const WARNS: &str = "token_event.kind IN ('expires_in_30_days', 'expires_in_7_days', 'expires_in_1_day')";

/// Those of all organizations from an instant on, there after `after`, oldest first; of tokens that will still expire and
/// have no successor.
pub(crate) fn warnings_given(
    connection: &mut AnyConnection,
    (since, after): (Instant, EventId),
    now: Instant,
    limit: i64,
) -> QueryResult<Vec<Given>> {
    let same = token_event::org.eq(token::org).and(token_event::token.eq(token::id.nullable()));
    let later = token_event::occurred.gt(since).or(token_event::occurred.eq(since).and(token_event::id.gt(after)));
    token_event::table
        .inner_join(token::table.on(same))
        .filter(sql::<Bool>(WARNS))
        .filter(token_event::occurred.ge(since))
        .filter(later)
        .filter(token::revoked.is_null())
        .filter(token::successor.is_null())
        .filter(token::expires.gt(now))
        .order((token_event::occurred, token_event::id))
        .limit(limit)
        .select((
            token_event::id,
            token_event::occurred,
            token_event::kind,
            token::org,
            token::id,
            token::description,
            token::expires,
        ))
        .load(connection)
}
