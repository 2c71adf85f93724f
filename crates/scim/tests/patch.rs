//! PATCH and bodies through the public API: RFC 7644 section 3.5.2, the forms of real clients, and a naive model.

#![expect(clippy::expect_used, clippy::panic, reason = "test helpers fail the test that calls them")]

use proptest::prelude::*;
use scim::{ErrorKind, Object, patch, resource, schema};
use serde_json::{Value, json};

const ENTERPRISE: &str = schema::ENTERPRISE_USER;

fn object(value: Value) -> Object {
    value.as_object().expect("an object").clone()
}

fn stored(body: Value) -> Object {
    resource::create(schema::user(), object(body)).expect("created").resource
}

fn apply(before: &Object, operations: &Value) -> Result<(Object, patch::Outcome), scim::Error> {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
    let operations = patch::parse(body.to_string().as_bytes())?;
    let mut after = before.clone();
    let outcome = patch::apply(schema::user(), &mut after, &operations)?;
    assert_eq!(outcome.changed, &after != before, "{operations:?}");
    Ok((after, outcome))
}

/// The resource after the operations, less what `kit` has anyway.
fn patched(operations: Value) -> Value {
    Value::Object(apply(&kit(), &operations).unwrap_or_else(|error| panic!("{operations}: {error:?}")).0)
}

fn refused(operations: Value) -> ErrorKind {
    let before = kit();
    let mut after = before.clone();
    let body = json!({"Operations": operations}).to_string();
    let error = patch::parse(body.as_bytes())
        .and_then(|operations| patch::apply(schema::user(), &mut after, &operations))
        .map_or_else(|error| error, |_| panic!("{operations} was taken"));
    assert_eq!(after, before, "{operations}: not atomic");
    assert!(!error.detail.is_empty());
    error.kind
}

fn kit() -> Object {
    stored(json!({
        "userName": "kit@example.com",
        "name": {"givenName": "Kit", "familyName": "Moor"},
        "displayName": "Kit Moor",
        "emails": [
            {"value": "kit@example.com", "type": "work", "primary": true},
            {"value": "kit@home.example", "type": "home"},
        ],
        "addresses": [{"type": "work", "streetAddress": "1 Pier", "locality": "Bay", "primary": true}],
        ENTERPRISE: {"department": "Pier", "manager": {"value": "m1", "$ref": "../Users/m1"}},
    }))
}

/// RFC 7644 section 3.5.2.1.
#[test]
fn add() {
    let example = json!([{"op": "add", "value": {
        "emails": [{"value": "babs@jensen.org", "type": "home"}], "nickname": "Babs"
    }}]);
    let after = patched(example.clone());
    assert_eq!(after["nickName"], "Babs");
    assert_eq!(after["emails"].as_array().map(Vec::len), Some(3));
    assert_eq!(after["emails"][2], json!({"value": "babs@jensen.org", "type": "home"}));
    // What is there already is no change.
    let (once, _) = apply(&kit(), &example).expect("once");
    assert!(!apply(&once, &example).expect("twice").1.changed);

    let after = patched(json!([{"op": "add", "path": "name", "value": {"middleName": "J"}}]));
    assert_eq!(after["name"], json!({"givenName": "Kit", "middleName": "J", "familyName": "Moor"}));
    // A new primary demotes the old one.
    let after = patched(json!([{"op": "add", "path": "emails", "value": [{"value": "n@x", "primary": true}]}]));
    let primary: Vec<&Value> = after["emails"].as_array().into_iter().flatten().map(|e| &e["primary"]).collect();
    assert_eq!(primary, [&json!(false), &Value::Null, &json!(true)]);
    // An attribute of an extension extends `schemas`.
    let plain = stored(json!({"userName": "a"}));
    let path = format!("{ENTERPRISE}:employeeNumber");
    let (after, _) = apply(&plain, &json!([{"op": "add", "path": path, "value": "7"}])).expect("added");
    assert_eq!(after["schemas"], json!([schema::USER, ENTERPRISE]));
}

