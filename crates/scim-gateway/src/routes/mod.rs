//! One file for each kind of resource. A handler reads the request, makes one call, renders the answer.

pub(crate) mod bulk;
pub(crate) mod discovery;
pub(crate) mod groups;
mod pages;
pub(crate) mod search;
pub(crate) mod status;
pub(crate) mod users;

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;
use wire::identity::{PatchOp, PatchOperation};

use crate::error::Result;

/// One operation of a bulk request, its references resolved.
enum Work {
    Create(Value),
    Replace(Uuid, Value),
    Patch(Uuid, Value),
    Delete(Uuid),
}

/// What came of it, as the single request would say.
struct Done {
    status: StatusCode,
    id: Uuid,
    /// ETag, where there still is a resource.
    version: Option<String>,
}

/// One operation of a PATCH as the services take it.
fn patch_operation(operation: scim::patch::Operation) -> Result<PatchOperation> {
    let op = match operation.op {
        scim::patch::Op::Add => PatchOp::Add,
        scim::patch::Op::Remove => PatchOp::Remove,
        scim::patch::Op::Replace => PatchOp::Replace,
    };
    Ok(PatchOperation {
        op: op.into(),
        path: operation.path.unwrap_or_default(),
        value_json: operation.value.map(|value| to_json(&value)).transpose()?.unwrap_or_default(),
    })
}

fn to_json(value: &Value) -> Result<bytes::Bytes> {
    let json = serde_json::to_vec(value).map_err(|_| crate::reply::not_ours("a value that is no JSON"))?;
    Ok(json.into())
}
