//! What members have: accounts, sessions, keys, guesses, and the organization key.

use std::fmt::Write as _;

use store::{AnyConnection, Instant};
use testkit::TestDatabase;
use uuid::Uuid;

use super::{NAMED, OURS, STRANGER, THEIRS, user};
use crate::{
    domain::{
        OrgId, SessionId, UserId,
        account::{KeyId, Link, NewAccountSession, Policy, Presence, PublicKey, Sought, Stage},
        admin::Pin,
        agent::{Agent, AgentId, AgentState},
        keys::{
            KitSeal, LoginId, MemberGrant, OrgKey, Record, RecordId, Registration, RegistrationKind, STRETCHING, Wrap,
            WrapKind,
        },
        secret::Hash,
        session::Browser,
        unlock::{Budget, Guesses},
    },
    store::{account, account_key, account_session, agent, org_key},
};

pub(super) const TABLES: [&str; 14] = [
    "account",
    "account_session",
    "account_registration",
    "account_key",
    "account_key_wrap",
    "opaque_record",
    "recovery_verifier",
    "unlock_limit",
    "unlock_budget",
    "login_state",
    "org_key",
    "org_key_grant",
    "account_policy",
    "confirm_agent",
];

/// Both have these.
const KEY: KeyId = KeyId(Uuid::from_u128(21));
const SESSION: SessionId = SessionId(Uuid::from_u128(22));
const LOGIN: LoginId = LoginId(Uuid::from_u128(23));
const AGENT: AgentId = AgentId(Uuid::from_u128(25));
/// Theirs alone.
const OTHER_KEY: KeyId = KeyId(Uuid::from_u128(24));
const OTHER_AGENT: AgentId = AgentId(Uuid::from_u128(26));

const NOW: Instant = Instant::from_micros(1_000_000_000);

fn member() -> UserId {
    UserId(user(NAMED))
}

