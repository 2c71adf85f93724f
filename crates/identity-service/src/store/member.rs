//! Members of groups, always set-wise: no function here holds a whole group.

use diesel::{
    prelude::*,
    sql_types::{Bool, Nullable, SmallInt},
};
use store::{AnyConnection, Backend, sql_types::Id};
use uuid::Uuid;

use super::{
    event::{Author, event_of_made_with},
    group::{COLUMNS, GroupRow},
    organization::gate_is_open,
    statement::{AnyId, Lock, Statement, Value, each, for_each, limit_to, locking},
};
use crate::domain::{
    GroupId, MemberId, OrgId,
    event::Kind,
    group::{Group, IDS_PER_ERROR, Member, MemberPage, MemberType},
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

/// Ids of one statement. More are several statements, so that no text of many megabytes is made of them.
const IDS_PER_STATEMENT: usize = 10_000;

/// Rows read at a time of a group that is compared with a list.
const COMPARED: i64 = 4096;

/// Adds members to a locked group. The rows referred to are locked against deletion, so that none of them leaves a
/// member behind. With anything unknown the caller rolls back.
pub(crate) fn members_add(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
) -> Result<Added, store::Error> {
    let mut all = Added::default();
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let Added { added, unknown } = members_add_some(conn, org, group, ids)?;
        all.added.extend(added);
        all.unknown.extend(unknown);
        if !all.unknown.is_empty() {
            break;
        }
    }
    Ok(all)
}

fn members_add_some(conn: &mut AnyConnection, org: OrgId, group: GroupId, ids: &[Uuid]) -> Result<Added, store::Error> {
    let mut added = members_add_from(conn, org, group, ids, "scim_user", MemberType::User)?;
    if added.len() == ids.len() {
        return Ok(Added { added, unknown: Vec::new() });
    }
    let groups = members_add_from(conn, org, group, ids, "scim_group", MemberType::Group)?;
    if !groups.is_empty() {
        nesting_begins(conn, org)?;
    }
    added.extend(groups);
    let unknown = if added.len() == ids.len() { Vec::new() } else { members_missing(conn, org, group, ids)? };
    Ok(Added { added, unknown })
}

/// From now on the groups of users are searched through nesting.
fn nesting_begins(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    let update = "UPDATE organization SET nested_groups = ? WHERE id = ? AND NOT nested_groups";
    Statement::new(update, [Value::Boolean(true), Value::id(org)]).run(conn)?;
    Ok(())
}

fn members_add_from(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
    table: &'static str,
    member_type: MemberType,
) -> Result<Vec<Uuid>, store::Error> {
    rows_of_ids(members_add_statement(conn.backend(), org, group, ids, table, member_type), conn)
}

fn members_add_statement(
    backend: Backend,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
    table: &'static str,
    member_type: MemberType,
) -> Statement {
    let (few, ids) = listed(backend, ids);
    // WHERE true keeps SQLite from reading ON CONFLICT as a join condition.
    let text = format!(
        "INSERT INTO group_member (org, group_id, member_id, member_type) SELECT CAST(? AS {id}), CAST(? AS {id}), f.id, \
         {code} FROM ({found}) f WHERE true ON CONFLICT DO NOTHING RETURNING member_id AS id",
        id = id_type(backend),
        code = member_type.code(),
        found = found_and_locked(backend, &few, table, "?"),
    );
    Statement::new(text, [Value::id(org), Value::id(group), ids, Value::id(org)])
}

/// The statements that add or remove members of a locked group.
#[cfg(test)]
pub(crate) fn change_statements(backend: Backend, org: OrgId, group: GroupId, ids: &[Uuid]) -> [Statement; 2] {
    [
        members_add_statement(backend, org, group, ids, "scim_user", MemberType::User),
        delete_listed(backend, org, ("group_id", group.0), "member_id", ids),
    ]
}

