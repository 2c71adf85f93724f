//! Issue 2, item 11: a SCIM error with status, scimType and a detail that says what to change. Never a 500, never a
//! half-applied PATCH.

use axum::body::{Body, Bytes};
use futures::stream;
use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn bodies_that_are_no_resource() {
    let server = Server::start().await;
    let deep = format!(r#"{{"userName":"a","x":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    let wrong_urn = json!({"schemas": [scim::schema::GROUP], "userName": "a"}).to_string();
    for (body, scim_type, hint) in [
        ("", "invalidSyntax", ""),
        ("{", "invalidSyntax", "line 1"),
        ("[]", "invalidSyntax", "object"),
        ("null", "invalidSyntax", "object"),
        (r#"{"userName":"a","userName":"b"}"#, "invalidSyntax", "userName"),
        ("{\"userName\":\"a\u{0}\"}", "invalidSyntax", ""),
        (r#"{"userName":"a\u0000b"}"#, "invalidSyntax", ""),
        (r#"{"userName":"\ud800"}"#, "invalidSyntax", ""),
        (&deep, "invalidSyntax", "64"),
        (r#"{"userName":7}"#, "invalidValue", "userName"),
        (r#"{"userName":""}"#, "invalidValue", "userName"),
        (r#"{"displayName":"a"}"#, "invalidValue", "userName"),
        (r#"{"userName":"a","active":"perhaps"}"#, "invalidValue", "active"),
        (r#"{"userName":"a","name":"Kit"}"#, "invalidValue", "name"),
        (&wrong_urn, "invalidSyntax", scim::schema::USER),
    ] {
        server.send("POST", "/Users", &[], Some(body)).await.refused(400, Some(scim_type), hint);
    }
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 0);
    for (body, scim_type, hint) in [
        ("{", "invalidSyntax", ""),
        (r#"{"displayName":"a","members":7}"#, "invalidValue", "members"),
        (r#"{"displayName":"a","members":[{"display":"x"}]}"#, "invalidValue", "value"),
        (r#"{"members":[]}"#, "invalidValue", "displayName"),
    ] {
        server.send("POST", "/Groups", &[], Some(body)).await.refused(400, Some(scim_type), hint);
    }
    // Both are sent by real clients.
    server.post("/Users", &json!({"userName": "a"})).await.is(201);
    let body = json!({"schemas": [scim::schema::USER, "urn:example:unknown"], "userName": "b"});
    server.post("/Users", &body).await.is(201);
}

#[tokio::test]
async fn bytes_that_are_no_text() {
    let server = Server::start().await;
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = Body::from(&b"{\"userName\":\"a\xff\"}"[..]);
    server.raw("POST", "/Users", &headers, body).await.refused(400, Some("invalidSyntax"), "");
}

#[tokio::test]
async fn filters_that_mean_nothing() {
    let server = Server::start().await;
    for filter in [
        "userNam+eq+%22a%22",
        "userName+eq",
        "userName+is+%22a%22",
        "(userName+eq+%22a%22",
        "emails%5Btype+eq+%22work%22%5D+eq+%22x%22",
        "%00",
        "userName+eq+%22a",
        "__proto__+pr",
    ] {
        server.get(&format!("/Users?filter={filter}")).await.refused(400, Some("invalidFilter"), "");
    }
    let deep = format!("/Groups?filter={}displayName+pr{}", "(".repeat(200), ")".repeat(200));
    server.get(&deep).await.refused(400, Some("invalidFilter"), "");
}

#[tokio::test]
async fn a_patch_is_applied_whole_or_not_at_all() {
    let server = Server::start().await;
    let user = format!("/Users/{}", server.user("kit@example.com").await);
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    let good = json!({"op": "replace", "path": "displayName", "value": "Changed"});
    for path in [&user, &group] {
        let before = server.get(path).await.is(200);
        for (bad, scim_type) in [
            (json!({"op": "replace", "path": "nothing", "value": 1}), "invalidPath"),
            (json!({"op": "replace", "path": "displayName[", "value": 1}), "invalidPath"),
            (json!({"op": "replace", "path": "__proto__.x", "value": 1}), "invalidPath"),
            (json!({"op": "remove"}), "noTarget"),
            (json!({"op": "move", "path": "displayName", "value": "x"}), "invalidSyntax"),
            (json!({"path": "displayName", "value": "x"}), "invalidSyntax"),
            (json!({"op": "replace", "path": "displayName", "value": {"a": 1}}), "invalidValue"),
            (json!(7), "invalidSyntax"),
        ] {
            server.patch(path, &json!([good, bad])).await.refused(400, Some(scim_type), "");
        }
        server.send("PATCH", path, &[], Some("{}")).await.refused(400, Some("invalidSyntax"), "Operations");
        server.send("PATCH", path, &[], Some("{")).await.refused(400, Some("invalidSyntax"), "");
        let after = server.get(path).await.is(200);
        assert_eq!((before.body, before.headers.get("etag")), (after.body, after.headers.get("etag")));
    }
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let server = Server::start().await;
    let large = format!(r#"{{"userName":"a","displayName":"{}"}}"#, "x".repeat(1024 * 1024));
    server.send("POST", "/Users", &[], Some(&large)).await.refused(413, None, "1024 KiB");
    let id = server.user("kit@example.com").await;
    server.send("PUT", &format!("/Users/{id}"), &[], Some(&large)).await.refused(413, None, "1024 KiB");
    // Of unannounced length, and for a group, which may have more.
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/scim+json")];
    let endless = |mib: usize| {
        let chunk = Bytes::from(vec![b' '; 1024 * 1024]);
        Body::from_stream(stream::iter((0..mib).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))))
    };
    server.raw("POST", "/Users", &headers, endless(3)).await.refused(413, None, "1024 KiB");
    server.raw("POST", "/Groups", &headers, endless(17)).await.refused(413, None, "16384 KiB");
    server.raw("POST", "/Groups", &headers, endless(15)).await.refused(400, Some("invalidSyntax"), "");
}

#[tokio::test]
async fn content_types_that_are_not_json() {
    let server = Server::start().await;
    let body = json!({"userName": "a"}).to_string();
    for media_type in ["text/plain", "application/xml", "application/json; charset=latin1", ""] {
        let headers = [("content-type", media_type)];
        server.send("POST", "/Users", &headers, Some(&body)).await.refused(415, None, "application/scim+json");
    }
    let bearer = format!("Bearer {}", server.token);
    server.raw("POST", "/Users", &[("authorization", &bearer)], body.clone()).await.refused(
        415,
        None,
        "application/scim+json",
    );
    server.send("POST", "/Users", &[("content-type", "application/json")], Some(&body)).await.is(201);
}

#[tokio::test]
async fn ids_and_conditions_that_are_none() {
    let server = Server::start().await;
    for id in ["010101001010101011001010101011", "1", "%FF", "a%2Fb", "00000000-0000-0000-0000-000000000000"] {
        for kind in ["Users", "Groups"] {
            server.get(&format!("/{kind}/{id}")).await.refused(404, None, "");
            server.delete(&format!("/{kind}/{id}")).await.refused(404, None, "");
        }
    }
    let path = format!("/Users/{}", server.user("kit@example.com").await);
    let answer = server.send("DELETE", &path, &[("if-match", "3")], None).await.is(400);
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains("If-Match")));
}
