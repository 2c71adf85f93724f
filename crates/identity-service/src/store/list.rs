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
use wire::{Reason, Refusal};

use super::{
    Count,
    filter_sql::{Compiler, Order, order, slice},
    group::{self, GroupRow},
    rank::{Spot, rank_after, rank_seek, rank_total, table},
    statement::{Statement, Value, limit_to},
    user::{self, UserRow},
};
use crate::{
    domain::{
        OrgId,
        group::Group,
        list::{Edge, Ends, ListDigest, ListQuery, Position, Start, Target},
        user::User,
    },
    error::{Refused, from_scim, refused},
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
    backend: Backend,
    /// No index leads to what satisfies the filter.
    scanned: Option<(OrgId, Target)>,
    /// All resources by id: positions and totals come from the counts of blocks.
    all: Option<(OrgId, Target)>,
    limit: usize,
    digest: ListDigest,
}

/// A page as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Rows<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: i64,
    pub(crate) ends: Ends,
}

impl<T> Rows<T> {
    /// The same page of other items.
    pub(crate) fn with<U>(self, items: impl FnOnce(Vec<T>) -> Result<Vec<U>, Refused>) -> Result<Rows<U>, Refused> {
        Ok(Rows { items: items(self.items)?, total: self.total, ends: self.ends })
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
        let compiler = Compiler { backend, org, target, rt, base_url: query.base_url.as_deref() };
        let mut shaped = query.sort_by.is_some();
        let mut from = Statement::new(format!(" FROM {table} r WHERE r.org = ?"), [Value::id(org)]);
        let (mut canonical, mut scanned) = (None, None);
        if let Some(text) = &query.filter {
            let filter = scim::filter::parse(rt, text).map_err(from_scim)?;
            from.push(" AND ", []).append(compiler.condition(&filter)?);
            shaped |= !of_few_texts(&filter);
            scanned = (!compiler.has_index(&filter)).then_some((org, target));
            canonical = Some(canonical_text(&filter, text));
        }
        let order = order(compiler, query)?;
        let digest = ListDigest::new(org, &rt.name, canonical.as_deref(), order.name(), query.descending);
        let all = query.filter.is_none() && query.sort_by.is_none() && !query.descending;
        let (limit, all) = (query.limit as usize, all.then_some((org, target)));
        Ok(Self { columns, from, order, shaped, backend, scanned, all, limit, digest })
    }

    pub(crate) fn digest(&self) -> &ListDigest {
        &self.digest
    }

    /// The same list in pages of another size.
    pub(crate) fn limited(&self, limit: usize) -> Self {
        Self { limit, ..self.clone() }
    }

    pub(crate) fn users(&self, conn: &mut AnyConnection, start: &Start) -> Result<Rows<User>, Refused> {
        self.rows(conn, start, |placed: PlacedUser| {
            let user = User::from(placed.user);
            let position = Position { target: Target::User, sort_key: placed.sort_key, id: user.id.0 };
            (user, position)
        })
    }