pub(super) fn rows(database: &TestDatabase) -> String {
    let id = |id: Uuid| database.literal(&id.to_string());
    let at = |seconds: u32| {
        if database.is_sqlite() { format!("{seconds}000000") } else { format!("to_timestamp({seconds})") }
    };
    let bytes = |byte: u8, n: usize| {
        let hex = format!("{byte:02x}").repeat(n);
        if database.is_sqlite() { format!("X'{hex}'") } else { format!("CAST('\\x{hex}' AS bytea)") }
    };
    let (old, older, soon) = (at(500), at(499), at(2000));
    let yes = if database.is_sqlite() { "1" } else { "true" };
    let [ours, theirs] = [OURS, THEIRS].map(|org| id(org.0));
    let [member, stranger, key, other, session, login] =
        [member().0, STRANGER, KEY.0, OTHER_KEY.0, SESSION.0, LOGIN.0].map(id);
    let mut sql = format!("UPDATE scim_user SET active = {yes} WHERE id IN ({member}, {stranger});");
    let mut add = |table: &str, values: &[String]| {
        let _ = write!(sql, "INSERT INTO {table} VALUES {};", values.join(","));
    };
    add(
        "account (org, user_id, stage, issuer, subject, key_id, granted, created, last_signed_in, confirmed)",
        &[
            format!("({theirs}, {member}, 3, 'i', 'e', {key}, 1, {old}, {old}, {old})"),
            format!("({theirs}, {stranger}, 2, 'i', 's', {other}, 0, {old}, {old}, NULL)"),
            format!("({ours}, {member}, 2, 'i', 'o', {key}, 0, {old}, {old}, NULL)"),
        ],
    );
    let of_session = |org: &str, session: &str, user: &str, byte: u8, expires: &str| {
        format!("({org}, {session}, {user}, {}, {old}, {old}, {expires}, '', '')", bytes(byte, 32))
    };
    add(
        "account_session (org, id, user_id, secret_sha256, created, last_used, expires, address, user_agent)",
        &[
            // Theirs of one second before is found first, and that of the same second would go with ours.
            of_session(&theirs, &key, &member, 31, &older),
            of_session(&theirs, &other, &member, 32, &old),
            of_session(&theirs, &session, &member, 33, &soon),
            of_session(&ours, &session, &member, 34, &soon),
            of_session(&ours, &key, &member, 35, &old),
        ],
    );
    let b32 = bytes(1, 32);
    let registration =
        |org: &str, kind: u8| format!("({org}, {member}, {session}, {kind}, {key}, 1, {b32}, {b32}, {old})");
    add(
        "account_registration (org, user_id, session_id, kind, key_id, version, challenge, set_up_id, created)",
        &[registration(&theirs, 3)],
    );
    let public = |org: &str, key: &str, user: &str, version: u8, byte: u8| {
        let (b32, b64) = (bytes(byte, 32), bytes(byte, 64));
        format!("({org}, {key}, {user}, {version}, {b32}, {b32}, {b64}, {b32}, {old})")
    };
    add(
        "account_key (org, id, user_id, version, enc_pub, sig_pub, possession, challenge, created)",
        &[
            public(&theirs, &key, &member, 1, 9),
            public(&theirs, &session, &member, 7, 9),
            public(&theirs, &other, &stranger, 1, 9),
            public(&ours, &key, &member, 1, 1),
        ],
    );
    let wrap = |org: &str, byte: u8| {
        format!("({org}, {member}, 'password', {key}, {}, {}, {old})", bytes(byte, 12), bytes(byte, 48))
    };
    add("account_key_wrap (org, user_id, kind, key_id, nonce, ciphertext, created)", &[wrap(&theirs, 9)]);
    add(
        "opaque_record (org, user_id, id, record, set_up_id, memory, iterations, parallelism, created)",
        &[format!("({theirs}, {member}, {key}, {}, {b32}, 1, 1, 1, {old})", bytes(9, 192))],
    );
    add("recovery_verifier (org, user_id, proof_sha256, created)", &[format!("({theirs}, {member}, {b32}, {old})")]);
    add("unlock_limit (org, user_id, unfinished, next_at)", &[format!("({theirs}, {member}, 9, {soon})")]);
    add("unlock_budget (org, since, unfinished)", &[format!("({theirs}, {old}, 9)")]);
    let begun = |org: &str, login: &str, byte: u8, expires: &str| {
        format!("({org}, {login}, {member}, {session}, {}, {expires})", bytes(byte, 128))
    };
    add(
        "login_state (org, id, user_id, session_id, state, expires)",
        &[
            begun(&theirs, &key, 9, &older),
            begun(&theirs, &other, 9, &old),
            begun(&theirs, &login, 9, &soon),
            begun(&ours, &key, 1, &old),
        ],
    );
    let (n12, c48, s64) = (bytes(1, 12), bytes(1, 48), bytes(1, 64));
    let version = |version: u8| {
        let link = if version == 1 { "NULL, NULL".to_owned() } else { format!("{n12}, {c48}") };
        format!("({theirs}, {version}, {member}, {key}, {link}, {b32}, {b32}, {c48}, {s64}, {old})")
    };
    add(
        "org_key (org, version, made_by, made_by_key, link_nonce, link_ciphertext, kit_pub, kit_enc, kit_ciphertext, \
         kit_signature, created)",
        &[version(1), version(2)],
    );
    let grant = |org: &str, user: &str, version: u8| {
        format!("({org}, {user}, {version}, {key}, {b32}, {c48}, {s64}, {key}, {old})")
    };
    add(
        "org_key_grant (org, user_id, version, recipient_key_id, enc, ciphertext, signature, granter_key_id, created)",
        &[grant(&theirs, &member, 1), grant(&theirs, &member, 2), grant(&theirs, &stranger, 2)],
    );
    let agent = |org: &str, agent: AgentId, byte: u8, key: &str, enrolled: &str| {
        let (id, secret) = (id(agent.0), bytes(byte, 32));
        format!("({org}, {id}, 'n{byte}', {secret}, {key}, {b32}, 0, {old}, 'c', {enrolled})")
    };
    add(
        "confirm_agent (org, id, name, secret_sha256, key_id, challenge, granted, created, created_by, enrolled)",
        &[
            agent(&theirs, AGENT, 41, &key, &old),
            agent(&theirs, OTHER_AGENT, 42, &other, &old),
            agent(&ours, AGENT, 43, &key, "NULL"),
        ],
    );
    add(
        "account_policy (org, link, just_in_time, confirm_automatically, modified)",
        &[format!("({theirs}, 3, {yes}, {yes}, {old})")],
    );
    sql
}

