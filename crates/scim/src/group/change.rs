//! PATCH operations to changes.

use serde_json::Value;
use uuid::Uuid;

use super::{Change, Members, id, invalid, once};
use crate::{
    Error, ErrorKind, Object, attr, filter,
    patch::{Op, Operation},
    schema::{self, GROUP},
};

pub(super) fn lower(operations: Vec<Operation>) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for operation in operations {
        let path = operation.path.as_deref().map(str::trim).filter(|path| !path.is_empty());
        match path.map(members_path) {
            None => pathless(operation, &mut changes)?,
            Some(None) => push(&mut changes, Change::Attribute(operation)),
            Some(Some(Target { filter: None, sub: None })) => {
                whole(operation.op, operation.value.as_ref(), &mut changes)?
            }
            Some(Some(Target { filter: Some(inner), sub: None })) if operation.op != Op::Replace => {
                filtered(operation.op, inner, &mut changes)?;
            }
            Some(Some(_)) => {
                return Err(Error::new(
                    ErrorKind::Mutability,
                    "A member cannot be changed in place; remove it from `members` and add another.",
                ));
            }
        }
    }
    for change in &mut changes {
        if let Change::AddMembers(ids) | Change::RemoveMembers(ids) = change {
            once(ids);
        }
    }
    Ok(changes)
}

pub(super) fn display_name(operation: &Operation) -> Option<&str> {
    let is_name = |name: &str| unqualified(name).eq_ignore_ascii_case("displayName");
    let path = operation.path.as_deref().map(str::trim).filter(|path| !path.is_empty());
    match (operation.op, path, &operation.value) {
        (Op::Add | Op::Replace, Some(path), Some(Value::String(name))) if is_name(path) => Some(name),
        (Op::Add | Op::Replace, None, Some(Value::Object(value))) => {
            let mut found = None;
            for (name, value) in value {
                match value {
                    Value::String(text) if found.is_none() && is_name(name) => found = Some(text.as_str()),
                    _ if name.eq_ignore_ascii_case("id") => {}
                    _ => return None,
                }
            }
            found
        }
        _ => None,
    }
}

/// Leaves out what changes nothing, merges with the change before.
fn push(changes: &mut Vec<Change>, change: Change) {
    match (changes.last_mut(), change) {
        (_, Change::AddMembers(ids) | Change::RemoveMembers(ids)) if ids.is_empty() => {}
        (Some(Change::AddMembers(before)), Change::AddMembers(ids))
        | (Some(Change::RemoveMembers(before)), Change::RemoveMembers(ids)) => before.extend(ids),
        (_, change) => changes.push(change),
    }
}

/// `members`, with brackets or a sub-attribute after it.
struct Target<'t> {
    filter: Option<&'t str>,
    sub: Option<&'t str>,
}

fn members_path(path: &str) -> Option<Target<'_>> {
    let rest = strip(unqualified(path), "members")?;
    if rest.is_empty() {
        return Some(Target { filter: None, sub: None });
    }
    if let Some(sub) = rest.strip_prefix('.') {
        return Some(Target { filter: None, sub: Some(sub) });
    }
    let inner = rest.strip_prefix('[')?;
    let (mut quoted, mut escaped) = (false, false);
    let end = inner.bytes().position(|byte| {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b']') => return true,
            _ => {}
        }
        false
    })?;
    let filter = inner.get(..end)?.trim();
    match inner.get(end + 1..)? {
        "" => Some(Target { filter: Some(filter), sub: None }),
        after => Some(Target { filter: Some(filter), sub: Some(after.strip_prefix('.')?) }),
    }
}

/// The path less the core schema's URN.
fn unqualified(path: &str) -> &str {
    strip(path, GROUP).and_then(|rest| rest.strip_prefix(':')).unwrap_or(path)
}

fn strip<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn whole(op: Op, value: Option<&Value>, changes: &mut Vec<Change>) -> Result<(), Error> {
    let change = match (op, value) {
        (Op::Remove, None) => Change::ReplaceMembers(Vec::new()),
        // A serializer may write null for an empty list; that must not empty the group.
        (Op::Remove, Some(Value::Null)) => {
            return Err(invalid("To remove all members leave `value` out; to remove some name them in an array."));
        }
        // Entra and JumpCloud: only those named go, although the RFC says all.
        (Op::Remove, Some(value)) => Change::RemoveMembers(Members::of(value).known()?),
        (Op::Add | Op::Replace, None) => {
            return Err(invalid("The operation on `members` has no `value`; send an array of {\"value\": \"<id>\"}."));
        }
        (Op::Add, Some(value)) => Change::AddMembers(Members::of(value).checked()?),
        (Op::Replace, Some(value)) => Change::ReplaceMembers(Members::of(value).checked()?),
    };
    push(changes, change);
    Ok(())
}

