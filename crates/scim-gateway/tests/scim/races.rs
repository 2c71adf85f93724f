//! Many at once: one of everything, nothing lost.

use std::collections::HashSet;

use futures::future::join_all;
use serde_json::json;

use crate::harness::{Server, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_case_variants_is_created() {
    let server = Server::start().await;
    let server = &server;
    let posts = (0..100u32).map(|n| async move {
        let variant = |(at, c): (usize, char)| if n >> (at % 7) & 1 == 1 { c.to_ascii_uppercase() } else { c };
        let user_name: String = "kitmoor@example.com".chars().enumerate().map(variant).collect();
        server.post("/Users", &json!({"userName": user_name})).await.status.as_u16()
    });
    let statuses = join_all(posts).await;
    let count = |status| statuses.iter().filter(|&&s| s == status).count();
    assert_eq!((count(201), count(409)), (1, 99), "{statuses:?}");
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_added_at_once_are_all_there() {
    let server = Server::start().await;
    let server = &server;
    let users = join_all((0..64).map(|n| server.user_named(format!("u{n}@example.com")))).await;
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    let group = group.as_str();
    join_all(users.iter().map(|user| async move {
        let add = json!([{"op": "add", "path": "members", "value": [{"value": user}]}]);
        server.patch(group, &add).await.is(204);
    }))
    .await;
    let read = server.get(group).await.is(200).json();
    let there: HashSet<String> = read["members"].as_array().into_iter().flatten().map(|m| text(&m["value"])).collect();
    assert_eq!(there, users.into_iter().collect());
}
