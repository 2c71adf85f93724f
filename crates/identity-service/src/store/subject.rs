//! What users and groups are called, deleted users included, for those who only have their ids.

use std::collections::HashMap;

use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use store::{AnyConnection, Backend, sql_types::Id};
use uuid::Uuid;

use super::statement::{AnyId, Statement, Value, each, for_each};
use crate::domain::OrgId;

/// What one is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// The user name, or a group's display name.
    pub(crate) name: String,
    pub(crate) display_name: String,
}

#[derive(QueryableByName)]
struct NamedRow {
    #[diesel(sql_type = Id)]
    id: AnyId,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
}

/// Users, those who were deleted and can be restored, and groups: a seek for each id.
pub(crate) fn names(conn: &mut AnyConnection, org: OrgId, ids: &[Uuid]) -> Result<HashMap<Uuid, Named>, store::Error> {
    // Of the stored form: a deleted user has no columns of its own for these.
    let of_deleted = match conn.backend() {
        Backend::Sqlite => {
            "r.id, json_extract(r.resource, '$.userName') AS name, json_extract(r.resource, '$.displayName') AS display_name"
        }
        Backend::Postgres => {
            "r.id, CAST(r.resource AS json) ->> 'userName' AS name, CAST(r.resource AS json) ->> 'displayName' AS display_name"
        }
    };
    let mut found = HashMap::new();
    for (table, columns) in [
        ("scim_user r", "r.id, r.user_name AS name, r.display_name"),
        ("deleted_user r", of_deleted),
        ("scim_group r", "r.id, r.display_name AS name, r.display_name"),
    ] {
        let left: Vec<Uuid> = ids.iter().copied().filter(|id| !found.contains_key(id)).collect();
        if left.is_empty() {
            break;
        }
        let backend = conn.backend();
        let text = for_each(backend, columns, &format!("{} i", each(backend)), table, "r.org = ? AND r.id = i.id");
        let rows: Vec<NamedRow> = Statement::new(text, [Value::ids(backend, &left), Value::id(org)]).rows(conn)?;
        found.extend(rows.into_iter().map(|row| {
            let (name, display_name) = (row.name.unwrap_or_default(), row.display_name.unwrap_or_default());
            (row.id.0, Named { name, display_name })
        }));
    }
    Ok(found)
}
