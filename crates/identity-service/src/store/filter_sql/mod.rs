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
    ResourceType,
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
use crate::domain::{OrgId, list::Target, parse_id};

pub(crate) use compare::escaped;
pub(crate) use sort::{Order, order, slice};

/// What a condition is compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compiler<'a> {
    pub(crate) backend: Backend,
    pub(crate) org: OrgId,
    /// Which table `r` is.
    pub(crate) target: Target,
    /// The organization's own.
    pub(crate) rt: &'a ResourceType,
    /// What the URIs of resources begin with, where the caller said it.
    pub(crate) base_url: Option<&'a str>,
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
    /// `meta` itself, which each resource has.
    Meta,
    /// `meta.location`.
    Location,
    /// `meta.version`.
    Version,
    Schemas,
    /// In the search document.
    Document,
}

/// The names of users in one text, as the index `scim_user_names` on PostgreSQL has them.
const NAMES: &str = "(r.user_name_key || ' ' || coalesce(r.display_name_key, '') || ' ' || \
                     coalesce(r.given_name_key, '') || ' ' || coalesce(r.family_name_key, ''))";

impl Compiler<'_> {
    /// The condition that a filter is.
    ///
    /// # Errors
    /// [`Reason::InvalidFilter`] for what has no SQL.
    pub(crate) fn condition(self, filter: &Filter<'_>) -> Result<Statement, Refusal> {
        match filter {
            Filter::And(terms) => self.joined(terms, " AND ", true),
            Filter::Or(terms) => self.joined(terms, " OR ", false),
            Filter::Not(inner) => Ok(not(self.condition(inner)?)),
            Filter::Present(path) => self.present(path),
            Filter::Compare { path, op, literal } => self.compare(path, *op, literal),
            Filter::ValuePath { path, filter } => self.value_path(path, filter),
        }
    }

    /// Whether an index leads to what satisfies the filter. Else each resource of the organization is looked at.
    pub(crate) fn has_index(self, filter: &Filter<'_>) -> bool {
        match filter {
            Filter::And(terms) => terms.iter().any(|term| self.has_index(term)),
            Filter::Or(terms) => terms.iter().all(|term| self.has_index(term)),
            Filter::Not(_) | Filter::Present(_) => false,
            Filter::Compare { path, op, literal: Literal::String(text) } => {
                let name = path.attribute.name.as_str();
                match self.place(path) {
                    Ok(Place::Id | Place::Email) => *op == CompareOp::Eq,
                    Ok(Place::Membership) => *op == CompareOp::Eq && path.sub.is_none_or(|sub| sub.name == "value"),
                    Ok(Place::Column(_)) => match op {
                        CompareOp::Eq => ["userName", "externalId", "displayName"].contains(&name),
                        CompareOp::Sw => !text.is_empty() && ["userName", "externalId", "displayName"].contains(&name),
                        CompareOp::Co => self.has_names(path, text),
                        _ => false,
                    },
                    _ => false,
                }
            }
            Filter::Compare { .. } => false,
            Filter::ValuePath { path, filter } => match self.place(&AttrPath { sub: None, ..*path }) {
                Ok(Place::Email) => !required_addresses(filter).is_empty(),
                Ok(Place::Membership) => self.has_index(filter),
                _ => false,
            },
        }
    }

    /// Whether `co` can go by the index over the names of users. It knows of three characters and more.
    fn has_names(self, path: &AttrPath<'_>, text: &str) -> bool {
        let name = (path.attribute.name.as_str(), path.sub.map(|sub| sub.name.as_str()));
        let names =
            [("userName", None), ("displayName", None), ("name", Some("givenName")), ("name", Some("familyName"))];
        self.backend == Backend::Postgres
            && self.target == Target::User
            && text.chars().count() >= 3
            && names.contains(&name)
    }

    fn joined(self, terms: &[Filter<'_>], with: &str, neutral: bool) -> Result<Statement, Refusal> {
        let terms = terms.iter().map(|term| self.condition(term)).collect::<Result<Vec<_>, _>>()?;
        Ok(join(terms, with, neutral))
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
            (_, "meta", Some("location")) => Place::Location,
            (_, "meta", Some("version")) => Place::Version,
            (_, "meta", _) => Place::Meta,
            (_, "schemas", _) => Place::Schemas,
            (_, "password", _) => return Err(unsupported(path)),
            _ => Place::Document,
        })
    }

    fn present(self, path: &AttrPath<'_>) -> Result<Statement, Refusal> {
        match self.place(path)? {
            Place::Id | Place::Constant(_) | Place::Meta | Place::Location | Place::Version | Place::Schemas => {
                Ok(always(true))
            }
            Place::Column(operand) => Ok(present(&operand)),
            Place::Email => Ok(self.email(always(true))),
            Place::Membership => self.membership(&Filter::Present(*path)),
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
            Place::Column(operand) => {
                let found = compare(self.backend, operand, op, literal).ok_or_else(refuse)?;
                match literal {
                    Literal::String(text) if op == CompareOp::Co && self.has_names(path, text) => {
                        let names = Statement::new(NAMES, []);
                        let among = compare(self.backend, Operand::Text(names), op, literal).ok_or_else(refuse)?;
                        Ok(join(vec![among, found], " AND ", true))
                    }
                    _ => Ok(found),
                }
            }
            Place::Constant(text) => Ok(constant(path, text, op, literal)),
            Place::Email => {
                let operand = Operand::Text(Statement::new("k.key", []));
                Ok(self.email(compare(self.backend, operand, op, literal).ok_or_else(refuse)?))
            }
            Place::Membership => self.membership(&Filter::Compare { path: *path, op, literal: literal.clone() }),
            Place::Location => self.location(&self.rt.endpoint, "r.id", op, literal)?.ok_or_else(refuse),
            Place::Version => self.version(op, literal),
            Place::Schemas => Ok(self.schemas(path, op, literal)),
            Place::Meta => Err(refuse()),
            Place::Document => self.document().compare(path, op, literal).ok_or_else(refuse),
        }
    }

    fn value_path(self, path: &AttrPath<'_>, filter: &Filter<'_>) -> Result<Statement, Refusal> {
        match self.place(&AttrPath { sub: None, ..*path })? {
            Place::Membership => self.membership(filter),
            // There is one, so it is the element.
            Place::Meta => self.condition(filter),
            Place::Email => {
                let mut condition = self.document().element(path, filter)?;
                // An address that must be equal is found by its key; the rest is checked on what is found.
                for address in required_addresses(filter) {
                    let equal = Statement::new("k.key = ?", [Value::text(address)]);
                    condition = join(vec![self.email(equal), condition], " AND ", true);
                }
                Ok(condition)
            }
            Place::Document => self.document().element(path, filter),
            Place::Id | Place::Column(_) | Place::Constant(_) | Place::Location | Place::Version | Place::Schemas => {
                Err(unsupported(path))
            }
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
            Backend::Postgres => format!("{} COLLATE \"C\"", self.spelled(column)),
            Backend::Sqlite => self.spelled(column),
        };
        compare(self.backend, Operand::Text(Statement::new(spelled, [])), op, literal)
    }

    /// An id as clients see it.
    fn spelled(self, column: &str) -> String {
        match self.backend {
            Backend::Postgres => format!("CAST({column} AS text)"),
            Backend::Sqlite => {
                let part = |start, length| format!("substr(hex({column}), {start}, {length})");
                let parts = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)];
                format!("lower({})", parts.join(" || '-' || "))
            }
        }
    }

    /// The URI of a resource of an endpoint against a literal: by its id, where the literal leaves that open at most.
    fn location(
        self,
        endpoint: &str,
        column: &str,
        op: CompareOp,
        literal: &Literal,
    ) -> Result<Option<Statement>, Refusal> {
        let Some(base_url) = self.base_url else {
            let message = "A filter on URIs needs to know what they begin with: send base_url with the query.";
            return Err(Refusal::new(Reason::InvalidFilter, message));
        };
        let Literal::String(text) = literal else { return Ok(None) };
        let before = format!("{base_url}{endpoint}/");
        let id = text.strip_prefix(&before).map(|id| Literal::String(id.to_owned()));
        Ok(match (op, id) {
            (CompareOp::Eq | CompareOp::Sw, Some(id)) => self.id(column, op, &id),
            (CompareOp::Eq, None) => Some(always(false)),
            (CompareOp::Sw, None) => Some(always(before.starts_with(text))),
            _ => {
                let collation = if self.backend == Backend::Postgres { " COLLATE \"C\"" } else { "" };
                let uri = format!("(? || {}){collation}", self.spelled(column));
                compare(self.backend, Operand::Text(Statement::new(uri, [Value::text(before)])), op, literal)
            }
        })
    }

    /// Two tags are one where `If-Match` takes them for one. They are opaque (RFC 9110 section 8.8.1), so there is nothing
    /// else to ask of them.
    fn version(self, op: CompareOp, literal: &Literal) -> Result<Statement, Refusal> {
        match (op, literal) {
            (CompareOp::Eq, Literal::String(tag)) => Ok(match scim::etag::version(tag) {
                Some(version) => Statement::new("r.version = ?", [Value::Integer(version)]),
                None => always(false),
            }),
            _ => Err(Refusal::new(
                Reason::InvalidFilter,
                "meta.version is an entity tag, which has neither order nor parts. Compare it with eq or ne, or filter \
                 by meta.lastModified.",
            )),
        }
    }

    /// The core schema always, an extension where the resource has one of its attributes.
    fn schemas(self, path: &AttrPath<'_>, op: CompareOp, literal: &Literal) -> Statement {
        let named = |urn| constant(path, urn, op, literal);
        let extensions = self
            .rt
            .extensions
            .iter()
            .map(|schema| join(vec![named(&schema.id), self.document().extension(schema)], " AND ", true));
        join(std::iter::once(named(&self.rt.schema.id)).chain(extensions).collect(), " OR ", false)
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

/// A comparison of what all resources, or elements, of a kind have.
fn constant(path: &AttrPath<'_>, text: &str, op: CompareOp, literal: &Literal) -> Statement {
    let simple = AttrPath { extension: None, attribute: path.leaf(), sub: None };
    let filter = Filter::Compare { path: simple, op, literal: literal.clone() };
    always(scim::filter::matches_element(&filter, &text.into()))
}

const TRUE: &str = "1 = 1";
const FALSE: &str = "1 = 0";

fn always(truth: bool) -> Statement {
    Statement::new(if truth { TRUE } else { FALSE }, [])
}

/// The truth of a condition that is the same for all rows.
fn known(condition: &Statement) -> Option<bool> {
    match condition.text() {
        TRUE => Some(true),
        FALSE => Some(false),
        _ => None,
    }
}

fn not(condition: Statement) -> Statement {
    if let Some(truth) = known(&condition) {
        return always(!truth);
    }
    let mut negated = Statement::new("(", []);
    negated.append(condition).push(") IS NOT TRUE", []);
    negated
}

/// `neutral`: what a term may be without making a difference.
fn join(terms: Vec<Statement>, with: &str, neutral: bool) -> Statement {
    let mut joined = Statement::default();
    for term in terms {
        match known(&term) {
            Some(truth) if truth != neutral => return always(truth),
            Some(_) => {}
            None => {
                joined.push(if joined.is_empty() { "(" } else { with }, []).append(term);
            }
        }
    }
    if joined.is_empty() { always(neutral) } else { std::mem::take(joined.push(")", [])) }
}

fn unsupported(path: &AttrPath<'_>) -> Refusal {
    let name = path.canonical();
    Refusal::new(
        Reason::InvalidFilter,
        format!("The filter cannot be applied to {name} with this operator. Filter by another attribute."),
    )
}
