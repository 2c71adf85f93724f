//! Administrators of consoles, and invitations.

use diesel::prelude::*;
use store::{AnyConnection, Instant};

use super::{
    Count,
    schema::{admin_invite, console_admin},
    statement::{Statement, Value},
};
use crate::domain::{
    AdminId, InviteId, OrgId,
    admin::{Admin, Email, Invite, Pin, Role},
    secret::Hash,
};

#[derive(QueryableByName)]
#[diesel(table_name = console_admin)]
struct AdminRow {
    id: AdminId,
    email: String,
    email_key: String,
    name: String,
    role: String,
    created: Instant,
    last_signed_in: Option<Instant>,
    issuer: Option<String>,
    subject: Option<String>,
}

impl TryFrom<AdminRow> for Admin {
    type Error = store::Error;

    fn try_from(row: AdminRow) -> Result<Self, store::Error> {
        Ok(Self {
            id: row.id,
            email: Email { text: row.email, key: row.email_key },
            name: row.name,
            role: role(&row.role)?,
            created: row.created,
            last_signed_in: row.last_signed_in,
            pin: row.issuer.zip(row.subject).map(|(issuer, subject)| Pin { issuer, subject }),
        })
    }
}

pub(super) fn role(text: &str) -> Result<Role, store::Error> {
    Role::parse(text).ok_or_else(|| store::Error::Other("a stored role is none".to_owned()))
}

const ADMIN: &str =
    "SELECT id, email, email_key, name, role, created, last_signed_in, issuer, subject FROM console_admin";

fn one(conn: &mut AnyConnection, condition: &str, values: Vec<Value>) -> Result<Option<Admin>, store::Error> {
    let row: Option<AdminRow> = Statement::new(format!("{ADMIN} WHERE {condition}"), values).row(conn)?;
    row.map(Admin::try_from).transpose()
}

pub(crate) fn admin_get(conn: &mut AnyConnection, org: OrgId, id: AdminId) -> Result<Option<Admin>, store::Error> {
    one(conn, "org = ? AND id = ?", vec![Value::id(org), Value::id(id)])
}

pub(crate) fn admin_by_email(
    conn: &mut AnyConnection,
    org: OrgId,
    email: &Email,
) -> Result<Option<Admin>, store::Error> {
    one(conn, "org = ? AND email_key = ?", vec![Value::id(org), Value::text(&*email.key)])
}

pub(crate) fn admin_by_pin(conn: &mut AnyConnection, org: OrgId, pin: &Pin) -> Result<Option<Admin>, store::Error> {
    let values = vec![Value::id(org), Value::text(&*pin.issuer), Value::text(&*pin.subject)];
    one(conn, "org = ? AND issuer = ? AND subject = ?", values)
}

/// By e-mail address.
pub(crate) fn admins(conn: &mut AnyConnection, org: OrgId) -> Result<Vec<Admin>, store::Error> {
    let text = format!("{ADMIN} WHERE org = ? ORDER BY email_key");
    let rows: Vec<AdminRow> = Statement::new(text, [Value::id(org)]).rows(conn)?;
    rows.into_iter().map(Admin::try_from).collect()
}

pub(crate) fn admin_count(conn: &mut AnyConnection, org: OrgId) -> Result<usize, store::Error> {
    count(conn, Statement::new("SELECT count(*) AS n FROM console_admin WHERE org = ?", [Value::id(org)]))
}

/// Who holds the organization's row knows that it stays so.
pub(crate) fn owner_count(conn: &mut AnyConnection, org: OrgId) -> Result<usize, store::Error> {
    let text = "SELECT count(*) AS n FROM console_admin WHERE org = ? AND role = ?";
    count(conn, Statement::new(text, [Value::id(org), Value::text(Role::Owner.as_str())]))
}

fn count(conn: &mut AnyConnection, statement: Statement) -> Result<usize, store::Error> {
    Ok(statement.row::<Count>(conn)?.and_then(|row| usize::try_from(row.n).ok()).unwrap_or(0))
}

