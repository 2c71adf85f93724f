//! The order in which tokens were revoked, of all organizations, and service credentials: a number that each gets after its revocation is committed.
//!
//! Whoever numbers holds the counter's lock until it commits, so that a higher number is never seen before a lower one:
//! who has read up to a number has missed nothing.

use diesel::prelude::*;
use store::AnyConnection;

use super::{
    OrgId, TokenId,
    credential::CredentialId,
    schema::{revocation_counter, service_credential, token},
};

/// A credential whose revocation is waiting for its number.
const WAITING: i64 = 0;

/// What ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A SCIM token.
    Token(TokenId),
    /// A service credential, or a secret of it.
    Credential(CredentialId),
}

/// The last number that was given.
pub(crate) fn revocation_last(connection: &mut AnyConnection) -> QueryResult<i64> {
    revocation_counter::table.find(1).select(revocation_counter::last).first(connection)
}

/// In the order of their numbers.
pub(crate) fn revocations_after(
    connection: &mut AnyConnection,
    position: i64,
    limit: i64,
) -> QueryResult<Vec<(i64, Ended)>> {
    let later = token::table.filter(token::revoked.is_not_null()).filter(token::revocation.gt(position));
    let rows = later.order(token::revocation).limit(limit).select((token::revocation.assume_not_null(), token::id));
    let tokens = rows.load::<(i64, TokenId)>(connection)?;
    let later = service_credential::table.filter(service_credential::revocation.gt(position.max(WAITING)));
    let rows = later.order(service_credential::revocation).limit(limit);
    let rows = rows.select((service_credential::revocation.assume_not_null(), service_credential::id));
    let credentials = rows.load::<(i64, CredentialId)>(connection)?;
    let mut ended: Vec<(i64, Ended)> = tokens.into_iter().map(|(number, id)| (number, Ended::Token(id))).collect();
    ended.extend(credentials.into_iter().map(|(number, id)| (number, Ended::Credential(id))));
    ended.sort_unstable_by_key(|(number, _)| *number);
    // Whoever has the last of these has all before it: each list is whole up to its own end, which is not before.
    ended.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(ended)
}

/// Whether some are without a number.
pub(crate) fn revocations_unnumbered(connection: &mut AnyConnection) -> QueryResult<bool> {
    let found = token::table.filter(token::revoked.is_not_null()).filter(token::revocation.is_null());
    let found: Option<TokenId> = found.select(token::id).first(connection).optional()?;
    if found.is_some() {
        return Ok(true);
    }
    let found = service_credential::table.filter(service_credential::revocation.eq(WAITING));
    let found: Option<CredentialId> = found.select(service_credential::id).first(connection).optional()?;
    Ok(found.is_some())
}

/// Numbers some, in a transaction of the caller's.
pub(crate) fn revocations_number(connection: &mut AnyConnection, limit: i64) -> QueryResult<()> {
    let counter = revocation_counter::table.find(1);
    // The lock, before anything is read.
    diesel::update(counter).set(revocation_counter::last.eq(revocation_counter::last)).execute(connection)?;
    let mut last = revocation_last(connection)?;
    let found = token::table.filter(token::revoked.is_not_null()).filter(token::revocation.is_null());
    let found = found.order((token::org, token::id)).limit(limit).select((token::org, token::id));
    for (org, id) in found.load::<(OrgId, TokenId)>(connection)? {
        last += 1;
        connection.enter(org)?;
        diesel::update(token::table.find((org, id))).set(token::revocation.eq(last)).execute(connection)?;
    }
    let found = service_credential::table.filter(service_credential::revocation.eq(WAITING));
    let found = found.order(service_credential::id).limit(limit).select(service_credential::id);
    for id in found.load::<CredentialId>(connection)? {
        last += 1;
        let numbered = service_credential::revocation.eq(last);
        diesel::update(service_credential::table.find(id)).set(numbered).execute(connection)?;
    }
    diesel::update(counter).set(revocation_counter::last.eq(last)).execute(connection).map(|_| ())
}
