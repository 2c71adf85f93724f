use serde_json::{Value, json};

use super::*;
use crate::{
    dialect,
    schema::{self, ENTERPRISE_USER, GROUP, USER},
};

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}"),
    }
}

fn post(body: Value) -> Result<Accepted, Error> {
    create(schema::user(), object(body))
}

/// The stored form, less what every user has.
fn stored(mut body: Value) -> Value {
    body["userName"] = "kit".into();
    let mut resource = post(body).unwrap().resource;
    for name in ["schemas", "userName", "active"] {
        resource.shift_remove(name);
    }
    Value::Object(resource)
}

fn refused(mut body: Value) -> Error {
    if body.get("userName").is_none() {
        body["userName"] = "kit".into();
    }
    post(body).unwrap_err()
}

#[track_caller]
fn assert_refused(body: Value, kind: ErrorKind, word: &str) {
    let error = refused(body);
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.detail.contains(word), "{error}");
}

use ErrorKind::{InvalidSyntax, InvalidValue, Mutability as MutabilityError};

#[test]
fn okta_create_is_stored_canonically() {
    let accepted = post(json!({
        "userName": "kit@example.com", "schemas": [USER], "id": "x", "meta": {"version": "1"},
        "name": {"givenName": "Kit", "familyName": "Moor"},
        "emails": [{"primary": true, "value": "Kit@example.com", "type": "work"}],
        "displayName": "Kit Moor", "locale": "en-US", "externalId": "00u1a2b3c4d5",
        "groups": [], "password": "s3cret", "active": true, "roles": [], "title": "", "nickName": null,
    }))
    .unwrap();
    assert_eq!(
        serde_json::to_string(&accepted.resource).unwrap(),
        format!(
            r#"{{"schemas":["{USER}"],"externalId":"00u1a2b3c4d5","userName":"kit@example.com","name":{{"familyName":"Moor","givenName":"Kit"}},"displayName":"Kit Moor","locale":"en-US","active":true,"emails":[{{"value":"Kit@example.com","type":"work","primary":true}}]}}"#
        )
    );
    assert_eq!((accepted.ignored.len(), accepted.coerced.len()), (0, 0));
}

#[test]
fn schemas_must_name_the_core_schema_if_they_are_there() {
    assert!(post(json!({"userName": "kit"})).is_ok());
    assert!(post(json!({"userName": "kit", "schemas": []})).is_ok());
    assert!(post(json!({"userName": "kit", "SCHEMAS": [USER.to_uppercase()]})).is_ok());
    assert_refused(json!({"schemas": [GROUP]}), InvalidSyntax, USER);
    assert_refused(json!({"schemas": [ENTERPRISE_USER]}), InvalidSyntax, USER);
    assert_refused(json!({"schemas": [1]}), InvalidValue, "schemas");
    let accepted = post(json!({"userName": "kit", "schemas": [USER, "urn:x", ENTERPRISE_USER]})).unwrap();
    assert_eq!(accepted.ignored, ["urn:x"]);
    assert_eq!(accepted.resource["schemas"], json!([USER]));
}

#[test]
fn extensions_are_found_in_any_case_and_put_into_schemas() {
    let accepted = post(json!({
        "userName": "kit",
        ENTERPRISE_USER.to_uppercase(): {"Department": "Pier", "costCenter": "", "nope": 1},
    }))
    .unwrap();
    assert_eq!(accepted.resource["schemas"], json!([USER, ENTERPRISE_USER]));
    assert_eq!(accepted.resource[ENTERPRISE_USER], json!({"department": "Pier"}));
    assert_eq!(accepted.ignored, [format!("{ENTERPRISE_USER}:nope")]);
    assert_eq!(stored(json!({ENTERPRISE_USER: {"department": null}})), json!({}));
    assert_eq!(stored(json!({ENTERPRISE_USER: null})), json!({}));
    assert_refused(json!({ENTERPRISE_USER: "x"}), InvalidValue, "enterprise");
}

