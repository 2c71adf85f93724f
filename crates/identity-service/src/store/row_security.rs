//! The second wall on PostgreSQL: whatever a statement says, a transaction writes rows of its own organization only.

use diesel::connection::SimpleConnection as _;
use store::{AnyConnection, Config, Db, Failure};
use uuid::Uuid;

use super::{Count, statement::Statement};
use crate::domain::OrgId;

const OURS: OrgId = OrgId(Uuid::from_u128(1));
const THEIRS: OrgId = OrgId(Uuid::from_u128(2));

/// Each table with the column of its organization, and the values of a row of the organization `$org`.
const TABLES: [(&str, &str, &str); 41] = [
    (
        "organization",
        "id",
        "(id, slug, name, plan, scim_entitled, scim_enabled, created, modified) VALUES \
      ($org, CAST($org AS text), 'n', 'free', true, true, now(), now())",
    ),
    (
        "scim_user",
        "org",
        "(org, id, user_name, user_name_key, version, created, modified, resource, search) VALUES \
      ($org, $org, 'u', 'u', 1, now(), now(), '{}', '{}')",
    ),
    ("user_key", "org", "(org, attr, key, user_id) VALUES ($org, 'a', 'k', $org)"),
    (
        "scim_group",
        "org",
        "(org, id, display_name, display_name_key, version, created, modified, resource, search) VALUES \
      ($org, $org, 'g', 'g', 1, now(), now(), '{}', '{}')",
    ),
    ("group_member", "org", "(org, group_id, member_id, member_type) VALUES ($org, $org, $org, 1)"),
    (
        "deleted_user",
        "org",
        "(org, id, version, created, modified, resource, deleted_at, purge_at, deleted_by) VALUES \
      ($org, $org, 1, now(), now(), '{}', now(), now(), '{}')",
    ),
    ("deleted_user_group", "org", "(org, user_id, group_id, display_name) VALUES ($org, $org, $org, 'g')"),
    ("loss_watch", "org", "(org, seq) VALUES ($org, 0)"),
    (
        "access_loss",
        "org",
        "(org, seq, user_id, kind, occurred, actor, state) VALUES ($org, 1, $org, 1, now(), '{}', 0)",
    ),
    (
        "hold",
        "org",
        "(org, id, state, opened, first_at, last_at, users, deactivated, deleted, failed) VALUES \
      ($org, $org, 1, now(), now(), now(), 0, 0, 0, 0)",
    ),
    (
        "request_log",
        "org",
        "(org, id, occurred, outcome, status, subject, request_id, search, document) VALUES \
      ($org, $org, now(), 1, 200, NULL, '', '', '{}')",
    ),
    (
        "request_count",
        "org",
        "(org, hour, read, changed, unchanged, refused, failed) VALUES ($org, now(), 0, 0, 0, 0, 0)",
    ),
    ("membership_move", "org", "(org, user_id, direction, created) VALUES ($org, $org, 1, now())"),
    ("group_tombstone", "org", "(org, group_id, created) VALUES ($org, $org, now())"),
    (
        "outbox",
        "org",
        "(org, id, occurred, kind, subject, actor, delta) VALUES ($org, $org, now(), 'k', $org, '{}', '{}')",
    ),
    (
        "event",
        "org",
        "(org, seq, id, occurred, kind, subject, actor, delta, hash) VALUES \
      ($org, 1, $org, now(), 'k', $org, '{}', '{}', '')",
    ),
    ("event_head", "org", "(org, last_seq, last_hash) VALUES ($org, 0, '')"),
    ("rank_block", "org", "(org, resource_type, first_id, n) VALUES ($org, 1, $org, 0)"),
    ("cursor_key", "org", "(org, generation, secret, created) VALUES ($org, 1, '', now())"),
    (
        "schema_extension",
        "org",
        "(org, urn_key, resource_type, document, created) VALUES ($org, 'u', 'User', '{}', now())",
    ),
    (
        "idempotency_key",
        "org",
        "(org, caller, key, resource, digest, created) VALUES ($org, 'c', 'k', $org, '', now())",
    ),
    (
        "console_admin",
        "org",
        "(org, id, email, email_key, name, role, created) VALUES ($org, $org, 'e', 'e', '', 'owner', now())",
    ),
    (
        "admin_invite",
        "org",
        "(org, id, email, email_key, role, secret_sha256, created, created_by, expires) VALUES \
      ($org, $org, 'e', 'e', 'owner', sha256(CAST(CAST($org AS text) AS bytea)), now(), 'c', now())",
    ),
    (
        "console_session",
        "org",
        "(org, id, admin_id, secret_sha256, rotated, created, last_used, expires, address, user_agent) VALUES \
      ($org, $org, $org, sha256(CAST(CAST($org AS text) AS bytea)), now(), now(), now(), now(), '', '')",
    ),
    (
        "sign_in_attempt",
        "org",
        "(org, state_sha256, nonce, pkce_verifier, return_to, issuer, expires) VALUES \
      ($org, sha256(CAST(CAST($org AS text) AS bytea)), 'n', 'v', '/', 'i', now())",
    ),
    (
        "mail",
        "org",
        "(org, id, kind, dedupe, recipient, document, created, due, attempts, state) VALUES \
      ($org, $org, 'k', 'd', 'r', '{}', now(), now(), 0, 0)",
    ),
    ("sign_in_provider", "org", "(org, issuer, client_id, modified) VALUES ($org, 'i', 'c', now())"),
    (
        "account",
        "org",
        "(org, user_id, stage, issuer, subject, granted, created, last_signed_in) VALUES \
      ($org, $org, 1, 'i', 's', 0, now(), now())",
    ),
    (
        "account_session",
        "org",
        "(org, id, user_id, secret_sha256, created, last_used, expires, address, user_agent) VALUES \
      ($org, $org, $org, sha256(CAST(CAST($org AS text) AS bytea)), now(), now(), now(), '', '')",
    ),
    (
        "account_registration",
        "org",
        "(org, user_id, session_id, kind, key_id, version, challenge, set_up_id, created) VALUES \
      ($org, $org, $org, 1, $org, 1, sha256(CAST(CAST($org AS text) AS bytea)), sha256(CAST(CAST($org AS text) AS bytea)), now())",
    ),
    (
        "account_key",
        "org",
        "(org, id, user_id, version, enc_pub, sig_pub, possession, challenge, created) VALUES \
      ($org, $org, $org, 1, sha256(CAST(CAST($org AS text) AS bytea)), sha256(CAST(CAST($org AS text) AS bytea)), sha256(CAST(CAST($org AS text) AS bytea)) || sha256(CAST(CAST($org AS text) AS bytea)), sha256(CAST(CAST($org AS text) AS bytea)), now())",
    ),
    (
        "account_key_wrap",
        "org",
        "(org, user_id, kind, key_id, nonce, ciphertext, created) VALUES \
      ($org, $org, 'password', $org, decode(repeat('00', 12), 'hex'), decode(repeat('00', 48), 'hex'), now())",
    ),
    (
        "opaque_record",
        "org",
        "(org, user_id, id, record, set_up_id, memory, iterations, parallelism, created) VALUES \
      ($org, $org, $org, decode(repeat('00', 192), 'hex'), sha256(CAST(CAST($org AS text) AS bytea)), 1, 1, 1, now())",
    ),
    (
        "recovery_verifier",
        "org",
        "(org, user_id, proof_sha256, created) VALUES ($org, $org, sha256(CAST(CAST($org AS text) AS bytea)), now())",
    ),
    ("unlock_limit", "org", "(org, user_id, unfinished, next_at) VALUES ($org, $org, 0, now())"),
    ("unlock_budget", "org", "(org, since, unfinished) VALUES ($org, now(), 0)"),
    (
        "login_state",
        "org",
        "(org, id, user_id, session_id, state, expires) VALUES ($org, $org, $org, $org, decode(repeat('00', 128), 'hex'), now())",
    ),
    (
        "org_key",
        "org",
        "(org, version, made_by, made_by_key, kit_pub, kit_enc, kit_ciphertext, kit_signature, created) VALUES \
      ($org, 1, $org, $org, sha256(CAST(CAST($org AS text) AS bytea)), sha256(CAST(CAST($org AS text) AS bytea)), decode(repeat('00', 48), 'hex'), decode(repeat('00', 64), 'hex'), now())",
    ),
    (
        "org_key_grant",
        "org",
        "(org, user_id, version, recipient_key_id, enc, ciphertext, signature, granter_key_id, created) VALUES \
      ($org, $org, 1, $org, sha256(CAST(CAST($org AS text) AS bytea)), decode(repeat('00', 48), 'hex'), decode(repeat('00', 64), 'hex'), $org, now())",
    ),
    (
        "confirm_agent",
        "org",
        "(org, id, name, secret_sha256, key_id, challenge, granted, created, created_by) VALUES \
      ($org, $org, 'n', sha256(CAST(CAST($org AS text) AS bytea)), $org, sha256(CAST(CAST($org AS text) AS bytea)), 0, now(), 'c')",
    ),
    (
        "account_policy",
        "org",
        "(org, link, just_in_time, confirm_automatically, modified) VALUES ($org, 1, false, false, now())",
    ),
];

