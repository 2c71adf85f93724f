//! `Idempotency-Key` from the outside.

use serde_json::json;

use crate::harness::{Answer, Server, text};

async fn post(server: &Server, path: &str, key: &str, body: &serde_json::Value) -> Answer {
    server.send("POST", path, &[("idempotency-key", key)], Some(&body.to_string())).await
}

#[tokio::test]
async fn a_create_that_is_sent_again_is_answered_the_same() {
    let server = Server::start().await;
    let user = json!({"userName": "kit", "password": "correct horse"});
    let first = post(&server, "/Users", "k1", &user).await.is(201);
    let again = post(&server, "/Users", "k1", &user).await.is(201);
    assert_eq!(again.json(), first.json());
    for header in ["location", "etag"] {
        assert!(!first.header(header).is_empty());
        assert_eq!(again.header(header), first.header(header));
    }
    let id = text(&first.json()["id"]);
    let group = json!({"displayName": "Pier", "members": [{"value": id}]});
    let first = post(&server, "/Groups", "g1", &group).await.is(201);
    let again = post(&server, "/Groups", "g1", &group).await.is(201);
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("etag"), first.header("etag"));

    post(&server, "/Users", "k1", &json!({"userName": "max"})).await.refused(422, None, "new key");
    post(&server, "/Users", "g1", &user).await.refused(422, None, "new key");
    post(&server, "/Users", "k2", &user).await.refused(409, Some("uniqueness"), "userName");
    server.post("/Users", &user).await.refused(409, Some("uniqueness"), "userName");

    server.delete(&format!("/Users/{id}")).await.is(204);
    post(&server, "/Users", "k1", &user).await.refused(409, None, "deleted");
    let new = post(&server, "/Users", "k3", &user).await.is(201);
    assert_ne!(text(&new.json()["id"]), id);
}

#[tokio::test]
async fn a_key_that_is_none_is_400() {
    let server = Server::start().await;
    let body = json!({"userName": "kit"}).to_string();
    for key in ["", "a b", "k\u{e9}y", &"k".repeat(256)] {
        let answer = server.send("POST", "/Users", &[("idempotency-key", key)], Some(&body)).await;
        assert_eq!(answer.status, 400, "{key:?}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    server.send("POST", "/Users", &twice, Some(&body)).await.refused(400, None, "one key");
    server.send("POST", "/Users", &[("Idempotency-Key", &"k".repeat(255))], Some(&body)).await.is(201);
}
