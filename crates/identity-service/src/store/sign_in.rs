//! Sign-in providers, sign-ins that have begun, and which organizations have something of a console that may have expired.

use diesel::prelude::*;
use store::{AnyConnection, Instant, sql_types::Id};

use super::{
    schema::{sign_in_attempt, sign_in_provider},
    statement::{Statement, Value},
};
use crate::domain::{
    OrgId,
    secret::Hash,
    sign_in::{Attempt, Provider},
};

#[derive(QueryableByName)]
#[diesel(table_name = sign_in_provider)]
struct ProviderRow {
    issuer: String,
    client_id: String,
    sealed_secret: Option<Vec<u8>>,
    modified: Instant,
}

pub(crate) fn provider_get(conn: &mut AnyConnection, org: OrgId) -> Result<Option<Provider>, store::Error> {
    let text = "SELECT issuer, client_id, sealed_secret, modified FROM sign_in_provider WHERE org = ?";
    let row: Option<ProviderRow> = Statement::new(text, [Value::id(org)]).row(conn)?;
    Ok(row.map(|row| {
        let ProviderRow { issuer, client_id, sealed_secret, modified } = row;
        Provider { issuer, client_id, sealed_secret, modified }
    }))
}

/// In the place of the one that there was.
pub(crate) fn provider_set(conn: &mut AnyConnection, org: OrgId, this: &Provider) -> Result<(), store::Error> {
    let text = "INSERT INTO sign_in_provider (org, issuer, client_id, sealed_secret, modified) VALUES (?, ?, ?, ?, ?) \
                ON CONFLICT (org) DO UPDATE SET issuer = excluded.issuer, client_id = excluded.client_id, \
                sealed_secret = excluded.sealed_secret, modified = excluded.modified";
    let values = [
        Value::id(org),
        Value::text(&*this.issuer),
        Value::text(&*this.client_id),
        Value::OptionalBytes(this.sealed_secret.clone()),
        Value::Instant(this.modified),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

pub(crate) fn provider_delete(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    Statement::new("DELETE FROM sign_in_provider WHERE org = ?", [Value::id(org)]).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
#[diesel(table_name = sign_in_attempt)]
struct AttemptRow {
    org: OrgId,
    nonce: String,
    pkce_verifier: String,
    return_to: String,
    issuer: String,
    expires: Instant,
}

/// Whether its state was free.
pub(crate) fn attempt_insert(conn: &mut AnyConnection, org: OrgId, new: &Attempt) -> Result<bool, store::Error> {
    let text = "INSERT INTO sign_in_attempt (org, state_sha256, nonce, pkce_verifier, return_to, issuer, expires) \
                VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let values = [
        Value::id(org),
        Value::Bytes(new.state.0.to_vec()),
        Value::text(&*new.nonce),
        Value::text(&*new.pkce_verifier),
        Value::text(&*new.return_to),
        Value::text(&*new.issuer),
        Value::Instant(new.expires),
    ];
    Ok(Statement::new(text, values).run(conn)? == 1)
}

/// Finds the organization.
pub(crate) fn attempt_by_state(
    conn: &mut AnyConnection,
    state: Hash,
) -> Result<Option<(OrgId, Attempt)>, store::Error> {
    let text =
        "SELECT org, nonce, pkce_verifier, return_to, issuer, expires FROM sign_in_attempt WHERE state_sha256 = ?";
    let row: Option<AttemptRow> = Statement::new(text, [Value::Bytes(state.0.to_vec())]).row(conn)?;
    Ok(row.map(|row| {
        let AttemptRow { org, nonce, pkce_verifier, return_to, issuer, expires } = row;
        (org, Attempt { state, nonce, pkce_verifier, return_to, issuer, expires })
    }))
}

/// Whether this call did: of several, one.
pub(crate) fn attempt_delete(conn: &mut AnyConnection, org: OrgId, state: Hash) -> Result<bool, store::Error> {
    let text = "DELETE FROM sign_in_attempt WHERE org = ? AND state_sha256 = ?";
    Ok(Statement::new(text, [Value::id(org), Value::Bytes(state.0.to_vec())]).run(conn)? == 1)
}

/// Deletes those that are too old: the oldest `limit`, and what ended together with the last of them. How many there were.
pub(crate) fn attempts_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    now: Instant,
    limit: i64,
) -> Result<usize, store::Error> {
    let text = "DELETE FROM sign_in_attempt WHERE org = ? AND expires <= (SELECT max(oldest.expires) FROM \
                (SELECT expires FROM sign_in_attempt WHERE org = ? AND expires <= ? ORDER BY expires LIMIT ?) oldest)";
    let values = [Value::id(org), Value::id(org), Value::Instant(now), Value::Integer(limit)];
    Ok(Statement::new(text, values).run(conn)?)
}

#[derive(QueryableByName)]
struct OrgRow {
    #[diesel(sql_type = Id)]
    org: OrgId,
}

/// The next organization, by id, that has invitations, sessions or sign-ins that have begun: one seek for each.
pub(crate) fn console_organization_after(
    conn: &mut AnyConnection,
    after: OrgId,
) -> Result<Option<OrgId>, store::Error> {
    let mut first: Option<OrgId> = None;
    for text in [
        "SELECT org FROM admin_invite WHERE org > ? ORDER BY org LIMIT 1",
        "SELECT org FROM console_session WHERE org > ? ORDER BY org LIMIT 1",
        "SELECT org FROM sign_in_attempt WHERE org > ? ORDER BY org LIMIT 1",
    ] {
        let row: Option<OrgRow> = Statement::new(text, [Value::id(after)]).row(conn)?;
        first = first.into_iter().chain(row.map(|row| row.org)).min();
    }
    Ok(first)
}
