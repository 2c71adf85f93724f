//! The tables and every statement on them. The organization is the first argument of each function, and of each key but
//! the organization's own slug, the hashes that find it (of an invitation, a session of the console or of a member, an
//! agent, the state of a sign-in) and the walks of the background tasks over all organizations.
//!
//! Not here: rules (`domain`), pools and transactions (the `store` crate).

pub(crate) mod account;
pub(crate) mod account_key;
pub(crate) mod account_session;
pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod cursor_key;
pub(crate) mod deleted_user;
pub(crate) mod event;
pub(crate) mod filter_sql;
pub(crate) mod group;
pub(crate) mod hold;
pub(crate) mod idempotency;
pub(crate) mod joint;
pub(crate) mod list;
pub(crate) mod mail;
pub(crate) mod member;
pub(crate) mod org_key;
pub(crate) mod organization;
#[cfg(test)]
mod plans;
pub(crate) mod rank;
pub(crate) mod request_log;
#[cfg(test)]
mod row_security;
pub(crate) mod schema;
pub(crate) mod schema_extension;
pub(crate) mod session;
pub(crate) mod sign_in;
pub(crate) mod statement;
pub(crate) mod subject;
pub(crate) mod tombstone;
#[cfg(test)]
mod twins;
pub(crate) mod user;
pub(crate) mod user_name;

use diesel::deserialize::QueryableByName;
use diesel::sql_types::BigInt;
use store::Error;

/// A single number.
#[derive(QueryableByName)]
pub(crate) struct Count {
    #[diesel(sql_type = BigInt)]
    pub(crate) n: i64,
}

/// Whether the statement failed for this unique constraint (named as PostgreSQL names them).
pub(crate) fn violates(error: &Error, name: &str) -> bool {
    matches!(error, Error::Unique { constraint } if constraint == name)
}
