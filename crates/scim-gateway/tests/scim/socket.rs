//! What only shows on a connection.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::harness::Server;

pub(crate) async fn listen(server: &Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(scim_gateway::serve(listener, server.router(), Vec::new(), std::future::pending()));
    address
}

/// Sends the head, then the body while nobody reads, as a plain client does; returns all that comes back.
pub(crate) async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(head.replace('\n', "\r\n").as_bytes()).await.expect("head");
    // The server may close before it has everything.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    read.expect("the connection ends").expect("no reset before the answer was read");
    String::from_utf8(answer).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Server::start().await;
    let address = listen(&server).await;
    let body = vec![b' '; 3 * 1024 * 1024];
    let head = |token: &str, media_type: &str, length: usize| {
        format!(
            "POST /scim/v2/Users HTTP/1.1\nHost: x\nConnection: close\nAuthorization: Bearer {token}\n\
             Content-Type: {media_type}\nContent-Length: {length}\n\n"
        )
    };
    let answer = exchange(address, &head(&server.token, "application/json", body.len()), &body).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let small = &body[..900 * 1024];
    let answer = exchange(address, &head(&server.token, "text/plain", small.len()), small).await;
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    let answer = exchange(address, &head("wrong", "application/json", small.len()), small).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

/// Answers in the order they came, each with its status, its head and its body.
fn answers(mut text: &str) -> Vec<(u16, &str, Value)> {
    let mut all = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let (body, after) = rest.split_at(length.parse().expect("a number"));
        all.push((status, head, serde_json::from_str(body).expect("JSON")));
        text = after;
    }
    assert_eq!(text, "", "nothing is left over");
    all
}

#[track_caller]
fn refused_whole((status, head, body): &(u16, &str, Value), expected: u16) {
    assert_eq!(*status, expected, "{head}");
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    assert_eq!(body["status"], expected.to_string());
    assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 30), "{body}");
    for line in [
        "content-type: application/scim+json",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "connection: close",
    ] {
        assert_eq!(head.lines().filter(|found| *found == line).count(), 1, "{line} in {head}");
    }
    for name in ["x-request-id: ", "date: ", "content-length: "] {
        assert_eq!(head.lines().filter(|found| found.starts_with(name)).count(), 1, "{name} in {head}");
    }
}

