//! Accounts: their rows, who they belong to, and how an organization links and confirms them.
//!
//! Not here: keys (`account_key`), sessions (`account_session`), the organization key (`org_key`). No statement of SCIM
//! looks at these tables.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Binary, Bool, Nullable, SmallInt, Text},
};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantType},
};

use super::{
    Count,
    hold::NOT_HELD,
    member::id_type,
    statement::{Lock, Statement, Value, each, limit_to, locking},
    user::EMAIL,
};
use crate::domain::{
    OrgId, UserId,
    account::{Account, KeyId, Link, Member, Policy, Presence, PublicKey, Sought, Stage},
    admin::Pin,
};

/// The columns of [`AccountRow`], for table aliases `a` (account) and `k` (its current key).
pub(super) const COLUMNS: &str = "a.stage, a.issuer, a.subject, a.key_id, a.granted, a.created, a.last_signed_in, \
                                  a.set_up, a.confirmed, k.version AS key_version, k.enc_pub, k.sig_pub";

/// All absent: the user has no account.
#[derive(QueryableByName)]
pub(super) struct AccountRow {
    #[diesel(sql_type = Nullable<SmallInt>)]
    stage: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    issuer: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    subject: Option<String>,
    #[diesel(sql_type = Nullable<Id>)]
    key_id: Option<KeyId>,
    #[diesel(sql_type = Nullable<BigInt>)]
    granted: Option<i64>,
    #[diesel(sql_type = Nullable<InstantType>)]
    created: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    last_signed_in: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    set_up: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    confirmed: Option<Instant>,
    #[diesel(sql_type = Nullable<BigInt>)]
    key_version: Option<i64>,
    #[diesel(sql_type = Nullable<Binary>)]
    enc_pub: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    sig_pub: Option<Vec<u8>>,
}

/// What was written has this length.
pub(super) fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], store::Error> {
    bytes.try_into().map_err(|_| store::Error::Other("stored bytes are not as they were written".to_owned()))
}

/// What was written was one.
pub(super) fn version_of(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(0)
}

impl AccountRow {
    pub(super) fn of(self, user: UserId) -> Result<(Option<Account>, Option<PublicKey>), store::Error> {
        let key = match (self.key_id, self.key_version, &self.enc_pub, &self.sig_pub) {
            (Some(id), Some(version), Some(enc), Some(sig)) => {
                let (enc_pub, sig_pub) = (exact(enc)?, exact(sig)?);
                Some(PublicKey { id, user, version: version_of(version), enc_pub, sig_pub })
            }
            _ => None,
        };
        let account = match (self.stage, self.created, self.last_signed_in) {
            (Some(stage), Some(created), Some(last_signed_in)) => Some(Account {
                user,
                stage: Stage::of(stage),
                pin: self.issuer.zip(self.subject).map(|(issuer, subject)| Pin { issuer, subject }),
                key: self.key_id,
                granted: version_of(self.granted.unwrap_or(0)),
                created,
                last_signed_in,
                set_up: self.set_up,
                confirmed: self.confirmed,
            }),
            _ => None,
        };
        Ok((account, key))
    }
}

/// The columns of [`UserPart`], for a table alias `r`.
pub(super) const USER_COLUMNS: &str = "r.id AS user_id, r.user_name, r.display_name, r.primary_email, r.active";

#[derive(QueryableByName)]
pub(super) struct UserPart {
    #[diesel(sql_type = Id)]
    user_id: UserId,
    #[diesel(sql_type = Text)]
    user_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    primary_email: Option<String>,
    #[diesel(sql_type = Nullable<Bool>)]
    active: Option<bool>,
}

impl UserPart {
    pub(super) fn with(self, account: AccountRow) -> Result<Member, store::Error> {
        let (account, key) = account.of(self.user_id)?;
        Ok(Member {
            user: self.user_id,
            user_name: self.user_name,
            display_name: self.display_name.unwrap_or_default(),
            email: self.primary_email.unwrap_or_default(),
            presence: presence(self.active),
            account,
            key,
        })
    }
}

fn presence(active: Option<bool>) -> Presence {
    if active == Some(true) { Presence::Active } else { Presence::Deactivated }
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(embed)]
    user: UserPart,
    #[diesel(embed)]
    account: AccountRow,
}

impl TryFrom<MemberRow> for Member {
    type Error = store::Error;

    fn try_from(row: MemberRow) -> Result<Self, store::Error> {
        row.user.with(row.account)
    }
}

