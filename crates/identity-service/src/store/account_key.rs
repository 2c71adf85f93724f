//! Keys of members: public ones, what is encrypted, OPAQUE's records, and how often they were guessed at.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Binary, Nullable, SmallInt},
};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantType},
};

use super::{
    account::{exact, version_of},
    statement::{Lock, Statement, Value, limit_to, locking},
};
use crate::domain::{
    OrgId, SessionId, UserId,
    account::{KeyId, PublicKey},
    keys::{Login, LoginId, NewKeys, Record, RecordId, Registration, RegistrationKind, Wrap, WrapKind},
    unlock::{Budget, Guesses},
};

#[derive(QueryableByName)]
struct RegistrationRow {
    #[diesel(sql_type = Id)]
    session_id: SessionId,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Id)]
    key_id: KeyId,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Binary)]
    challenge: Vec<u8>,
    #[diesel(sql_type = Binary)]
    set_up_id: Vec<u8>,
}

/// In the place of the one before.
pub(crate) fn registration_set(
    conn: &mut AnyConnection,
    org: OrgId,
    new: &Registration,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO account_registration (org, user_id, session_id, kind, key_id, version, challenge, set_up_id, created) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (org, user_id) DO UPDATE SET session_id = excluded.session_id, \
                kind = excluded.kind, key_id = excluded.key_id, version = excluded.version, challenge = excluded.challenge, \
                set_up_id = excluded.set_up_id, created = excluded.created";
    let values = [
        Value::id(org),
        Value::id(new.user),
        Value::id(new.session),
        Value::Integer(new.kind.code().into()),
        Value::id(new.key),
        Value::Integer(new.version.into()),
        Value::Bytes(new.challenge.to_vec()),
        Value::Bytes(new.set_up.to_vec()),
        Value::Instant(now),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

pub(crate) fn registration_get(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
) -> Result<Option<Registration>, store::Error> {
    let text = "SELECT session_id, kind, key_id, version, challenge, set_up_id FROM account_registration WHERE org = ? AND \
                user_id = ?";
    let row: Option<RegistrationRow> = Statement::new(text, [Value::id(org), Value::id(user)]).row(conn)?;
    let of = |row: RegistrationRow| {
        Ok(Registration {
            user,
            session: row.session_id,
            kind: RegistrationKind::of(row.kind),
            key: row.key_id,
            version: version_of(row.version),
            challenge: exact(&row.challenge)?,
            set_up: exact(&row.set_up_id)?,
        })
    };
    row.map(of).transpose()
}

pub(crate) fn registration_delete(conn: &mut AnyConnection, org: OrgId, user: UserId) -> Result<(), store::Error> {
    let text = "DELETE FROM account_registration WHERE org = ? AND user_id = ?";
    Statement::new(text, [Value::id(org), Value::id(user)]).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Id)]
    id: KeyId,
    #[diesel(sql_type = Id)]
    user_id: UserId,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Binary)]
    enc_pub: Vec<u8>,
    #[diesel(sql_type = Binary)]
    sig_pub: Vec<u8>,
}

