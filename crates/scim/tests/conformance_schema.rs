//! Requirements of RFC 7643 on schemas and values, one test each; docs/conformance.md names them. What needs a server
//! is tested in the gateway.

#![expect(clippy::expect_used, reason = "test helpers fail the test that calls them")]

use scim::{
    ErrorKind, Object, ResourceType,
    discovery::{self, Capabilities},
    resource,
    schema::{self, Attribute, Mutability, Returned, Type, Uniqueness},
};
use serde_json::{Value, json};

fn object(value: Value) -> Object {
    value.as_object().expect("an object").clone()
}

/// Every attribute and sub-attribute of the built-in schemas.
fn all() -> Vec<&'static Attribute> {
    let types = [schema::user(), schema::group()];
    let schemas = types.into_iter().flat_map(|rt| std::iter::once(&rt.schema).chain(&rt.extensions));
    let attributes: Vec<&Attribute> = schemas.flat_map(|schema| &schema.attributes).collect();
    let subs = attributes.iter().flat_map(|attribute| &attribute.sub_attributes);
    attributes.iter().copied().chain(subs).collect()
}

/// The user type with one more attribute in its extension.
fn with(r#type: Type, mutability: Mutability) -> ResourceType {
    let mut rt = schema::user().clone();
    let mut attribute = rt.schema.attribute("title").expect("title").clone();
    (attribute.name, attribute.r#type, attribute.mutability) = ("extra".to_owned(), r#type, mutability);
    rt.extensions[0].attributes.push(attribute);
    rt
}

fn body(extra: &Value) -> Object {
    object(json!({"userName": "kit", schema::ENTERPRISE_USER: {"extra": extra}}))
}

/// What is stored for a value of the type, or nothing where it is refused.
fn stored(r#type: Type, extra: &Value) -> Option<Value> {
    match resource::create(&with(r#type, Mutability::ReadWrite), body(extra)) {
        Ok(accepted) => Some(accepted.resource[schema::ENTERPRISE_USER]["extra"].clone()),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::InvalidValue, "{extra}: {error}");
            None
        }
    }
}

/// RFC 7643 section 2.1; `$ref` is defined by section 2.4 itself.
#[test]
fn attribute_names_keep_to_the_grammar() {
    for attribute in all().into_iter().filter(|attribute| attribute.name != "$ref") {
        let mut characters = attribute.name.chars();
        assert!(characters.next().is_some_and(|c| c.is_ascii_alphabetic()), "{}", attribute.name);
        assert!(characters.all(|c| c.is_ascii_alphanumeric() || "$-_".contains(c)), "{}", attribute.name);
    }
}

