//! SCIM filters as SQL conditions over a table with alias `r`, for both databases. Values are always bound.
//!
//! Absent is false (RFC 7644 section 3.4.2.2), but for `ne` and `not`, and SQL's NULL counts as false at the top, in
//! AND and in OR. So only negation has to turn NULL into true: `IS NOT TRUE`.
//! The model is `scim::filter::matches`. What cannot be compiled is refused, never ignored.

mod compare;
mod json;
mod members;
mod sort;
#[cfg(test)]
mod tests;

use scim::{
    attr::AttrPath,
    filter::{CompareOp, Filter, Literal},
};
use store::Backend;
use wire::{Reason, Refusal};

use self::{
    compare::{Operand, compare, present},
    json::Document,
};
use super::statement::{Statement, Value};
use crate::domain::{OrgId, parse_id};

pub(crate) use sort::{Order, order, slice};

/// Which table `r` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    User,
    Group,
}

/// What a condition is compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compiler {
    pub(crate) backend: Backend,
    pub(crate) org: OrgId,
    pub(crate) target: Target,
}

/// Where the value of an attribute stands.
enum Place {
    Id,
    /// A column; strings are folded where the attribute is not caseExact.
    Column(Operand),
    /// The same for all resources of the type.
    Constant(&'static str),
    /// `emails.value`, in the table of keys.
    Email,
    /// `groups` of a user or `members` of a group.
    Membership,
    /// In the search document.
    Document,
}

impl Compiler {
    /// The condition that a filter is.
    ///
    /// # Errors
    /// [`Reason::InvalidFilter`] for what has no SQL.
    pub(crate) fn condition(self, filter: &Filter<'_>) -> Result<Statement, Refusal> {
        match filter {
            Filter::And(terms) => self.joined(terms, " AND ", "1 = 1"),
            Filter::Or(terms) => self.joined(terms, " OR ", "1 = 0"),
            Filter::Not(inner) => Ok(not(self.condition(inner)?)),
            Filter::Present(path) => self.present(path),
            Filter::Compare { path, op, literal } => self.compare(path, *op, literal),
            Filter::ValuePath { path, filter } => self.value_path(path, filter),
        }
    }

