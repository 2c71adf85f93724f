//! Organization rows.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Nullable},
};
use store::{AnyConnection, Backend, Instant, sql_types::Instant as InstantType};

use super::{
    rank::blocks_insert,
    schema::organization,
    statement::{Lock, Statement, Value, limit_to, locking},
};
use crate::domain::{
    OrgId,
    actor::Actor,
    organization::{Gate, Organization},
    plan::Terms,
};

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
    oauth_entitled: bool,
    plan_expires_at: Option<Instant>,
    plan_grace_days: i64,
    max_users: Option<i64>,
    plan_told: Option<Instant>,
    scim_enabled: bool,
    requests_per_second: Option<i64>,
    nested_groups: bool,
    deletion_grace_days: i64,
    hold_percent: i64,
    request_log_days: i64,
    requests_watched_until: Option<Instant>,
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
            terms: Terms {
                scim: row.scim_entitled,
                oauth: row.oauth_entitled,
                expires_at: row.plan_expires_at,
                grace_days: days(row.plan_grace_days),
                max_users: row.max_users,
            },
            plan_told: row.plan_told,
            scim_enabled: row.scim_enabled,
            requests_per_second: row.requests_per_second.and_then(|n| u32::try_from(n).ok()),
            nested_groups: row.nested_groups,
            deletion_grace_days: days(row.deletion_grace_days),
            hold_percent: u32::try_from(row.hold_percent).unwrap_or(0),
            request_log_days: days(row.request_log_days),
            requests_watched_until: row.requests_watched_until,
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
            scim_entitled: this.terms.scim,
            oauth_entitled: this.terms.oauth,
            plan_expires_at: this.terms.expires_at,
            plan_grace_days: i64::from(this.terms.grace_days),
            max_users: this.terms.max_users,
            plan_told: this.plan_told,
            scim_enabled: this.scim_enabled,
            requests_per_second: this.requests_per_second.map(i64::from),
            nested_groups: this.nested_groups,
            deletion_grace_days: i64::from(this.deletion_grace_days),
            hold_percent: i64::from(this.hold_percent),
            request_log_days: i64::from(this.request_log_days),
            requests_watched_until: this.requests_watched_until,
            created: this.created,
            modified: this.modified,
        }
    }
}

/// What was written was one.
fn days(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(0)
}

/// The columns of [`GateRow`], for a table alias `o`.
pub(crate) const GATE: &str =
    "o.scim_entitled, o.plan_expires_at, o.plan_grace_days, o.max_users, o.scim_enabled, o.nested_groups";

#[derive(Clone, Copy, QueryableByName)]
pub(crate) struct GateRow {
    #[diesel(sql_type = Bool)]
    scim_entitled: bool,
    #[diesel(sql_type = Nullable<InstantType>)]
    plan_expires_at: Option<Instant>,
    #[diesel(sql_type = BigInt)]
    plan_grace_days: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    max_users: Option<i64>,
    #[diesel(sql_type = Bool)]
    scim_enabled: bool,
    #[diesel(sql_type = Bool)]
    nested_groups: bool,
}

impl From<GateRow> for Gate {
    fn from(row: GateRow) -> Self {
        let GateRow { scim_entitled, plan_expires_at, plan_grace_days, max_users, scim_enabled, nested_groups } = row;
        let plan_grace_days = days(plan_grace_days);
        Self { scim_entitled, plan_expires_at, plan_grace_days, max_users, scim_enabled, nested_groups }
    }
}

pub(crate) fn organization_gate(conn: &mut AnyConnection, org: OrgId) -> Result<Option<Gate>, store::Error> {
    let select = format!("SELECT {GATE} FROM organization o WHERE o.id = ?");
    Ok(Statement::new(select, [Value::id(org)]).row::<GateRow>(conn)?.map(Gate::from))
}

