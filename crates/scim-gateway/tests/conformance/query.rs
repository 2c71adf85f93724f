//! RFC 7644 sections 3.4.2 and 3.10.

use scim::schema::{ENTERPRISE_USER, USER};
use serde_json::{Value, json};

use crate::{encoded, harness::Server, names, with_kit};

async fn found(server: &Server, filter: &str) -> Vec<String> {
    names(&server.get(&format!("/Users?filter={}", encoded(filter))).await.is(200).json())
}

async fn refused(server: &Server, filter: &str, hint: &str) {
    let path = format!("/Users?filter={}", encoded(filter));
    server.get(&path).await.refused(400, Some("invalidFilter"), hint);
}

/// The names of the members of a resource.
#[track_caller]
fn keys(resource: &Value) -> Vec<String> {
    let mut keys: Vec<String> = resource.as_object().expect("an object").keys().cloned().collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn unknown_parameters_mean_nothing() {
    let (server, user) = with_kit().await;
    for query in ["x=1", "aadOptscim062020", "%3F=%26&filter2=nonsense"] {
        assert_eq!(names(&server.get(&format!("/Users?{query}")).await.is(200).json()).len(), 1, "{query}");
        assert_eq!(server.get(&format!("{user}?{query}")).await.is(200).body, server.get(&user).await.body);
    }
}

#[tokio::test]
async fn a_list_says_how_much_there_is() {
    let server = Server::start().await;
    let list = |total: i64, start: i64, resources: &Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": total, "startIndex": start,
            "itemsPerPage": resources.as_array().map_or(0, Vec::len), "Resources": resources,
        })
    };
    for endpoint in ["/Users", "/Groups"] {
        let attribute = if endpoint == "/Users" { "userName" } else { "displayName" };
        let nothing = format!("{endpoint}?filter={attribute}+eq+%22nobody%22");
        assert_eq!(server.get(&nothing).await.is(200).json(), list(0, 1, &json!([])));
        for n in 0..5 {
            server.post(endpoint, &json!({attribute: format!("x{n}")})).await.is(201);
        }
        let whole = server.get(endpoint).await.is(200).json();
        assert_eq!(whole, list(5, 1, &whole["Resources"]));
        assert_eq!(whole["Resources"].as_array().map(Vec::len), Some(5));
        let page = server.get(&format!("{endpoint}?startIndex=2&count=2")).await.is(200).json();
        assert_eq!(page, list(5, 2, &json!([whole["Resources"][1], whole["Resources"][2]])));
        assert_eq!(server.get(&nothing).await.is(200).json(), list(0, 1, &json!([])));
    }
}

#[tokio::test]
async fn only_what_matches_is_returned() {
    let (server, _) = with_kit().await;
    server.user("other").await;
    let manager = format!("{ENTERPRISE_USER}:department eq \"pier\"");
    for filter in [
        "title pr",
        "title eq \"keeper\"",
        "name.familyName sw \"mo\"",
        "name.familyName ew \"OR\" and name.givenName co \"i\"",
        "emails.type eq \"home\"",
        "emails eq \"kit@home.example\"",
        "not (userName eq \"other\")",
        "userName gt \"a\" and userName lt \"l\"",
        &manager,
    ] {
        assert_eq!(found(&server, filter).await, ["Kit@Example.com"], "{filter}");
    }
    assert_eq!(found(&server, "userName pr").await.len(), 2);
    assert_eq!(found(&server, "title eq \"nothing\"").await.len(), 0);
    assert_eq!(found(&server, "meta.created gt \"2020-01-01T00:00:00Z\"").await.len(), 2);
    assert_eq!(found(&server, "meta.created lt \"2020-01-01T00:00:00Z\"").await.len(), 0);
}

#[tokio::test]
async fn what_is_no_filter_is_refused() {
    let (server, _) = with_kit().await;
    for (filter, hint) in [
        ("()", "attribute name"),
        ("userName", "operator"),
        ("eq \"kit\"", "eq"),
        ("userName eq", "value"),
        ("userName eq kit", "double quotes"),
        ("userName regex \"kit\"", "eq, ne, co"),
        ("userName pr and", "column"),
        ("boat eq \"kit\"", "userName"),
        ("(userName pr", "`)`"),
        ("userName pr)", "closes nothing"),
        ("not userName pr", "`(`"),
    ] {
        refused(&server, filter, hint).await;
    }
}