/// A SELECT of those of a few ids that a table has, each locked against deletion, in the order of the few.
fn found_and_locked(backend: Backend, few: &str, table: &str, org: &str) -> String {
    let condition = format!("t.org = {org} AND t.id = i.id{}", locking(backend, Lock::Refer));
    for_each(backend, "t.id", &format!("{few} i"), &format!("{table} t"), &condition)
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
    let mut removed = Vec::new();
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let delete = delete_listed(conn.backend(), org, ("group_id", group.0), "member_id", ids);
        removed.extend(rows_of_ids(delete, conn)?);
    }
    Ok(removed)
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

/// How the members of a group differ from a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Listed, and no members.
    pub(crate) missing: Vec<Uuid>,
    /// Members, and not listed.
    pub(crate) surplus: Vec<Uuid>,
}

/// Compares the members of a locked group with ids in ascending order, each once.
pub(crate) fn members_difference(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
) -> Result<Difference, store::Error> {
    match conn.backend() {
        Backend::Postgres => difference_by_join(conn, org, group, ids),
        Backend::Sqlite => difference_by_merge(conn, org, group, ids),
    }
}

#[derive(QueryableByName)]
struct DifferenceRow {
    #[diesel(sql_type = Nullable<Id>)]
    listed: Option<AnyId>,
    #[diesel(sql_type = Nullable<Id>)]
    member: Option<AnyId>,
}

fn difference_by_join(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
) -> Result<Difference, store::Error> {
    let backend = conn.backend();
    let text = format!(
        "SELECT i.id AS listed, m.member_id AS member FROM {} i FULL JOIN (SELECT member_id FROM group_member WHERE org = ? \
         AND group_id = ?) m ON m.member_id = i.id WHERE m.member_id IS NULL OR i.id IS NULL",
        each(backend)
    );
    let values = [Value::ids(backend, ids), Value::id(org), Value::id(group)];
    let rows: Vec<DifferenceRow> = Statement::new(text, values).rows(conn)?;
    let mut difference = Difference::default();
    for row in rows {
        difference.missing.extend(row.listed.map(Uuid::from));
        difference.surplus.extend(row.member.map(Uuid::from));
    }
    // In one order, so that two who lock the same users do not wait for each other.
    difference.missing.sort_unstable();
    difference.surplus.sort_unstable();
    Ok(difference)
}

/// Without making a table of the ids: the members come in the same order.
fn difference_by_merge(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    ids: &[Uuid],
) -> Result<Difference, store::Error> {
    let mut difference = Difference::default();
    let mut listed = ids.iter().copied().peekable();
    let mut after = Uuid::nil();
    loop {
        let mut page = Statement::new(
            "SELECT m.member_id AS id FROM group_member m WHERE m.org = ? AND m.group_id = ? AND m.member_id > ? \
             ORDER BY m.member_id",
            [Value::id(org), Value::id(group), Value::id(after)],
        );
        page.append(limit_to(conn.backend(), COMPARED));
        let members: Vec<MemberId> = rows_of_ids(page, conn)?.into_iter().map(MemberId).collect();
        let Some(last) = members.last().filter(|_| i64::try_from(members.len()) == Ok(COMPARED)) else {
            difference.take(&mut listed, &members);
            difference.missing.extend(listed);
            return Ok(difference);
        };
        after = last.0;
        difference.take(&mut listed, &members);
    }
}

impl Difference {
    /// Takes the next members, and the ids up to the last of them.
    fn take(&mut self, listed: &mut std::iter::Peekable<impl Iterator<Item = Uuid>>, members: &[MemberId]) {
        for &MemberId(member) in members {
            while let Some(missing) = listed.next_if(|id| *id < member) {
                self.missing.push(missing);
            }
            if listed.next_if_eq(&member).is_none() {
                self.surplus.push(member);
            }
        }
    }
}

