//! The schemas that organizations added.

use diesel::{prelude::*, sql_types::Text};
use store::{AnyConnection, Instant, sql_types::Instant as InstantType};

use super::statement::{Statement, Value};
use crate::domain::OrgId;

#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct SchemaRow {
    /// JSON, as `scim::schema::Extension::document` writes it.
    #[diesel(sql_type = Text)]
    pub(crate) document: String,
    #[diesel(sql_type = InstantType)]
    pub(crate) created: Instant,
}

/// In the order they were added.
pub(crate) fn schemas(conn: &mut AnyConnection, org: OrgId) -> Result<Vec<SchemaRow>, store::Error> {
    let text = "SELECT document, created FROM schema_extension WHERE org = ? ORDER BY created, urn_key";
    Ok(Statement::new(text, [Value::id(org)]).rows(conn)?)
}

pub(crate) fn schema_insert(
    conn: &mut AnyConnection,
    org: OrgId,
    urn: &str,
    resource_type: &str,
    row: &SchemaRow,
) -> Result<(), store::Error> {
    Statement::new(
        "INSERT INTO schema_extension (org, urn_key, resource_type, document, created) VALUES (?, ?, ?, ?, ?)",
        [
            Value::id(org),
            Value::text(urn.to_ascii_lowercase()),
            Value::text(resource_type),
            Value::text(&row.document),
            Value::Instant(row.created),
        ],
    )
    .run(conn)?;
    Ok(())
}
