//! Tokens, the SCIM switch, rate limits, tenants.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::Server;

/// Asks until the status is there; fails after one second.
async fn within_a_second(server: &Server, path: &str, status: u16) {
    let begun = Instant::now();
    while server.get(path).await.status != status {
        assert!(begun.elapsed() < Duration::from_secs(1), "{path} is not {status} after a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn without_a_good_token_everything_is_401() {
    let server = Server::start().await;
    let unknown = format!("Bearer {}x", server.token);
    for (method, path) in [
        ("GET", "/Users"),
        ("POST", "/Users"),
        ("DELETE", "/Users/1"),
        ("GET", "/ServiceProviderConfig"),
        ("GET", "/Nothing"),
        ("GET", ""),
        ("DELETE", "/Users"),
        ("POST", "/Bulk"),
        ("GET", "/Users?access_token=x"),
    ] {
        let none = server.raw(method, path, &[], "").await.refused(401, None, "Authorization: Bearer");
        assert_eq!(none.header("www-authenticate"), r#"Bearer realm="SCIM""#);
        for value in ["non-token", "Bearer", "Basic eDp5", &unknown] {
            let answer = server.raw(method, path, &[("authorization", value)], "").await.refused(401, None, "oken");
            assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#), "{value}");
        }
    }
    let lower = format!("bearer {}", server.token);
    server.raw("GET", "/Users", &[("authorization", &lower)], "").await.is(200);
}

#[tokio::test]
async fn a_revoked_token_is_refused_within_a_second() {
    let server = Server::start().await;
    server.get("/Users").await.is(200);
    server.revoke(&server.organization, &server.token_id).await;
    within_a_second(&server, "/Users", 401).await;
    server.get("/Users").await.refused(401, None, "revoked");
}

#[tokio::test]
async fn an_expired_token_is_refused_even_from_the_cache() {
    let mut server = Server::start().await;
    server.token = server.token(&server.organization, Some(1)).await.secret;
    server.get("/Users").await.is(200);
    server.ahead.store(2 * 86_400 * 1_000_000, Ordering::Relaxed);
    server.get("/Users").await.refused(401, None, "expired");
}

#[tokio::test]
async fn scim_switched_off_is_403_for_all_and_on_again_at_once() {
    let server = Server::start().await;
    let id = server.user("kit@example.com").await;
    server.switch(&server.organization, false).await;
    within_a_second(&server, "/ServiceProviderConfig", 403).await;
    for (method, path) in [
        ("GET", "/Users"),
        ("GET", "/Users/nonsense"),
        ("DELETE", &*format!("/Users/{id}")),
        ("GET", "/Groups"),
        ("GET", "/Schemas"),
        ("GET", "/Nothing"),
        ("POST", "/Users"),
    ] {
        server.send(method, path, &[], None).await.refused(403, None, "scim enable");
    }
    server.switch(&server.organization, true).await;
    server.get("/Users").await.is(200);
    server.get(&format!("/Users/{id}")).await.is(200);
}

#[tokio::test]
async fn a_lapsed_plan_still_lets_access_be_taken_away() {
    let server = Server::start().await;
    let (a, b) = (server.user("a@example.com").await, server.user("b@example.com").await);
    let group = server.group("Ops", &[&a, &b]).await;
    server.plan(&server.organization, "free").await;

    server.post("/Users", &json!({"userName": "c@example.com"})).await.refused(403, None, "plan");
    server.post("/Groups", &json!({"displayName": "New"})).await.refused(403, None, "plan");
    let path = format!("/Users/{a}");
    let title = json!([{"op": "replace", "path": "title", "value": "x"}]);
    server.patch(&path, &title).await.refused(403, None, "plan");

    server.get(&path).await.is(200);
    server.get("/Groups").await.is(200);
    server.patch(&path, &json!([{"op": "replace", "value": {"active": false}}])).await.is(200);
    server.put(&format!("/Users/{b}"), &json!({"userName": "b@example.com", "active": false})).await.is(200);
    let group = format!("/Groups/{group}");
    server.patch(&group, &json!([{"op": "remove", "path": format!("members[value eq \"{a}\"]")}])).await.is(204);
    server.delete(&group).await.is(204);
    server.delete(&path).await.is(204);
}

#[tokio::test]
async fn a_full_plan_refuses_users_and_says_what_to_do() {
    let server = Server::start().await;
    let a = server.user("a@example.com").await;
    server.most_users(&server.organization, 1).await;
    let refused = server.post("/Users", &json!({"userName": "b@example.com"})).await;
    refused.refused(403, None, "Delete users who are gone, or extend the plan");
    let create = json!({"method": "POST", "path": "/Users", "bulkId": "b", "data": {"userName": "b@example.com"}});
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [create]});
    let answer = server.post("/Bulk", &bulk).await.is(200).json();
    assert_eq!(answer["Operations"][0]["status"], "403");
    server.put(&format!("/Users/{a}"), &json!({"userName": "a2@example.com"})).await.is(200);
    server.group("Ops", &[&a]).await;
    server.delete(&format!("/Users/{a}")).await.is(204);
    server.user("b@example.com").await;
}

#[tokio::test]
async fn an_organization_has_its_own_limit_and_leavers_another() {
    let server = Server::start().await;
    let id = server.user("kit@example.com").await;
    let path = format!("/Users/{id}");
    let group = format!("/Groups/{}", server.group("Ops", &[&id]).await);
    server.limit(&server.organization, Some(1)).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut refused = None;
    for _ in 0..300 {
        let answer = server.get("/ServiceProviderConfig").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit").refused(429, None, "Retry-After");
    assert_eq!(refused.header("retry-after"), "1");

    server.patch(&path, &json!([{"op": "replace", "path": "title", "value": "x"}])).await.refused(429, None, "");
    server.patch(&path, &json!([{"op": "replace", "value": {"active": false}}])).await.is(200);
    server.put(&path, &json!({"userName": "kit@example.com", "active": false})).await.is(200);
    server.put(&path, &json!({"userName": "kit@example.com", "active": true})).await.refused(429, None, "");
    server.patch(&path, &json!([{"op": "replace", "path": "active", "value": null}])).await.is(200);

    let members = json!([{"value": id}]);
    server.patch(&group, &json!([{"op": "add", "path": "members", "value": members}])).await.refused(429, None, "");
    server.put(&group, &json!({"displayName": "Ops", "members": members})).await.refused(429, None, "");
    server.patch(&group, &json!([{"op": "Remove", "path": "members", "value": members}])).await.is(204);
    let filtered = format!("members[value eq \"{id}\"]");
    server.patch(&group, &json!([{"op": "remove", "path": filtered}])).await.is(204);
    server.put(&group, &json!({"displayName": "Ops", "members": []})).await.is(200);
    server.delete(&path).await.is(204);

    server.limit(&server.organization, Some(0)).await;
    within_a_second(&server, "/Users", 200).await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let mut server = Server::start().await;
    let (user, group) = (server.user("kit@example.com").await, server.group("Ops", &[]).await);
    let other = server.organization("other").await;
    server.token = server.token(&other, None).await.secret;
    let missing = server.get("/Users/0192a0f0-0000-7000-8000-000000000001").await.is(404);
    for path in [format!("/Users/{user}"), format!("/Groups/{group}")] {
        server.get(&path).await.refused(404, None, "");
        server.delete(&path).await.refused(404, None, "");
        server.put(&path, &json!({"userName": "x", "displayName": "x"})).await.refused(404, None, "");
        let patch = json!([{"op": "replace", "path": "displayName", "value": "x"}]);
        server.patch(&path, &patch).await.refused(404, None, "");
    }
    assert_eq!(server.get(&format!("/Users/{user}")).await.body, missing.body);
    assert_eq!(server.get("/Users/nonsense").await.body, missing.body);
    let body = json!({"displayName": "Ops", "members": [{"value": user}]});
    server.post("/Groups", &body).await.refused(400, Some("invalidValue"), &user);
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 0);
    server.user("kit@example.com").await;
}

#[tokio::test]
async fn the_request_id_is_the_clients_or_a_new_one() {
    let server = Server::start().await;
    let kept = server.send("GET", "/Users", &[("x-request-id", "okta-1.a_b")], None).await;
    assert_eq!(kept.header("x-request-id"), "okta-1.a_b");
    let made = server.send("GET", "/Users", &[("x-request-id", "a b")], None).await;
    assert_eq!(made.header("x-request-id").len(), 36);
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!(made.header("x-content-type-options"), "nosniff");
}
