//! `/Users` from the outside.

use serde_json::{Value, json};

use crate::harness::{BASE, Server, text};

fn kit() -> Value {
    json!({
        "schemas": [scim::schema::USER, scim::schema::ENTERPRISE_USER],
        "userName": "Kit@Example.com",
        "name": {"givenName": "Kit", "familyName": "Moor"},
        "emails": [{"primary": true, "value": "kit@example.com", "type": "work"}],
        "externalId": "00u1a2b3c4d5",
        "groups": [],
        "password": "correct horse",
        "active": true,
        scim::schema::ENTERPRISE_USER: {"department": "Pier", "employeeNumber": "7"},
    })
}

#[tokio::test]
async fn create_read_replace_patch_delete() {
    let server = Server::start().await;
    let created = server.post("/Users", &kit()).await.is(201);
    let user = created.json();
    let id = text(&user["id"]);
    let location = format!("{BASE}/Users/{id}");
    assert_eq!(created.header("location"), location);
    assert_eq!(created.header("content-type"), "application/scim+json");
    assert_eq!(user["meta"]["location"], location);
    assert_eq!(user["meta"]["resourceType"], "User");
    assert_eq!(user["meta"]["version"], created.header("etag"));
    assert_eq!(user["userName"], "Kit@Example.com");
    assert_eq!(user[scim::schema::ENTERPRISE_USER]["department"], "Pier");
    assert!(!user.to_string().contains("correct horse"));

    let path = format!("/Users/{id}");
    let read = server.get(&path).await.is(200);
    assert_eq!(read.json(), user);
    assert_eq!(read.header("etag"), created.header("etag"));

    let mut body = read.json();
    body["title"] = json!("Keeper");
    let replaced = server.put(&path, &body).await.is(200);
    assert_eq!(replaced.json()["title"], "Keeper");
    assert_ne!(replaced.header("etag"), created.header("etag"));

    let patched = server.patch(&path, &json!([{"op": "Replace", "path": "active", "value": "False"}])).await.is(200);
    assert_eq!(patched.json()["active"], false);
    let patched = server.patch(&path, &json!([{"op": "replace", "value": {"active": true}}])).await.is(200);
    assert_eq!(patched.json()["active"], true);

    let gone = server.delete(&path).await.is(204);
    assert!(gone.body.is_empty());
    server.get(&path).await.refused(404, None, "");
    server.delete(&path).await.refused(404, None, "");
    server.put(&path, &kit()).await.refused(404, None, "");
    server.post("/Users", &kit()).await.is(201);
}

#[tokio::test]
async fn a_taken_user_name_is_409_in_any_case() {
    let server = Server::start().await;
    server.post("/Users", &kit()).await.is(201);
    let mut other = kit();
    other["userName"] = json!("KIT@example.COM");
    server.post("/Users", &other).await.refused(409, Some("uniqueness"), "userName");
}