#[test]
fn no_attribute_has_a_type_of_its_own() {
    let types = ["string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"];
    for attribute in all() {
        assert!(types.contains(&attribute.r#type.as_str()), "{}", attribute.name);
    }
}

#[test]
fn a_whole_number_has_no_fraction() {
    for whole in [json!(0), json!(-7), json!(9_007_199_254_740_993_i64)] {
        assert_eq!(stored(Type::Integer, &whole), Some(whole));
    }
    for text in ["1.5", "1.0", "1e2", "1E2"] {
        let number: Value = serde_json::from_str(text).expect("a number");
        assert_eq!(stored(Type::Integer, &number), None, "{text}");
    }
    assert_eq!(stored(Type::Integer, &json!("7")), None);
}

#[test]
fn an_instant_has_date_and_time() {
    for good in ["2008-01-23T04:56:22Z", "2008-01-23T04:56:22.123+02:00", "2008-01-23T04:56:22"] {
        assert_eq!(stored(Type::DateTime, &json!(good)), Some(json!(good)));
    }
    for bad in [json!("2008-01-23"), json!("04:56:22Z"), json!("2008-13-23T04:56:22Z"), json!("now"), json!(1_201_000)]
    {
        assert_eq!(stored(Type::DateTime, &bad), None, "{bad}");
    }
}

#[test]
fn a_binary_value_is_base64() {
    for (value, good) in [("TWFu", true), ("TWE=", true), ("not base64!", false), ("TWE=x", false), ("T", false)] {
        assert_eq!(stored(Type::Binary, &json!(value)).is_some(), good, "{value}");
        let certificate = object(json!({"userName": "kit", "x509Certificates": [{"value": value}]}));
        assert_eq!(resource::create(schema::user(), certificate).is_ok(), good, "{value}");
    }
}

#[test]
fn complex_attributes_are_one_level_deep() {
    for attribute in all() {
        for sub in &attribute.sub_attributes {
            assert!(sub.r#type != Type::Complex && sub.sub_attributes.is_empty(), "{}.{}", attribute.name, sub.name);
        }
    }
}

#[test]
fn values_that_are_objects_are_complex() {
    for attribute in all() {
        assert_eq!(attribute.r#type == Type::Complex, !attribute.sub_attributes.is_empty(), "{}", attribute.name);
    }
    // An object where there is no complex attribute is refused, and the other way round.
    assert_eq!(stored(Type::String, &json!({"value": "x"})), None);
    let addresses = object(json!({"userName": "kit", "addresses": ["1 Pier"]}));
    assert!(resource::create(schema::user(), addresses).is_err());
}

#[test]
fn predefined_sub_attributes_are_what_they_are_everywhere() {
    for attribute in all().into_iter().filter(|attribute| attribute.multi_valued) {
        for sub in &attribute.sub_attributes {
            let expected: &[Type] = match sub.name.as_str() {
                "type" | "display" => &[Type::String],
                "primary" => &[Type::Boolean],
                "value" => &[Type::String, Type::Reference, Type::Binary],
                "$ref" => &[Type::Reference],
                _ => continue,
            };
            assert!(expected.contains(&sub.r#type), "{}.{}", attribute.name, sub.name);
            assert!(!sub.multi_valued, "{}.{}", attribute.name, sub.name);
        }
    }
}

#[test]
fn extensions_define_nothing_anew() {
    for rt in [schema::user(), schema::group()] {
        for attribute in rt.extensions.iter().flat_map(|extension| &extension.attributes) {
            assert!(rt.schema.attribute(&attribute.name).is_none(), "{}", attribute.name);
            let first = attribute.name.chars().next();
            assert!(first.is_some_and(|c| c.is_ascii_lowercase()) && !attribute.name.contains(['_', '-']));
        }
    }
}

#[test]
fn nothing_is_claimed_to_be_globally_unique() {
    let unique: Vec<&str> =
        all().into_iter().filter(|a| a.uniqueness != Uniqueness::None).map(|a| a.name.as_str()).collect();
    // Within the organization.
    assert_eq!(unique, ["userName", "displayName"]);
    assert!(all().into_iter().all(|attribute| attribute.uniqueness != Uniqueness::Global));
}

#[test]
fn an_immutable_attribute_takes_its_first_value() {
    let rt = with(Type::String, Mutability::Immutable);
    let bare = resource::create(&rt, object(json!({"userName": "kit"}))).expect("created").resource;
    let set = resource::replace(&rt, body(&json!("7")), &bare).expect("replaced").resource;
    assert_eq!(set[schema::ENTERPRISE_USER]["extra"], "7");
}

#[test]
fn only_passwords_are_never_returned() {
    let never: Vec<&str> =
        all().into_iter().filter(|a| a.returned == Returned::Never).map(|a| a.name.as_str()).collect();
    assert_eq!(never, ["password"]);
}

/// One capability at a time: its flag in the document changes and no other.
#[test]
fn each_capability_flips_what_the_configuration_says() {
    let none = Capabilities {
        patch: false,
        bulk: false,
        filter: false,
        change_password: false,
        sort: false,
        etag: false,
        cursor: false,
    };
    let flags = |capabilities: &Capabilities| {
        let config = discovery::service_provider_config(capabilities, true, "https://x/scim/v2");
        let supported = ["patch", "bulk", "filter", "changePassword", "sort", "etag"]
            .map(|feature| config[feature]["supported"].as_bool().expect(feature));
        let cursor = config["pagination"]["cursor"].as_bool().expect("cursor");
        supported.into_iter().chain([cursor]).collect::<Vec<_>>()
    };
    assert_eq!(flags(&none), [false; 7]);
    for (n, one) in [
        Capabilities { patch: true, ..none },
        Capabilities { bulk: true, ..none },
        Capabilities { filter: true, ..none },
        Capabilities { change_password: true, ..none },
        Capabilities { sort: true, ..none },
        Capabilities { etag: true, ..none },
        Capabilities { cursor: true, ..none },
    ]
    .iter()
    .enumerate()
    {
        let mut expected = [false; 7];
        expected[n] = true;
        assert_eq!(flags(one), expected, "{one:?}");
    }
}
