//! The SQL text of filters. That it finds the right rows is tested through the service.

use store::Backend;
use uuid::Uuid;
use wire::Reason;

use super::Compiler;
use crate::{
    domain::{
        OrgId,
        list::{ListQuery, Start, Target},
    },
    store::{list::Listing, statement::Statement},
};

const BASE: &str = "https://scim.example.com/scim/v2";

fn compile(backend: Backend, target: Target, filter: &str) -> Result<Statement, wire::Refusal> {
    let rt = match target {
        Target::User => scim::schema::user(),
        Target::Group => scim::schema::group(),
    };
    let filter = scim::filter::parse(rt, filter).map_err(crate::error::from_scim)?;
    Compiler { backend, org: OrgId(Uuid::nil()), target, rt, base_url: Some(BASE) }.condition(&filter)
}

fn shown(target: Target, filter: &str) -> String {
    let one = |backend| {
        let statement = compile(backend, target, filter).expect(filter);
        let placeholders = statement.text().matches('?').count();
        assert_eq!(placeholders, statement.values().len(), "{filter}");
        statement.text().to_owned()
    };
    format!("{filter}\n\nSQLite\n{}\n\nPostgreSQL\n{}", one(Backend::Sqlite), one(Backend::Postgres))
}

#[test]
fn sql_of_user_filters() {
    let id = "0192d3a4-5b6c-7d8e-9f01-23456789abcd";
    let filters = [
        ("user_name", "userName Eq \"Kit@x\"".to_owned()),
        ("id", format!("id eq \"{id}\" or externalId ne \"00u\"")),
        ("emails", "emails.value eq \"a@x\" or emails co \"@x\"".to_owned()),
        ("entra_email", "emails[type eq \"work\"].value eq \"a@x\"".to_owned()),
        ("value_path", "emails[type eq \"work\" and value eq \"a@x\"]".to_owned()),
        ("names", "name.familyName sw \"O'M\" and not (displayName ew \"50%_\")".to_owned()),
        ("active", "active eq true and active ne false".to_owned()),
        ("instants", "meta.lastModified gt \"2026-01-01T00:00:00Z\" and meta.resourceType eq \"User\"".to_owned()),
        (
            "extension",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"Pier\" or title pr".to_owned(),
        ),
        ("elements", "phoneNumbers.type eq \"fax\" and roles[primary eq true and not (value pr)]".to_owned()),
        ("groups", format!("groups.value eq \"{id}\" or groups[display sw \"O\"]")),
        ("ways", "groups[type eq \"direct\" and display eq \"Ops\"]".to_owned()),
        ("uris", format!("meta.location eq \"{BASE}/Users/{id}\" or groups.$ref ew \"{id}\"")),
        ("tags", "meta.version eq \"W/\\\"3\\\"\" and schemas co \"enterprise\"".to_owned()),
        ("nothing", "title eq null and nickName co \"\"".to_owned()),
    ];
    for (name, filter) in filters {
        if compile(Backend::Sqlite, Target::User, &filter).is_err() {
            assert_eq!(name, "entra_email", "{filter}");
            continue;
        }
        insta::with_settings!({prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(format!("user_{name}"), shown(Target::User, &filter));
        });
    }
}

#[test]
fn sql_of_group_filters() {
    let id = "0192d3a4-5b6c-7d8e-9f01-23456789abcd";
    for (name, filter) in [
        ("display_name", "displayName eq \"Ops\"".to_owned()),
        ("members", format!("members.value eq \"{id}\" and members[type eq \"Group\" or value sw \"0192\"]")),
        ("uris", format!("members.$ref eq \"{BASE}/Users/{id}\"")),
    ] {
        insta::with_settings!({prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(format!("group_{name}"), shown(Target::Group, &filter));
        });
    }
}

#[test]
fn client_values_are_never_in_the_text() {
    let hostile = "x' OR 1=1; --?$1";
    for filter in [
        format!("userName eq \"{hostile}\""),
        format!("title co \"{hostile}\""),
        format!("emails[value eq \"{hostile}\"]"),
        format!("groups.value eq \"{hostile}\""),
        format!("id sw \"{hostile}\""),
    ] {
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let statement = compile(backend, Target::User, &filter).expect(&filter);
            assert!(!statement.text().contains("1=1"), "{filter}");
        }
    }
}

