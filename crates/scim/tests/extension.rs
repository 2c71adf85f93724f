//! Extensions that organizations bring: what is accepted, what is refused, and how resources carry them.

#![expect(clippy::expect_used, reason = "test helpers fail the test that calls them")]

use scim::{
    ErrorKind, Object,
    project::Projection,
    render::{self, Head},
    resource,
    schema::{self, Extends, Types, parse_extension},
};
use serde_json::{Value, json};

const URN: &str = "urn:example:params:scim:acme:2.0:User";

fn object(value: Value) -> Object {
    value.as_object().expect("an object").clone()
}

fn badge() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": URN,
        "name": "Acme",
        "attributes": [
            {"name": "badge", "type": "string", "required": true, "mutability": "immutable"},
            {"name": "level", "type": "integer", "returned": "request"},
            {"name": "desks", "type": "complex", "multiValued": true, "subAttributes": [
                {"name": "value", "type": "string", "required": true},
                {"name": "since", "type": "dateTime"},
                {"name": "$ref", "type": "reference", "referenceTypes": ["external"]},
            ]},
        ],
    })
}

#[test]
fn a_schema_is_read_and_written_back() {
    let extension = parse_extension(&object(badge())).expect("an extension");
    assert_eq!((extension.extends, extension.schema.id.as_str()), (Extends::User, URN));
    assert!(extension.schema.attribute("BADGE").expect("badge").required);
    let again = parse_extension(&object(extension.document())).expect("again");
    assert_eq!(again.document(), extension.document());
    let mut of_groups = badge();
    of_groups["resourceType"] = json!("Group");
    assert_eq!(parse_extension(&object(of_groups)).expect("an extension").extends, Extends::Group);
}

#[test]
fn what_cannot_be_kept_is_refused_and_named() {
    let with = |pointer: &str, value: Value| {
        let mut document = badge();
        *document.pointer_mut(pointer).expect(pointer) = value;
        document
    };
    let first = |more: Value| {
        let mut document = badge();
        document["attributes"][0].as_object_mut().expect("an object").extend(object(more));
        document
    };
    let many: Vec<Value> = (0..101).map(|n| json!({"name": format!("a{n}")})).collect();
    for (document, hint) in [
        (json!({}), "`id` is missing"),
        (with("/id", json!("acme")), "must be a URN"),
        (with("/id", json!("urn:x y:z")), "must be a URN"),
        (with("/id", json!("urn:acme:")), "must be a URN"),
        (with("/id", json!(schema::USER)), "SCIM itself"),
        (with("/id", json!("URN:ietf:params:scim:api:messages:2.0:X")), "SCIM itself"),
        (with("/id", json!(schema::ENTERPRISE_USER.to_uppercase())), "already"),
        (with("/id", json!(format!("{}:more", schema::ENTERPRISE_USER))), "too close"),
        (with("/id", json!(7)), "must be a string"),
        (with("/attributes", json!([])), "at least one"),
        (with("/attributes", json!({})), "must be an array"),
        (with("/attributes", json!(many)), "at most 100"),
        (with("/attributes/0", json!("badge")), "Attribute 1"),
        (with("/attributes/0", json!({"type": "string"})), "no `name`"),
        (with("/attributes/1/name", json!("Badge")), "stands twice"),
        (with("/attributes/0/name", json!("1st")), "`1st`"),
        (with("/attributes/0/name", json!("a.b")), "`a.b`"),
        (with("/attributes/0/name", json!("$ref")), "`$ref`"),
        (with("/attributes/0/name", json!("Groups")), "`Groups`"),
        (with("/attributes/2/subAttributes", json!([])), "`desks`"),
        (with("/attributes/2/subAttributes/0/type", json!("complex")), "`desks.value`"),
        (with("/attributes/2/subAttributes/2/referenceTypes", json!([])), "`desks.$ref`"),
        (first(json!({"type": "text"})), "`badge`: `type`"),
        (first(json!({"subAttributes": [{"name": "x"}]})), "`badge`"),
        (first(json!({"referenceTypes": ["User"]})), "`badge`"),
        (first(json!({"mutability": "readOnly"})), "`badge`: `mutability`"),
        (first(json!({"returned": "never"})), "`badge`: `returned`"),
        (first(json!({"uniqueness": "server"})), "`badge`: `uniqueness`"),
        (first(json!({"required": "yes"})), "`badge`: `required`"),
    ] {
        let error = parse_extension(&object(document.clone())).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidValue);
        assert!(error.detail.contains(hint), "{hint}: {}", error.detail);
    }
    let mut elsewhere = badge();
    elsewhere["resourceType"] = json!("Device");
    assert!(parse_extension(&object(elsewhere)).is_err());
}

