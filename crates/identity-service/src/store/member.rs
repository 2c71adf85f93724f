//! Members of groups, always set-wise: no function here holds a whole group.

use diesel::{prelude::*, sql_types::SmallInt};
use store::{AnyConnection, Backend, sql_types::Id};
use uuid::Uuid;

use super::{
    schema::group_member,
    statement::{AnyId, Lock, Statement, Value, among, each, locking},
};
use crate::domain::{
    GroupId, MemberId, OrgId,
    group::{IDS_PER_ERROR, Member, MemberPage, MemberType},
};

/// Above every UUIDv7.
const LAST_ID: Uuid = Uuid::max();

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Id)]
    id: AnyId,
}

/// Which of these ids became members and were none before, and the first ids that are neither member, user nor group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) added: Vec<Uuid>,
    pub(crate) unknown: Vec<Uuid>,
}

/// Adds members to a locked group. The rows referred to are locked against deletion, so that none of them leaves a
/// member behind. With anything unknown the caller rolls back.
pub(crate) fn members_add(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
) -> Result<Added, store::Error> {
    let mut added = members_add_from(conn, org, group, ids, "scim_user", MemberType::User)?;
    if added.len() == ids.len() {
        return Ok(Added { added, unknown: Vec::new() });
    }
    added.extend(members_add_from(conn, org, group, ids, "scim_group", MemberType::Group)?);
    let unknown = if added.len() == ids.len() { Vec::new() } else { members_missing(conn, org, group, ids)? };
    Ok(Added { added, unknown })
}

fn members_add_from(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
    table: &'static str,
    member_type: MemberType,
) -> Result<Vec<Uuid>, store::Error> {
    let backend = conn.backend();
    // WHERE true keeps SQLite from reading ON CONFLICT as a join condition.
    let text = format!(
        "INSERT INTO group_member (org, group_id, member_id, member_type) SELECT CAST(? AS {id}), CAST(? AS {id}), f.id, \
         {code} FROM (SELECT t.id FROM {table} t WHERE t.org = ? AND t.id {among} ORDER BY t.id{lock}) f WHERE true \
         ON CONFLICT DO NOTHING RETURNING member_id AS id",
        id = id_type(backend),
        code = member_type.code(),
        among = among(backend),
        lock = locking(backend, Lock::Refer),
    );
    let values = [Value::id(org), Value::id(group), Value::id(org), Value::ids(backend, ids)];
    rows_of_ids(Statement::new(text, values), conn)
}

