//! User rows and the keys that users are found by.

use std::collections::BTreeSet;

use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Nullable, Text},
};
use store::{
    AnyConnection, Instant, JsonText,
    sql_types::{Id, Instant as InstantType},
};
use uuid::Uuid;

use super::{
    schema::{scim_user, user_key},
    statement::{AnyId, Lock, Statement, Value, among, for_each, locking},
};
use crate::domain::{
    GroupId, OrgId, UserId,
    user::{GroupOfUser, User, UserContent},
};

/// The unique constraint on folded userNames.
pub(crate) const USER_NAME: &str = "scim_user_org_user_name_key_key";

/// `user_key.attr` of e-mail addresses.
pub(crate) const EMAIL: &str = "emails.value";

/// The most users that one key finds.
const LOOK_UP_LIMIT: i64 = 1000;

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
) -> Result<User, store::Error> {
    let row = NewRow {
        org,
        id,
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
        version: 1,
        created: now,
        modified: now,
        resource: &content.resource_text,
        search: JsonText(content.search_text.clone()),
    };
    diesel::insert_into(scim_user::table).values(row).execute(conn)?;
    for email in &content.email_keys {
        user_key_insert(conn, org, id, email)?;
    }
    Ok(user_of(id, content, 1, now, now))
}

/// Writes the content over the version that was read; `None`: someone else wrote in between.
pub(crate) fn user_update(
    conn: &mut AnyConnection,
    org: OrgId,
    seen: &User,
    content: &UserContent,
    now: Instant,
) -> Result<Option<User>, store::Error> {
    let version = seen.version + 1;
    let modified = now.max(seen.modified);
    let text = |value: &Option<String>| Value::OptionalText(value.clone());
    let updated = Statement::new(
        "UPDATE scim_user SET user_name = ?, user_name_key = ?, external_id = ?, active = ?, display_name = ?, \
         display_name_key = ?, given_name_key = ?, family_name_key = ?, primary_email = ?, primary_email_key = ?, \
         version = ?, modified = ?, resource = ?, search = ? WHERE org = ? AND id = ? AND version = ?",
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
            Value::Integer(version),
            Value::Instant(modified),
            Value::text(&content.resource_text),
            Value::Json(JsonText(content.search_text.clone())),
            Value::id(org),
            Value::id(seen.id),
            Value::Integer(seen.version),
        ],
    )
    .run(conn)?;
    Ok((updated == 1).then(|| user_of(seen.id, content, version, seen.created, modified)))
}

/// Brings a user's e-mail keys from one set to another.
pub(crate) fn user_keys_change(
    conn: &mut AnyConnection,
    org: OrgId,
    id: UserId,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> Result<(), store::Error> {
    for email in before.difference(after) {
        let row = user_key::table.find((org, EMAIL, email, id));
        diesel::delete(row).execute(conn)?;
    }
    for email in after.difference(before) {
        user_key_insert(conn, org, id, email)?;
    }
    Ok(())
}

fn user_key_insert(conn: &mut AnyConnection, org: OrgId, id: UserId, email: &str) -> Result<(), store::Error> {
    let row = (user_key::org.eq(org), user_key::attr.eq(EMAIL), user_key::key.eq(email), user_key::user_id.eq(id));
    diesel::insert_into(user_key::table).values(row).execute(conn)?;
    Ok(())
}

fn user_of(id: UserId, content: &UserContent, version: i64, created: Instant, modified: Instant) -> User {
    User {
        id,
        user_name: content.user_name.clone(),
        external_id: content.external_id.clone(),
        active: content.active,
        display_name: content.display_name.clone(),
        primary_email: content.primary_email.clone(),
        version,
        created,
        modified,
        resource: content.resource_text.clone(),
    }
}

pub(crate) fn user_get(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<Option<User>, store::Error> {
    let query = scim_user::table.find((org, id)).select(UserRow::as_select());
    Ok(query.first(conn).optional()?.map(User::from))
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

/// Deletes the row and its keys.
pub(crate) fn user_delete(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<(), store::Error> {
    diesel::delete(user_key::table.filter(user_key::org.eq(org)).filter(user_key::user_id.eq(id))).execute(conn)?;
    diesel::delete(scim_user::table.find((org, id))).execute(conn)?;
    Ok(())
}

/// What users are looked up by; folded where matching is without regard to case.
#[derive(Clone, Debug)]
pub(crate) enum UserKey {
    UserName(String),
    ExternalId(String),
    Email(String),
}

/// By id, at most 1000.
pub(crate) fn user_look_up(conn: &mut AnyConnection, org: OrgId, key: &UserKey) -> Result<Vec<User>, store::Error> {
    let users = scim_user::table.filter(scim_user::org.eq(org)).order(scim_user::id).limit(LOOK_UP_LIMIT);
    let rows: Vec<UserRow> = match key {
        UserKey::UserName(name) => {
            users.filter(scim_user::user_name_key.eq(name)).select(UserRow::as_select()).load(conn)?
        }
        UserKey::ExternalId(id) => {
            users.filter(scim_user::external_id.eq(id)).select(UserRow::as_select()).load(conn)?
        }
        UserKey::Email(email) => {
            let text = format!(
                "SELECT {COLUMNS} FROM user_key k CROSS JOIN scim_user r WHERE r.org = k.org AND r.id = k.user_id AND k.org = ? \
                 AND k.attr = ? AND k.key = ? ORDER BY k.user_id LIMIT ?"
            );
            let values = [Value::id(org), Value::text(EMAIL), Value::text(email), Value::Integer(LOOK_UP_LIMIT)];
            Statement::new(text, values).rows(conn)?
        }
    };
    Ok(rows.into_iter().map(User::from).collect())
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

/// The groups of many users in one statement: direct ones first, then those reached through nesting, each by id. The
/// UNION ends the walk on a cycle of groups.
pub(crate) fn groups_of_users(
    conn: &mut AnyConnection,
    org: OrgId,
    users: &[Uuid],
) -> Result<Vec<(UserId, GroupOfUser)>, store::Error> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<GroupOfUserRow> = groups_of_users_statement(conn.backend(), org, users).rows(conn)?;
    let group = |row: GroupOfUserRow| {
        (UserId(row.member.0), GroupOfUser { id: row.id, display_name: row.display_name, direct: row.direct == 1 })
    };
    Ok(rows.into_iter().map(group).collect())
}

pub(crate) fn groups_of_users_statement(backend: store::Backend, org: OrgId, users: &[Uuid]) -> Statement {
    let (members, value) = match users {
        [only] => ("= ?", Value::id(*only)),
        many => (among(backend), Value::ids(backend, many)),
    };
    let text = format!(
        "WITH RECURSIVE reach (member, group_id, direct) AS (\
         SELECT m.member_id, m.group_id, CAST(1 AS bigint) FROM group_member m WHERE m.org = ? AND m.member_id {members} \
         UNION {}) {} GROUP BY r.member, g.id, g.display_name ORDER BY r.member, max(r.direct) DESC, g.id",
        for_each(
            backend,
            "r.member, m.group_id, CAST(0 AS bigint)",
            "reach r",
            "group_member m",
            "m.org = ? AND m.member_id = r.group_id"
        ),
        for_each(
            backend,
            "r.member, g.id, g.display_name, max(r.direct) AS direct",
            "reach r",
            "scim_group g",
            "g.org = ? AND g.id = r.group_id"
        ),
    );
    Statement::new(text, [Value::id(org), value, Value::id(org), Value::id(org)])
}