/// RFC 7644 section 3.5.2.2.
#[test]
fn remove() {
    let after = patched(json!([{"op": "remove", "path": "emails[type eq \"work\" and value ew \"example.com\"]"}]));
    assert_eq!(after["emails"], json!([{"value": "kit@home.example", "type": "home"}]));
    for path in ["emails", "emails[value pr]"] {
        assert_eq!(patched(json!([{"op": "remove", "path": path}])).get("emails"), None, "{path}");
    }
    assert_eq!(patched(json!([{"op": "remove", "path": "name.givenName"}]))["name"], json!({"familyName": "Moor"}));
    assert_eq!(patched(json!([{"op": "remove", "path": "active"}])).get("active"), None);
    let after = patched(json!([{"op": "remove", "path": ENTERPRISE}]));
    assert_eq!((after.get(ENTERPRISE), &after["schemas"]), (None, &json!([schema::USER])));
    // The last attribute of an extension takes its URN along.
    let last = ["department", "manager"].map(|name| json!({"op": "remove", "path": format!("{ENTERPRISE}:{name}")}));
    assert_eq!(patched(json!(last))["schemas"], json!([schema::USER]));
    // Absent already.
    assert_eq!(patched(json!([{"op": "remove", "path": "title"}])), Value::Object(kit()));
}

/// RFC 7644 section 3.5.2.3.
#[test]
fn replace() {
    let after = patched(json!([{"op": "replace", "path": "addresses[type eq \"work\"]", "value": {
        "type": "work", "streetAddress": "911 Universal City Plaza", "locality": "Hollywood", "primary": true
    }}]));
    assert_eq!(after["addresses"].as_array().map(Vec::len), Some(1));
    assert_eq!(after["addresses"][0]["locality"], "Hollywood");
    let after = patched(json!([
        {"op": "replace", "path": "addresses[type eq \"work\"].streetAddress", "value": "1010 Broadway Ave"}
    ]));
    let address = json!({"streetAddress": "1010 Broadway Ave", "locality": "Bay", "type": "work", "primary": true});
    assert_eq!(after["addresses"], json!([address]));
    let after = patched(json!([{"op": "replace", "value": {
        "emails": [{"value": "bjensen@example.com", "type": "work", "primary": true}], "nickname": "Babs"
    }}]));
    assert_eq!((after["emails"].as_array().map(Vec::len), &after["nickName"]), (Some(1), &json!("Babs")));
    // A complex attribute is merged.
    let after = patched(json!([{"op": "replace", "path": "name", "value": {"givenName": "Ana"}}]));
    assert_eq!(after["name"], json!({"givenName": "Ana", "familyName": "Moor"}));
    let after = patched(json!([{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}]));
    assert_eq!((&after["emails"][0]["primary"], &after["emails"][1]["primary"]), (&json!(false), &json!(true)));
    let after = patched(json!([{"op": "replace", "path": "emails", "value": []}]));
    assert_eq!(after.get("emails"), None);
}

