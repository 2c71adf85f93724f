//! What a console has: administrators, invitations, sessions, and how they sign in.

use std::fmt::Write as _;

use store::{AnyConnection, Instant};
use testkit::TestDatabase;
use uuid::Uuid;

use super::{OURS, STRANGER, THEIRS};
use crate::{
    domain::{
        AdminId, InviteId, OrgId, SessionId,
        admin::{Admin, Email, Pin, Role},
        secret::Hash,
        session::Browser,
    },
    store::{admin, session, sign_in},
};

pub(super) const TABLES: [&str; 5] =
    ["console_admin", "admin_invite", "console_session", "sign_in_attempt", "sign_in_provider"];

/// Both have these.
const ADA: AdminId = AdminId(Uuid::from_u128(1));
const EVE: AdminId = AdminId(Uuid::from_u128(2));
const INVITE: InviteId = InviteId(Uuid::from_u128(3));
const OLD_INVITE: InviteId = InviteId(Uuid::from_u128(4));
const SESSION: SessionId = SessionId(Uuid::from_u128(5));
const OLD_SESSION: SessionId = SessionId(Uuid::from_u128(6));
/// Theirs is too old, and first.
const FIRST_SESSION: SessionId = SessionId(Uuid::from_u128(1));

const NOW: Instant = Instant::from_micros(1_000_000_000);

pub(super) fn rows(database: &TestDatabase) -> String {
    let id = |id: Uuid| database.literal(&id.to_string());
    let at = |seconds: u32| {
        if database.is_sqlite() { format!("{seconds}000000") } else { format!("to_timestamp({seconds})") }
    };
    let hash = |byte: u8| {
        let hex = format!("{byte:02x}").repeat(32);
        if database.is_sqlite() { format!("X'{hex}'") } else { format!("CAST('\\x{hex}' AS bytea)") }
    };
    let (now, old, soon) = (at(1000), at(500), at(2000));
    let mut sql = String::new();
    let mut add = |table: &str, values: &[String]| {
        let _ = write!(sql, "INSERT INTO {table} VALUES {};", values.join(","));
    };
    let [ours, theirs] = [OURS, THEIRS].map(|org| id(org.0));
    let admin = |org: &str, of: Uuid, email: &str, role: &str, subject: &str| {
        format!("({org}, {}, '{email}', '{email}', '', '{role}', {old}, {old}, 'i', '{subject}')", id(of))
    };
    let admins = "console_admin (org, id, email, email_key, name, role, created, last_signed_in, issuer, subject)";
    add(
        admins,
        &[
            admin(&theirs, ADA.0, "theirs@x", "viewer", "a"),
            admin(&theirs, EVE.0, "eve@x", "owner", "e"),
            admin(&theirs, STRANGER, "stranger@x", "owner", "s"),
            admin(&ours, ADA.0, "ada@x", "owner", "a"),
            admin(&ours, EVE.0, "eve@x", "viewer", "e"),
        ],
    );
    let invite = |org: &str, of: Uuid, email: &str, byte: u8, expires: &str| {
        format!("({org}, {}, '{email}', '{email}', 'admin', {}, {old}, 'c', {expires})", id(of), hash(byte))
    };
    let invites = "admin_invite (org, id, email, email_key, role, secret_sha256, created, created_by, expires)";
    add(
        invites,
        &[
            invite(&theirs, INVITE.0, "i@x", 1, &soon),
            invite(&theirs, OLD_INVITE.0, "old@x", 2, &old),
            invite(&theirs, STRANGER, "stranger@x", 3, &soon),
            invite(&ours, INVITE.0, "i@x", 4, &soon),
            invite(&ours, OLD_INVITE.0, "old@x", 5, &old),
        ],
    );
    let session = |org: &str, of: Uuid, byte: u8, expires: &str| {
        format!("({org}, {}, {}, {}, {old}, {old}, {old}, {expires}, '', '')", id(of), id(ADA.0), hash(byte))
    };
    add(
        "console_session (org, id, admin_id, secret_sha256, rotated, created, last_used, expires, address, user_agent)",
        &[
            session(&theirs, FIRST_SESSION.0, 1, &old),
            session(&theirs, SESSION.0, 2, &soon),
            session(&theirs, OLD_SESSION.0, 3, &soon),
            session(&theirs, STRANGER, 4, &soon),
            session(&ours, SESSION.0, 5, &soon),
            session(&ours, OLD_SESSION.0, 6, &old),
        ],
    );
    let attempt =
        |org: &str, byte: u8, expires: &str| format!("({org}, {}, 'n', 'v', '/', 'i', {expires})", hash(byte));
    add(
        "sign_in_attempt (org, state_sha256, nonce, pkce_verifier, return_to, issuer, expires)",
        // Theirs of one second before is found first, and that of the same second would go with ours.
        &[
            attempt(&theirs, 1, &at(499)),
            attempt(&theirs, 2, &old),
            attempt(&theirs, 3, &soon),
            attempt(&ours, 4, &old),
            attempt(&ours, 5, &now),
        ],
    );
    add("sign_in_provider (org, issuer, client_id, modified)", &[format!("({theirs}, 'i', 'c', {old})")]);
    sql
}

