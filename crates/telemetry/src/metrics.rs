//! Requests counted and timed. Labels are bounded: route templates, known methods, status codes.

use std::{sync::LazyLock, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram},
};

use crate::names;

/// The boundaries that the semantic conventions advise, seconds; the SDK's defaults are meant for milliseconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

struct Instruments {
    http_requests: Counter<u64>,
    http_duration: Histogram<f64>,
    rpc_requests: Counter<u64>,
    rpc_duration: Histogram<f64>,
}

// Made at the first request, which is after `init` has set the provider.
static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = global::meter("rollcall");
    let seconds = |name| meter.f64_histogram(name).with_unit("s").with_boundaries(SECONDS.to_vec()).build();
    Instruments {
        http_requests: meter.u64_counter(names::HTTP_REQUESTS).with_description("HTTP requests answered").build(),
        http_duration: seconds(names::HTTP_DURATION),
        rpc_requests: meter.u64_counter(names::RPC_REQUESTS).with_description("rpcs answered").build(),
        rpc_duration: seconds(names::RPC_DURATION),
    }
});

/// Counts one HTTP request. `route` is the template that matched (`/scim/v2/Users/{id}`), `None` where none did;
/// never the path itself, which holds ids and is unbounded.
pub fn record_http(method: &http::Method, route: Option<&str>, status: u16, elapsed: Duration) {
    let attributes = [
        KeyValue::new("http.request.method", known_method(method)),
        KeyValue::new("http.route", route.unwrap_or(names::OTHER).to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ];
    INSTRUMENTS.http_requests.add(1, &attributes);
    INSTRUMENTS.http_duration.record(elapsed.as_secs_f64(), &attributes);
}

/// Counts one rpc. `service` and `method` are those of a served rpc, or [`names::OTHER`].
pub fn record_rpc(service: &str, method: &str, code: tonic::Code, elapsed: Duration) {
    let attributes = [
        KeyValue::new("rpc.system", "grpc"),
        KeyValue::new("rpc.service", service.to_owned()),
        KeyValue::new("rpc.method", method.to_owned()),
        KeyValue::new("rpc.grpc.status_code", i64::from(i32::from(code))),
    ];
    INSTRUMENTS.rpc_requests.add(1, &attributes);
    INSTRUMENTS.rpc_duration.record(elapsed.as_secs_f64(), &attributes);
}

fn known_method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => names::OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::known_method;

    #[test]
    fn a_made_up_method_makes_no_new_label() {
        assert_eq!(known_method(&http::Method::PATCH), "PATCH");
        assert_eq!(known_method(&http::Method::from_bytes(b"PROPFIND").expect("method")), "_OTHER");
    }
}
