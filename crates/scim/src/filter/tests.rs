use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{ErrorKind, Object, schema};

fn canonical(text: &str) -> String {
    parse(schema::user(), text).unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
}

fn refusal(text: &str) -> String {
    let error = parse(schema::user(), text).map(|f| f.to_string()).expect_err(text);
    assert_eq!(error.kind, ErrorKind::InvalidFilter);
    error.detail
}

fn ada() -> Object {
    let json = json!({
        "schemas": [schema::USER, schema::ENTERPRISE_USER],
        "id": "2819c223",
        "externalId": "Ext-1",
        "userName": "Ada@Example.com",
        "name": {"givenName": "Ada", "familyName": "Straße"},
        "active": true,
        "title": "",
        "emails": [
            {"type": "work", "value": "ada@work.example", "primary": true},
            {"type": "home", "value": "ada@home.example"}
        ],
        "meta": {"created": "2026-01-31T08:30:00Z"},
        (schema::ENTERPRISE_USER): {"department": "Pier", "manager": {"value": "u9"}}
    });
    json.as_object().cloned().expect("an object")
}

fn holds(text: &str) -> bool {
    matches(&parse(schema::user(), text).unwrap_or_else(|e| panic!("{text}: {e}")), &ada())
}

#[test]
fn canonical_text() {
    for (text, expected) in [
        (r#"USERNAME EQ "Ada""#, r#"userName eq "ada""#),
        (r#"externalId eq "Ada""#, r#"externalId eq "Ada""#),
        (r#"emails eq "A@b""#, r#"emails.value eq "a@b""#),
        (r#"emails[type eq "work"].value eq "X""#, r#"emails[type eq "work" and value eq "x"]"#),
        (r#"emails[type eq "a" or type eq "b"].value pr"#, r#"emails[(type eq "a" or type eq "b") and value pr]"#),
        (r#"roles[primary eq "True"].display pr"#, r#"roles[primary eq true and display pr]"#),
        (
            r#"title pr or userName pr and not (active eq false)"#,
            r#"title pr or userName pr and not (active eq false)"#,
        ),
        (r#"(title pr or userName pr) and (active pr)"#, r#"(title pr or userName pr) and active pr"#),
        (r#"NOT(title pr)"#, r#"not (title pr)"#),
        (r#"title eq null"#, r#"title eq null"#),
        (r#"meta.created gt "2026-01-31T09:30:00.1234567+01:00""#, r#"meta.created gt "2026-01-31T08:30:00.123456Z""#),
        (r#"meta.created gt "2026-01-31T08:30:00""#, r#"meta.created gt "2026-01-31T08:30:00Z""#),
        (r#"userName eq "a\"b\\c\u0041""#, r#"userName eq "a\"b\\ca""#),
        (
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "u9""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "u9""#,
        ),
        (
            r#"urn:ietf:params:scim:schemas:core:2.0:User:emails[value co "x" and (type pr)]"#,
            r#"emails[value co "x" and type pr]"#,
        ),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
        assert_eq!(canonical(expected), expected, "not a fixed point: {expected}");
    }
}

#[test]
fn what_holds_for_ada() {
    for text in [
        r#"userName eq "ADA@example.COM""#,
        r#"name.familyName eq "STRASSE""#,
        r#"emails eq "ada@home.example""#,
        r#"emails[type eq "work" and value ew "work.example"]"#,
        r#"emails[type eq "home"].value sw "ada@""#,
        r#"not (emails[type eq "home"].value co "work")"#,
        r#"nickName ne "x""#,
        r#"nickName eq null"#,
        r#"userName ne null"#,
        r#"active eq "True" and active ne false"#,
        r#"meta.created ge "2026-01-31T09:30:00+01:00" and meta.created le "2026-01-31T08:30:00""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "pier""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "u9""#,
        r#"name pr and emails pr and emails.type pr"#,
        r#"title pr or active eq true and userName gt "a""#,
    ] {
        assert!(holds(text), "{text}");
    }
    for text in [
        r#"externalId eq "ext-1""#,
        r#"title pr"#,
        r#"emails ne "ada@home.example""#,
        r#"emails[type eq "home"].value co "work""#,
        r#"emails[type eq "home" and primary eq true]"#,
        r#"nickName co "a""#,
        r#"active eq false"#,
        r#"meta.created lt "2026-01-31T08:30:00Z""#,
        r#"(title pr or active eq true) and userName lt "a""#,
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn elements_are_matched_alone() {
    let emails = crate::attr::resolve(schema::user(), "emails").expect("emails");
    let filter = parse_element(emails, r#"type eq "work" and not (primary eq true)"#).expect("a filter");
    assert!(matches_element(&filter, &json!({"type": "Work", "value": "x"})));
    assert!(!matches_element(&filter, &json!({"type": "work", "primary": true})));
    assert!(parse_element(emails, r#"userName eq "x""#).is_err());
    assert!(parse_element(emails, r#"type eq "x"]"#).is_err());
}

#[test]
fn refusals_name_the_column_and_what_is_allowed() {
    for (text, column, says) in [
        ("", 1, "attribute name"),
        ("   ", 4, "attribute name"),
        ("nope eq 1", 1, "userName"),
        (r#"userName is "x""#, 10, "eq, ne, co"),
        (r#"userName eq"#, 12, "value"),
        (r#"userName eq x"#, 13, "double quotes"),
        (r#"userName eq 5"#, 13, "string in double quotes"),
        (r#"userName eq "x"#, 13, "closing"),
        (r#"userName eq "x\q""#, 13, "escapes"),
        (r#"userName eq "a\u0000""#, 13, "NUL"),
        (r#"userName eq "x" junk"#, 17, "` and `"),
        (r#"userName eq "x"and title pr"#, 16, "` and `"),
        (r#"userName eq "x" and"#, 20, "space"),
        (r#"userName eq "x" and "#, 21, "attribute name"),
        (r#"userName eq "é" xor title pr"#, 17, "` and `"),
        (r#"name eq "x""#, 1, "familyName"),
        (r#"emails[type eq "work"] eq "x""#, 24, "sub-attribute"),
        (r#"emails[nope eq "work"]"#, 8, "type"),
        (r#"emails[type eq "work"].nope pr"#, 24, "value"),
        (r#"emails[type[x pr]]"#, 12, "inside"),
        (r#"emails[type pr"#, 15, "`]`"),
        (r#"emails[type pr)"#, 15, "closes nothing"),
        (r#"userName[value pr]"#, 1, "without `[`"),
        (r#"(title pr"#, 10, "`)`"),
        (r#"title pr)"#, 9, "closes nothing"),
        ("()", 2, "attribute name"),
        ("not title pr", 5, "`(`"),
        (r#"active gt true"#, 8, "eq, ne"),
        (r#"active eq "yes""#, 11, "true or false"),
        (r#"active eq 1"#, 11, "true or false"),
        (r#"meta.created eq "yesterday""#, 17, "date-time"),
        (r#"meta.created co "2026""#, 14, "eq, ne, gt"),
        (r#"title gt null"#, 10, "eq and ne"),
        (r#"password eq "x""#, 1, "password"),
        (r#"password pr"#, 1, "password"),
        ("userName\u{0}eq", 9, "operator"),
    ] {
        let detail = refusal(text);
        let at = detail.strip_prefix(&format!("Filter, column {column}"));
        assert!(at.is_some_and(|rest| rest.starts_with([':', ' '])), "{text}: {detail}");
        assert!(detail.contains(says), "{text}: {detail}");
    }
}

#[test]
fn limits() {
    let terms = |n: usize| vec!["title pr"; n].join(" and ");
    assert!(parse(schema::user(), &terms(MAX_TERMS)).is_ok());
    assert!(refusal(&terms(MAX_TERMS + 1)).contains("100 comparisons"));
    let nested = |n: usize| format!("{}title pr{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(schema::user(), &nested(MAX_DEPTH)).is_ok());
    assert!(refusal(&nested(MAX_DEPTH + 1)).contains("32 levels"));
    assert!(refusal(&format!("title eq \"{}\"", "x".repeat(MAX_LENGTH))).contains("8192"));
}

#[test]
fn nesting_cannot_exhaust_a_small_stack() {
    let bombs: Vec<String> = ["(", "not (", "emails[", "emails[(", "emails[not (", "[", "not ", "title pr and ("]
        .iter()
        .flat_map(|part| [part.repeat(30), part.repeat(MAX_LENGTH / part.len()), part.repeat(1_000_000)])
        .chain([format!("{}title pr{}", "not (".repeat(32), ")".repeat(32))])
        .collect();
    // Built once, outside: the schema and the folding tables are not what is measured.
    let rt = schema::user();
    let ran = std::thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(move || {
            for bomb in &bombs {
                if let Ok(filter) = parse(rt, bomb) {
                    assert!(!matches(&filter, &Object::new()));
                }
            }
        })
        .expect("a thread")
        .join();
    assert!(ran.is_ok());
}

fn comparison(inside: bool) -> BoxedStrategy<String> {
    let names: &'static [&'static str] =
        if inside { &["value", "type", "display"] } else { &["userName", "name.familyName", "emails", "externalId"] };
    let flag = if inside { "primary" } else { "active" };
    let path = prop::sample::select(names);
    let op = prop::sample::select(&["eq", "NE", "co", "sw", "ew", "gt", "le"][..]);
    prop_oneof![
        (path.clone(), op, ".{0,8}")
            .prop_map(|(path, op, text)| format!("{path} {op} {}", serde_json::Value::String(text.replace('\0', "")))),
        path.prop_map(|path| format!("{path} pr")),
        any::<bool>().prop_map(move |value| format!("{flag} eq \"{value}\"")),
    ]
    .boxed()
}

fn tree(leaf: BoxedStrategy<String>) -> BoxedStrategy<String> {
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| parts.join(" and ")),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| parts.join(" or ")),
            inner.clone().prop_map(|part| format!("( {part})")),
            inner.prop_map(|part| format!("not({part} )")),
        ]
    })
    .boxed()
}

proptest! {
    #[test]
    fn canonical_text_is_read_back_as_the_same_tree(text in tree(prop_oneof![
        comparison(false),
        tree(comparison(true)).prop_map(|inner| format!("emails[{inner}]")),
        tree(comparison(true)).prop_map(|inner| format!("emails[{inner}].value eq \"x\"")),
    ].boxed())) {
        if let Ok(first) = parse(schema::user(), &text) {
            let second = parse(schema::user(), &first.to_string()).expect("canonical text");
            prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
            prop_assert_eq!(matches(&first, &ada()), matches(&second, &ada()));
        } else {
            prop_assert!(text.len() > 1000 || text.matches(['(', '[']).count() > 4, "{}", text);
        }
    }

    #[test]
    fn junk_is_refused_and_never_panics(text in r#"[ a-z"\\()\[\].:é0]{0,40}|(emails|title|not|and|or|eq|pr|[()\[\]" .]){0,20}"#) {
        if let Err(error) = parse(schema::user(), &text) {
            prop_assert_eq!(error.kind, ErrorKind::InvalidFilter);
        }
    }
}

#[test]
fn the_space_before_a_string_may_be_missing() {
    assert_eq!(canonical("userName eq\"Ada\""), "userName eq \"ada\"");
    refusal("userName eq1");
    refusal("userNameeq \"Ada\"");
}