/// The account of a user `r` and its key.
pub(super) const JOINED: &str = "LEFT JOIN account a ON a.org = r.org AND a.user_id = r.id \
                                 LEFT JOIN account_key k ON k.org = a.org AND k.id = a.key_id";

pub(crate) fn member_get(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<Option<Member>, store::Error> {
    let text = format!("SELECT {USER_COLUMNS}, {COLUMNS} FROM scim_user r {JOINED} WHERE r.org = ? AND r.id = ?");
    let row: Option<MemberRow> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    row.map(Member::try_from).transpose()
}

/// Those of them that there are, by id.
pub(crate) fn members_get(
    conn: &mut AnyConnection,
    org: OrgId,
    ids: &[uuid::Uuid],
) -> Result<Vec<Member>, store::Error> {
    let backend = conn.backend();
    let text = format!(
        "SELECT {USER_COLUMNS}, {COLUMNS} FROM scim_user r {JOINED} WHERE r.org = ? AND r.id IN (SELECT i.id FROM {} i) \
         ORDER BY r.id",
        each(backend)
    );
    let rows: Vec<MemberRow> = Statement::new(text, [Value::id(org), Value::ids(backend, ids)]).rows(conn)?;
    rows.into_iter().map(Member::try_from).collect()
}

/// A deleted user with the stored form that its names are in.
#[derive(QueryableByName)]
struct DeletedRow {
    #[diesel(sql_type = Id)]
    user_id: UserId,
    #[diesel(sql_type = Text)]
    resource: String,
    #[diesel(embed)]
    account: AccountRow,
}

/// Of those that can be restored, by id.
pub(crate) fn deleted_members_get(
    conn: &mut AnyConnection,
    org: OrgId,
    ids: &[uuid::Uuid],
    now: Instant,
) -> Result<Vec<Member>, store::Error> {
    let backend = conn.backend();
    let text = format!(
        "SELECT d.id AS user_id, d.resource, {COLUMNS} FROM deleted_user d LEFT JOIN account a ON a.org = d.org AND \
         a.user_id = d.id LEFT JOIN account_key k ON k.org = a.org AND k.id = a.key_id WHERE d.org = ? AND d.id IN \
         (SELECT i.id FROM {} i) AND (d.purge_at > ? OR NOT {NOT_HELD}) ORDER BY d.id",
        each(backend)
    );
    let values = [Value::id(org), Value::ids(backend, ids), Value::Instant(now)];
    let rows: Vec<DeletedRow> = Statement::new(text, values).rows(conn)?;
    let member = |row: DeletedRow| {
        let stored: scim::Object = serde_json::from_str(&row.resource).unwrap_or_default();
        let keys = scim::resource::user_keys(&stored);
        let (account, key) = row.account.of(row.user_id)?;
        Ok(Member {
            user: row.user_id,
            user_name: keys.user_name,
            display_name: keys.display_name.unwrap_or_default(),
            email: keys.primary_email.unwrap_or_default(),
            presence: Presence::Deleted,
            account,
            key,
        })
    };
    rows.into_iter().map(member).collect()
}

/// What a list looks at before it chooses whom to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) user: UserId,
    pub(crate) presence: Presence,
    pub(crate) stage: Option<Stage>,
}

#[derive(QueryableByName)]
struct SeenRow {
    #[diesel(sql_type = Id)]
    user_id: UserId,
    /// Of who is there.
    #[diesel(sql_type = Nullable<Id>)]
    there: Option<UserId>,
    #[diesel(sql_type = Nullable<Bool>)]
    active: Option<bool>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    stage: Option<i16>,
}

fn seen(statement: Statement, conn: &mut AnyConnection) -> Result<Vec<Seen>, store::Error> {
    let of = |row: SeenRow| {
        let presence = if row.there.is_some() { presence(row.active) } else { Presence::Deleted };
        Seen { user: row.user_id, presence, stage: row.stage.map(Stage::of) }
    };
    Ok(statement.rows::<SeenRow>(conn)?.into_iter().map(of).collect())
}

/// Users after one, by id.
pub(crate) fn users_seen(
    conn: &mut AnyConnection,
    org: OrgId,
    after: UserId,
    limit: i64,
) -> Result<Vec<Seen>, store::Error> {
    let mut page = Statement::new(
        "SELECT r.id AS user_id, r.id AS there, r.active, a.stage FROM scim_user r LEFT JOIN account a ON a.org = r.org AND \
         a.user_id = r.id WHERE r.org = ? AND r.id > ? ORDER BY r.id",
        [Value::id(org), Value::id(after)],
    );
    page.append(limit_to(conn.backend(), limit));
    seen(page, conn)
}

