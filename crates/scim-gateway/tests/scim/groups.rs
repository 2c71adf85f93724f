//! `/Groups` from the outside.

use std::collections::HashSet;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::harness::{BASE, Server, text};

fn members(group: &Value) -> Vec<String> {
    let mut ids: Vec<String> = group["members"].as_array().into_iter().flatten().map(|m| text(&m["value"])).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn create_read_replace_patch_delete() {
    let server = Server::start().await;
    let (a, b) = (server.user("a@example.com").await, server.user("b@example.com").await);
    let body =
        json!({"schemas": [scim::schema::GROUP], "displayName": "Ops", "members": [{"value": a, "display": null}]});
    let created = server.post("/Groups", &body).await.is(201);
    let group = created.json();
    let path = format!("/Groups/{}", text(&group["id"]));
    assert_eq!(created.header("location"), format!("{BASE}{path}"));
    assert_eq!(group["meta"]["version"], created.header("etag"));
    assert_eq!(group["members"], json!([{"value": a, "$ref": format!("{BASE}/Users/{a}"), "type": "User"}]));
    server.post("/Groups", &body).await.refused(409, Some("uniqueness"), "displayName");

    let patched = server
        .patch(
            &path,
            &json!([
                {"op": "replace", "value": {"id": group["id"], "displayName": "Ops 2"}},
                {"op": "add", "path": "members", "value": [{"value": b, "display": "b@example.com"}]},
                {"op": "remove", "path": format!("members[value eq \"{a}\"]")},
            ]),
        )
        .await
        .is(204);
    assert!(patched.body.is_empty());
    let read = server.get(&path).await.is(200);
    assert_eq!(patched.header("etag"), read.header("etag"));
    assert_eq!((members(&read.json()), &read.json()["displayName"]), (vec![b.clone()], &json!("Ops 2")));
    server.send("GET", &path, &[("if-none-match", read.header("etag"))], None).await.is(304);

    let shown = server
        .send(
            "PATCH",
            &format!("{path}?attributes=displayName"),
            &[],
            Some(&json!({"Operations": [{"op": "add", "path": "members", "value": [{"value": a}]}]}).to_string()),
        )
        .await
        .is(200)
        .json();
    assert_eq!(shown["displayName"], "Ops 2");
    assert!(shown.get("members").is_none(), "{shown}");

    // Members that a PUT leaves out stay; an empty list empties.
    let put = server.put(&path, &json!({"displayName": "Ops 3"})).await.is(200).json();
    assert_eq!(members(&put).len(), 2);
    let put = server.put(&path, &json!({"displayName": "Ops 3", "members": []})).await.is(200).json();
    assert_eq!(members(&put).len(), 0);

    server.send("DELETE", &path, &[("if-match", "W/\"999\"")], None).await.refused(412, None, "");
    server.delete(&path).await.is(204);
    server.get(&path).await.refused(404, None, "");
}

#[tokio::test]
async fn unknown_members_are_named_and_nothing_is_stored() {
    let server = Server::start().await;
    let a = server.user("a@example.com").await;
    let stranger = "0192a0f0-0000-7000-8000-000000000001";
    let body = json!({"displayName": "Ops", "members": [{"value": a}, {"value": stranger}]});
    server.post("/Groups", &body).await.refused(400, Some("invalidValue"), stranger);
    let body = json!({"displayName": "Ops", "members": [{"value": "kit@example.com"}]});
    server.post("/Groups", &body).await.refused(400, Some("invalidValue"), "kit@example.com");
    assert_eq!(server.get("/Groups").await.is(200).json()["totalResults"], 0);
}

#[tokio::test]
async fn a_large_group_is_streamed_whole() {
    const SIZE: usize = 5000;
    let server = Server::start().await;
    let ids: HashSet<String> = stream::iter(0..SIZE)
        .map(|n| server.user_named(format!("u{n}@example.com")))
        .buffer_unordered(64)
        .collect()
        .await;
    let values: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    let all = |group: &Value| members(group).into_iter().collect::<HashSet<_>>();

    let created = server.post("/Groups", &json!({"displayName": "Everybody", "members": values})).await.is(201).json();
    assert_eq!(created["members"].as_array().map(Vec::len), Some(SIZE));
    assert_eq!(all(&created), ids);
    let path = format!("/Groups/{}", text(&created["id"]));
    let read = server.get(&path).await.is(200);
    // Sent as it is made, so its length is not known beforehand.
    assert_eq!(read.header("content-length"), "");
    assert_eq!(read.json(), created);
    assert!(server.send("HEAD", &path, &[], None).await.is(200).body.is_empty());

    let few = server.group("Few", &[&text(&values[0]["value"])]).await;
    let listed = server.get("/Groups").await.is(200).json();
    assert_eq!((&listed["totalResults"], &listed["itemsPerPage"]), (&json!(2), &json!(2)));
    assert_eq!(all(&listed["Resources"][0]), ids);
    assert_eq!(listed["Resources"][1]["id"], json!(few));
    let bare = server.get("/Groups?excludedAttributes=members").await.is(200);
    assert!(bare.body.len() < 2000 && !bare.json().to_string().contains("members"));

    let body = json!({"displayName": "Everybody", "members": [values[0]]});
    let put = server.put(&path, &body).await.is(200).json();
    assert_eq!(members(&put).len(), 1);
}
