//! What a token may do.

use serde_json::json;
use wire::token::CreateScimTokenRequest;

use crate::harness::{Server, text};

async fn limited(server: &mut Server, scopes: &[&str]) {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let request = CreateScimTokenRequest { scopes, ..server.new_token(&server.organization) };
    server.token = server.token_that(request).await.secret;
}

const ALL: [&str; 4] = ["users:read", "users:write", "groups:read", "groups:write"];

#[tokio::test]
async fn every_route_and_method_wants_its_scope_and_no_other() {
    let mut server = Server::start().await;
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    let (user, group) = (format!("/Users/{nobody}"), format!("/Groups/{nobody}"));
    let wanted: [(&str, &str, &[&str]); 22] = [
        ("GET", "/Users", &["users:read"]),
        ("HEAD", "/Users", &["users:read"]),
        ("POST", "/Users", &["users:write"]),
        ("POST", "/Users/", &["users:write"]),
        ("GET", &user, &["users:read"]),
        ("PUT", &user, &["users:write"]),
        ("PATCH", &user, &["users:write"]),
        ("DELETE", &user, &["users:write"]),
        ("POST", "/Users/.search", &["users:read"]),
        ("GET", "/Groups", &["groups:read"]),
        ("POST", "/Groups", &["groups:write"]),
        ("GET", &group, &["groups:read"]),
        ("HEAD", &group, &["groups:read"]),
        ("PUT", &group, &["groups:write"]),
        ("PATCH", &group, &["groups:write"]),
        ("DELETE", &group, &["groups:write"]),
        ("POST", "/Groups/.search", &["groups:read"]),
        ("POST", "/.search", &["users:read", "groups:read"]),
        ("GET", "/Schemas", &[]),
        ("GET", "/ResourceTypes", &[]),
        ("GET", "/ServiceProviderConfig", &[]),
        ("DELETE", "/Users", &[]),
    ];
    for missing in ALL {
        limited(&mut server, &ALL.into_iter().filter(|scope| *scope != missing).collect::<Vec<_>>()).await;
        for (method, path, scopes) in wanted {
            let answer = server.send(method, path, &[], Some("{}")).await;
            if !scopes.contains(&missing) {
                assert_ne!(answer.status, 403, "{method} {path} without {missing}");
            } else if method == "HEAD" {
                answer.is(403);
            } else {
                answer.refused(403, None, &format!("lacks the scope {missing},"));
            }
        }
    }
}

#[tokio::test]
async fn each_operation_of_a_bulk_request_wants_its_scope() {
    let mut server = Server::start().await;
    let id = server.user("kit@example.com").await;
    limited(&mut server, &["groups:write", "users:read"]).await;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"userName": "sam@example.com"}},
            {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "Ops"}},
            {"method": "PATCH", "path": format!("/Users/{id}"), "data": {"Operations": [{"op": "remove", "path": "title"}]}},
            {"method": "DELETE", "path": format!("/Users/{id}")},
        ],
    });
    let answer = server.post("/Bulk", &body).await.is(200).json();
    let status = |n: usize| text(&answer["Operations"][n]["status"]);
    assert_eq!([status(0), status(1), status(2), status(3)], ["403", "201", "403", "403"], "{answer}");
    let detail = text(&answer["Operations"][3]["response"]["detail"]);
    assert!(detail.contains("lacks the scope users:write,"), "{detail}");
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 1, "nothing was made or deleted");
}

#[tokio::test]
async fn a_refusal_is_answered_before_the_body_is_read() {
    let mut server = Server::start().await;
    limited(&mut server, &["users:read"]).await;
    server.send("POST", "/Users", &[], Some("no JSON")).await.refused(403, None, "users:write");
    server.send("POST", "/Groups", &[], Some("{}")).await.refused(403, None, "groups:write");
}
