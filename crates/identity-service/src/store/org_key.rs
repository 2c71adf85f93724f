//! The organization key: its versions, sealed and encrypted, and whom it was granted to.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Binary, Bool, Nullable, Text},
};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantType},
};

use super::{
    account::{exact, version_of},
    account_session::LOOKED_AT,
    statement::{Statement, Value, limit_to},
};
use crate::domain::{
    OrgId, UserId,
    account::{KeyId, PublicKey},
    keys::{ChainLink, KitSeal, MemberGrant, OrgKey, Waiting},
};

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Id)]
    made_by: UserId,
    #[diesel(sql_type = Id)]
    made_by_key: KeyId,
    #[diesel(sql_type = Nullable<Binary>)]
    link_nonce: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    link_ciphertext: Option<Vec<u8>>,
    #[diesel(sql_type = Binary)]
    kit_pub: Vec<u8>,
    #[diesel(sql_type = Binary)]
    kit_enc: Vec<u8>,
    #[diesel(sql_type = Binary)]
    kit_ciphertext: Vec<u8>,
    #[diesel(sql_type = Binary)]
    kit_signature: Vec<u8>,
    #[diesel(sql_type = Nullable<Binary>)]
    kit_verifier: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<InstantType>)]
    rotation_due: Option<Instant>,
}

fn link(nonce: Option<&Vec<u8>>, ciphertext: Option<&Vec<u8>>) -> Result<Option<ChainLink>, store::Error> {
    nonce
        .zip(ciphertext)
        .map(|(nonce, ciphertext)| Ok(ChainLink { nonce: exact(nonce)?, ciphertext: exact(ciphertext)? }))
        .transpose()
}

pub(crate) fn org_key_newest(conn: &mut AnyConnection, org: OrgId) -> Result<Option<OrgKey>, store::Error> {
    let text = "SELECT version, made_by, made_by_key, link_nonce, link_ciphertext, kit_pub, kit_enc, kit_ciphertext, \
                kit_signature, kit_verifier, rotation_due FROM org_key WHERE org = ? ORDER BY version DESC LIMIT 1";
    let row: Option<KeyRow> = Statement::new(text, [Value::id(org)]).row(conn)?;
    let of = |row: KeyRow| {
        Ok(OrgKey {
            version: version_of(row.version),
            made_by: row.made_by,
            made_by_key: row.made_by_key,
            link: link(row.link_nonce.as_ref(), row.link_ciphertext.as_ref())?,
            kit: KitSeal {
                kit_pub: exact(&row.kit_pub)?,
                enc: exact(&row.kit_enc)?,
                ciphertext: exact(&row.kit_ciphertext)?,
                signature: exact(&row.kit_signature)?,
            },
            kit_verifier: row.kit_verifier.as_deref().map(exact).transpose()?,
            rotation_due: row.rotation_due,
        })
    };
    row.map(of).transpose()
}

/// Whether there was none of this version: of several, one.
pub(crate) fn org_key_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    new: &OrgKey,
    now: Instant,
) -> Result<bool, store::Error> {
    let text = "INSERT INTO org_key (org, version, made_by, made_by_key, link_nonce, link_ciphertext, kit_pub, kit_enc, \
                kit_ciphertext, kit_signature, kit_verifier, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                ON CONFLICT (org, version) DO NOTHING";
    let values = [
        Value::id(org),
        Value::Integer(new.version.into()),
        Value::id(new.made_by),
        Value::id(new.made_by_key),
        Value::OptionalBytes(new.link.as_ref().map(|link| link.nonce.to_vec())),
        Value::OptionalBytes(new.link.as_ref().map(|link| link.ciphertext.to_vec())),
        Value::Bytes(new.kit.kit_pub.to_vec()),
        Value::Bytes(new.kit.enc.to_vec()),
        Value::Bytes(new.kit.ciphertext.to_vec()),
        Value::Bytes(new.kit.signature.to_vec()),
        Value::OptionalBytes(new.kit_verifier.map(Into::into)),
        Value::Instant(now),
    ];
    Ok(Statement::new(text, values).run(conn)? == 1)
}

/// The newest version is to be rotated if it was granted to this user.
pub(crate) fn rotation_note(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    since: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE org_key SET rotation_due = ? WHERE org = ? AND rotation_due IS NULL AND version = (SELECT \
                max(o.version) FROM org_key o WHERE o.org = ?) AND EXISTS (SELECT 1 FROM org_key_grant g WHERE g.org = ? AND \
                g.user_id = ? AND g.version = org_key.version)";
    let values = [Value::Instant(since), Value::id(org), Value::id(org), Value::id(org), Value::id(user)];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Nullable<Binary>)]
    link_nonce: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    link_ciphertext: Option<Vec<u8>>,
}

/// The newest links first.
pub(crate) fn chain(conn: &mut AnyConnection, org: OrgId, limit: i64) -> Result<Vec<(u32, ChainLink)>, store::Error> {
    let mut links = Statement::new(
        "SELECT version, link_nonce, link_ciphertext FROM org_key WHERE org = ? AND version > 1 ORDER BY version DESC",
        [Value::id(org)],
    );
    links.append(limit_to(conn.backend(), limit));
    let mut found = Vec::new();
    for row in links.rows::<LinkRow>(conn)? {
        let link = link(row.link_nonce.as_ref(), row.link_ciphertext.as_ref())?;
        found.extend(link.map(|link| (version_of(row.version), link)));
    }
    Ok(found)
}

