//! Organization rows.

use diesel::prelude::*;
use store::{AnyConnection, Instant};

use super::{
    schema::organization,
    statement::{Lock, Statement, Value, locking},
};
use crate::domain::{OrgId, organization::Organization};

/// The unique constraint on slugs.
pub(crate) const SLUG: &str = "organization_slug_key";

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = organization, treat_none_as_default_value = false)]
struct Row {
    id: OrgId,
    slug: String,
    name: String,
    plan: String,
    scim_entitled: bool,
    plan_expires_at: Option<Instant>,
    scim_enabled: bool,
    requests_per_second: Option<i64>,
    created: Instant,
    modified: Instant,
}

impl From<Row> for Organization {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            slug: row.slug,
            name: row.name,
            plan: row.plan,
            scim_entitled: row.scim_entitled,
            plan_expires_at: row.plan_expires_at,
            scim_enabled: row.scim_enabled,
            requests_per_second: row.requests_per_second.and_then(|n| u32::try_from(n).ok()),
            created: row.created,
            modified: row.modified,
        }
    }
}

impl From<&Organization> for Row {
    fn from(this: &Organization) -> Self {
        Self {
            id: this.id,
            slug: this.slug.clone(),
            name: this.name.clone(),
            plan: this.plan.clone(),
            scim_entitled: this.scim_entitled,
            plan_expires_at: this.plan_expires_at,
            scim_enabled: this.scim_enabled,
            requests_per_second: this.requests_per_second.map(i64::from),
            created: this.created,
            modified: this.modified,
        }
    }
}

pub(crate) fn organization_insert(conn: &mut AnyConnection, this: &Organization) -> Result<(), store::Error> {
    diesel::insert_into(organization::table).values(Row::from(this)).execute(conn)?;
    Ok(())
}

pub(crate) fn organization_get(conn: &mut AnyConnection, org: OrgId) -> Result<Option<Organization>, store::Error> {
    let query = organization::table.filter(organization::id.eq(org)).select(Row::as_select());
    Ok(query.first(conn).optional()?.map(Organization::from))
}

pub(crate) fn organization_by_slug(conn: &mut AnyConnection, slug: &str) -> Result<Option<Organization>, store::Error> {
    let query = organization::table.filter(organization::slug.eq(slug)).select(Row::as_select());
    Ok(query.first(conn).optional()?.map(Organization::from))
}

/// By slug, those after the given one.
pub(crate) fn organization_page(
    conn: &mut AnyConnection,
    after: &str,
    limit: u32,
) -> Result<Vec<Organization>, store::Error> {
    let query = organization::table
        .filter(organization::slug.gt(after))
        .order(organization::slug)
        .limit(i64::from(limit))
        .select(Row::as_select());
    Ok(query.load(conn)?.into_iter().map(Organization::from).collect())
}

/// Writes the settings: all but id, slug, name and the instant of creation.
pub(crate) fn organization_settings(conn: &mut AnyConnection, this: &Organization) -> Result<(), store::Error> {
    let changes = (
        organization::plan.eq(&this.plan),
        organization::scim_entitled.eq(this.scim_entitled),
        organization::plan_expires_at.eq(this.plan_expires_at),
        organization::scim_enabled.eq(this.scim_enabled),
        organization::requests_per_second.eq(this.requests_per_second.map(i64::from)),
        organization::modified.eq(this.modified),
    );
    diesel::update(organization::table.filter(organization::id.eq(this.id))).set(changes).execute(conn)?;
    Ok(())
}

/// Keeps others from changing the settings until the transaction ends.
pub(crate) fn organization_lock(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    let lock = locking(conn.backend(), Lock::Change);
    Statement::new(format!("SELECT 1 AS n FROM organization WHERE id = ?{lock}"), [Value::id(org)]).run(conn)?;
    Ok(())
}
