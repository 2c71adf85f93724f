//! Resource bodies: what a POST or PUT makes of a resource, and the forms in which one is stored.
//!
//! The stored form is canonical: `schemas` first (core URN, then the extensions that have values), attribute names in
//! the schema's spelling and order, values exactly as sent, no null, no empty array. It never holds `id`, `meta`,
//! `groups`, `members` or `password`.

mod keys;
pub(crate) mod value;

use serde_json::Value;

pub use keys::{UserKeys, search_document, user_keys};

use crate::{
    Error, ErrorKind, Object, ResourceType, fold,
    schema::{Attribute, Mutability, Schema, Type, Uniqueness},
    user_name,
};
use value::{Notes, invalid, is_stored, is_unassigned, mismatch, normalize, ordered, twice};

/// The longest value, in bytes, of an attribute that is indexed.
pub const MAX_INDEXED: usize = 1000;

/// A body that was accepted.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// The stored form.
    pub resource: Object,
    /// Unknown attributes and URNs that were left out, at most 20.
    pub ignored: Vec<String>,
    /// Names of the [`crate::dialect`] rules that were used.
    pub coerced: Vec<&'static str>,
}

/// The body of a POST, RFC 7644 section 3.3. A User's `active` is true where it is omitted.
///
/// Errors are 400: `invalidSyntax` for an attribute that stands twice, else `invalidValue`.
pub fn create(rt: &ResourceType, body: Object) -> Result<Accepted, Error> {
    let mut notes = Notes::default();
    let mut resource = read(rt, body, &mut notes)?;
    if has_active(rt) && !resource.contains_key("active") {
        resource.insert("active".to_owned(), Value::Bool(true));
    }
    accept(rt, resource, None, notes)
}

/// The body of a PUT over the current stored form, RFC 7644 section 3.5.1. Omitted readWrite attributes are cleared,
/// but a User's `active` is kept: leaving it out must not let somebody in.
///
/// Errors as [`create`], and 400 `mutability` for an immutable attribute that has another value.
pub fn replace(rt: &ResourceType, body: Object, current: &Object) -> Result<Accepted, Error> {
    let mut notes = Notes::default();
    let mut resource = read(rt, body, &mut notes)?;
    if has_active(rt)
        && !resource.contains_key("active")
        && let Some(active) = current.get("active")
    {
        resource.insert("active".to_owned(), active.clone());
    }
    keep_immutable(rt.common.iter().chain(&rt.schema.attributes), "", current, &mut resource)?;
    for schema in &rt.extensions {
        let Some(Value::Object(current)) = current.get(&schema.id) else { continue };
        let mut extension = match resource.remove(&schema.id) {
            Some(Value::Object(extension)) => extension,
            _ => Object::new(),
        };
        keep_immutable(schema.attributes.iter(), &format!("{}:", schema.id), current, &mut extension)?;
        resource.insert(schema.id.clone(), Value::Object(extension));
    }
    accept(rt, resource, Some(current), notes)
}

fn accept(rt: &ResourceType, resource: Object, before: Option<&Object>, notes: Notes) -> Result<Accepted, Error> {
    Ok(Accepted { resource: finish(rt, resource, before)?, ignored: notes.ignored, coerced: notes.coerced })
}

fn has_active(rt: &ResourceType) -> bool {
    rt.schema.attribute("active").is_some_and(|a| a.r#type == Type::Boolean)
}

fn keep_immutable<'s>(
    attributes: impl Iterator<Item = &'s Attribute>,
    prefix: &str,
    current: &Object,
    new: &mut Object,
) -> Result<(), Error> {
    for attribute in attributes.filter(|a| a.mutability == Mutability::Immutable) {
        let Some(current) = current.get(&attribute.name) else { continue };
        match new.get(&attribute.name) {
            Some(value) if value != current => {
                return Err(Error::new(
                    ErrorKind::Mutability,
                    format!(
                        "`{prefix}{}` is immutable: it has a value and cannot be changed. Leave it out.",
                        attribute.name
                    ),
                ));
            }
            Some(_) => {}
            None => {
                new.insert(attribute.name.clone(), current.clone());
            }
        }
    }
    Ok(())
}