    fn joined(self, terms: &[Filter<'_>], with: &str, none: &'static str) -> Result<Statement, Refusal> {
        let terms = terms.iter().map(|term| self.condition(term)).collect::<Result<Vec<_>, _>>()?;
        Ok(join(terms, with, none))
    }

    fn place(self, path: &AttrPath<'_>) -> Result<Place, Refusal> {
        if path.extension.is_some() {
            return Ok(Place::Document);
        }
        let sub = path.sub.map(|sub| sub.name.as_str());
        let text = |column| Place::Column(Operand::Text(Statement::new(column, [])));
        let instant = |column| Place::Column(Operand::Instant(Statement::new(column, [])));
        Ok(match (self.target, path.attribute.name.as_str(), sub) {
            (_, "id", _) => Place::Id,
            (_, "externalId", _) => text("r.external_id"),
            (Target::User, "userName", _) => text("r.user_name_key"),
            (_, "displayName", _) => text("r.display_name_key"),
            (Target::User, "name", Some("givenName")) => text("r.given_name_key"),
            (Target::User, "name", Some("familyName")) => text("r.family_name_key"),
            (Target::User, "active", _) => Place::Column(Operand::Boolean(Statement::new("r.active", []))),
            (Target::User, "emails", None | Some("value")) => Place::Email,
            (Target::User, "groups", _) | (Target::Group, "members", _) => Place::Membership,
            (_, "meta", Some("created")) => instant("r.created"),
            (_, "meta", Some("lastModified")) => instant("r.modified"),
            (Target::User, "meta", Some("resourceType")) => Place::Constant("User"),
            (Target::Group, "meta", Some("resourceType")) => Place::Constant("Group"),
            (_, "meta" | "schemas" | "password", _) => return Err(unsupported(path)),
            _ => Place::Document,
        })
    }

    fn present(self, path: &AttrPath<'_>) -> Result<Statement, Refusal> {
        if path.extension.is_none() && matches!(path.attribute.name.as_str(), "meta" | "schemas") && path.sub.is_none()
        {
            return Ok(always(true));
        }
        match self.place(path)? {
            Place::Id | Place::Constant(_) => Ok(always(true)),
            Place::Column(operand) => Ok(present(&operand)),
            Place::Email => Ok(self.email(always(true))),
            Place::Membership => self.membership(always(true)),
            Place::Document => Ok(self.document().present(path)),
        }
    }

    fn compare(self, path: &AttrPath<'_>, op: CompareOp, literal: &Literal) -> Result<Statement, Refusal> {
        match (op, literal) {
            (CompareOp::Eq, Literal::Null) => return Ok(not(self.present(path)?)),
            (_, Literal::Null) => return self.present(path),
            // Not of any element: what is absent is not equal.
            (CompareOp::Ne, _) => return Ok(not(self.compare(path, CompareOp::Eq, literal)?)),
            _ => {}
        }
        let refuse = || unsupported(path);
        match self.place(path)? {
            Place::Id => self.id("r.id", op, literal).ok_or_else(refuse),
            Place::Column(operand) => compare(self.backend, operand, op, literal).ok_or_else(refuse),
            Place::Constant(text) => {
                let folded = if path.leaf().case_exact { text.to_owned() } else { scim::fold(text) };
                let operand = Operand::Text(Statement::new("?", [Value::text(folded)]));
                compare(self.backend, operand, op, literal).ok_or_else(refuse)
            }
            Place::Email => {
                let operand = Operand::Text(Statement::new("k.key", []));
                Ok(self.email(compare(self.backend, operand, op, literal).ok_or_else(refuse)?))
            }
            Place::Membership => self.membership(self.member(path, op, literal)?),
            Place::Document => self.document().compare(path, op, literal).ok_or_else(refuse),
        }
    }

    fn value_path(self, path: &AttrPath<'_>, filter: &Filter<'_>) -> Result<Statement, Refusal> {
        match self.place(&AttrPath { sub: None, ..*path })? {
            Place::Membership => self.membership(self.members(filter)?),
            Place::Email => {
                let mut condition = self.document().element(path, filter)?;
                // An address that must be equal is found by its key; the rest is checked on what is found.
                for address in required_addresses(filter) {
                    let equal = Statement::new("k.key = ?", [Value::text(address)]);
                    condition = join(vec![self.email(equal), condition], " AND ", "1 = 1");
                }
                Ok(condition)
            }
            Place::Document => self.document().element(path, filter),
            Place::Id | Place::Column(_) | Place::Constant(_) => Err(unsupported(path)),
        }
    }

    /// Users with an e-mail key that satisfies a condition on `k`.
    fn email(self, condition: Statement) -> Statement {
        let mut found = Statement::new(
            "r.id IN (SELECT k.user_id FROM user_key k WHERE k.org = ? AND k.attr = ? AND ",
            [Value::id(self.org), Value::text(super::user::EMAIL)],
        );
        found.append(condition).push(")", []);
        found
    }

    /// An id column against a literal. Ids have one spelling, so a literal that is none equals no id.
    fn id(self, column: &str, op: CompareOp, literal: &Literal) -> Option<Statement> {
        let Literal::String(text) = literal else { return None };
        if op == CompareOp::Eq {
            return Some(match parse_id::<uuid::Uuid>(text) {
                Some(id) => Statement::new(format!("{column} = ?"), [Value::id(id)]),
                None => always(false),
            });
        }
        let spelled = match self.backend {
            Backend::Postgres => format!("CAST({column} AS text) COLLATE \"C\""),
            Backend::Sqlite => {
                let part = |start, length| format!("substr(hex({column}), {start}, {length})");
                let parts = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)];
                format!("lower({})", parts.join(" || '-' || "))
            }
        };
        compare(self.backend, Operand::Text(Statement::new(spelled, [])), op, literal)
    }

    fn document(self) -> Document {
        Document { backend: self.backend }
    }
}

/// The folded addresses that every element satisfying the filter must equal.
fn required_addresses<'f>(filter: &'f Filter<'_>) -> Vec<&'f str> {
    match filter {
        Filter::And(terms) => terms.iter().flat_map(required_addresses).collect(),
        Filter::Compare { path, op: CompareOp::Eq, literal: Literal::String(text) }
            if path.sub.is_none_or(|sub| sub.name == "value") && !text.contains('\0') =>
        {
            vec![text]
        }
        _ => Vec::new(),
    }
}

fn always(truth: bool) -> Statement {
    Statement::new(if truth { "1 = 1" } else { "1 = 0" }, [])
}

fn not(condition: Statement) -> Statement {
    let mut negated = Statement::new("(", []);
    negated.append(condition).push(") IS NOT TRUE", []);
    negated
}

fn join(terms: Vec<Statement>, with: &str, none: &'static str) -> Statement {
    let mut joined = Statement::default();
    for (position, term) in terms.into_iter().enumerate() {
        joined.push(if position == 0 { "(" } else { with }, []).append(term);
    }
    if joined.is_empty() { Statement::new(none, []) } else { std::mem::take(joined.push(")", [])) }
}

fn unsupported(path: &AttrPath<'_>) -> Refusal {
    let name = path.canonical();
    Refusal::new(
        Reason::InvalidFilter,
        format!("The filter cannot be applied to {name} with this operator. Filter by another attribute."),
    )
}
