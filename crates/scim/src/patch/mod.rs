//! PATCH, RFC 7644 section 3.5.2.

use serde_json::Value;

use crate::{Error, Object, ResourceType};

/// The three operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Add,
    Remove,
    Replace,
}

/// One operation of a PATCH, its envelope checked. The path is still text: it is resolved where the schema is.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Operation {
    pub op: Op,
    pub path: Option<String>,
    pub value: Option<Value>,
}

/// What applying a PATCH did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// False: the resource is as it was, so neither version nor lastModified may move.
    pub changed: bool,
    /// Unknown attributes and URNs that were left out, at most 20.
    pub ignored: Vec<String>,
    /// Names of the dialect rules that were used.
    pub coerced: Vec<&'static str>,
}

/// Reads a PatchOp body: envelope, `op` in any case, at most 10,000 operations... Paths and values come later.
pub fn parse(_body: &[u8]) -> Result<Vec<Operation>, Error> {
    todo!()
}

/// Applies all operations in order to a stored resource (see [`crate::resource`]), or none and an error.
pub fn apply(_rt: &ResourceType, _resource: &mut Object, _operations: &[Operation]) -> Result<Outcome, Error> {
    todo!()
}