pub(super) fn work(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    of_accounts(conn)?;
    of_sessions(conn)?;
    of_keys(conn)?;
    of_guesses(conn)?;
    of_the_organization(conn)?;
    of_agents(conn)?;
    account::accounts_purge(conn, org, &[member().0, STRANGER])?;
    assert!(account::account_lock(conn, OURS, member())?.is_none(), "ours is gone");
    Ok(())
}

fn of_accounts(conn: &mut AnyConnection) -> Result<(), store::Error> {
    assert!(account::member_get(conn, OURS, UserId(STRANGER))?.is_none(), "a user of theirs");
    let ours = account::member_get(conn, OURS, member())?.expect("ours");
    assert_eq!(ours.account.expect("an account").stage, Stage::Accepted);
    assert_eq!(ours.key.expect("a key").enc_pub, [1; 32]);
    assert_eq!(account::members_get(conn, OURS, &[member().0, STRANGER])?.len(), 1);
    assert_eq!(account::deleted_members_get(conn, OURS, &[STRANGER], Instant::from_micros(0))?, [], "one of theirs");
    let nobody = UserId(Uuid::nil());
    let first = account::users_seen(conn, OURS, UserId(user(NAMED - 1)), 1)?;
    assert_eq!((first[0].user, first[0].presence, first[0].stage), (member(), Presence::Active, Some(Stage::Accepted)));
    assert_eq!(account::accounts_seen(conn, OURS, Stage::Accepted, nobody, 9)?.len(), 1);
    assert_eq!(account::accounts_seen(conn, OURS, Stage::Confirmed, nobody, 9)?, [], "one of theirs");
    let deleted = account::deleted_seen(conn, OURS, nobody, 9)?;
    assert!(deleted.iter().all(|seen| seen.stage.is_none()), "their accounts");
    let counts = account::accounts_counted(conn, OURS)?;
    assert_eq!(
        counts.iter().map(|count| (count.of(), count.n)).collect::<Vec<_>>(),
        [((Presence::Active, Stage::Accepted), 1)]
    );
    let pin = |subject: &str| Pin { issuer: "i".to_owned(), subject: subject.to_owned() };
    for theirs in ["e", "s"] {
        assert!(account::account_by_pin(conn, OURS, &pin(theirs))?.is_none(), "one of theirs");
    }
    assert_eq!(account::account_by_pin(conn, OURS, &pin("o"))?.expect("ours").user, member());
    assert!(account::account_lock(conn, OURS, UserId(STRANGER))?.is_none(), "one of theirs");
    account::account_pin_set(conn, OURS, member(), Some(&pin("s")))?;
    account::account_signed_in(conn, OURS, member(), NOW)?;
    assert_eq!(account::candidates(conn, OURS, &Sought::UserName("stranger-old".to_owned()), 9)?.len(), 0);
    assert_eq!(account::account_policy(conn, OURS)?, Policy::default(), "one of theirs");
    let policy = Policy { link: Link::UserName, ..Policy::default() };
    account::account_policy_set(conn, OURS, policy, NOW)?;
    assert_eq!(account::account_policy(conn, OURS)?, policy);
    Ok(())
}

fn of_sessions(conn: &mut AnyConnection) -> Result<(), store::Error> {
    let ours = account_session::account_session_get(conn, OURS, Hash([34; 32]))?.expect("ours");
    assert_eq!((ours.org, ours.id, ours.account.stage), (OURS, SESSION, Stage::Accepted));
    let theirs = account_session::account_session_get(conn, THEIRS, Hash([33; 32]))?.expect("theirs");
    assert_eq!((theirs.org, theirs.id, theirs.account.stage), (THEIRS, SESSION, Stage::Confirmed));
    account_session::account_session_used(conn, OURS, SESSION, &Browser::default(), NOW)?;
    assert!(account_session::account_session_unlock(conn, OURS, SESSION, NOW)?, "ours");
    let new = NewAccountSession {
        id: SessionId(Uuid::from_u128(40)),
        user: member(),
        secret: Hash([40; 32]),
        browser: Browser::default(),
    };
    account_session::account_session_insert(conn, OURS, &new, NOW)?;
    account_session::account_sessions_end_others(conn, OURS, member(), SESSION, NOW)?;
    account_session::account_sessions_end_of(conn, OURS, member(), NOW)?;
    account_session::account_session_end(conn, OURS, SESSION, NOW)?;
    assert_eq!(account_session::account_sessions_purge(conn, OURS, NOW, 1)?, 1, "the oldest of ours");
    Ok(())
}

