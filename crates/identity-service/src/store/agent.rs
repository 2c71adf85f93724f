//! Agents that confirm members. Their keys and grants are where members' are (`account_key`, `org_key`).

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Binary, Nullable, Text},
};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantType},
};

use super::{
    Count,
    account::{exact, version_of},
    statement::{Lock, Statement, Value, limit_to, locking},
};
use crate::domain::{
    OrgId,
    account::{KeyId, PublicKey},
    agent::{Agent, AgentId},
    keys::Waiting,
    secret::Hash,
};

#[derive(QueryableByName)]
struct Owner {
    #[diesel(sql_type = Id)]
    org: OrgId,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Id)]
    id: AgentId,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Id)]
    key_id: KeyId,
    #[diesel(sql_type = Binary)]
    challenge: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    granted: i64,
    #[diesel(sql_type = InstantType)]
    created: Instant,
    #[diesel(sql_type = Text)]
    created_by: String,
    #[diesel(sql_type = Nullable<InstantType>)]
    enrolled: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    confirmed: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    last_seen: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    revoked: Option<Instant>,
    #[diesel(sql_type = Nullable<BigInt>)]
    key_version: Option<i64>,
    #[diesel(sql_type = Nullable<Binary>)]
    enc_pub: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    sig_pub: Option<Vec<u8>>,
}

impl Row {
    fn of(self, org: OrgId) -> Result<Agent, store::Error> {
        let key = match (self.key_version, &self.enc_pub, &self.sig_pub) {
            (Some(version), Some(enc), Some(sig)) => Some(PublicKey {
                id: self.key_id,
                user: self.id.holder(),
                version: version_of(version),
                enc_pub: exact(enc)?,
                sig_pub: exact(sig)?,
            }),
            _ => None,
        };
        Ok(Agent {
            org,
            id: self.id,
            name: self.name,
            key_id: self.key_id,
            challenge: exact(&self.challenge)?,
            granted: version_of(self.granted),
            created: self.created,
            created_by: self.created_by,
            enrolled: self.enrolled,
            confirmed: self.confirmed,
            last_seen: self.last_seen,
            revoked: self.revoked,
            key,
        })
    }
}

const AGENTS: &str = "SELECT a.id, a.name, a.key_id, a.challenge, a.granted, a.created, a.created_by, a.enrolled, \
                      a.confirmed, a.last_seen, a.revoked, k.version AS key_version, k.enc_pub, k.sig_pub FROM \
                      confirm_agent a LEFT JOIN account_key k ON k.org = a.org AND k.id = a.key_id";

/// The organization of the agent whose credential has this hash.
pub(crate) fn agent_by_hash(conn: &mut AnyConnection, shown: Hash) -> Result<Option<OrgId>, store::Error> {
    let text = "SELECT org FROM confirm_agent WHERE secret_sha256 = ?";
    let row: Option<Owner> = Statement::new(text, [Value::Bytes(shown.0.to_vec())]).row(conn)?;
    Ok(row.map(|row| row.org))
}

/// By the hash of its credential.
pub(crate) fn agent_shown(conn: &mut AnyConnection, org: OrgId, shown: Hash) -> Result<Option<Agent>, store::Error> {
    let text = format!("{AGENTS} WHERE a.org = ? AND a.secret_sha256 = ?");
    let row: Option<Row> = Statement::new(text, [Value::id(org), Value::Bytes(shown.0.to_vec())]).row(conn)?;
    row.map(|row| row.of(org)).transpose()
}

pub(crate) fn agent_get(conn: &mut AnyConnection, org: OrgId, id: AgentId) -> Result<Option<Agent>, store::Error> {
    let text = format!("{AGENTS} WHERE a.org = ? AND a.id = ?");
    let row: Option<Row> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    row.map(|row| row.of(org)).transpose()
}

/// Reads an agent and keeps others from changing it until the transaction ends.
pub(crate) fn agent_lock(conn: &mut AnyConnection, org: OrgId, id: AgentId) -> Result<Option<Agent>, store::Error> {
    // Of the agent alone: PostgreSQL locks no row on the other side of an outer join.
    let lock = match locking(conn.backend(), Lock::Change) {
        "" => String::new(),
        lock => format!("{lock} OF a"),
    };
    let text = format!("{AGENTS} WHERE a.org = ? AND a.id = ?{lock}");
    let row: Option<Row> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    row.map(|row| row.of(org)).transpose()
}