#[tokio::test]
async fn lists_are_found_paged_and_numbered() {
    let server = Server::start().await;
    let empty = server.get("/Users?startIndex=1&count=2").await.is(200).json();
    assert_eq!(empty["totalResults"], 0);
    assert_eq!(empty["Resources"], json!([]));
    for n in 0..5 {
        server.user(&format!("u{n}+x@example.com")).await;
    }
    let page = server.get("/Users?startIndex=2&count=2").await.is(200).json();
    assert_eq!(page["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
    assert_eq!((&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]), (&json!(5), &json!(2), &json!(2)));
    assert_eq!(page["Resources"].as_array().map(Vec::len), Some(2));
    let total = server.get("/Users?count=0").await.is(200).json();
    assert_eq!((&total["totalResults"], &total["itemsPerPage"]), (&json!(5), &json!(0)));
    // `+` is a space, %2B a plus; unknown parameters mean nothing.
    let path = "/Users?filter=userName+eq+%22U3%2Bx%40example.com%22&startIndex=1&count=100&aadOptscim062020";
    let found = server.get(path).await.is(200).json();
    assert_eq!(found["totalResults"], 1);
    assert_eq!(found["Resources"][0]["userName"], "u3+x@example.com");
    let none = server.get("/Users?filter=userName+eq+%22nobody%22").await.is(200).json();
    assert_eq!((&none["totalResults"], &none["Resources"]), (&json!(0), &json!([])));
    // A slash at the end changes nothing.
    assert_eq!(server.get("/Users/?count=0").await.is(200).json(), total);
}

#[tokio::test]
async fn projections_hold_for_every_answer() {
    let server = Server::start().await;
    let created = server.post("/Users?attributes=userName", &kit()).await.is(201).json();
    assert_eq!(created["userName"], "Kit@Example.com");
    assert!(created.get("name").is_none() && created.get("emails").is_none(), "{created}");
    let path = format!("/Users/{}", text(&created["id"]));
    let part = server.get(&format!("{path}?excludedAttributes=name,groups")).await.is(200).json();
    assert!(part.get("name").is_none() && part.get("groups").is_none() && part.get("emails").is_some(), "{part}");
    let listed = server.get("/Users?attributes=name.familyName").await.is(200).json();
    assert_eq!(listed["Resources"][0]["name"], json!({"familyName": "Moor"}));
    server.get(&format!("{path}?attributes=userName&excludedAttributes=name")).await.refused(
        400,
        Some("invalidValue"),
        "",
    );
}

#[tokio::test]
async fn entity_tags_guard_reads_and_writes() {
    let server = Server::start().await;
    let created = server.post("/Users", &kit()).await.is(201);
    let etag = created.header("etag").to_owned();
    let path = format!("/Users/{}", text(&created.json()["id"]));
    let same = server.send("GET", &path, &[("if-none-match", &etag)], None).await.is(304);
    assert!(same.body.is_empty());
    assert_eq!(same.header("etag"), etag);
    server.send("GET", &path, &[("if-none-match", "W/\"999\"")], None).await.is(200);

    let body = kit().to_string();
    server.send("PUT", &path, &[("if-match", "W/\"999\"")], Some(&body)).await.refused(412, None, "");
    server.send("DELETE", &path, &[("if-match", "W/\"999\"")], None).await.refused(412, None, "");
    let patch = json!({"Operations": [{"op": "replace", "path": "title", "value": "Keeper"}]}).to_string();
    server.send("PATCH", &path, &[("if-match", "W/\"999\"")], Some(&patch)).await.refused(412, None, "");
    let patched = server.send("PATCH", &path, &[("if-match", &etag)], Some(&patch)).await.is(200);
    assert_ne!(patched.header("etag"), etag);
    server.send("GET", &path, &[("if-none-match", &etag)], None).await.is(200);
    server.send("DELETE", &path, &[("if-match", "*")], None).await.is(204);
}

#[tokio::test]
async fn a_users_groups_are_shown_and_change_its_tag() {
    let server = Server::start().await;
    let user = server.user("kit@example.com").await;
    let path = format!("/Users/{user}");
    let before = server.get(&path).await.is(200);
    let inner = server.group("Inner", &[&user]).await;
    let outer = server.group("Outer", &[&inner]).await;
    let after = server.get(&path).await.is(200);
    assert_ne!(after.header("etag"), before.header("etag"));
    let groups = after.json()["groups"].as_array().cloned().unwrap_or_default();
    let kinds: Vec<(String, String)> = groups.iter().map(|g| (text(&g["value"]), text(&g["type"]))).collect();
    assert_eq!(kinds, [(inner, "direct".to_owned()), (outer, "indirect".to_owned())]);
    // The version alone guards a write: a membership is not the user's own.
    let body = json!({"userName": "kit@example.com", "title": "Keeper"}).to_string();
    server.send("PUT", &path, &[("if-match", before.header("etag"))], Some(&body)).await.is(200);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::start().await;
    let path = format!("/Users/{}", server.user("kit@example.com").await);
    for path in [path.as_str(), "/Users", "/Groups", "/ServiceProviderConfig"] {
        let get = server.get(path).await.is(200);
        let head = server.send("HEAD", path, &[], None).await.is(200);
        assert!(head.body.is_empty(), "{path}");
        assert_eq!(head.header("etag"), get.header("etag"), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn the_answer_has_the_type_that_was_asked_for() {
    let server = Server::start().await;
    let json = server.send("GET", "/Users", &[("accept", "application/json")], None).await.is(200);
    assert_eq!(json.header("content-type"), "application/json");
    let error = server.send("GET", "/Users/1", &[("accept", "application/json")], None).await.is(404);
    assert_eq!(error.header("content-type"), "application/json");
    let scim = server.send("GET", "/Users", &[("accept", "*/*")], None).await.is(200);
    assert_eq!(scim.header("content-type"), "application/scim+json");
}