#[test]
fn names_are_required_and_look_like_what_they_are() {
    for name in [
        json!(null),
        json!(""),
        json!("  "),
        json!(" kit"),
        json!("kit\n"),
        json!("k\u{200b}it"),
        json!("k\u{202e}it"),
        json!("\u{feff}kit"),
        json!("k\u{7}it"),
        json!("k\u{ad}it"),
        json!(1),
        json!("x".repeat(1001)),
    ] {
        assert_refused(json!({"userName": name}), InvalidValue, "userName");
        let group = create(schema::group(), object(json!({"displayName": name}))).unwrap_err();
        assert!(group.kind == InvalidValue && group.detail.contains("displayName"), "{group}");
    }
    assert!(post(json!({})).unwrap_err().detail.contains("userName"));
    assert!(post(json!({"userName": "José Ñandú 李 o'neil+x@example.com"})).is_ok());
    assert!(create(schema::group(), object(json!({"displayName": "Ops 🚀"}))).is_ok());
    // A user's displayName is no identifier.
    assert!(post(json!({"userName": "kit", "displayName": " Kit "})).is_ok());
}

#[test]
fn indexed_values_are_bounded() {
    let long = "é".repeat(501);
    for (body, name) in [
        (json!({"externalId": long}), "externalId"),
        (json!({"displayName": long}), "displayName"),
        (json!({"name": {"givenName": long}}), "name.givenName"),
        (json!({"emails": [{"value": "a"}, {"value": long}]}), "emails.value"),
    ] {
        assert_refused(body, InvalidValue, name);
    }
    assert!(post(json!({"userName": "é".repeat(500), "nickName": long})).is_ok());
}

#[test]
fn types_are_checked() {
    for (body, name) in [
        (json!({"externalId": 7}), "externalId"),
        (json!({"displayName": true}), "displayName"),
        (json!({"name": "Kit"}), "`name`"),
        (json!({"name": {"givenName": ["Kit"]}}), "name.givenName"),
        (json!({"active": "yes"}), "active"),
        (json!({"active": 1}), "active"),
        (json!({"emails": [{"value": 1}]}), "emails.value"),
        (json!({"emails": [5]}), "emails"),
        (json!({"emails": [["a@x"]]}), "emails"),
        (json!({"addresses": ["Main St"]}), "addresses"),
        (json!({"profileUrl": {}}), "profileUrl"),
        (json!({ENTERPRISE_USER: {"manager": 3}}), "manager"),
    ] {
        assert_refused(body, InvalidValue, name);
    }
}

#[test]
fn a_refusal_does_not_repeat_the_value() {
    assert!(!refused(json!({"active": "s3cret"})).detail.contains("s3cret"));
}

#[test]
fn booleans_may_be_text() {
    let accepted =
        post(json!({"userName": "kit", "active": "False", "roles": [{"value": "a", "primary": "TRUE"}]})).unwrap();
    assert_eq!(accepted.resource["active"], false);
    assert_eq!(accepted.resource["roles"], json!([{"value": "a", "primary": true}]));
    assert_eq!(accepted.coerced, [dialect::BOOLEAN_AS_STRING]);
}

#[test]
fn shapes_are_bent() {
    let accepted = post(json!({
        "userName": "kit",
        "emails": {"value": "a@x"},
        "phoneNumbers": ["1", null, ""],
        "roles": "admin",
        ENTERPRISE_USER: {"manager": "26"},
    }))
    .unwrap();
    assert_eq!(accepted.resource["emails"], json!([{"value": "a@x"}]));
    assert_eq!(accepted.resource["phoneNumbers"], json!([{"value": "1"}]));
    assert_eq!(accepted.resource["roles"], json!([{"value": "admin"}]));
    assert_eq!(accepted.resource[ENTERPRISE_USER]["manager"], json!({"value": "26"}));
    assert_eq!(accepted.coerced, [dialect::SINGLE_FOR_ARRAY, dialect::ELEMENT_AS_STRING, dialect::COMPLEX_AS_STRING]);
}

#[test]
fn what_says_nothing_is_unassigned() {
    assert_eq!(
        stored(json!({
            "name": {"givenName": "", "familyName": null},
            "emails": null,
            "phoneNumbers": [{}, {"value": "", "type": "work", "primary": true}],
            "photos": [{"value": null}],
            ENTERPRISE_USER: {"manager": {"value": "", "displayName": "x"}},
        })),
        json!({})
    );
    // A role without a value has a display.
    assert_eq!(stored(json!({"roles": [{"display": "x"}]})), json!({"roles": [{"display": "x"}]}));
}

#[test]
fn at_most_one_primary_and_a_thousand_values() {
    assert_refused(
        json!({"emails": [{"value": "a", "primary": true}, {"value": "b", "primary": "true"}]}),
        InvalidValue,
        "emails",
    );
    assert_refused(json!({"roles": vec!["x"; 1001]}), InvalidValue, "1000");
}

