//! Group rows, without their members.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Binary, Nullable, Text},
};
use store::{
    AnyConnection, Backend, Instant, JsonText,
    sql_types::{Id, Instant as InstantType},
};
use uuid::Uuid;

use super::{
    Count,
    event::{Author, event_of_made, events_append},
    member,
    organization::{GATE, GateRow, gate_is_open},
    schema::scim_group,
    statement::{Lock, Statement, Value, each, for_each, locking},
};
use crate::domain::{
    GroupId, MemberId, OrgId,
    event::NewEvent,
    group::{Group, GroupContent, MemberPage},
    organization::Gate,
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

/// A group with what its organization allows. `gate` absent: there is no such organization.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) gate: Option<Gate>,
    pub(crate) group: Option<(Group, MemberPage)>,
}

#[derive(QueryableByName)]
struct FoundRow {
    #[diesel(embed)]
    gate: GateRow,
    #[diesel(sql_type = Nullable<Id>)]
    id: Option<GroupId>,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<InstantType>)]
    created: Option<Instant>,
    #[diesel(sql_type = Nullable<InstantType>)]
    modified: Option<Instant>,
    #[diesel(sql_type = Nullable<Text>)]
    resource: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    members: Option<Vec<u8>>,
}

impl FoundRow {
    /// `None`: there is no such group.
    fn group(self) -> Option<(Group, Vec<u8>)> {
        let group = Group {
            id: self.id?,
            display_name: self.display_name?,
            external_id: self.external_id,
            version: self.version?,
            created: self.created?,
            modified: self.modified?,
            resource: self.resource?,
        };
        Some((group, self.members.unwrap_or_default()))
    }
}

/// Reads a group with its members after the given one, at most `limit`; with none it reads no member. On PostgreSQL in
/// one round trip.
pub(crate) fn group_find(
    conn: &mut AnyConnection,
    org: OrgId,
    id: GroupId,
    after: Option<MemberId>,
    limit: u32,
) -> Result<Found, store::Error> {
    let backend = conn.backend();
    let row: Option<FoundRow> = group_find_statement(backend, org, id, after, limit).row(conn)?;
    let Some(row) = row else { return Ok(Found { gate: None, group: None }) };
    let gate = Some(row.gate.into());
    let Some((group, packed)) = row.group() else { return Ok(Found { gate, group: None }) };
    let page = match (limit, backend) {
        (0, _) => MemberPage::default(),
        (_, Backend::Postgres) => member::unpacked_page(&packed, limit)?,
        (_, Backend::Sqlite) => member::member_page(conn, org, id, after, limit)?,
    };
    Ok(Found { gate, group: Some((group, page)) })
}

pub(crate) fn group_find_statement(
    backend: Backend,
    org: OrgId,
    id: GroupId,
    after: Option<MemberId>,
    limit: u32,
) -> Statement {
    let members = limit > 0 && backend == Backend::Postgres;
    let (column, join) = if members { ("p.members", member::PACKED_PAGE) } else { ("NULL", "") };
    let mut find = Statement::new(
        format!(
            "SELECT {GATE}, {COLUMNS}, {column} AS members FROM organization o LEFT JOIN scim_group r ON r.org = o.id AND \
             r.id = ?{join} WHERE o.id = ?"
        ),
        [Value::id(id)],
    );
    if members {
        find.bind(member::packed_page_values(after, limit));
    }
    find.bind([Value::id(org)]);
    find
}

#[derive(QueryableByName)]
struct EnteredRow {
    #[diesel(embed)]
    gate: GateRow,
    #[diesel(embed)]
    group: GroupRow,
}

/// Reads a group with what its organization allows, and keeps others from changing it or its members until the
/// transaction ends. In its own statement: on PostgreSQL a statement that waited for a lock still sees the members as
/// they were before.
pub(crate) fn group_enter(
    conn: &mut AnyConnection,
    org: OrgId,
    id: GroupId,
) -> Result<Option<(Gate, Group)>, store::Error> {
    let lock = match conn.backend() {
        Backend::Postgres => " FOR NO KEY UPDATE OF r",
        Backend::Sqlite => "",
    };
    let text = format!(
        "SELECT {GATE}, {COLUMNS} FROM organization o CROSS JOIN scim_group r WHERE o.id = ? AND r.org = ? AND r.id = ?{lock}"
    );
    let row: Option<EnteredRow> = Statement::new(text, [Value::id(org), Value::id(org), Value::id(id)]).row(conn)?;
    Ok(row.map(|row| (row.gate.into(), row.group.into())))
}