/// Accounts of a stage after one, by user id.
pub(crate) fn accounts_seen(
    conn: &mut AnyConnection,
    org: OrgId,
    stage: Stage,
    after: UserId,
    limit: i64,
) -> Result<Vec<Seen>, store::Error> {
    let mut page = Statement::new(
        "SELECT a.user_id, r.id AS there, r.active, a.stage FROM account a LEFT JOIN scim_user r ON r.org = a.org AND \
         r.id = a.user_id WHERE a.org = ? AND a.stage = ? AND a.user_id > ? ORDER BY a.user_id",
        [Value::id(org), Value::Integer(stage.code().into()), Value::id(after)],
    );
    page.append(limit_to(conn.backend(), limit));
    seen(page, conn)
}

/// Deleted users after one, by id. Some of them may be there no more: see [`deleted_members_get`].
pub(crate) fn deleted_seen(
    conn: &mut AnyConnection,
    org: OrgId,
    after: UserId,
    limit: i64,
) -> Result<Vec<Seen>, store::Error> {
    let text = format!(
        "SELECT d.id AS user_id, CAST(NULL AS {}) AS there, CAST(NULL AS boolean) AS active, a.stage FROM deleted_user d LEFT JOIN account a ON \
         a.org = d.org AND a.user_id = d.id WHERE d.org = ? AND d.id > ? ORDER BY d.id",
        id_type(conn.backend())
    );
    let mut page = Statement::new(text, [Value::id(org), Value::id(after)]);
    page.append(limit_to(conn.backend(), limit));
    seen(page, conn)
}

/// So many accounts of a stage, by what has become of their users.
#[derive(QueryableByName)]
pub(crate) struct StageCount {
    #[diesel(sql_type = SmallInt)]
    stage: i16,
    /// 0 active, 1 deactivated, 2 deleted.
    #[diesel(sql_type = BigInt)]
    presence: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) n: i64,
}

impl StageCount {
    pub(crate) fn of(&self) -> (Presence, Stage) {
        let presence = match self.presence {
            0 => Presence::Active,
            1 => Presence::Deactivated,
            _ => Presence::Deleted,
        };
        (presence, Stage::of(self.stage))
    }
}

/// Reads each account of the organization, and its user: as many as have ever signed in.
pub(crate) fn accounts_counted(conn: &mut AnyConnection, org: OrgId) -> Result<Vec<StageCount>, store::Error> {
    let text = "SELECT c.stage, c.presence, count(*) AS n FROM (SELECT a.stage, CAST(CASE WHEN r.id IS NULL THEN 2 WHEN \
                r.active THEN 0 ELSE 1 END AS bigint) AS presence FROM account a LEFT JOIN scim_user r ON r.org = a.org AND \
                r.id = a.user_id WHERE a.org = ?) c GROUP BY c.stage, c.presence";
    Ok(Statement::new(text, [Value::id(org)]).rows(conn)?)
}

/// Those that can be restored.
pub(crate) fn deleted_count(conn: &mut AnyConnection, org: OrgId, now: Instant) -> Result<i64, store::Error> {
    let text =
        format!("SELECT count(*) AS n FROM deleted_user d WHERE d.org = ? AND (d.purge_at > ? OR NOT {NOT_HELD})");
    let count: Option<Count> = Statement::new(text, [Value::id(org), Value::Instant(now)]).row(conn)?;
    Ok(count.map_or(0, |count| count.n))
}

#[derive(QueryableByName)]
struct OwnRow {
    #[diesel(sql_type = Id)]
    user_id: UserId,
    #[diesel(embed)]
    account: AccountRow,
}

fn own(statement: Statement, conn: &mut AnyConnection) -> Result<Option<Account>, store::Error> {
    let Some(row) = statement.row::<OwnRow>(conn)? else { return Ok(None) };
    Ok(row.account.of(row.user_id)?.0)
}

