//! RFC 7644 section 3.7.

use scim::schema::ENTERPRISE_USER;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, BASE, ERROR, Server, text},
    with_kit,
};

const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

async fn send(server: &Server, operations: &Value) -> Answer {
    server.post("/Bulk", &json!({"schemas": [REQUEST], "Operations": operations})).await
}

/// The results of a job that was worked through.
async fn results(server: &Server, operations: &Value) -> Vec<Value> {
    let body = send(server, operations).await.is(200).json();
    assert_eq!(body["schemas"], json!([RESPONSE]));
    body["Operations"].as_array().expect("an array").clone()
}

fn post(bulk_id: &str, endpoint: &str, data: Value) -> Value {
    json!({"method": "POST", "bulkId": bulk_id, "path": endpoint, "data": data})
}

/// The path of what a result names.
#[track_caller]
fn path(result: &Value) -> String {
    let location = text(&result["location"]);
    location.strip_prefix(BASE).unwrap_or_else(|| panic!("{location} is not below {BASE}")).to_owned()
}

#[tokio::test]
async fn a_bulk_request_is_checked() {
    let server = Server::start().await;
    for body in [
        "{",
        "[]",
        &json!({"schemas": [REQUEST]}).to_string(),
        &json!({"schemas": [ERROR], "Operations": []}).to_string(),
    ] {
        let answer = server.send("POST", "/Bulk", &[], Some(body)).await.is(400);
        assert_eq!(answer.json()["schemas"], json!([ERROR]), "{body}");
    }
    let user = json!({"userName": "a"});
    for wrong in [
        json!({"bulkId": "1", "path": "/Users", "data": user}),
        json!({"method": "GET", "bulkId": "1", "path": "/Users"}),
        json!({"method": "POST", "path": "/Users", "data": user}),
        json!({"method": "POST", "bulkId": "1", "data": user}),
        json!({"method": "POST", "bulkId": "1", "path": "/Boats", "data": user}),
        json!({"method": "POST", "bulkId": "1", "path": "/Users"}),
        json!({"method": "PUT", "path": "/Users/1"}),
        json!({"method": "PATCH", "path": "/Users/1"}),
    ] {
        let answer = send(&server, &json!([wrong])).await;
        // Either the request or the one operation.
        let status = match answer.status.as_u16() {
            200 => text(&answer.json()["Operations"][0]["status"]),
            other => other.to_string(),
        };
        assert!(["400", "404", "405"].contains(&status.as_str()), "{wrong}: {status}");
    }
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 0);
}

#[tokio::test]
async fn each_operation_has_its_result() {
    let (server, kit) = with_kit().await;
    let missing = "/Users/0192a0f0-0000-7000-8000-000000000001";
    let gone = format!("/Users/{}", server.user("gone").await);
    let results = results(
        &server,
        &json!([
            post("new", "/Users", json!({"userName": "new"})),
            post("taken", "/Users", json!({"userName": "new"})),
            {"method": "PATCH", "path": kit, "data": {"Operations": [{"op": "replace", "path": "title", "value": "x"}]}},
            {"method": "PUT", "path": missing, "data": {"userName": "x"}},
            {"method": "DELETE", "path": gone},
            {"method": "PATCH", "path": kit, "data": {"Operations": [{"op": "add", "path": "boat", "value": 1}]}},
        ]),
    )
    .await;
    let statuses: Vec<String> = results.iter().map(|result| text(&result["status"])).collect();
    assert_eq!(statuses, ["201", "409", "200", "404", "204", "400"]);
    assert_eq!((&results[0]["bulkId"], &results[1]["bulkId"]), (&json!("new"), &json!("taken")));
    let created = server.get(&path(&results[0])).await.is(200).json();
    assert_eq!(created["userName"], "new");
    assert_eq!(results[1].get("location"), None);
    for (n, expected) in [(2, kit.as_str()), (3, missing), (4, gone.as_str()), (5, kit.as_str())] {
        assert_eq!(path(&results[n]), expected);
    }
    for (n, status) in [(1, "409"), (3, "404"), (5, "400")] {
        let error = &results[n]["response"];
        assert_eq!((&error["schemas"], &error["status"]), (&json!([ERROR]), &json!(status)));
        assert!(!text(&error["detail"]).is_empty());
    }
    assert_eq!(server.get(&kit).await.is(200).json()["title"], "x");
    server.get(&gone).await.refused(404, None, "");
}

