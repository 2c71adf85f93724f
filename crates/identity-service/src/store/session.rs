//! Sessions of the console.

use diesel::{
    prelude::*,
    sql_types::{Binary, Nullable, Text},
};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantType},
};

use super::{
    admin::role,
    statement::{Statement, Value, limit_to},
};
use crate::domain::{
    AdminId, OrgId, SessionId,
    admin::{Admin, Email, Pin},
    secret::Hash,
    session::{Browser, IDLE_MICROS, Session},
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Id)]
    org: OrgId,
    #[diesel(sql_type = Id)]
    id: SessionId,
    #[diesel(sql_type = Binary)]
    secret_sha256: Vec<u8>,
    #[diesel(sql_type = InstantType)]
    rotated: Instant,
    #[diesel(sql_type = Nullable<Binary>)]
    previous_sha256: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<InstantType>)]
    previous_expires: Option<Instant>,
    #[diesel(sql_type = InstantType)]
    created: Instant,
    #[diesel(sql_type = InstantType)]
    last_used: Instant,
    #[diesel(sql_type = InstantType)]
    expires: Instant,
    #[diesel(sql_type = Nullable<InstantType>)]
    revoked: Option<Instant>,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Text)]
    user_agent: String,
    #[diesel(sql_type = Id)]
    admin_id: AdminId,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    email_key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = InstantType)]
    admin_created: Instant,
    #[diesel(sql_type = Nullable<InstantType>)]
    last_signed_in: Option<Instant>,
    #[diesel(sql_type = Nullable<Text>)]
    issuer: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    subject: Option<String>,
}

impl TryFrom<Row> for Session {
    type Error = store::Error;

    fn try_from(row: Row) -> Result<Self, store::Error> {
        let admin = Admin {
            id: row.admin_id,
            email: Email { text: row.email, key: row.email_key },
            name: row.name,
            role: role(&row.role)?,
            created: row.admin_created,
            last_signed_in: row.last_signed_in,
            pin: row.issuer.zip(row.subject).map(|(issuer, subject)| Pin { issuer, subject }),
        };
        let previous = row.previous_sha256.as_deref().map(hash).transpose()?;
        Ok(Self {
            org: row.org,
            id: row.id,
            admin,
            secret: hash(&row.secret_sha256)?,
            rotated: row.rotated,
            previous: previous.zip(row.previous_expires),
            created: row.created,
            last_used: row.last_used,
            expires: row.expires,
            revoked: row.revoked.is_some(),
            browser: Browser { address: row.address, user_agent: row.user_agent },
        })
    }
}

fn hash(bytes: &[u8]) -> Result<Hash, store::Error> {
    let wrong = |_| store::Error::Other("a stored hash is not as it was written".to_owned());
    bytes.try_into().map(Hash).map_err(wrong)
}

/// The administrator as it is now: a role that was lowered is lowered in every session.
const SESSION: &str = "SELECT s.org, s.id, s.secret_sha256, s.rotated, s.previous_sha256, s.previous_expires, s.created, \
                       s.last_used, s.expires, s.revoked, s.address, s.user_agent, s.admin_id, a.email, a.email_key, a.name, \
                       a.role, a.created AS admin_created, a.last_signed_in, a.issuer, a.subject FROM console_session s \
                       JOIN console_admin a ON a.org = s.org AND a.id = s.admin_id WHERE ";

/// By the hash of its secret, or of the one before. Finds the organization.
pub(crate) fn session_by_hash(conn: &mut AnyConnection, shown: Hash) -> Result<Option<Session>, store::Error> {
    let row: Option<Row> = by_hash(shown).row(conn)?;
    row.map(Session::try_from).transpose()
}

pub(super) fn by_hash(shown: Hash) -> Statement {
    let hash = || Value::Bytes(shown.0.to_vec());
    Statement::new(format!("{SESSION}s.secret_sha256 = ? OR s.previous_sha256 = ?"), [hash(), hash()])
}

