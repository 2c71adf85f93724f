//! W3C trace context out of and into HTTP headers and gRPC metadata.

use http::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::metadata::{AsciiMetadataKey, MetadataMap};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::names::REQUEST_ID_HEADER;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    /// Not `tracestate`: it is any text of the caller's, and would be exported with each span.
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).filter(|_| key == "traceparent").and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct Metadata<'a>(&'a mut MetadataMap);

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (AsciiMetadataKey::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(key, value);
        }
    }
}

/// A tonic interceptor: writes the current span's `traceparent` into the request's metadata. Writes nothing where no trace
/// is recorded. Never refuses.
pub fn inject(mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
    let context = tracing::Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut Metadata(request.metadata_mut()));
    Ok(request)
}

/// Makes `span` a child of the trace that `headers` name, if they name one. Call it before the span is entered: later
/// it has no effect.
pub fn set_parent(span: &tracing::Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&Headers(headers));
    if context.span().span_context().is_valid() && span.set_parent(context).is_err() {
        tracing::trace!("no trace is recorded, so the caller's is not continued");
    }
}

/// The caller's own request id, where it is short and plain enough to be logged as it is, and no credential of ours
/// that was pasted into the wrong field.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let plain = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(byte);
    let credential = |id: &&str| id.get(..3).is_some_and(|prefix| prefix.eq_ignore_ascii_case("rc_"));
    let id = headers.get(REQUEST_ID_HEADER)?.to_str().ok()?;
    Some(id).filter(|id| plain(id) && !credential(id))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_plain_id_is_kept_and_no_credential() {
        let kept = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID_HEADER, HeaderValue::from_static(value));
            request_id(&headers).is_some()
        };
        for id in ["req-1.A_b", "r", "rc", "01a21870-ca3b-790a-80c7-65ff62acb1e1"] {
            assert!(kept(id), "{id}");
        }
        for id in ["", "a b", "a\"b", "a/b", "kit@example.com", "rc_scim_abc", "RC_admin_abc", "rc_"] {
            assert!(!kept(id), "{id}");
        }
        assert!(request_id(&HeaderMap::new()).is_none());
    }

    #[test]
    fn nothing_but_the_trace_is_taken_over() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("tracestate", "vendor=kit.at.example"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let context = TraceContextPropagator::new().extract(&Headers(&headers));
        assert!(context.span().span_context().is_valid());
        assert_eq!(context.span().span_context().trace_state().header(), "");
    }
}
