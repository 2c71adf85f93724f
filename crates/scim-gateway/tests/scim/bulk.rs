//! `/Bulk` from the outside. The RFC's own examples are in `tests/conformance`.

use serde_json::{Value, json};

use crate::harness::{BASE, Server, text};

async fn run(server: &Server, operations: &Value) -> Vec<Value> {
    results(server, &json!({"schemas": [scim::bulk::REQUEST], "Operations": operations}).to_string()).await
}

async fn results(server: &Server, body: &str) -> Vec<Value> {
    let answer = server.send("POST", "/Bulk", &[], Some(body)).await.is(200).json();
    assert_eq!(answer["schemas"], json!([scim::bulk::RESPONSE]));
    answer["Operations"].as_array().expect("results").clone()
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().expect("a status")).collect()
}

fn path(result: &Value) -> String {
    text(&result["location"]).replace(BASE, "")
}

fn id(result: &Value) -> String {
    path(result).rsplit('/').next().unwrap_or_default().to_owned()
}

fn post(bulk_id: &str, path: &str, data: Value) -> Value {
    json!({"method": "POST", "path": path, "bulkId": bulk_id, "data": data})
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": format!("bulkId:{id}")})).collect();
    post(name, "/Groups", json!({"displayName": name, "members": members}))
}

#[tokio::test]
async fn references_may_point_forward_everywhere() {
    let server = Server::start().await;
    let results = run(
        &server,
        &json!([
            {"method": "PATCH", "path": "/Groups/bulkId:team", "data": {"Operations": [
                {"op": "remove", "path": "members[value eq \"bulkId:kit\"]"},
            ]}},
            group("team", &["kit", "boss"]),
            post("kit", "/Users", json!({
                "userName": "kit",
                // Not the client's to set, so passed over: as in a POST alone.
                "groups": [{"value": "bulkId:late"}],
                scim::schema::ENTERPRISE_USER: {"department": "Pier", "manager": {"value": "bulkId:boss"}},
            })),
            post("boss", "/Users", json!({"userName": "boss", "title": "bulkId:nobody"})),
            {"method": "patch", "path": "/Users/bulkId:boss", "data": {"Operations": [
                {"op": "replace", "path": "displayName", "value": "Boss"},
            ]}},
            group("late", &[]),
        ]),
    )
    .await;
    assert_eq!(statuses(&results), ["204", "201", "201", "201", "200", "201"]);
    let team = server.get(&path(&results[1])).await.is(200).json();
    assert_eq!(team["members"].as_array().map(Vec::len), Some(1), "{team}");
    assert_eq!(team["members"][0]["value"], id(&results[3]));
    let kit = server.get(&path(&results[2])).await.is(200).json();
    let extension = &kit[scim::schema::ENTERPRISE_USER];
    assert_eq!((&extension["department"], &extension["manager"]["value"]), (&json!("Pier"), &json!(id(&results[3]))));
    let boss = server.get(&path(&results[3])).await.is(200).json();
    assert_eq!((&boss["title"], &boss["displayName"]), (&json!("bulkId:nobody"), &json!("Boss")));
}

#[tokio::test]
async fn what_cannot_be_completed_does_not_stay() {
    let server = Server::start().await;
    let results = run(
        &server,
        &json!([
            group("half", &["bad"]),
            post("bad", "/Users", json!({"title": "no userName"})),
            group("other", &["half"]),
            group("stranger", &["nobody"]),
            {"method": "DELETE", "path": "/Groups/bulkId:half"},
            group("good", &[]),
        ]),
    )
    .await;
    assert_eq!(statuses(&results), ["409", "400", "409", "400", "409", "201"]);
    assert_eq!(results[0].get("location"), None);
    assert!(text(&results[3]["response"]["detail"]).contains("nobody"));
    let groups = server.get("/Groups").await.is(200).json();
    assert_eq!((&groups["totalResults"], &groups["Resources"][0]["displayName"]), (&json!(1), &json!("good")));

    // Stopping early leaves nothing half made either.
    let body = json!({"failOnErrors": 1, "Operations": [
        group("half", &["late"]), {"method": "PUT", "path": "/Me", "data": {}}, group("late", &[]),
    ]});
    let results = self::results(&server, &body.to_string()).await;
    assert_eq!(statuses(&results), ["409", "400"]);
    assert_eq!(server.get("/Groups").await.is(200).json()["totalResults"], 1);
}