pub(crate) fn admin_insert(conn: &mut AnyConnection, org: OrgId, new: &Admin) -> Result<(), store::Error> {
    let text =
        "INSERT INTO console_admin (org, id, email, email_key, name, role, created) VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values = [
        Value::id(org),
        Value::id(new.id),
        Value::text(&*new.email.text),
        Value::text(&*new.email.key),
        Value::text(&*new.name),
        Value::text(new.role.as_str()),
        Value::Instant(new.created),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

pub(crate) fn admin_role_set(
    conn: &mut AnyConnection,
    org: OrgId,
    id: AdminId,
    role: Role,
) -> Result<(), store::Error> {
    let text = "UPDATE console_admin SET role = ? WHERE org = ? AND id = ?";
    Statement::new(text, [Value::text(role.as_str()), Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}

/// What a sign-in changes: its instant, name and pin.
pub(crate) fn admin_signed_in(
    conn: &mut AnyConnection,
    org: OrgId,
    admin: &Admin,
    now: Instant,
) -> Result<(), store::Error> {
    let text =
        "UPDATE console_admin SET name = ?, issuer = ?, subject = ?, last_signed_in = ? WHERE org = ? AND id = ?";
    let pin = admin.pin.as_ref();
    let values = [
        Value::text(&*admin.name),
        Value::OptionalText(pin.map(|pin| pin.issuer.clone())),
        Value::OptionalText(pin.map(|pin| pin.subject.clone())),
        Value::Instant(now),
        Value::id(org),
        Value::id(admin.id),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// And its sessions.
pub(crate) fn admin_delete(conn: &mut AnyConnection, org: OrgId, id: AdminId) -> Result<(), store::Error> {
    let text = "DELETE FROM console_admin WHERE org = ? AND id = ?";
    Statement::new(text, [Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
#[diesel(table_name = admin_invite)]
struct InviteRow {
    org: OrgId,
    id: InviteId,
    email: String,
    email_key: String,
    role: String,
    created: Instant,
    created_by: String,
    expires: Instant,
}

impl TryFrom<InviteRow> for (OrgId, Invite) {
    type Error = store::Error;

    fn try_from(row: InviteRow) -> Result<Self, store::Error> {
        let invite = Invite {
            id: row.id,
            email: Email { text: row.email, key: row.email_key },
            role: role(&row.role)?,
            created: row.created,
            created_by: row.created_by,
            expires: row.expires,
        };
        Ok((row.org, invite))
    }
}

const INVITE: &str = "SELECT org, id, email, email_key, role, created, created_by, expires FROM admin_invite";

/// Finds the organization.
pub(crate) fn invite_by_hash(conn: &mut AnyConnection, secret: Hash) -> Result<Option<(OrgId, Invite)>, store::Error> {
    let statement = Statement::new(format!("{INVITE} WHERE secret_sha256 = ?"), [Value::Bytes(secret.0.to_vec())]);
    statement.row::<InviteRow>(conn)?.map(TryFrom::try_from).transpose()
}

/// Expired ones, too.
pub(crate) fn invite_get(conn: &mut AnyConnection, org: OrgId, id: InviteId) -> Result<Option<Invite>, store::Error> {
    let statement = Statement::new(format!("{INVITE} WHERE org = ? AND id = ?"), [Value::id(org), Value::id(id)]);
    let row: Option<InviteRow> = statement.row(conn)?;
    Ok(row.map(<(OrgId, Invite)>::try_from).transpose()?.map(|(_, invite)| invite))
}

/// By e-mail address; those that can still be used.
pub(crate) fn invites(conn: &mut AnyConnection, org: OrgId, now: Instant) -> Result<Vec<Invite>, store::Error> {
    let text = format!("{INVITE} WHERE org = ? AND expires > ? ORDER BY email_key");
    let rows: Vec<InviteRow> = Statement::new(text, [Value::id(org), Value::Instant(now)]).rows(conn)?;
    rows.into_iter().map(|row| Ok(<(OrgId, Invite)>::try_from(row)?.1)).collect()
}

pub(crate) fn invite_count(conn: &mut AnyConnection, org: OrgId, now: Instant) -> Result<usize, store::Error> {
    let text = "SELECT count(*) AS n FROM admin_invite WHERE org = ? AND expires > ?";
    count(conn, Statement::new(text, [Value::id(org), Value::Instant(now)]))
}

pub(crate) fn invite_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    new: &Invite,
    secret: Hash,
) -> Result<(), store::Error> {
    let text = "INSERT INTO admin_invite (org, id, email, email_key, role, secret_sha256, created, created_by, expires) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = [
        Value::id(org),
        Value::id(new.id),
        Value::text(&*new.email.text),
        Value::text(&*new.email.key),
        Value::text(new.role.as_str()),
        Value::Bytes(secret.0.to_vec()),
        Value::Instant(new.created),
        Value::text(&*new.created_by),
        Value::Instant(new.expires),
    ];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// Whether this call did: of several, one.
pub(crate) fn invite_delete(conn: &mut AnyConnection, org: OrgId, id: InviteId) -> Result<bool, store::Error> {
    let text = "DELETE FROM admin_invite WHERE org = ? AND id = ?";
    Ok(Statement::new(text, [Value::id(org), Value::id(id)]).run(conn)? == 1)
}

/// Those for an address.
pub(crate) fn invites_delete_for(conn: &mut AnyConnection, org: OrgId, email: &Email) -> Result<(), store::Error> {
    let text = "DELETE FROM admin_invite WHERE org = ? AND email_key = ?";
    Statement::new(text, [Value::id(org), Value::text(&*email.key)]).run(conn)?;
    Ok(())
}

/// Those that whoever is called so has made.
pub(crate) fn invites_delete_by(conn: &mut AnyConnection, org: OrgId, made_by: &str) -> Result<(), store::Error> {
    let text = "DELETE FROM admin_invite WHERE org = ? AND created_by = ?";
    Statement::new(text, [Value::id(org), Value::text(made_by)]).run(conn)?;
    Ok(())
}

/// Deletes expired ones. There are not many of an organization, see [`crate::domain::admin::MOST`].
pub(crate) fn invites_purge(conn: &mut AnyConnection, org: OrgId, now: Instant) -> Result<usize, store::Error> {
    let text = "DELETE FROM admin_invite WHERE org = ? AND expires <= ?";
    Ok(Statement::new(text, [Value::id(org), Value::Instant(now)]).run(conn)?)
}
