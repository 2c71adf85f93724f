//! Sessions of members.

use diesel::{
    QueryableByName,
    sql_types::{Bool, Nullable, Text},
};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantType},
};

use super::{
    account::{AccountRow, COLUMNS, USER_COLUMNS, UserPart},
    statement::{Statement, Value},
};
use crate::domain::{
    OrgId, SessionId, UserId,
    account::{AccountSession, LONGEST_MICROS, NewAccountSession},
    secret::Hash,
    session::Browser,
};

#[derive(QueryableByName)]
struct Owner {
    #[diesel(sql_type = Id)]
    org: OrgId,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Id)]
    org: OrgId,
    #[diesel(sql_type = Id)]
    id: SessionId,
    #[diesel(sql_type = InstantType)]
    begun: Instant,
    #[diesel(sql_type = InstantType)]
    last_used: Instant,
    #[diesel(sql_type = InstantType)]
    expires: Instant,
    #[diesel(sql_type = Nullable<InstantType>)]
    ended: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    unlocked: Option<Instant>,
    #[diesel(sql_type = Nullable<Text>)]
    provider: Option<String>,
    #[diesel(sql_type = Bool)]
    may_confirm: bool,
    #[diesel(sql_type = Bool)]
    invited: bool,
    #[diesel(embed)]
    user: UserPart,
    #[diesel(embed)]
    account: AccountRow,
}

/// Whether the account `a` is an owner's or admin's of the console.
pub(super) const ADMINISTERS: &str = "EXISTS (SELECT 1 FROM console_admin c WHERE c.org = a.org AND c.issuer = a.issuer \
                                      AND c.subject = a.subject AND c.role IN ('owner', 'admin'))";

/// Of account `a`: somebody looks at it before it is confirmed. An administrator; or who is known by no account of the provider that
/// there is now, and could be one.
pub(super) const LOOKED_AT: &str = "(EXISTS (SELECT 1 FROM console_admin c WHERE c.org = a.org AND c.issuer = a.issuer AND \
                                    c.subject = a.subject AND c.role IN ('owner', 'admin')) OR NOT EXISTS (SELECT 1 FROM \
                                    sign_in_provider p WHERE p.org = a.org AND p.issuer = a.issuer))";

/// Whether an owner or admin whom no sign-in has shown yet has the address of user `r`. What is said of it gives nobody anything:
/// an address is what SCIM says it is.
const INVITED: &str = "EXISTS (SELECT 1 FROM console_admin i WHERE i.org = r.org AND i.issuer IS NULL AND i.role IN \
                       ('owner', 'admin') AND i.email_key IN (r.primary_email_key, r.user_name_key))";

#[derive(QueryableByName)]
struct AdministersRow {
    #[diesel(sql_type = Bool)]
    administers: bool,
}

/// Whether a user is an owner or admin of the console.
pub(crate) fn looked_at(conn: &mut AnyConnection, org: OrgId, user: UserId) -> Result<bool, store::Error> {
    let text = format!("SELECT {LOOKED_AT} AS administers FROM account a WHERE a.org = ? AND a.user_id = ?");
    let row: Option<AdministersRow> = Statement::new(text, [Value::id(org), Value::id(user)]).row(conn)?;
    Ok(row.is_some_and(|row| row.administers))
}

/// The organization of the session whose secret has this hash.
pub(crate) fn account_session_by_hash(conn: &mut AnyConnection, shown: Hash) -> Result<Option<OrgId>, store::Error> {
    let text = "SELECT org FROM account_session WHERE secret_sha256 = ?";
    let row: Option<Owner> = Statement::new(text, [Value::Bytes(shown.0.to_vec())]).row(conn)?;
    Ok(row.map(|row| row.org))
}