/// RFC 7644 section 3.12 holds for what never becomes a request, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_cannot_be_read_are_answered_with_scim_errors() {
    let server = Server::start().await;
    let address = listen(&server).await;
    let long = |n| "x".repeat(n);
    let users = "GET /scim/v2/Users";
    let heads = [
        (400, "GET\n\n".to_owned()),
        (400, format!("{users} HTTP/9.9\nHost: x\n\n")),
        (400, format!("{users} x HTTP/1.1\nHost: x\n\n")),
        (400, format!("{users} HTTP/1.1\nHost x\n\n")),
        (400, format!("{users} HTTP/1.1\nHost: x\nX-A: a\0b\n\n")),
        (400, "POST /scim/v2/Users HTTP/1.1\nHost: x\nContent-Length: many\n\n".to_owned()),
        (400, "POST /scim/v2/Users HTTP/1.1\nHost: x\nContent-Length: 1\nContent-Length: 2\n\n".to_owned()),
        (400, "POST /scim/v2/Users HTTP/1.1\nHost: x\nTransfer-Encoding: gzip\n\n".to_owned()),
        (400, "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}".to_owned() + "\n\n"),
        (414, format!("{users}?filter={} HTTP/1.1\nHost: x\n\n", long(70_000))),
        (431, format!("{users} HTTP/1.1\nHost: x\nX-A: {}\n\n", long(400_000))),
        (431, format!("{users} HTTP/1.1\nHost: x\n{}\n", "X-A: a\n".repeat(101))),
    ];
    for (status, head) in &heads {
        let text = exchange(address, head, b"").await;
        let answers = answers(&text);
        assert_eq!(answers.len(), 1, "{text}");
        refused_whole(&answers[0], *status);
    }

    // In small pieces, and behind a good request on the same connection.
    let good = format!("{users}?count=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", server.token);
    for (status, head) in heads.iter().filter(|(_, head)| head.len() < 1000) {
        let bad = head.replace('\n', "\r\n");
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("no delay");
        for piece in bad.as_bytes().chunks(7) {
            // It may be over before the last piece.
            let _ = stream.write_all(piece).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        refused_whole(&answers(&text)[0], *status);

        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(format!("{good}{good}{bad}{good}").as_bytes()).await.expect("write");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("answers");
        let answers = answers(&text);
        assert_eq!(answers.iter().map(|(status, ..)| *status).collect::<Vec<_>>(), [200, 200, *status], "{text}");
        refused_whole(&answers[2], *status);
    }

    // A client that never reads, and one that is gone, cost nobody anything.
    for _ in 0..50 {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let _ = stream.write_all(b"nonsense\r\n\r\n").await;
    }
    let text =
        exchange(address, &good.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").replace("\r\n", "\n"), b"").await;
    assert_eq!(answers(&text)[0].0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_header_fields_over_http2_are_answered_with_a_scim_error() {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::{
        client::legacy::{Client, connect::HttpConnector},
        rt::TokioExecutor,
    };
    let server = Server::start().await;
    let address = listen(&server).await;
    let client: Client<HttpConnector, Empty<bytes::Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    for (length, expected) in [(20_000, 401), (40_000, 431)] {
        let request = http::Request::get(format!("http://{address}/scim/v2/Users"))
            .header("x-long", "x".repeat(length))
            .body(Empty::new())
            .expect("a request");
        let (head, body) = client.request(request).await.expect("an answer").into_parts();
        let body: Value = serde_json::from_slice(&body.collect().await.expect("a body").to_bytes()).expect("JSON");
        assert_eq!(head.status, expected);
        assert_eq!(body["status"], expected.to_string());
        assert!(head.headers.contains_key("x-request-id"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_first_is_not_told_to_send() {
    let server = Server::start().await;
    let address = listen(&server).await;
    let head = format!(
        "POST /scim/v2/Users HTTP/1.1\nHost: x\nAuthorization: Bearer {}\nContent-Type: application/json\n\
         Content-Length: 9000000\nExpect: 100-continue\n\n",
        server.token
    );
    let answer = exchange(address, &head, b"").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_comes_in_chunks_and_is_whole() {
    let server = Server::start().await;
    let address = listen(&server).await;
    let ids = futures::future::join_all((0..1500).map(|n| server.user_named(format!("u{n}@example.com")))).await;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let group = server.group("Everybody", &ids).await;
    let head = format!(
        "GET /scim/v2/Groups/{group} HTTP/1.1\nHost: evil.example\nConnection: close\nAuthorization: Bearer {}\n\n",
        server.token
    );
    let answer = exchange(address, &head, b"").await;
    let (head, mut rest) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("transfer-encoding: chunked"), "{head}");
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("chunk size");
        body.push_str(&more[..size]);
        rest = &more[size + 2..];
        if size == 0 {
            break;
        }
    }
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["members"].as_array().map(Vec::len), Some(1500));
    assert!(!body.to_string().contains("evil"), "links come from the configuration");
    assert_eq!(body["displayName"], json!("Everybody"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_256_connections_and_more_and_no_answer_says_what_runs_here() {
    let server = Server::start().await;
    let address = listen(&server).await;
    let mut connections = Vec::new();
    for _ in 0..300 {
        connections.push(TcpStream::connect(address).await.expect("connect"));
    }
    let head = format!(
        "GET /scim/v2/Users?count=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        server.token
    );
    for stream in &mut connections {
        stream.write_all(head.as_bytes()).await.expect("head");
    }
    for mut stream in connections {
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await;
        read.expect("in time").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let lower = answer.to_ascii_lowercase();
        let banner = ["\r\nserver:", "\r\nx-powered-by:", "\r\nvia:", env!("CARGO_PKG_VERSION")];
        assert!(
            !banner.iter().any(|banner| lower.split("\r\n\r\n").next().unwrap_or_default().contains(banner)),
            "{answer}"
        );
    }
}