fn insert(table: &str, values: &str, org: OrgId) -> String {
    format!("INSERT INTO {table} {}", values.replace("$org", &format!("CAST('{}' AS uuid)", org.0)))
}

fn run(conn: &mut AnyConnection, text: String) -> Result<usize, Failure<String>> {
    Ok(Statement::new(text, []).shaped().run(conn)?)
}

fn count(conn: &mut AnyConnection, text: &str) -> Result<i64, Failure<String>> {
    Ok(Statement::new(text.to_owned(), []).row::<Count>(conn)?.map_or(0, |row| row.n))
}

#[tokio::test]
async fn a_statement_without_its_tenant_predicate_writes_nothing_of_another_organization() {
    let database = testkit::postgres();
    let config = Config { url: database.url().to_owned(), pool_size: 2 };
    let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
    for org in [OURS, THEIRS] {
        let seed: String = TABLES.iter().map(|(table, _, values)| insert(table, values, org) + ";").collect();
        db.of(org).write(move |conn| Ok::<_, Failure<String>>(conn.batch_execute(&seed)?)).await.expect("seed");
    }

    let ours = async |text: &str| {
        let text = text.to_owned();
        db.of(OURS).write(move |conn| run(conn, text.clone())).await
    };
    let nobody = async |text: &str| {
        let text = text.to_owned();
        db.write(move |conn| run(conn, text.clone())).await
    };
    let across = async |text: &str| {
        let text = text.to_owned();
        db.across().write(move |conn| run(conn, text.clone())).await
    };
    let refused = |given: Result<usize, Failure<String>>| match given {
        Err(Failure::Store(error)) => error.to_string().contains("row-level security"),
        _ => false,
    };
    for (table, org, values) in TABLES {
        let update = format!("UPDATE {table} SET {org} = {org}");
        assert_eq!(nobody(&update).await, Ok(0), "{table}: who names no organization writes nothing");
        assert_eq!(ours(&update).await, Ok(1), "{table}");
        assert_eq!(across(&update).await, Ok(0), "{table}: across is for reading");
        let moved = format!("UPDATE {table} SET {org} = '{}'", THEIRS.0);
        assert!(refused(ours(&moved).await), "{table}: a row of ours does not become theirs");
        let theirs = insert(table, values, THEIRS);
        assert!(refused(ours(&theirs).await) && refused(nobody(&theirs).await), "{table}");
    }
    // Keys go with their users, so the users go last.
    for (table, org, _) in TABLES.into_iter().rev() {
        let delete = format!("DELETE FROM {table}");
        assert_eq!(nobody(&delete).await, Ok(0), "{table}");
        assert_eq!(ours(&delete).await, Ok(1), "{table}");
        let left = format!("SELECT count(*) AS n FROM {table} WHERE {org} = '{}'", THEIRS.0);
        assert_eq!(db.of(THEIRS).read(move |conn| count(conn, &left)).await, Ok(1), "{table}");
    }
}

#[tokio::test]
async fn every_table_of_organizations_has_its_policies() {
    let database = testkit::postgres();
    let config = Config { url: database.url().to_owned(), pool_size: 2 };
    let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
    let tables = "SELECT count(*) AS n FROM pg_class c WHERE c.relkind IN ('r', 'p') AND \
                  c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relname NOT LIKE '\\_\\_%'";
    let walled = format!(
        "{tables} AND c.relrowsecurity AND c.relforcerowsecurity AND (SELECT string_agg(CAST(p.polcmd AS text), '' \
         ORDER BY p.polcmd) FROM pg_policy p WHERE p.polrelid = c.oid) = 'adrw'"
    );
    for text in [tables.to_owned(), walled] {
        let found = db.read(move |conn| count(conn, &text)).await.expect("count");
        assert_eq!(
            found,
            i64::try_from(TABLES.len()).expect("count"),
            "a new table needs policies, and a line in TABLES"
        );
    }
}
