//! Group rows, without their members.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use store::{
    AnyConnection, Instant, JsonText,
    sql_types::{Id, Instant as InstantType},
};
use uuid::Uuid;

use super::{
    schema::scim_group,
    statement::{Lock, Statement, Value, among, locking},
};
use crate::domain::{
    GroupId, OrgId,
    group::{Group, GroupContent},
};

/// The unique constraint on folded displayNames.
pub(crate) const DISPLAY_NAME: &str = "scim_group_org_display_name_key_key";

/// The columns of [`GroupRow`], for a table alias `r`.
pub(crate) const COLUMNS: &str = "r.id, r.display_name, r.external_id, r.version, r.created, r.modified, r.resource";

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = scim_group)]
pub(crate) struct GroupRow {
    #[diesel(sql_type = Id)]
    id: GroupId,
    #[diesel(sql_type = Text)]
    display_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = InstantType)]
    created: Instant,
    #[diesel(sql_type = InstantType)]
    modified: Instant,
    #[diesel(sql_type = Text)]
    resource: String,
}

impl From<GroupRow> for Group {
    fn from(row: GroupRow) -> Self {
        Self {
            id: row.id,
            display_name: row.display_name,
            external_id: row.external_id,
            version: row.version,
            created: row.created,
            modified: row.modified,
            resource: row.resource,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = scim_group, treat_none_as_default_value = false)]
struct NewRow<'a> {
    org: OrgId,
    id: GroupId,
    display_name: &'a str,
    display_name_key: &'a str,
    external_id: Option<&'a str>,
    version: i64,
    created: Instant,
    modified: Instant,
    resource: &'a str,
    search: JsonText,
}

/// Inserts a group of version 1. A taken displayName is a violation of [`DISPLAY_NAME`].
pub(crate) fn group_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    id: GroupId,
    content: &GroupContent,
    now: Instant,
) -> Result<Group, store::Error> {
    let row = NewRow {
        org,
        id,
        display_name: &content.display_name,
        display_name_key: &content.display_name_key,
        external_id: content.external_id.as_deref(),
        version: 1,
        created: now,
        modified: now,
        resource: &content.resource_text,
        search: JsonText(content.search_text.clone()),
    };
    diesel::insert_into(scim_group::table).values(row).execute(conn)?;
    Ok(Group {
        id,
        display_name: content.display_name.clone(),
        external_id: content.external_id.clone(),
        version: 1,
        created: now,
        modified: now,
        resource: content.resource_text.clone(),
    })
}

pub(crate) fn group_get(conn: &mut AnyConnection, org: OrgId, id: GroupId) -> Result<Option<Group>, store::Error> {
    let query = scim_group::table.find((org, id)).select(GroupRow::as_select());
    Ok(query.first(conn).optional()?.map(Group::from))
}

/// Reads a group and keeps others from changing it or its members until the transaction ends. In its own statement: on
/// PostgreSQL a statement that waited for a lock still sees the members as they were before.
pub(crate) fn group_lock(
    conn: &mut AnyConnection,
    org: OrgId,
    id: GroupId,
    lock: Lock,
) -> Result<Option<Group>, store::Error> {
    let text =
        format!("SELECT {COLUMNS} FROM scim_group r WHERE r.org = ? AND r.id = ?{}", locking(conn.backend(), lock));
    let row: Option<GroupRow> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    Ok(row.map(Group::from))
}

/// Locks many groups in id order, so that two who lock the same ones do not wait for each other.
pub(crate) fn groups_lock(conn: &mut AnyConnection, org: OrgId, ids: &[Uuid]) -> Result<(), store::Error> {
    let backend = conn.backend();
    if ids.is_empty() || backend == store::Backend::Sqlite {
        return Ok(());
    }
    let text = format!(
        "SELECT r.id FROM scim_group r WHERE r.org = ? AND r.id {} ORDER BY r.id{}",
        among(backend),
        locking(backend, Lock::Change)
    );
    Statement::new(text, [Value::id(org), Value::ids(backend, ids)]).run(conn)?;
    Ok(())
}

/// Writes new content over a locked group.
pub(crate) fn group_update(
    conn: &mut AnyConnection,
    org: OrgId,
    seen: &Group,
    content: &GroupContent,
    now: Instant,
) -> Result<Group, store::Error> {
    let version = seen.version + 1;
    let modified = now.max(seen.modified);
    Statement::new(
        "UPDATE scim_group SET display_name = ?, display_name_key = ?, external_id = ?, version = ?, modified = ?, \
         resource = ?, search = ? WHERE org = ? AND id = ?",
        [
            Value::text(&content.display_name),
            Value::text(&content.display_name_key),
            Value::OptionalText(content.external_id.clone()),
            Value::Integer(version),
            Value::Instant(modified),
            Value::text(&content.resource_text),
            Value::Json(JsonText(content.search_text.clone())),
            Value::id(org),
            Value::id(seen.id),
        ],
    )
    .run(conn)?;
    Ok(Group {
        id: seen.id,
        display_name: content.display_name.clone(),
        external_id: content.external_id.clone(),
        version,
        created: seen.created,
        modified,
        resource: content.resource_text.clone(),
    })
}

/// Counts a change of members on a locked group.
pub(crate) fn group_touch(
    conn: &mut AnyConnection,
    org: OrgId,
    seen: Group,
    now: Instant,
) -> Result<Group, store::Error> {
    let version = seen.version + 1;
    let modified = now.max(seen.modified);
    Statement::new(
        "UPDATE scim_group SET version = ?, modified = ? WHERE org = ? AND id = ?",
        [Value::Integer(version), Value::Instant(modified), Value::id(org), Value::id(seen.id)],
    )
    .run(conn)?;
    Ok(Group { version, modified, ..seen })
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = Id)]
    id: GroupId,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// Counts a change of members on many locked groups. Their new versions.
pub(crate) fn groups_touch(
    conn: &mut AnyConnection,
    org: OrgId,
    ids: &[Uuid],
    now: Instant,
) -> Result<Vec<(GroupId, i64)>, store::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let backend = conn.backend();
    let text = format!(
        "UPDATE scim_group SET version = version + 1, modified = ? WHERE org = ? AND id {} RETURNING id, version",
        among(backend)
    );
    let values = [Value::Instant(now), Value::id(org), Value::ids(backend, ids)];
    let rows: Vec<VersionRow> = Statement::new(text, values).rows(conn)?;
    Ok(rows.into_iter().map(|row| (row.id, row.version)).collect())
}

pub(crate) fn group_delete(conn: &mut AnyConnection, org: OrgId, id: GroupId) -> Result<(), store::Error> {
    diesel::delete(scim_group::table.find((org, id))).execute(conn)?;
    Ok(())
}
