//! The keys of userNames that hold more than ASCII: those of ASCII are the same by every version of the rules.

use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use store::{AnyConnection, Backend, sql_types::Id};

use super::statement::{Statement, Value, limit_to};
use crate::domain::{OrgId, UserId};

/// A user's name and the key it is stored with.
#[derive(QueryableByName)]
pub(crate) struct NameRow {
    #[diesel(sql_type = Id)]
    pub(crate) id: UserId,
    #[diesel(sql_type = Text)]
    pub(crate) user_name: String,
    #[diesel(sql_type = Text)]
    pub(crate) user_name_key: String,
}

#[derive(QueryableByName)]
struct OrgRow {
    #[diesel(sql_type = Nullable<Id>)]
    org: Option<OrgId>,
}

/// More bytes than characters.
fn beyond_ascii(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "octet_length(r.user_name) <> char_length(r.user_name)",
        Backend::Sqlite => "length(CAST(r.user_name AS BLOB)) <> length(r.user_name)",
    }
}

/// The next organization with such names.
pub(crate) fn names_organization_after(conn: &mut AnyConnection, org: OrgId) -> Result<Option<OrgId>, store::Error> {
    let select = format!(
        "SELECT (SELECT r.org FROM scim_user r WHERE r.org > ? AND {} ORDER BY r.org LIMIT 1) AS org",
        beyond_ascii(conn.backend())
    );
    let row: Option<OrgRow> = Statement::new(select, [Value::id(org)]).row(conn)?;
    Ok(row.and_then(|row| row.org))
}

/// Such names by user id, those after the given one.
pub(crate) fn names_page(
    conn: &mut AnyConnection,
    org: OrgId,
    after: UserId,
    limit: i64,
) -> Result<Vec<NameRow>, store::Error> {
    let backend = conn.backend();
    let mut select = Statement::new(
        format!(
            "SELECT r.id, r.user_name, r.user_name_key FROM scim_user r WHERE r.org = ? AND r.id > ? AND {} ORDER BY r.id",
            beyond_ascii(backend)
        ),
        [Value::id(org), Value::id(after)],
    );
    select.append(limit_to(backend, limit));
    Ok(select.rows(conn)?)
}

/// Gives a name its new key, unless it has changed since it was read.
pub(crate) fn name_key_update(
    conn: &mut AnyConnection,
    org: OrgId,
    seen: &NameRow,
    key: &str,
) -> Result<(), store::Error> {
    Statement::new(
        "UPDATE scim_user SET user_name_key = ? WHERE org = ? AND id = ? AND user_name = ? AND user_name_key = ?",
        [
            Value::text(key),
            Value::id(org),
            Value::id(seen.id),
            Value::text(&*seen.user_name),
            Value::text(&*seen.user_name_key),
        ],
    )
    .run(conn)?;
    Ok(())
}
