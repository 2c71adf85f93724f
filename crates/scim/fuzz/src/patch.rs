//! PATCH on users.

use scim::{
    Object, ResourceType, json,
    patch::{self as patches, Op, Operation},
    resource,
    schema::Mutability,
};
use serde_json::Value;

use crate::{
    check_refusal,
    fixture::{bare_user, types, user},
    parts, text,
};

/// `BODY`, or `RESOURCE TAB BODY`, or `~` and three characters for each operation, see `spelled`. What must hold, see
/// `check`.
pub fn patch(data: &[u8]) {
    let rt = &types().user;
    if let Some(letters) = data.strip_prefix(b"~") {
        let operations = spelled(letters);
        check(rt, bare_user(), &operations);
        check(rt, user(), &operations);
        return;
    }
    let (first, second) = parts(data);
    let (before, body) = match second {
        None => (vec![user().clone(), bare_user().clone()], first),
        Some(body) => {
            let Ok(created) = json::parse_object(first).and_then(|object| resource::create(rt, object)) else { return };
            (vec![created.resource], body)
        }
    };
    match patches::parse(body) {
        Ok(operations) => before.iter().for_each(|before| {
            check(rt, before, &operations);
        }),
        Err(error) => check_refusal(&error),
    }
}

/// What meets in one resource: paths into the same attributes.
const PATHS: [&str; 40] = [
    "",
    "emails",
    "emails.value",
    "emails.type",
    "emails.primary",
    "emails[type eq \"work\"]",
    "emails[type eq \"work\"].value",
    "emails[type eq \"work\"].type",
    "emails[type eq \"work\"].primary",
    "emails[type eq \"home\" and value eq \"A\"]",
    "emails[value eq \"a\"].display",
    "emails[value eq \"B\"]",
    "emails[primary eq true].value",
    "emails[primary eq false].primary",
    "emails[not (type pr)].type",
    "name",
    "name.givenName",
    "active",
    "title",
    "userName",
    "password",
    "externalId",
    "addresses",
    "addresses[type eq \"work\"].streetAddress",
    "manager",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:xx:u",
    "urn:xx:u:tags",
    "urn:xx:u:boss",
    "urn:xx:u:boss.$ref",
    "urn:xx:u:badge",
    "urn:xx:u:vip",
    "urn:xx:u:sites",
    "urn:xx:u:sites.notes",
    "urn:xx:u:sites[type eq \"hq\" and size eq 1].notes",
    "urn:xx:u:marks",
    "urn:xx:r",
    "urn:xx:r:may",
];

const VALUES: [&str; 36] = [
    "",
    "null",
    r#""""#,
    r#""a""#,
    r#""A""#,
    r#""b""#,
    r#""work""#,
    r#""home""#,
    "true",
    "false",
    r#""False""#,
    "1",
    "2.5",
    "[]",
    r#"["a"]"#,
    r#"["a","A","a"]"#,
    "{}",
    r#"{"value":"a"}"#,
    r#"{"value":"A","type":"work"}"#,
    r#"{"value":"a","primary":true}"#,
    r#"[{"value":"a","type":"work"},{"value":"b","primary":true}]"#,
    r#"[{"value":"a"},{"value":"A","type":"home","primary":"true"},{"value":"a","display":"d"}]"#,
    r#"{"type":"work"}"#,
    r#"{"value":""}"#,
    r#"{"value":null,"type":"home"}"#,
    r#"{"value":"","display":"d"}"#,
    r#"[{"display":"d"},{"display":"d"}]"#,
    r#"{"primary":true}"#,
    r#"{"value":"b","$ref":"r"}"#,
    r#"[{"value":"b","$ref":null}]"#,
    r#"{"givenName":"g","familyName":""}"#,
    r#"{"emails":[{"value":"c"}],"name.givenName":"g","urn:xx:u:tags":["t"]}"#,
    r#"{"urn:xx:u":{"sites":[{"value":"a","notes":["n"]}],"badge":"B2"},"active":"True"}"#,
    r#"{"emails[type eq \"work\"].value":"q","title":""}"#,
    r#"{"must":"m","may":"a","tags":"x","department":"d"}"#,
    r#"{"value":"a","n":1,"size":1,"type":"HQ","notes":"n"}"#,
];