/// Former ones, too.
pub(crate) fn key_get(conn: &mut AnyConnection, org: OrgId, id: KeyId) -> Result<Option<PublicKey>, store::Error> {
    let text = "SELECT id, user_id, version, enc_pub, sig_pub FROM account_key WHERE org = ? AND id = ?";
    let row: Option<KeyRow> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    let of = |row: KeyRow| {
        Ok(PublicKey {
            id: row.id,
            user: row.user_id,
            version: version_of(row.version),
            enc_pub: exact(&row.enc_pub)?,
            sig_pub: exact(&row.sig_pub)?,
        })
    };
    row.map(of).transpose()
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// Of the last keys that a user has made; 0: none.
pub(crate) fn key_version(conn: &mut AnyConnection, org: OrgId, user: UserId) -> Result<u32, store::Error> {
    let text = "SELECT version FROM account_key WHERE org = ? AND user_id = ? ORDER BY version DESC LIMIT 1";
    let row: Option<VersionRow> = Statement::new(text, [Value::id(org), Value::id(user)]).row(conn)?;
    Ok(row.map_or(0, |row| version_of(row.version)))
}

#[derive(QueryableByName)]
struct CreatedRow {
    #[diesel(sql_type = InstantType)]
    made: Instant,
}

/// When the newest keys of a user were made that took the place of others, the newest first.
pub(crate) fn resets_since(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    since: Instant,
    limit: i64,
) -> Result<Vec<Instant>, store::Error> {
    let mut newest = Statement::new(
        "SELECT created AS made FROM account_key WHERE org = ? AND user_id = ? AND version > 1 AND created > ? \
         ORDER BY version DESC",
        [Value::id(org), Value::id(user), Value::Instant(since)],
    );
    newest.append(limit_to(conn.backend(), limit));
    Ok(newest.rows::<CreatedRow>(conn)?.into_iter().map(|row| row.made).collect())
}

/// The keys of a set-up: in the place of those before, of which the public ones stay.
pub(crate) fn keys_set(
    conn: &mut AnyConnection,
    org: OrgId,
    begun: &Registration,
    new: &NewKeys,
    now: Instant,
) -> Result<(), store::Error> {
    keys_retire(conn, org, begun.user, now)?;
    let key = PublicKey {
        id: begun.key,
        user: begun.user,
        version: begun.version,
        enc_pub: new.enc_pub,
        sig_pub: new.sig_pub,
    };
    key_insert(conn, org, &key, (&new.possession, &begun.challenge), now)
}

/// Nobody has them any more. Public ones stay: grants name them.
pub(crate) fn keys_retire(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE account_key SET retired = ? WHERE org = ? AND user_id = ? AND retired IS NULL";
    Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(user)]).run(conn)?;
    Ok(())
}

