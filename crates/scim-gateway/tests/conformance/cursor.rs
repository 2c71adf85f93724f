//! RFC 9865: pages by cursor.

use serde_json::{Value, json};

use crate::{
    harness::{Server, text},
    names,
};

/// A server with users u0 to u6.
async fn seven() -> Server {
    let server = Server::start().await;
    for n in 0..7 {
        server.user(&format!("u{n}")).await;
    }
    server
}

async fn page(server: &Server, query: &str) -> Value {
    server.get(&format!("/Users?{query}")).await.is(200).json()
}

/// `nextCursor` as a query value.
#[track_caller]
fn next(page: &Value) -> String {
    crate::encoded(&text(&page["nextCursor"]))
}

#[tokio::test]
async fn the_first_page_has_an_empty_cursor() {
    let server = seven().await;
    let first = page(&server, "cursor=&count=3").await;
    assert_eq!(names(&first).len(), 3);
    assert_eq!(names(&page(&server, "cursor&count=3").await), names(&first));
    let second = page(&server, &format!("cursor={}&count=3", next(&first))).await;
    assert_eq!(names(&second).len(), 3);
    assert!(names(&second).iter().all(|name| !names(&first).contains(name)));
}

#[tokio::test]
async fn a_page_has_no_more_than_asked_for() {
    let server = seven().await;
    for (count, expected) in [("1", 1), ("3", 3), ("0", 0), ("-3", 0), ("100", 7)] {
        assert_eq!(names(&page(&server, &format!("cursor=&count={count}")).await).len(), expected, "{count}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_to_the_last() {
    let server = seven().await;
    for (count, pages) in [(1, 7), (3, 3), (7, 1), (100, 1)] {
        for order in ["", "&sortBy=userName&sortOrder=descending", "&filter=userName+sw+%22u%22"] {
            let mut seen = Vec::new();
            let mut cursor = String::new();
            for n in 1..=pages {
                let found = page(&server, &format!("cursor={cursor}&count={count}{order}")).await;
                seen.extend(names(&found));
                if n == 1 {
                    assert_eq!(found.get("previousCursor"), None);
                }
                if n < pages {
                    cursor = next(&found);
                } else {
                    assert_eq!(found.get("nextCursor"), None, "{count}{order}");
                }
            }
            let mut whole = names(&page(&server, "count=100").await);
            if order.contains("descending") {
                whole.sort();
                whole.reverse();
            }
            assert_eq!(seen, whole, "{count}{order}");
        }
    }
}

#[tokio::test]
async fn pages_are_walked_back_to_the_first() {
    let server = seven().await;
    for query in ["count=3", "count=3&sortBy=userName&sortOrder=descending", "count=2&filter=userName+ge+%22u1%22"] {
        let mut pages = vec![page(&server, &format!("cursor=&{query}")).await];
        while let Some(cursor) = pages.last().and_then(|page| page.get("nextCursor")).map(text) {
            pages.push(page(&server, &format!("cursor={cursor}&{query}")).await);
        }
        let mut back = pages.pop().expect("a page");
        while let Some(expected) = pages.pop() {
            back = page(&server, &format!("cursor={}&{query}", text(&back["previousCursor"]))).await;
            assert_eq!(
                (&back["Resources"], &back["totalResults"]),
                (&expected["Resources"], &expected["totalResults"])
            );
            assert!(back.get("nextCursor").is_some());
        }
        assert_eq!(back.get("previousCursor"), None, "the first page");
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_query() {
    let server = seven().await;
    let first = page(&server, "cursor=&count=3&filter=userName+pr").await;
    let cursor = next(&first);
    assert_eq!(names(&page(&server, &format!("cursor={cursor}&count=3&filter=userName+pr")).await).len(), 3);
    for other in ["count=3", "count=3&filter=active+eq+true", "count=3&filter=userName+pr&sortBy=userName"] {
        let path = format!("/Users?cursor={cursor}&{other}");
        server.get(&path).await.refused(400, Some("invalidCursor"), "");
    }
    server.get(&format!("/Groups?cursor={cursor}&count=3")).await.refused(400, Some("invalidCursor"), "");
}

#[tokio::test]
async fn wrong_cursors_are_refused() {
    let server = seven().await;
    let good = text(&page(&server, "cursor=&count=3").await["nextCursor"]);
    let cut = &good[..good.len() / 2];
    for wrong in ["x", "1", "'; DROP TABLE users; --", cut, &format!("{good}x"), &format!("x{good}")] {
        let path = format!("/Users?cursor={}&count=3", crate::encoded(wrong));
        let answer = server.get(&path).await.refused(400, Some("invalidCursor"), "");
        let detail = text(&answer.json()["detail"]).to_lowercase();
        for word in ["select", "sqlite", "postgres", "users\"", "panic", server.organization.as_str()] {
            assert!(!detail.contains(word), "{detail}");
        }
    }
    server.get("/Users?cursor=&count=ten").await.refused(400, Some("invalidCount"), "count");
}

#[tokio::test]
async fn pagination_by_index_is_the_default() {
    let server = seven().await;
    let config = server.get("/ServiceProviderConfig").await.is(200).json();
    assert_eq!(config["pagination"]["defaultPaginationMethod"], "index");
    for query in ["", "count=3"] {
        let found = page(&server, query).await;
        assert_eq!((&found["startIndex"], found.get("nextCursor")), (&json!(1), None), "{query}");
    }
}

#[tokio::test]
async fn a_cursor_shows_nothing_of_others() {
    let mut server = seven().await;
    let first = page(&server, "cursor=&count=3").await;
    let other = server.organization("other").await;
    server.token = server.token(&other, None).await.secret;
    let mine = server.user("mine").await;
    let path = format!("/Users?cursor={}&count=3", next(&first));
    server.get(&path).await.refused(400, Some("invalidCursor"), "");
    let found = page(&server, "cursor=&count=3").await;
    assert_eq!((found["Resources"].as_array().map(Vec::len), &found["Resources"][0]["id"]), (Some(1), &json!(mine)));
}

#[tokio::test]
async fn every_page_is_authorized() {
    let mut server = seven().await;
    let path = format!("/Users?cursor={}&count=3", next(&page(&server, "cursor=&count=3").await));
    let good = std::mem::replace(&mut server.token, "unknown".to_owned());
    server.get(&path).await.refused(401, None, "");
    server.token = good;
    server.get(&path).await.is(200);
    server.switch(&server.organization, false).await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    server.get(&path).await.refused(403, None, "");
    server.switch(&server.organization, true).await;
    server.revoke(&server.organization, &server.token_id).await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    server.get(&path).await.refused(401, None, "");
}
