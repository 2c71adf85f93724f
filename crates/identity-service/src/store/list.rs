//! Pages of users and groups by filter, order and position, with the exact total.

use std::fmt::Write as _;

use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use scim::{
    filter::{CompareOp, Filter},
    schema::Types,
};
use store::{AnyConnection, Backend, MultiBackend};
use wire::Refusal;

use super::{
    Count,
    filter_sql::{Compiler, Order, Target, order, slice},
    group::{self, GroupRow},
    statement::{Statement, Value},
    user::{self, UserRow},
};
use crate::{
    domain::{
        OrgId,
        group::Group,
        list::{ListDigest, ListQuery, Position, Start},
        user::User,
    },
    error::{Refused, from_scim},
};

/// A list request, to be read from wherever a page starts.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    columns: &'static str,
    /// FROM and the condition of the list.
    from: Statement,
    order: Order,
    /// A client shaped the text.
    shaped: bool,
    limit: usize,
    digest: ListDigest,
}

/// A page as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Rows<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: i64,
    /// Where the page ends.
    pub(crate) last: Option<Position>,
    /// There is another page, where it is by cursor.
    pub(crate) more: bool,
}

impl<T> Rows<T> {
    /// The same page of other items.
    pub(crate) fn with<U>(self, items: impl FnOnce(Vec<T>) -> Result<Vec<U>, Refused>) -> Result<Rows<U>, Refused> {
        Ok(Rows { items: items(self.items)?, total: self.total, last: self.last, more: self.more })
    }
}

#[derive(QueryableByName)]
struct PlacedUser {
    #[diesel(embed)]
    user: UserRow,
    #[diesel(sql_type = Nullable<Text>)]
    sort_key: Option<String>,
}

#[derive(QueryableByName)]
struct PlacedGroup {
    #[diesel(embed)]
    group: GroupRow,
    #[diesel(sql_type = Nullable<Text>)]
    sort_key: Option<String>,
}

impl Listing {
    /// # Errors
    /// [`wire::Reason::InvalidFilter`] and [`wire::Reason::InvalidValue`], before anything is read.
    pub(crate) fn new(
        backend: Backend,
        org: OrgId,
        types: &Types,
        target: Target,
        query: &ListQuery,
    ) -> Result<Self, Refusal> {
        let (rt, table, columns) = match target {
            Target::User => (&types.user, "scim_user", user::COLUMNS),
            Target::Group => (&types.group, "scim_group", group::COLUMNS),
        };
        let compiler = Compiler { backend, org, target };
        let mut shaped = query.sort_by.is_some();
        let mut from = Statement::new(format!(" FROM {table} r WHERE r.org = ?"), [Value::id(org)]);
        let mut canonical = None;
        if let Some(text) = &query.filter {
            let filter = scim::filter::parse(rt, text).map_err(from_scim)?;
            from.push(" AND ", []).append(compiler.condition(&filter)?);
            shaped |= !of_few_texts(&filter);
            canonical = Some(canonical_text(&filter, text));
        }
        let order = order(compiler, rt, query)?;
        let digest = ListDigest::new(org, &rt.name, canonical.as_deref(), order.name(), query.descending);
        Ok(Self { columns, from, order, shaped, limit: query.limit as usize, digest })
    }

    pub(crate) fn digest(&self) -> &ListDigest {
        &self.digest
    }

    pub(crate) fn users(&self, conn: &mut AnyConnection, start: &Start) -> Result<Rows<User>, Refused> {
        self.rows(conn, start, |placed: PlacedUser| {
            let user = User::from(placed.user);
            let position = Position { sort_key: placed.sort_key, id: user.id.0 };
            (user, position)
        })
    }

    pub(crate) fn groups(&self, conn: &mut AnyConnection, start: &Start) -> Result<Rows<Group>, Refused> {
        self.rows(conn, start, |placed: PlacedGroup| {
            let group = Group::from(placed.group);
            let position = Position { sort_key: placed.sort_key, id: group.id.0 };
            (group, position)
        })
    }

