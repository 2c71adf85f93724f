//! An OTLP collector for tests: keeps every span, metric and log record it is sent.

#![expect(clippy::expect_used, reason = "a test tool that cannot start must stop the test")]

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
};
use prost::Message;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// One exported span.
#[derive(Clone, Debug)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// 16 hexadecimal digits; empty for a root.
    pub parent_id: String,
    /// As `otel.name` or the span's own name.
    pub name: String,
    /// `service.name` of the process that made it.
    pub service: String,
    /// Values as text.
    pub attributes: BTreeMap<String, String>,
}

/// One exported log record.
#[derive(Clone, Debug)]
pub struct Log {
    /// 32 hexadecimal digits; empty outside of a trace.
    pub trace_id: String,
    /// The message.
    pub body: String,
    /// Values as text.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    logs: Vec<Log>,
    metrics: Vec<String>,
    /// Everything, printed: what a search for a secret goes through.
    text: String,
    /// Everything, as it came over the wire.
    bytes: Vec<u8>,
    exports: usize,
}

impl Received {
    fn keep(&mut self, request: &(impl Message + std::fmt::Debug)) {
        self.exports += 1;
        let _ = writeln!(self.text, "{request:?}");
        self.bytes.extend(request.encode_to_vec());
    }
}

/// A running collector on a port of its own. It stops with the runtime that started it.
#[derive(Clone)]
pub struct Sink {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl Sink {
    /// Starts it.
    ///
    /// # Panics
    /// When no port can be bound.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let sink = Self { address, received: Arc::default() };
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(sink.clone()))
            .add_service(MetricsServiceServer::new(sink.clone()))
            .add_service(LogsServiceServer::new(sink.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        sink
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.lock().spans.clone()
    }

    /// The log records so far.
    pub fn logs(&self) -> Vec<Log> {
        self.lock().logs.clone()
    }

    /// The names of the metrics so far, each once.
    pub fn metrics(&self) -> Vec<String> {
        self.lock().metrics.clone()
    }

    /// Everything received, printed, for searching.
    pub fn text(&self) -> String {
        self.lock().text.clone()
    }

    /// Everything received, encoded as it came, for searching.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// How many export calls were received.
    pub fn exports(&self) -> usize {
        self.lock().exports
    }

    /// Waits until the spans satisfy `enough`, ten seconds at most, and returns them as they then are.
    pub async fn spans_when(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        for _ in 0..200 {
            let spans = self.spans();
            if enough(&spans) {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.spans()
    }

    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The spans of one trace as an indented outline of their names, siblings sorted. More than one line without
/// indentation: not one tree.
pub fn outline(spans: &[Span]) -> String {
    let known: HashMap<&str, &Span> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let mut children: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        let parent = if known.contains_key(span.parent_id.as_str()) { span.parent_id.as_str() } else { "" };
        children.entry(parent).or_default().push(span);
    }
    let mut out = String::new();
    write_children("", 0, &children, &mut out);
    out
}

fn write_children(parent: &str, depth: usize, children: &BTreeMap<&str, Vec<&Span>>, out: &mut String) {
    let mut below = children.get(parent).cloned().unwrap_or_default();
    below.sort_by(|a, b| a.name.cmp(&b.name));
    for span in below {
        let _ = writeln!(out, "{:indent$}{}", "", span.name, indent = depth * 2);
        write_children(&span.span_id, depth + 1, children, out);
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let mut received = self.lock();
        received.keep(&request);
        for resource in request.resource_spans {
            let resource_attributes = attributes(&resource.resource.unwrap_or_default().attributes);
            let service = resource_attributes.get("service.name").cloned().unwrap_or_default();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                received.spans.push(Span {
                    trace_id: hex(&span.trace_id),
                    span_id: hex(&span.span_id),
                    parent_id: hex(&span.parent_span_id),
                    name: span.name,
                    service: service.clone(),
                    attributes: attributes(&span.attributes),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let request = request.into_inner();
        let mut received = self.lock();
        received.keep(&request);
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            if !received.metrics.contains(&metric.name) {
                received.metrics.push(metric.name);
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Sink {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let request = request.into_inner();
        let mut received = self.lock();
        received.keep(&request);
        let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        for record in scopes.flat_map(|scope| scope.log_records) {
            received.logs.push(Log {
                trace_id: hex(&record.trace_id),
                body: record.body.as_ref().map(text).unwrap_or_default(),
                attributes: attributes(&record.attributes),
            });
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    list.iter().map(|kv| (kv.key.clone(), kv.value.as_ref().map(text).unwrap_or_default())).collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