fn filtered(op: Op, inner: &str, changes: &mut Vec<Change>) -> Result<(), Error> {
    let change = match (op, plain_value(inner)) {
        (Op::Remove, Some(text)) => Change::RemoveMembers(id(&text).into_iter().collect()),
        (Op::Remove, None) => {
            let members = attr::resolve(schema::group(), "members")
                .ok_or_else(|| Error::new(ErrorKind::Internal, "The Group schema has no members."))?;
            filter::parse_element(members, inner)?;
            Change::RemoveMembersWhere(inner.to_owned())
        }
        // Seen at bitwarden: the id stands in the path only.
        (_, Some(text)) => Change::AddMembers(vec![added(&text)?]),
        (_, None) => {
            return Err(Error::new(
                ErrorKind::InvalidPath,
                "Members are added with the path `members` and a value, or with `members[value eq \"<id>\"]`.",
            ));
        }
    };
    push(changes, change);
    Ok(())
}

fn added(text: &str) -> Result<Uuid, Error> {
    let mut members = Members::default();
    members.push(Some(&Value::String(text.to_owned())));
    members.checked()?.pop().ok_or_else(|| invalid("The member has no id."))
}

/// The text of `value eq "text"`.
fn plain_value(filter: &str) -> Option<String> {
    let rest = strip(filter, "value")?;
    let rest = strip(rest.strip_prefix([' ', '\t'])?.trim_start(), "eq")?;
    // The RFC leaves the space out in one example, section 3.5.2.2.
    let text = rest.trim_start();
    (rest.len() > text.len() || text.starts_with('"')).then(|| serde_json::from_str(text.trim_end()).ok()).flatten()
}

fn pathless(mut operation: Operation, changes: &mut Vec<Change>) -> Result<(), Error> {
    let mut lists = Vec::new();
    if operation.op != Op::Remove
        && let Some(Value::Object(value)) = &mut operation.value
    {
        take_members(value, &mut lists);
        if let Some(Value::Object(core)) = value.iter_mut().find(|(k, _)| k.eq_ignore_ascii_case(GROUP)).map(|(_, v)| v)
        {
            take_members(core, &mut lists);
        }
        if !lists.is_empty() {
            value.retain(|name, value| {
                !(name.eq_ignore_ascii_case(GROUP) && value.as_object().is_some_and(Object::is_empty))
            });
        }
        if lists.len() > 1 {
            return Err(invalid("`members` stands more than once in the value of one operation; send it once."));
        }
    }
    let emptied =
        !lists.is_empty() && operation.value.as_ref().and_then(Value::as_object).is_some_and(Object::is_empty);
    let op = operation.op;
    if !emptied {
        push(changes, Change::Attribute(operation));
    }
    lists.iter().try_for_each(|list| whole(op, Some(list), changes))
}