/// Of whomever it is, also of a deleted user.
pub(crate) fn account_by_pin(conn: &mut AnyConnection, org: OrgId, pin: &Pin) -> Result<Option<Account>, store::Error> {
    let text = format!(
        "SELECT a.user_id, {COLUMNS} FROM account a LEFT JOIN account_key k ON k.org = a.org AND k.id = a.key_id \
         WHERE a.org = ? AND a.issuer = ? AND a.subject = ?"
    );
    own(Statement::new(text, [Value::id(org), Value::text(&*pin.issuer), Value::text(&*pin.subject)]), conn)
}

/// Reads an account and keeps others from changing it until the transaction ends.
pub(crate) fn account_lock(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
) -> Result<Option<Account>, store::Error> {
    // Of the account alone: PostgreSQL locks no row on the other side of an outer join.
    let lock = match locking(conn.backend(), Lock::Change) {
        "" => String::new(),
        lock => format!("{lock} OF a"),
    };
    let text = format!(
        "SELECT a.user_id, {COLUMNS} FROM account a LEFT JOIN account_key k ON k.org = a.org AND k.id = a.key_id \
         WHERE a.org = ? AND a.user_id = ?{lock}"
    );
    own(Statement::new(text, [Value::id(org), Value::id(user)]), conn)
}

/// A first sign-in. Nothing happens where the user has one, or the pin is another one's.
pub(crate) fn account_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    pin: &Pin,
    now: Instant,
) -> Result<bool, store::Error> {
    let text = "INSERT INTO account (org, user_id, stage, issuer, subject, granted, created, last_signed_in) \
                VALUES (?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING";
    let values = [
        Value::id(org),
        Value::id(user),
        Value::Integer(Stage::SetUpRequired.code().into()),
        Value::text(&*pin.issuer),
        Value::text(&*pin.subject),
        Value::Instant(now),
        Value::Instant(now),
    ];
    Ok(Statement::new(text, values).run(conn)? == 1)
}