/// Groups that have this member, by id: the first of them.
pub(crate) fn groups_with_member(
    conn: &mut AnyConnection,
    org: OrgId,
    member: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, store::Error> {
    let mut groups = Statement::new(
        "SELECT m.group_id AS id FROM group_member m WHERE m.org = ? AND m.member_id = ? ORDER BY m.group_id",
        [Value::id(org), Value::id(member)],
    );
    groups.append(limit_to(conn.backend(), limit));
    rows_of_ids(groups, conn)
}

/// Takes a member out of these groups, which are locked. Those that it was in.
pub(crate) fn memberships_delete(
    conn: &mut AnyConnection,
    org: OrgId,
    member: Uuid,
    groups: &[Uuid],
) -> Result<Vec<Uuid>, store::Error> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    rows_of_ids(delete_listed(conn.backend(), org, ("member_id", member), "group_id", groups), conn)
}

/// Deletes members by one of their ids and a list of the other ones; gives the latter. PostgreSQL joins the list: as a
/// condition it may be applied to each member in turn.
fn delete_listed(backend: Backend, org: OrgId, (by, id): (&str, Uuid), other: &str, ids: &[Uuid]) -> Statement {
    let (few, ids) = listed(backend, ids);
    let fixed = [Value::id(org), Value::id(id)];
    let mut delete = Statement::new("DELETE FROM group_member AS m ", []);
    match backend {
        Backend::Postgres => delete
            .push(&format!("USING {few} i WHERE m.{other} = i.id AND m.org = ? AND m.{by} = ?"), [ids])
            .bind(fixed),
        Backend::Sqlite => delete
            .push(&format!("WHERE m.org = ? AND m.{by} = ? AND m.{other} IN (SELECT i.id FROM {few} i)"), fixed)
            .bind([ids]),
    };
    // SQLite knows no alias here.
    let table = if backend == Backend::Postgres { "m." } else { "" };
    delete.push(&format!(" RETURNING {table}{other} AS id"), []);
    delete
}

/// Deletes members of a group, at most `limit`. How many.
pub(crate) fn members_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    limit: i64,
) -> Result<usize, store::Error> {
    let text = "DELETE FROM group_member WHERE org = ? AND group_id = ? AND member_id IN (SELECT m.member_id FROM \
                group_member m WHERE m.org = ? AND m.group_id = ? ORDER BY m.member_id LIMIT ?)";
    let (org, group) = (Value::id(org), Value::id(group));
    Ok(Statement::new(text, [org.clone(), group.clone(), org, group, Value::Integer(limit)]).run(conn)?)
}

/// Members in id order after the given one.
pub(crate) fn member_page(
    conn: &mut AnyConnection,
    org: OrgId,
    group: GroupId,
    after: Option<MemberId>,
    limit: u32,
) -> Result<MemberPage, store::Error> {
    let after = Value::id(after.unwrap_or(MemberId(Uuid::nil())));
    let mut members = Statement::new(
        "SELECT m.group_id, m.member_id, m.member_type FROM group_member m WHERE m.org = ? AND m.group_id = ? AND \
         m.member_id > ? ORDER BY m.member_id",
        [Value::id(org), Value::id(group), after],
    );
    members.append(limit_to(conn.backend(), i64::from(limit) + 1));
    let rows: Vec<MemberRow> = members.rows(conn)?;
    Ok(page(rows.into_iter().map(|row| (row.member_id, row.member_type)).collect(), limit))
}

/// Joins to a group `r` on PostgreSQL one row `p`: its first members after one, packed. Takes [`packed_page_values`].
pub(crate) const PACKED_PAGE: &str = " LEFT JOIN LATERAL (SELECT string_agg(uuid_send(m.member_id) || int2send(m.member_type), \
                                      CAST('' AS bytea) ORDER BY m.member_id) AS members FROM (SELECT m.member_id, \
                                      m.member_type FROM group_member m WHERE m.org = r.org AND m.group_id = r.id AND \
                                      m.member_id > ? ORDER BY m.member_id LIMIT ?) m) p ON true";

