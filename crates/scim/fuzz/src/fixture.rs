//! Resource types with every kind of attribute, and resources that have a value for most.

use std::sync::{Arc, OnceLock};

use scim::{Object, resource, schema};
use serde_json::{Value, json};

/// Of an organization with extensions.
pub(crate) fn types() -> &'static Arc<schema::Types> {
    static TYPES: OnceLock<Arc<schema::Types>> = OnceLock::new();
    TYPES.get_or_init(|| {
        schema::Types::with([kinds("urn:xx:u", "User"), demanding(), kinds("urn:xx:g", "Group")].map(|document| {
            schema::parse_extension(&object(document)).unwrap_or_else(|e| panic!("an extension of the fixture: {e}"))
        }))
    })
}

fn kinds(urn: &str, resource_type: &str) -> Value {
    json!({"id": urn, "resourceType": resource_type, "attributes": [
        {"name": "hired", "type": "dateTime"},
        {"name": "level", "type": "integer"},
        {"name": "ratio", "type": "decimal"},
        {"name": "vip", "type": "boolean"},
        {"name": "code", "caseExact": true},
        {"name": "badge", "mutability": "immutable"},
        {"name": "key", "type": "binary"},
        {"name": "hint", "returned": "request"},
        {"name": "tags", "multiValued": true},
        {"name": "days", "type": "dateTime", "multiValued": true},
        {"name": "boss", "type": "complex", "subAttributes": [
            {"name": "value"}, {"name": "$ref", "type": "reference", "referenceTypes": ["User"]}, {"name": "display"},
        ]},
        {"name": "sites", "type": "complex", "multiValued": true, "subAttributes": [
            {"name": "value", "required": true},
            {"name": "type", "canonicalValues": ["hq", "lab"]},
            {"name": "primary", "type": "boolean"},
            {"name": "since", "type": "dateTime"},
            {"name": "size", "type": "decimal"},
            {"name": "notes", "multiValued": true},
        ]},
        {"name": "marks", "type": "complex", "multiValued": true, "mutability": "immutable", "subAttributes": [
            {"name": "value"}, {"name": "n", "type": "integer"},
        ]},
    ]})
}

/// An extension that cannot be had without one attribute.
fn demanding() -> Value {
    json!({"id": "urn:xx:r", "resourceType": "User", "attributes": [{"name": "must", "required": true}, {"name": "may"}]})
}

fn extension() -> Value {
    json!({
        "hired": "2020-02-29T23:59:59.5+02:00", "level": -7, "ratio": 0.1, "vip": true, "code": "Ab", "badge": "B1",
        "key": "YWI=", "hint": "h", "tags": ["a", "B"], "days": ["2021-01-01T00:00:00Z"],
        "boss": {"value": "b1", "$ref": "../Users/b1"},
        "sites": [
            {"value": "s1", "type": "hq", "primary": true, "size": 2.5, "notes": ["n"]},
            {"value": "s2", "type": "lab", "since": "2019-01-01T00:00:00"},
        ],
        "marks": [{"value": "m", "n": 1}],
    })
}

/// A stored user.
pub(crate) fn user() -> &'static Object {
    static USER: OnceLock<Object> = OnceLock::new();
    USER.get_or_init(|| {
        stored(
            &types().user,
            json!({
                "userName": "kit@example.com", "externalId": "E-1", "displayName": "Kit Moor", "title": "Guide",
                "name": {"givenName": "Kit", "familyName": "O'Moor"},
                "emails": [
                    {"value": "Kit@example.com", "type": "work", "primary": true},
                    {"value": "kit@home.example", "type": "home"},
                    {"value": "k@x", "display": "bare"},
                ],
                "phoneNumbers": [{"value": "+1", "type": "mobile"}],
                "addresses": [{"type": "work", "streetAddress": "1 Pier", "primary": true}],
                "roles": [{"value": "Straße", "primary": true}],
                "x509Certificates": [{"value": "YWI="}],
                schema::ENTERPRISE_USER: {"department": "Pier", "manager": {"value": "m1", "$ref": "../Users/m1"}},
                "urn:xx:u": extension(), "urn:xx:r": {"must": "m"},
            }),
        )
    })
}

/// A stored user of whom little is known.
pub(crate) fn bare_user() -> &'static Object {
    static USER: OnceLock<Object> = OnceLock::new();
    USER.get_or_init(|| stored(&types().user, json!({"userName": "a", "emails": [{"value": "a@x"}]})))
}

/// A stored group.
pub(crate) fn group() -> &'static Object {
    static GROUP: OnceLock<Object> = OnceLock::new();
    GROUP.get_or_init(|| {
        stored(&types().group, json!({"displayName": "Ops", "externalId": "G-1", "urn:xx:g": extension()}))
    })
}

/// With what a response adds.
pub(crate) fn shown(stored: &Object) -> Object {
    let mut whole = stored.clone();
    whole.extend(object(json!({
        "id": "2819c223-7f76-453a-919d-413861904646",
        "groups": [{"value": "e9e30dba-f08f-4109-8486-d5c6a331660a", "display": "Ops", "type": "direct"}],
        "members": [{"value": "01920000-0000-7000-8000-00000000000a", "type": "User"}],
        "meta": {"resourceType": "User", "created": "2010-01-23T04:56:22.5Z", "version": "W/\"3\""},
    })));
    whole
}

fn stored(rt: &scim::ResourceType, body: Value) -> Object {
    resource::create(rt, object(body)).unwrap_or_else(|e| panic!("a {} of the fixture: {e}", rt.name)).resource
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}