pub(super) fn work(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    of_admins(conn)?;
    of_invites(conn)?;
    of_sessions(conn)?;
    assert!(sign_in::provider_get(conn, org)?.is_none(), "a provider of theirs");
    sign_in::provider_delete(conn, org)?;
    assert!(!sign_in::attempt_delete(conn, org, Hash([3; 32]))?, "a sign-in of theirs");
    assert_eq!(sign_in::attempts_purge(conn, org, NOW, 1)?, 1, "the oldest of ours");
    Ok(())
}

fn email(text: &str) -> Email {
    Email::parse(text).expect("address")
}

fn of_admins(conn: &mut AnyConnection) -> Result<(), store::Error> {
    assert!(admin::admin_get(conn, OURS, AdminId(STRANGER))?.is_none(), "an administrator of theirs");
    assert!(admin::admin_by_email(conn, OURS, &email("stranger@x"))?.is_none(), "an administrator of theirs");
    let pin = Pin { issuer: "i".to_owned(), subject: "s".to_owned() };
    assert!(admin::admin_by_pin(conn, OURS, &pin)?.is_none(), "an administrator of theirs");
    assert_eq!(admin::admins(conn, OURS)?.len(), 2);
    assert_eq!((admin::admin_count(conn, OURS)?, admin::owner_count(conn, OURS)?), (2, 1));
    let ada = admin::admin_get(conn, OURS, ADA)?.expect("ours");
    admin::admin_signed_in(conn, OURS, &Admin { name: "Ada".to_owned(), ..ada }, NOW)?;
    admin::admin_role_set(conn, OURS, ADA, Role::Admin)?;
    admin::admin_delete(conn, OURS, EVE)
}

fn of_invites(conn: &mut AnyConnection) -> Result<(), store::Error> {
    assert!(admin::invite_get(conn, OURS, InviteId(STRANGER))?.is_none(), "an invitation of theirs");
    assert_eq!((admin::invites(conn, OURS, NOW)?.len(), admin::invite_count(conn, OURS, NOW)?), (1, 1));
    assert!(admin::invite_delete(conn, OURS, INVITE)?, "ours");
    admin::invites_delete_for(conn, OURS, &email("stranger@x"))?;
    assert_eq!(admin::invites_purge(conn, OURS, NOW)?, 1, "one of ours");
    admin::invites_delete_by(conn, OURS, "c")
}

fn of_sessions(conn: &mut AnyConnection) -> Result<(), store::Error> {
    let ours = session::session_by_hash(conn, Hash([5; 32]))?.expect("ours");
    assert_eq!((ours.org, ours.id, &*ours.admin.email.text), (OURS, SESSION, "ada@x"));
    let theirs = session::session_by_hash(conn, Hash([2; 32]))?.expect("theirs");
    assert_eq!((theirs.org, theirs.id), (THEIRS, SESSION));
    assert!(session::session_get(conn, OURS, SessionId(STRANGER))?.is_none(), "a session of theirs");
    assert_eq!(session::sessions(conn, OURS, None, NOW, 10)?.len(), 1, "one of ours holds");
    assert_eq!(session::sessions(conn, OURS, Some(ADA), NOW, 10)?.len(), 1, "one of ours holds");
    session::session_used(conn, OURS, SESSION, &Browser::default(), NOW)?;
    assert!(!session::session_rotate(conn, OURS, &theirs, Hash([9; 32]), NOW, NOW)?, "one of theirs");
    assert!(session::session_revoke(conn, OURS, SESSION, NOW)?, "ours");
    assert_eq!(session::sessions_purge(conn, OURS, NOW, 1)?, 1, "the first of ours");
    Ok(())
}