pub(crate) fn packed_page_values(after: Option<MemberId>, limit: u32) -> [Value; 2] {
    [Value::id(after.unwrap_or(MemberId(Uuid::nil()))), Value::Integer(i64::from(limit) + 1)]
}

/// Reads `p.members` of [`PACKED_PAGE`].
pub(crate) fn unpacked_page(packed: &[u8], limit: u32) -> Result<MemberPage, store::Error> {
    let (members, rest) = packed.as_chunks::<18>();
    if !rest.is_empty() {
        return Err(store::Error::Other("a page of members is not in whole members".to_owned()));
    }
    let member = |[id @ .., high, low]: [u8; 18]| (MemberId(Uuid::from_bytes(id)), i16::from_be_bytes([high, low]));
    Ok(page(members.iter().copied().map(member).collect(), limit))
}

/// Members that come and go, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Membership {
    /// In ascending order, none of them among those that go.
    pub(crate) add: Vec<Uuid>,
    pub(crate) remove: Vec<Uuid>,
    /// The name that the group must have.
    pub(crate) display_name: Option<String>,
    /// The version that the group must have.
    pub(crate) version: Option<i64>,
    /// What the event says beside the change: members of a JSON object, each with a comma before it.
    pub(crate) notes: String,
}

/// A group after [`members_change`].
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) group: Group,
    pub(crate) changed: bool,
    /// The statement waited for another change of the group, which may have added a member that it did not see, so that
    /// this one is still to be removed.
    pub(crate) again: bool,
}

#[derive(QueryableByName)]
struct ChangedRow {
    #[diesel(embed)]
    group: GroupRow,
    #[diesel(sql_type = Bool)]
    changed: bool,
    #[diesel(sql_type = Bool)]
    again: bool,
}

/// Adds users to a group and removes members, with the version and the event, in one statement without a transaction
/// around it. PostgreSQL only. `None`: nothing was done, because something is not as it is supposed to be: the gate, the
/// group, its name or version, or those who are to be added are not all users.
pub(crate) fn members_change(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    id: GroupId,
    membership: &Membership,
) -> Result<Option<Changed>, store::Error> {
    let row: Option<ChangedRow> = members_change_statement(org, author, id, membership).row(conn)?;
    Ok(row.map(|row| Changed { group: row.group.into(), changed: row.changed, again: row.again }))
}

