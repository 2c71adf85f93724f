//! What is logged: every request with its id, and nothing of what it carried.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

use crate::harness::Server;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn logs_have_the_request_id_and_no_personal_data() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    // With one subscriber only, tracing asks the thread that reaches a line first whether anybody listens, and other
    // tests' threads say no for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start().await;

    let body =
        json!({"userName": "canary-name", "password": "canary-password", "phoneNumbers": [{"value": "canary-phone"}]});
    let id = server.post("/Users", &body).await.is(201).json()["id"].as_str().unwrap_or_default().to_owned();
    server.post("/Users", &body).await.is(409);
    server.get("/Users?filter=userName+eq+%22canary-name%22").await.is(200);
    server.get("/Users?filter=nothing+eq+%22canary-name%22").await.is(400);
    server.get("/Users/canary-name").await.is(404);
    server.send("POST", "/Users", &[], Some(r#"{"userName":"canary-name""#)).await.is(400);
    server.patch(&format!("/Users/{id}"), &json!([{"op": "add", "path": "canary-name", "value": 1}])).await.is(400);
    server.post("/Groups", &json!({"displayName": "canary-name", "members": [{"value": "canary-name"}]})).await.is(400);
    server.raw("GET", "/Users", &[("authorization", "Bearer canary-token")], "").await.is(401);
    let last = server.send("GET", "/Users", &[("x-request-id", "joins-them")], None).await.is(200);
    drop(guard);

    let log = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    let log = String::from_utf8_lossy(&log);
    let requests: Vec<&str> =
        log.lines().filter(|line| line.contains("scim_gateway") && line.contains("INFO")).collect();
    assert_eq!(requests.len(), 10, "{log}");
    assert!(requests.iter().all(|line| line.contains("request_id=")), "{requests:#?}");
    assert!(requests[9].contains(last.header("x-request-id")) && requests[9].contains("joins-them"), "{requests:#?}");
    assert!(requests[9].contains(&server.organization), "{requests:#?}");
    for secret in ["canary", &server.token] {
        assert!(!log.contains(secret), "{:#?}", log.lines().filter(|line| line.contains(secret)).collect::<Vec<_>>());
    }
}