#[test]
fn other_types_than_the_canonical_ones_are_taken() {
    let emails = json!({"emails": [{"value": "a", "type": "Boat"}]});
    assert_eq!(stored(emails.clone()), emails);
}

#[test]
fn names_in_any_case_but_once() {
    assert_eq!(
        stored(json!({"NickName": "K", "EMAILS": [{"Value": "a", "PRIMARY": true}]})),
        json!({"nickName": "K", "emails": [{"value": "a", "primary": true}]})
    );
    for body in [
        json!({"title": "a", "Title": "a"}),
        json!({"name": {"givenName": "a", "givenname": "b"}}),
        json!({ENTERPRISE_USER: {"department": "a", "Department": "b"}}),
        json!({ENTERPRISE_USER: {}, ENTERPRISE_USER.to_lowercase(): {}}),
        json!({"schemas": [USER], "Schemas": [USER]}),
        // Also where the attribute is not stored.
        json!({"id": "a", "ID": "b"}),
    ] {
        assert_refused(body, InvalidSyntax, "twice");
    }
}

#[test]
fn unknown_names_are_left_out_and_told_twenty_of_them() {
    let mut body = object(json!({"userName": "kit", "emails": [{"value": "a", "x": 1}, {"value": "b", "x": 1}]}));
    for index in 0..30 {
        body.insert(format!("u{index}"), json!({"a": 1}));
    }
    body.insert("y".repeat(5000), json!(1));
    let accepted = create(schema::user(), body).unwrap();
    assert_eq!(accepted.ignored.len(), 20);
    assert_eq!(accepted.ignored[..2], ["emails.x", "u0"]);
    let long = post(json!({"userName": "kit", "y".repeat(5000): 1})).unwrap();
    assert_eq!(long.ignored[0].len(), 200);
}

#[test]
fn active_is_true_on_post_and_kept_on_put() {
    for body in [json!({"userName": "kit"}), json!({"userName": "kit", "active": null})] {
        assert_eq!(post(body.clone()).unwrap().resource["active"], true);
        let put = |current: Value| replace(schema::user(), object(body.clone()), &object(current)).unwrap().resource;
        assert_eq!(put(json!({"userName": "kit", "active": false}))["active"], false);
        assert_eq!(put(json!({"userName": "kit", "active": true}))["active"], true);
        assert_eq!(put(json!({"userName": "kit"})).get("active"), None);
    }
    let group = create(schema::group(), object(json!({"displayName": "Ops", "members": [{"value": "1"}]}))).unwrap();
    assert_eq!(Value::Object(group.resource), json!({"schemas": [GROUP], "displayName": "Ops"}));
}

#[test]
fn put_clears_what_is_omitted_and_takes_its_own_answer() {
    let current =
        post(json!({"userName": "kit", "title": "x", "active": false, "name": {"givenName": "Kit"}})).unwrap().resource;
    let mut echo = current.clone();
    echo.insert("id".to_owned(), json!("1"));
    echo.insert("meta".to_owned(), json!({"resourceType": "User", "version": "W/\"1\""}));
    echo.insert("groups".to_owned(), json!([{"value": "g"}]));
    assert_eq!(replace(schema::user(), echo, &current).unwrap().resource, current);
    let put = replace(schema::user(), object(json!({"userName": "Kit"})), &current).unwrap();
    assert_eq!(Value::Object(put.resource), json!({"schemas": [USER], "userName": "Kit", "active": false}));
    assert!(replace(schema::user(), object(json!({"title": "x"})), &current).is_err());
}

#[test]
fn immutable_values_stay() {
    let mut rt = schema::user().clone();
    for (attributes, name) in
        [(&mut rt.schema.attributes, "nickName"), (&mut rt.extensions[0].attributes, "employeeNumber")]
    {
        attributes.iter_mut().find(|a| a.name == name).unwrap().mutability = Mutability::Immutable;
    }
    let current = object(json!({"schemas": [USER, ENTERPRISE_USER], "userName": "kit", "nickName": "K",
            ENTERPRISE_USER: {"employeeNumber": "7"}}));
    let put = |body: Value| replace(&rt, object(body), &current);
    assert_eq!(put(json!({"userName": "kit", "nickName": "K"})).unwrap().resource, current);
    for body in [json!({"nickName": "L"}), json!({ENTERPRISE_USER: {"employeeNumber": "8"}})] {
        assert_eq!(put(body).unwrap_err().kind, MutabilityError);
    }
}