/// Reads a group and locks it until the transaction ends.
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

/// Locks many groups in the order of their ids, which is ascending, so that two who lock the same ones do not wait for each other.
pub(crate) fn groups_lock(conn: &mut AnyConnection, org: OrgId, ids: &[Uuid]) -> Result<(), store::Error> {
    let backend = conn.backend();
    if ids.is_empty() || backend == store::Backend::Sqlite {
        return Ok(());
    }
    let condition = format!("r.org = ? AND r.id = i.id{}", locking(backend, Lock::Change));
    let text = for_each(backend, "r.id", &format!("{} i", each(backend)), "scim_group r", &condition);
    Statement::new(text, [Value::ids(backend, ids), Value::id(org)]).run(conn)?;
    Ok(())
}

/// A change of what stands in a group beside its members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupUpdate<'a> {
    pub(crate) seen: &'a Group,
    pub(crate) content: &'a GroupContent,
    /// A lapsed plan forbids it.
    pub(crate) needs_plan: bool,
    pub(crate) event: &'a NewEvent,
}

/// Writes the content over the version that was read, with the event. `None`: someone else wrote in between, or the gate
/// was shut. On PostgreSQL it is one statement, which needs no transaction around it.
pub(crate) fn group_update(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    update: &GroupUpdate<'_>,
) -> Result<Option<Group>, store::Error> {
    const SET: &str = "version = ?, modified = ?, display_name = ?, display_name_key = ?, external_id = ?, resource = ?, \
                       search = ?";
    let GroupUpdate { seen, content, event, needs_plan } = *update;
    let (version, modified) = (seen.version + 1, author.now.max(seen.modified));
    let set = [
        Value::Integer(version),
        Value::Instant(modified),
        Value::text(&content.display_name),
        Value::text(&content.display_name_key),
        Value::OptionalText(content.external_id.clone()),
        Value::text(&content.resource_text),
        Value::Json(JsonText(content.search_text.clone())),
    ];
    let updated = match conn.backend() {
        Backend::Sqlite => {
            let mut write =
                Statement::new(format!("UPDATE scim_group SET {SET} WHERE org = ? AND id = ? AND version = ?"), set);
            write.bind([Value::id(org), Value::id(seen.id), Value::Integer(seen.version)]);
            let updated = write.run(conn)? == 1;
            if updated {
                events_append(conn, org, author, std::slice::from_ref(event))?;
            }
            updated
        }
        Backend::Postgres => {
            let text = format!(
                "WITH made AS (UPDATE scim_group r SET {SET} FROM organization o WHERE o.id = ? AND r.org = ? AND r.id = ? \
                 AND r.version = ? AND "
            );
            let mut write = Statement::new(text, set);
            write.bind([Value::id(org), Value::id(org), Value::id(seen.id), Value::Integer(seen.version)]);
            write.append(gate_is_open(author.actor, needs_plan, author.now)).push(" RETURNING r.org), ", []);
            write.append(event_of_made(author, event)).push(" SELECT count(*) AS n FROM made", []);
            write.row::<Count>(conn)?.is_some_and(|made| made.n == 1)
        }
    };
    Ok(updated.then(|| Group {
        id: seen.id,
        display_name: content.display_name.clone(),
        external_id: content.external_id.clone(),
        version,
        created: seen.created,
        modified,
        resource: content.resource_text.clone(),
    }))
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
    let few = each(backend);
    let text = match backend {
        Backend::Postgres => format!(
            "UPDATE scim_group r SET version = r.version + 1, modified = ? FROM {few} i WHERE r.id = i.id AND r.org = ? \
             RETURNING r.id, r.version"
        ),
        Backend::Sqlite => format!(
            "UPDATE scim_group SET version = version + 1, modified = ? WHERE id IN (SELECT i.id FROM {few} i) AND org = ? \
             RETURNING id, version"
        ),
    };
    let values = [Value::Instant(now), Value::ids(backend, ids), Value::id(org)];
    let rows: Vec<VersionRow> = Statement::new(text, values).rows(conn)?;
    Ok(rows.into_iter().map(|row| (row.id, row.version)).collect())
}

pub(crate) fn group_delete(conn: &mut AnyConnection, org: OrgId, id: GroupId) -> Result<(), store::Error> {
    let text = "DELETE FROM scim_group WHERE org = ? AND id = ?";
    Statement::new(text, [Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}
