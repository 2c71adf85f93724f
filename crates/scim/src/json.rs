//! Strict JSON: bounded depth, no duplicate members, no NUL in strings, no lone surrogates.

use crate::{Error, Object};

/// The deepest nesting taken.
pub const MAX_DEPTH: usize = 64;

/// Parses a body that must be one JSON object. 400 `invalidSyntax` names line and column.
pub fn parse_object(_body: &[u8]) -> Result<Object, Error> {
    todo!()
}
