//! The filter language, RFC 7644 section 3.4.2.2: text to a tree resolved against the schema.
//! Compiling it to SQL is not here.

mod eval;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::{Error, ResourceType, attr::AttrPath};

/// The longest filter taken, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;
/// The deepest nesting of `(`, `not (` and `[` taken.
pub const MAX_DEPTH: usize = 32;
/// The most comparisons taken.
pub const MAX_TERMS: usize = 100;

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// Equal.
    Eq,
    /// Not equal; true where the attribute has no value.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal to.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal to.
    Le,
}

impl CompareOp {
    const ALL: [(&'static str, Self); 9] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("co", Self::Co),
        ("sw", Self::Sw),
        ("ew", Self::Ew),
        ("gt", Self::Gt),
        ("ge", Self::Ge),
        ("lt", Self::Lt),
        ("le", Self::Le),
    ];

    /// The operator as it is written, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }
}

/// A literal, already of the attribute's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Folded when the attribute is not caseExact.
    String(String),
    /// Also from the strings "True" and "false" (dialect).
    Boolean(bool),
    /// Decimal and integer.
    Number(serde_json::Number),
    /// Microseconds since the epoch, UTC.
    Instant(i64),
    /// `null`, only with `eq` and `ne`: unassigned, assigned.
    Null,
}

/// The tree. A comparison on a complex attribute without sub-attribute is on its `value`.
///
/// On a multi-valued attribute a comparison holds when it does for one of the values; `ne` holds when `eq` does not.
#[derive(Clone, Debug)]
pub enum Filter<'s> {
    /// All hold; at least two.
    And(Vec<Filter<'s>>),
    /// One holds; at least two.
    Or(Vec<Filter<'s>>),
    /// It does not hold.
    Not(Box<Filter<'s>>),
    /// `path op literal`.
    Compare {
        /// What is compared; its leaf is not complex.
        path: AttrPath<'s>,
        /// How.
        op: CompareOp,
        /// With what.
        literal: Literal,
    },
    /// `path pr`: has a value that is not empty.
    Present(AttrPath<'s>),
    /// `emails[...]`: one element must satisfy the inner filter, whose paths have `attribute` set to the outer
    /// attribute and `sub` to the element's.
    ValuePath {
        /// The complex attribute; `sub` is absent.
        path: AttrPath<'s>,
        /// On the sub-attributes of one element.
        filter: Box<Filter<'s>>,
    },
}

/// At most [`MAX_LENGTH`], [`MAX_DEPTH`] and [`MAX_TERMS`]. Errors are `invalidFilter` naming the position (1-based
/// column, in characters).
pub fn parse<'s>(rt: &'s ResourceType, text: &str) -> Result<Filter<'s>, Error> {
    parse::filter(parse::Scope::Resource(rt), text)
}

/// The inner filter of a value path, e.g. `type eq "work"` on `emails`. Same limits and errors as [`parse`].
pub fn parse_element<'s>(path: AttrPath<'s>, text: &str) -> Result<Filter<'s>, Error> {
    parse::filter(parse::Scope::Element(path), text)
}

/// Whether a resource's JSON satisfies the filter; for PATCH value paths and as the model in tests.
pub fn matches(filter: &Filter<'_>, resource: &crate::Object) -> bool {
    eval::resource(filter, resource)
}

/// Whether one element of a complex attribute satisfies the inner filter of a value path.
pub fn matches_element(filter: &Filter<'_>, element: &Value) -> bool {
    eval::element(filter, element)
}

/// Microseconds since the epoch of an RFC 3339 date-time; one without an offset is UTC. `None`: it is not one.
pub fn instant(text: &str) -> Option<i64> {
    if !text.contains(['T', 't']) {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_microsecond());
    }
    let at = text.parse::<jiff::civil::DateTime>().ok()?;
    Some(jiff::tz::Offset::UTC.to_timestamp(at).ok()?.as_microsecond())
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => write!(f, "{}", Value::String(text.clone())),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Instant(micros) => match Timestamp::from_microsecond(*micros) {
                Ok(at) => write!(f, "\"{at}\""),
                Err(_) => Err(fmt::Error),
            },
            Self::Null => f.write_str("null"),
        }
    }
}

/// Canonical text: the schema's spelling, lower-case operators, no needless parentheses. [`parse`] reads it back.
impl fmt::Display for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_filter(self, false, f)
    }
}

fn write_filter(filter: &Filter<'_>, in_element: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = |path: &AttrPath<'_>| match path.sub {
        Some(sub) if in_element => sub.name.clone(),
        _ => path.canonical(),
    };
    match filter {
        Filter::And(terms) | Filter::Or(terms) => {
            let conjunction = matches!(filter, Filter::And(_));
            for (i, term) in terms.iter().enumerate() {
                if i > 0 {
                    f.write_str(if conjunction { " and " } else { " or " })?;
                }
                if conjunction && matches!(term, Filter::Or(_)) {
                    f.write_str("(")?;
                    write_filter(term, in_element, f)?;
                    f.write_str(")")?;
                } else {
                    write_filter(term, in_element, f)?;
                }
            }
            Ok(())
        }
        Filter::Not(inner) => {
            f.write_str("not (")?;
            write_filter(inner, in_element, f)?;
            f.write_str(")")
        }
        Filter::Compare { path, op, literal } => write!(f, "{} {} {literal}", name(path), op.name()),
        Filter::Present(path) => write!(f, "{} pr", name(path)),
        Filter::ValuePath { path, filter } => {
            write!(f, "{}[", path.canonical())?;
            write_filter(filter, true, f)?;
            f.write_str("]")
        }
    }
}