/// The parts of the statement see the tables as they were when it began, but the rows that it locks as they are.
///
/// So what waited for another change of the group still goes by the newest version. The index, not the view, decides
/// whether a member is new. But who was added meanwhile is not seen to be removed: `seen` tells that.
pub(crate) fn members_change_statement(
    org: OrgId,
    author: &Author<'_>,
    id: GroupId,
    membership: &Membership,
) -> Statement {
    let Membership { add, remove, display_name, version, notes } = membership;
    let (subject, org, id) = (Uuid::from(id), Value::id(org), Value::id(id));
    let count = |ids: &[Uuid]| Value::Integer(i64::try_from(ids.len()).unwrap_or(i64::MAX));
    let mut change = Statement::new(
        format!(
            "WITH before AS MATERIALIZED (SELECT r.version FROM scim_group r WHERE r.org = ? AND r.id = ?), \
             locked AS MATERIALIZED (SELECT r.org, {COLUMNS}, b.version AS seen FROM organization o CROSS JOIN before b \
             CROSS JOIN scim_group r WHERE o.id = ? AND r.org = ? AND r.id = ? AND "
        ),
        [org.clone(), id.clone(), org.clone(), org.clone(), id.clone()],
    );
    change.append(gate_is_open(author.actor, !add.is_empty(), author.now));
    if let Some(name) = display_name {
        change.push(" AND r.display_name = ?", [Value::text(name)]);
    }
    if let Some(version) = version {
        change.push(" AND r.version = ? AND b.version = r.version", [Value::Integer(*version)]);
    }
    change.push(" FOR NO KEY UPDATE OF r), ", []);
    if add.is_empty() {
        change
            .push("ready AS (SELECT * FROM locked), added AS (SELECT org AS member_id FROM locked WHERE false), ", []);
    } else {
        let (few, ids) = listed(Backend::Postgres, add);
        change.push(
            &format!(
                "known AS MATERIALIZED (SELECT u.id FROM locked l CROSS JOIN LATERAL ({}) u), ",
                found_and_locked(Backend::Postgres, &few, "scim_user", "l.org")
            ),
            [ids],
        );
        change.push(
            "ready AS MATERIALIZED (SELECT l.* FROM locked l WHERE (SELECT count(*) FROM known) = ?), \
             added AS (INSERT INTO group_member (org, group_id, member_id, member_type) SELECT l.org, l.id, k.id, 1 \
             FROM ready l CROSS JOIN known k ON CONFLICT DO NOTHING RETURNING member_id), ",
            [count(add)],
        );
    }
    if remove.is_empty() {
        change.push("removed AS (SELECT org AS member_id FROM locked WHERE false), ", []);
    } else {
        let (few, ids) = listed(Backend::Postgres, remove);
        change.push(
            &format!(
                "removed AS (DELETE FROM group_member m USING {few} i WHERE m.member_id = i.id AND m.org = ? AND \
                 m.group_id = ? AND EXISTS (SELECT 1 FROM ready) RETURNING m.member_id), "
            ),
            [ids, org.clone(), id.clone()],
        );
    }
    let list = |from: &str| {
        format!("(SELECT string_agg(CAST(x.member_id AS text), '\",\"' ORDER BY x.member_id) FROM {from} x)")
    };
    change.push(
        &format!(
            "net AS MATERIALIZED (SELECT l.version, l.modified, {} AS added, {} AS removed FROM ready l), \
             made AS (UPDATE scim_group r SET version = n.version + 1, modified = greatest(n.modified, ?) FROM net n \
             WHERE r.org = ? AND r.id = ? AND (n.added IS NOT NULL OR n.removed IS NOT NULL) \
             RETURNING r.org, r.version, r.modified, n.added, n.removed), ",
            list("added"),
            list("removed"),
        ),
        [Value::Instant(author.now), org, id],
    );
    let delta = Statement::new(
        "concat('{\"version\":', m.version, ',\"added\":[\"' || m.added || '\"]', ',\"removed\":[\"' || m.removed || '\"]', \
         CAST(? AS text), '}')",
        [Value::text(notes)],
    );
    change.append(event_of_made_with(author, Kind::MembersChanged, subject, delta));
    change.push(
        " SELECT l.id, l.display_name, l.external_id, COALESCE(m.version, l.version) AS version, l.created, \
         COALESCE(m.modified, l.modified) AS modified, l.resource, m.version IS NOT NULL AS changed, \
         l.version <> l.seen AND (SELECT count(*) FROM removed) < ? AS again FROM ready l LEFT JOIN made m ON true",
        [count(remove)],
    );
    change
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

/// Ids as [`each`] gives them, and the value that it takes: one needs no list.
fn listed(backend: Backend, ids: &[Uuid]) -> (String, Value) {
    match ids {
        [only] => (format!("(SELECT CAST(? AS {}) AS id)", id_type(backend)), Value::id(*only)),
        many => (each(backend).to_owned(), Value::ids(backend, many)),
    }
}

pub(super) fn id_type(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "uuid",
        Backend::Sqlite => "blob",
    }
}

pub(super) fn rows_of_ids(statement: Statement, conn: &mut AnyConnection) -> Result<Vec<Uuid>, store::Error> {
    let rows: Vec<IdRow> = statement.rows(conn)?;
    Ok(rows.into_iter().map(|row| row.id.0).collect())
}
