//! Users that were deleted and can be restored: the stored form, and the groups they were in.
//!
//! Not here: the users that there are (`user`) and members (`member`). Nothing that a client reads looks at these tables.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, SmallInt, Text},
};
use store::{
    AnyConnection, Backend, Instant,
    sql_types::{Id, Instant as InstantType},
};
use uuid::Uuid;

use super::{
    hold::NOT_HELD,
    member::{id_type, memberships_delete, rows_of_ids},
    statement::{AnyId, Lock, Statement, Value, each, for_each, limit_to, locking},
};
use crate::domain::{
    OrgId, UserId,
    deletion::{Deleted, Direction, SavedGroup, Wanted},
};

#[derive(QueryableByName)]
struct DeletedRow {
    #[diesel(sql_type = Id)]
    id: UserId,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = InstantType)]
    created: Instant,
    #[diesel(sql_type = InstantType)]
    modified: Instant,
    #[diesel(sql_type = Text)]
    resource: String,
    #[diesel(sql_type = InstantType)]
    deleted_at: Instant,
    #[diesel(sql_type = InstantType)]
    purge_at: Instant,
    #[diesel(sql_type = Text)]
    deleted_by: String,
    #[diesel(sql_type = BigInt)]
    held: i64,
}

impl From<DeletedRow> for Deleted {
    fn from(row: DeletedRow) -> Self {
        let DeletedRow { id, version, created, modified, resource, deleted_at, purge_at, deleted_by, held } = row;
        Self { id, version, created, modified, resource, deleted_at, purge_at, deleted_by, held: held > 0 }
    }
}

/// The columns of [`DeletedRow`], for a table alias `d`.
fn columns() -> String {
    format!(
        "d.id, d.version, d.created, d.modified, d.resource, d.deleted_at, d.purge_at, d.deleted_by, \
         CAST(CASE WHEN {NOT_HELD} THEN 0 ELSE 1 END AS bigint) AS held"
    )
}

/// Moves a user, with its keys already gone, from the users that there are to these.
pub(crate) fn user_set_aside(
    conn: &mut AnyConnection,
    org: OrgId,
    id: UserId,
    deleted_at: Instant,
    purge_at: Instant,
    deleted_by: &str,
) -> Result<(), store::Error> {
    const INTO: &str = "INSERT INTO deleted_user (org, id, version, created, modified, resource, deleted_at, purge_at, \
                        deleted_by) SELECT r.org, r.id, r.version, r.created, r.modified, r.resource, ?, ?, ? FROM ";
    let why = [Value::Instant(deleted_at), Value::Instant(purge_at), Value::text(deleted_by)];
    let whose = [Value::id(org), Value::id(id)];
    match conn.backend() {
        Backend::Postgres => {
            let text = format!(
                "WITH gone AS (DELETE FROM scim_user r WHERE r.org = ? AND r.id = ? RETURNING r.org, r.id, r.version, \
                 r.created, r.modified, r.resource) {INTO}gone r"
            );
            Statement::new(text, whose.into_iter().chain(why)).run(conn)?;
        }
        Backend::Sqlite => {
            let text = format!("{INTO}scim_user r WHERE r.org = ? AND r.id = ?");
            Statement::new(text, why.into_iter().chain(whose.clone())).run(conn)?;
            Statement::new("DELETE FROM scim_user WHERE org = ? AND id = ?", whose).run(conn)?;
        }
    }
    Ok(())
}