/// User, provider and role are as they are now: who was deactivated or deleted has no session from that moment on.
pub(crate) fn account_session_get(
    conn: &mut AnyConnection,
    org: OrgId,
    shown: Hash,
) -> Result<Option<AccountSession>, store::Error> {
    let text = format!(
        "SELECT s.org, s.id, s.created AS begun, s.last_used, s.expires, s.ended, s.unlocked, p.issuer AS provider, \
         {ADMINISTERS} AS may_confirm, {INVITED} AS invited, {USER_COLUMNS}, {COLUMNS} FROM account_session s \
         JOIN account a ON a.org = s.org AND a.user_id = s.user_id JOIN scim_user r ON r.org = s.org AND r.id = s.user_id \
         LEFT JOIN account_key k ON k.org = a.org AND k.id = a.key_id LEFT JOIN sign_in_provider p ON p.org = s.org \
         WHERE s.org = ? AND s.secret_sha256 = ?"
    );
    let values = [Value::id(org), Value::Bytes(shown.0.to_vec())];
    let Some(row) = Statement::new(text, values).row::<Row>(conn)? else { return Ok(None) };
    let member = row.user.with(row.account)?;
    Ok(member.account.clone().map(|account| AccountSession {
        org: row.org,
        id: row.id,
        account,
        member,
        created: row.begun,
        last_used: row.last_used,
        expires: row.expires,
        ended: row.ended.is_some(),
        unlocked: row.unlocked.is_some(),
        provider: row.provider,
        may_confirm: row.may_confirm,
        invited_to_console: row.invited,
    }))
}

pub(crate) fn account_session_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    new: &NewAccountSession,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO account_session (org, id, user_id, secret_sha256, created, last_used, expires, address, user_agent) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = [
        Value::id(org),
        Value::id(new.id),
        Value::id(new.user),
        Value::Bytes(new.secret.0.to_vec()),
        Value::Instant(now),
        Value::Instant(now),
        Value::Instant(now.saturating_add_micros(LONGEST_MICROS)),
        Value::text(&*new.browser.address),
        Value::text(&*new.browser.user_agent),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// Not where a later use is known.
pub(crate) fn account_session_used(
    conn: &mut AnyConnection,
    org: OrgId,
    id: SessionId,
    browser: &Browser,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE account_session SET last_used = ?, address = ?, user_agent = ? WHERE org = ? AND id = ? \
                AND last_used < ?";
    let values = [
        Value::Instant(now),
        Value::text(&*browser.address),
        Value::text(&*browser.user_agent),
        Value::id(org),
        Value::id(id),
        Value::Instant(now),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

pub(crate) fn account_session_end(
    conn: &mut AnyConnection,
    org: OrgId,
    id: SessionId,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE account_session SET ended = ? WHERE org = ? AND id = ? AND ended IS NULL";
    Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}

/// All others of the same user.
pub(crate) fn account_sessions_end_others(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    but: SessionId,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE account_session SET ended = ? WHERE org = ? AND user_id = ? AND id <> ? AND ended IS NULL";
    Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(user), Value::id(but)]).run(conn)?;
    Ok(())
}

/// Those of a user that had begun when it lost its access: they do not come back with it.
pub(crate) fn account_sessions_end_of(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    lost: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE account_session SET ended = ? WHERE org = ? AND user_id = ? AND created <= ? AND ended IS NULL";
    Statement::new(text, [Value::Instant(lost), Value::id(org), Value::id(user), Value::Instant(lost)]).run(conn)?;
    Ok(())
}

/// Its user has shown the password or the kit. Whether it has not ended.
pub(crate) fn account_session_unlock(
    conn: &mut AnyConnection,
    org: OrgId,
    id: SessionId,
    now: Instant,
) -> Result<bool, store::Error> {
    let text = "UPDATE account_session SET unlocked = ? WHERE org = ? AND id = ? AND ended IS NULL";
    Ok(Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(id)]).run(conn)? == 1)
}

/// Deletes those that are too old: the oldest `limit`, and what ended together with the last of them. How many there were.
pub(crate) fn account_sessions_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    now: Instant,
    limit: i64,
) -> Result<usize, store::Error> {
    let text = "DELETE FROM account_session WHERE org = ? AND expires <= (SELECT max(oldest.expires) FROM \
                (SELECT expires FROM account_session WHERE org = ? AND expires <= ? ORDER BY expires LIMIT ?) oldest)";
    let values = [Value::id(org), Value::id(org), Value::Instant(now), Value::Integer(limit)];
    Ok(Statement::new(text, values).run(conn)?)
}
