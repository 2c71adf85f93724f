//! The filter language, RFC 7644 section 3.4.2.2: text to a tree resolved against the schema.
//! Compiling it to SQL is not here.

use crate::{Error, ResourceType, attr::AttrPath};

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CompareOp {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
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

/// The tree. A comparison on a complex multi-valued attribute without sub-attribute is on its `value`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Filter<'s> {
    And(Vec<Filter<'s>>),
    Or(Vec<Filter<'s>>),
    Not(Box<Filter<'s>>),
    Compare {
        path: AttrPath<'s>,
        op: CompareOp,
        literal: Literal,
    },
    Present(AttrPath<'s>),
    /// `emails[...]`: one element must satisfy the inner filter, whose paths have `attribute` set to the outer
    /// attribute and `sub` to the element's.
    ValuePath {
        path: AttrPath<'s>,
        filter: Box<Filter<'s>>,
    },
}

/// At most 8 KiB, 32 levels and 100 terms. Errors are `invalidFilter` naming the position (1-based column).
pub fn parse<'s>(_rt: &'s ResourceType, _text: &str) -> Result<Filter<'s>, Error> {
    todo!()
}

/// Whether a resource's JSON satisfies the filter; for PATCH value paths and as the model in tests.
pub fn matches(_filter: &Filter<'_>, _resource: &crate::Object) -> bool {
    todo!()
}
