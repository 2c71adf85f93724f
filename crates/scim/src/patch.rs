//! PATCH, RFC 7644 section 3.5.2.
//!
//! Not here: the members of groups, which [`crate::group::lower`] takes out of the operations first. An operation on
//! `members` that gets here does nothing.

mod apply;
mod path;

use serde_json::Value;

use crate::{Error, ErrorKind, Object, json};

pub use apply::apply;

/// As many operations are taken in one request.
pub const MAX_OPERATIONS: usize = 1000;

pub(crate) const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The three operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 7644 section 3.5.2")]
pub enum Op {
    Add,
    Remove,
    Replace,
}

/// One operation of a PATCH, its envelope checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What to do.
    pub op: Op,
    /// Still text: it is resolved where the schema is. Absent also where it was null or empty.
    pub path: Option<String>,
    /// `Some(Null)`: a null was sent.
    pub value: Option<Value>,
}

/// What applying a PATCH did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// False: the resource is as it was, so neither version nor lastModified may move.
    pub changed: bool,
    /// Unknown attributes and URNs that were left out, at most 20.
    pub ignored: Vec<String>,
    /// Names of the [`crate::dialect`] rules that were used.
    pub coerced: Vec<&'static str>,
}

/// Reads a PatchOp body: the envelope and `op`, with names in any case. Paths and values come later.
///
/// Errors are 400: `invalidSyntax` for the form, `invalidValue` for a `schemas` without PatchOp, `tooMany` past
/// [`MAX_OPERATIONS`].
pub fn parse(body: &[u8]) -> Result<Vec<Operation>, Error> {
    let mut body = json::parse_object(body)?;
    if let Some(schemas) = take(&mut body, "schemas")? {
        check_schemas(&schemas)?;
    }
    let operations = match take(&mut body, "Operations")? {
        Some(Value::Array(operations)) if !operations.is_empty() => operations,
        _ => return Err(syntax("A PATCH body needs `Operations`: an array with at least one operation.")),
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::new(
            ErrorKind::TooMany,
            format!(
                "This PATCH has {} operations; at most {MAX_OPERATIONS} are taken. Send several requests.",
                operations.len()
            ),
        ));
    }
    operations.into_iter().enumerate().map(|(index, operation)| read(index + 1, operation)).collect()
}

fn check_schemas(schemas: &Value) -> Result<(), Error> {
    let is_patch = |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(PATCH_OP));
    let ok = match schemas {
        Value::Null => true,
        Value::Array(urns) => urns.is_empty() || urns.iter().any(is_patch),
        other => is_patch(other),
    };
    match ok {
        true => Ok(()),
        false => {
            Err(Error::new(ErrorKind::InvalidSyntax, format!("`schemas` of a PATCH must contain \"{PATCH_OP}\".")))
        }
    }
}

fn read(number: usize, operation: Value) -> Result<Operation, Error> {
    let Value::Object(mut operation) = operation else {
        return Err(syntax(format!("Operation {number} must be an object with `op`.")));
    };
    let op = match take(&mut operation, "op")? {
        Some(Value::String(op)) => match op.to_ascii_lowercase().as_str() {
            "add" => Op::Add,
            "remove" => Op::Remove,
            "replace" => Op::Replace,
            _ => {
                let op: String = op.chars().take(50).collect();
                return Err(syntax(format!("The op {op:?} of operation {number} is not add, remove or replace.")));
            }
        },
        _ => return Err(syntax(format!("Operation {number} needs `op`: add, remove or replace."))),
    };
    let path = match take(&mut operation, "path")? {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) => (!path.trim().is_empty()).then_some(path),
        Some(_) => return Err(syntax(format!("The `path` of operation {number} must be a string."))),
    };
    Ok(Operation { op, path, value: take(&mut operation, "value")? })
}

/// The member of this name, in any case.
fn take(object: &mut Object, name: &str) -> Result<Option<Value>, Error> {
    let mut keys = object.keys().filter(|key| key.eq_ignore_ascii_case(name));
    let Some(key) = keys.next().cloned() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(crate::resource::value::twice(name));
    }
    Ok(object.remove(&key))
}

fn syntax(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSyntax, detail)
}

#[cfg(test)]
mod tests;