#[test]
fn refusals_are_atomic_and_say_which_kind() {
    use ErrorKind::{InvalidFilter, InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget};
    let good = json!({"op": "replace", "path": "displayName", "value": "Half"});
    for (bad, kind) in [
        (json!({"op": "remove"}), NoTarget),
        (json!({"op": "replace", "path": "emails[type eq \"other2\"].value", "value": "x"}), NoTarget),
        (json!({"op": "replace", "path": "emails[value eq \"nobody\"]", "value": {"value": "x"}}), NoTarget),
        (json!({"op": "replace", "path": "roles[primary eq \"True\"].display", "value": "x"}), NoTarget),
        (json!({"op": "add", "path": "emails[value co \"nobody\"].display", "value": "x"}), NoTarget),
        (json!({"op": "replace", "path": "id", "value": "1"}), Mutability),
        (json!({"op": "add", "path": "meta.created", "value": "2020-01-01T00:00:00Z"}), Mutability),
        (json!({"op": "replace", "path": "groups", "value": []}), Mutability),
        (json!({"op": "remove", "path": "groups[value eq \"g\"]"}), Mutability),
        (json!({"op": "replace", "path": format!("{ENTERPRISE}:manager.displayName"), "value": "x"}), Mutability),
        (json!({"op": "remove", "path": "userName"}), Mutability),
        (json!({"op": "add", "path": "__proto__.x", "value": 1}), InvalidPath),
        (json!({"op": "add", "path": "toString.x", "value": 1}), InvalidPath),
        (json!({"op": "add", "path": "name.nope", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "displayName[", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "emails[type eq \"work\"]value", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "emails[type eq \"work\"", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "/displayName", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "department", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "emails[nope eq \"x\"].value", "value": "x"}), InvalidFilter),
        (json!({"op": "add", "path": "emails[type is \"x\"].value", "value": "x"}), InvalidFilter),
        (json!({"op": "add", "path": "displayName"}), InvalidValue),
        (json!({"op": "replace", "path": "active", "value": "perhaps"}), InvalidValue),
        (json!({"op": "replace", "path": "displayName", "value": {"a": 1}}), InvalidValue),
        (json!({"op": "replace", "path": "userName", "value": 7}), InvalidValue),
        (json!({"op": "replace", "path": "userName", "value": " "}), InvalidValue),
        (json!({"op": "replace", "path": "userName", "value": "a\u{202e}b"}), InvalidValue),
        (json!({"op": "replace", "path": "externalId", "value": 1}), InvalidValue),
        (json!({"op": "replace", "value": "x"}), InvalidValue),
        (
            json!({"op": "replace", "path": "emails", "value": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}),
            InvalidValue,
        ),
        (json!({"op": "move", "path": "displayName", "value": "x"}), InvalidSyntax),
        (json!({"path": "displayName", "value": "x"}), InvalidSyntax),
        (json!(7), InvalidSyntax),
    ] {
        assert_eq!(refused(json!([good, bad])), kind, "{bad}");
    }
}