pub(crate) fn session_get(
    conn: &mut AnyConnection,
    org: OrgId,
    id: SessionId,
) -> Result<Option<Session>, store::Error> {
    let text = format!("{SESSION}s.org = ? AND s.id = ?");
    let row: Option<Row> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    row.map(Session::try_from).transpose()
}

/// Those that hold at this instant, the newest first; of one administrator or of all.
pub(crate) fn sessions(
    conn: &mut AnyConnection,
    org: OrgId,
    of: Option<AdminId>,
    now: Instant,
    limit: i64,
) -> Result<Vec<Session>, store::Error> {
    let mut statement = Statement::new(
        format!("{SESSION}s.org = ? AND s.revoked IS NULL AND s.expires > ? AND s.last_used > ?"),
        [Value::id(org), Value::Instant(now), Value::Instant(now.saturating_add_micros(-IDLE_MICROS))],
    );
    if let Some(admin) = of {
        statement.push(" AND s.admin_id = ?", [Value::id(admin)]);
    }
    statement.push(" ORDER BY s.id DESC", []).append(limit_to(conn.backend(), limit));
    statement.rows::<Row>(conn)?.into_iter().map(Session::try_from).collect()
}

pub(crate) fn session_insert(conn: &mut AnyConnection, org: OrgId, new: &Session) -> Result<(), store::Error> {
    let text = "INSERT INTO console_session (org, id, admin_id, secret_sha256, rotated, created, last_used, expires, \
                address, user_agent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = [
        Value::id(org),
        Value::id(new.id),
        Value::id(new.admin.id),
        Value::Bytes(new.secret.0.to_vec()),
        Value::Instant(new.rotated),
        Value::Instant(new.created),
        Value::Instant(new.last_used),
        Value::Instant(new.expires),
        Value::text(&*new.browser.address),
        Value::text(&*new.browser.user_agent),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// Not where a later use is known.
pub(crate) fn session_used(
    conn: &mut AnyConnection,
    org: OrgId,
    id: SessionId,
    browser: &Browser,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE console_session SET last_used = ?, address = ?, user_agent = ? WHERE org = ? AND id = ? \
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

/// Puts another secret in the place of the one that the session has. Whether this call did: of several, one.
pub(crate) fn session_rotate(
    conn: &mut AnyConnection,
    org: OrgId,
    session: &Session,
    secret: Hash,
    now: Instant,
    previous_expires: Instant,
) -> Result<bool, store::Error> {
    let text = "UPDATE console_session SET previous_sha256 = secret_sha256, previous_expires = ?, secret_sha256 = ?, \
                rotated = ? WHERE org = ? AND id = ? AND secret_sha256 = ? AND revoked IS NULL";
    let values = [
        Value::Instant(previous_expires),
        Value::Bytes(secret.0.to_vec()),
        Value::Instant(now),
        Value::id(org),
        Value::id(session.id),
        Value::Bytes(session.secret.0.to_vec()),
    ];
    Ok(Statement::new(text, values).run(conn)? == 1)
}

/// Whether this call did.
pub(crate) fn session_revoke(
    conn: &mut AnyConnection,
    org: OrgId,
    id: SessionId,
    now: Instant,
) -> Result<bool, store::Error> {
    let text = "UPDATE console_session SET revoked = ? WHERE org = ? AND id = ? AND revoked IS NULL";
    Ok(Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(id)]).run(conn)? == 1)
}

/// Deletes those that are too old, at most `limit`. How many there were.
pub(crate) fn sessions_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    now: Instant,
    limit: i64,
) -> Result<usize, store::Error> {
    let text = "DELETE FROM console_session WHERE org = ? AND id IN \
                (SELECT id FROM console_session WHERE org = ? AND expires <= ? ORDER BY id LIMIT ?)";
    let values = [Value::id(org), Value::id(org), Value::Instant(now), Value::Integer(limit)];
    Ok(Statement::new(text, values).run(conn)?)
}
