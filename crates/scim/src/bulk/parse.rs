//! A bulk request, read as a stream: operations past the limit are counted, not kept.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Call, Endpoint, MAX_OPERATIONS, Method, Operation, REQUEST, Request, Target};
use crate::{
    Error, ErrorKind, Object,
    json::{self, Budget, Strict},
    numbers,
};

/// Reads a bulk request. 400 `invalidSyntax` or `invalidValue` for what is wrong with the whole; 413 for more than
/// [`MAX_OPERATIONS`]. What is wrong with one operation stands in its [`Operation::call`].
pub fn parse(body: &[u8]) -> Result<Request, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = deserializer.deserialize_map(Body).map_err(|e| json::unusable(body, &e, json::syntax))?;
    deserializer.end().map_err(|e| json::syntax(&e))?;
    numbers::check(body)?;
    check_schemas(&read.schemas)?;
    let fail_on_errors = fail_on_errors(&read.fail_on_errors)?;
    let (operations, count) = read.operations.unwrap_or_default();
    if count > MAX_OPERATIONS {
        return Err(Error::new(
            ErrorKind::PayloadTooLarge,
            format!(
                "The bulk request has {count} operations, which exceeds maxOperations ({MAX_OPERATIONS}). Send several \
                 requests."
            ),
        ));
    }
    if operations.is_empty() {
        return Err(syntax("A bulk request needs `Operations`: an array with at least one operation."));
    }
    let mut seen = HashSet::new();
    let operations = operations.into_iter().map(|value| operation(value, &mut seen)).collect();
    Ok(Request { fail_on_errors, operations })
}

fn check_schemas(schemas: &Value) -> Result<(), Error> {
    let is_bulk = |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(REQUEST));
    let ok = match schemas {
        Value::Null => true,
        Value::Array(urns) => urns.is_empty() || urns.iter().any(is_bulk),
        other => is_bulk(other),
    };
    if ok {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidSyntax, format!("`schemas` of a bulk request must contain \"{REQUEST}\".")))
    }
}

/// 0 is sent for "not set".
fn fail_on_errors(value: &Value) -> Result<Option<usize>, Error> {
    match value {
        Value::Null => Ok(None),
        value => match value.as_u64() {
            Some(0) => Ok(None),
            Some(most) => Ok(Some(usize::try_from(most).unwrap_or(usize::MAX))),
            None => Err(invalid("`failOnErrors` must be a whole number: after how many errors to stop.")),
        },
    }
}

fn operation(value: Value, seen: &mut HashSet<String>) -> Operation {
    let Value::Object(mut members) = value else {
        let call = Err(syntax("An operation must be an object with `method` and `path`."));
        return Operation { method: String::new(), bulk_id: None, call };
    };
    let mut take = |name: &str| {
        let key = members.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
        key.and_then(|key| members.remove(&key)).filter(|value| !value.is_null())
    };
    let (method, bulk_id, path) = (take("method"), take("bulkId"), take("path"));
    let (version, data) = (take("version"), take("data"));
    let name = match &method {
        Some(Value::String(name)) => name.trim().to_ascii_uppercase(),
        _ => String::new(),
    };
    let id = bulk_id.as_ref().and_then(Value::as_str).map(str::to_owned);
    let given = Given { method: &name, bulk_id, path, version, data };
    let call = given.call(seen);
    Operation { method: name.chars().take(20).collect(), bulk_id: id, call }
}

struct Given<'g> {
    method: &'g str,
    bulk_id: Option<Value>,
    path: Option<Value>,
    version: Option<Value>,
    data: Option<Value>,
}