/// Types and names; what spans attributes is [`finish`]'s.
fn read(rt: &ResourceType, body: Object, notes: &mut Notes) -> Result<Object, Error> {
    let mut resource = Object::new();
    let mut seen: Vec<&str> = Vec::with_capacity(body.len());
    for (key, value) in body {
        let name = if key.eq_ignore_ascii_case("schemas") {
            "schemas"
        } else if let Some(schema) = rt.extension(&key) {
            &schema.id
        } else if let Some(attribute) = rt.attribute(&key) {
            &attribute.name
        } else {
            notes.ignore(&key);
            continue;
        };
        if seen.contains(&name) {
            return Err(twice(name));
        }
        seen.push(name);
        if name == "schemas" {
            check_schemas(rt, value, notes)?;
        } else if let Some(schema) = rt.extension(name) {
            let extension = read_extension(schema, value, notes)?;
            if !extension.is_empty() {
                resource.insert(schema.id.clone(), Value::Object(extension));
            }
        } else if let Some(attribute) = rt.attribute(name).filter(|a| is_stored(a))
            && let Some(value) = normalize(attribute, name, value, notes)?
        {
            resource.insert(attribute.name.clone(), value);
        }
    }
    Ok(resource)
}

/// RFC 7643 section 3: `schemas` names the core schema, else 400 `invalidSyntax` (RFC 7644 section 3.7.3). A body without `schemas` is taken; URNs that nobody knows are
/// left out (Microsoft Entra ID's ADSCIM Group).
fn check_schemas(rt: &ResourceType, value: Value, notes: &mut Notes) -> Result<(), Error> {
    if is_unassigned(&value) {
        return Ok(());
    }
    let urns = match value {
        Value::Array(urns) => urns,
        other => vec![other],
    };
    let mut core = false;
    for urn in urns {
        let Value::String(urn) = urn else {
            return Err(mismatch("schemas", "an array of URNs (strings)", &urn));
        };
        if urn.eq_ignore_ascii_case(&rt.schema.id) {
            core = true;
        } else if rt.extension(&urn).is_none() {
            notes.ignore(&urn);
        }
    }
    if !core {
        let detail = format!("`schemas` must contain \"{}\" at {}.", rt.schema.id, rt.endpoint);
        return Err(Error::new(ErrorKind::InvalidSyntax, detail));
    }
    Ok(())
}

fn read_extension(schema: &Schema, value: Value, notes: &mut Notes) -> Result<Object, Error> {
    let object = match value {
        Value::Object(object) => object,
        value if is_unassigned(&value) => return Ok(Object::new()),
        value => return Err(mismatch(&schema.id, "an object", &value)),
    };
    let mut extension = Object::new();
    let mut seen: Vec<&str> = Vec::with_capacity(object.len());
    for (key, value) in object {
        let Some(attribute) = schema.attribute(&key) else {
            notes.ignore(&format!("{}:{key}", schema.id));
            continue;
        };
        let path = format!("{}:{}", schema.id, attribute.name);
        if seen.contains(&attribute.name.as_str()) {
            return Err(twice(&path));
        }
        seen.push(&attribute.name);
        if is_stored(attribute)
            && let Some(value) = normalize(attribute, &path, value, notes)?
        {
            extension.insert(attribute.name.clone(), value);
        }
    }
    Ok(extension)
}

/// The rules that span attributes, and the canonical order with `schemas` rebuilt. The values have been normalized.
/// `before`: what is changed.
pub(crate) fn finish(rt: &ResourceType, mut resource: Object, before: Option<&Object>) -> Result<Object, Error> {
    check(rt, &resource)?;
    // A name from before a rule stays, so that its user can be changed, above all deactivated.
    let user_name = |resource: &Object| resource.get("userName").and_then(Value::as_str).map(str::to_owned);
    if let Some(name) = user_name(&resource).filter(|name| before.and_then(user_name).as_ref() != Some(name)) {
        user_name::check(&name)?;
    }
    let mut schemas = vec![Value::String(rt.schema.id.clone())];
    let mut extensions = Object::new();
    for schema in &rt.extensions {
        if let Some(Value::Object(extension)) = resource.remove(&schema.id)
            && !extension.is_empty()
        {
            schemas.push(Value::String(schema.id.clone()));
            extensions.insert(schema.id.clone(), Value::Object(ordered(&schema.attributes, extension)));
        }
    }
    let mut finished = Object::from_iter([("schemas".to_owned(), Value::Array(schemas))]);
    for attribute in rt.common.iter().chain(&rt.schema.attributes) {
        finished.extend(resource.remove_entry(&attribute.name));
    }
    finished.extend(extensions);
    Ok(finished)
}

