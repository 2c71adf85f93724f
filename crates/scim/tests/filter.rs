//! Filters: the examples of RFC 7644 section 3.4.2.2, what clients send, what must be refused, and that no input
//! exhausts a small stack.

#![expect(clippy::expect_used, clippy::panic, reason = "test helpers fail the test that calls them")]

use proptest::prelude::*;
use scim::{ErrorKind, Object, filter, schema};
use serde_json::{Value, json};

fn object(value: Value) -> Object {
    value.as_object().expect("an object").clone()
}

fn kit() -> Object {
    object(json!({
        "schemas": [schema::USER, schema::ENTERPRISE_USER],
        "id": "2819c223-7f76-453a-919d-413861904646",
        "externalId": "Ext-1",
        "userName": "Bjensen",
        "name": {"familyName": "O'Malley", "givenName": "Babs"},
        "title": "Guide",
        "userType": "Employee",
        "active": true,
        "emails": [
            {"value": "Babs@Example.com", "type": "work", "primary": true},
            {"value": "babs@jensen.org", "type": "home"},
        ],
        "roles": [{"value": "admin", "primary": true, "display": "Admin"}],
        "groups": [{"value": "e9e30dba-f08f-4109-8486-d5c6a331660a", "display": "Guides"}],
        "meta": {"resourceType": "User", "lastModified": "2011-05-13T04:42:34Z", "created": "2010-01-23T04:56:22.5Z"},
        schema::ENTERPRISE_USER: {"department": "Tours", "manager": {"value": "M-1"}},
    }))
}

fn matches(text: &str) -> bool {
    let filter = filter::parse(schema::user(), text).unwrap_or_else(|error| panic!("{text}: {error}"));
    filter::matches(&filter, &kit())
}

