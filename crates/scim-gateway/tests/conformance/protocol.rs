//! RFC 7644: messages, creation, deletion, media types, errors, versions.

use scim::schema::{GROUP, USER};
use serde_json::{Value, json};

use crate::{
    harness::{BASE, ERROR, SCIM_JSON, Server, text},
    kit, with_kit,
};

#[track_caller]
fn keys(resource: &Value) -> Vec<String> {
    resource.as_object().expect("an object").keys().cloned().collect()
}

#[tokio::test]
async fn messages_are_named_and_not_listed() {
    let (server, _) = with_kit().await;
    let listed = server.get("/Users").await.is(200).json();
    let error = server.get("/Nothing").await.is(404).json();
    for (message, name) in [(listed, "ListResponse"), (error, "Error")] {
        assert_eq!(message["schemas"], json!([format!("urn:ietf:params:scim:api:messages:2.0:{name}")]));
    }
    let schemas = server.get("/Schemas").await.is(200);
    let ids: Vec<String> =
        schemas.json()["Resources"].as_array().into_iter().flatten().map(|schema| text(&schema["id"])).collect();
    assert!(ids.len() >= 3 && ids.iter().all(|id| !id.starts_with("urn:ietf:params:scim:api:")), "{ids:?}");
    server.get("/Schemas/urn:ietf:params:scim:api:messages:2.0:PatchOp").await.refused(404, None, "");
}

#[tokio::test]
async fn answers_show_what_is_stored() {
    let server = Server::start().await;
    let body = json!({"USERNAME": "kit", "active": "True", "emails": {"value": "k@x"}, "title": "", "boat": "x"});
    let created = server.post("/Users", &body).await.is(201).json();
    assert_eq!((&created["userName"], &created["active"]), (&json!("kit"), &json!(true)));
    assert_eq!(created["emails"], json!([{"value": "k@x"}]));
    assert!(created.get("title").is_none() && created.get("boat").is_none());
    assert_eq!(server.get(&format!("/Users/{}", text(&created["id"]))).await.is(200).json(), created);
}

#[tokio::test]
async fn errors_are_told_in_status_and_body() {
    let (server, user) = with_kit().await;
    let unknown = [("authorization", "Bearer unknown")];
    let stale = [("if-match", "W/\"999\"")];
    let text_plain = [("content-type", "text/plain")];
    let body = kit().to_string();
    for (status, scim_type, answer) in [
        (400, Some("invalidSyntax"), server.send("POST", "/Users", &[], Some("{")).await),
        (400, Some("invalidValue"), server.post("/Users", &json!({"userName": 7})).await),
        (400, Some("invalidFilter"), server.get("/Users?filter=boat+pr").await),
        (400, Some("invalidPath"), server.patch(&user, &json!([{"op": "add", "path": "boat", "value": 1}])).await),
        (400, Some("noTarget"), server.patch(&user, &json!([{"op": "remove"}])).await),
        (400, Some("mutability"), server.patch(&user, &json!([{"op": "replace", "path": "id", "value": "x"}])).await),
        (401, None, server.raw("GET", "/Users", &unknown, "").await),
        (404, None, server.get("/Users/nobody").await),
        (404, None, server.get("/Boats").await),
        (409, Some("uniqueness"), server.post("/Users", &kit()).await),
        (412, None, server.send("PUT", &user, &stale, Some(&body)).await),
        (413, None, server.send("POST", "/Users", &[], Some(&" ".repeat(2 * 1024 * 1024))).await),
        (415, None, server.send("POST", "/Users", &text_plain, Some(&body)).await),
    ] {
        let answer = answer.is(status);
        assert_eq!(answer.header("content-type"), SCIM_JSON);
        let body = answer.json();
        assert_eq!((&body["schemas"], &body["status"]), (&json!([ERROR]), &json!(status.to_string())));
        assert_eq!(body.get("scimType").and_then(Value::as_str), scim_type, "{body}");
        assert!(!text(&body["detail"]).is_empty());
    }
    server.switch(&server.organization, false).await;
    let mut answer = server.get("/Users").await;
    while answer.status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        answer = server.get("/Users").await;
    }
    answer.refused(403, None, "");
}

#[tokio::test]
async fn creation_answers_with_the_resource_and_where_it_is() {
    let server = Server::start().await;
    for (kind, body) in [
        ("User", json!({"schemas": [USER], "userName": "a"})),
        ("Group", json!({"schemas": [GROUP], "displayName": "a"})),
    ] {
        let created = server.post(&format!("/{kind}s"), &body).await.is(201);
        let resource = created.json();
        let path = format!("/{kind}s/{}", text(&resource["id"]));
        assert_eq!(created.header("location"), format!("{BASE}{path}"));
        assert_eq!(resource["meta"]["location"], format!("{BASE}{path}"));
        assert_eq!(resource["meta"]["resourceType"], kind);
        assert_eq!(server.get(&path).await.is(200).json(), resource);
    }
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let server = Server::start().await;
    for (endpoint, body) in [("/Users", kit()), ("/Groups", json!({"displayName": "Ops"}))] {
        let id = text(&server.post(endpoint, &body).await.is(201).json()["id"]);
        let path = format!("{endpoint}/{id}");
        let gone = server.delete(&path).await.is(204);
        assert!(gone.body.is_empty());
        server.get(&path).await.refused(404, None, "");
        server.put(&path, &body).await.refused(404, None, "");
        let patch = json!([{"op": "replace", "path": "displayName", "value": "x"}]);
        server.patch(&path, &patch).await.refused(404, None, "");
        server.delete(&path).await.refused(404, None, "");
        for query in ["", "?filter=displayName+pr", &format!("?filter=id+eq+%22{id}%22")] {
            assert_eq!(server.get(&format!("{endpoint}{query}")).await.is(200).json()["totalResults"], 0);
        }
        let again = server.post(endpoint, &body).await.is(201).json();
        assert_ne!(again["id"], id);
    }
}

