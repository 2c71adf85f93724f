//! `bulkId:x` in the data of operations: RFC 7644 section 3.7.2. A reference is a whole string of this form, or one
//! between quotes in a PATCH path such as `members[value eq "bulkId:x"]`.

use serde_json::{Value, json};

use crate::Object;

const PREFIX: &str = "bulkId:";

/// What a POST was sent without, as the operations of the PATCH that brings it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Later(Vec<Value>);

impl Later {
    /// Nothing was set aside.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The PATCH body, its references not resolved.
    pub fn patch(self) -> Object {
        let mut body = Object::new();
        body.insert("schemas".to_owned(), json!([crate::patch::PATCH_OP]));
        body.insert("Operations".to_owned(), Value::Array(self.0));
        body
    }
}

/// The `bulkId`s that strings in the data name, more than once where they stand more than once.
pub fn references(data: &Object) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in data {
        visit(name, value, &mut |_, id| found.push(id.to_owned()));
    }
    found
}

/// Puts ids in the place of references. `id` gives the permanent id for a `bulkId`. Returns the first reference that has
/// none and stands as the `value` of something, or in a path: text such as a title may begin with anything.
pub fn resolve(data: &mut Object, id: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut missing = None;
    for (name, value) in data.iter_mut() {
        replace(name, value, id, &mut missing);
    }
    missing
}

/// Takes what refers to a `bulkId` that is `pending` out of a POST's data: elements of a multi-valued attribute one by
/// one, other attributes whole. What waits is added without a path, so that it is read as the POST would have read it:
/// attributes that are unknown or readOnly are left out and not refused.
pub fn set_aside(data: &mut Object, pending: &dyn Fn(&str) -> bool) -> Later {
    let mut later = Later::default();
    take(data, None, pending, &mut later);
    later
}

fn take(object: &mut Object, extension: Option<&str>, pending: &dyn Fn(&str) -> bool, later: &mut Later) {
    let waits = |name: &str, value: &Value| {
        let mut found = false;
        visit(name, value, &mut |_, id| found |= pending(id));
        found
    };
    object.retain(|name, value| {
        if !waits(name, value) {
            return true;
        }
        let (waiting, stays) = match value {
            // An extension: its attributes are told apart.
            Value::Object(members) if extension.is_none() && name.contains(':') => {
                take(members, Some(name), pending, later);
                return !members.is_empty();
            }
            Value::Array(elements) => {
                let (waiting, ready) = std::mem::take(elements).into_iter().partition(|e| waits(name, e));
                *elements = ready;
                (Value::Array(waiting), !elements.is_empty())
            }
            value => (value.take(), false),
        };
        let mut added = json!({name: waiting});
        if let Some(urn) = extension {
            added = json!({urn: added});
        }
        later.0.push(json!({"op": "add", "value": added}));
        stays
    });
}

/// Calls `found` with the name of the member, and the `bulkId`, for each reference.
fn visit(name: &str, value: &Value, found: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) => match text.strip_prefix(PREFIX) {
            Some(id) => found(name, id),
            None if name.eq_ignore_ascii_case("path") => {
                quoted(text, |part| {
                    found(name, part);
                    None
                });
            }
            None => {}
        },
        Value::Array(elements) => elements.iter().for_each(|element| visit(name, element, found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| visit(name, value, found)),
        _ => {}
    }
}

fn replace(name: &str, value: &mut Value, id: &dyn Fn(&str) -> Option<String>, missing: &mut Option<String>) {
    match value {
        Value::String(text) => {
            let counts = name.eq_ignore_ascii_case("value");
            if let Some(bulk_id) = text.strip_prefix(PREFIX) {
                match id(bulk_id) {
                    Some(id) => *text = id,
                    None if counts => {
                        missing.get_or_insert_with(|| bulk_id.to_owned());
                    }
                    None => {}
                }
            } else if name.eq_ignore_ascii_case("path") {
                let replaced = quoted(text, |bulk_id| {
                    let id = id(bulk_id);
                    if id.is_none() {
                        missing.get_or_insert_with(|| bulk_id.to_owned());
                    }
                    id
                });
                *text = replaced;
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| replace(name, element, id, missing)),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| replace(name, value, id, missing)),
        _ => {}
    }
}

/// The text with `"bulkId:x"` replaced by what `id` has for it, still quoted.
fn quoted(text: &str, mut id: impl FnMut(&str) -> Option<String>) -> String {
    let mut parts = text.split("\"bulkId:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('"');
        match part.split_once('"') {
            Some((bulk_id, rest)) => {
                match id(bulk_id) {
                    Some(id) => out.push_str(&id),
                    None => {
                        out.push_str(PREFIX);
                        out.push_str(bulk_id);
                    }
                }
                out.push('"');
                out.push_str(rest);
            }
            None => {
                out.push_str(PREFIX);
                out.push_str(part);
            }
        }
    }
    out
}
