//! The SQL text of filters. That it finds the right rows is tested through the service.

use store::Backend;
use uuid::Uuid;
use wire::Reason;

use super::{Compiler, Target};
use crate::{
    domain::{
        OrgId,
        list::{ListQuery, Start},
    },
    store::{list::Listing, statement::Statement},
};

fn compile(backend: Backend, target: Target, filter: &str) -> Result<Statement, wire::Refusal> {
    let rt = match target {
        Target::User => scim::schema::user(),
        Target::Group => scim::schema::group(),
    };
    let filter = scim::filter::parse(rt, filter).map_err(crate::error::from_scim)?;
    Compiler { backend, org: OrgId(Uuid::nil()), target }.condition(&filter)
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

#[test]
fn what_has_no_sql_is_refused() {
    for filter in [
        "meta.location eq \"https://x\"",
        "meta.version eq \"1\"",
        "groups.type eq \"direct\"",
        "groups.$ref eq \"x\"",
        "password eq \"x\"",
        "noSuchThing eq 1",
    ] {
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let refusal = compile(backend, Target::User, filter).expect_err(filter);
            assert_eq!(refusal.reason, Reason::InvalidFilter, "{filter}");
        }
    }
}

#[test]
fn a_list_has_a_total_order() {
    for (sort_by, descending, tail) in [
        (None, false, "ORDER BY r.id LIMIT ? OFFSET ?"),
        (None, true, "ORDER BY r.id DESC LIMIT ? OFFSET ?"),
        (Some("userName"), false, "ORDER BY r.user_name_key ASC NULLS LAST, r.id LIMIT ? OFFSET ?"),
        (Some("title"), true, "DESC NULLS FIRST, r.id DESC LIMIT ? OFFSET ?"),
    ] {
        let query = ListQuery { sort_by: sort_by.map(str::to_owned), descending, limit: 10, ..ListQuery::default() };
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let listing =
                Listing::new(backend, OrgId(Uuid::nil()), scim::schema::Types::builtin(), Target::User, &query)
                    .expect("listing");
            let page = listing.page(&Start::Rank(0)).expect("page");
            assert!(page.text().ends_with(tail), "{}", page.text());
        }
    }
}