/// Operations that bytes spell, three each: what to do, where, and with what. Printable ones, so that they can be read.
fn spelled(letters: &[u8]) -> Vec<Operation> {
    let pick = |letter: u8, many: usize| usize::from(letter.wrapping_sub(b'!')) % many;
    let (operations, _) = letters.as_chunks::<3>();
    let operations = operations.iter().take(8).map(|&[op, path, value]| Operation {
        op: [Op::Add, Op::Remove, Op::Replace][pick(op, 3)],
        path: Some(PATHS[pick(path, PATHS.len())].to_owned()).filter(|path| !path.is_empty()),
        value: serde_json::from_str::<Value>(VALUES[pick(value, VALUES.len())]).ok(),
    });
    operations.collect()
}

/// All operations or none; what comes out is a stored form; an operation of no filter, done again, does nothing.
/// Returns what the operations made of `before`, if they were not refused.
pub(crate) fn check(rt: &ResourceType, before: &Object, operations: &[Operation]) -> Option<Object> {
    let after = apply(rt, before, operations)?;
    let again = apply(rt, &after, operations);
    let by_filter = |operation: &Operation| {
        operation.path.as_ref().is_some_and(|path| path.contains('['))
            || operation.value.as_ref().and_then(|value| value.as_object()).is_some_and(has_filter)
    };
    if let [operation] = operations
        && !by_filter(operation)
    {
        let Some(again) = again else { panic!("{operation:?} is refused the second time") };
        if operation.op != Op::Remove {
            assert_eq!(text(&again), text(&after), "{operation:?} does more the second time");
        }
    }
    Some(after)
}

fn has_filter(value: &Object) -> bool {
    value.iter().any(|(key, value)| key.contains('[') || value.as_object().is_some_and(has_filter))
}

fn apply(rt: &ResourceType, before: &Object, operations: &[Operation]) -> Option<Object> {
    let mut after = before.clone();
    match patches::apply(rt, &mut after, operations) {
        Ok(outcome) => {
            assert_eq!(outcome.changed, text(&after) != text(before), "{operations:?}");
            if outcome.changed {
                check_stored(rt, &after);
                check_immutable(rt, before, &after);
            }
            assert!(outcome.ignored.len() <= 20, "{operations:?}");
            Some(after)
        }
        Err(error) => {
            check_refusal(&error);
            assert_eq!(text(&after), text(before), "{operations:?} was refused: {error}");
            None
        }
    }
}

/// What cannot be changed is as it was.
pub(crate) fn check_immutable(rt: &ResourceType, before: &Object, after: &Object) {
    for schema in &rt.extensions {
        let value = |object: &Object, name: &str| object.get(&schema.id).and_then(|members| members.get(name)).cloned();
        for attribute in schema.attributes.iter().filter(|a| a.mutability == Mutability::Immutable) {
            let was = value(before, &attribute.name);
            assert!(was.is_none() || value(after, &attribute.name) == was, "{}: {was:?}", attribute.name);
        }
    }
}

/// Stored forms are what [`resource::create`] makes of them, to the byte, also when they come back from where they are
/// stored.
pub(crate) fn check_stored(rt: &ResourceType, stored: &Object) {
    let written = text(stored);
    let read = json::parse_object(written.as_bytes()).unwrap_or_else(|e| panic!("{written}: {e}"));
    assert_eq!(text(&read), written);
    let active = stored.contains_key("active");
    let mut again = resource::create(rt, read).unwrap_or_else(|e| panic!("{written}: {e}"));
    if !active {
        again.resource.shift_remove("active");
    }
    assert_eq!(text(&again.resource), written);
    assert!(again.ignored.is_empty() && again.coerced.is_empty(), "{written}: {again:?}");
    for name in ["id", "meta", "groups", "members", "password"] {
        assert!(!stored.contains_key(name), "{written}");
    }
}