    fn rows<R, T>(
        &self,
        conn: &mut AnyConnection,
        start: &Start,
        place: impl Fn(R) -> (T, Position),
    ) -> Result<Rows<T>, Refused>
    where
        R: QueryableByName<MultiBackend> + 'static,
    {
        let rows: Vec<R> = if self.limit == 0 { Vec::new() } else { self.page(start)?.rows(conn)? };
        let more = rows.len() > self.limit;
        let (items, mut positions): (Vec<T>, Vec<Position>) = rows.into_iter().take(self.limit).map(place).unzip();
        let last = positions.pop();
        let total = self.total(conn, start, items.len(), last.as_ref(), more)?;
        Ok(Rows { items, total, last, more })
    }

    /// The statement for a page. One resource more is read for a cursor, to know whether it is the last page.
    pub(crate) fn page(&self, start: &Start) -> Result<Statement, Refused> {
        let (after, offset, extra) = match start {
            Start::Rank(offset) => (None, *offset, 0),
            Start::Continued { after, .. } => (Some(after), 0, 0),
            Start::Cursor(after) => (after.as_ref(), 0, 1),
        };
        let mut page = Statement::new(format!("SELECT {}, ", self.columns), []);
        page.append(self.order.shown()).push(" AS sort_key", []).append(self.from.clone());
        if let Some(after) = after {
            page.push(" AND ", []).append(self.order.after(after).map_err(Refused::Refused)?);
        }
        let limit = i64::try_from(self.limit + extra).unwrap_or(i64::MAX);
        page.append(self.order.clause()).append(slice(limit, offset));
        Ok(self.marked(page))
    }

    /// How many resources satisfy the filter. A page that is not full tells it; else they are counted.
    ///
    /// By index it is what was before the page, the page, and what comes after its last resource. A count of all would be
    /// less as soon as somebody before was deleted, and a client that goes on to that number would stop too early.
    fn total(
        &self,
        conn: &mut AnyConnection,
        start: &Start,
        on_page: usize,
        last: Option<&Position>,
        more: bool,
    ) -> Result<i64, Refused> {
        let on_page_n = i64::try_from(on_page).unwrap_or(i64::MAX);
        let (Start::Rank(offset) | Start::Continued { offset, .. }) = start else {
            let whole = *start == Start::Cursor(None) && self.limit > 0 && !more;
            return if whole { Ok(on_page_n) } else { self.count(conn, None) };
        };
        let continued = matches!(start, Start::Continued { .. });
        let before = offset.saturating_add(on_page_n);
        match last {
            Some(last) if on_page == self.limit => Ok(before.saturating_add(self.count(conn, Some(last))?)),
            Some(_) => Ok(before),
            None if self.limit > 0 && (continued || *offset == 0) => Ok(before),
            None => self.count(conn, None),
        }
    }

    fn count(&self, conn: &mut AnyConnection, after: Option<&Position>) -> Result<i64, Refused> {
        let mut count = Statement::new("SELECT count(*) AS n", []);
        count.append(self.from.clone());
        if let Some(after) = after {
            count.push(" AND ", []).append(self.order.after(after).map_err(Refused::Refused)?);
        }
        let row: Option<Count> = self.marked(count).row(conn)?;
        Ok(row.map_or(0, |row| row.n))
    }

    fn marked(&self, statement: Statement) -> Statement {
        if self.shaped { statement.shaped() } else { statement }
    }
}

/// Another spelling of a filter is the same filter.
fn canonical_text(filter: &Filter<'_>, text: &str) -> String {
    let mut canonical = String::with_capacity(text.len());
    match write!(canonical, "{filter}") {
        Ok(()) => canonical,
        Err(std::fmt::Error) => text.to_owned(),
    }
}

/// What matching clients ask: one `eq`. Names and values are bound, so there are only a handful of such texts.
fn of_few_texts(filter: &Filter<'_>) -> bool {
    matches!(filter, Filter::Compare { op: CompareOp::Eq, .. })
}