/// The newest first, revoked ones last.
pub(crate) fn agents(conn: &mut AnyConnection, org: OrgId, limit: i64) -> Result<Vec<Agent>, store::Error> {
    let text = format!(
        "{AGENTS} WHERE a.org = ? ORDER BY CASE WHEN a.revoked IS NULL THEN 0 ELSE 1 END, a.created DESC, a.id DESC"
    );
    let mut page = Statement::new(text, [Value::id(org)]);
    page.append(limit_to(conn.backend(), limit));
    page.rows::<Row>(conn)?.into_iter().map(|row| row.of(org)).collect()
}

/// Those that are not revoked.
pub(crate) fn agents_counted(conn: &mut AnyConnection, org: OrgId) -> Result<i64, store::Error> {
    let text = "SELECT count(*) AS n FROM confirm_agent WHERE org = ? AND revoked IS NULL";
    let count: Option<Count> = Statement::new(text, [Value::id(org)]).row(conn)?;
    Ok(count.map_or(0, |count| count.n))
}

/// Without keys.
pub(crate) fn agent_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    new: &Agent,
    secret: Hash,
) -> Result<(), store::Error> {
    let text = "INSERT INTO confirm_agent (org, id, name, secret_sha256, key_id, challenge, granted, created, created_by) \
                VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)";
    let values = [
        Value::id(org),
        Value::id(new.id),
        Value::text(&*new.name),
        Value::Bytes(secret.0.to_vec()),
        Value::id(new.key_id),
        Value::Bytes(new.challenge.to_vec()),
        Value::Instant(new.created),
        Value::text(&*new.created_by),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// Has keys from now on.
pub(crate) fn agent_enrolled(
    conn: &mut AnyConnection,
    org: OrgId,
    id: AgentId,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE confirm_agent SET enrolled = ? WHERE org = ? AND id = ?";
    Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}

/// Was given a version of the organization key.
pub(crate) fn agent_granted(
    conn: &mut AnyConnection,
    org: OrgId,
    id: AgentId,
    version: u32,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE confirm_agent SET granted = ?, confirmed = coalesce(confirmed, ?) WHERE org = ? AND id = ?";
    let values = [Value::Integer(version.into()), Value::Instant(now), Value::id(org), Value::id(id)];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

pub(crate) fn agent_seen(conn: &mut AnyConnection, org: OrgId, id: AgentId, now: Instant) -> Result<(), store::Error> {
    let text = "UPDATE confirm_agent SET last_seen = ? WHERE org = ? AND id = ?";
    Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}

pub(crate) fn agent_revoke(
    conn: &mut AnyConnection,
    org: OrgId,
    id: AgentId,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE confirm_agent SET revoked = ? WHERE org = ? AND id = ? AND revoked IS NULL";
    Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct WaitingRow {
    #[diesel(sql_type = Id)]
    id: AgentId,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    granted: i64,
    #[diesel(sql_type = Id)]
    key_id: KeyId,
    #[diesel(sql_type = BigInt)]
    key_version: i64,
    #[diesel(sql_type = Binary)]
    enc_pub: Vec<u8>,
    #[diesel(sql_type = Binary)]
    sig_pub: Vec<u8>,
    #[diesel(sql_type = Binary)]
    possession: Vec<u8>,
    #[diesel(sql_type = Binary)]
    challenge: Vec<u8>,
}

/// Agents with keys that have no grant of this version, those after a key id, by it.
pub(crate) fn agents_waiting(
    conn: &mut AnyConnection,
    org: OrgId,
    newest: u32,
    after: KeyId,
    limit: i64,
) -> Result<Vec<Waiting>, store::Error> {
    let mut page = Statement::new(
        "SELECT a.id, a.name, a.granted, a.key_id, k.version AS key_version, k.enc_pub, k.sig_pub, k.possession, k.challenge \
         FROM confirm_agent a JOIN account_key k ON k.org = a.org AND k.id = a.key_id WHERE a.org = ? AND a.granted < ? AND \
         a.key_id > ? AND a.revoked IS NULL ORDER BY a.key_id",
        [Value::id(org), Value::Integer(newest.into()), Value::id(after)],
    );
    page.append(limit_to(conn.backend(), limit));
    let of = |row: WaitingRow| {
        Ok(Waiting {
            user: row.id.holder(),
            user_name: row.name,
            display_name: String::new(),
            email: String::new(),
            key: PublicKey {
                id: row.key_id,
                user: row.id.holder(),
                version: version_of(row.key_version),
                enc_pub: exact(&row.enc_pub)?,
                sig_pub: exact(&row.sig_pub)?,
            },
            possession: exact(&row.possession)?,
            challenge: exact(&row.challenge)?,
            was_confirmed: row.granted > 0,
            administrator: false,
            agent: true,
            grant: None,
        })
    };
    page.rows::<WaitingRow>(conn)?.into_iter().map(of).collect()
}
