//! `sortBy` as ORDER BY: RFC 7644 section 3.4.2.3. A resource without the attribute comes last ascending and first
//! descending; the id makes the order total.

use scim::{ResourceType, attr::AttrPath};
use store::Backend;
use wire::{Reason, Refusal};

use super::{
    super::statement::{Statement, Value},
    Compiler, Target,
};
use crate::domain::list::ListQuery;

/// The ORDER BY clause for a list.
///
/// # Errors
/// [`Reason::InvalidValue`] for what is no attribute or has no order.
pub(crate) fn order(compiler: Compiler, rt: &ResourceType, query: &ListQuery) -> Result<Statement, Refusal> {
    let id = match (compiler.backend, &query.filter) {
        // SQLite has no statistics and would rather walk everybody in id order than sort the few that an index finds; the
        // plus sign takes that choice away.
        (Backend::Sqlite, Some(_)) => "+r.id",
        _ => "r.id",
    };
    let descending = query.descending;
    let direction = if descending { "DESC NULLS FIRST" } else { "ASC NULLS LAST" };
    let by_id = || Statement::new(format!(" ORDER BY {id}{}", if descending { " DESC" } else { "" }), []);
    let Some(name) = &query.sort_by else { return Ok(by_id()) };
    let refuse = || {
        let message = format!(
            "sortBy {name:?} names no attribute that can be sorted by. Use userName, displayName, or \
                               another attribute of the schema with a simple value."
        );
        Refusal::new(Reason::InvalidValue, message)
    };
    let path = scim::attr::resolve(rt, name).ok_or_else(refuse)?;
    let key = match column(compiler, &path) {
        Some("r.id") => return Ok(by_id()),
        Some(column) => Statement::new(column, []),
        None if has_order(&path) => compiler.document().sort_key(&path).ok_or_else(refuse)?,
        None => return Err(refuse()),
    };
    let mut order = Statement::new(" ORDER BY ", []);
    order.append(key).push(&format!(" {direction}, {id}{}", if descending { " DESC" } else { "" }), []);
    Ok(order)
}

fn column(compiler: Compiler, path: &AttrPath<'_>) -> Option<&'static str> {
    if path.extension.is_some() {
        return None;
    }
    let sub = path.sub.map(|sub| sub.name.as_str());
    Some(match (compiler.target, path.attribute.name.as_str(), sub) {
        (_, "id", _) => "r.id",
        (_, "externalId", _) => "r.external_id",
        (Target::User, "userName", _) => "r.user_name_key",
        (_, "displayName", _) => "r.display_name_key",
        (Target::User, "name", Some("givenName")) => "r.given_name_key",
        (Target::User, "name", Some("familyName")) => "r.family_name_key",
        (Target::User, "active", _) => "r.active",
        (Target::User, "emails", None | Some("value")) => "r.primary_email_key",
        (_, "meta", Some("created")) => "r.created",
        (_, "meta", Some("lastModified")) => "r.modified",
        _ => return None,
    })
}

/// Whether the search document holds the attribute.
fn has_order(path: &AttrPath<'_>) -> bool {
    let elsewhere = ["meta", "schemas", "password", "groups", "members"];
    path.extension.is_some() || !elsewhere.contains(&path.attribute.name.as_str())
}

/// LIMIT and OFFSET.
pub(crate) fn slice(limit: u32, offset: i64) -> Statement {
    Statement::new(" LIMIT ? OFFSET ?", [Value::Integer(i64::from(limit)), Value::Integer(offset)])
}