#[tokio::test]
async fn order_means_nothing_to_booleans_and_binaries() {
    let (server, _) = with_kit().await;
    for operator in ["gt", "ge", "lt", "le"] {
        refused(&server, &format!("active {operator} true"), "eq, ne").await;
        refused(&server, &format!("emails[primary {operator} true]"), "eq, ne").await;
        refused(&server, &format!("x509Certificates.value {operator} \"TWFu\""), "eq, ne").await;
    }
    assert_eq!(found(&server, "active eq true and x509Certificates.value eq \"TWFu\"").await.len(), 1);
}

#[tokio::test]
async fn brackets_are_about_one_value() {
    let (server, _) = with_kit().await;
    for (filter, total) in [
        ("emails[type eq \"work\" and value ew \"home.example\"]", 0),
        ("emails.type eq \"work\" and emails.value ew \"home.example\"", 1),
        ("emails[type eq \"home\" and value ew \"home.example\"]", 1),
        ("emails[type eq \"home\" or (type eq \"work\" and not (primary eq true))]", 1),
        ("emails[type eq \"home\" and primary eq true]", 0),
    ] {
        assert_eq!(found(&server, filter).await.len(), total, "{filter}");
    }
    for filter in
        ["emails[]", "emails[work]", "emails[userName eq \"x\"]", "emails[emails.value pr]", "userName[value pr]"]
    {
        refused(&server, filter, "column").await;
    }
}

#[tokio::test]
async fn and_binds_before_or() {
    let (server, _) = with_kit().await;
    for (filter, total) in [
        ("title pr or title pr and nickName pr", 1),
        ("(title pr or title pr) and nickName pr", 0),
        ("nickName pr and title pr or title pr", 1),
        ("not (nickName pr) and title pr", 1),
        ("not (nickName pr or title pr)", 0),
    ] {
        assert_eq!(found(&server, filter).await.len(), total, "{filter}");
    }
}

#[tokio::test]
async fn a_default_is_found_as_it_was_shown() {
    let server = Server::start().await;
    let created = server.post("/Users", &json!({"userName": "kit"})).await.is(201).json();
    assert_eq!(created["active"], true);
    assert_eq!(found(&server, "active eq true").await, ["kit"]);
    assert_eq!(found(&server, "active pr").await, ["kit"]);
    assert_eq!(found(&server, "active eq false").await.len(), 0);
}

#[tokio::test]
async fn case_counts_where_the_schema_says_so() {
    let (server, user) = with_kit().await;
    for (filter, total) in [
        ("externalId eq \"Ext-1\"", 1),
        ("externalId eq \"ext-1\"", 0),
        ("x509Certificates.value eq \"TWFu\"", 1),
        ("x509Certificates.value eq \"twfu\"", 0),
        ("userName eq \"KIT@EXAMPLE.COM\"", 1),
        ("USERNAME Eq \"kit@example.com\"", 1),
        ("name.familyName co \"OO\"", 1),
    ] {
        assert_eq!(found(&server, filter).await.len(), total, "{filter}");
    }
    let shown = server.get(&user).await.is(200).json();
    assert_eq!((&shown["externalId"], &shown["userName"]), (&json!("Ext-1"), &json!("Kit@Example.com")));
}

