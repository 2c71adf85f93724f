//! RFC 7644 section 7.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::{harness::Server, with_kit};

#[tokio::test]
async fn no_token_no_answer() {
    let (server, user) = with_kit().await;
    for path in [&user, "/Users", "/Groups", "/ServiceProviderConfig", "/Schemas", "/Nothing"] {
        let answer = server.raw("GET", path, &[], "").await.refused(401, None, "");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert_eq!(answer.header("set-cookie"), "");
        let guess = format!("Bearer {}", server.token.replace(char::is_numeric, "x"));
        server.raw("GET", path, &[("authorization", &guess)], "").await.refused(401, None, "");
    }
    // Never in the URI, where logs would have it; never by cookie.
    let in_query = format!("/Users?access_token={}", server.token);
    server.raw("GET", &in_query, &[], "").await.refused(401, None, "");
    let cookie = format!("token={}", server.token);
    server.raw("GET", "/Users", &[("cookie", &cookie)], "").await.refused(401, None, "");
    assert_eq!(server.get(&user).await.is(200).header("set-cookie"), "");
}

#[tokio::test]
async fn a_token_ends() {
    let mut server = Server::start().await;
    server.token = server.token(&server.organization, Some(1)).await.secret;
    server.get("/Users").await.is(200);
    server.ahead.store(2 * 86_400 * 1_000_000, Ordering::Relaxed);
    server.get("/Users").await.refused(401, None, "expired");
}

#[tokio::test]
async fn a_client_sees_its_organization_only() {
    let (mut server, user) = with_kit().await;
    let other = server.organization("other").await;
    server.token = server.token(&other, None).await.secret;
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 0);
    server.get(&user).await.refused(404, None, "");
    server.put(&user, &json!({"userName": "x"})).await.refused(404, None, "");
    server.delete(&user).await.refused(404, None, "");
}
