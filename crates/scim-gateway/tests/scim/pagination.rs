//! RFC 9865: its examples, and walks over HTTP. Requirement by requirement: `tests/conformance/cursor.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Server, text};

const EXAMPLES: &str = include_str!("data/rfc9865.json");

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

fn ids(page: &Value) -> Vec<String> {
    page["Resources"].as_array().into_iter().flatten().map(|user| text(&user["id"])).collect()
}

/// What the RFC's cursors stand for is learnt from the answers before.
#[tokio::test]
async fn the_examples_of_the_rfc() {
    let server = Server::start().await;
    for n in 0..105 {
        server.user_named(if n < 100 { format!("J{n}") } else { format!("other{n}") }).await;
    }
    let examples: Vec<Value> = serde_json::from_str(EXAMPLES).expect("JSON");
    assert_eq!(examples.len(), 2);
    let mut cursors: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for example in &examples {
        let mut path = text(&example["request"]);
        for (theirs, ours) in &cursors {
            path = path.replace(theirs, ours);
        }
        let page = server.get(&path).await.is(200).json();
        let expected = &example["response"];
        assert_eq!(keys(&page), keys(expected), "{example}");
        for name in ["totalResults", "itemsPerPage", "schemas"] {
            assert_eq!(page[name], expected[name], "{example}");
        }
        assert_eq!(ids(&page).len(), 10);
        assert!(ids(&page).into_iter().all(|id| seen.insert(id)), "somebody was seen twice");
        for name in ["previousCursor", "nextCursor"] {
            let Some(theirs) = expected.get(name) else { continue };
            let cursor = text(&page[name]);
            assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{cursor}");
            cursors.insert(text(theirs), cursor);
        }
    }
    // Section 4, with our own numbers.
    let config = server.get("/ServiceProviderConfig").await.is(200).json();
    assert_eq!(
        config["pagination"],
        json!({
            "cursor": true, "index": true, "defaultPaginationMethod": "index",
            "defaultPageSize": 100, "maxPageSize": 1000, "cursorTimeout": 3600,
        })
    );
}

#[tokio::test]
async fn a_walk_over_users_that_change_loses_nobody_by_either_method() {
    let server = Server::start().await;
    let mut survivors = BTreeSet::new();
    for n in 0..120 {
        survivors.insert(server.user_named(format!("user{n}@example.com")).await);
    }
    let (mut by_cursor, mut cursor) = (Vec::new(), Some(String::new()));
    let (mut by_index, mut start_index, mut total) = (Vec::new(), 1, 120);
    for round in 0.. {
        if let Some(text_of) = cursor.take() {
            let page = server.get(&format!("/Users?cursor={text_of}&count=25")).await.is(200).json();
            assert_eq!((page.get("startIndex"), &page["itemsPerPage"]), (None, &json!(ids(&page).len())));
            by_cursor.extend(ids(&page));
            cursor = page.get("nextCursor").map(text);
        }
        if start_index <= total {
            let page = server.get(&format!("/Users?startIndex={start_index}&count=25")).await.is(200).json();
            assert_eq!(page.get("nextCursor"), None);
            total = page["totalResults"].as_u64().expect("number");
            start_index += u64::try_from(ids(&page).len()).expect("small");
            by_index.extend(ids(&page));
        }
        if cursor.is_none() && start_index > total {
            break;
        }
        let victims: Vec<String> = survivors.iter().step_by(9).take(6).cloned().collect();
        for id in &victims {
            server.delete(&format!("/Users/{id}")).await.is(204);
            survivors.remove(id);
        }
        server.user_named(format!("new{round}@example.com")).await;
        let renamed = survivors.iter().nth(round).expect("somebody");
        let name = json!([{"op": "replace", "path": "userName", "value": format!("a{round}@example.com")}]);
        server.patch(&format!("/Users/{renamed}"), &name).await.is(200);
    }
    for seen in [by_cursor, by_index] {
        let each: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(each.len(), seen.len(), "somebody was seen twice");
        assert!(survivors.iter().all(|id| each.contains(id)), "somebody was missed");
    }
}

/// The root's search has users and groups, so it has no GET.
#[tokio::test]
async fn the_root_is_searched_by_cursor() {
    let server = Server::start().await;
    let mut all = Vec::new();
    for n in 0..5 {
        all.push(server.user_named(format!("u{n}")).await);
    }
    for n in 0..4 {
        all.push(server.group(&format!("g{n}"), &[&all[0]]).await);
    }
    let search = async |cursor: &str| {
        let body = json!({"cursor": cursor, "count": 3, "filter": "meta.resourceType pr"});
        server.post("/.search", &body).await.is(200).json()
    };
    let mut pages = vec![search("").await];
    while let Some(next) = pages.last().and_then(|page| page.get("nextCursor")).map(text) {
        pages.push(search(&next).await);
    }
    assert_eq!(pages.iter().flat_map(ids).collect::<Vec<_>>(), all);
    assert_eq!(pages.len(), 3);
    for (n, page) in pages.iter().enumerate() {
        assert_eq!(
            (&page["totalResults"], &page["itemsPerPage"], page.get("startIndex")),
            (&json!(9), &json!(3), None)
        );
        match page.get("previousCursor").map(text) {
            None => assert_eq!(n, 0),
            Some(previous) => assert_eq!(search(&previous).await["Resources"], pages[n - 1]["Resources"]),
        }
    }
    assert_eq!(pages[2]["Resources"][0]["members"][0]["value"], json!(all[0]));
    let body = json!({"cursor": text(&pages[0]["nextCursor"]), "count": 3});
    for endpoint in ["/.search", "/Users/.search", "/Groups/.search"] {
        server.post(endpoint, &body).await.refused(400, Some("invalidCursor"), "previousCursor");
    }
}

#[tokio::test]
async fn the_two_methods_do_not_mix() {
    let server = Server::start().await;
    server.get("/Users?cursor=&startIndex=1").await.is(200);
    server.get("/Users?cursor=&startIndex=2").await.refused(400, Some("invalidValue"), "startIndex and cursor");
    server.get("/Users?cursor=&count=1001").await.refused(400, Some("invalidCount"), "0 to 1000");
    server.get("/Users?count=1001").await.is(200);
    server.get("/Groups?cursor=nothing").await.refused(400, Some("invalidCursor"), "empty cursor");
}

/// Groups are streamed, with their members.
#[tokio::test]
async fn groups_are_paged_by_cursor() {
    let server = Server::start().await;
    let member = server.user("kit@example.com").await;
    let mut groups = Vec::new();
    for n in 0..5 {
        groups.push(server.group(&format!("g{n}"), &[&member]).await);
    }
    let first = server.get("/Groups?cursor&count=3").await.is(200).json();
    assert_eq!((ids(&first), &first["totalResults"]), (groups[..3].to_vec(), &json!(5)));
    assert_eq!(first["Resources"][2]["members"][0]["value"], json!(member));
    let path = format!("/Groups?cursor={}&count=3", text(&first["nextCursor"]));
    let last = server.get(&path).await.is(200).json();
    assert_eq!((ids(&last), last.get("nextCursor")), (groups[3..].to_vec(), None));
    let back = format!("/Groups?cursor={}&count=3", text(&last["previousCursor"]));
    let back = server.get(&back).await.is(200).json();
    assert_eq!((&back["Resources"], back.get("previousCursor")), (&first["Resources"], None));
    server.get(&path.replace("count=3", "count=4")).await.refused(400, Some("invalidCount"), "count=3");
}