#[derive(QueryableByName)]
struct GrantRow {
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Id)]
    recipient_key_id: KeyId,
    #[diesel(sql_type = Id)]
    granter_key_id: KeyId,
    #[diesel(sql_type = Binary)]
    enc: Vec<u8>,
    #[diesel(sql_type = Binary)]
    ciphertext: Vec<u8>,
    #[diesel(sql_type = Binary)]
    signature: Vec<u8>,
}

/// Of the newest version that a user was given.
pub(crate) fn grant_newest(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
) -> Result<Option<MemberGrant>, store::Error> {
    let text = "SELECT version, recipient_key_id, granter_key_id, enc, ciphertext, signature FROM org_key_grant \
                WHERE org = ? AND user_id = ? ORDER BY version DESC LIMIT 1";
    let row: Option<GrantRow> = Statement::new(text, [Value::id(org), Value::id(user)]).row(conn)?;
    let of = |row: GrantRow| {
        Ok(MemberGrant {
            version: version_of(row.version),
            user,
            recipient: row.recipient_key_id,
            granter: row.granter_key_id,
            enc: exact(&row.enc)?,
            ciphertext: exact(&row.ciphertext)?,
            signature: exact(&row.signature)?,
        })
    };
    row.map(of).transpose()
}

/// In the place of one of the same version, which was for other keys.
pub(crate) fn grant_set(
    conn: &mut AnyConnection,
    org: OrgId,
    new: &MemberGrant,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO org_key_grant (org, user_id, version, recipient_key_id, enc, ciphertext, signature, \
                granter_key_id, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (org, user_id, version) DO UPDATE SET \
                recipient_key_id = excluded.recipient_key_id, enc = excluded.enc, ciphertext = excluded.ciphertext, \
                signature = excluded.signature, granter_key_id = excluded.granter_key_id, created = excluded.created";
    let values = [
        Value::id(org),
        Value::id(new.user),
        Value::Integer(new.version.into()),
        Value::id(new.recipient),
        Value::Bytes(new.enc.to_vec()),
        Value::Bytes(new.ciphertext.to_vec()),
        Value::Bytes(new.signature.to_vec()),
        Value::id(new.granter),
        Value::Instant(now),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// They are for keys that nobody has any more.
pub(crate) fn grants_delete(conn: &mut AnyConnection, org: OrgId, user: UserId) -> Result<(), store::Error> {
    let text = "DELETE FROM org_key_grant WHERE org = ? AND user_id = ?";
    Statement::new(text, [Value::id(org), Value::id(user)]).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct WaitingRow {
    #[diesel(sql_type = Id)]
    user_id: UserId,
    #[diesel(sql_type = Text)]
    user_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    primary_email: Option<String>,
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
    #[diesel(sql_type = BigInt)]
    granted: i64,
    #[diesel(sql_type = Bool)]
    administrator: bool,
}

impl TryFrom<WaitingRow> for Waiting {
    type Error = store::Error;

    fn try_from(row: WaitingRow) -> Result<Self, store::Error> {
        let key = PublicKey {
            id: row.key_id,
            user: row.user_id,
            version: version_of(row.key_version),
            enc_pub: exact(&row.enc_pub)?,
            sig_pub: exact(&row.sig_pub)?,
        };
        Ok(Self {
            user: row.user_id,
            user_name: row.user_name,
            display_name: row.display_name.unwrap_or_default(),
            email: row.primary_email.unwrap_or_default(),
            key,
            possession: exact(&row.possession)?,
            challenge: exact(&row.challenge)?,
            was_confirmed: row.granted > 0,
            administrator: row.administrator,
            agent: false,
            grant: None,
        })
    }
}

#[derive(QueryableByName)]
struct GrantedRow {
    #[diesel(sql_type = BigInt)]
    granted: i64,
}

/// Active members with keys that have no grant of this version, those after a key id, by it. The index has them by the version
/// they were given last, so each of these is looked at by itself: there are few.
pub(crate) fn waiting(
    conn: &mut AnyConnection,
    org: OrgId,
    newest: u32,
    after: KeyId,
    limit: i64,
) -> Result<Vec<Waiting>, store::Error> {
    let (mut all, mut from) = (Vec::new(), -1);
    loop {
        let next = "SELECT a.granted FROM account a WHERE a.org = ? AND a.granted > ? AND a.granted < ? AND a.key_id IS NOT NULL \
                    ORDER BY a.granted LIMIT 1";
        let values = [Value::id(org), Value::Integer(from), Value::Integer(newest.into())];
        let Some(GrantedRow { granted }) = Statement::new(next, values).row(conn)? else { break };
        from = granted;
        let mut page = Statement::new(
            format!(
                "SELECT a.user_id, r.user_name, r.display_name, r.primary_email, a.key_id, k.version AS key_version, k.enc_pub, \
                 k.sig_pub, k.possession, k.challenge, a.granted, {LOOKED_AT} AS administrator FROM account a JOIN scim_user r \
                 ON r.org = a.org AND r.id = a.user_id JOIN account_key k ON k.org = a.org AND k.id = a.key_id WHERE a.org = ? \
                 AND a.granted = ? AND a.key_id > ? AND r.active ORDER BY a.key_id"
            ),
            [Value::id(org), Value::Integer(granted), Value::id(after)],
        );
        page.append(limit_to(conn.backend(), limit));
        let rows: Vec<WaitingRow> = page.rows(conn)?;
        all.extend(rows.into_iter().map(Waiting::try_from).collect::<Result<Vec<_>, _>>()?);
    }
    all.sort_by_key(|waiting| waiting.key.id);
    all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(all)
}