#[test]
fn two_urns_may_not_begin_each_other() {
    let extension = parse_extension(&object(badge())).expect("an extension");
    for other in [URN, "URN:EXAMPLE:params:scim:acme:2.0:user", "urn:example:params:scim:acme:2.0"] {
        assert!(extension.check_beside(other).is_err(), "{other}");
    }
    assert!(extension.check_beside(&format!("{URN}:more")).is_err());
    assert!(extension.check_beside("urn:example:params:scim:acme:2.0:UserX").is_ok());
}

#[test]
fn resources_carry_the_extension_and_requirements_hold_where_it_is() {
    let types = Types::with([parse_extension(&object(badge())).expect("an extension")]);
    assert_eq!((types.extensions(), Types::builtin().extensions()), (1, 0));
    let rt = &types.user;
    let create = |body: Value| resource::create(rt, object(body));
    create(json!({"userName": "kit"})).expect("clients that do not know it leave it out");
    let upper = URN.to_uppercase();
    let body = json!({"userName": "kit", upper: {"BADGE": "7", "level": 3, "desks": "4-12", "x": 1}, "y": 1});
    let accepted = create(body.clone()).expect("accepted");
    assert_eq!(accepted.ignored, [format!("{URN}:x"), "y".to_owned()]);
    assert_eq!(accepted.resource["schemas"], json!([schema::USER, URN]));
    assert_eq!(accepted.resource[URN], json!({"badge": "7", "level": 3, "desks": [{"value": "4-12"}]}));
    let builtin = resource::create(schema::user(), object(body)).expect("ignored");
    assert_eq!(builtin.resource.get(URN), None);

    for extension in [
        json!({"level": 3}),
        json!({"badge": " "}),
        json!({"badge": "7", "desks": [{"since": "2026-01-31T08:30:00Z"}]}),
    ] {
        let error = create(json!({"userName": "kit", URN: extension})).expect_err("refused");
        assert!(error.detail.contains(&format!("`{URN}:")), "{}", error.detail);
    }
    let error = resource::replace(rt, object(json!({"userName": "kit", URN: {"badge": "8"}})), &accepted.resource);
    assert_eq!(error.expect_err("immutable").kind, ErrorKind::Mutability);

    let head = Head {
        id: uuid::Uuid::nil(),
        created: jiff::Timestamp::UNIX_EPOCH,
        last_modified: jiff::Timestamp::UNIX_EPOCH,
        version: "W/\"1\"",
        base_url: "https://x",
    };
    let stored = serde_json::to_vec(&accepted.resource).expect("JSON");
    let shown = |attributes: Option<&str>| -> Value {
        let projection = Projection::parse(rt, attributes, None).expect("a projection");
        let mut out = Vec::new();
        render::user(rt, &stored, &head, &[], &projection, &mut out).expect("rendered");
        serde_json::from_slice(&out).expect("JSON")
    };
    assert_eq!(shown(None)[URN], json!({"badge": "7", "desks": [{"value": "4-12"}]}));
    assert_eq!(shown(Some(&format!("{URN}:level")))[URN], json!({"level": 3}));
}
