//! Pages of users and groups by filter, order and position, with the exact total.

use scim::{
    ResourceType,
    filter::{CompareOp, Filter},
};
use store::{AnyConnection, Backend};
use wire::Refusal;

use super::{
    Count,
    filter_sql::{Compiler, Target, order, slice},
    group::{self, GroupRow},
    statement::{Statement, Value},
    user::{self, UserRow},
};
use crate::{
    domain::{OrgId, group::Group, list::ListQuery, user::User},
    error::from_scim,
};

/// A list request as two statements.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// Absent where only the total is wanted.
    page: Option<Statement>,
    total: Statement,
    limit: usize,
    offset: i64,
}

impl Listing {
    /// # Errors
    /// [`wire::Reason::InvalidFilter`] and [`wire::Reason::InvalidValue`], before anything is read.
    pub(crate) fn new(backend: Backend, org: OrgId, target: Target, query: &ListQuery) -> Result<Self, Refusal> {
        let (rt, table, columns): (&ResourceType, _, _) = match target {
            Target::User => (scim::schema::user(), "scim_user", user::COLUMNS),
            Target::Group => (scim::schema::group(), "scim_group", group::COLUMNS),
        };
        let compiler = Compiler { backend, org, target };
        let mut shaped = query.sort_by.is_some();
        let mut from = Statement::new(format!(" FROM {table} r WHERE r.org = ?"), [Value::id(org)]);
        if let Some(filter) = &query.filter {
            let filter = scim::filter::parse(rt, filter).map_err(from_scim)?;
            from.push(" AND ", []).append(compiler.condition(&filter)?);
            shaped |= !of_few_texts(&filter);
        }
        let mut page = Statement::new(format!("SELECT {columns}"), []);
        page.append(from.clone()).append(order(compiler, rt, query)?).append(slice(query.limit, query.offset));
        let mut total = Statement::new("SELECT count(*) AS n", []);
        total.append(from);
        let mark = |statement: Statement| if shaped { statement.shaped() } else { statement };
        let page = (query.limit > 0).then(|| mark(page));
        Ok(Self { page, total: mark(total), limit: query.limit as usize, offset: query.offset })
    }

    pub(crate) fn users(&self, conn: &mut AnyConnection) -> Result<Vec<User>, store::Error> {
        let Some(page) = &self.page else { return Ok(Vec::new()) };
        let rows: Vec<UserRow> = page.clone().rows(conn)?;
        Ok(rows.into_iter().map(User::from).collect())
    }

    pub(crate) fn groups(&self, conn: &mut AnyConnection) -> Result<Vec<Group>, store::Error> {
        let Some(page) = &self.page else { return Ok(Vec::new()) };
        let rows: Vec<GroupRow> = page.clone().rows(conn)?;
        Ok(rows.into_iter().map(Group::from).collect())
    }

    #[cfg(test)]
    pub(crate) fn page(&self) -> Option<&Statement> {
        self.page.as_ref()
    }

    /// How many resources satisfy the filter, given how many are on the page. A page that is not full tells it; else they
    /// are counted.
    pub(crate) fn total(&self, conn: &mut AnyConnection, on_page: usize) -> Result<i64, store::Error> {
        let last = on_page < self.limit && (on_page > 0 || self.offset == 0);
        if let Some(known) = i64::try_from(on_page).ok().filter(|_| last) {
            return Ok(self.offset.saturating_add(known));
        }
        let row: Option<Count> = self.total.clone().row(conn)?;
        Ok(row.map_or(0, |row| row.n))
    }
}

/// What matching clients ask: one `eq`. Names and values are bound, so there are only a handful of such texts.
fn of_few_texts(filter: &Filter<'_>) -> bool {
    matches!(filter, Filter::Compare { op: CompareOp::Eq, .. })
}