/// idp-clients 1.5 to 1.8, 2.2 to 2.5, 3, 4.
#[test]
fn forms_of_clients() {
    let manager = format!("{ENTERPRISE}:manager");
    for (operation, pointer, expected) in [
        (json!({"op": "replace", "value": {"active": false}}), "/active", json!(false)),
        (json!({"op": "Replace", "path": "active", "value": "False"}), "/active", json!(false)),
        (
            json!({"op": "Replace", "path": "displayName", "value": "Ana", "name": "extra"}),
            "/displayName",
            json!("Ana"),
        ),
        (json!({"op": "Add", "path": "title", "value": [{"$ref": null, "value": "Ana"}]}), "/title", json!("Ana")),
        (json!({"op": "Add", "path": "active", "value": [{"$ref": null, "value": "False"}]}), "/active", json!(false)),
        (
            json!({"op": "Add", "path": "emails[type eq \"other\"].value", "value": "o@x"}),
            "/emails/2",
            json!({"value": "o@x", "type": "other"}),
        ),
        (
            json!({"op": "Replace", "path": "emails[type eq \"other\"].value", "value": "o@x"}),
            "/emails/2",
            json!({"value": "o@x", "type": "other"}),
        ),
        (
            json!({"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"}),
            "/phoneNumbers",
            json!([{"value": "1", "type": "mobile"}]),
        ),
        (
            json!({"op": "Add", "path": "roles[primary eq \"True\"].display", "value": "Boss"}),
            "/roles",
            json!([{"display": "Boss", "primary": true}]),
        ),
        (
            json!({"op": "Add", "path": manager, "value": "m2"}),
            &format!("/{ENTERPRISE}/manager"),
            json!({"value": "m2"}),
        ),
        (
            json!({"op": "Replace", "path": manager, "value": {"value": "m2"}}),
            &format!("/{ENTERPRISE}/manager"),
            json!({"value": "m2"}),
        ),
        (json!({"op": "Remove", "path": manager}), &format!("/{ENTERPRISE}/manager"), Value::Null),
        (
            json!({"op": "Remove", "path": manager, "value": {"value": ""}}),
            &format!("/{ENTERPRISE}/manager"),
            Value::Null,
        ),
        (
            json!({"op": "Replace", "path": manager, "value": {"value": ""}}),
            &format!("/{ENTERPRISE}/manager"),
            Value::Null,
        ),
        (json!({"op": "Replace", "path": manager, "value": ""}), &format!("/{ENTERPRISE}/manager"), Value::Null),
        (
            json!({"op": "Remove", "path": "emails", "value": [{"value": "KIT@example.com"}]}),
            "/emails",
            json!([{"value": "kit@home.example", "type": "home"}]),
        ),
        (json!({"op": "Remove", "path": "emails", "value": []}), "/emails/1/type", json!("home")),
        (
            json!({"op": "replace", "value": {"name.givenName": "Ana"}}),
            "/name",
            json!({"familyName": "Moor", "givenName": "Ana"}),
        ),
        (
            json!({"op": "replace", "value": {(format!("{ENTERPRISE}:department")): "Dock"}}),
            &format!("/{ENTERPRISE}/department"),
            json!("Dock"),
        ),
        (json!({"op": "replace", "value": {"emails[type eq \"work\"].value": "n@x"}}), "/emails/0/value", json!("n@x")),
        (
            json!({"op": "add", "value": {ENTERPRISE: {"division": "D"}}}),
            &format!("/{ENTERPRISE}/department"),
            json!("Pier"),
        ),
        (
            json!({"op": "add", "path": ENTERPRISE, "value": {"division": "D"}}),
            &format!("/{ENTERPRISE}/division"),
            json!("D"),
        ),
        (
            json!({"op": "replace", "path": "userName", "value": "KIT@example.com"}),
            "/userName",
            json!("KIT@example.com"),
        ),
        (json!({"op": "replace", "path": "Name.GIVENNAME", "value": "Ana"}), "/name/givenName", json!("Ana")),
        (
            json!({"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:title", "value": "T"}),
            "/title",
            json!("T"),
        ),
        (json!({"op": "replace", "path": "title", "value": ""}), "/title", Value::Null),
    ] {
        let pointer = pointer.trim_start_matches('/').split('/').collect::<Vec<_>>();
        let after = patched(json!([operation]));
        let found = pointer.iter().try_fold(&after, |value, step| match step.parse::<usize>() {
            Ok(index) => value.get(index),
            Err(_) => value.get(*step),
        });
        assert_eq!(found.cloned().unwrap_or_default(), expected, "{operation} in {after}");
    }
}

/// security.md b 4, 8 and 33, and issue 3 item 7: unknown and readOnly names in a value without path change nothing.
#[test]
fn what_is_not_the_clients_to_set_is_left_out() {
    let (after, outcome) = apply(
        &kit(),
        &json!([
            {"op": "replace", "value": {
                "id": "1", "meta": {"created": "x"}, "groups": [{"value": "admins"}], "schemas": [schema::USER],
                "password": "hunter2", "__proto__": {"x": 1}, "constructor.prototype": 1, "color": "red",
                "urn:example:unknown": {"a": 1},
            }},
            {"op": "add", "path": "password", "value": "hunter2"},
        ]),
    )
    .expect("taken");
    assert_eq!((Value::Object(after), outcome.changed), (Value::Object(kit()), false));
    assert_eq!(outcome.ignored, ["__proto__", "constructor.prototype", "color", "urn:example:unknown"]);
}