    pub(crate) fn groups(&self, conn: &mut AnyConnection, start: &Start) -> Result<Rows<Group>, Refused> {
        self.rows(conn, start, |placed: PlacedGroup| {
            let group = Group::from(placed.group);
            let position = Position { target: Target::Group, sort_key: placed.sort_key, id: group.id.0 };
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
        if let Some((org, target)) = self.scanned {
            bounded(rank_total(conn, org, target)?)?;
        }
        let rows: Vec<R> = match (start, self.all) {
            _ if self.limit == 0 => Vec::new(),
            (Start::Rank(offset @ 1..), Some((org, target))) => {
                let spot = rank_seek(conn, org, target, *offset)?;
                self.page_from(org, target, spot).rows(conn)?
            }
            _ => self.page(start)?.rows(conn)?,
        };
        let more = rows.len() > self.limit;
        let mut placed: Vec<(T, Position)> = rows.into_iter().take(self.limit).map(place).collect();
        let near = placed.first().map(|(_, position)| position.clone());
        let far = placed.last().map(|(_, position)| position.clone());
        let total = self.total(conn, start, placed.len(), far.as_ref(), more)?;
        let ends = match start {
            Start::Rank(_) | Start::Continued { .. } => Ends { last: far, ..Ends::default() },
            Start::Cursor(edge) => {
                let behind = self.behind(conn, edge, near.as_ref(), total)?;
                if edge.backwards {
                    placed.reverse();
                    Ends { first: far, last: near, before: more, after: behind }
                } else {
                    Ends { first: near, last: far, before: behind, after: more }
                }
            }
        };
        Ok(Rows { items: placed.into_iter().map(|(item, _)| item).collect(), total, ends })
    }

    /// Whether the list has anything on the side that a page by cursor came from. `near`: the page's resource there.
    fn behind(
        &self,
        conn: &mut AnyConnection,
        edge: &Edge,
        near: Option<&Position>,
        total: i64,
    ) -> Result<bool, Refused> {
        if edge.from.is_none() || self.limit == 0 {
            return Ok(false);
        }
        let Some(near) = near else { return Ok(total > 0) };
        let back = Edge { from: Some(near.clone()), backwards: !edge.backwards };
        let any: Option<Count> =
            self.seek(Statement::new("SELECT CAST(1 AS bigint) AS n", []), &back, 1, 0)?.row(conn)?;
        Ok(any.is_some())
    }

    /// The statement for a page. One resource more is read for a cursor, to know whether it is the last page.
    pub(crate) fn page(&self, start: &Start) -> Result<Statement, Refused> {
        let mut page = Statement::new(format!("SELECT {}, ", self.columns), []);
        page.append(self.order.shown()).push(" AS sort_key", []);
        let forwards = |from: Option<&Position>| Edge { from: from.cloned(), backwards: false };
        let (edge, offset, extra) = match start {
            Start::Rank(offset) => (forwards(None), *offset, 0),
            Start::Continued { after, .. } => (forwards(Some(after)), 0, 0),
            Start::Cursor(edge) => (edge.clone(), 0, 1),
        };
        self.seek(page, &edge, self.limit + extra, offset)
    }

    /// The statement for a page of all resources that begins near a spot. The ids on the way are read from the index alone.
    pub(crate) fn page_from(&self, org: OrgId, target: Target, spot: Spot) -> Statement {
        let mut page = Statement::new(format!("SELECT {}, ", self.columns), []);
        page.append(self.order.shown()).push(" AS sort_key", []).append(self.from.clone());
        let first =
            format!(" AND r.id >= (SELECT b.id FROM {} b WHERE b.org = ? AND b.id >= ? ORDER BY b.id", table(target));
        page.push(&first, [Value::id(org), Value::id(spot.from)])
            .append(slice(self.backend, 1, spot.skip))
            .push(")", []);
        page.append(self.order.clause()).append(limit_to(self.backend, i64::try_from(self.limit).unwrap_or(i64::MAX)));
        page
    }

    /// Completes a SELECT of what comes from an edge on.
    fn seek(&self, mut select: Statement, edge: &Edge, limit: usize, offset: i64) -> Result<Statement, Refused> {
        let reversed = edge.backwards.then(|| self.order.reversed());
        let order = reversed.as_ref().unwrap_or(&self.order);
        select.append(self.from.clone());
        if let Some(from) = &edge.from {
            select.push(" AND ", []).append(order.after(from).map_err(Refused::Refused)?);
        }
        select.append(order.clause()).append(slice(self.backend, i64::try_from(limit).unwrap_or(i64::MAX), offset));
        Ok(self.marked(select))
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
            let whole = matches!(start, Start::Cursor(Edge { from: None, .. })) && self.limit > 0 && !more;
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

    /// A count of rows costs in proportion to what satisfies the filter.
    fn count(&self, conn: &mut AnyConnection, after: Option<&Position>) -> Result<i64, Refused> {
        if let Some((org, target)) = self.all {
            return Ok(match after {
                Some(after) => rank_after(conn, org, target, after.id)?,
                None => rank_total(conn, org, target)?,
            });
        }
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

/// The most resources that a filter without an index looks at.
const MOST_SCANNED: i64 = 200_000;

fn bounded(resources: i64) -> Result<(), Refused> {
    if resources <= MOST_SCANNED {
        return Ok(());
    }
    let message = format!(
        "No index leads to what this filter asks for, and the organization has {resources} resources of this type; \
         {MOST_SCANNED} are looked at at the most. Add a term with `and` that has an index: `eq` on id, userName, \
         externalId, displayName, emails, groups or members, or `sw` on a name."
    );
    Err(refused(Reason::TooMany, message))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_has_a_bound() {
        assert!(bounded(200_000).is_ok());
        let Err(Refused::Refused(refusal)) = bounded(200_001) else { panic!("refused") };
        assert_eq!(refusal.reason, Reason::TooMany);
        assert!(refusal.message.contains("200001 resources"), "{}", refusal.message);
    }
}