#[tokio::test]
async fn operations_happen_in_order() {
    let (server, kit) = with_kit().await;
    let title = |value: &str| json!({"method": "PATCH", "path": kit, "data": {"Operations": [{"op": "replace", "path": "title", "value": value}]}});
    results(&server, &json!([title("one"), title("two"), title("three")])).await;
    assert_eq!(server.get(&kit).await.is(200).json()["title"], "three");
    // The name is free once its owner is gone, and not before.
    let operations = json!([
        post("early", "/Users", json!({"userName": "kit@example.com"})),
        {"method": "DELETE", "path": kit},
        post("late", "/Users", json!({"userName": "kit@example.com"})),
    ]);
    let statuses: Vec<String> =
        results(&server, &operations).await.iter().map(|result| text(&result["status"])).collect();
    assert_eq!(statuses, ["409", "204", "201"]);
}

#[tokio::test]
async fn references_in_a_circle_are_resolved() {
    let server = Server::start().await;
    let group = |name: &str, other: &str| json!({"displayName": name, "members": [{"type": "Group", "value": format!("bulkId:{other}")}]});
    let operations = json!([post("a", "/Groups", group("A", "b")), post("b", "/Groups", group("B", "a"))]);
    let results = results(&server, &operations).await;
    let mut found = Vec::new();
    for result in &results {
        assert_eq!(result["status"], "201", "{result}");
        found.push(server.get(&path(result)).await.is(200).json());
    }
    assert_eq!(found[0]["members"][0]["value"], found[1]["id"]);
    assert_eq!(found[1]["members"][0]["value"], found[0]["id"]);
}

#[tokio::test]
async fn a_bulk_id_becomes_the_id() {
    let server = Server::start().await;
    let operations = json!([
        post("team", "/Groups", json!({"displayName": "Team", "members": [{"value": "bulkId:kit"}]})),
        post("kit", "/Users", json!({"userName": "kit", ENTERPRISE_USER: {"manager": {"value": "bulkId:boss"}}})),
        post("boss", "/Users", json!({"userName": "boss"})),
        {"method": "PATCH", "path": "/Groups/bulkId:team", "data": {"Operations": [
            {"op": "add", "path": "members", "value": [{"value": "bulkId:boss"}]},
        ]}},
    ]);
    let results = results(&server, &operations).await;
    assert!(results.iter().all(|result| text(&result["status"]).starts_with('2')), "{results:?}");
    let ids: Vec<String> = results.iter().map(|r| path(r).rsplit('/').next().unwrap_or_default().to_owned()).collect();
    let team = server.get(&path(&results[0])).await.is(200).json();
    let mut members: Vec<String> =
        team["members"].as_array().into_iter().flatten().map(|m| text(&m["value"])).collect();
    let mut expected = vec![ids[1].clone(), ids[2].clone()];
    members.sort();
    expected.sort();
    assert_eq!(members, expected);
    let kit = server.get(&path(&results[1])).await.is(200).json();
    assert_eq!(kit[ENTERPRISE_USER]["manager"]["value"], ids[2]);
    assert!(!kit.to_string().contains("bulkId") && !team.to_string().contains("bulkId"));
}

#[tokio::test]
async fn limits_are_told_and_kept() {
    let server = Server::start().await;
    let config = server.get("/ServiceProviderConfig").await.is(200).json()["bulk"].clone();
    let limit = |name: &str| usize::try_from(config[name].as_u64().expect("a number")).expect("small");
    let (operations, bytes) = (limit("maxOperations"), limit("maxPayloadSize"));
    assert!(operations > 0 && bytes > 0);
    let many: Vec<Value> = (0..=operations).map(|_| json!({"method": "DELETE", "path": "/Users/1"})).collect();
    send(&server, &json!(many)).await.refused(413, None, &operations.to_string());
    let large = format!("{{\"schemas\":[\"{REQUEST}\"],\"Operations\":[]{}}}", " ".repeat(bytes));
    let answer = server.send("POST", "/Bulk", &[], Some(&large)).await.is(413);
    let detail = text(&answer.json()["detail"]);
    assert!([bytes, bytes / 1024, bytes / 1024 / 1024].iter().any(|n| detail.contains(&n.to_string())), "{detail}");
}