/// Entra's validator adds 36 attributes one by one, in any order: `primary` may come before `value`.
#[test]
fn an_element_is_built_up_in_any_order() {
    let plain = stored(json!({"userName": "a"}));
    let add = |sub: &str, value: Value| json!({"op": "Add", "path": format!("emails[type eq \"work\"].{sub}"), "value": value});
    let operations = [add("primary", json!("True")), add("value", json!("a@x")), add("display", json!("A"))];
    let wanted = json!([{"value": "a@x", "display": "A", "type": "work", "primary": true}]);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let operations = order.map(|n| operations[n].clone());
        assert_eq!(apply(&plain, &json!(operations)).expect("added").0["emails"], wanted, "{order:?}");
    }
}

/// Issue 3 item 8: the same intent in several dialects gives the same stored resource.
#[test]
fn dialects_of_one_intent_agree() {
    let manager = format!("{ENTERPRISE}:manager");
    let department = format!("{ENTERPRISE}:department");
    let urn_in_core = format!("{}:displayName", schema::USER);
    for same in [
        vec![
            json!([{"op": "replace", "path": "active", "value": false}]),
            json!([{"op": "Replace", "path": "active", "value": "False"}]),
            json!([{"op": "replace", "value": {"active": false}}]),
            json!([{"op": "Add", "path": "Active", "value": "false"}]),
            json!([{"op": "replace", "value": {"ACTIVE": "FALSE"}}]),
        ],
        vec![
            json!([{"op": "replace", "path": "displayName", "value": "Ana"}]),
            json!([{"op": "Add", "path": urn_in_core, "value": "Ana"}]),
            json!([{"op": "replace", "value": {urn_in_core.clone(): "Ana"}}]),
            json!([{"op": "replace", "path": schema::USER, "value": {"displayName": "Ana"}}]),
            json!([{"op": "Replace", "path": "displayName", "value": [{"$ref": null, "value": "Ana"}]}]),
        ],
        vec![
            json!([{"op": "replace", "path": manager, "value": {"value": "m2"}}]),
            json!([{"op": "Replace", "path": manager, "value": "m2"}]),
            json!([{"op": "Add", "path": manager, "value": [{"$ref": null, "value": "m2"}]}]),
            json!([{"op": "replace", "value": {ENTERPRISE: {"manager": "m2"}}}]),
            json!([{"op": "replace", "value": {manager.clone(): {"value": "m2"}}}]),
            json!([{"op": "replace", "path": format!("{manager}.value"), "value": "m2"}]),
        ],
        vec![
            json!([{"op": "remove", "path": manager}]),
            json!([{"op": "Remove", "path": manager, "value": {"value": ""}}]),
            json!([{"op": "Replace", "path": manager, "value": {"value": ""}}]),
            json!([{"op": "Add", "path": manager, "value": ""}]),
            json!([{"op": "replace", "path": manager, "value": null}]),
        ],
        vec![
            json!([{"op": "replace", "path": department, "value": "Dock"}]),
            json!([{"op": "replace", "path": ENTERPRISE, "value": {"department": "Dock"}}]),
            json!([{"op": "replace", "value": {ENTERPRISE: {"Department": "Dock"}}}]),
            json!([{"op": "replace", "value": {department.to_uppercase(): "Dock"}}]),
        ],
        vec![
            json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "n@x"}]),
            json!([{"op": "Add", "path": "emails[Type Eq \"WORK\"].value", "value": "n@x"}]),
            json!([{"op": "replace", "path": "emails[primary eq \"True\"].value", "value": "n@x"}]),
            json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": {"value": "n@x", "primary": true}}]),
            json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": [{"value": "n@x", "primary": "true"}]}]),
        ],
        vec![
            json!([{"op": "remove", "path": "emails[value eq \"kit@home.example\"]"}]),
            json!([{"op": "Remove", "path": "emails", "value": [{"value": "kit@home.example"}]}]),
            json!([{"op": "Remove", "path": "emails", "value": {"value": "KIT@HOME.example", "$ref": null}}]),
        ],
    ] {
        let results: Vec<Value> = same.iter().map(|operations| patched(operations.clone())).collect();
        for (operations, result) in same.iter().zip(&results) {
            assert_eq!(result, &results[0], "{operations}");
        }
        assert_ne!(results[0], Value::Object(kit()));
    }
}