/// The first of these ids that are not members.
fn members_missing(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, store::Error> {
    let backend = conn.backend();
    let text = format!(
        "SELECT i.id FROM {} i WHERE NOT EXISTS (SELECT 1 FROM group_member m WHERE m.org = ? AND m.group_id = ? AND \
         m.member_id = i.id) LIMIT {IDS_PER_ERROR}",
        each(backend)
    );
    rows_of_ids(Statement::new(text, [Value::ids(backend, ids), Value::id(org), Value::id(group)]), conn)
}

/// Removes members from a locked group. Those that were members.
pub(crate) fn members_remove(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, store::Error> {
    let backend = conn.backend();
    let text = format!(
        "DELETE FROM group_member WHERE org = ? AND group_id = ? AND member_id {} RETURNING member_id AS id",
        among(backend)
    );
    rows_of_ids(Statement::new(text, [Value::id(org), Value::id(group), Value::ids(backend, ids)]), conn)
}

/// Removes the members of a locked group that satisfy a condition on alias `m`. Those that were removed.
pub(crate) fn members_remove_where(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    condition: &Statement,
) -> Result<Vec<Uuid>, store::Error> {
    let values = [Value::id(org), Value::id(group)];
    let mut statement =
        Statement::new("DELETE FROM group_member AS m WHERE m.org = ? AND m.group_id = ? AND (", values);
    statement.append(condition.clone()).push(") RETURNING member_id AS id", []);
    rows_of_ids(statement.shaped(), conn)
}

/// Removes the members of a locked group that are not among these ids. Those that were removed.
pub(crate) fn members_retain(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, store::Error> {
    let backend = conn.backend();
    let text = format!(
        "DELETE FROM group_member WHERE org = ? AND group_id = ? AND member_id NOT IN (SELECT i.id FROM {} i) \
         RETURNING member_id AS id",
        each(backend)
    );
    rows_of_ids(Statement::new(text, [Value::id(org), Value::id(group), Value::ids(backend, ids)]), conn)
}

/// The groups that have this member, by id.
pub(crate) fn groups_with_member(
    conn: &mut AnyConnection,
    org: OrgId,
    member: impl Into<Uuid>,
) -> Result<Vec<Uuid>, store::Error> {
    let query = group_member::table
        .filter(group_member::org.eq(org))
        .filter(group_member::member_id.eq(MemberId(member.into())))
        .order(group_member::group_id)
        .select(group_member::group_id);
    Ok(query.load::<GroupId>(conn)?.into_iter().map(Uuid::from).collect())
}

/// Takes a member out of every group.
pub(crate) fn memberships_delete(
    conn: &mut AnyConnection,
    org: OrgId,
    member: impl Into<Uuid>,
) -> Result<(), store::Error> {
    let rows = group_member::table
        .filter(group_member::org.eq(org))
        .filter(group_member::member_id.eq(MemberId(member.into())));
    diesel::delete(rows).execute(conn)?;
    Ok(())
}

/// Empties a group. The number of members it had.
pub(crate) fn members_delete(conn: &mut AnyConnection, org: OrgId, group: GroupId) -> Result<usize, store::Error> {
    let rows = group_member::table.filter(group_member::org.eq(org)).filter(group_member::group_id.eq(group));
    Ok(diesel::delete(rows).execute(conn)?)
}

/// Members in id order after the given one.
pub(crate) fn member_page(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    after: Option<MemberId>,
    limit: u32,
) -> Result<MemberPage, store::Error> {
    let query = group_member::table
        .filter(group_member::org.eq(org))
        .filter(group_member::group_id.eq(group))
        .filter(group_member::member_id.gt(after.unwrap_or(MemberId(Uuid::nil()))))
        .order(group_member::member_id)
        .limit(i64::from(limit) + 1)
        .select((group_member::member_id, group_member::member_type));
    let rows: Vec<(MemberId, i16)> = query.load(conn)?;
    Ok(page(rows, limit))
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = Id)]
    group_id: GroupId,
    #[diesel(sql_type = Id)]
    member_id: MemberId,
    #[diesel(sql_type = SmallInt)]
    member_type: i16,
}

/// The first members of many groups in one statement that reads no more of them than that.
pub(crate) fn member_pages(
    conn: &mut AnyConnection,
    org: OrgId,
    groups: &[Uuid],
    limit: u32,
) -> Result<Vec<(GroupId, MemberPage)>, store::Error> {
    if groups.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let rows: Vec<MemberRow> = member_pages_statement(conn.backend(), org, groups, limit).rows(conn)?;
    let chunks = rows.chunk_by(|a, b| a.group_id == b.group_id);
    let pages = chunks.filter_map(|chunk| {
        let members = chunk.iter().map(|row| (row.member_id, row.member_type)).collect();
        Some((chunk.first()?.group_id, page(members, limit)))
    });
    Ok(pages.collect())
}

pub(crate) fn member_pages_statement(backend: Backend, org: OrgId, groups: &[Uuid], limit: u32) -> Statement {
    let limit = Value::Integer(i64::from(limit) + 1);
    let ids = Value::ids(backend, groups);
    let order = "ORDER BY m.group_id, m.member_id";
    match backend {
        Backend::Postgres => Statement::new(
            format!(
                "SELECT m.group_id, m.member_id, m.member_type FROM {} i CROSS JOIN LATERAL (SELECT * FROM group_member m \
                 WHERE m.org = ? AND m.group_id = i.id ORDER BY m.member_id LIMIT ?) m {order}",
                each(backend)
            ),
            [ids, Value::id(org), limit],
        ),
        // Without LATERAL: `stop` is the first member beyond what is wanted.
        Backend::Sqlite => Statement::new(
            format!(
                "SELECT m.group_id, m.member_id, m.member_type FROM (SELECT i.id, COALESCE((SELECT x.member_id \
                 FROM group_member x WHERE x.org = ? AND x.group_id = i.id ORDER BY x.member_id LIMIT 1 OFFSET ?), ?) \
                 AS stop FROM {} i) p CROSS JOIN group_member m WHERE m.org = ? AND m.group_id = p.id AND \
                 m.member_id < p.stop {order}",
                each(backend)
            ),
            [Value::id(org), limit, Value::id(LAST_ID), ids, Value::id(org)],
        ),
    }
}

fn page(mut rows: Vec<(MemberId, i16)>, limit: u32) -> MemberPage {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let member = |(id, code)| Member { id, r#type: if code == 2 { MemberType::Group } else { MemberType::User } };
    MemberPage { members: rows.into_iter().map(member).collect(), more }
}

fn id_type(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "uuid",
        Backend::Sqlite => "blob",
    }
}

fn rows_of_ids(statement: Statement, conn: &mut AnyConnection) -> Result<Vec<Uuid>, store::Error> {
    let rows: Vec<IdRow> = statement.rows(conn)?;
    Ok(rows.into_iter().map(|row| row.id.0).collect())
}