#[tokio::test]
async fn results_come_in_the_order_asked_for() {
    let server = Server::start().await;
    for (name, external, level) in [("b", "B", "10"), ("A", "a", "9"), ("c", "b", "100")] {
        let body = json!({
            "userName": name, "externalId": external, "title": level,
            "emails": [{"value": format!("z{name}@x")}, {"value": format!("{level}@x"), "primary": true}],
        });
        server.post("/Users", &body).await.is(201);
    }
    for (query, expected) in [
        ("sortBy=userName", ["A", "b", "c"]),
        ("sortBy=userName&sortOrder=ascending", ["A", "b", "c"]),
        ("sortBy=USERNAME&sortOrder=descending", ["c", "b", "A"]),
        // caseExact: capitals before small letters.
        ("sortBy=externalId", ["b", "A", "c"]),
        // The primary value decides.
        ("sortBy=emails.value", ["c", "b", "A"]),
        ("sortBy=meta.created", ["b", "A", "c"]),
        ("sortBy=meta.created&sortOrder=descending", ["c", "A", "b"]),
    ] {
        assert_eq!(names(&server.get(&format!("/Users?{query}")).await.is(200).json()), expected, "{query}");
    }
    server.get("/Users?sortBy=userName&sortOrder=up").await.refused(400, Some("invalidValue"), "sortOrder");
    server.get("/Users?sortBy=boat").await.refused(400, Some("invalidValue"), "sortBy");
}

#[tokio::test]
async fn pages_have_bounds() {
    let server = Server::start().await;
    for n in 0..5 {
        server.user(&format!("u{n}")).await;
    }
    let all = names(&server.get("/Users").await.is(200).json());
    for (query, expected) in [
        ("startIndex=0&count=2", &all[..2]),
        ("startIndex=-7&count=2", &all[..2]),
        ("startIndex=4&count=2", &all[3..]),
        ("startIndex=6", &[]),
        ("count=0", &[]),
        ("count=-3", &[]),
        ("count=3", &all[..3]),
        ("count=100000", &all[..]),
    ] {
        let page = server.get(&format!("/Users?{query}")).await.is(200).json();
        assert_eq!((names(&page).as_slice(), &page["totalResults"]), (expected, &json!(5)), "{query}");
        assert_eq!(page["itemsPerPage"], expected.len());
    }
}

#[tokio::test]
async fn a_client_chooses_what_it_is_shown() {
    let (server, user) = with_kit().await;
    let shown = async |query: &str| {
        let one = server.get(&format!("{user}?{query}")).await.is(200).json();
        let listed = server.get(&format!("/Users?{query}")).await.is(200).json();
        assert_eq!(listed["Resources"][0], one, "{query}");
        one
    };
    assert_eq!(keys(&shown("attributes=userName").await), ["id", "schemas", "userName"]);
    assert_eq!(keys(&shown("attributes=nothing").await), ["id", "schemas"]);
    assert_eq!(shown("attributes=name.givenName").await["name"], json!({"givenName": "Kit"}));
    let all = keys(&shown("").await);
    let some = shown("excludedAttributes=emails,title,name.givenName").await;
    let expected: Vec<&String> = all.iter().filter(|key| !["emails", "title"].contains(&key.as_str())).collect();
    assert_eq!(keys(&some).iter().collect::<Vec<_>>(), expected);
    assert_eq!(some["name"], json!({"familyName": "Moor"}));
    assert_eq!(keys(&shown("excludedAttributes=id,schemas").await), all);
}

#[tokio::test]
async fn names_are_in_the_standard_notation() {
    let (server, user) = with_kit().await;
    for (names, expected) in [
        (format!("{USER}:userName"), json!({"userName": "Kit@Example.com"})),
        (format!("{}:NAME.givenname", USER.to_uppercase()), json!({"name": {"givenName": "Kit"}})),
        (format!("{ENTERPRISE_USER}:department"), json!({ENTERPRISE_USER: {"department": "Pier"}})),
        (ENTERPRISE_USER.to_owned(), json!({ENTERPRISE_USER: {"department": "Pier"}})),
        ("department".to_owned(), json!({})),
    ] {
        let mut shown = server.get(&format!("{user}?attributes={}", encoded(&names))).await.is(200).json();
        for always in ["id", "schemas"] {
            shown.as_object_mut().expect("an object").remove(always).expect("always returned");
        }
        assert_eq!(shown, expected, "{names}");
        let rest = server.get(&format!("{user}?excludedAttributes={}", encoded(&names))).await.is(200).json();
        for (name, value) in expected.as_object().expect("an object") {
            assert_ne!(rest.get(name), Some(value), "{names}");
        }
    }
    let filter = format!("{ENTERPRISE_USER}:department eq \"Pier\" and {USER}:userName pr");
    assert_eq!(found(&server, &filter).await.len(), 1);
}