fn of_keys(conn: &mut AnyConnection) -> Result<(), store::Error> {
    assert!(account_key::registration_get(conn, OURS, member())?.is_none(), "one of theirs");
    let begun = Registration {
        user: member(),
        session: SESSION,
        kind: RegistrationKind::Reset,
        key: KeyId(Uuid::from_u128(41)),
        version: 2,
        challenge: [2; 32],
        set_up: [2; 32],
    };
    account_key::registration_set(conn, OURS, &begun, NOW)?;
    assert_eq!(account_key::registration_get(conn, OURS, member())?, Some(begun));
    account_key::registration_delete(conn, OURS, member())?;
    assert_eq!(account_key::key_get(conn, OURS, KEY)?.expect("ours").sig_pub, [1; 32]);
    assert!(account_key::key_get(conn, OURS, OTHER_KEY)?.is_none(), "one of theirs");
    assert_eq!(account_key::key_version(conn, OURS, member())?, 1);
    assert!(account_key::wrap_get(conn, OURS, member(), WrapKind::Password)?.is_none(), "one of theirs");
    let wrap = Wrap { nonce: [2; 12], ciphertext: [2; 48] };
    account_key::wrap_set(conn, OURS, member(), KEY, (WrapKind::Password, &wrap), NOW)?;
    assert_eq!(account_key::wrap_get(conn, OURS, member(), WrapKind::Password)?, Some(wrap));
    assert!(account_key::record_get(conn, OURS, member())?.is_none(), "one of theirs");
    let record =
        Record { id: RecordId(Uuid::from_u128(42)), record: [2; 192], set_up: [2; 32], stretching: STRETCHING };
    account_key::record_set(conn, OURS, member(), &record, NOW)?;
    assert_eq!(account_key::record_get(conn, OURS, member())?, Some(record));
    assert!(account_key::verifier_get(conn, OURS, member())?.is_none(), "one of theirs");
    account_key::verifier_set(conn, OURS, member(), [2; 32], NOW)?;
    assert_eq!(account_key::verifier_get(conn, OURS, member())?, Some([2; 32]));
    account::account_accepted(conn, OURS, member(), KEY, NOW)
}

fn of_guesses(conn: &mut AnyConnection) -> Result<(), store::Error> {
    assert_eq!(account_key::guesses_lock(conn, OURS, member(), NOW)?, Guesses::none(NOW));
    account_key::guesses_write(conn, OURS, member(), &Guesses { unfinished: 3, ..Guesses::none(NOW) })?;
    assert_eq!(account_key::guesses_lock(conn, OURS, member(), NOW)?.unfinished, 3);
    account_key::guesses_forget(conn, OURS, member())?;
    assert_eq!(account_key::budget_lock(conn, OURS, NOW)?, Budget::none(NOW));
    account_key::budget_write(conn, OURS, &Budget { unfinished: 3, ..Budget::none(NOW) })?;
    account_key::budget_give_back(conn, OURS)?;
    assert_eq!(account_key::budget_lock(conn, OURS, NOW)?.unfinished, 2);
    assert!(account_key::login_take(conn, OURS, (member(), SESSION), LOGIN)?.is_none(), "one of theirs");
    assert_eq!(account_key::logins_purge(conn, OURS, NOW, 1)?, 1, "the oldest of ours");
    Ok(())
}

