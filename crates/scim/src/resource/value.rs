//! The value of one attribute: type checks, and the dialects that bend them. Whether the attribute may be written, and
//! the rules that span attributes, are not here.

use std::collections::{HashMap, hash_map::Entry};

use serde_json::Value;

use crate::{
    Error, ErrorKind, Object, dialect, filter,
    schema::{Attribute, Mutability, Type},
};

/// As many values a multi-valued attribute may have.
pub(crate) const MAX_VALUES: usize = 1000;
/// As many names are kept of what was ignored.
const MAX_IGNORED: usize = 20;
/// Longer names are cut to this many characters.
const MAX_NAME: usize = 200;

/// What was left out or bent on the way.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) ignored: Vec<String>,
    pub(crate) coerced: Vec<&'static str>,
}

impl Notes {
    pub(crate) fn ignore(&mut self, name: &str) {
        let name: String = name.chars().take(MAX_NAME).collect();
        if self.ignored.len() < MAX_IGNORED && !self.ignored.contains(&name) {
            self.ignored.push(name);
        }
    }

    pub(crate) fn coerce(&mut self, rule: &'static str) {
        if !self.coerced.contains(&rule) {
            self.coerced.push(rule);
        }
    }
}

/// False: never part of the stored form. Passwords are dropped, members live in rows of their own.
pub(crate) fn is_stored(attribute: &Attribute) -> bool {
    !matches!(attribute.mutability, Mutability::ReadOnly | Mutability::WriteOnly) && attribute.name != "members"
}

/// RFC 7643 section 2.5: null and the empty array are the same as no value; so is the empty string (Okta, OneLogin).
pub(crate) fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

/// The value in its stored form, `None` where it is unassigned. `path` is for error messages.
pub(crate) fn normalize(
    attribute: &Attribute,
    path: &str,
    value: Value,
    notes: &mut Notes,
) -> Result<Option<Value>, Error> {
    if is_unassigned(&value) {
        return Ok(None);
    }
    if attribute.multi_valued {
        let elements = elements(attribute, path, value, notes)?;
        return Ok((!elements.is_empty()).then_some(Value::Array(elements)));
    }
    single(attribute, path, value, notes)
}

/// The elements of a multi-valued attribute; at most one is primary.
pub(crate) fn elements(
    attribute: &Attribute,
    path: &str,
    value: Value,
    notes: &mut Notes,
) -> Result<Vec<Value>, Error> {
    let values = match value {
        Value::Array(values) => values,
        value if is_unassigned(&value) => Vec::new(),
        value => {
            notes.coerce(dialect::SINGLE_FOR_ARRAY);
            vec![value]
        }
    };
    let mut elements = Vec::with_capacity(values.len());
    for value in values.into_iter().filter(|v| !is_unassigned(v)) {
        elements.extend(single(attribute, path, value, notes)?);
    }
    check_number(path, &elements)?;
    let elements = once_each(attribute, elements);
    check_values(path, &elements)?;
    Ok(elements)
}

/// RFC 7643 section 2.4: the same type and value no more than once. What the later one says is added to the first, which
/// stays primary.
pub(crate) fn once_each(attribute: &Attribute, elements: Vec<Value>) -> Vec<Value> {
    let mut places: HashMap<(String, Option<String>), usize> = HashMap::with_capacity(elements.len());
    let mut kept: Vec<Value> = Vec::with_capacity(elements.len());
    for element in elements {
        let text = |name: &str| element.get(name).and_then(Value::as_str).map(str::to_owned);
        let place = text("value").and_then(|value| match places.entry((value, text("type"))) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) => {
                entry.insert(kept.len());
                None
            }
        });
        match (place.and_then(|place| kept.get_mut(place)), element) {
            (Some(Value::Object(first)), Value::Object(later)) => {
                let mut both = std::mem::take(first);
                let primary = both.get("primary") == Some(&Value::Bool(true));
                both.extend(later);
                if primary {
                    both.insert("primary".to_owned(), Value::Bool(true));
                }
                *first = ordered(&attribute.sub_attributes, both);
            }
            (_, element) => kept.push(element),
        }
    }
    kept
}

fn check_number(path: &str, elements: &[Value]) -> Result<(), Error> {
    if elements.len() > MAX_VALUES {
        return Err(invalid(format!("`{path}` has {} values; at most {MAX_VALUES} are taken.", elements.len())));
    }
    Ok(())
}

/// RFC 7643 section 2.4: `primary` is true at most once.
pub(crate) fn check_values(path: &str, elements: &[Value]) -> Result<(), Error> {
    check_number(path, elements)?;
    if elements.iter().filter(|e| is_primary(e)).count() > 1 {
        return Err(invalid(format!("Only one value of `{path}` may have \"primary\": true.")));
    }
    Ok(())
}

pub(crate) fn is_primary(element: &Value) -> bool {
    element.get("primary") == Some(&Value::Bool(true))
}

