//! Bulk requests: RFC 7644 section 3.7. Reading one, the order its operations run in, and what a `bulkId` stands for.
//! Not here: running an operation, and the limits of one body.

mod parse;
mod reference;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::Value;

pub use parse::parse;
pub use reference::{Later, references, resolve, set_aside};

use crate::{Error, Object};

/// The most operations of a request, `bulk.maxOperations`.
pub const MAX_OPERATIONS: usize = 1000;
/// The largest body of a request, bytes, `bulk.maxPayloadSize`.
pub const MAX_PAYLOAD: usize = 8 * 1024 * 1024;
/// `schemas` of a request.
pub const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// `schemas` of a response.
pub const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// A bulk request whose envelope is right.
#[derive(Clone, Debug)]
pub struct Request {
    /// After how many failed operations to stop; at least 1. Absent: never.
    pub fail_on_errors: Option<usize>,
    /// In the request's order: 1 to [`MAX_OPERATIONS`].
    pub operations: Vec<Operation>,
}

/// One operation, right or not.
#[derive(Clone, Debug)]
pub struct Operation {
    /// In upper case where it is one of [`Method`], else as it came, shortened. Empty: absent.
    pub method: String,
    /// As it came.
    pub bulk_id: Option<String>,
    /// What to do, or why it cannot be done.
    pub call: Result<Call, Error>,
}

/// What an operation does.
#[derive(Clone, Debug)]
pub struct Call {
    /// How.
    pub method: Method,
    /// In which collection.
    pub endpoint: Endpoint,
    /// To which resource; absent for POST alone.
    pub target: Option<Target>,
    /// `version`, as in `If-Match`.
    pub version: Option<String>,
    /// `data`; empty for DELETE.
    pub data: Object,
}

/// The methods of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the methods of HTTP")]
pub enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

/// The collections that operations work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after their paths")]
pub enum Endpoint {
    Users,
    Groups,
}

impl Endpoint {
    /// `/Users`, `/Groups`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Users => "/Users",
            Self::Groups => "/Groups",
        }
    }
}

/// The resource in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The text after the collection; not checked to be an id.
    Id(String),
    /// What the POST with this `bulkId` creates.
    BulkId(String),
}

impl Operation {
    /// The `bulkId` that others may refer to: that of a POST which can be tried.
    pub fn creates(&self) -> Option<&str> {
        let call = self.call.as_ref().ok()?;
        self.bulk_id.as_deref().filter(|_| call.method == Method::Post)
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Runs the operation of this index. A POST that refers to what does not exist yet is sent without it, see
    /// [`set_aside`].
    Run(usize),
    /// Gives the resource that the POST of this index created what was set aside.
    Complete(usize),
}

/// The order that keeps the request's, as far as references allow: a POST that refers to a later one (or to itself, or
/// in a circle) runs in its place and is completed once the last of them has run; another operation that does waits for
/// it, and for what it works on to be complete, and those that work on the same resource after it wait with it. Each
/// operation runs once.
///
/// References to no `bulkId` of a POST do not matter here.
pub fn plan(operations: &[Operation]) -> Vec<Step> {
    let created: HashMap<&str, usize> =
        operations.iter().enumerate().filter_map(|(n, operation)| Some((operation.creates()?, n))).collect();
    let last_named = |call: &Call| references(&call.data).iter().filter_map(|id| created.get(&**id).copied()).max();
    let complete: Vec<Option<usize>> = operations
        .iter()
        .map(|operation| operation.call.as_ref().ok().filter(|_| operation.creates().is_some()).and_then(last_named))
        .collect();
    let mut waiting: Vec<Vec<Step>> = vec![Vec::new(); operations.len()];
    let mut released: HashMap<(&str, &Target), usize> = HashMap::new();
    let mut steps = Vec::with_capacity(operations.len());
    for (n, operation) in operations.iter().enumerate() {
        let mut wait = |step, until: usize| waiting.get_mut(until).into_iter().for_each(|steps| steps.push(step));
        match (&operation.call, complete.get(n).copied().flatten()) {
            (Ok(_), Some(last)) if last >= n => {
                steps.push(Step::Run(n));
                wait(Step::Complete(n), last);
            }
            (Ok(call), _) if operation.creates().is_none() => {
                let mut until = last_named(call);
                if let Some(target) = &call.target {
                    if let Target::BulkId(id) = target
                        && let Some(&post) = created.get(&**id)
                    {
                        until = until.max(Some(post)).max(complete.get(post).copied().flatten());
                    }
                    let released = released.entry((call.endpoint.path(), target)).or_default();
                    until = until.max(Some(*released));
                    *released = until.unwrap_or_default();
                }
                match until.filter(|&until| until > n) {
                    Some(until) => wait(Step::Run(n), until),
                    None => steps.push(Step::Run(n)),
                }
            }
            _ => steps.push(Step::Run(n)),
        }
        let mut ready = waiting.get_mut(n).map(std::mem::take).unwrap_or_default();
        ready.sort_by_key(|step| matches!(step, Step::Run(_)));
        steps.append(&mut ready);
    }
    steps
}

/// An operation's result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// HTTP status.
    pub status: u16,
    /// URL of the resource; absent for a POST that failed, and where the path names none.
    pub location: Option<String>,
    /// ETag.
    pub version: Option<String>,
    /// Why it failed.
    pub error: Option<Error>,
}

/// The BulkResponse: what was run of `operations`, in their order.
pub fn response(operations: &[Operation], outcomes: &[Option<Outcome>]) -> Value {
    let results = operations.iter().zip(outcomes).filter_map(|(operation, outcome)| {
        let outcome = outcome.as_ref()?;
        let mut result = Object::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                result.insert(name.to_owned(), value);
            }
        };
        put("location", outcome.location.clone().map(Value::from));
        put("method", Some(operation.method.clone().into()));
        put("bulkId", operation.bulk_id.clone().map(Value::from));
        put("version", outcome.version.clone().map(Value::from));
        put("status", Some(outcome.status.to_string().into()));
        put("response", outcome.error.as_ref().and_then(|error| serde_json::from_slice(&error.body()).ok()));
        Some(Value::Object(result))
    });
    let results: Vec<Value> = results.collect();
    serde_json::json!({"schemas": [RESPONSE], "Operations": results})
}