fn take_members(value: &mut Object, lists: &mut Vec<Value>) {
    value.retain(|name, value| {
        let members = unqualified(name).eq_ignore_ascii_case("members");
        if members {
            lists.push(value.take());
        }
        !members
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "01920000-0000-7000-8000-00000000000a";
    const B: &str = "01920000-0000-7000-8000-00000000000b";

    fn operation(op: Op, path: Option<&str>, value: Option<Value>) -> Operation {
        Operation { op, path: path.map(str::to_owned), value }
    }

    fn one(op: Op, path: &str, value: Option<Value>) -> Result<Vec<Change>, Error> {
        lower(vec![operation(op, Some(path).filter(|path| !path.is_empty()), value)])
    }

    fn ids(texts: &[&str]) -> Vec<Uuid> {
        texts.iter().map(|text| text.parse().expect("an id")).collect()
    }

    #[test]
    fn a_name_alone_is_told_from_more() {
        use Op::{Add, Remove, Replace};
        for (op, path, value, name) in [
            (Replace, None, Some(json!({"id": "g1", "displayName": "Ops"})), Some("Ops")),
            (Replace, Some(""), Some(json!({"DISPLAYNAME": "Ops"})), Some("Ops")),
            (Replace, Some("displayName"), Some(json!("Ops")), Some("Ops")),
            (Add, Some("urn:ietf:params:scim:schemas:core:2.0:Group:displayname"), Some(json!("Ops")), Some("Ops")),
            (Remove, Some("displayName"), Some(json!("Ops")), None),
            (Replace, Some("displayName"), Some(json!(5)), None),
            (Replace, Some("displayName"), None, None),
            (Replace, Some("externalId"), Some(json!("Ops")), None),
            (Replace, None, Some(json!({"displayName": "Ops", "externalId": null})), None),
            (Replace, None, Some(json!({"displayName": "Ops", "displayname": "Dev"})), None),
            (Replace, None, Some(json!({"id": "g1"})), None),
            (Replace, None, Some(json!("Ops")), None),
        ] {
            let operation = operation(op, path, value);
            assert_eq!(display_name(&operation), name, "{operation:?}");
        }
    }

    #[test]
    fn forms_that_clients_send() {
        use Change::{AddMembers, Attribute, RemoveMembers, RemoveMembersWhere, ReplaceMembers};
        use Op::{Add, Remove, Replace};
        let eq_a = format!("members[value eq \"{A}\"]");
        let urn = format!("URN:ietf:params:scim:schemas:core:2.0:group:Members[Value EQ \"{A}\"]");
        let name = || json!({"id": "g1", "displayName": "Ops"});
        let list = |texts: &[&str]| Value::Array(texts.iter().map(|t| json!({"value": t, "$ref": null})).collect());
        for (op, path, value, expected) in [
            (Replace, "", Some(name()), vec![Attribute(operation(Replace, None, Some(name())))]),
            (Add, "members", Some(list(&[A, B, A])), vec![AddMembers(ids(&[A, B]))]),
            (Add, "Members", Some(json!({"value": A})), vec![AddMembers(ids(&[A]))]),
            (Add, "members", Some(json!([])), vec![]),
            (Add, &eq_a, None, vec![AddMembers(ids(&[A]))]),
            (Add, &eq_a, Some(json!([{"value": A}])), vec![AddMembers(ids(&[A]))]),
            (Remove, &eq_a, None, vec![RemoveMembers(ids(&[A]))]),
            (Remove, &urn, None, vec![RemoveMembers(ids(&[A]))]),
            (Remove, "members[value eq \"u]1\"]", None, vec![]),
            (Remove, "members[type eq \"User\"]", None, vec![RemoveMembersWhere("type eq \"User\"".to_owned())]),
            (Remove, "members", Some(list(&[A, "u1"])), vec![RemoveMembers(ids(&[A]))]),
            (Remove, "members", Some(list(&["u1"])), vec![]),
            (Remove, "members", Some(json!([])), vec![]),
            (Remove, "members", None, vec![ReplaceMembers(vec![])]),
            (Replace, "members", Some(list(&[B])), vec![ReplaceMembers(ids(&[B]))]),
            (Replace, "members", Some(json!([])), vec![ReplaceMembers(vec![])]),
            (Replace, "members", Some(json!(null)), vec![ReplaceMembers(vec![])]),
            (
                Replace,
                "",
                Some(json!({"id": "g1", "displayName": "Ops", "members": []})),
                vec![Attribute(operation(Replace, None, Some(name()))), ReplaceMembers(vec![])],
            ),
            (Add, "", Some(json!({"MEMBERS": [{"value": A}]})), vec![AddMembers(ids(&[A]))]),
            (
                Replace,
                "",
                Some(json!({"urn:ietf:params:scim:schemas:core:2.0:Group:members": [{"value": A}]})),
                vec![ReplaceMembers(ids(&[A]))],
            ),
            (Replace, "", Some(json!({(GROUP): {"members": []}})), vec![ReplaceMembers(vec![])]),
            (
                Replace,
                "displayName",
                Some(json!("Ops")),
                vec![Attribute(operation(Replace, Some("displayName"), Some(json!("Ops"))))],
            ),
            (Remove, "membership", None, vec![Attribute(operation(Remove, Some("membership"), None))]),
            (Remove, "", None, vec![Attribute(operation(Remove, None, None))]),
            (Replace, "", Some(json!({})), vec![Attribute(operation(Replace, None, Some(json!({}))))]),
        ] {
            assert_eq!(one(op, path, value.clone()), Ok(expected), "{op:?} {path} {value:?}");
        }
    }

    #[test]
    fn refusals() {
        use ErrorKind::{InvalidFilter, InvalidPath, InvalidValue, Mutability};
        for (op, path, value, kind) in [
            (Op::Add, "members", Some(json!([{"value": "u1"}])), InvalidValue),
            (Op::Add, "members", None, InvalidValue),
            (Op::Add, "members", Some(json!("u1")), InvalidValue),
            (Op::Add, "members[value eq \"u1\"]", None, InvalidValue),
            (Op::Add, "members[type eq \"User\"]", None, InvalidPath),
            (Op::Replace, "members", Some(json!([{"display": "x"}])), InvalidValue),
            (Op::Replace, "", Some(json!({"members": [{"display": "x"}]})), InvalidValue),
            (Op::Replace, "", Some(json!({"members": [], "Members": []})), InvalidValue),
            (Op::Replace, "members[value eq \"u1\"].display", Some(json!("x")), Mutability),
            (Op::Remove, "members.value", None, Mutability),
            (Op::Remove, "members", Some(json!([{"display": "x"}])), InvalidValue),
            (Op::Remove, "members[nope eq \"x\"]", None, InvalidFilter),
            (Op::Remove, "members[]", None, InvalidFilter),
        ] {
            let error = one(op, path, value.clone()).expect_err(path);
            assert_eq!(error.kind, kind, "{op:?} {path} {value:?}: {}", error.detail);
        }
    }

    #[test]
    fn neighbours_are_merged_in_order() {
        let remove = |id: &str| operation(Op::Remove, Some(&format!("members[value eq \"{id}\"]")), None);
        let add = |id: &str| operation(Op::Add, Some("members"), Some(json!([{"value": id}])));
        let changes = lower(vec![remove(A), remove("nobody"), remove(B), remove(A), add(A), add(A), remove(A)]);
        assert_eq!(
            changes,
            Ok(vec![
                Change::RemoveMembers(ids(&[A, B])),
                Change::AddMembers(ids(&[A])),
                Change::RemoveMembers(ids(&[A]))
            ])
        );
    }
}