/// idp-clients 1.6: the wizard app's PUT is what GET returned with mapped values over it.
#[test]
fn put_of_what_get_returned_is_no_change() {
    let kit = kit();
    let mut echoed = kit.clone();
    for (name, value) in [
        ("id", json!("2819c223-7f76-453a-919d-413861904646")),
        ("meta", json!({"resourceType": "User", "version": "W/\"1\"", "created": "2020-01-01T00:00:00Z"})),
        ("groups", json!([{"value": "stale"}])),
        ("password", json!("hunter2")),
        ("title", json!("")),
        ("phoneNumbers", json!([])),
        ("nickName", Value::Null),
    ] {
        echoed.insert(name.to_owned(), value);
    }
    let accepted = resource::replace(schema::user(), echoed, &kit).expect("taken");
    assert_eq!(accepted.resource, kit);
    assert!(accepted.ignored.is_empty());
}

#[test]
fn bodies_of_clients() {
    for (body, pointer, expected) in [
        (json!({"emails": null}), "emails", Value::Null),
        (json!({"emails": {"value": "a@x"}}), "emails", json!([{"value": "a@x"}])),
        (json!({"emails": [{"value": "", "type": "work"}]}), "emails", Value::Null),
        (json!({"roles": [{"primary": "True", "value": "r"}]}), "roles", json!([{"value": "r", "primary": true}])),
        (json!({"active": "True"}), "active", json!(true)),
        (json!({"Active": "FALSE"}), "active", json!(false)),
        (json!({ENTERPRISE: {"manager": "m1"}}), ENTERPRISE, json!({"manager": {"value": "m1"}})),
        (json!({ENTERPRISE: {"manager": {"value": ""}}}), ENTERPRISE, Value::Null),
        (json!({ENTERPRISE: null}), ENTERPRISE, Value::Null),
        (json!({ENTERPRISE.to_uppercase(): {"DEPARTMENT": "D"}}), ENTERPRISE, json!({"department": "D"})),
        (json!({"photos": [{"value": "https://x/p"}]}), "photos", json!([{"value": "https://x/p"}])),
        (json!({"x509Certificates": [{"value": "TUlJ\n"}]}), "x509Certificates", json!([{"value": "TUlJ\n"}])),
        (json!({"password": "hunter2"}), "password", Value::Null),
    ] {
        let mut body = object(body);
        body.insert("userName".to_owned(), json!("a"));
        let resource = resource::create(schema::user(), body.clone()).expect("taken").resource;
        assert_eq!(resource.get(pointer).cloned().unwrap_or_default(), expected, "{body:?}");
        let has = resource.contains_key(ENTERPRISE);
        assert_eq!(resource["schemas"].as_array().map(Vec::len), Some(1 + usize::from(has)));
    }
}

/// The attributes that the model knows, all of them strings.
const SIMPLE: [&str; 4] = ["title", "nickName", "name.givenName", "name.familyName"];

/// What operations on single-valued strings do, as plainly as can be.
fn model(state: &mut std::collections::BTreeMap<&'static str, String>, op: &str, name: &'static str, value: &str) {
    if op == "remove" || value.is_empty() {
        state.remove(name);
    } else {
        state.insert(name, value.to_owned());
    }
}

fn read(resource: &Object) -> std::collections::BTreeMap<&'static str, String> {
    let at = |name: &str| name.split('.').try_fold(&Value::Object(resource.clone()), |v, step| v.get(step)).cloned();
    SIMPLE.into_iter().filter_map(|name| Some((name, at(name)?.as_str()?.to_owned()))).collect()
}

