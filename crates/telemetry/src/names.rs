//! Names of spans, their fields and metrics. Fields follow the OpenTelemetry semantic conventions for HTTP and RPC.

/// Span: one HTTP request at the gateway.
pub const HTTP_REQUEST: &str = "http.request";
/// Span: one rpc as its server sees it.
pub const RPC: &str = "rpc";
/// Span: one database statement.
pub const DB_QUERY: &str = "db.query";

/// Metadata key and HTTP header under which the request id travels.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// Counter: HTTP requests answered.
pub const HTTP_REQUESTS: &str = "rollcall.http.requests";
/// Histogram, seconds: HTTP requests answered.
pub const HTTP_DURATION: &str = "http.server.request.duration";
/// Counter: rpcs answered.
pub const RPC_REQUESTS: &str = "rollcall.rpc.requests";
/// Histogram, seconds: rpcs answered.
pub const RPC_DURATION: &str = "rpc.server.call.duration";

/// What stands in for a method, route or service that a client made up, so that labels stay few.
pub const OTHER: &str = "_OTHER";