fn of_the_organization(conn: &mut AnyConnection) -> Result<(), store::Error> {
    assert!(org_key::org_key_newest(conn, OURS)?.is_none(), "one of theirs");
    assert_eq!(org_key::chain(conn, OURS, 9)?, [], "theirs");
    assert!(org_key::grant_newest(conn, OURS, member())?.is_none(), "one of theirs");
    let kit = KitSeal { kit_pub: [2; 32], enc: [2; 32], ciphertext: [2; 48], signature: [2; 64] };
    let first = OrgKey {
        version: 1,
        made_by: member(),
        made_by_key: KEY,
        link: None,
        kit,
        kit_verifier: Some([2; 32]),
        rotation_due: None,
    };
    assert!(org_key::org_key_insert(conn, OURS, &first, NOW)?);
    let waiting = org_key::waiting(conn, OURS, 1, KeyId(Uuid::nil()), 9)?;
    assert_eq!(waiting.iter().map(|waiting| waiting.user).collect::<Vec<_>>(), [member()]);
    assert_eq!(waiting[0].possession, [1; 64]);
    // Though it has one of theirs.
    org_key::rotation_note(conn, OURS, member(), NOW)?;
    assert_eq!(org_key::org_key_newest(conn, OURS)?, Some(first));
    let grant = MemberGrant {
        version: 1,
        user: member(),
        recipient: KEY,
        granter: KEY,
        enc: [2; 32],
        ciphertext: [2; 48],
        signature: [2; 64],
    };
    org_key::grant_set(conn, OURS, &grant, NOW)?;
    account::account_granted(conn, OURS, member(), 1, NOW)?;
    org_key::rotation_note(conn, OURS, member(), NOW)?;
    assert_eq!(org_key::org_key_newest(conn, OURS)?.expect("ours").rotation_due, Some(NOW));
    assert_eq!(org_key::grant_newest(conn, OURS, member())?, Some(grant));
    org_key::grants_delete(conn, OURS, member())
}

fn of_agents(conn: &mut AnyConnection) -> Result<(), store::Error> {
    assert!(account_session::looked_at(conn, OURS, member())?, "the provider is theirs");
    assert!(agent::agent_shown(conn, OURS, Hash([41; 32]))?.is_none(), "one of theirs");
    let ours = agent::agent_shown(conn, OURS, Hash([43; 32]))?.expect("ours");
    assert_eq!((&*ours.name, ours.enrolled, ours.key.as_ref().expect("a key").enc_pub), ("n43", None, [1; 32]));
    assert!(agent::agent_get(conn, OURS, OTHER_AGENT)?.is_none(), "one of theirs");
    assert!(agent::agent_lock(conn, OURS, OTHER_AGENT)?.is_none(), "one of theirs");
    assert_eq!(agent::agent_get(conn, OURS, AGENT)?, Some(ours.clone()));
    assert_eq!(agent::agent_lock(conn, OURS, AGENT)?, Some(ours.clone()));
    assert_eq!((agent::agents(conn, OURS, 9)?.len(), agent::agents_counted(conn, OURS)?), (1, 1));
    let waiting = agent::agents_waiting(conn, OURS, 1, KeyId(Uuid::nil()), 9)?;
    assert_eq!(waiting.iter().map(|one| (&*one.user_name, one.possession)).collect::<Vec<_>>(), [("n43", [1; 64])]);
    let (id, key_id) = (AgentId(Uuid::from_u128(45)), KeyId(Uuid::from_u128(46)));
    let new = Agent { id, key_id, name: "new".to_owned(), ..ours };
    agent::agent_insert(conn, OURS, &new, Hash([45; 32]))?;
    let key = PublicKey { id: key_id, user: id.holder(), version: 1, enc_pub: [3; 32], sig_pub: [3; 32] };
    account_key::key_insert(conn, OURS, &key, (&[3; 64], &[3; 32]), NOW)?;
    assert_eq!(agent::agent_get(conn, OURS, id)?.expect("the new one").key, Some(key));
    agent::agent_enrolled(conn, OURS, AGENT, NOW)?;
    agent::agent_granted(conn, OURS, AGENT, 1, NOW)?;
    agent::agent_seen(conn, OURS, AGENT, NOW)?;
    agent::agent_revoke(conn, OURS, AGENT, NOW)?;
    account_key::keys_retire(conn, OURS, member(), NOW)?;
    let ours = agent::agent_get(conn, OURS, AGENT)?.expect("ours");
    assert_eq!((ours.state(), ours.granted, ours.last_seen), (AgentState::Revoked, 1, Some(NOW)));
    Ok(())
}
