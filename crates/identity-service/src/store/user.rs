//! User rows and the keys that users are found by.

use std::collections::BTreeSet;

use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Nullable, Text},
};
use store::{
    AnyConnection, Backend, Instant, JsonText,
    sql_types::{Id, Instant as InstantType},
};
use uuid::Uuid;

use super::{
    Count,
    event::{Author, event_of_made, events_append},
    organization::{GATE, GateRow, gate_is_open, organization_gate},
    rank::{rank_total, total_of},
    schema::{scim_user, user_key},
    statement::{AnyId, Lock, Statement, Value, each, for_each, limit_to, locking},
};
use crate::domain::{
    GroupId, OrgId, UserId,
    access::is_open,
    event::NewEvent,
    list::Target,
    organization::Gate,
    user::{GroupOfUser, User, UserContent},
};

/// The unique constraint on folded userNames.
pub(crate) const USER_NAME: &str = "scim_user_org_user_name_key_key";

/// `user_key.attr` of e-mail addresses.
pub(crate) const EMAIL: &str = "emails.value";

/// The columns of [`UserRow`], for a table alias `r`.
pub(crate) const COLUMNS: &str = "r.id, r.user_name, r.external_id, r.active, r.display_name, r.primary_email, \
                                  r.version, r.created, r.modified, r.resource";

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = scim_user)]
pub(crate) struct UserRow {
    #[diesel(sql_type = Id)]
    id: UserId,
    #[diesel(sql_type = Text)]
    user_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
    #[diesel(sql_type = Nullable<Bool>)]
    active: Option<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    primary_email: Option<String>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = InstantType)]
    created: Instant,
    #[diesel(sql_type = InstantType)]
    modified: Instant,
    #[diesel(sql_type = Text)]
    resource: String,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            user_name: row.user_name,
            external_id: row.external_id,
            active: row.active,
            display_name: row.display_name,
            primary_email: row.primary_email,
            version: row.version,
            created: row.created,
            modified: row.modified,
            resource: row.resource,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = scim_user, treat_none_as_default_value = false)]
struct NewRow<'a> {
    org: OrgId,
    id: UserId,
    user_name: &'a str,
    user_name_key: &'a str,
    external_id: Option<&'a str>,
    active: Option<bool>,
    display_name: Option<&'a str>,
    display_name_key: Option<&'a str>,
    given_name_key: Option<&'a str>,
    family_name_key: Option<&'a str>,
    primary_email: Option<&'a str>,
    primary_email_key: Option<&'a str>,
    version: i64,
    created: Instant,
    modified: Instant,
    resource: &'a str,
    search: JsonText,
}

/// Inserts a user of version 1. A taken userName is a violation of [`USER_NAME`].
pub(crate) fn user_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    id: UserId,
    content: &UserContent,
    now: Instant,
) -> Result<(), store::Error> {
    user_insert_as(conn, org, &content.created(id, now), content)
}

/// The same with the version and the instants of a user that was there before.
pub(crate) fn user_insert_as(
    conn: &mut AnyConnection,
    org: OrgId,
    user: &User,
    content: &UserContent,
) -> Result<(), store::Error> {
    let row = NewRow {
        org,
        id: user.id,
        user_name: &content.user_name,
        user_name_key: &content.user_name_key,
        external_id: content.external_id.as_deref(),
        active: content.active,
        display_name: content.display_name.as_deref(),
        display_name_key: content.display_name_key.as_deref(),
        given_name_key: content.given_name_key.as_deref(),
        family_name_key: content.family_name_key.as_deref(),
        primary_email: content.primary_email.as_deref(),
        primary_email_key: content.primary_email_key.as_deref(),
        version: user.version,
        created: user.created,
        modified: user.modified,
        resource: &content.resource_text,
        search: JsonText(content.search_text.clone()),
    };
    diesel::insert_into(scim_user::table).values(row).execute(conn)?;
    for email in &content.email_keys {
        user_key_insert(conn, org, user.id, email)?;
    }
    Ok(())
}

