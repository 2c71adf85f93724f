//! RFC 7644 sections 3.4.2.1 and 3.4.3: searching by POST, and across types.

use serde_json::{Value, json};

use crate::{
    encoded,
    harness::{ERROR, Server},
    kit, names, with_kit,
};

const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

async fn search(server: &Server, endpoint: &str, mut request: Value) -> Value {
    request["schemas"] = json!([SEARCH]);
    server.post(&format!("{endpoint}/.search"), &request).await.is(200).json()
}

#[tokio::test]
async fn a_search_by_post_is_the_query() {
    let (server, _) = with_kit().await;
    for name in ["b", "a", "d", "c"] {
        let mut body = kit();
        body["userName"] = json!(name);
        server.post("/Users", &body).await.is(201);
        server.group(name, &[]).await;
    }
    let urn = format!("{}:name.givenName", scim::schema::USER);
    for (request, query) in [
        (json!({}), String::new()),
        (json!({"filter": "userName sw \"k\""}), format!("filter={}", encoded("userName sw \"k\""))),
        (json!({"sortBy": "userName"}), "sortBy=userName".to_owned()),
        (json!({"sortBy": "userName", "sortOrder": "descending"}), "sortBy=userName&sortOrder=descending".to_owned()),
        (json!({"sortBy": "name.familyName"}), "sortBy=name.familyName".to_owned()),
        (json!({"startIndex": 2, "count": 2}), "startIndex=2&count=2".to_owned()),
        (json!({"count": 0}), "count=0".to_owned()),
        (json!({"attributes": ["userName", urn]}), format!("attributes=userName,{urn}")),
        (
            json!({"excludedAttributes": ["id", "emails", "name.givenName"]}),
            "excludedAttributes=id,emails,name.givenName".to_owned(),
        ),
    ] {
        let by_get = server.get(&format!("/Users?{query}")).await.is(200).json();
        assert_eq!(search(&server, "/Users", request).await, by_get, "{query}");
    }
    let by_get = server.get("/Groups?sortBy=displayName&count=2").await.is(200).json();
    assert_eq!(search(&server, "/Groups", json!({"sortBy": "displayName", "count": 2})).await, by_get);
    let hidden = search(&server, "/Users", json!({"excludedAttributes": ["id", "schemas"]})).await;
    assert!(hidden["Resources"][0].get("id").is_some() && hidden["Resources"][0].get("schemas").is_some());
    let sorted =
        search(&server, "/Users", json!({"sortBy": "userName", "filter": "userName ne \"kit@example.com\""})).await;
    assert_eq!(names(&sorted), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_search_says_what_it_is() {
    let server = Server::start().await;
    for endpoint in ["/Users/.search", "/Groups/.search", "/.search"] {
        for wrong in [json!([ERROR]), json!([scim::schema::USER])] {
            let answer = server.post(endpoint, &json!({"schemas": wrong})).await.is(400);
            assert_eq!(answer.json()["schemas"], json!([ERROR]));
        }
        for filter in ["boat", "id regex \"x\"", "(id pr", "id eq"] {
            let request = json!({"schemas": [SEARCH], "filter": filter});
            server.post(endpoint, &request).await.refused(400, Some("invalidFilter"), "");
        }
        server.send("POST", endpoint, &[], Some("{")).await.refused(400, Some("invalidSyntax"), "");
    }
}

#[tokio::test]
async fn the_root_is_searched_across_types() {
    let (server, _) = with_kit().await;
    server.user("other").await;
    let group = server.group("Ops", &[]).await;
    for (filter, total) in [
        ("id pr", 3),
        ("displayName pr", 2),
        ("userName pr", 2),
        ("not (userName pr)", 1),
        ("userName eq \"other\" or displayName eq \"ops\"", 2),
        ("meta.resourceType eq \"Group\"", 1),
        ("(meta.resourceType eq \"User\") or (meta.resourceType eq \"Group\")", 3),
        ("members pr or title eq \"keeper\"", 1),
    ] {
        let found = search(&server, "", json!({"filter": filter})).await;
        assert_eq!(found["totalResults"], total, "{filter}");
        assert_eq!(found["Resources"].as_array().map(Vec::len), usize::try_from(total).ok(), "{filter}");
    }
    let found = search(&server, "", json!({"filter": "displayName eq \"Ops\""})).await;
    assert_eq!(
        (&found["Resources"][0]["id"], &found["Resources"][0]["meta"]["resourceType"]),
        (&json!(group), &json!("Group"))
    );
    assert_eq!(search(&server, "", json!({})).await["totalResults"], 3);
}