#[tokio::test]
async fn json_is_in_utf_8() {
    let server = Server::start().await;
    let body = r#"{"userName":"kit","displayName":"Ζωή 李 🚀"}"#;
    for media_type in ["application/scim+json", "application/json", "application/scim+json; charset=utf-8"] {
        let created = server.send("POST", "/Users", &[("content-type", media_type)], Some(body)).await.is(201);
        assert!(String::from_utf8(created.body.to_vec()).is_ok_and(|text| text.contains("Ζωή 李 🚀")));
        server.delete(&format!("/Users/{}", text(&created.json()["id"]))).await.is(204);
    }
    let other = [("content-type", "application/scim+json; charset=utf-16")];
    server.send("POST", "/Users", &other, Some(body)).await.refused(415, None, "");
}

#[tokio::test]
async fn the_media_type_is_the_one_asked_for() {
    let (server, user) = with_kit().await;
    for accept in ["application/scim+json", "application/json"] {
        for path in [&user, "/Users", "/Schemas", "/Users/nobody"] {
            let answer = server.send("GET", path, &[("accept", accept)], None).await;
            assert_eq!(answer.header("content-type"), accept, "{path}");
            answer.json();
        }
    }
    assert_eq!(server.get(&user).await.header("content-type"), SCIM_JSON);
}

#[tokio::test]
async fn projections_hold_for_every_operation() {
    let server = Server::start().await;
    let only = "attributes=userName";
    let created = server.post(&format!("/Users?{only}"), &kit()).await.is(201).json();
    let path = format!("/Users/{}", text(&created["id"]));
    let patch = json!([{"op": "replace", "path": "title", "value": "x"}]);
    for shown in [
        created,
        server.get(&format!("{path}?{only}")).await.is(200).json(),
        server.put(&format!("{path}?{only}"), &kit()).await.is(200).json(),
        server.patch(&format!("{path}?{only}"), &patch).await.is(200).json(),
        server.get(&format!("/Users?{only}")).await.is(200).json()["Resources"][0].clone(),
    ] {
        assert_eq!(keys(&shown), ["schemas", "id", "userName"]);
    }
    let without = "excludedAttributes=userName,emails,id";
    for shown in [
        server.get(&format!("{path}?{without}")).await.is(200).json(),
        server.put(&format!("{path}?{without}"), &kit()).await.is(200).json(),
        server.patch(&format!("{path}?{without}"), &patch).await.is(200).json(),
        server.get(&format!("/Users?{without}")).await.is(200).json()["Resources"][0].clone(),
    ] {
        assert!(shown.get("userName").is_none() && shown.get("emails").is_none(), "{shown}");
        assert!(shown.get("id").is_some() && shown.get("schemas").is_some() && shown.get("name").is_some());
    }
}

#[tokio::test]
async fn me_is_nobody() {
    let server = Server::start().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        server.send(method, "/Me", &[], Some("{}")).await.refused(501, None, "/Users");
    }
}

#[tokio::test]
async fn locations_have_no_personal_data() {
    let (server, user) = with_kit().await;
    let id = user.trim_start_matches("/Users/");
    let group = format!("/Groups/{}", server.group("Kit's friends", &[id]).await);
    for path in [&user, &group] {
        let answer = server.get(path).await.is(200);
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        let uris = shown.split('"').filter(|part| part.starts_with("https://")).map(str::to_owned);
        for uri in uris.chain([answer.header("location").to_owned()]) {
            let last = uri.rsplit('/').next().unwrap_or_default();
            assert!(uuid::Uuid::parse_str(last).is_ok(), "{uri}");
        }
    }
}

#[tokio::test]
async fn the_version_is_in_the_path() {
    let (server, user) = with_kit().await;
    assert!(text(&server.get(&user).await.is(200).json()["meta"]["location"]).contains("/v2/Users/"));
    let bearer = format!("Bearer {}", server.token);
    for other in ["//scim/v1/Users", "//scim/v3/Users", "//scim/Users", "//v2/Users"] {
        server.raw("GET", other, &[("authorization", &bearer)], "").await.refused(404, None, "/scim/v2/");
    }
}

#[tokio::test]
async fn entity_tags_are_in_header_and_body() {
    let (server, user) = with_kit().await;
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    for path in [&user, &group] {
        let answer = server.get(path).await.is(200);
        let etag = answer.header("etag").to_owned();
        assert!(!etag.is_empty() && answer.json()["meta"]["version"] == etag);
        server.send("GET", path, &[("if-none-match", &etag)], None).await.is(304);
        let patch = json!({"Operations": [{"op": "replace", "path": "displayName", "value": "x"}]}).to_string();
        let changed = server.send("PATCH", path, &[("if-match", &etag)], Some(&patch)).await;
        assert!(changed.status.is_success());
        let again = server.get(path).await.is(200);
        assert_eq!(
            (changed.header("etag"), &again.json()["meta"]["version"]),
            (again.header("etag"), &json!(changed.header("etag")))
        );
        assert_ne!(again.header("etag"), etag);
        server.send("PATCH", path, &[("if-match", &etag)], Some(&patch)).await.refused(412, None, "");
    }
}
