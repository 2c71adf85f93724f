//! `sortBy` as ORDER BY: RFC 7644 section 3.4.2.3. A resource without the attribute comes last ascending and first
//! descending; the id makes the order total.

use scim::attr::AttrPath;
use store::Backend;
use wire::{Reason, Refusal};

use super::{
    super::statement::{Statement, Value, limit_to},
    Compiler,
    compare::Operand,
};
use crate::domain::list::{ListQuery, Position, Target};

/// The order of a list.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    backend: Backend,
    /// What is sorted by before the id.
    key: Option<Operand>,
    /// The same in the schema's spelling.
    name: Option<String>,
    id: &'static str,
    descending: bool,
}

/// The order that a list request asks for.
///
/// # Errors
/// [`Reason::InvalidValue`] for what is no attribute or has no order.
pub(crate) fn order(compiler: Compiler<'_>, query: &ListQuery) -> Result<Order, Refusal> {
    let id = match (compiler.backend, &query.filter) {
        // SQLite has no statistics and would rather walk everybody in id order than sort the few that an index finds; the
        // plus sign takes that choice away.
        (Backend::Sqlite, Some(_)) => "+r.id",
        _ => "r.id",
    };
    let by_id = Order { backend: compiler.backend, key: None, name: None, id, descending: query.descending };
    let Some(name) = &query.sort_by else { return Ok(by_id) };
    let refuse = || {
        let message = format!(
            "sortBy {name:?} names no attribute that can be sorted by. Use userName, displayName, or \
                               another attribute of the schema with a simple value."
        );
        Refusal::new(Reason::InvalidValue, message)
    };
    let path = scim::attr::resolve(compiler.rt, name).ok_or_else(refuse)?;
    let name = Some(path.canonical());
    if path.extension.is_none() && path.attribute.name == "id" {
        return Ok(Order { name, ..by_id });
    }
    let key = match column(compiler, &path) {
        Some(column) => column,
        None if has_order(&path) => compiler.document().sort_key(&path).ok_or_else(refuse)?,
        None => return Err(refuse()),
    };
    Ok(Order { key: Some(key), name, ..by_id })
}

impl Order {
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The same list from its end.
    pub(crate) fn reversed(&self) -> Self {
        Self { descending: !self.descending, ..self.clone() }
    }

    /// ORDER BY.
    pub(crate) fn clause(&self) -> Statement {
        let id = format!("{}{}", self.id, if self.descending { " DESC" } else { "" });
        let Some(key) = &self.key else { return Statement::new(format!(" ORDER BY {id}"), []) };
        let direction = if self.descending { "DESC NULLS FIRST" } else { "ASC NULLS LAST" };
        let mut clause = Statement::new(" ORDER BY ", []);
        clause.append(key.expression().clone()).push(&format!(" {direction}, {id}"), []);
        clause
    }

    /// The `sort_key` of a [`Position`] as an expression.
    pub(crate) fn shown(&self) -> Statement {
        self.key.as_ref().map_or_else(|| Statement::new("CAST(NULL AS text)", []), |key| key.shown(self.backend))
    }

    /// The condition of coming later than a resource that the list had.
    ///
    /// # Errors
    /// [`Reason::InvalidCursor`] for a position in another order.
    pub(crate) fn after(&self, position: &Position) -> Result<Statement, Refusal> {
        let later = if self.descending { "<" } else { ">" };
        let by_id = || Statement::new(format!("{} {later} ?", self.id), [Value::id(position.id)]);
        let Some(key) = &self.key else { return Ok(by_id()) };
        let value = || key.expression().clone();
        let Some(text) = &position.sort_key else {
            // Absent is last ascending, first descending.
            let (test, join) = if self.descending { ("IS NOT NULL", "OR") } else { ("IS NULL", "AND") };
            let mut after = Statement::new("(", []);
            after.append(value()).push(&format!(" {test} {join} "), []).append(by_id()).push(")", []);
            return Ok(after);
        };
        let other_order = || Refusal::new(Reason::InvalidCursor, "The cursor is of another order. Start again.");
        let bound = key.bound(text).ok_or_else(other_order)?;
        let mut after = Statement::new("(", []);
        after.append(value()).push(&format!(" {later} "), []).append(bound.clone()).push(" OR (", []);
        after.append(value()).push(" = ", []).append(bound).push(" AND ", []).append(by_id()).push(")", []);
        if !self.descending {
            after.push(" OR ", []).append(value()).push(" IS NULL", []);
        }
        after.push(")", []);
        Ok(after)
    }
}

fn column(compiler: Compiler<'_>, path: &AttrPath<'_>) -> Option<Operand> {
    if path.extension.is_some() {
        return None;
    }
    let sub = path.sub.map(|sub| sub.name.as_str());
    let text = |column| Operand::Text(Statement::new(column, []));
    let instant = |column| Operand::Instant(Statement::new(column, []));
    Some(match (compiler.target, path.attribute.name.as_str(), sub) {
        (_, "externalId", _) => text("r.external_id"),
        (Target::User, "userName", _) => text("r.user_name_key"),
        (_, "displayName", _) => text("r.display_name_key"),
        (Target::User, "name", Some("givenName")) => text("r.given_name_key"),
        (Target::User, "name", Some("familyName")) => text("r.family_name_key"),
        (Target::User, "active", _) => Operand::Boolean(Statement::new("r.active", [])),
        (Target::User, "emails", None | Some("value")) => text("r.primary_email_key"),
        (_, "meta", Some("created")) => instant("r.created"),
        (_, "meta", Some("lastModified")) => instant("r.modified"),
        _ => return None,
    })
}

/// Whether the search document holds the attribute.
fn has_order(path: &AttrPath<'_>) -> bool {
    let elsewhere = ["meta", "schemas", "password", "groups", "members"];
    path.extension.is_some() || !elsewhere.contains(&path.attribute.name.as_str())
}

/// LIMIT and OFFSET.
pub(crate) fn slice(backend: Backend, limit: i64, offset: i64) -> Statement {
    let mut slice = limit_to(backend, limit);
    slice.push(if backend == Backend::Sqlite { " OFFSET ? + 0" } else { " OFFSET ?" }, [Value::Integer(offset)]);
    slice
}
