//! What leaves the process, seen from a collector. One test: a process has one telemetry.

#![expect(clippy::expect_used, reason = "a test")]

use std::{convert::Infallible, time::Duration};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use telemetry::{Config, GrpcServerLayer};
use testkit::otlp::{Sink, outline};
use tonic::{Code, Status, body::Body};
use tower::{Layer as _, Service as _};
use tracing::Instrument as _;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A gRPC server that says `code` in the head (as an rpc that fails at once does) or in the trailers.
async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let query = tracing::debug_span!("db.query");
    async { tracing::info!("looked up") }.instrument(query).await;
    if request.uri().path().ends_with("Fail") {
        return Ok(Status::new(Code::Internal, "no").into_http());
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("value"));
    let body =
        http_body_util::Full::new(bytes::Bytes::from_static(b"data")).with_trailers(async { Some(Ok(trailers)) });
    Ok(Response::new(Body::new(body)))
}

async fn call(path: &str) {
    // The client half: what the interceptor writes is what a gRPC client would send.
    let metadata = telemetry::inject(tonic::Request::new(())).expect("never refuses").into_parts().0;
    let mut request =
        Request::builder().uri(path).header("x-request-id", "req-1").body(Body::empty()).expect("request");
    request.headers_mut().extend(metadata.into_headers());
    let mut server = GrpcServerLayer.layer(tower::service_fn(answer));
    let response = server.call(request).await.expect("response");
    response.into_body().collect().await.expect("body");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_is_one_tree_and_exporting_it_feeds_nothing() {
    let sink = Sink::start().await;
    let config = Config {
        service_name: "test".to_owned(),
        otlp_endpoint: Some(sink.endpoint()),
        // The worst case: everything, from every crate.
        log_filter: "trace".to_owned(),
        json_logs: true,
    };
    let guard = telemetry::init(&config).expect("telemetry");

    let mut headers = HeaderMap::new();
    headers.insert("traceparent", TRACEPARENT.parse().expect("value"));
    let root = tracing::info_span!("http.request", otel.name = "GET /scim/v2/Users/{id}");
    telemetry::set_parent(&root, &headers);
    async {
        call("/rollcall.identity.v1.IdentityService/GetUser").await;
        call("/rollcall.identity.v1.IdentityService/Fail").await;
    }
    .instrument(root)
    .await;
    telemetry::record_http(&http::Method::GET, Some("/scim/v2/Users/{id}"), 200, Duration::from_millis(3));

    let spans = sink.spans_when(|spans| spans.len() >= 5).await;
    // Four export intervals of logs: time enough for an export to be reported by another one.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let exports = sink.exports();
    tokio::task::spawn_blocking(|| guard.shutdown()).await.expect("shutdown");
    assert!(exports <= 4, "{exports} exports of five spans and two log lines: telemetry reports itself");
    assert_eq!(sink.spans().len(), 5, "{:#?}", sink.spans());

    assert_eq!(
        outline(&spans),
        "GET /scim/v2/Users/{id}\n  \
           rollcall.identity.v1.IdentityService/Fail\n    db.query\n  \
           rollcall.identity.v1.IdentityService/GetUser\n    db.query\n"
    );
    assert!(spans.iter().all(|span| span.trace_id == "0af7651916cd43dd8448eb211c80319c"));
    assert!(spans.iter().all(|span| span.service == "test"));
    let root = spans.iter().find(|span| span.name.starts_with("GET")).expect("root");
    assert_eq!(root.parent_id, "b7ad6b7169203331");
    let code = |method: &str| {
        let span = spans.iter().find(|span| span.name.ends_with(method)).expect("span");
        assert_eq!(span.attributes["request_id"], "req-1");
        assert_eq!(span.attributes["rpc.system"], "grpc");
        assert_eq!(span.attributes["rpc.method"], method);
        span.attributes["rpc.grpc.status_code"].clone()
    };
    assert_eq!((code("GetUser").as_str(), code("Fail").as_str()), ("0", "13"));

    let logs = sink.logs();
    let line = logs.iter().find(|log| log.body == "looked up").expect("the log line");
    assert_eq!(line.trace_id, "0af7651916cd43dd8448eb211c80319c");
    for metric in
        ["rollcall.http.requests", "http.server.request.duration", "rollcall.rpc.requests", "rpc.server.call.duration"]
    {
        assert!(sink.metrics().iter().any(|name| name == metric), "{metric} in {:?}", sink.metrics());
    }
}