/// The same with the days in which a user that is deleted now can be restored.
pub(crate) fn organization_gate_to_delete(
    conn: &mut AnyConnection,
    org: OrgId,
) -> Result<Option<(Gate, u32)>, store::Error> {
    #[derive(QueryableByName)]
    struct DeletingRow {
        #[diesel(embed)]
        gate: GateRow,
        #[diesel(sql_type = BigInt)]
        deletion_grace_days: i64,
    }
    let select = format!("SELECT {GATE}, o.deletion_grace_days FROM organization o WHERE o.id = ?");
    let row: Option<DeletingRow> = Statement::new(select, [Value::id(org)]).row(conn)?;
    Ok(row.map(|row| (row.gate.into(), days(row.deletion_grace_days))))
}

/// A condition on the organization `o`: what [`Access`](crate::domain::access::Access) decides, for the statements that
/// read the organization and write in one, which are PostgreSQL's. `change`: the write is one that a lapsed plan forbids.
pub(crate) fn gate_is_open(actor: &Actor, change: bool, now: Instant) -> Statement {
    Statement::new(
        format!(
            "(? OR (o.scim_enabled AND (? OR (o.scim_entitled AND (o.plan_expires_at IS NULL OR {} > ?)))))",
            grace_ends_at(Backend::Postgres)
        ),
        [Value::Boolean(!actor.is_scim_client()), Value::Boolean(!change), Value::Instant(now)],
    )
}

/// The end of the days of grace of `o`, as an expression.
fn grace_ends_at(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "o.plan_expires_at + o.plan_grace_days * interval '24 hours'",
        Backend::Sqlite => "o.plan_expires_at + o.plan_grace_days * 86400000000",
    }
}

pub(crate) fn organization_insert(conn: &mut AnyConnection, this: &Organization) -> Result<(), store::Error> {
    diesel::insert_into(organization::table).values(Row::from(this)).execute(conn)?;
    blocks_insert(conn, this.id)
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

/// Some organizations whose plan has ended, or whose days of grace have, and that were not told so.
pub(crate) fn organizations_to_tell(
    conn: &mut AnyConnection,
    now: Instant,
    limit: i64,
) -> Result<Vec<OrgId>, store::Error> {
    #[derive(QueryableByName)]
    struct IdRow {
        #[diesel(sql_type = store::sql_types::Id)]
        id: OrgId,
    }
    let backend = conn.backend();
    let end = grace_ends_at(backend);
    let mut due = Statement::new(
        format!(
            "SELECT o.id FROM organization o WHERE o.plan_expires_at <= ? AND (o.plan_told IS NULL OR \
             o.plan_told < o.plan_expires_at OR ({end} <= ? AND o.plan_told < {end}))"
        ),
        [Value::Instant(now), Value::Instant(now)],
    );
    due.append(limit_to(backend, limit));
    Ok(due.rows::<IdRow>(conn)?.into_iter().map(|row| row.id).collect())
}

/// Writes the settings: all but id, slug, name and the instant of creation.
pub(crate) fn organization_settings(conn: &mut AnyConnection, this: &Organization) -> Result<(), store::Error> {
    let changes = (
        organization::plan.eq(&this.plan),
        organization::scim_entitled.eq(this.terms.scim),
        organization::oauth_entitled.eq(this.terms.oauth),
        organization::plan_expires_at.eq(this.terms.expires_at),
        organization::plan_grace_days.eq(i64::from(this.terms.grace_days)),
        organization::max_users.eq(this.terms.max_users),
        organization::plan_told.eq(this.plan_told),
        organization::scim_enabled.eq(this.scim_enabled),
        organization::requests_per_second.eq(this.requests_per_second.map(i64::from)),
        organization::deletion_grace_days.eq(i64::from(this.deletion_grace_days)),
        organization::hold_percent.eq(i64::from(this.hold_percent)),
        organization::request_log_days.eq(i64::from(this.request_log_days)),
        organization::requests_watched_until.eq(this.requests_watched_until),
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