/// With the proof that its owner has the private ones, and what that answers.
pub(crate) fn key_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    key: &PublicKey,
    (possession, challenge): (&[u8; 64], &[u8; 32]),
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO account_key (org, id, user_id, version, enc_pub, sig_pub, possession, challenge, created) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = [
        Value::id(org),
        Value::id(key.id),
        Value::id(key.user),
        Value::Integer(key.version.into()),
        Value::Bytes(key.enc_pub.to_vec()),
        Value::Bytes(key.sig_pub.to_vec()),
        Value::Bytes(possession.to_vec()),
        Value::Bytes(challenge.to_vec()),
        Value::Instant(now),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct WrapRow {
    #[diesel(sql_type = Binary)]
    nonce: Vec<u8>,
    #[diesel(sql_type = Binary)]
    ciphertext: Vec<u8>,
}

pub(crate) fn wrap_get(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    kind: WrapKind,
) -> Result<Option<Wrap>, store::Error> {
    let text = "SELECT nonce, ciphertext FROM account_key_wrap WHERE org = ? AND user_id = ? AND kind = ?";
    let values = [Value::id(org), Value::id(user), Value::text(kind.as_str())];
    let row: Option<WrapRow> = Statement::new(text, values).row(conn)?;
    row.map(|row| Ok(Wrap { nonce: exact(&row.nonce)?, ciphertext: exact(&row.ciphertext)? })).transpose()
}

/// In the place of the one before.
pub(crate) fn wrap_set(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    key: KeyId,
    (kind, wrap): (WrapKind, &Wrap),
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO account_key_wrap (org, user_id, kind, key_id, nonce, ciphertext, created) VALUES (?, ?, ?, ?, ?, ?, ?) \
                ON CONFLICT (org, user_id, kind) DO UPDATE SET key_id = excluded.key_id, nonce = excluded.nonce, \
                ciphertext = excluded.ciphertext, created = excluded.created";
    let values = [
        Value::id(org),
        Value::id(user),
        Value::text(kind.as_str()),
        Value::id(key),
        Value::Bytes(wrap.nonce.to_vec()),
        Value::Bytes(wrap.ciphertext.to_vec()),
        Value::Instant(now),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct RecordRow {
    #[diesel(sql_type = Id)]
    id: RecordId,
    #[diesel(sql_type = Binary)]
    record: Vec<u8>,
    #[diesel(sql_type = Binary)]
    set_up_id: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    memory: i64,
    #[diesel(sql_type = BigInt)]
    iterations: i64,
    #[diesel(sql_type = BigInt)]
    parallelism: i64,
}

pub(crate) fn record_get(conn: &mut AnyConnection, org: OrgId, user: UserId) -> Result<Option<Record>, store::Error> {
    let text = "SELECT id, record, set_up_id, memory, iterations, parallelism FROM opaque_record WHERE org = ? AND user_id = ?";
    let row: Option<RecordRow> = Statement::new(text, [Value::id(org), Value::id(user)]).row(conn)?;
    let of = |row: RecordRow| {
        Ok(Record {
            id: row.id,
            record: exact(&row.record)?,
            set_up: exact(&row.set_up_id)?,
            stretching: account_keys::Stretching {
                memory_kib: version_of(row.memory),
                passes: version_of(row.iterations),
                lanes: version_of(row.parallelism),
            },
        })
    };
    row.map(of).transpose()
}

/// In the place of the one before.
pub(crate) fn record_set(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    new: &Record,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO opaque_record (org, user_id, id, record, set_up_id, memory, iterations, parallelism, created) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (org, user_id) DO UPDATE SET id = excluded.id, \
                record = excluded.record, set_up_id = excluded.set_up_id, memory = excluded.memory, \
                iterations = excluded.iterations, parallelism = excluded.parallelism, created = excluded.created";
    let values = [
        Value::id(org),
        Value::id(user),
        Value::id(new.id),
        Value::Bytes(new.record.to_vec()),
        Value::Bytes(new.set_up.to_vec()),
        Value::Integer(new.stretching.memory_kib.into()),
        Value::Integer(new.stretching.passes.into()),
        Value::Integer(new.stretching.lanes.into()),
        Value::Instant(now),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct ProofRow {
    #[diesel(sql_type = Binary)]
    proof_sha256: Vec<u8>,
}

pub(crate) fn verifier_get(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
) -> Result<Option<[u8; 32]>, store::Error> {
    let text = "SELECT proof_sha256 FROM recovery_verifier WHERE org = ? AND user_id = ?";
    let row: Option<ProofRow> = Statement::new(text, [Value::id(org), Value::id(user)]).row(conn)?;
    row.map(|row| exact(&row.proof_sha256)).transpose()
}

/// In the place of the one before.
pub(crate) fn verifier_set(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    proof_sha256: [u8; 32],
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO recovery_verifier (org, user_id, proof_sha256, created) VALUES (?, ?, ?, ?) \
                ON CONFLICT (org, user_id) DO UPDATE SET proof_sha256 = excluded.proof_sha256, created = excluded.created";
    let values = [Value::id(org), Value::id(user), Value::Bytes(proof_sha256.to_vec()), Value::Instant(now)];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct LimitRow {
    #[diesel(sql_type = BigInt)]
    unfinished: i64,
    #[diesel(sql_type = InstantType)]
    at: Instant,
    #[diesel(sql_type = Nullable<InstantType>)]
    told: Option<Instant>,
}

/// The guesses of a member. Nobody else counts one until the transaction ends.
pub(crate) fn guesses_lock(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    now: Instant,
) -> Result<Guesses, store::Error> {
    let insert =
        "INSERT INTO unlock_limit (org, user_id, unfinished, next_at) VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING";
    Statement::new(insert, [Value::id(org), Value::id(user), Value::Instant(now)]).run(conn)?;
    let lock = locking(conn.backend(), Lock::Change);
    let text = format!("SELECT unfinished, next_at AS at, told FROM unlock_limit WHERE org = ? AND user_id = ?{lock}");
    let row: Option<LimitRow> = Statement::new(text, [Value::id(org), Value::id(user)]).row(conn)?;
    Ok(row.map_or_else(
        || Guesses::none(now),
        |row| Guesses { unfinished: version_of(row.unfinished), next_at: row.at, told: row.told },
    ))
}

/// With its row locked.
pub(crate) fn guesses_write(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    guesses: &Guesses,
) -> Result<(), store::Error> {
    let text = "UPDATE unlock_limit SET unfinished = ?, next_at = ?, told = ? WHERE org = ? AND user_id = ?";
    let values = [
        Value::Integer(guesses.unfinished.into()),
        Value::Instant(guesses.next_at),
        Value::OptionalInstant(guesses.told),
        Value::id(org),
        Value::id(user),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

pub(crate) fn guesses_forget(conn: &mut AnyConnection, org: OrgId, user: UserId) -> Result<(), store::Error> {
    let text = "DELETE FROM unlock_limit WHERE org = ? AND user_id = ?";
    Statement::new(text, [Value::id(org), Value::id(user)]).run(conn)?;
    Ok(())
}

/// The guesses of all members together, likewise.
pub(crate) fn budget_lock(conn: &mut AnyConnection, org: OrgId, now: Instant) -> Result<Budget, store::Error> {
    let insert = "INSERT INTO unlock_budget (org, since, unfinished) VALUES (?, ?, 0) ON CONFLICT DO NOTHING";
    Statement::new(insert, [Value::id(org), Value::Instant(now)]).run(conn)?;
    let lock = locking(conn.backend(), Lock::Change);
    let text = format!("SELECT unfinished, since AS at, told FROM unlock_budget WHERE org = ?{lock}");
    let row: Option<LimitRow> = Statement::new(text, [Value::id(org)]).row(conn)?;
    Ok(row
        .map_or_else(|| Budget::none(now), |row| Budget { since: row.at, unfinished: row.unfinished, told: row.told }))
}

pub(crate) fn budget_write(conn: &mut AnyConnection, org: OrgId, budget: &Budget) -> Result<(), store::Error> {
    let text = "UPDATE unlock_budget SET since = ?, unfinished = ?, told = ? WHERE org = ?";
    let values = [
        Value::Instant(budget.since),
        Value::Integer(budget.unfinished),
        Value::OptionalInstant(budget.told),
        Value::id(org),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// A guess was finished.
pub(crate) fn budget_give_back(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    let text = "UPDATE unlock_budget SET unfinished = unfinished - 1 WHERE org = ? AND unfinished > 0";
    Statement::new(text, [Value::id(org)]).run(conn)?;
    Ok(())
}

pub(crate) fn login_insert(conn: &mut AnyConnection, org: OrgId, new: &Login) -> Result<(), store::Error> {
    let text = "INSERT INTO login_state (org, id, user_id, session_id, record_id, state, expires) VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values = [
        Value::id(org),
        Value::id(new.id),
        Value::id(new.user),
        Value::id(new.session),
        Value::OptionalId(new.record.map(|id| super::statement::AnyId(id.0))),
        Value::Bytes(new.state.clone()),
        Value::Instant(new.expires),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct LoginRow {
    #[diesel(sql_type = Nullable<Id>)]
    record_id: Option<RecordId>,
    #[diesel(sql_type = Binary)]
    state: Vec<u8>,
    #[diesel(sql_type = InstantType)]
    expires: Instant,
}

/// Once, for the session it was begun in.
pub(crate) fn login_take(
    conn: &mut AnyConnection,
    org: OrgId,
    (user, session): (UserId, SessionId),
    id: LoginId,
) -> Result<Option<Login>, store::Error> {
    let text = "DELETE FROM login_state WHERE org = ? AND id = ? AND user_id = ? AND session_id = ? \
                RETURNING record_id, state, expires";
    let values = [Value::id(org), Value::id(id), Value::id(user), Value::id(session)];
    let row: Option<LoginRow> = Statement::new(text, values).row(conn)?;
    Ok(row.map(|row| Login { id, user, session, record: row.record_id, state: row.state, expires: row.expires }))
}

/// Deletes those that are too old: the oldest `limit`, and what ended together with the last of them. How many there were.
pub(crate) fn logins_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    now: Instant,
    limit: i64,
) -> Result<usize, store::Error> {
    let text = "DELETE FROM login_state WHERE org = ? AND expires <= (SELECT max(oldest.expires) FROM \
                (SELECT expires FROM login_state WHERE org = ? AND expires <= ? ORDER BY expires LIMIT ?) oldest)";
    let values = [Value::id(org), Value::id(org), Value::Instant(now), Value::Integer(limit)];
    Ok(Statement::new(text, values).run(conn)?)
}
