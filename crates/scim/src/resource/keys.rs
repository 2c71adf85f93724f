//! What is read out of a stored form, for matching and for search.

use serde_json::Value;

use crate::{
    Object, ResourceType, filter,
    schema::{Attribute, Type},
};

/// What a user row holds beside the JSON, for matching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserKeys {
    /// `userName`
    pub user_name: String,
    /// `externalId`
    pub external_id: Option<String>,
    /// `active`
    pub active: Option<bool>,
    /// `displayName`
    pub display_name: Option<String>,
    /// `name.givenName`
    pub given_name: Option<String>,
    /// `name.familyName`
    pub family_name: Option<String>,
    /// All e-mail values in order.
    pub emails: Vec<String>,
    /// The one marked primary, else the first.
    pub primary_email: Option<String>,
}

/// Reads the keys out of a user's stored form. Values as sent, not folded.
pub fn user_keys(resource: &Object) -> UserKeys {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let name = |sub: &str| text(resource.get("name").and_then(|name| name.get(sub)));
    let elements = resource.get("emails").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let emails: Vec<String> = elements.iter().filter_map(|e| text(e.get("value"))).collect();
    let primary = elements.iter().filter(|e| super::value::is_primary(e)).find_map(|e| text(e.get("value")));
    UserKeys {
        user_name: text(resource.get("userName")).unwrap_or_default(),
        external_id: text(resource.get("externalId")),
        active: resource.get("active").and_then(Value::as_bool),
        display_name: text(resource.get("displayName")),
        given_name: name("givenName"),
        family_name: name("familyName"),
        primary_email: primary.or_else(|| emails.first().cloned()),
        emails,
    }
}

/// The copy that filters and sorting run on: strings of attributes that are not caseExact are folded, instants are
/// integers (microseconds UTC). Same shape and names as the stored form, without `schemas`.
pub fn search_document(rt: &ResourceType, resource: &Object) -> Object {
    let mut document = Object::new();
    for (key, value) in resource {
        if let (Some(schema), Value::Object(extension)) = (rt.extension(key), value) {
            let extension = members(|name| schema.attribute(name), extension);
            document.insert(key.clone(), Value::Object(extension));
        } else if let Some(value) = rt.attribute(key).and_then(|a| searchable(a, value)) {
            document.insert(key.clone(), value);
        }
    }
    document
}

fn members<'s>(find: impl Fn(&str) -> Option<&'s Attribute>, object: &Object) -> Object {
    object.iter().filter_map(|(key, value)| Some((key.clone(), searchable(find(key)?, value)?))).collect()
}

/// `None`: cannot be compared, such as a dateTime that is none.
fn searchable(attribute: &Attribute, value: &Value) -> Option<Value> {
    Some(match value {
        Value::Array(values) => values.iter().filter_map(|v| searchable(attribute, v)).collect(),
        Value::Object(object) => Value::Object(members(|name| attribute.sub(name), object)),
        Value::String(text) if attribute.r#type == Type::DateTime => filter::instant(text)?.into(),
        Value::String(text) => attribute.compared(text).into(),
        other => other.clone(),
    })
}