/// Creates a user if the organization lets the author do so and its plan has room, with its keys and its event. The gate
/// as it was, and whether the user was created. On PostgreSQL it is one statement, which needs no transaction around it.
pub(crate) fn user_create(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    id: UserId,
    content: &UserContent,
    event: &NewEvent,
) -> Result<(Option<Gate>, bool), store::Error> {
    match conn.backend() {
        Backend::Sqlite => {
            let gate = organization_gate(conn, org)?;
            let open = match &gate {
                Some(gate) => is_open(gate, author.actor, true, author.now) && plan_has_room(conn, org, gate)?,
                None => false,
            };
            if open {
                user_insert(conn, org, id, content, author.now)?;
                events_append(conn, org, author, std::slice::from_ref(event))?;
            }
            Ok((gate, open))
        }
        Backend::Postgres => {
            let row: Option<MadeRow> = user_create_statement(org, author, id, content, event).row(conn)?;
            Ok(row.map_or((None, false), |row| (Some(row.gate.into()), row.made == 1)))
        }
    }
}

/// Whether the plan is for one user more. Nobody is locked: those who create at the same time may be a few too many.
pub(crate) fn plan_has_room(conn: &mut AnyConnection, org: OrgId, gate: &Gate) -> Result<bool, store::Error> {
    match gate.max_users {
        None => Ok(true),
        Some(most) => Ok(rank_total(conn, org, Target::User)? < most),
    }
}

#[derive(QueryableByName)]
struct MadeRow {
    #[diesel(embed)]
    gate: GateRow,
    #[diesel(sql_type = BigInt)]
    made: i64,
}

fn user_create_statement(
    org: OrgId,
    author: &Author<'_>,
    id: UserId,
    content: &UserContent,
    event: &NewEvent,
) -> Statement {
    let mut create = Statement::new(
        format!(
            "WITH gate AS (SELECT o.id, {GATE} FROM organization o WHERE o.id = ?), \
             made AS (INSERT INTO scim_user (org, id, version, created, modified, {CONTENT_COLUMNS}) \
             SELECT o.id, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM gate o WHERE "
        ),
        [Value::id(org), Value::id(id), Value::Instant(author.now), Value::Instant(author.now)],
    );
    create.bind(content_values(content));
    create.append(gate_is_open(author.actor, true, author.now));
    // The counts are read only where there is a maximum.
    create.push(" AND (o.max_users IS NULL OR o.max_users > (", []);
    create.append(total_of(Backend::Postgres, org, Target::User)).push("))", []);
    create.push(" RETURNING org, id), ", []).append(keys_of_made(&content.email_keys)).push(", ", []);
    create.append(event_of_made(author, event));
    create.push(&format!(" SELECT {GATE}, (SELECT count(*) FROM made) AS made FROM gate o"), []);
    create
}

/// A part of a WITH on PostgreSQL that adds e-mail keys to the user in `made`.
fn keys_of_made<'k>(emails: impl IntoIterator<Item = &'k String>) -> Statement {
    let text = format!(
        "came AS (INSERT INTO user_key (org, attr, key, user_id) SELECT m.org, '{EMAIL}', k.key, m.id FROM made m, \
         jsonb_array_elements_text(?) AS k (key))"
    );
    Statement::new(text, [json_of(emails)])
}

fn json_of<'k>(texts: impl IntoIterator<Item = &'k String>) -> Value {
    let texts: serde_json::Value = texts.into_iter().map(String::as_str).collect();
    Value::Json(JsonText(texts.to_string()))
}

/// What of a row comes from the content; [`content_values`] are in this order.
const CONTENT_COLUMNS: &str = "user_name, user_name_key, external_id, active, display_name, display_name_key, \
                               given_name_key, family_name_key, primary_email, primary_email_key, resource, search";

fn content_values(content: &UserContent) -> [Value; 12] {
    let text = |value: &Option<String>| Value::OptionalText(value.clone());
    [
        Value::text(&content.user_name),
        Value::text(&content.user_name_key),
        text(&content.external_id),
        Value::OptionalBoolean(content.active),
        text(&content.display_name),
        text(&content.display_name_key),
        text(&content.given_name_key),
        text(&content.family_name_key),
        text(&content.primary_email),
        text(&content.primary_email_key),
        Value::text(&content.resource_text),
        Value::Json(JsonText(content.search_text.clone())),
    ]
}