#[test]
fn examples_of_the_rfc() {
    for (text, expected) in [
        (r#"userName eq "bjensen""#, true),
        (r#"name.familyName co "O'Malley""#, true),
        (r#"userName sw "J""#, false),
        (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "b""#, true),
        ("title pr", true),
        (r#"meta.lastModified gt "2011-05-13T04:42:34Z""#, false),
        (r#"meta.lastModified ge "2011-05-13T04:42:34Z""#, true),
        (r#"meta.lastModified lt "2011-05-13T04:42:34Z""#, false),
        (r#"meta.lastModified le "2011-05-13T04:42:34Z""#, true),
        (r#"title pr and userType eq "Employee""#, true),
        (r#"title pr or userType eq "Intern""#, true),
        (r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#, true),
        (r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:Group""#, false),
        (r#"userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")"#, true),
        (r#"userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")"#, false),
        (r#"userType eq "Employee" and (emails.type eq "work")"#, true),
        (r#"userType eq "Employee" and emails[type eq "work" and value co "@example.com"]"#, true),
        (r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]"#, true),
        ("schemas pr and not (schemas co \"bulk\")", true),
        // Section 3.4.2.2: attribute names and operators are case-insensitive.
        (r#"UserName Eq "BJENSEN""#, true),
        (r#"USERNAME EQ "bjensen" AND TITLE PR"#, true),
    ] {
        assert_eq!(matches(text), expected, "{text}");
    }
}

#[test]
fn forms_of_clients() {
    for (text, expected) in [
        (r#"emails[type eq "work"].value eq "babs@example.com""#, true),
        (r#"emails[type eq "work"].value eq "babs@jensen.org""#, false),
        (r#"emails eq "BABS@jensen.org""#, true),
        (r#"externalId eq "Ext-1""#, true),
        (r#"externalId eq "ext-1""#, false),
        (r#"id eq "2819c223-7f76-453a-919d-413861904646" and active eq True"#, true),
        (r#"active eq "False""#, false),
        (r#"roles[primary eq "True"].display eq "admin""#, true),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "M-1""#, true),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "tours""#, true),
        (r#"groups.value eq "e9e30dba-f08f-4109-8486-d5c6a331660a""#, true),
        (r#"meta.created gt "2010-01-23T05:56:22+01:00""#, true),
    ] {
        assert_eq!(matches(text), expected, "{text}");
    }
}

#[test]
fn precedence_and_absence() {
    for (text, expected) in [
        (r#"title pr or title pr and nickName pr"#, true),
        (r#"(title pr or title pr) and nickName pr"#, false),
        (r#"not (nickName pr) and title pr"#, true),
        (r#"not (nickName pr or title pr)"#, false),
        (r#"nickName pr and title pr or active eq true"#, true),
        (r#"nickName ne "x""#, true),
        (r#"nickName eq null"#, true),
        (r#"title ne null"#, true),
        (r#"emails.type ne "work""#, false),
        (r#"emails[type eq "home" and primary eq true]"#, false),
        (r#"emails[not (type eq "work")]"#, true),
    ] {
        assert_eq!(matches(text), expected, "{text}");
    }
}

#[test]
fn all_else_is_refused_with_its_column() {
    for (text, column) in [
        ("", 1),
        (" ", 2),
        ("userName", 9),
        ("userNam eq \"a\"", 1),
        ("userName is \"a\"", 10),
        ("userName eq", 12),
        ("userName eq \"a", 13),
        ("userName eq \"a\" and", 20),
        ("userName eq \"a\" title pr", 17),
        ("(userName pr", 13),
        ("userName pr)", 12),
        ("userName eq 7", 13),
        ("name eq \"x\"", 1),
        ("addresses eq \"x\"", 1),
        ("active gt true", 8),
        ("x509Certificates gt \"x\"", 18),
        ("password eq \"x\"", 1),
        ("password pr", 1),
        ("meta.created eq \"yesterday\"", 17),
        ("userName gt null", 13),
        ("emails[type eq \"work\"] eq \"x\"", 24),
        ("emails[type eq \"work\"", 22),
        ("emails[emails[type pr]]", 8),
        ("emails[department pr]", 8),
        ("not userName pr", 5),
        ("__proto__ pr", 1),
        ("title pr and \u{e9}\u{e9}", 14),
        ("userName eq \"a\u{0}\"", 13),
        ("userName eq \"a\\u0000\"", 13),
        ("userName eq \"\\ud800\"", 13),
        ("userName eq 'a'", 13),
    ] {
        let error = filter::parse(schema::user(), text).expect_err(text);
        assert_eq!(error.kind, ErrorKind::InvalidFilter, "{text}");
        let wanted = format!("column {column}");
        let found =
            error.detail.split_once("column ").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
        assert_eq!(found, Some(wanted.strip_prefix("column ")), "{text}: {}", error.detail);
    }
}

/// A detail goes to logs and to the administrator's task list; a filter's values are personal data.
#[test]
fn refusals_hold_no_values() {
    for text in ["userName eq \"secret-7\" and nope pr", "password eq \"secret-7\"", "userName eq \"secret-7\" x"] {
        let error = filter::parse(schema::user(), text).expect_err(text);
        assert!(!error.detail.contains("secret-7"), "{}", error.detail);
    }
}

#[test]
fn limits() {
    let refused = |text: &str| {
        assert_eq!(filter::parse(schema::user(), text).expect_err("refused").kind, ErrorKind::InvalidFilter)
    };
    let nested = |n: usize| format!("{}title pr{}", "(".repeat(n), ")".repeat(n));
    assert!(filter::parse(schema::user(), &nested(filter::MAX_DEPTH)).is_ok());
    refused(&nested(filter::MAX_DEPTH + 1));
    let chain = |n: usize| vec!["title pr"; n].join(" or ");
    assert!(filter::parse(schema::user(), &chain(filter::MAX_TERMS)).is_ok());
    refused(&chain(filter::MAX_TERMS + 1));
    refused(&format!("userName eq \"{}\"", "x".repeat(filter::MAX_LENGTH)));
}

#[test]
fn nothing_exhausts_a_small_stack() {
    let hostile = [
        "(".repeat(8000),
        format!("{}title pr{}", "(".repeat(3000), ")".repeat(3000)),
        "not (".repeat(1600),
        format!("{}title pr{}", "not (".repeat(16), ")".repeat(16)),
        format!("{}title pr{}", "not (".repeat(32), ")".repeat(32)),
        format!("{}title pr{}", "(title pr or title pr and ".repeat(32), ")".repeat(32)),
        format!("{}title pr{}", "title pr and (title pr or not (".repeat(16), "))".repeat(16)),
        "emails[".repeat(1100),
        "a.".repeat(4000),
        "\"".repeat(8000),
        "title pr or ".repeat(600),
        "]".repeat(8000),
    ];
    let worker = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        let kit = kit();
        for text in &hostile {
            if let Ok(filter) = filter::parse(schema::user(), text) {
                filter::matches(&filter, &kit);
                let printed = filter.to_string();
                assert!(!printed.is_empty());
            }
        }
    });
    worker.expect("a thread").join().expect("no overflow");
}

fn term() -> impl Strategy<Value = String> {
    let literal = "[a-zA-Zß\"\\\\ é.@]{0,8}".prop_map(|text| Value::from(text).to_string());
    prop_oneof![
        (
            "(userName|externalId|name\\.familyName|emails|emails\\.type|groups\\.value)",
            "(eq|NE|co|sw|ew|gt|ge|lt|le)",
            literal
        )
            .prop_map(|(name, op, value)| format!("{name} {op} {value}")),
        "(title|emails|name|meta\\.created|active) pr".prop_map(String::from),
        "active (eq|ne) (true|False|\"True\"|null)".prop_map(String::from),
        (0..4_000_000_000_000_000_i64).prop_map(|micros| {
            let at = jiff::Timestamp::from_microsecond(micros).expect("in range");
            format!("meta.lastModified ge \"{at}\"")
        }),
        "emails\\[type eq \"(work|home)\" and (not \\(value co \"x\"\\)|primary eq true)\\]".prop_map(String::from),
    ]
}

fn tree() -> impl Strategy<Value = String> {
    term().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|terms| format!("({})", terms.join(" and "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|terms| format!("({})", terms.join(" or "))),
            inner.prop_map(|term| format!("not ({term})")),
        ]
    })
}

proptest! {
    #[test]
    fn printing_and_parsing_are_inverse(text in tree()) {
        let first = filter::parse(schema::user(), &text).expect("parses");
        let printed = first.to_string();
        let second = filter::parse(schema::user(), &printed).expect("parses again");
        prop_assert_eq!(&second.to_string(), &printed);
        prop_assert_eq!(filter::matches(&first, &kit()), filter::matches(&second, &kit()));
    }

    #[test]
    fn negation_negates(text in tree()) {
        let plain = filter::parse(schema::user(), &text).expect("parses");
        let negated = format!("not ({text})");
        let negated = filter::parse(schema::user(), &negated).expect("parses");
        prop_assert_ne!(filter::matches(&plain, &kit()), filter::matches(&negated, &kit()));
    }

    #[test]
    fn no_text_makes_it_panic(text in r#"[a-zA-Z()\[\]"\\ .:$0-9é-]{0,60}|\PC{0,40}"#) {
        let _ = filter::parse(schema::user(), &text);
        let _ = filter::parse(schema::group(), &text);
    }
}