/// `pin` absent: it is forgotten.
pub(crate) fn account_pin_set(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    pin: Option<&Pin>,
) -> Result<(), store::Error> {
    let text = "UPDATE account SET issuer = ?, subject = ? WHERE org = ? AND user_id = ?";
    let values = [
        Value::OptionalText(pin.map(|pin| pin.issuer.clone())),
        Value::OptionalText(pin.map(|pin| pin.subject.clone())),
        Value::id(org),
        Value::id(user),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

pub(crate) fn account_signed_in(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE account SET last_signed_in = ? WHERE org = ? AND user_id = ?";
    Statement::new(text, [Value::Instant(now), Value::id(org), Value::id(user)]).run(conn)?;
    Ok(())
}

/// Has these keys from now on, and no organization key.
pub(crate) fn account_accepted(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    key: KeyId,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE account SET stage = ?, key_id = ?, granted = 0, set_up = ?, confirmed = NULL \
                WHERE org = ? AND user_id = ?";
    let values = [
        Value::Integer(Stage::Accepted.code().into()),
        Value::id(key),
        Value::Instant(now),
        Value::id(org),
        Value::id(user),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// Was given a version of the organization key.
pub(crate) fn account_granted(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    version: u32,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "UPDATE account SET stage = ?, granted = ?, confirmed = coalesce(confirmed, ?) \
                WHERE org = ? AND user_id = ?";
    let values = [
        Value::Integer(Stage::Confirmed.code().into()),
        Value::Integer(version.into()),
        Value::Instant(now),
        Value::id(org),
        Value::id(user),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// A user that a claim may mean.
#[derive(QueryableByName)]
pub(crate) struct Candidate {
    #[diesel(sql_type = Id)]
    pub(crate) id: UserId,
    #[diesel(sql_type = Text)]
    pub(crate) user_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) external_id: Option<String>,
    #[diesel(sql_type = Text)]
    pub(crate) resource: String,
}

/// By the indexes, which fold more than may be believed: at most `limit`.
pub(crate) fn candidates(
    conn: &mut AnyConnection,
    org: OrgId,
    sought: &Sought,
    limit: i64,
) -> Result<Vec<Candidate>, store::Error> {
    const USER: &str = "SELECT r.id, r.user_name, r.external_id, r.resource FROM scim_user r";
    let mut found: Vec<Candidate> = Vec::new();
    let of_name = |name: &str| {
        Statement::new(
            format!("{USER} WHERE r.org = ? AND r.user_name_key = ?"),
            [Value::id(org), Value::text(scim::user_name::key(name))],
        )
    };
    let mut statements = match sought {
        Sought::UserName(name) => vec![of_name(name)],
        Sought::ExternalId(id) => vec![Statement::new(
            format!("{USER} WHERE r.org = ? AND r.external_id = ?"),
            [Value::id(org), Value::text(id)],
        )],
        Sought::Email(email) => vec![
            of_name(email),
            Statement::new(
                format!(
                    "{USER} JOIN user_key e ON e.org = r.org AND e.user_id = r.id WHERE r.org = ? AND e.org = ? AND \
                     e.attr = ? AND e.key = ?"
                ),
                [Value::id(org), Value::id(org), Value::text(EMAIL), Value::text(scim::fold(email))],
            ),
        ],
    };
    for statement in &mut statements {
        statement.append(limit_to(conn.backend(), limit));
        found.extend(std::mem::take(statement).rows::<Candidate>(conn)?);
    }
    found.sort_by_key(|candidate| candidate.id);
    found.dedup_by_key(|candidate| candidate.id);
    Ok(found)
}

#[derive(QueryableByName)]
struct PolicyRow {
    #[diesel(sql_type = SmallInt)]
    link: i16,
    #[diesel(sql_type = Bool)]
    just_in_time: bool,
    #[diesel(sql_type = Bool)]
    confirm_automatically: bool,
}

pub(crate) fn account_policy(conn: &mut AnyConnection, org: OrgId) -> Result<Policy, store::Error> {
    let text = "SELECT link, just_in_time, confirm_automatically FROM account_policy WHERE org = ?";
    let row: Option<PolicyRow> = Statement::new(text, [Value::id(org)]).row(conn)?;
    Ok(row.map_or_else(Policy::default, |row| Policy {
        link: Link::of(row.link),
        just_in_time: row.just_in_time,
        confirm_automatically: row.confirm_automatically,
    }))
}

pub(crate) fn account_policy_set(
    conn: &mut AnyConnection,
    org: OrgId,
    policy: Policy,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO account_policy (org, link, just_in_time, confirm_automatically, modified) VALUES (?, ?, ?, ?, ?) \
                ON CONFLICT (org) DO UPDATE SET link = excluded.link, just_in_time = excluded.just_in_time, \
                confirm_automatically = excluded.confirm_automatically, modified = excluded.modified";
    let values = [
        Value::id(org),
        Value::Integer(policy.link.code().into()),
        Value::Boolean(policy.just_in_time),
        Value::Boolean(policy.confirm_automatically),
        Value::Instant(now),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// Everything that deleted users, who are locked, had beside their resource. Public keys of theirs by which others were granted the
/// organization key stay for as long as one of these has its grant: without them it could not be verified.
pub(crate) fn accounts_purge(conn: &mut AnyConnection, org: OrgId, users: &[uuid::Uuid]) -> Result<(), store::Error> {
    const OF_USERS: [&str; 10] = [
        "login_state",
        "account_session",
        "account_registration",
        "account_key_wrap",
        "opaque_record",
        "recovery_verifier",
        "unlock_limit",
        "org_key_grant",
        "account",
        "account_key",
    ];
    let backend = conn.backend();
    for table in OF_USERS {
        let named = if table == "account_key" {
            " AND NOT EXISTS (SELECT 1 FROM org_key_grant g WHERE g.org = account_key.org AND \
             g.granter_key_id = account_key.id) AND NOT EXISTS (SELECT 1 FROM org_key o WHERE o.org = account_key.org AND \
             o.made_by_key = account_key.id)"
        } else {
            ""
        };
        let text =
            format!("DELETE FROM {table} WHERE org = ? AND user_id IN (SELECT i.id FROM {} i){named}", each(backend));
        Statement::new(text, [Value::id(org), Value::ids(backend, users)]).run(conn)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct OrgRow {
    #[diesel(sql_type = Id)]
    org: OrgId,
}

/// The next organization, by id, whose members have sessions or unlocks that have begun: one seek for each.
pub(crate) fn account_organization_after(
    conn: &mut AnyConnection,
    after: OrgId,
) -> Result<Option<OrgId>, store::Error> {
    let mut first: Option<OrgId> = None;
    for text in [
        "SELECT org FROM account_session WHERE org > ? ORDER BY org LIMIT 1",
        "SELECT org FROM login_state WHERE org > ? ORDER BY org LIMIT 1",
    ] {
        let row: Option<OrgRow> = Statement::new(text, [Value::id(after)]).row(conn)?;
        first = first.into_iter().chain(row.map(|row| row.org)).min();
    }
    Ok(first)
}