fn check(rt: &ResourceType, resource: &Object) -> Result<(), Error> {
    for attribute in rt.schema.attributes.iter().filter(|a| a.required && is_stored(a)) {
        let value = resource.get(&attribute.name);
        if value.is_none_or(|v| v.as_str().is_some_and(|text| text.trim().is_empty())) {
            return Err(invalid(format!("`{}` is required and must not be blank.", attribute.name)));
        }
        if attribute.uniqueness == Uniqueness::Server
            && let Some(Value::String(text)) = value
        {
            check_identifier(&attribute.name, text)?;
        }
    }
    for schema in &rt.extensions {
        let Some(Value::Object(extension)) = resource.get(&schema.id).filter(|value| !is_empty(value)) else {
            continue;
        };
        check_extension(schema, extension)?;
    }
    for name in ["userName", "externalId", "displayName"] {
        check_length(name, resource.get(name))?;
    }
    if let Some(Value::Object(name)) = resource.get("name") {
        for (sub, value) in name {
            check_length(&format!("name.{sub}"), Some(value))?;
        }
    }
    if let Some(Value::Array(emails)) = resource.get("emails") {
        for email in emails {
            check_length("emails.value", email.get("value"))?;
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Object::is_empty)
}

/// What an extension requires is required of a resource that has the extension: clients that do not know it leave it out
/// whole.
fn check_extension(schema: &Schema, extension: &Object) -> Result<(), Error> {
    for attribute in schema.attributes.iter() {
        let path = format!("{}:{}", schema.id, attribute.name);
        let value = extension.get(&attribute.name);
        if attribute.required && value.is_none_or(|v| v.as_str().is_some_and(|text| text.trim().is_empty())) {
            return Err(invalid(format!("`{path}` is required where the extension has a value.")));
        }
        let elements = match value {
            Some(Value::Array(elements)) => elements.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        for sub in attribute.sub_attributes.iter().filter(|sub| sub.required) {
            if elements.iter().any(|element| element.get(&sub.name).is_none()) {
                return Err(invalid(format!("`{path}.{}` is required where `{path}` has a value.", sub.name)));
            }
        }
    }
    Ok(())
}

fn check_length(path: &str, value: Option<&Value>) -> Result<(), Error> {
    match value {
        // The folded form is what is indexed; NFKC can make eighteen characters of one.
        Some(Value::String(text)) if text.len() > MAX_INDEXED || fold(text).len() > MAX_INDEXED => {
            Err(invalid(format!("`{path}` is too long: at most {MAX_INDEXED} bytes in UTF-8 are taken. Shorten it.")))
        }
        _ => Ok(()),
    }
}

/// What people and programs tell accounts and groups apart by must be what it looks like.
fn check_identifier(path: &str, text: &str) -> Result<(), Error> {
    if text.trim() != text {
        return Err(invalid(format!("`{path}` must not begin or end with white space.")));
    }
    // People write group names with the joiners of Persian, Indic scripts and emoji, and with emoji's variation selector.
    let written = |c: char| path == "displayName" && matches!(c, '\u{200C}' | '\u{200D}' | '\u{FE0F}');
    match text.chars().enumerate().find(|(_, c)| is_unseen(*c) && !written(*c)) {
        Some((index, c)) => Err(invalid(format!(
            "`{path}` must not contain the control or invisible character U+{:04X} (character {}).",
            u32::from(c),
            index + 1
        ))),
        None => Ok(()),
    }
}

/// Controls, line separators, bidi controls and Unicode's Default_Ignorable_Code_Point.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests;