/// A change of a user that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserChange<'a> {
    pub(crate) seen: &'a User,
    pub(crate) content: &'a UserContent,
    /// The folded e-mail addresses as they were.
    pub(crate) emails_before: &'a BTreeSet<String>,
    /// A lapsed plan forbids it.
    pub(crate) needs_plan: bool,
    pub(crate) event: &'a NewEvent,
}

/// Writes the content over the version that was read, with the keys and the event. `None`: someone else wrote in between,
/// or the gate was shut. On PostgreSQL it is one statement, which needs no transaction around it.
pub(crate) fn user_update(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    change: &UserChange<'_>,
) -> Result<Option<User>, store::Error> {
    let UserChange { seen, content, emails_before, event, .. } = *change;
    let version = seen.version + 1;
    let modified = author.now.max(seen.modified);
    let gone: Vec<&String> = emails_before.difference(&content.email_keys).collect();
    let came: Vec<&String> = content.email_keys.difference(emails_before).collect();
    let updated = match conn.backend() {
        Backend::Sqlite => {
            let mut update = Statement::new(
                format!(
                    "UPDATE scim_user SET version = ?, modified = ?, {CONTENT_SET} WHERE org = ? AND id = ? AND version = ?"
                ),
                [Value::Integer(version), Value::Instant(modified)],
            );
            let guard = [Value::id(org), Value::id(seen.id), Value::Integer(seen.version)];
            update.bind(content_values(content)).bind(guard);
            let updated = update.run(conn)? == 1;
            if updated {
                for email in gone {
                    let text = "DELETE FROM user_key WHERE org = ? AND attr = ? AND key = ? AND user_id = ?";
                    let values = [Value::id(org), Value::text(EMAIL), Value::text(email), Value::id(seen.id)];
                    Statement::new(text, values).run(conn)?;
                }
                for email in came {
                    user_key_insert(conn, org, seen.id, email)?;
                }
                events_append(conn, org, author, std::slice::from_ref(event))?;
            }
            updated
        }
        Backend::Postgres => {
            let mut update =
                Statement::new("WITH gate AS (SELECT o.id FROM organization o WHERE o.id = ? AND ", [Value::id(org)]);
            update.append(gate_is_open(author.actor, change.needs_plan, author.now));
            update.push(
                &format!(
                    "), made AS (UPDATE scim_user r SET version = ?, modified = ?, {CONTENT_SET} FROM gate o \
                     WHERE r.org = o.id AND r.id = ? AND r.version = ? RETURNING r.org, r.id), "
                ),
                [Value::Integer(version), Value::Instant(modified)],
            );
            update.bind(content_values(content)).bind([Value::id(seen.id), Value::Integer(seen.version)]);
            if !gone.is_empty() {
                let text = format!(
                    "gone AS (DELETE FROM user_key k USING made m WHERE k.org = m.org AND k.attr = '{EMAIL}' AND \
                     k.key IN (SELECT jsonb_array_elements_text(?)) AND k.user_id = m.id), "
                );
                update.push(&text, [json_of(gone)]);
            }
            if !came.is_empty() {
                update.append(keys_of_made(came)).push(", ", []);
            }
            update.append(event_of_made(author, event)).push(" SELECT count(*) AS n FROM made", []);
            update.row::<Count>(conn)?.is_some_and(|made| made.n == 1)
        }
    };
    Ok(updated.then(|| content.written(seen.id, version, seen.created, modified)))
}

const CONTENT_SET: &str = "user_name = ?, user_name_key = ?, external_id = ?, active = ?, display_name = ?, \
                           display_name_key = ?, given_name_key = ?, family_name_key = ?, primary_email = ?, \
                           primary_email_key = ?, resource = ?, search = ?";

fn user_key_insert(conn: &mut AnyConnection, org: OrgId, id: UserId, email: &str) -> Result<(), store::Error> {
    let row = (user_key::org.eq(org), user_key::attr.eq(EMAIL), user_key::key.eq(email), user_key::user_id.eq(id));
    diesel::insert_into(user_key::table).values(row).execute(conn)?;
    Ok(())
}

