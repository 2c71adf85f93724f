//! `POST /.search` from the outside.

use serde_json::{Value, json};

use crate::harness::{Server, text};

async fn filled() -> Server {
    let server = Server::start().await;
    let mut members = Vec::new();
    for n in 0..4 {
        members.push(server.user_named(format!("u{n}")).await);
    }
    for (n, member) in members.iter().take(3).enumerate() {
        server.group(&format!("G{n}"), &[member]).await;
    }
    server
}

#[tokio::test]
async fn the_body_is_that_of_the_get_byte_for_byte() {
    let server = filled().await;
    for (path, query, body) in [
        ("/Users", "", json!({})),
        ("/Users", "startIndex=2&count=2", json!({"startIndex": 2, "count": 2})),
        (
            "/Users",
            "filter=userName+sw+%22u%22&sortBy=userName&sortOrder=descending&attributes=userName,meta",
            json!({
                "schemas": [scim::search::REQUEST],
                "filter": "userName sw \"u\"",
                "sortBy": "userName",
                "sortOrder": "descending",
                "attributes": ["userName", "meta"],
            }),
        ),
        ("/Groups", "excludedAttributes=members", json!({"excludedAttributes": ["members"]})),
        ("/Groups", "count=0", json!({"count": 0})),
        ("/Groups", "filter=members.value+pr", json!({"filter": "members.value pr"})),
    ] {
        let got = server.get(&format!("{path}?{query}")).await.is(200);
        let found = server.post(&format!("{path}/.search"), &body).await.is(200);
        assert_eq!(found.body, got.body, "{path}?{query}");
    }
    server.post("/Users/.search", &json!({"filter": "nope pr"})).await.refused(400, Some("invalidFilter"), "");
    server.post("/Groups/.search", &json!({"attributes": 1})).await.refused(400, Some("invalidValue"), "attributes");
    let of = |length: usize| json!({"filter": "x".repeat(length)});
    server.post("/Users/.search", &of(70_000)).await.refused(400, Some("invalidFilter"), "8192");
    server.post("/Users/.search", &of(1024 * 1024)).await.refused(413, None, "1024 KiB");
}

/// The parameters of one search in both forms, chosen by the bits of a number.
fn parameters(endpoint: &str, choice: usize) -> (String, Value) {
    let own = if endpoint == "/Users" { "userName" } else { "displayName" };
    let starts = format!("{own} sw \"{}\"", if endpoint == "/Users" { "u" } else { "g" });
    let choices: [&[(&str, Value)]; 6] = [
        &[("filter", json!(starts))],
        &[("filter", json!("meta.version eq \"W/\\\"1\\\"\" and not (id eq null)"))],
        &[("sortBy", json!(own)), ("sortOrder", json!("descending"))],
        &[("startIndex", json!(2)), ("count", json!(2))],
        &[("attributes", json!([own, "meta.location"]))],
        &[("excludedAttributes", json!(["groups", "members.type"]))],
    ];
    let (mut query, mut body) = (form_urlencoded::Serializer::new(String::new()), json!({}));
    for (_, pairs) in choices.iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1) {
        for (name, value) in *pairs {
            if body.get(*name).is_some() {
                continue;
            }
            let plain = match value {
                Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(","),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            query.append_pair(name, &plain);
            body[*name] = value.clone();
        }
    }
    (query.finish(), body)
}

/// RFC 7644 section 3.4.3, over all of a few parameters together; what GET refuses is refused alike.
#[tokio::test]
async fn a_search_is_its_get_whatever_is_asked() {
    let server = filled().await;
    for endpoint in ["/Users", "/Groups"] {
        for choice in 0..64 {
            let (query, body) = parameters(endpoint, choice);
            let got = server.get(&format!("{endpoint}?{query}")).await;
            let found = server.post(&format!("{endpoint}/.search"), &body).await;
            assert_eq!((found.status, &found.body), (got.status, &got.body), "{endpoint}?{query}");
        }
    }
    // The root has no GET; what it finds of one type is what the type's endpoint finds.
    for (endpoint, only) in [("/Users", "meta.resourceType eq \"User\""), ("/Groups", "meta.resourceType eq \"Group\"")]
    {
        for choice in (0..64).filter(|choice| choice & 3 == 0) {
            let (_, mut body) = parameters(endpoint, choice);
            body["filter"] = json!(only);
            let here = server.post(&format!("{endpoint}/.search"), &body).await;
            let root = server.post("/.search", &body).await;
            assert_eq!((root.status, &root.body), (here.status, &here.body), "{endpoint} {body}");
        }
    }
}

fn ids(list: &Value) -> Vec<String> {
    list["Resources"].as_array().into_iter().flatten().map(|resource| text(&resource["id"])).collect()
}

#[tokio::test]
async fn the_root_pages_over_users_then_groups() {
    let server = filled().await;
    let mut expected = ids(&server.get("/Users").await.json());
    expected.extend(ids(&server.get("/Groups").await.json()));
    for count in [1, 2, 3, 4, 5, 7, 8] {
        let mut found = Vec::new();
        for start in (1..=8).step_by(count) {
            let page = server.post("/.search", &json!({"startIndex": start, "count": count})).await.is(200).json();
            assert_eq!((&page["totalResults"], &page["startIndex"]), (&json!(7), &json!(start)));
            assert_eq!(page["itemsPerPage"], page["Resources"].as_array().map_or(0, Vec::len));
            found.extend(ids(&page));
        }
        assert_eq!(found, expected, "by {count}");
    }
    assert_eq!(server.post("/.search", &json!({"count": 0})).await.is(200).json()["totalResults"], 7);
}

#[tokio::test]
async fn a_filter_over_types_matches_those_that_have_the_attribute() {
    let server = filled().await;
    for (filter, total) in [
        ("meta.resourceType eq \"User\"", 4),
        ("meta.resourceType eq \"Group\"", 3),
        ("userName eq \"u1\"", 1),
        ("displayName sw \"g\"", 3),
        ("userName eq \"u1\" or displayName eq \"G1\"", 2),
        ("not (userName pr)", 3),
        ("id pr", 7),
    ] {
        let list = server.post("/.search", &json!({"filter": filter})).await.is(200).json();
        assert_eq!(list["totalResults"], total, "{filter}");
    }
    server.post("/.search", &json!({"filter": "nope pr"})).await.refused(400, Some("invalidFilter"), "");
    server.post("/.search", &json!({"cursor": "x"})).await.refused(400, Some("invalidCursor"), "empty cursor");
    let sorted =
        server.post("/.search", &json!({"sortBy": "userName", "sortOrder": "descending"})).await.is(200).json();
    assert_eq!((&sorted["Resources"][0]["userName"], &sorted["totalResults"]), (&json!("u3"), &json!(7)));
}
