//! Filters on every attribute that the schemas have, with the values of a resource.

use scim::schema::{Attribute, ResourceType, Type};
use serde_json::Value;

/// Each attribute, sub-attribute and extension attribute of which the resource has texts, compared in each way.
pub(crate) fn of(rt: &ResourceType, resource: &Value, extension: Option<(&str, &str)>) -> Vec<String> {
    let mut filters = Vec::new();
    for attribute in rt.schema.attributes.iter().chain(&rt.common) {
        push(&mut filters, &attribute.name, attribute, &resource[&attribute.name]);
    }
    for schema in &rt.extensions {
        for attribute in &schema.attributes {
            let path = format!("{}:{}", schema.id, attribute.name);
            push(&mut filters, &path, attribute, &resource[&schema.id][&attribute.name]);
        }
    }
    if let Some((urn, name)) = extension {
        compare(&mut filters, &format!("{urn}:{name}"), resource[urn][name].as_str().unwrap_or_default());
    }
    filters
}

fn push(filters: &mut Vec<String>, path: &str, attribute: &Attribute, value: &Value) {
    if let Value::Array(values) = value {
        return values.iter().for_each(|value| push(filters, path, attribute, value));
    }
    match (attribute.r#type, value) {
        (Type::Complex, Value::Object(_)) => {
            for sub in &attribute.sub_attributes {
                push(filters, &format!("{path}.{}", sub.name), sub, &value[&sub.name]);
            }
        }
        (Type::DateTime | Type::Binary, _) => {}
        (_, Value::String(text)) => compare(filters, path, text),
        _ => {}
    }
}

fn compare(filters: &mut Vec<String>, path: &str, text: &str) {
    let text = serde_json::to_string(text).expect("JSON");
    // The predicates are the same whatever is compared, so mutants need no more than one operator.
    let ops: &[&str] = if cfg!(feature = "mutants") { &["eq"] } else { &["eq", "co", "sw", "ew"] };
    for op in ops {
        filters.push(format!("{path} {op} {text}"));
    }
    filters.push(format!("not ({path} eq {text})"));
    filters.push(format!("{path} eq {text} or id pr"));
}
