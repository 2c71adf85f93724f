//! Filters on JSON.

use std::cmp::Ordering;

use serde_json::Value;

use super::{CompareOp, Filter, Literal, instant};
use crate::{
    Object,
    attr::AttrPath,
    schema::{Attribute, Type},
};

pub(super) fn resource(filter: &Filter<'_>, object: &Object) -> bool {
    holds(filter, &|path| values(object, path))
}

pub(super) fn element(filter: &Filter<'_>, value: &Value) -> bool {
    holds(filter, &|path| match (path.sub, value) {
        (Some(sub), Value::Object(members)) => each(get(members, &sub.name)),
        // A simple element is its own `value`.
        (Some(sub), _) if !sub.name.eq_ignore_ascii_case("value") => Vec::new(),
        _ => each(Some(value)),
    })
}

fn holds<'v>(filter: &Filter<'_>, values: &dyn Fn(&AttrPath<'_>) -> Vec<&'v Value>) -> bool {
    match filter {
        Filter::And(terms) => terms.iter().all(|term| holds(term, values)),
        Filter::Or(terms) => terms.iter().any(|term| holds(term, values)),
        Filter::Not(inner) => !holds(inner, values),
        Filter::Present(path) => values(path).into_iter().any(assigned),
        Filter::ValuePath { path, filter } => values(path).into_iter().any(|value| element(filter, value)),
        Filter::Compare { path, op, literal } => {
            let found = values(path);
            let any = |op| found.iter().any(|value| compare(path.leaf(), value, op, literal));
            match (op, literal) {
                (CompareOp::Eq, Literal::Null) => !found.into_iter().any(assigned),
                (CompareOp::Ne, Literal::Null) => found.into_iter().any(assigned),
                (CompareOp::Ne, _) => !any(CompareOp::Eq),
                (op, _) => any(*op),
            }
        }
    }
}

fn values<'v>(object: &'v Object, path: &AttrPath<'_>) -> Vec<&'v Value> {
    let container = match path.extension {
        None => Some(object),
        Some(schema) => get(object, &schema.id).and_then(Value::as_object),
    };
    let outer = each(container.and_then(|members| get(members, &path.attribute.name)));
    let Some(sub) = path.sub else { return outer };
    outer
        .into_iter()
        .flat_map(|value| match value {
            Value::Object(members) => each(get(members, &sub.name)),
            _ => Vec::new(),
        })
        .collect()
}

fn get<'v>(object: &'v Object, name: &str) -> Option<&'v Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn each(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(value) => vec![value],
    }
}

/// Empty strings, arrays and objects are no value (RFC 7644 section 3.4.2.2, `pr`).
fn assigned(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(assigned),
        Value::Object(members) => members.values().any(assigned),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn compare(attribute: &Attribute, value: &Value, op: CompareOp, literal: &Literal) -> bool {
    match (literal, value) {
        (Literal::String(wanted), Value::String(text)) => {
            let folded = attribute.compared(text);
            match op {
                CompareOp::Co => folded.contains(wanted.as_str()),
                CompareOp::Sw => folded.starts_with(wanted.as_str()),
                CompareOp::Ew => folded.ends_with(wanted.as_str()),
                op => ordered(op, folded.as_str().cmp(wanted)),
            }
        }
        (Literal::Boolean(wanted), Value::Bool(value)) => ordered(op, value.cmp(wanted)),
        (Literal::Number(wanted), Value::Number(value)) => {
            number_order(value, wanted).is_some_and(|order| ordered(op, order))
        }
        (Literal::Instant(wanted), value) if attribute.r#type == Type::DateTime => {
            let micros = match value {
                Value::String(text) => instant(text),
                other => other.as_i64(),
            };
            micros.is_some_and(|micros| ordered(op, micros.cmp(wanted)))
        }
        _ => false,
    }
}

fn number_order(left: &serde_json::Number, right: &serde_json::Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

fn ordered(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => false,
    }
}