impl Given<'_> {
    fn call(self, seen: &mut HashSet<String>) -> Result<Call, Error> {
        let method = match self.method {
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => return Err(syntax("An operation needs `method`: POST, PUT, PATCH or DELETE.")),
        };
        match self.bulk_id {
            Some(Value::String(id)) if !id.is_empty() => {
                if seen.contains(&id) {
                    return Err(invalid(
                        "Another operation of this request has the same `bulkId`. Each needs its own.",
                    ));
                }
                seen.insert(id);
            }
            None if method != Method::Post => {}
            None => return Err(invalid("A POST needs a `bulkId`, by which you know its result.")),
            Some(_) => return Err(invalid("`bulkId` must be a string that is not empty.")),
        }
        let (endpoint, target) = match self.path {
            Some(Value::String(path)) => read_path(&path)?,
            _ => return Err(syntax("An operation needs `path`, such as /Users or /Users/{id}.")),
        };
        match (method, &target) {
            (Method::Post, Some(_)) => return Err(path("A POST is sent to /Users or /Groups, without an id.")),
            (Method::Put | Method::Patch | Method::Delete, None) => {
                return Err(path("This method is sent to one resource: /Users/{id} or /Groups/{id}."));
            }
            _ => {}
        }
        let version = match self.version {
            None => None,
            Some(Value::String(version)) => Some(version),
            Some(_) => return Err(invalid("`version` must be a string, as meta.version has it.")),
        };
        let data = match self.data {
            _ if method == Method::Delete => Object::new(),
            Some(Value::Object(data)) => data,
            _ => return Err(syntax("An operation with this method needs `data`: the body as a JSON object.")),
        };
        Ok(Call { method, endpoint, target, version, data })
    }
}

/// An allow list: nothing else is ever reached by a path.
fn read_path(text: &str) -> Result<(Endpoint, Option<Target>), Error> {
    let unknown = || path("`path` must be /Users, /Groups, or one of them with an id, such as /Users/{id}.");
    let (endpoint, rest) = [Endpoint::Users, Endpoint::Groups]
        .into_iter()
        .find_map(|endpoint| Some((endpoint, text.strip_prefix(endpoint.path())?)))
        .ok_or_else(unknown)?;
    if rest.is_empty() {
        return Ok((endpoint, None));
    }
    let id = rest.strip_prefix('/').ok_or_else(unknown)?;
    if let Some(bulk_id) = id.strip_prefix("bulkId:").filter(|bulk_id| !bulk_id.is_empty()) {
        return Ok((endpoint, Some(Target::BulkId(bulk_id.to_owned()))));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.is_empty() || !id.bytes().all(plain) {
        return Err(unknown());
    }
    Ok((endpoint, Some(Target::Id(id.to_owned()))))
}

fn syntax(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSyntax, detail)
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, detail)
}

fn path(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidPath, detail)
}

#[derive(Default)]
struct Read {
    schemas: Value,
    fail_on_errors: Value,
    /// Those within the limit, and how many there are.
    operations: Option<(Vec<Value>, usize)>,
}

struct Body;

impl<'de> Visitor<'de> for Body {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object such as {\"schemas\": [...], \"Operations\": [...]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let (mut read, mut names) = (Read::default(), HashSet::new());
        let budget = Budget::default();
        while let Some(key) = map.next_key::<String>()? {
            let name = key.to_ascii_lowercase();
            match name.as_str() {
                "schemas" => read.schemas = map.next_value_seed(Strict::at(1, &budget))?,
                "failonerrors" => read.fail_on_errors = map.next_value_seed(Strict::at(1, &budget))?,
                "operations" => read.operations = map.next_value_seed(Operations(&budget))?,
                _ => {
                    map.next_value_seed(Strict::at(1, &budget))?;
                }
            }
            if !names.insert(name) {
                return Err(A::Error::custom(format_args!("the member {key:?} stands twice in one object")));
            }
        }
        Ok(read)
    }
}

struct Operations<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for Operations<'_> {
    type Value = Option<(Vec<Value>, usize)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Operations<'_> {
    type Value = Option<(Vec<Value>, usize)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of operations")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut operations = Vec::new();
        while operations.len() < MAX_OPERATIONS {
            match seq.next_element_seed(Strict::at(2, self.0))? {
                Some(operation) => operations.push(operation),
                None => {
                    let count = operations.len();
                    return Ok(Some((operations, count)));
                }
            }
        }
        let mut count = operations.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Some((operations, count)))
    }
}
