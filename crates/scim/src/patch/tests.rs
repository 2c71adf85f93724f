use serde_json::{Value, json};

use super::*;
use crate::{
    dialect::*,
    resource,
    schema::{self, ENTERPRISE_USER, USER},
};

const WORK: &str = "emails[type eq \"work\"]";

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}"),
    }
}

fn user(mut body: Value) -> Object {
    if body.get("userName").is_none() {
        body["userName"] = "kit".into();
    }
    resource::create(schema::user(), object(body)).unwrap().resource
}

fn operations(operations: Value) -> Result<Vec<Operation>, Error> {
    parse(json!({"schemas": [PATCH_OP], "Operations": operations}).to_string().as_bytes())
}

struct Patched {
    user: Value,
    outcome: Outcome,
}

/// One operation, or several, on a user.
fn patch(on: Value, with: Value) -> Result<Patched, Error> {
    let before = user(on);
    let mut after = before.clone();
    let with = if with.is_array() { with } else { json!([with]) };
    match apply(schema::user(), &mut after, &operations(with)?) {
        Ok(outcome) => {
            assert_eq!(outcome.changed, after != before);
            Ok(Patched { user: Value::Object(after), outcome })
        }
        Err(error) => {
            assert_eq!(after, before, "a PATCH that fails changes nothing");
            Err(error)
        }
    }
}

#[track_caller]
fn assert_patched(on: Value, with: Value, name: &str, value: Value) -> Vec<&'static str> {
    let patched = patch(on, with).unwrap();
    assert_eq!(patched.user.get(name).cloned().unwrap_or_default(), value);
    patched.outcome.coerced
}

#[track_caller]
fn assert_refused(on: Value, with: Value, kind: ErrorKind) -> String {
    let error = patch(on, with).map(|p| p.user).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    error.detail
}

fn two() -> Value {
    json!({"emails": [{"value": "w@x", "type": "work", "primary": true}, {"value": "h@x", "type": "home"}]})
}

mod envelope {
    use super::*;

    fn refused(body: Value, kind: ErrorKind, word: &str) {
        let error = parse(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.detail.contains(word), "{error}");
    }

