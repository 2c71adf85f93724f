//! Revocation on several gateways, addresses, and uses that are told.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyStream, StreamBody};
use testkit::client::Client;
use tonic::body::Body;
use tower::ServiceExt as _;
use wire::{
    Transport,
    token::{CreateScimTokenRequest, ListScimTokensRequest, ScimToken},
};

use crate::{
    harness::Server,
    socket::{exchange, listen},
};

/// Until a gateway refuses the token, from now.
async fn refused_after(server: &Server) -> Duration {
    let begun = Instant::now();
    while server.get("/Schemas").await.status != 401 {
        assert!(begun.elapsed() < Duration::from_secs(10), "not refused");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// A way to token-service on which streams fall silent and new ones are not answered, once it is cut. Calls go through.
fn severable(to: &Transport, cut: &Arc<AtomicBool>) -> Transport {
    let (to, cut) = (to.clone(), Arc::clone(cut));
    Transport::in_process(tower::service_fn(move |request: Request<Body>| {
        let (to, cut) = (to.clone(), Arc::clone(&cut));
        async move {
            let stream = request.uri().path().ends_with("/WatchRevocations");
            if stream && cut.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let answer = to.oneshot(request).await.expect("in process");
            let silenced = move |body: Body| {
                let frames = BodyStream::new(body).then(move |frame| {
                    let cut = Arc::clone(&cut);
                    async move {
                        if stream && cut.load(Ordering::Relaxed) {
                            std::future::pending::<()>().await;
                        }
                        frame
                    }
                });
                Body::new(StreamBody::new(frames))
            };
            Ok::<Response<Body>, Infallible>(answer.map(silenced))
        }
    }))
}

#[tokio::test]
async fn two_gateways_refuse_a_revoked_token_within_a_second() {
    let server = Server::start().await;
    let other = server.beside(server.transports[1].clone());
    // Their streams are up, and both remember the token.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.get("/Users").await.is(200);
    other.get("/Users").await.is(200);
    server.revoke(&server.organization, &server.token_id).await;
    let (one, two) = tokio::join!(refused_after(&server), refused_after(&other));
    assert!(one < Duration::from_secs(1) && two < Duration::from_secs(1), "{one:?}, {two:?}");
}

#[tokio::test]
async fn without_the_stream_it_ends_within_five_seconds_and_afterwards_nothing_was_missed() {
    let server = Server::start().await;
    let cut = Arc::new(AtomicBool::new(false));
    let other = server.beside(severable(&server.transports[1], &cut));
    let second = server.token(&server.organization, None).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    cut.store(true, Ordering::Relaxed);
    server.get("/Users").await.is(200);
    other.get("/Users").await.is(200);
    server.revoke(&server.organization, &server.token_id).await;
    let (one, two) = tokio::join!(refused_after(&server), refused_after(&other));
    assert!(one < Duration::from_secs(1), "{one:?}");
    assert!(two > Duration::from_secs(1), "the stream was not cut: {two:?}");
    assert!(two < Duration::from_secs(5), "{two:?}");

    // Revoked while cut, told when the stream is taken up again, before the answer would be too old.
    let mut other = other;
    other.token = second.secret;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    other.get("/Users").await.is(200);
    server.revoke(&server.organization, &second.token.expect("token").id).await;
    other.get("/Users").await.is(200);
    cut.store(false, Ordering::Relaxed);
    let after = refused_after(&other).await;
    assert!(after < Duration::from_millis(4400), "{after:?}");
}

#[tokio::test]
async fn a_token_service_of_the_release_before_does() {
    let server = Server::start().await;
    let to = server.transports[1].clone();
    let before = tower::service_fn(move |request: Request<Body>| {
        let to = to.clone();
        async move {
            let path = request.uri().path();
            if ["/WatchRevocations", "/ReportScimTokenUses", "/VerifyMany"].iter().any(|new| path.ends_with(new)) {
                return Ok::<_, Infallible>(tonic::Status::unimplemented("").into_http());
            }
            Ok(to.oneshot(request).await.expect("in process"))
        }
    });
    let gateway = server.beside(Transport::in_process(before));
    gateway.get("/Users").await.is(200);
    gateway.user("kit@example.com").await;
    server.revoke(&server.organization, &server.token_id).await;
    let after = refused_after(&gateway).await;
    assert!(after < Duration::from_secs(5), "{after:?}");

    // Unknown tokens beyond an address's budget are looked up one by one, and a valid one among them is found.
    let client = Client::new(&format!("http://{}/scim/v2", listen(&gateway).await));
    let ask = async |token: String| {
        let answer = client.with_token(&token).expect("a header").send(Method::GET, "/Users?count=0", None).await;
        answer.expect("an answer").status
    };
    let flood = stream::iter(0..540).map(|n| ask(format!("rc_scim_unknown-{n}"))).buffer_unordered(32);
    assert!(flood.collect::<Vec<_>>().await.iter().all(|status| *status == 401));
    let fresh = server.token(&server.organization, None).await.secret;
    let begun = Instant::now();
    assert_eq!(ask(fresh).await, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_from_its_addresses_only_and_elsewhere_like_one_that_does_not_exist() {
    let mut server =
        Server::with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().expect("network")]).await;
    let request = CreateScimTokenRequest {
        allowed_cidrs: vec!["203.0.113.0/24".to_owned(), "2001:db8::/32".to_owned()],
        ..server.new_token(&server.organization)
    };
    server.token = server.token_that(request).await.secret;
    let address = listen(&server).await;
    let get = async |token: &str, from: &str| {
        let head = format!(
            "GET /scim/v2/Users HTTP/1.1\nHost: x\nConnection: close\nX-Request-Id: r\nX-Forwarded-For: {from}\n\
             Authorization: Bearer {token}\n\n"
        );
        let answer = exchange(address, &head, b"").await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).expect("status").to_owned(), body.to_owned())
    };
    for from in ["203.0.113.9", "198.51.100.1, 203.0.113.9", "2001:db8::9", "203.0.113.9, 127.0.0.2"] {
        assert_eq!(get(&server.token, from).await.0, "200", "{from}");
    }
    let unknown = get("rc_scim_unknown", "203.0.113.9").await;
    assert_eq!(unknown.0, "401");
    for from in ["198.51.100.1", "203.0.113.9, 198.51.100.1", "2001:db9::9", "", "unknown"] {
        assert_eq!(get(&server.token, from).await, unknown, "{from}");
    }
    // No connection, no address.
    server.get("/Users").await.refused(401, None, "not allowed from the address");
}