#[tokio::test]
async fn operations_that_are_wrong_are_told_in_order() {
    let server = Server::start().await;
    let user = json!({"userName": "a"});
    let large = "x".repeat(1024 * 1024);
    let results = run(
        &server,
        &json!([
            post("1", "/Users", user.clone()),
            post("1", "/Users", json!({"userName": "b"})),
            {"method": "POST", "path": "/Users", "data": user},
            {"method": "DELETE", "path": "/Users/../Groups/1"},
            {"method": "DELETE", "path": "https://scim.example.com/scim/v2/Users/1"},
            post("2", "/Bulk", json!({})),
            post("3", "/Me", json!({})),
            {"method": "DELETE", "path": "/Users/1"},
            {"method": "PATCH", "path": "/Users/bulkId:1", "version": "3", "data": {"Operations": []}},
            post("4", "/Users", json!({"userName": "c", "title": large})),
        ]),
    )
    .await;
    assert_eq!(statuses(&results), ["201", "400", "400", "400", "400", "400", "400", "404", "400", "413"]);
    let types: Vec<Option<&str>> = results.iter().map(|result| result["response"]["scimType"].as_str()).collect();
    let (value, path) = (Some("invalidValue"), Some("invalidPath"));
    assert_eq!(types, [None, value, value, path, path, path, path, None, value, None]);
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 1);
}

#[tokio::test]
async fn limits_are_named() {
    let server = Server::start().await;
    let bulk = server.get("/ServiceProviderConfig").await.is(200).json()["bulk"].clone();
    assert_eq!(bulk, json!({"supported": true, "maxOperations": 1000, "maxPayloadSize": 8_388_608}));
    let operation = json!({"method": "DELETE", "path": "/Users/1"});
    let many = json!({"Operations": vec![operation; 1001]});
    server.post("/Bulk", &many).await.refused(413, None, "maxOperations (1000)");
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(8 * 1024 * 1024));
    server.send("POST", "/Bulk", &[], Some(&large)).await.refused(413, None, "maxPayloadSize (8388608");
}

#[tokio::test]
async fn each_operation_counts_and_leavers_are_not_held_up() {
    let server = Server::start().await;
    let (a, b) = (server.user("a").await, server.user("b").await);
    server.limit(&server.organization, Some(1)).await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let title = json!({"method": "PATCH", "path": format!("/Users/{a}"), "data": {"Operations": [
        {"op": "replace", "path": "title", "value": "x"},
    ]}});
    let leave = json!({"method": "PATCH", "path": format!("/Users/{a}"), "data": {"Operations": [
        {"op": "replace", "value": {"active": false}},
    ]}});
    let mut operations = vec![title; 130];
    operations.push(leave);
    operations.push(json!({"method": "DELETE", "path": format!("/Users/{b}")}));
    let results = run(&server, &json!(operations)).await;
    let statuses = statuses(&results);
    assert_eq!((statuses[0], statuses[129]), ("200", "429"));
    assert_eq!(statuses[130..], ["200", "204"]);
}

#[tokio::test]
async fn switches_and_plans_hold() {
    let server = Server::start().await;
    let a = server.user("a").await;
    server.plan(&server.organization, "free").await;
    let operations = json!([
        post("b", "/Users", json!({"userName": "b"})),
        {"method": "DELETE", "path": format!("/Users/{a}")},
    ]);
    assert_eq!(statuses(&run(&server, &operations).await), ["403", "204"]);
}