/// Every attribute of the schemas with every operator that its type has, alone and in a value path.
#[test]
fn whatever_can_be_asked_has_sql() {
    let (mut asked, mut refused) = (0, Vec::new());
    for target in [Target::User, Target::Group] {
        let rt = match target {
            Target::User => scim::schema::user(),
            Target::Group => scim::schema::group(),
        };
        let core = rt.common.iter().chain(&rt.schema.attributes).chain([scim::schema::schemas()]);
        let core = core.map(|attribute| (attribute, attribute.name.clone()));
        let extensions = rt.extensions.iter().flat_map(|schema| {
            schema.attributes.iter().map(|attribute| (attribute, format!("{}:{}", schema.id, attribute.name)))
        });
        for (attribute, name) in core.chain(extensions) {
            let mut paths = vec![name.clone()];
            paths.extend(attribute.sub_attributes.iter().map(|sub| format!("{name}.{}", sub.name)));
            let operators = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
            let literals = ["\"2026-01-01T00:00:00Z\"", "true", "1", "null"];
            let comparisons = operators.iter().flat_map(|op| literals.map(|literal| format!("{op} {literal}")));
            let terms: Vec<String> = comparisons.chain(["pr".to_owned()]).collect();
            for term in &terms {
                let elements = attribute.sub_attributes.iter().map(|sub| format!("{name}[{} {term}]", sub.name));
                for text in paths.iter().map(|path| format!("{path} {term}")).chain(elements) {
                    if scim::filter::parse(rt, &text).is_err() {
                        continue;
                    }
                    asked += 1;
                    for backend in [Backend::Sqlite, Backend::Postgres] {
                        if let Err(refusal) = compile(backend, target, &text) {
                            assert_eq!(refusal.reason, Reason::InvalidFilter, "{text}");
                            refused.push(text.clone());
                        }
                    }
                }
            }
        }
    }
    assert!(asked > 1500, "{asked}");
    // A tag is opaque.
    assert!(!refused.is_empty());
    let opaque = |text: &&String| {
        let op = text.split(' ').nth(1).unwrap_or_default();
        text.contains("version") && !["eq", "ne", "pr"].contains(&op)
    };
    assert_eq!(refused.iter().filter(|text| !opaque(text)).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn what_has_no_sql_is_refused() {
    for filter in ["meta.version gt \"1\"", "password eq \"x\"", "noSuchThing eq 1"] {
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let refusal = compile(backend, Target::User, filter).expect_err(filter);
            assert_eq!(refusal.reason, Reason::InvalidFilter, "{filter}");
        }
    }
}

#[test]
fn a_list_has_a_total_order() {
    for (sort_by, descending, tail) in [
        (None, false, "ORDER BY r.id"),
        (None, true, "ORDER BY r.id DESC"),
        (Some("userName"), false, "ORDER BY r.user_name_key ASC NULLS LAST, r.id"),
        (Some("title"), true, "DESC NULLS FIRST, r.id DESC"),
    ] {
        let query = ListQuery { sort_by: sort_by.map(str::to_owned), descending, limit: 10, ..ListQuery::default() };
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let listing =
                Listing::new(backend, OrgId(Uuid::nil()), scim::schema::Types::builtin(), Target::User, &query)
                    .expect("listing");
            let page = listing.page(&Start::Rank(0)).expect("page");
            // SQLite would plan anew for each value of a bare placeholder.
            let slice = if backend == Backend::Sqlite { " LIMIT ? + 0 OFFSET ? + 0" } else { " LIMIT ? OFFSET ?" };
            assert!(page.text().ends_with(&format!("{tail}{slice}")), "{}", page.text());
        }
    }
}

#[test]
fn filters_with_an_index_are_told_from_those_without() {
    let has = |backend, target, text: &str| {
        let rt = match target {
            Target::User => scim::schema::user(),
            Target::Group => scim::schema::group(),
        };
        let filter = scim::filter::parse(rt, text).expect(text);
        Compiler { backend, org: OrgId(Uuid::nil()), target, rt, base_url: None }.has_index(&filter)
    };
    for backend in [Backend::Sqlite, Backend::Postgres] {
        for text in [
            "userName eq \"a\"",
            "userName sw \"a\"",
            "displayName eq \"a\" and title co \"x\"",
            "id eq \"a\" or emails eq \"b\"",
            "emails[value eq \"b\" and type eq \"work\"]",
            "groups.value eq \"a\"",
        ] {
            assert!(has(backend, Target::User, text), "{text}");
        }
        assert!(has(backend, Target::Group, "members[value eq \"a\"]"));
        for text in [
            "title eq \"a\"",
            "userName ew \"abc\"",
            "userName sw \"\"",
            "not (userName eq \"a\")",
            "userName eq \"a\" or title eq \"b\"",
            "active eq true",
            "emails co \"abc\"",
            "userName co \"ab\"",
            "groups.type eq \"direct\"",
            "userName pr",
        ] {
            assert!(!has(backend, Target::User, text), "{text}");
        }
        assert_eq!(has(backend, Target::User, "name.familyName co \"abc\""), backend == Backend::Postgres);
    }
}
