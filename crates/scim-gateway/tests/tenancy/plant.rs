//! Rows that the product would never write: a twin organization, with the ids of another one.

use std::time::Duration;

use crate::{harness::Server, subject::Subject};

/// A group that is gone but for a member, as one is until its members are deleted. The twin has it whole.
pub(crate) const GONE: &str = "22222222-2222-7222-8222-222222222222";
/// A user of the twin alone.
pub(crate) const STRANGER: &str = "11111111-1111-7111-8111-111111111111";

/// Tables with rows that other rows or requests refer to by id.
const TABLES: [&str; 6] = ["scim_user", "user_key", "scim_group", "group_member", "deleted_user", "deleted_user_group"];
/// Those that no call on another organization may touch.
const KEPT: [&str; 35] = [
    "scim_user",
    "user_key",
    "scim_group",
    "group_member",
    "group_tombstone",
    "deleted_user",
    "deleted_user_group",
    "membership_move",
    "rank_block",
    "cursor_key",
    "schema_extension",
    "idempotency_key",
    "event",
    "event_head",
    "request_log",
    "request_count",
    "console_admin",
    "admin_invite",
    "console_session",
    "sign_in_attempt",
    "sign_in_provider",
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

/// What every organization has here, with a twin or without: members of a group that is gone, and two blocks to count in.
pub(crate) async fn prepare(server: &Server, of: &Subject) {
    settled(server, &of.organization).await;
    let database = &server.databases[0];
    let [org, gone, none] =
        [&of.organization, GONE, "00000000-0000-0000-0000-000000000000"].map(|id| database.literal(id));
    for user in [of.user_id(), of.manager()] {
        let user = database.literal(&user);
        let insert = "INSERT INTO group_member (org, group_id, member_id, member_type)";
        execute(server, &format!("{insert} VALUES ({org}, {gone}, {user}, 1)"));
    }
    for (code, table, id) in [(1, "scim_user", of.user_id()), (2, "scim_group", of.group_id())] {
        let id = database.literal(&id);
        let block = format!("org = {org} AND resource_type = {code} AND first_id");
        execute(
            server,
            &format!(
                "INSERT INTO rank_block (org, resource_type, first_id, n) SELECT {org}, {code}, {id}, count(*) FROM {table} \
                 WHERE org = {org} AND id >= {id}; \
                 UPDATE rank_block SET n = n - (SELECT b.n FROM rank_block b WHERE b.{block} = {id}) WHERE {block} = {none}"
            ),
        );
    }
}

/// Waits until its events are numbered, and what they change is counted.
async fn settled(server: &Server, organization: &str) {
    while !server.databases[0].rows_of("outbox", organization).expect("outbox").is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Copies the rows, and adds to them whatever a statement could find that looks at more than its own organization.
pub(crate) async fn twin(server: &Server, ours: &Subject, twin: &str) {
    // Its creation is an event.
    settled(server, twin).await;
    let database = &server.databases[0];
    let [org, twin] = [&ours.organization, twin].map(|id| database.literal(id));
    for table in TABLES {
        execute(server, &copied(server, table, &org, &twin, &[]));
    }
    let [stranger, gone] = [STRANGER, GONE].map(|id| database.literal(id));
    let [group, inner] = [&ours.group_id(), &ours.inner].map(|id| database.literal(id));
    let boss = database.literal(&ours.manager());
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)";
    let low =
        if database.is_sqlite() { "unhex(printf('%032x', n.i))" } else { "CAST(lpad(to_hex(n.i), 32, '0') AS uuid)" };
    let text_of = |id: &str| if database.is_sqlite() { format!("hex({id})") } else { format!("CAST({id} AS text)") };
    let moved = "UPDATE scim_group SET display_name = 'Twin', display_name_key = 'twin ' || display_name_key, \
                 resource = replace(resource, 'er ', 'twin ')";
    let more = [
        // Shown otherwise, wherever it is shown; what is looked up by stays.
        format!("UPDATE scim_user SET resource = replace(resource, 'title-', 'twin-') WHERE org = {twin}"),
        format!("{moved} WHERE org = {twin}"),
        // The name of one group is that of another.
        format!(
            "UPDATE scim_group SET display_name_key = (SELECT g.display_name_key FROM scim_group g WHERE g.org = {org} \
             AND g.id = {group}) WHERE org = {twin} AND id = {inner}"
        ),
        format!("UPDATE scim_user SET version = 100 WHERE org = {twin} AND id = {boss}"),
        // More before ours than are looked at in one go: of the members of a group, and of the groups of a user.
        format!(
            "INSERT INTO group_member (org, group_id, member_id, member_type) {many} SELECT {twin}, {group}, {low}, 1 FROM n"
        ),
        format!(
            "INSERT INTO group_member (org, group_id, member_id, member_type) {many} SELECT {twin}, {low}, {boss}, 1 FROM n"
        ),
        // A group that ours has not.
        copied(server, "scim_group", &org, &twin, &[("id", &gone), ("display_name_key", "'gone'")])
            + &format!(" AND id = {group}"),
        // And a user.
        copied(server, "scim_user", &org, &twin, &[("id", &stranger), ("user_name_key", "'stranger'")])
            + &format!(" AND id = {boss}"),
        // Everybody is in every group, and a stranger.
        format!(
            "INSERT INTO group_member (org, group_id, member_id, member_type) SELECT {twin}, g.id, u.id, 1 FROM scim_group g \
             CROSS JOIN scim_user u WHERE g.org = {twin} AND u.org = {twin} ON CONFLICT DO NOTHING"
        ),
        format!(
            "INSERT INTO group_member (org, group_id, member_id, member_type) SELECT {twin}, g.id, h.id, 2 FROM scim_group g \
             CROSS JOIN scim_group h WHERE g.org = {twin} AND h.org = {twin} AND g.id <> h.id ON CONFLICT DO NOTHING"
        ),
        // Who was deleted was in more groups, and others were deleted later.
        format!(
            "INSERT INTO deleted_user_group (org, user_id, group_id, display_name) SELECT {twin}, d.id, {stranger}, 'Twin' \
             FROM deleted_user d WHERE d.org = {twin}"
        ),
        copied(server, "deleted_user", &org, &twin, &[("id", &stranger), ("version", "7")]),
        // Everybody has everybody's addresses.
        format!(
            "INSERT INTO user_key (org, attr, key, user_id) SELECT {twin}, k.attr, k.key, u.id FROM user_key k \
             CROSS JOIN scim_user u WHERE k.org = {org} AND u.org = {twin} ON CONFLICT DO NOTHING"
        ),
        // What is a user of ours is a group there, and the other way round.
        format!(
            "INSERT INTO scim_group (org, id, display_name, display_name_key, version, created, modified, resource, search) \
             SELECT {twin}, u.id, 'u', {}, 1, u.created, u.modified, g.resource, g.search FROM scim_user u \
             CROSS JOIN scim_group g WHERE u.org = {org} AND g.org = {org} AND g.id = {group}",
            text_of("u.id")
        ),
        format!(
            "INSERT INTO scim_user (org, id, user_name, user_name_key, version, created, modified, resource, search) \
             SELECT {twin}, g.id, {name}, {name}, 1, g.created, g.modified, u.resource, u.search FROM scim_group g \
             CROSS JOIN scim_user u WHERE g.org = {org} AND u.org = {org} AND u.external_id IS NOT NULL",
            name = text_of("g.id")
        ),
        // Other counts, and other blocks to count in.
        format!("UPDATE rank_block SET n = n + 7 WHERE org = {twin}"),
        format!(
            "INSERT INTO rank_block (org, resource_type, first_id, n) SELECT {twin}, b.resource_type, {}, 7 FROM rank_block b \
             WHERE b.org = {twin}",
            database.literal("00000000-0000-0000-0000-000000000001")
        ),
        // The same key of the same caller, for something else.
        format!(
            "INSERT INTO idempotency_key (org, caller, key, resource, digest, created) SELECT {twin}, 'scim_client:{}', 'k1', \
             {stranger}, {}, max(u.modified) FROM scim_user u WHERE u.org = {org}",
            ours.token_id,
            if database.is_sqlite() { "X'00'" } else { "CAST('\\x00' AS bytea)" }
        ),
    ];
    more.iter().for_each(|statement| execute(server, statement));
}

/// A newer key for cursors than ours has, or none any more.
pub(crate) fn cursor_key_of(server: &Server, twin: &str, there: bool) {
    let database = &server.databases[0];
    let (twin, secret) = (
        database.literal(twin),
        if database.is_sqlite() { "zeroblob(32)" } else { "CAST(decode(repeat('00', 32), 'hex') AS bytea)" },
    );
    let statement = if there {
        format!(
            "INSERT INTO cursor_key (org, generation, secret, created) SELECT {twin}, 9, {secret}, max(o.created) \
             FROM organization o"
        )
    } else {
        format!("DELETE FROM cursor_key WHERE org = {twin}")
    };
    execute(server, &statement);
}

/// Changes of another organization that are not numbered yet. SQLite has none such.
pub(crate) fn pending(server: &Server) {
    let database = &server.databases[0];
    if !database.is_sqlite() {
        let insert = "INSERT INTO outbox (org, id, occurred, kind, subject, actor, delta) SELECT \
                      CAST('33333333-3333-7333-8333-333333333333' AS uuid), gen_random_uuid(), now(), k.kind, \
                      gen_random_uuid(), '{}', '{}' FROM (VALUES ('user.created'), ('group.created')) AS k (kind)";
        execute(server, insert);
    }
}

/// The rows of the twin, to be compared.
pub(crate) fn rows(server: &Server, twin: &str) -> Vec<Vec<String>> {
    KEPT.iter().map(|table| server.databases[0].rows_of(table, twin).expect("rows")).collect()
}

fn execute(server: &Server, statement: &str) {
    if let Err(error) = server.databases[0].execute(statement) {
        panic!("{error:#}: {statement}");
    }
}

/// Copies the rows of a table to another organization, with other values in some columns.
fn copied(server: &Server, table: &str, org: &str, to: &str, instead: &[(&str, &str)]) -> String {
    let columns = server.databases[0].columns(table).expect("columns");
    let others: Vec<&str> = columns.iter().map(String::as_str).filter(|name| *name != "org").collect();
    let chosen: Vec<&str> = others
        .iter()
        .map(|name| instead.iter().find(|(column, _)| column == name).map_or(*name, |(_, value)| value))
        .collect();
    let (others, chosen) = (others.join(", "), chosen.join(", "));
    format!("INSERT INTO {table} (org, {others}) SELECT {to}, {chosen} FROM {table} WHERE org = {org}")
}
