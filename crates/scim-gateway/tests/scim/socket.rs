//! What only shows on a connection.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::harness::Server;

async fn listen(server: &Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(scim_gateway::serve(listener, server.router(), std::future::pending()));
    address
}

/// Sends the head, then the body while nobody reads, as a plain client does; returns all that comes back.
async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> String {
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
