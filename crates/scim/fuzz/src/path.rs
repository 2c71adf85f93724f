//! Attribute paths: of a PATCH, a projection and an order.

use scim::{
    ErrorKind, Object, ResourceType, attr,
    filter::{self, Filter},
    group as groups,
    patch::{self as patches, Op, Operation},
    project::Projection,
    schema::{Mutability, Type},
};
use serde_json::{Value, json};

use crate::{
    check_refusal,
    fixture::{bare_user, group, shown, types, user},
    patch, text,
};

/// A path means one thing wherever it stands: what PATCH writes there, a filter finds there; what it removes is gone.
pub fn path(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    let types = types();
    for (rt, resources) in [(&types.user, &[user(), bare_user()][..]), (&types.group, &[group()])] {
        if let Some(found) = attr::resolve(rt, path) {
            let canonical = found.canonical();
            assert_eq!(attr::resolve(rt, &canonical).map(|again| again.canonical()), Some(canonical));
        }
        for name in ["emails", "urn:xx:u:sites", "members", "urn:xx:g:sites"] {
            if let Some(outer) = attr::resolve(rt, name)
                && let Err(error) = filter::parse_element(outer, path)
            {
                check_refusal(&error);
            }
        }
        for resource in resources {
            project(rt, path, &shown(resource));
            if !path.trim().is_empty() {
                operate(rt, path, resource);
            }
        }
    }
    lower(path);
}

fn project(rt: &ResourceType, names: &str, whole: &Object) {
    for (only, except) in [(Some(names), None), (None, Some(names))] {
        let projection = match Projection::parse(rt, only, except) {
            Ok(projection) => projection,
            Err(error) => return check_refusal(&error),
        };
        let mut shown = whole.clone();
        projection.apply(rt, &mut shown);
        assert!(shown.contains_key("id") && shown.contains_key("schemas"), "{names:?}");
        assert!(shown.keys().all(|name| whole.contains_key(name)), "{names:?}");
        let once = text(&shown);
        projection.apply(rt, &mut shown);
        assert_eq!(text(&shown), once, "{names:?}");
    }
}

fn operate(rt: &ResourceType, path: &str, before: &Object) {
    let values = [
        Some(json!("vvvv")),
        None,
        Some(Value::Null),
        Some(json!(true)),
        Some(json!(7)),
        Some(json!(["vvvv"])),
        Some(json!({"value": "vvvv", "type": "work"})),
        Some(json!([{"value": "vvvv", "primary": true}])),
    ];
    let operation = |op, value: &Option<Value>| [Operation { op, path: Some(path.to_owned()), value: value.clone() }];
    let known = is_known(rt, path, before);
    // A path that means nothing means nothing to each of them; most are such.
    let values = if known { &values[..] } else { &values[..1] };
    for op in [Op::Add, Op::Replace, Op::Remove] {
        for value in values {
            let operations = operation(op, value);
            let Some(after) = patch::check(rt, before, &operations) else { continue };
            assert!(known, "{operations:?} is taken, although the path is refused without a value");
            if value.is_none() || *value == Some(json!("vvvv")) {
                check_effect(rt, path.trim(), &operations[0], &after);
            }
        }
    }
}

/// Whether a remove takes the path.
fn is_known(rt: &ResourceType, path: &str, before: &Object) -> bool {
    let remove = Operation { op: Op::Remove, path: Some(path.to_owned()), value: None };
    match patches::apply(rt, &mut before.clone(), &[remove]) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind, ErrorKind::InvalidPath | ErrorKind::InvalidFilter),
    }
}

/// Of an operation with the value "vvvv" or none.
fn check_effect(rt: &ResourceType, path: &str, operation: &Operation, after: &Object) {
    let Some(found) = attr::resolve(rt, path) else { return };
    if operation.op == Op::Remove {
        // With a value it removes that value alone.
        let there = operation.value.is_none() && filter::matches(&Filter::Present(found), after);
        return assert!(!there, "{path:?} was removed, but is still there");
    }
    let stored = |mutability| matches!(mutability, Mutability::ReadWrite | Mutability::Immutable);
    let leaf = found.leaf();
    if operation.value.is_some()
        && matches!(leaf.r#type, Type::String | Type::Reference | Type::Binary)
        && stored(leaf.mutability)
        && stored(found.attribute.mutability)
        && found.attribute.name != "members"
    {
        let filter = format!("{} eq \"vvvv\"", found.canonical());
        let filter = filter::parse(rt, &filter).unwrap_or_else(|e| panic!("{filter}: {e}"));
        assert!(filter::matches(&filter, after), "{path:?} was written, but is not found");
    }
}

/// What is lowered to a filter on members is one that a filter takes.
fn lower(path: &str) {
    let id = "01920000-0000-7000-8000-00000000000a";
    for op in [Op::Add, Op::Replace, Op::Remove] {
        for value in [None, Some(json!([{"value": id}]))] {
            match groups::lower(vec![Operation { op, path: Some(path.to_owned()), value }]) {
                Ok(changes) => crate::group::check_changes(&changes),
                Err(error) => check_refusal(&error),
            }
        }
    }
}
