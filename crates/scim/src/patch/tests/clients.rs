//! Requests as identity providers send them.

use super::*;

mod okta {
    use super::*;

    #[test]
    fn deactivation_and_password() {
        assert_patched(json!({}), json!({"op": "replace", "value": {"active": false}}), "active", json!(false));
        for operation in [
            json!({"op": "replace", "value": {"password": "s3cret"}}),
            json!({"op": "replace", "path": "password", "value": "s3cret"}),
            json!({"op": "remove", "path": "password"}),
        ] {
            let patched = patch(json!({}), operation).unwrap();
            assert_eq!(patched.outcome, Outcome::default());
        }
    }

    #[test]
    fn a_group_is_renamed_with_its_id() {
        let rt = schema::group();
        let mut group = resource::create(rt, object(json!({"displayName": "Dev"}))).unwrap().resource;
        let rename = operations(json!([{"op": "replace", "value": {"id": "g1", "displayName": "Ops"}}])).unwrap();
        assert!(apply(rt, &mut group, &rename).unwrap().changed);
        assert!(!apply(rt, &mut group, &rename).unwrap().changed);
        assert_eq!(group["displayName"], "Ops");
        let remove = operations(json!([{"op": "remove", "path": "displayName"}])).unwrap();
        assert_eq!(apply(rt, &mut group, &remove).unwrap_err().kind, ErrorKind::Mutability);
    }
}

mod entra {
    use super::*;

    #[test]
    fn booleans_as_text() {
        for text in ["False", "false", "FALSE"] {
            let coerced = assert_patched(
                json!({}),
                json!({"op": "Replace", "path": "active", "value": text}),
                "active",
                json!(false),
            );
            assert_eq!(coerced, [BOOLEAN_AS_STRING]);
        }
    }

    #[test]
    fn add_makes_the_missing_element() {
        let home = || json!({"emails": [{"value": "h@x", "type": "home"}]});
        let coerced = assert_patched(
            home(),
            json!({"op": "Add", "path": "emails[type eq \"work\"].value", "value": "ana@x"}),
            "emails",
            json!([{"value": "h@x", "type": "home"}, {"value": "ana@x", "type": "work"}]),
        );
        assert_eq!(coerced, [ADD_TO_MISSING_ELEMENT]);
        assert_patched(
            json!({}),
            json!({"op": "Add", "path": "emails[type eq \"WORK\" and primary eq true].value", "value": "ana@x"}),
            "emails",
            json!([{"value": "ana@x", "type": "work", "primary": true}]),
        );
        assert_patched(
            json!({}),
            json!({"op": "Add", "path": "roles[primary eq \"True\"].display", "value": "Admin"}),
            "roles",
            json!([{"display": "Admin", "primary": true}]),
        );
        // A value that is not canonical is kept as it was sent.
        assert_patched(
            json!({}),
            json!({"op": "Add", "path": "emails[type eq \"Boat\"]", "value": {"value": "b@x"}}),
            "emails",
            json!([{"value": "b@x", "type": "Boat"}]),
        );
        assert_patched(
            home(),
            json!({"op": "Add", "path": "emails[type eq \"work\"].value", "value": ""}),
            "emails",
            home()["emails"].clone(),
        );
    }

    /// What the filter says is held to the attribute's type, as any value.
    #[test]
    fn the_missing_element_is_a_valid_one() {
        let add = |path: &str| json!({"op": "Add", "path": path, "value": "x"});
        assert_refused(json!({}), add("emails[type eq \"\"].value"), ErrorKind::NoTarget);
        assert_refused(json!({}), add("x509Certificates[value eq \"!\"].display"), ErrorKind::InvalidValue);
        assert_patched(
            json!({}),
            add("x509Certificates[value eq \"YWI=\"].display"),
            "x509Certificates",
            json!([{"value": "YWI=", "display": "x"}]),
        );
    }

    #[test]
    fn several_adds_fill_one_element() {
        let add = |sub: &str, value: &str| json!({"op": "Add", "path": format!("addresses[type eq \"work\"].{sub}"), "value": value});
        assert_patched(
            json!({}),
            json!([add("locality", "Ulm"), add("country", "DE")]),
            "addresses",
            json!([{"locality": "Ulm", "country": "DE", "type": "work"}]),
        );
    }

    #[test]
    fn replace_makes_it_for_canonical_types_only() {
        let coerced = assert_patched(
            json!({}),
            json!({"op": "Replace", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"}),
            "phoneNumbers",
            json!([{"value": "1", "type": "mobile"}]),
        );
        assert_eq!(coerced, [REPLACE_MISSING_ELEMENT]);
        let unknown = json!({"op": "Replace", "path": "phoneNumbers[type eq \"boat\"].value", "value": "1"});
        assert_refused(json!({}), unknown, ErrorKind::NoTarget);
    }

    #[test]
    fn removing_the_value_removes_the_element() {
        for operation in [
            json!({"op": "Remove", "path": "emails[type eq \"work\"].value"}),
            json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": ""}),
            json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": null}),
        ] {
            assert_patched(two(), operation, "emails", json!([{"value": "h@x", "type": "home"}]));
        }
    }

    #[test]
    fn remove_by_value() {
        for value in [
            json!([{"value": "W@x", "$ref": null}]),
            json!([{"value": "w@x", "type": "work"}, {"value": "z@x"}]),
            json!({"value": "w@x"}),
            json!("w@x"),
        ] {
            let coerced = assert_patched(
                two(),
                json!({"op": "Remove", "path": "emails", "value": value}),
                "emails",
                json!([{"value": "h@x", "type": "home"}]),
            );
            assert!(coerced.contains(&REMOVE_BY_VALUE));
        }
        for value in [json!([]), json!([{"value": "z@x"}]), json!([{"value": "w@x", "type": "home"}]), json!([{}])] {
            let operation = json!({"op": "Remove", "path": "emails", "value": value});
            assert!(!patch(two(), operation).unwrap().outcome.changed);
        }
    }

    #[test]
    fn an_array_for_a_single_value() {
        let value = json!([{"$ref": null, "value": "Ana"}]);
        for (path, name, result) in
            [("displayName", "displayName", json!("Ana")), ("name.givenName", "name", json!({"givenName": "Ana"}))]
        {
            let coerced =
                assert_patched(json!({}), json!({"op": "Replace", "path": path, "value": value}), name, result);
            assert_eq!(coerced, [ARRAY_FOR_SINGLE]);
        }
    }

    #[test]
    fn dialect_b_with_paths_as_keys() {
        let patched = patch(
            two(),
            json!([
                {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "ana@new"},
                {"op": "replace", "value": {"displayName": "Ana M", "name.givenName": "Ana", "name.familyName": "M",
                    format!("{ENTERPRISE_USER}:department"): "Pier", "emails[type eq \"home\"].value": "h@new",
                    "nope": 1, "nope.nope": 1}},
            ]),
        )
        .unwrap();
        assert_eq!(patched.user["name"], json!({"familyName": "M", "givenName": "Ana"}));
        assert_eq!(patched.user[ENTERPRISE_USER], json!({"department": "Pier"}));
        assert_eq!(patched.user["emails"][0], json!({"value": "ana@new", "type": "work", "primary": true}));
        assert_eq!(patched.user["emails"][1]["value"], "h@new");
        assert!(patched.user.get("name.givenName").is_none());
        assert_eq!(patched.outcome.ignored, ["nope", "nope.nope"]);
        assert_eq!(patched.outcome.coerced, [PATH_AS_KEY]);
    }
}