/// Reads a deleted user and keeps others from restoring or erasing it until the transaction ends.
pub(crate) fn deleted_lock(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<Option<Deleted>, store::Error> {
    let lock = locking(conn.backend(), Lock::Delete);
    let text = format!("SELECT {} FROM deleted_user d WHERE d.org = ? AND d.id = ?{lock}", columns());
    let row: Option<DeletedRow> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    Ok(row.map(Deleted::from))
}

/// Whether a hold keeps a deleted user from being erased.
pub(crate) fn is_held(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<bool, store::Error> {
    let text = format!("SELECT d.id FROM deleted_user d WHERE d.org = ? AND d.id = ? AND NOT {NOT_HELD}");
    Ok(!rows_of_ids(Statement::new(text, [Value::id(org), Value::id(id)]), conn)?.is_empty())
}

pub(crate) fn deleted_delete(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<(), store::Error> {
    let text = "DELETE FROM deleted_user WHERE org = ? AND id = ?";
    Statement::new(text, [Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}

/// Newest first, less those that are to be erased by now, unless a hold keeps them.
pub(crate) fn deleted_page(
    conn: &mut AnyConnection,
    org: OrgId,
    wanted: Wanted,
    now: Instant,
    limit: i64,
) -> Result<Vec<Deleted>, store::Error> {
    let text =
        format!("SELECT {} FROM deleted_user d WHERE d.org = ? AND (d.purge_at > ? OR NOT {NOT_HELD})", columns());
    let mut page = Statement::new(text, [Value::id(org), Value::Instant(now)]);
    match wanted {
        Wanted::Before(None) => {}
        Wanted::Before(Some((deleted_at, id))) => {
            page.push(" AND (d.deleted_at, d.id) < (?, ?)", [Value::Instant(deleted_at), Value::id(id)]);
        }
        Wanted::One(id) => {
            page.push(" AND d.id = ?", [Value::id(id)]);
        }
    }
    page.push(" ORDER BY d.deleted_at DESC, d.id DESC", []).append(limit_to(conn.backend(), limit));
    let rows: Vec<DeletedRow> = page.rows(conn)?;
    Ok(rows.into_iter().map(Deleted::from).collect())
}

/// Takes a user out of these groups, which are locked, and remembers those of them that exist. Those that it was in.
pub(crate) fn memberships_set_aside(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    groups: &[Uuid],
) -> Result<Vec<Uuid>, store::Error> {
    const INTO: &str = "INSERT INTO deleted_user_group (org, user_id, group_id, display_name)";
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let backend = conn.backend();
    let (few, ids) = (each(backend), Value::ids(backend, groups));
    let whose = [Value::id(org), Value::id(user)];
    match backend {
        Backend::Postgres => {
            let text = format!(
                "WITH gone AS (DELETE FROM group_member m USING {few} i WHERE m.group_id = i.id AND m.org = ? AND \
                 m.member_id = ? RETURNING m.org, m.member_id, m.group_id), \
                 saved AS ({INTO} SELECT l.org, l.member_id, l.group_id, g.display_name FROM gone l CROSS JOIN LATERAL \
                 (SELECT n.display_name FROM scim_group n WHERE n.org = l.org AND n.id = l.group_id OFFSET 0) g \
                 ON CONFLICT DO NOTHING) SELECT l.group_id AS id FROM gone l"
            );
            rows_of_ids(Statement::new(text, std::iter::once(ids).chain(whose)), conn)
        }
        Backend::Sqlite => {
            let text = format!(
                "{INTO} SELECT m.org, m.member_id, m.group_id, g.display_name FROM {few} i CROSS JOIN group_member m \
                 CROSS JOIN scim_group g WHERE m.org = ? AND m.member_id = ? AND m.group_id = i.id AND g.org = m.org AND \
                 g.id = m.group_id ON CONFLICT DO NOTHING"
            );
            Statement::new(text, std::iter::once(ids).chain(whose)).run(conn)?;
            memberships_delete(conn, org, user.0, groups)
        }
    }
}

#[derive(QueryableByName)]
struct SavedRow {
    #[diesel(sql_type = Id)]
    group_id: AnyId,
    #[diesel(sql_type = Text)]
    display_name: String,
    #[diesel(sql_type = Nullable<Id>)]
    there: Option<AnyId>,
}

/// The groups that a deleted user was in, by id: the first of them.
pub(crate) fn saved_groups(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    limit: i64,
) -> Result<Vec<SavedGroup>, store::Error> {
    let mut saved = Statement::new(
        "SELECT s.group_id, s.display_name, (SELECT g.id FROM scim_group g WHERE g.org = s.org AND g.id = s.group_id) \
         AS there FROM deleted_user_group s WHERE s.org = ? AND s.user_id = ? ORDER BY s.group_id",
        [Value::id(org), Value::id(user)],
    );
    saved.append(limit_to(conn.backend(), limit));
    let rows: Vec<SavedRow> = saved.rows(conn)?;
    let group =
        |row: SavedRow| SavedGroup { id: row.group_id.0, display_name: row.display_name, there: row.there.is_some() };
    Ok(rows.into_iter().map(group).collect())
}

/// Brings a user back into those of these groups that exist, which are locked, and forgets that it was in them. Those that
/// it was not in already.
pub(crate) fn memberships_bring_back(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    groups: &[Uuid],
) -> Result<Vec<Uuid>, store::Error> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let backend = conn.backend();
    let (few, ids) = (each(backend), Value::ids(backend, groups));
    let found = for_each(backend, "g.org, g.id", &format!("{few} i"), "scim_group g", "g.org = ? AND g.id = i.id");
    let insert = format!(
        "INSERT INTO group_member (org, group_id, member_id, member_type) SELECT f.org, f.id, CAST(? AS {}), 1 FROM ({found}) f \
         WHERE true ON CONFLICT DO NOTHING RETURNING group_id AS id",
        id_type(backend)
    );
    let back = rows_of_ids(Statement::new(insert, [Value::id(user), ids.clone(), Value::id(org)]), conn)?;
    let whose = [Value::id(org), Value::id(user)];
    let delete = match backend {
        Backend::Postgres => Statement::new(
            format!(
                "DELETE FROM deleted_user_group s USING {few} i WHERE s.group_id = i.id AND s.org = ? AND s.user_id = ?"
            ),
            std::iter::once(ids).chain(whose),
        ),
        Backend::Sqlite => Statement::new(
            format!(
                "DELETE FROM deleted_user_group WHERE org = ? AND user_id = ? AND group_id IN (SELECT i.id FROM {few} i)"
            ),
            whose.into_iter().chain([ids]),
        ),
    };
    delete.run(conn)?;
    Ok(back)
}

/// Remembers that a user has more groups than one transaction moves.
pub(crate) fn move_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    direction: Direction,
    now: Instant,
) -> Result<(), store::Error> {
    let text = "INSERT INTO membership_move (org, user_id, direction, created) VALUES (?, ?, ?, ?) \
                ON CONFLICT (org, user_id) DO UPDATE SET direction = excluded.direction, created = excluded.created";
    let values = [Value::id(org), Value::id(user), Value::Integer(direction.code().into()), Value::Instant(now)];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct MoveRow {
    #[diesel(sql_type = Id)]
    org: OrgId,
    #[diesel(sql_type = Id)]
    user_id: UserId,
    #[diesel(sql_type = SmallInt)]
    direction: i16,
}

/// One of all organizations' users that are on the move.
pub(crate) fn move_next(conn: &mut AnyConnection) -> Result<Option<(OrgId, UserId, Direction)>, store::Error> {
    let text = "SELECT t.org, t.user_id, t.direction FROM membership_move t ORDER BY t.org, t.user_id LIMIT 1";
    let row: Option<MoveRow> = Statement::new(text, []).row(conn)?;
    Ok(row.map(|row| (row.org, row.user_id, Direction::of(row.direction))))
}

/// Which way a user is on the move, if it is. With its deleted row locked, or its groups.
pub(crate) fn move_of(conn: &mut AnyConnection, org: OrgId, user: UserId) -> Result<Option<Direction>, store::Error> {
    let text = "SELECT t.org, t.user_id, t.direction FROM membership_move t WHERE t.org = ? AND t.user_id = ?";
    let row: Option<MoveRow> = Statement::new(text, [Value::id(org), Value::id(user)]).row(conn)?;
    Ok(row.map(|row| Direction::of(row.direction)))
}

/// The same, and keeps others from moving it until the transaction ends.
pub(crate) fn move_lock(
    conn: &mut AnyConnection,
    org: OrgId,
    user: UserId,
    direction: Direction,
) -> Result<bool, store::Error> {
    let lock = locking(conn.backend(), Lock::Delete);
    let text = format!(
        "SELECT t.org, t.user_id, t.direction FROM membership_move t WHERE t.org = ? AND t.user_id = ? AND t.direction = ?{lock}"
    );
    let values = [Value::id(org), Value::id(user), Value::Integer(direction.code().into())];
    Ok(Statement::new(text, values).row::<MoveRow>(conn)?.is_some())
}

pub(crate) fn move_delete(conn: &mut AnyConnection, org: OrgId, user: UserId) -> Result<(), store::Error> {
    let text = "DELETE FROM membership_move WHERE org = ? AND user_id = ?";
    Statement::new(text, [Value::id(org), Value::id(user)]).run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct OrgRow {
    #[diesel(sql_type = Id)]
    org: OrgId,
}

/// The next organization, by id, that has deleted users: one seek.
pub(crate) fn deleted_organization_after(
    conn: &mut AnyConnection,
    after: OrgId,
) -> Result<Option<OrgId>, store::Error> {
    let text = "SELECT org FROM deleted_user WHERE org > ? ORDER BY org LIMIT 1";
    let row: Option<OrgRow> = Statement::new(text, [Value::id(after)]).row(conn)?;
    Ok(row.map(|row| row.org))
}

/// Some users that are to be erased by now, but for those that a hold keeps or that another works on. Nobody restores them meanwhile.
pub(crate) fn purgeable_lock(
    conn: &mut AnyConnection,
    org: OrgId,
    now: Instant,
    limit: i64,
) -> Result<Vec<Uuid>, store::Error> {
    let backend = conn.backend();
    let skip = match backend {
        Backend::Postgres => " SKIP LOCKED",
        Backend::Sqlite => "",
    };
    let mut due = Statement::new(
        format!(
            "SELECT d.id FROM deleted_user d WHERE d.org = ? AND d.purge_at <= ? AND {NOT_HELD} ORDER BY d.purge_at"
        ),
        [Value::id(org), Value::Instant(now)],
    );
    due.append(limit_to(backend, limit)).push(locking(backend, Lock::Delete), []).push(skip, []);
    rows_of_ids(due, conn)
}

/// Forgets groups of locked deleted users, at most `limit`. How many.
pub(crate) fn saved_groups_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    users: &[Uuid],
    limit: i64,
) -> Result<usize, store::Error> {
    let backend = conn.backend();
    let few = format!("{} i", each(backend));
    let some =
        for_each(backend, "s.user_id, s.group_id", &few, "deleted_user_group s", "s.org = ? AND s.user_id = i.id");
    let mut delete = Statement::new(
        format!("DELETE FROM deleted_user_group WHERE org = ? AND (user_id, group_id) IN ({some}"),
        [Value::id(org), Value::ids(backend, users), Value::id(org)],
    );
    delete.append(limit_to(backend, limit)).push(")", []);
    Ok(delete.run(conn)?)
}

/// Erases locked deleted users.
pub(crate) fn deleted_purge(conn: &mut AnyConnection, org: OrgId, users: &[Uuid]) -> Result<(), store::Error> {
    let backend = conn.backend();
    let text = format!("DELETE FROM deleted_user WHERE org = ? AND id IN (SELECT i.id FROM {} i)", each(backend));
    Statement::new(text, [Value::id(org), Value::ids(backend, users)]).run(conn)?;
    Ok(())
}