/// Without its value, an element of only these says nothing.
pub(crate) fn is_hollow(element: &Object) -> bool {
    element.keys().all(|key| matches!(key.as_str(), "type" | "primary" | "$ref"))
}

fn single(attribute: &Attribute, path: &str, value: Value, notes: &mut Notes) -> Result<Option<Value>, Error> {
    match (attribute.r#type, value) {
        (Type::Complex, Value::Object(object)) => Ok(complex(attribute, path, object, notes)?.map(Value::Object)),
        (Type::Complex, Value::String(text)) if attribute.sub("value").is_some() => {
            notes.coerce(match attribute.multi_valued {
                true => dialect::ELEMENT_AS_STRING,
                false => dialect::COMPLEX_AS_STRING,
            });
            let object = Object::from_iter([("value".to_owned(), Value::String(text))]);
            Ok(complex(attribute, path, object, notes)?.map(Value::Object))
        }
        (Type::Boolean, Value::String(text)) => match as_boolean(&text) {
            Some(value) => {
                notes.coerce(dialect::BOOLEAN_AS_STRING);
                Ok(Some(Value::Bool(value)))
            }
            None => Err(mismatch(path, "true or false", &Value::String(text))),
        },
        (Type::Boolean, value @ Value::Bool(_)) => Ok(Some(value)),
        (Type::Decimal, value @ Value::Number(_)) => Ok(Some(value)),
        (Type::Integer, Value::Number(number)) if !number.is_f64() => Ok(Some(Value::Number(number))),
        (Type::DateTime, Value::String(text)) if filter::instant(&text).is_none() => {
            Err(invalid(format!("`{path}` must be a date and time such as 2026-01-31T08:30:00Z.")))
        }
        (Type::Binary, Value::String(text)) if !is_base64(&text) => {
            Err(invalid(format!("`{path}` must be base64 (RFC 4648).")))
        }
        (Type::String | Type::DateTime | Type::Binary | Type::Reference, value @ Value::String(_)) => Ok(Some(value)),
        (expected, value) => Err(mismatch(
            path,
            match expected {
                Type::Complex => "an object",
                Type::Boolean => "true or false",
                Type::Decimal => "a number",
                Type::Integer => "a whole number",
                Type::String | Type::DateTime | Type::Binary | Type::Reference => "a string",
            },
            &value,
        )),
    }
}

/// Either alphabet of RFC 4648, padding optional, white space between (PEM bodies) passed over.
fn is_base64(text: &str) -> bool {
    let digits = || text.bytes().filter(|b| !b.is_ascii_whitespace());
    let unpadded = digits().take_while(|b| *b != b'=').count();
    let padding = digits().count() - unpadded;
    digits().take(unpadded).all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
        && digits().skip(unpadded).all(|b| b == b'=')
        && unpadded % 4 != 1
        && (padding == 0 || (unpadded + padding).is_multiple_of(4) && padding < 3)
}

/// `true` and `false` in any case.
pub(crate) fn as_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn complex(attribute: &Attribute, path: &str, object: Object, notes: &mut Notes) -> Result<Option<Object>, Error> {
    let mut given = Object::new();
    let mut seen: Vec<&str> = Vec::with_capacity(object.len());
    let mut blank = false;
    for (key, value) in object {
        let Some(sub) = attribute.sub(&key) else {
            notes.ignore(&format!("{path}.{key}"));
            continue;
        };
        let path = format!("{path}.{}", sub.name);
        if seen.contains(&sub.name.as_str()) {
            return Err(twice(&path));
        }
        seen.push(&sub.name);
        if !is_stored(sub) {
            continue;
        }
        match normalize(sub, &path, value, notes)? {
            Some(value) => {
                given.insert(sub.name.clone(), value);
            }
            None => blank |= sub.name == "value",
        }
    }
    if blank && is_hollow(&given) {
        notes.coerce(dialect::BLANK_VALUE);
        return Ok(None);
    }
    Ok((!given.is_empty()).then(|| ordered(&attribute.sub_attributes, given)))
}

/// The members in the order of the schema.
pub(crate) fn ordered(attributes: &[Attribute], mut object: Object) -> Object {
    attributes.iter().filter_map(|a| object.remove_entry(&a.name)).collect()
}

pub(crate) fn twice(path: &str) -> Error {
    Error::new(
        ErrorKind::InvalidSyntax,
        format!("`{path}` stands twice, in different case: attribute names are case-insensitive. Send it once."),
    )
}

pub(crate) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, detail)
}

/// Says the kind of the value and not the value, which may be personal.
pub(crate) fn mismatch(path: &str, expected: &str, value: &Value) -> Error {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    if kind == "a string" && expected == "true or false" {
        return invalid(format!("`{path}` must be {expected}, but is another string."));
    }
    invalid(format!("`{path}` must be {expected}, but is {kind}."))
}
