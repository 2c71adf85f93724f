//! Issue 5, item 8: who is kept waiting by whom.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use http::{Method, StatusCode};
use serde_json::json;
use testkit::client::Client;
use tokio::net::TcpListener;

use crate::harness::Server;

/// A POST whose body does not end: it is at work for as long as the test wants.
fn endless() -> Body {
    let begun = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{\"userName\":")) });
    Body::from_stream(begun.chain(stream::pending()))
}

#[tokio::test]
async fn a_flood_fills_its_own_places_and_keeps_neither_leavers_nor_others_waiting() {
    let mut server = Server::with(|config| config.default_requests_per_second = 1000).await;
    let leaver = format!("/Users/{}", server.user("kit@example.com").await);
    let gone = format!("/Users/{}", server.user("lou@example.com").await);
    let server = {
        let (organization, token) = (server.organization.clone(), server.token.clone());
        server.enroll("other").await;
        let other = server.token.clone();
        (server.organization, server.token) = (organization, token);
        (Arc::new(server), other)
    };
    let (server, other) = server;
    let bearer = format!("Bearer {}", server.token);
    let flood: Vec<_> = (0..8)
        .map(|_| {
            let (server, bearer) = (Arc::clone(&server), bearer.clone());
            tokio::spawn(async move {
                let headers = [("authorization", bearer.as_str()), ("content-type", "application/scim+json")];
                server.raw("POST", "/Users", &headers, endless()).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;

    let begun = Instant::now();
    server.delete(&gone).await.is(204);
    server.patch(&leaver, &json!([{"op": "replace", "path": "active", "value": false}])).await.is(200);
    server.raw("GET", "/Users", &[("authorization", &format!("Bearer {other}"))], "").await.is(200);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    let crowded = server.get("/Users").await.refused(429, None, "at once");
    assert_eq!(crowded.header("retry-after"), "1");
    // Limit 0 switches it off, too.
    server.limit(&server.organization, Some(0)).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    server.get("/Users").await.is(200);
    for request in flood {
        request.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_unknown_tokens_is_401_and_whoever_has_one_is_served() {
    const FLOOD: usize = 640;
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let base = format!("http://{}/scim/v2", listener.local_addr().expect("address"));
    tokio::spawn(scim_gateway::serve(listener, server.router(), Vec::new(), std::future::pending()));
    let ask = async |token: String| {
        let answer =
            Client::new(&base).with_token(&token).expect("a header").send(Method::GET, "/Users?count=0", None).await;
        StatusCode::from_u16(answer.expect("an answer").status).expect("a status")
    };
    assert_eq!(ask(server.token.clone()).await, StatusCode::OK);

    let begun = Instant::now();
    let flood = stream::iter(0..FLOOD).map(|n| ask(format!("rc_scim_unknown-{n}"))).buffer_unordered(32);
    let flood = flood.collect::<Vec<_>>();
    let valid = async {
        let mut slowest = Duration::ZERO;
        for n in 0..20 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let begun = Instant::now();
            // One that is known here, whatever the cache has forgotten meanwhile.
            assert_eq!(ask(server.token.clone()).await, StatusCode::OK, "{n}");
            slowest = slowest.max(begun.elapsed());
        }
        // And one that nobody has shown yet.
        let fresh = server.token(&server.organization, None).await.secret;
        assert_eq!(ask(fresh).await, StatusCode::OK);
        slowest
    };
    let (answers, slowest) = tokio::join!(flood, valid);
    assert!(answers.iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{answers:?}");
    // Those beyond the budget waited for their turn, fifty a second.
    assert!(begun.elapsed() > Duration::from_millis(1800), "{:?}", begun.elapsed());
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");

    // One that is known to be nobody's costs no look-up while the budget is spent; no token at all never does.
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(ask("rc_scim_unknown-1".to_owned()).await, StatusCode::UNAUTHORIZED);
        assert_eq!(ask("not a token".to_owned()).await, StatusCode::UNAUTHORIZED);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// A client that does not wait is not answered as fast as can be.
#[tokio::test]
async fn a_429_takes_a_moment() {
    let server = Server::with(|config| {
        config.default_requests_per_second = 1;
        config.refusal_pause = Duration::from_millis(300);
    })
    .await;
    for _ in 0..1000 {
        let begun = Instant::now();
        let answer = server.get("/ServiceProviderConfig").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            answer.refused(429, None, "Retry-After");
            assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
            return;
        }
    }
    panic!("no limit");
}