/// Reads a user and keeps others from writing it until the transaction ends. In its own statement: on PostgreSQL a
/// statement that waited for a lock still sees the other tables as they were before.
pub(crate) fn user_lock(
    conn: &mut AnyConnection,
    org: OrgId,
    id: UserId,
    lock: Lock,
) -> Result<Option<User>, store::Error> {
    let text =
        format!("SELECT {COLUMNS} FROM scim_user r WHERE r.org = ? AND r.id = ?{}", locking(conn.backend(), lock));
    let row: Option<UserRow> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    Ok(row.map(User::from))
}

/// Deletes the keys that a user is found by, before the user itself.
pub(crate) fn user_keys_delete(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<(), store::Error> {
    let text = "DELETE FROM user_key WHERE org = ? AND user_id = ?";
    Statement::new(text, [Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}

/// What users are looked up by; folded where matching is without regard to case.
#[derive(Clone, Debug)]
pub(crate) enum UserKey {
    Id(UserId),
    UserName(String),
    ExternalId(String),
    Email(String),
}

/// A user with its direct groups.
pub(crate) type UserInGroups = (User, Vec<GroupOfUser>);

#[derive(QueryableByName)]
struct SeenRow {
    #[diesel(embed)]
    gate: GateRow,
    #[diesel(sql_type = Nullable<Id>)]
    id: Option<UserId>,
    #[diesel(sql_type = Nullable<Text>)]
    user_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
    #[diesel(sql_type = Nullable<Bool>)]
    active: Option<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    primary_email: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<InstantType>)]
    created: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    modified: Option<Instant>,
    #[diesel(sql_type = Nullable<Text>)]
    resource: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    groups: Option<String>,
}

impl SeenRow {
    /// `None`: there is no such user.
    fn user(self) -> Result<Option<UserInGroups>, store::Error> {
        let (Some(id), Some(user_name), Some(version), Some(created), Some(modified), Some(resource)) =
            (self.id, self.user_name, self.version, self.created, self.modified, self.resource)
        else {
            return Ok(None);
        };
        let user = User {
            id,
            user_name,
            external_id: self.external_id,
            active: self.active,
            display_name: self.display_name,
            primary_email: self.primary_email,
            version,
            created,
            modified,
            resource,
        };
        let groups: Vec<(Uuid, String)> = match self.groups.as_deref() {
            None => Vec::new(),
            Some(groups) => serde_json::from_str(groups)
                .map_err(|_| store::Error::Other("the groups of a user cannot be read".to_owned()))?,
        };
        let group = |(id, display_name)| GroupOfUser { id: GroupId(id), display_name, direct: true };
        Ok(Some((user, groups.into_iter().map(group).collect())))
    }
}

/// Users by a key, by id, at most `limit`, with the organization's gate: one statement. `groups`: with
/// their direct groups.
pub(crate) fn users_find(
    conn: &mut AnyConnection,
    org: OrgId,
    key: &UserKey,
    groups: bool,
    limit: i64,
) -> Result<(Option<Gate>, Vec<UserInGroups>), store::Error> {
    let rows: Vec<SeenRow> = users_find_statement(conn.backend(), org, key, groups, limit).rows(conn)?;
    let (mut gate, mut users) = (None, Vec::with_capacity(rows.len()));
    for row in rows {
        gate = Some(Gate::from(row.gate));
        users.extend(row.user()?);
    }
    users.sort_by_key(|(user, _)| user.id);
    Ok((gate, users))
}

pub(crate) fn users_find_statement(backend: Backend, org: OrgId, key: &UserKey, groups: bool, limit: i64) -> Statement {
    let mut find = Statement::new(format!("SELECT {GATE}, {COLUMNS}, "), []);
    find.push(if groups { groups_column(backend) } else { "NULL AS groups" }, []);
    find.push(" FROM organization o LEFT JOIN ", []);
    match key {
        UserKey::Id(id) => find.push("scim_user r ON r.org = o.id AND r.id = ?", [Value::id(*id)]),
        UserKey::UserName(name) => {
            find.push("scim_user r ON r.org = o.id AND r.user_name_key = ?", [Value::text(name)])
        }
        UserKey::ExternalId(id) => find.push("scim_user r ON r.org = o.id AND r.external_id = ?", [Value::text(id)]),
        UserKey::Email(email) => find.push(
            "user_key k ON k.org = o.id AND k.attr = ? AND k.key = ? LEFT JOIN scim_user r ON r.org = k.org AND \
             r.id = k.user_id",
            [Value::text(EMAIL), Value::text(email)],
        ),
    };
    find.push(" WHERE o.id = ?", [Value::id(org)]);
    if matches!(key, UserKey::ExternalId(_) | UserKey::Email(_)) {
        // Sorted afterwards: SQLite would make ready for many wide rows.
        find.append(limit_to(backend, limit));
    }
    find
}

/// The direct groups of the user `r` as a JSON array of ids and names, by id.
fn groups_column(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => {
            "(SELECT json_group_array(json_array(lower(hex(g.id)), g.display_name) ORDER BY g.id) FROM group_member m \
             CROSS JOIN scim_group g WHERE m.org = r.org AND m.member_id = r.id AND g.org = m.org AND g.id = m.group_id) \
             AS groups"
        }
        // Never by reading all groups, whatever the planner guesses.
        Backend::Postgres => {
            "(SELECT CAST(json_agg(json_build_array(g.id, g.display_name) ORDER BY g.id) AS text) FROM group_member m \
             CROSS JOIN LATERAL (SELECT n.id, n.display_name FROM scim_group n WHERE n.org = m.org AND n.id = m.group_id \
             OFFSET 0) g WHERE m.org = r.org AND m.member_id = r.id) AS groups"
        }
    }
}