proptest! {
    #[test]
    fn single_values_behave_as_the_model(
        steps in proptest::collection::vec(("(add|remove|replace|Replace|ADD)", 0..SIMPLE.len(), "[a-c]{0,2}", any::<bool>()), 1..12)
    ) {
        let before = stored(json!({"userName": "a"}));
        let (mut state, mut operations) = (std::collections::BTreeMap::new(), Vec::new());
        for (op, index, value, pathless) in steps {
            let name = SIMPLE[index];
            model(&mut state, &op.to_lowercase(), name, &value);
            operations.push(match (op.as_str(), pathless) {
                ("remove", _) => json!({"op": op, "path": name}),
                (_, true) => json!({"op": op, "value": {name: value}}),
                (_, false) => json!({"op": op, "path": name, "value": value}),
            });
        }
        let (after, _) = apply(&before, &json!(operations)).expect("applied");
        prop_assert_eq!(read(&after), state);
        prop_assert_eq!(&after["userName"], "a");
    }

    #[test]
    fn emails_behave_as_a_map_from_type(
        steps in proptest::collection::vec(("(add|replace|remove)", "(work|home|other)", "[a-c]{1,2}@x"), 1..12)
    ) {
        let mut state = std::collections::BTreeMap::new();
        let operations: Vec<Value> = steps.iter().map(|(op, r#type, value)| {
            let path = format!("emails[type eq \"{type}\"].value");
            if op == "remove" {
                state.remove(r#type);
                json!({"op": "remove", "path": format!("emails[type eq \"{type}\"]")})
            } else {
                state.insert(r#type.clone(), value.clone());
                json!({"op": op, "path": path, "value": value})
            }
        }).collect();
        let (after, _) = apply(&stored(json!({"userName": "a"})), &json!(operations)).expect("applied");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let found: std::collections::BTreeMap<String, String> = after.get("emails").and_then(Value::as_array)
            .into_iter().flatten().map(|e| (text(&e["type"]), text(&e["value"]))).collect();
        prop_assert_eq!(found, state);
    }

    #[test]
    fn a_stored_form_is_stable(user_name in "[a-zß]{1,8}", mails in proptest::collection::vec("[a-b]{0,2}", 0..4), empty in any::<bool>()) {
        let emails: Vec<Value> = mails.iter().map(|m| json!({"value": m, "type": "work"})).collect();
        let body = json!({"userName": user_name, "emails": emails, "name": {"givenName": if empty { "" } else { "G" }}});
        let first = stored(body);
        let second = resource::replace(schema::user(), first.clone(), &first).expect("again").resource;
        prop_assert_eq!(&first, &second);
        let document = resource::search_document(schema::user(), &first);
        prop_assert_eq!(document.get("schemas"), None);
        prop_assert_eq!(resource::user_keys(&first).user_name, user_name);
    }

    #[test]
    fn no_input_makes_it_panic(path in r#"[a-z.:\[\]" $eqEQ]{0,30}|emails\[[a-z" ]{0,20}\]\.?[a-z]{0,5}|\PC{0,20}"#, op in "(add|remove|replace)", value in r#"null|true|7|""|"x"|\[\]|\{\}|\[\{"value":"x"\}\]|\{"value":null\}|\[\["x"\]\]"#) {
        let value: Value = serde_json::from_str(&value).expect("JSON");
        let before = kit();
        let mut after = before.clone();
        let body = json!({"Operations": [{"op": op, "path": path, "value": value}]}).to_string();
        if let Ok(operations) = patch::parse(body.as_bytes())
            && patch::apply(schema::user(), &mut after, &operations).is_err()
        {
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in r#"[{}\[\]:,"opathvlue 0-9]{0,80}"#) {
        for body in [&bytes[..], text.as_bytes()] {
            let _ = patch::parse(body);
            let _ = scim::group::parse(body);
            let _ = scim::json::parse_object(body).map(|body| resource::create(schema::user(), body));
        }
    }
}
