//! Groups, JSON, folding, projection and cost, through the public API: security.md b 4, 5, 17, 27, 28, 33.

#![expect(clippy::expect_used, reason = "test helpers fail the test that calls them")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use scim::{
    ErrorKind, Object, fold, group,
    group::Change,
    json as strict, patch,
    project::Projection,
    resource,
    schema::{self, Mutability, Type},
};
use serde_json::{Value, json};

const A: &str = "01920000-0000-7000-8000-00000000000a";
const B: &str = "01920000-0000-7000-8000-00000000000b";

fn object(value: Value) -> Object {
    value.as_object().expect("an object").clone()
}

fn lower(operations: Value) -> Result<Vec<Change>, scim::Error> {
    group::lower(patch::parse(json!({"Operations": operations}).to_string().as_bytes())?)
}

/// What `json::parse_object` refuses, `group::parse` should refuse too, wherever it stands.
#[test]
fn members_are_as_strict_as_others() {
    for body in [
        format!(r#"{{"members":[{{"value":"{A}","display":"a","display":"b"}}]}}"#),
        format!(r#"{{"members":[{{"value":"{A}","display":"x\u0000"}}]}}"#),
        format!(r#"{{"members":[{{"value":"{A}","display":"\ud800"}}]}}"#),
        format!(r#"{{"members":[{{"value":"{A}","x":{}1{}}}]}}"#, "[".repeat(70), "]".repeat(70)),
    ] {
        assert_eq!(strict::parse_object(body.as_bytes()).expect_err(&body).kind, ErrorKind::InvalidSyntax);
        assert!(group::parse(body.as_bytes()).is_err(), "{body}");
    }
}

/// security.md b 17, idp-clients 1.10 and 2.3: no odd form empties a group.
#[test]
fn only_a_plain_request_empties_a_group() {
    for operation in [
        json!({"op": "remove", "path": "members"}),
        json!({"op": "replace", "path": "members", "value": []}),
        json!({"op": "replace", "value": {"members": []}}),
        json!({"op": "replace", "value": {"members": null}}),
    ] {
        assert_eq!(lower(json!([operation])), Ok(vec![Change::ReplaceMembers(vec![])]), "{operation}");
    }
    for operation in [
        json!({"op": "remove", "path": "members", "value": []}),
        json!({"op": "remove", "path": "members", "value": [{"display": "x"}]}),
        json!({"op": "remove", "path": "members", "value": [{"value": ""}]}),
        json!({"op": "remove", "path": "members", "value": {}}),
        json!({"op": "remove", "path": "members", "value": ""}),
        json!({"op": "remove", "path": "members[value eq \"\"]"}),
        json!({"op": "remove", "path": "members[]"}),
        json!({"op": "remove", "path": "members["}),
        json!({"op": "remove", "path": "members]"}),
        json!({"op": "remove", "path": "members.value"}),
        json!({"op": "remove", "path": "members[value eq \"x\"].value"}),
        json!({"op": "remove", "value": {"members": []}}),
        json!({"op": "replace", "path": "members", "value": [{"display": "x"}]}),
        json!({"op": "replace", "path": "members", "value": [null]}),
        json!({"op": "replace", "path": "members", "value": [[]]}),
        json!({"op": "replace", "path": "members", "value": ""}),
        json!({"op": "replace", "path": "members", "value": {}}),
        json!({"op": "replace", "path": "members", "value": [{"value": ""}]}),
        json!({"op": "replace", "path": "members[value eq \"x\"]", "value": []}),
        json!({"op": "replace", "value": {"members": {}}}),
        json!({"op": "replace", "value": {"members": [{}]}}),
        json!({"op": "add", "path": "members", "value": []}),
        json!({"op": "add", "value": {"members": []}}),
        json!({"op": "add", "value": {"members": null}}),
    ] {
        let changes = lower(json!([operation])).unwrap_or_default();
        assert!(
            !changes.iter().any(|change| matches!(change, Change::ReplaceMembers(ids) if ids.is_empty())),
            "{operation}: {changes:?}"
        );
        assert!(!changes.iter().any(|change| matches!(change, Change::RemoveMembersWhere(_))), "{operation}");
    }
}

/// What is lowered to a filter is one that `members[...]` takes: the service puts it between brackets again.
#[test]
fn a_filter_on_members_stays_between_its_brackets() {
    for filter in ["type eq \"User\"", "not (value eq \"]\")", "value eq \"a\\\"]b\" or type pr"] {
        let path = format!("members[{filter}]");
        let changes = lower(json!([{"op": "remove", "path": path}])).expect(filter);
        assert_eq!(changes, [Change::RemoveMembersWhere(filter.to_owned())]);
        assert!(scim::filter::parse(schema::group(), &path).is_ok(), "{filter}");
    }
    for path in ["members[type eq \"User\"] or id pr", "members[type pr] or members[type pr]", "members[type pr]]"] {
        let changes = lower(json!([{"op": "remove", "path": path}])).unwrap_or_default();
        assert!(!changes.iter().any(|change| !matches!(change, Change::Attribute(_))), "{path}: {changes:?}");
    }
}

#[test]
fn order_is_kept() {
    let changes = lower(json!([
        {"op": "replace", "value": {"id": "g1", "displayName": "Ops"}},
        {"op": "Remove", "path": "members", "value": [{"value": A, "$ref": null}]},
        {"op": "Add", "path": "members", "value": [{"value": A}, {"value": B, "display": "b@x"}]},
    ]))
    .expect("lowered");
    let id = |text: &str| text.parse::<uuid::Uuid>().expect("an id");
    assert!(matches!(&changes[0], Change::Attribute(_)));
    assert_eq!(changes[1..], [Change::RemoveMembers(vec![id(A)]), Change::AddMembers(vec![id(A), id(B)])]);
}

/// An operation on `members` never reaches the stored form, whatever `apply` is handed.
#[test]
fn members_never_reach_the_stored_form() {
    let before = resource::create(schema::group(), object(json!({"displayName": "Ops", "members": [{"value": A}]})));
    let before = before.expect("created").resource;
    for operation in [
        json!({"op": "add", "path": "members", "value": [{"value": A}]}),
        json!({"op": "replace", "path": "members[value eq \"x\"]", "value": {"value": A}}),
        json!({"op": "replace", "value": {"members": [{"value": A}]}}),
        json!({"op": "replace", "value": {schema::GROUP: {"members": [{"value": A}]}}}),
    ] {
        let operations = patch::parse(json!({"Operations": [operation]}).to_string().as_bytes()).expect("parsed");
        let mut after = before.clone();
        let _ = patch::apply(schema::group(), &mut after, &operations);
        assert_eq!(after.get("members"), None, "{operation}");
    }
    assert_eq!(before, object(json!({"schemas": [schema::GROUP], "displayName": "Ops"})));
}

#[test]
fn numbers_that_a_database_would_round_are_refused() {
    for number in ["1e999", "-1e999"] {
        let body = format!("{{\"x\":{number}}}");
        assert!(strict::parse_object(body.as_bytes()).is_err(), "{number}");
    }
}

#[test]
fn integers_that_a_float_would_round_are_refused() {
    assert!(strict::parse_object(br#"{"x":123456789012345678901234567890}"#).is_err());
}

#[test]
fn depth_is_the_same_for_every_parser() {
    let nested = |n: usize| format!("{{\"x\":{}1{}}}", "[".repeat(n - 1), "]".repeat(n - 1));
    assert!(strict::parse_object(nested(strict::MAX_DEPTH).as_bytes()).is_ok());
    for levels in [strict::MAX_DEPTH + 1, 1000, 1_000_000] {
        assert!(strict::parse_object(nested(levels).as_bytes()).is_err());
        assert!(group::parse(nested(levels).as_bytes()).is_err());
        assert!(patch::parse(nested(levels).as_bytes()).is_err());
    }
}

#[test]
fn every_character_folds_to_what_stays() {
    for c in char::MIN..=char::MAX {
        let once = fold(c.encode_utf8(&mut [0; 4]));
        assert_eq!(fold(&once), once, "U+{:04X}", u32::from(c));
    }
}

/// Okta and Entra push groups by the names people gave them; emoji need variation selectors and joiners.
#[test]
fn groups_may_have_emoji_in_their_names() {
    for name in ["❤\u{fe0f} Team", "👩\u{200d}💻 Devs"] {
        assert!(resource::create(schema::group(), object(json!({"displayName": name}))).is_ok(), "{name}");
    }
}

#[test]
fn groups_may_have_persian_names() {
    let name = "می\u{200c}خواهم";
    assert!(resource::create(schema::group(), object(json!({"displayName": name}))).is_ok());
}

#[test]
fn names_must_be_what_they_look_like() {
    for bad in ["", " ", "\u{a0}", "\u{200b}", " a", "a ", "a\u{3000}", "a\nb", "a\u{202e}b", "a\u{feff}", "a\u{2028}b"]
    {
        for (rt, attribute) in [(schema::user(), "userName"), (schema::group(), "displayName")] {
            let error = resource::create(rt, object(json!({attribute: bad}))).expect_err(bad);
            assert_eq!(error.kind, ErrorKind::InvalidValue, "{attribute} {bad:?}");
        }
    }
    for long in [json!({"userName": "x".repeat(1001)}), json!({"userName": "a", "externalId": "x".repeat(1001)})] {
        assert!(resource::create(schema::user(), object(long)).is_err());
    }
    assert!(resource::create(schema::user(), object(json!({"userName": "é".repeat(500)}))).is_ok());
}

/// A type with attributes of the kinds that the built-in schemas lack, for extensions of an organization.
fn custom() -> scim::ResourceType {
    let mut rt = schema::user().clone();
    let kind = |name: &str, r#type: Type, mutability: Mutability| {
        let mut attribute = rt.schema.attribute("title").expect("title").clone();
        (attribute.name, attribute.r#type, attribute.mutability) = (name.to_owned(), r#type, mutability);
        attribute
    };
    let added = [
        kind("hired", Type::DateTime, Mutability::ReadWrite),
        kind("badge", Type::String, Mutability::Immutable),
        kind("level", Type::Integer, Mutability::ReadWrite),
    ];
    rt.extensions[0].attributes.extend(added);
    rt
}

#[test]
fn an_immutable_attribute_is_set_once() {
    let rt = custom();
    let body = |badge: Value| object(json!({"userName": "a", schema::ENTERPRISE_USER: {"badge": badge}}));
    let first = resource::create(&rt, body(json!("7"))).expect("created").resource;
    assert_eq!(resource::replace(&rt, body(json!("8")), &first).expect_err("changed").kind, ErrorKind::Mutability);
    assert_eq!(resource::replace(&rt, object(json!({"userName": "a"})), &first).expect("kept").resource, first);
    let path = format!("{}:badge", schema::ENTERPRISE_USER);
    let whole = schema::ENTERPRISE_USER;
    for (op, path, value, allowed) in [
        ("replace", path.as_str(), json!("7"), true),
        ("replace", &path, json!("8"), false),
        ("remove", &path, json!(null), false),
        ("remove", whole, json!(null), false),
        ("replace", whole, json!(null), false),
        ("replace", "", json!({whole: null}), false),
    ] {
        let body = json!({"Operations": [{"op": op, "path": path, "value": value}]}).to_string();
        let operations = patch::parse(body.as_bytes()).expect("parsed");
        let mut after = first.clone();
        assert_eq!(patch::apply(&rt, &mut after, &operations).is_ok(), allowed, "{op} {path} {value}");
        assert_eq!(after, first);
    }
}

/// A filter and the search document read instants alike.
#[test]
fn instants_are_the_same_in_filters_and_in_the_search_document() {
    let rt = custom();
    for (hired, micros) in
        [("2020-01-01T00:00:00", 1_577_836_800_000_000_i64), ("2020-01-01T02:00:00.5+02:00", 1_577_836_800_500_000)]
    {
        let body = object(json!({"userName": "a", schema::ENTERPRISE_USER: {"hired": hired}}));
        let stored = resource::create(&rt, body).expect("created").resource;
        assert_eq!(stored[schema::ENTERPRISE_USER]["hired"], hired);
        assert_eq!(resource::search_document(&rt, &stored)[schema::ENTERPRISE_USER]["hired"], micros);
        let filter = format!("{}:hired ge \"2020-01-01T00:00:00Z\"", schema::ENTERPRISE_USER);
        assert!(scim::filter::matches(&scim::filter::parse(&rt, &filter).expect("parsed"), &stored));
    }
}

#[test]
fn values_have_the_form_of_their_type() {
    let hired = json!({"userName": "a", schema::ENTERPRISE_USER: {"hired": "yesterday"}});
    let certificate = json!({"userName": "a", "x509Certificates": [{"value": "not base64!"}]});
    for body in [hired, certificate] {
        assert!(resource::create(&custom(), object(body.clone())).is_err(), "{body}");
    }
}

/// Nothing a client sends in one request keeps a core busy: measured.md, security.md b 6.
#[test]
fn the_largest_patch_is_cheap() {
    let emails: Vec<Value> = (0..1000).map(|n| json!({"value": format!("u{n}@x"), "type": "work"})).collect();
    let before = resource::create(schema::user(), object(json!({"userName": "a", "emails": emails}))).expect("created");
    let operations: Vec<Value> = (0..patch::MAX_OPERATIONS)
        .map(|n| json!({"op": "replace", "path": format!("emails[value eq \"u{n}@x\"].display"), "value": "d"}))
        .collect();
    let operations = patch::parse(json!({"Operations": operations}).to_string().as_bytes()).expect("parsed");
    let mut after = before.resource;
    let start = Instant::now();
    patch::apply(schema::user(), &mut after, &operations).expect("applied");
    eprintln!("the largest PATCH took {:?}", start.elapsed());
    // Debug builds are some twenty times slower.
    assert!(start.elapsed() < Duration::from_secs(60));
}

proptest! {
    #[test]
    fn folding_twice_is_folding_once(text in proptest::collection::vec(any::<char>(), 0..12)) {
        let once = fold(&text.into_iter().collect::<String>());
        prop_assert_eq!(fold(&once), once);
    }

    #[test]
    fn id_and_schemas_are_always_shown(names in r#"((id|schemas|userName|emails|emails\.value|name|meta|groups|nope|urn:x|password)(,| , )?){0,4}"#, except in any::<bool>()) {
        let (only, excluded) = if except { (None, Some(names.as_str())) } else { (Some(names.as_str()), None) };
        let projection = Projection::parse(schema::user(), only, excluded).expect("parsed");
        let mut resource = object(json!({
            "schemas": [schema::USER], "id": A, "userName": "a", "password": "p", "name": {"givenName": "g"},
            "emails": [{"value": "a@x", "type": "work"}], "meta": {"resourceType": "User"},
        }));
        projection.apply(schema::user(), &mut resource);
        prop_assert!(resource.contains_key("id") && resource.contains_key("schemas"));
        prop_assert!(!resource.contains_key("password"));
        let hollow = resource.values().any(|v| v == &json!({}) || v == &json!([]));
        prop_assert!(!hollow);
    }
}

/// What an attacker's review of the running server found; each once answered with success.
#[test]
fn requests_are_not_read_more_widely_than_written() {
    let refused = lower(json!([{"op": "Remove", "path": "members", "value": null}])).expect_err("null is not `all`");
    assert_eq!(refused.kind, ErrorKind::InvalidValue);
    for key in ["name.nope", "name[x", "emails[", "emails[nope eq 1].value", "userName.x"] {
        let operations =
            patch::parse(json!({"Operations": [{"op": "replace", "value": {key: "v"}}]}).to_string().as_bytes());
        let mut resource =
            resource::create(schema::user(), object(json!({"userName": "a"}))).expect("created").resource;
        assert!(patch::apply(schema::user(), &mut resource, &operations.expect("parsed")).is_err(), "{key}");
    }
    assert!(scim::etag::if_match(Some("")).is_err());
}

/// idp-clients.md 2.1 and 5: names that clients use in filters and the schema does not have.
#[test]
fn filters_may_name_what_only_an_extension_has() {
    for text in ["id eq \"x\" and manager eq \"y\"", "email Co \"ping@\"", "department eq \"Pier\""] {
        assert!(scim::filter::parse(schema::user(), text).is_ok(), "{text}");
    }
}