async fn listed(server: &Server) -> ScimToken {
    let request = ListScimTokensRequest { organization_id: server.organization.clone() };
    server.tokens.clone().list_scim_tokens(request).await.expect("listed").into_inner().tokens.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_use_is_kept_with_its_address_and_client_though_the_token_is_remembered() {
    let server = Server::start().await;
    let address = listen(&server).await;
    for n in 0..20 {
        let head = format!(
            "GET /scim/v2/Users HTTP/1.1\nHost: x\nConnection: close\nUser-Agent: Okta {n}\nAuthorization: Bearer {}\n\n",
            server.token
        );
        exchange(address, &head, b"").await;
    }
    let begun = Instant::now();
    loop {
        let token = listed(&server).await;
        if token.last_used_user_agent == "Okta 19" {
            assert_eq!(token.last_used_address, "127.0.0.1");
            assert!(token.last_used_at.is_some());
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "{token:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_token_that_is_refused_was_not_used() {
    let mut server = Server::start().await;
    let request = CreateScimTokenRequest {
        allowed_cidrs: vec!["203.0.113.0/24".to_owned()],
        ..server.new_token(&server.organization)
    };
    server.token = server.token_that(request).await.secret;
    server.get("/Users").await.is(401);
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert_eq!(listed(&server).await.last_used_at, None);
}