    #[test]
    fn names_and_ops_in_any_case_and_more_keys_than_known() {
        let body = json!({"SCHEMAS": [PATCH_OP.to_lowercase()], "operations": [
            {"name": "addMember", "OP": "Add", "Path": "title", "VALUE": "x"},
            {"op": "REMOVE", "path": "title", "value": null},
            {"op": "replace", "path": "", "value": {}},
        ]});
        let read = |op, path: Option<&str>, value| Operation { op, path: path.map(str::to_owned), value };
        assert_eq!(
            parse(body.to_string().as_bytes()).unwrap(),
            [
                read(Op::Add, Some("title"), Some(json!("x"))),
                read(Op::Remove, Some("title"), Some(Value::Null)),
                read(Op::Replace, None, Some(json!({}))),
            ]
        );
        assert!(parse(br#"{"Operations":[{"op":"add","path":"title","value":"x"}]}"#).is_ok());
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        refused(json!({"schemas": [USER], "Operations": [{"op": "add"}]}), ErrorKind::InvalidSyntax, "PatchOp");
        for body in
            [json!({}), json!({"Operations": []}), json!({"Operations": {"op": "add"}}), json!({"Operations": null})]
        {
            refused(body, ErrorKind::InvalidSyntax, "Operations");
        }
        for (operation, word) in [
            (json!({"op": "move"}), "move"),
            (json!({"path": "x"}), "`op`"),
            (json!({"op": 1}), "`op`"),
            (json!("add"), "object"),
            (json!({"op": "add", "path": 1}), "path"),
            (json!({"op": "add", "Op": "add"}), "twice"),
        ] {
            let good = json!({"op": "add", "path": "title", "value": "x"});
            refused(json!({"Operations": [good, operation]}), ErrorKind::InvalidSyntax, word);
        }
        assert_eq!(parse(b"junk").unwrap_err().kind, ErrorKind::InvalidSyntax);
    }

    #[test]
    fn a_thousand_operations() {
        let body = |count| json!({"Operations": vec![json!({"op": "remove", "path": "title"}); count]});
        assert_eq!(parse(body(1000).to_string().as_bytes()).unwrap().len(), 1000);
        refused(body(1001), ErrorKind::TooMany, "1001");
    }
}

mod rfc {
    use super::*;

    #[test]
    fn add_without_path() {
        let patched = patch(
            json!({"emails": [{"value": "a@x", "type": "work"}]}),
            json!({"op": "add", "value": {"emails": [{"value": "babs@jensen.org", "type": "home"}], "nickname": "Babs"}}),
        )
        .unwrap();
        assert_eq!(
            patched.user["emails"],
            json!([{"value": "a@x", "type": "work"}, {"value": "babs@jensen.org", "type": "home"}])
        );
        assert_eq!(patched.user["nickName"], "Babs");
        assert_eq!(patched.outcome, Outcome { changed: true, ..Outcome::default() });
    }

    #[test]
    fn adding_what_is_there_changes_nothing() {
        for operation in [
            json!({"op": "add", "path": "emails", "value": [{"value": "H@x", "type": "Home"}]}),
            json!({"op": "add", "path": "emails", "value": [{"value": "h@x"}]}),
            json!({"op": "add", "path": "userName", "value": "kit"}),
            json!({"op": "add", "path": "emails", "value": []}),
            json!({"op": "replace", "value": {"active": true}}),
            json!({"op": "replace", "value": {}}),
        ] {
            let patched = patch(two(), operation.clone()).unwrap();
            let emails = json!(patched.user["emails"].as_array().unwrap().len());
            // The first one writes the value in other case.
            assert_eq!(emails, 2, "{operation}");
        }
        assert!(
            !patch(two(), json!({"op": "add", "path": "emails", "value": {"value": "w@x"}})).unwrap().outcome.changed
        );
        let address = json!({"addresses": [{"locality": "Ulm", "type": "work"}]});
        let again = json!({"op": "add", "path": "addresses", "value": address["addresses"]});
        assert!(!patch(address, again).unwrap().outcome.changed);
    }

    #[test]
    fn one_value_under_two_types_is_two() {
        let added = json!({"op": "add", "path": "emails", "value": [{"value": "w@x", "type": "other"}]});
        assert_eq!(patch(two(), added).unwrap().user["emails"].as_array().unwrap().len(), 3);
    }

    /// RFC 7643 section 2.4, also for an element that was given another's value or type.
    #[test]
    fn elements_that_become_the_same_are_one() {
        let work = json!({"value": "w@x", "type": "work", "primary": true});
        for with in [
            json!({"op": "replace", "path": "emails[type eq \"home\"]", "value": {"value": "w@x", "type": "work"}}),
            json!({"op": "add", "path": "emails[value eq \"h@x\"]", "value": {"value": "w@x", "type": "work"}}),
            json!([
                {"op": "replace", "path": "emails[type eq \"home\"].value", "value": "w@x"},
                {"op": "replace", "path": "emails[type eq \"home\"].type", "value": "work"},
            ]),
        ] {
            assert_patched(two(), with, "emails", json!([work]));
        }
        let other =
            json!({"op": "add", "path": "emails[type eq \"other\"]", "value": {"value": "w@x", "type": "work"}});
        assert!(!patch(two(), other).unwrap().outcome.changed);
    }

    #[test]
    fn remove_with_a_filter() {
        assert_patched(
            two(),
            json!({"op": "remove", "path": "emails[type eq \"work\" and value ew \"x\"]"}),
            "emails",
            json!([{"value": "h@x", "type": "home"}]),
        );
        assert_patched(two(), json!({"op": "remove", "path": "emails[value pr]"}), "emails", json!(null));
        assert_patched(two(), json!({"op": "remove", "path": "emails"}), "emails", json!(null));
        assert_patched(
            two(),
            json!({"op": "remove", "path": "emails[type eq \"work\"].primary"}),
            "emails",
            json!([{"value": "w@x", "type": "work"}, {"value": "h@x", "type": "home"}]),
        );
        for path in [
            "emails[type eq \"other\"]",
            "emails[type eq \"other\"].value",
            "title",
            "name.givenName",
            "emails.display",
        ] {
            assert!(!patch(two(), json!({"op": "remove", "path": path})).unwrap().outcome.changed, "{path}");
        }
    }

    #[test]
    fn replace_an_address() {
        let address = json!({"type": "work", "streetAddress": "911 Universal City Plaza", "locality": "Hollywood"});
        assert_patched(
            json!({"addresses": [{"type": "work", "region": "CA"}, {"type": "home", "region": "NY"}]}),
            json!({"op": "replace", "path": "addresses[type eq \"work\"]", "value": address}),
            "addresses",
            json!([address, {"type": "home", "region": "NY"}]),
        );
        assert_patched(
            json!({"addresses": [{"type": "work", "region": "CA"}]}),
            json!({"op": "replace", "path": "addresses[type eq \"work\"].streetAddress", "value": "1010 Broadway Ave"}),
            "addresses",
            json!([{"type": "work", "region": "CA", "streetAddress": "1010 Broadway Ave"}]),
        );
    }

    #[test]
    fn a_replaced_element_stays_what_the_filter_says() {
        assert_patched(
            two(),
            json!({"op": "replace", "path": WORK, "value": {"value": "n@x"}}),
            "emails",
            json!([{"value": "n@x", "type": "work"}, {"value": "h@x", "type": "home"}]),
        );
        assert_patched(
            two(),
            json!({"op": "replace", "path": "emails[value pr]", "value": {"value": "n@x"}}),
            "emails",
            json!([{"value": "n@x"}]),
        );
    }

    #[test]
    fn replace_a_multi_valued_attribute() {
        let emails = json!([{"value": "bjensen@example.com", "type": "work", "primary": true}, {"value": "babs@jensen.org", "type": "home"}]);
        let patched = patch(two(), json!({"op": "replace", "value": {"emails": emails, "nickname": "Babs"}})).unwrap();
        assert_eq!(patched.user["emails"], emails);
        for value in [json!([]), json!(null), json!("")] {
            assert_patched(two(), json!({"op": "replace", "path": "emails", "value": value}), "emails", json!(null));
        }
    }

    #[test]
    fn complex_attributes_are_merged() {
        for op in ["add", "replace"] {
            assert_patched(
                json!({"name": {"givenName": "Kit", "middleName": "M"}}),
                json!({"op": op, "path": "name", "value": {"GivenName": "Cat", "familyName": "Moor", "middleName": null}}),
                "name",
                json!({"familyName": "Moor", "givenName": "Cat"}),
            );
            assert_patched(
                json!({}),
                json!({"op": op, "path": "name.familyName", "value": "Moor"}),
                "name",
                json!({"familyName": "Moor"}),
            );
        }
        let kit = || json!({"name": {"givenName": "Kit"}});
        assert_patched(kit(), json!({"op": "remove", "path": "name.givenName"}), "name", json!(null));
        assert_patched(kit(), json!({"op": "replace", "path": "name", "value": null}), "name", json!(null));
        assert_patched(kit(), json!({"op": "add", "path": "name", "value": {}}), "name", json!({"givenName": "Kit"}));
    }

    #[test]
    fn a_new_primary_demotes_the_old() {
        let demoted = json!([{"value": "w@x", "type": "work", "primary": false}, {"value": "h@x", "type": "home", "primary": true}]);
        for operation in [
            json!({"op": "add", "path": "emails[type eq \"home\"].primary", "value": true}),
            json!({"op": "replace", "path": "emails[value eq \"h@x\"]", "value": {"value": "h@x", "type": "home", "primary": true}}),
            json!({"op": "add", "path": "emails", "value": [{"value": "h@x", "type": "home", "primary": "True"}]}),
        ] {
            assert_patched(two(), operation, "emails", demoted.clone());
        }
        let added = json!({"op": "add", "path": "emails", "value": [{"value": "o@x", "primary": true}]});
        let patched = patch(two(), added).unwrap();
        assert_eq!(
            (&patched.user["emails"][0]["primary"], &patched.user["emails"][2]["primary"]),
            (&json!(false), &json!(true))
        );
        for operation in [
            json!({"op": "add", "path": "emails[value pr].primary", "value": true}),
            json!({"op": "add", "path": "emails", "value": [{"value": "o", "primary": true}, {"value": "p", "primary": true}]}),
        ] {
            let on = json!({"emails": [{"value": "a"}, {"value": "b"}]});
            assert_refused(on, operation, ErrorKind::InvalidValue);
        }
    }

    #[test]
    fn no_target() {
        for (op, path) in [
            ("replace", "emails[value eq \"z\"]"),
            ("replace", "emails[value eq \"z\"].display"),
            ("replace", "emails[type eq \"boat\"].value"),
            ("replace", "emails[type eq \"other\" and primary eq true].value"),
            ("replace", "roles[primary eq \"True\"].display"),
            ("add", "emails[type ne \"work\" and type ne \"home\"].value"),
            ("add", "emails[type eq \"other\" or type eq \"boat\"].value"),
        ] {
            let value = if path.ends_with(']') { json!({"value": "x"}) } else { json!("x") };
            assert_refused(two(), json!({"op": op, "path": path, "value": value}), ErrorKind::NoTarget);
        }
        assert_refused(two(), json!({"op": "remove"}), ErrorKind::NoTarget);
        assert_refused(two(), json!({"op": "remove", "value": {"title": "x"}}), ErrorKind::NoTarget);
    }

    #[test]
    fn mutability() {
        for (op, path) in [
            ("replace", "id"),
            ("add", "meta.created"),
            ("remove", "groups"),
            ("add", "groups[value eq \"1\"]"),
            ("replace", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName"),
            ("remove", "userName"),
            ("remove", "urn:ietf:params:scim:schemas:core:2.0:User:username"),
        ] {
            assert_refused(two(), json!({"op": op, "path": path, "value": "x"}), ErrorKind::Mutability);
        }
        let patched =
            patch(two(), json!({"op": "replace", "value": {"id": "x", "meta": {"a": 1}, "groups": [], "title": "T"}}))
                .unwrap();
        assert_eq!(patched.user["title"], "T");
        assert!(patched.user.get("id").is_none() && patched.outcome.ignored.is_empty());
    }

    #[test]
    fn invalid_paths() {
        for path in [
            "nope",
            "name.nope",
            "userName.x",
            "emails[type eq \"work\"",
            "emails[type eq \"work\"]value",
            "emails[type eq \"work\"].nope",
            "emails[type eq \"work\"].value.x",
            "nope[type eq \"work\"]",
            "name[givenName eq \"a\"]",
            "userName[value eq \"a\"]",
            "emails.value[type eq \"work\"]",
            "urn:x:y",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:nope",
            "]",
            "[",
            ".",
            "emails]",
            "__proto__",
        ] {
            assert_refused(two(), json!({"op": "add", "path": path, "value": "x"}), ErrorKind::InvalidPath);
        }
        for path in ["emails[]", "emails[type]", "emails[nope eq \"x\"]", "emails[type eq work]"] {
            assert_refused(two(), json!({"op": "remove", "path": path}), ErrorKind::InvalidFilter);
        }
    }

    #[test]
    fn invalid_values() {
        for (path, value) in [
            ("active", json!("maybe")),
            ("title", json!(1)),
            ("title", json!({"a": 1})),
            ("title", json!(["a", "b"])),
            ("name", json!("Kit")),
            ("emails", json!([1])),
            ("emails[type eq \"work\"]", json!(1)),
            ("emails[type eq \"work\"].value", json!(1)),
            ("addresses[type eq \"work\"]", json!("Main St")),
            ("userName", json!("")),
            ("userName", json!(null)),
            ("userName", json!(" kit")),
            ("externalId", json!("x".repeat(1001))),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", json!("x")),
        ] {
            let on = json!({"addresses": [{"type": "work"}], "emails": [{"type": "work", "value": "a"}]});
            assert_refused(on, json!({"op": "replace", "path": path, "value": value}), ErrorKind::InvalidValue);
        }
        for value in [json!("x"), json!(null), json!([])] {
            assert_refused(two(), json!({"op": "replace", "value": value}), ErrorKind::InvalidValue);
        }
        assert_refused(two(), json!({"op": "add", "path": "title"}), ErrorKind::InvalidValue);
        assert_refused(two(), json!({"op": "add"}), ErrorKind::InvalidValue);
        assert_refused(two(), json!({"op": "add", "value": {"title": "a", "Title": "b"}}), ErrorKind::InvalidSyntax);
    }

    #[test]
    fn all_or_nothing_in_order() {
        let detail = assert_refused(
            two(),
            json!([{"op": "add", "path": "title", "value": "x"}, {"op": "add", "path": "nope", "value": "x"}]),
            ErrorKind::InvalidPath,
        );
        assert!(detail.contains("nope"));
        let there_and_back = json!([
            {"op": "add", "path": "title", "value": "x"}, {"op": "remove", "path": "title"},
            {"op": "remove", "path": "emails"}, {"op": "add", "path": "emails", "value": two()["emails"]},
        ]);
        assert!(!patch(two(), there_and_back).unwrap().outcome.changed);
    }

    #[test]
    fn active_can_be_absent() {
        assert_patched(two(), json!({"op": "remove", "path": "active"}), "active", json!(null));
    }

    #[test]
    fn a_filter_may_hold_brackets_and_quotes() {
        let on = json!({"roles": [{"value": "a]\"[.b"}, {"value": "c"}]});
        assert_patched(
            on,
            json!({"op": "add", "path": "roles[value eq \"a]\\\"[.b\"].display", "value": "x"}),
            "roles",
            json!([{"value": "a]\"[.b", "display": "x"}, {"value": "c"}]),
        );
    }

    #[test]
    fn a_sub_attribute_of_several_values_needs_a_filter() {
        assert_refused(two(), json!({"op": "replace", "path": "emails.value", "value": "x"}), ErrorKind::InvalidPath);
        let one = json!([{"value": "x"}]);
        assert_patched(json!({}), json!({"op": "add", "path": "emails.value", "value": "x"}), "emails", one.clone());
        assert_patched(
            json!({"emails": "a"}),
            json!({"op": "replace", "path": "emails.value", "value": "x"}),
            "emails",
            one,
        );
        assert_patched(
            two(),
            json!({"op": "remove", "path": "emails.type"}),
            "emails",
            json!([{"value": "w@x", "primary": true}, {"value": "h@x"}]),
        );
    }

    #[test]
    fn immutable_attributes_are_set_once() {
        let mut rt = schema::user().clone();
        rt.schema.attributes.iter_mut().find(|a| a.name == "title").unwrap().mutability = schema::Mutability::Immutable;
        let mut resource = user(json!({}));
        let mut set = |value: &str| {
            let operations = operations(json!([{"op": "replace", "path": "title", "value": value}])).unwrap();
            apply(&rt, &mut resource, &operations).map(|o| o.changed).map_err(|e| e.kind)
        };
        assert_eq!(set("x"), Ok(true));
        assert_eq!(set("x"), Ok(false));
        assert_eq!(set("y"), Err(ErrorKind::Mutability));
    }
}

mod extensions {
    use super::*;

    fn pier() -> Value {
        json!({ENTERPRISE_USER: {"department": "Pier", "manager": {"value": "1", "$ref": "../Users/1"}}})
    }

    fn path(name: &str) -> String {
        format!("{ENTERPRISE_USER}:{name}")
    }

    #[test]
    fn schemas_follow_the_values() {
        let added = json!({"op": "add", "path": path("department"), "value": "Pier"});
        assert_patched(json!({}), added, "schemas", json!([USER, ENTERPRISE_USER]));
        let removed = json!([{"op": "remove", "path": path("Department")}, {"op": "remove", "path": path("manager")}]);
        let patched = patch(pier(), removed).unwrap().user;
        assert_eq!((&patched["schemas"], patched.get(ENTERPRISE_USER)), (&json!([USER]), None));
        let stated = json!([{"op": "add", "path": "schemas", "value": ["urn:x"]}, {"op": "add", "value": {"schemas": ["urn:x"]}}]);
        assert!(!patch(json!({}), stated).unwrap().outcome.changed);
    }

    #[test]
    fn a_whole_extension_is_a_path_or_a_key() {
        let value = json!({"Division": "D", "department": "", "nope": 1});
        for operation in [
            json!({"op": "replace", "path": ENTERPRISE_USER, "value": value}),
            json!({"op": "add", "path": ENTERPRISE_USER.to_lowercase(), "value": value}),
            json!({"op": "replace", "value": {ENTERPRISE_USER: value}}),
        ] {
            let patched = patch(pier(), operation).unwrap();
            assert_eq!(
                patched.user[ENTERPRISE_USER],
                json!({"division": "D", "manager": {"value": "1", "$ref": "../Users/1"}})
            );
            assert_eq!(patched.outcome.ignored, [path("nope")]);
        }
        for operation in [
            json!({"op": "remove", "path": ENTERPRISE_USER}),
            json!({"op": "replace", "path": ENTERPRISE_USER, "value": null}),
            json!({"op": "replace", "value": {ENTERPRISE_USER: null}}),
        ] {
            assert_patched(pier(), operation, ENTERPRISE_USER, json!(null));
        }
    }

    #[test]
    fn the_core_urn_is_a_path_or_a_prefix() {
        for operation in [
            json!({"op": "add", "path": USER, "value": {"title": "T"}}),
            json!({"op": "add", "path": format!("{USER}:title"), "value": "T"}),
            json!({"op": "add", "value": {format!("{USER}:title"): "T"}}),
            json!({"op": "add", "value": {USER: {"title": "T"}}}),
        ] {
            assert_patched(json!({}), operation, "title", json!("T"));
        }
        assert_refused(json!({}), json!({"op": "remove", "path": USER}), ErrorKind::NoTarget);
    }

    #[test]
    fn managers_in_every_form() {
        for (op, value, coerced) in [
            ("Add", json!("26"), Some(COMPLEX_AS_STRING)),
            ("Replace", json!("26"), Some(COMPLEX_AS_STRING)),
            ("Replace", json!({"value": "26"}), None),
            ("Replace", json!([{"value": "26"}]), Some(ARRAY_FOR_SINGLE)),
        ] {
            let patched = patch(pier(), json!({"op": op, "path": path("manager"), "value": value})).unwrap();
            // The old $ref would point to the old manager.
            assert_eq!(patched.user[ENTERPRISE_USER]["manager"], json!({"value": "26"}));
            assert_eq!(patched.outcome.coerced.first().copied(), coerced);
        }
        for operation in [
            json!({"op": "Remove", "path": path("manager")}),
            json!({"op": "Replace", "path": path("manager"), "value": {"value": ""}}),
            json!({"op": "Replace", "path": path("manager"), "value": ""}),
            json!({"op": "Replace", "path": path("manager"), "value": null}),
            json!({"op": "Replace", "path": path("manager.value"), "value": ""}),
            json!({"op": "Replace", "value": {path("manager"): ""}}),
        ] {
            assert_patched(pier(), operation, ENTERPRISE_USER, json!({"department": "Pier"}));
        }
        assert!(!patch(pier(), json!({"op": "add", "path": path("manager"), "value": "1"})).unwrap().outcome.changed);
    }
}

mod clients;

proptest::proptest! {
    #[test]
    fn no_path_makes_it_panic(path in "(emails|name|roles|urn:x|[a-z\\[\\]\\.\"\\\\é ]{0,8}){0,2}(\\[[a-z \"\\\\\\]é]{0,12}\\]?)?(\\.[a-z]{0,5})?") {
        for op in [Op::Add, Op::Remove, Op::Replace] {
            let operation = Operation { op, path: Some(path.clone()), value: Some(json!("x")) };
            let _ = apply(schema::user(), &mut user(two()), &[operation]);
        }
    }

    #[test]
    fn what_comes_out_is_a_stored_form(
        steps in proptest::collection::vec((0usize..3, 0usize..PATHS.len(), 0usize..VALUES.len()), 1..6),
    ) {
        let mut resource = user(two());
        for (op, path, value) in steps {
            let value = serde_json::from_str(VALUES[value]).unwrap();
            let path = (!PATHS[path].is_empty()).then(|| PATHS[path].to_owned());
            let operation = Operation { op: [Op::Add, Op::Remove, Op::Replace][op], path, value: Some(value) };
            let before = resource.clone();
            let outcome = apply(schema::user(), &mut resource, &[operation]);
            proptest::prop_assert_eq!(outcome.is_ok_and(|o| o.changed), resource != before);
            let again = resource::replace(schema::user(), resource.clone(), &resource).unwrap();
            proptest::prop_assert!(again.ignored.is_empty() && again.coerced.is_empty());
            proptest::prop_assert_eq!(
                serde_json::to_string(&again.resource).unwrap(),
                serde_json::to_string(&resource).unwrap()
            );
        }
    }
}

const PATHS: &[&str] = &[
    "",
    "title",
    "active",
    "name",
    "name.givenName",
    "emails",
    "emails.value",
    "emails[type eq \"work\"]",
    "emails[type eq \"other\"].value",
    "emails[primary eq true].primary",
    "emails[value pr].type",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
];

const VALUES: &[&str] = &[
    "null",
    "\"\"",
    "\"x\"",
    "\"True\"",
    "false",
    "[]",
    "{}",
    r#"{"value":"x","primary":true}"#,
    r#"[{"value":"W@x","type":"work","primary":true},{"type":"home"}]"#,
    r#"{"value":"","type":"work"}"#,
    r#"[{"$ref":null,"value":"Ana"}]"#,
    r#"{"givenName":"G","familyName":null}"#,
    r#"{"title":"T","name.givenName":"G","emails":[{"value":"z@x","primary":true}],"manager":"1"}"#,
    r#"{"department":"D","manager":"2"}"#,
];

#[test]
fn values_that_become_the_same_are_one() {
    let on = json!({"emails": [
        {"value": "a@x", "type": "home", "display": "A"},
        {"value": "b@x", "type": "home", "primary": true},
        {"value": "c@x", "type": "work"},
    ]});
    let home = json!({"op": "replace", "path": "emails[type eq \"home\"].value", "value": "c@x"});
    let one = json!({"value": "c@x", "display": "A", "type": "home", "primary": true});
    assert_patched(on.clone(), home, "emails", json!([one, {"value": "c@x", "type": "work"}]));
    let moved = json!({"op": "replace", "path": "emails[value eq \"c@x\"].value", "value": "b@x"});
    let moved = json!([moved, {"op": "replace", "path": "emails[type eq \"work\"].type", "value": "home"}]);
    let expected =
        json!([{"value": "a@x", "display": "A", "type": "home"}, {"value": "b@x", "type": "home", "primary": true}]);
    assert_patched(on, moved, "emails", expected);
}