#[test]
fn keys_are_read_out() {
    let user = object(json!({
        "userName": "Kit", "externalId": "e", "active": false, "displayName": "Kit M",
        "name": {"givenName": "Kit", "familyName": "Moor"},
        "emails": [{"type": "home"}, {"value": "b@x"}, {"value": "A@x", "primary": true}],
    }));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        user_keys(&user),
        UserKeys {
            user_name: "Kit".to_owned(),
            external_id: text("e"),
            active: Some(false),
            display_name: text("Kit M"),
            given_name: text("Kit"),
            family_name: text("Moor"),
            emails: vec!["b@x".to_owned(), "A@x".to_owned()],
            primary_email: text("A@x"),
        }
    );
    let keys = user_keys(&object(json!({"userName": "k", "emails": [{"value": "b"}, {"value": "c"}]})));
    assert_eq!((keys.primary_email, keys.active), (text("b"), None));
    assert_eq!(user_keys(&object(json!({"userName": "k"}))).primary_email, None);
}

#[test]
fn the_search_document_is_folded_by_caseexact() {
    let user = post(json!({
        "userName": "STRASSE", "externalId": "ABC", "profileUrl": "https://X/", "name": {"givenName": "Éva"},
        "emails": [{"value": "A@X", "type": "Work", "primary": true}],
        ENTERPRISE_USER: {"department": "PIER", "manager": {"value": "AbC"}},
    }))
    .unwrap();
    assert_eq!(
        Value::Object(search_document(schema::user(), &user.resource)),
        json!({
            "userName": "strasse", "externalId": "ABC", "profileUrl": "https://X/", "name": {"givenName": "éva"},
            "active": true,
            "emails": [{"value": "a@x", "type": "work", "primary": true}],
            ENTERPRISE_USER: {"department": "pier", "manager": {"value": "AbC"}},
        })
    );
    let mut rt = schema::user().clone();
    rt.schema.attributes.iter_mut().find(|a| a.name == "nickName").unwrap().r#type = Type::DateTime;
    let search = |text: &str| search_document(&rt, &object(json!({"nickName": text})));
    assert_eq!(search("1970-01-01T01:00:01.5+01:00").get("nickName"), Some(&json!(1_500_000)));
    assert_eq!(search("soon").get("nickName"), None);
}

#[test]
fn what_folding_makes_too_long_for_an_index_is_refused() {
    let name = "\u{FDFA}".repeat(100);
    let error = create(schema::group(), object(json!({"displayName": name}))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidValue);
    assert!(error.detail.contains("too long"), "{error}");
}

/// Users of before the rule can be changed, above all deactivated, and keep their names.
#[test]
fn a_name_from_before_a_rule_stays_and_no_other_is_taken() {
    let old = object(json!({"schemas": [USER], "userName": "O’Brien ♚", "active": true}));
    let put = |name: &str| replace(schema::user(), object(json!({"userName": name, "active": false})), &old);
    assert_eq!(put("O’Brien ♚").unwrap().resource["active"], json!(false));
    assert_eq!(put("O'Brien").unwrap().resource["userName"], json!("O'Brien"));
    assert_eq!(put("O’Brien").unwrap_err().kind, ErrorKind::InvalidValue);
    let patch = |operation: Value| {
        let operations = crate::patch::parse(json!({"Operations": [operation]}).to_string().as_bytes()).unwrap();
        let mut after = old.clone();
        crate::patch::apply(schema::user(), &mut after, &operations).map(|_| after)
    };
    let deactivated = patch(json!({"op": "replace", "path": "active", "value": false})).unwrap();
    assert_eq!((&deactivated["userName"], &deactivated["active"]), (&json!("O’Brien ♚"), &json!(false)));
    assert!(patch(json!({"op": "replace", "path": "userName", "value": "♚"})).is_err());
}

#[test]
fn a_groups_name_may_hold_emoji_a_users_may_not() {
    let family = "👩\u{200D}👧 \u{2764}\u{FE0F}";
    assert!(create(schema::group(), object(json!({"displayName": family}))).is_ok());
    assert!(create(schema::user(), object(json!({"userName": family}))).is_err());
}