#[derive(QueryableByName)]
struct GroupOfUserRow {
    #[diesel(sql_type = Id)]
    member: AnyId,
    #[diesel(sql_type = Id)]
    id: GroupId,
    #[diesel(sql_type = Text)]
    display_name: String,
    #[diesel(sql_type = BigInt)]
    direct: i64,
}

/// Whether groups of groups count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// The organization has none, see [`Gate::nested_groups`].
    None,
    Searched,
}

impl Nesting {
    pub(crate) fn of(gate: &Gate) -> Self {
        if gate.nested_groups { Self::Searched } else { Self::None }
    }
}

/// The groups of many users in one statement: direct ones first, then those reached through nesting, each by id.
pub(crate) fn groups_of_users(
    conn: &mut AnyConnection,
    org: OrgId,
    users: &[Uuid],
    nesting: Nesting,
) -> Result<Vec<(UserId, GroupOfUser)>, store::Error> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<GroupOfUserRow> = groups_of_users_statement(conn.backend(), org, users, nesting).rows(conn)?;
    let group = |row: GroupOfUserRow| {
        (UserId(row.member.0), GroupOfUser { id: row.id, display_name: row.display_name, direct: row.direct == 1 })
    };
    Ok(rows.into_iter().map(group).collect())
}

pub(crate) fn groups_of_users_statement(backend: Backend, org: OrgId, users: &[Uuid], nesting: Nesting) -> Statement {
    let direct = for_each(
        backend,
        "m.member_id AS member, m.group_id, CAST(1 AS bigint) AS direct",
        &format!("{} i", each(backend)),
        "group_member m",
        "m.org = ? AND m.member_id = i.id",
    );
    // The UNION ends the walk on a cycle of groups.
    let (reach, walk) = match nesting {
        Nesting::None => (direct, String::new()),
        Nesting::Searched => {
            let nested = for_each(
                backend,
                "r.member, m.group_id, CAST(0 AS bigint)",
                "reach r",
                "group_member m",
                "m.org = ? AND m.member_id = r.group_id",
            );
            (direct, format!(" UNION {nested}"))
        }
    };
    let shown = for_each(
        backend,
        "r.member, g.id, g.display_name, max(r.direct) AS direct",
        "reach r",
        "scim_group g",
        "g.org = ? AND g.id = r.group_id",
    );
    let text = format!(
        "WITH RECURSIVE reach (member, group_id, direct) AS ({reach}{walk}) {shown} GROUP BY r.member, g.id, \
         g.display_name ORDER BY r.member, max(r.direct) DESC, g.id"
    );
    let mut values = vec![Value::ids(backend, users), Value::id(org)];
    if nesting == Nesting::Searched {
        values.push(Value::id(org));
    }
    values.push(Value::id(org));
    Statement::new(text, values)
}
