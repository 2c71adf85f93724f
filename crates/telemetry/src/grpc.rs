//! The server side of an rpc: a span that continues the caller's trace, its status, its metrics.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::Code;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

use crate::{metrics, names, propagation};

/// A tower layer around gRPC servers, in process or on a port: one span per rpc, from the request to the last frame of
/// the answer, with `rpc.system`, `rpc.service`, `rpc.method`, `rpc.grpc.status_code` and `request_id`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcServerLayer;

impl<S> Layer<S> for GrpcServerLayer {
    type Service = GrpcServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcServerService { inner }
    }
}

/// Response extension: refused before it was known whether such an rpc exists. Its name is then the caller's
/// invention and does not become a metric label.
#[derive(Clone, Copy, Debug)]
pub struct Unrouted;

/// What [`GrpcServerLayer`] makes.
#[derive(Clone, Debug)]
pub struct GrpcServerService<S> {
    inner: S,
}

impl<S, B, A> Service<Request<B>> for GrpcServerService<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
    A: Body<Data = Bytes> + Send + 'static,
    A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<tonic::body::Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut call = Call::begin(request.uri().path(), request.headers());
        let span = call.span.clone();
        let answer = span.in_scope(|| self.inner.call(request)).instrument(span);
        Box::pin(async move {
            let response = answer.await?;
            call.unrouted = response.extensions().get::<Unrouted>().is_some();
            // An rpc that fails at once has its status here and no body.
            if let Some(code) = status(response.headers()) {
                call.end(code);
                return Ok(response.map(tonic::body::Body::new));
            }
            Ok(response.map(|body| tonic::body::Body::new(Observed { body: Box::pin(body), call: Some(call) })))
        })
    }
}

struct Call {
    span: Span,
    service: String,
    method: String,
    begun: Instant,
    unrouted: bool,
}

impl Call {
    fn begin(path: &str, headers: &HeaderMap) -> Self {
        let (service, method) = rpc_name(path);
        let span = tracing::info_span!(
            names::RPC,
            otel.name = %format_args!("{service}/{method}"),
            otel.kind = "server",
            otel.status_code = field::Empty,
            rpc.system = "grpc",
            rpc.service = service,
            rpc.method = method,
            rpc.grpc.status_code = field::Empty,
            request_id = field::Empty,
        );
        if let Some(id) = propagation::request_id(headers) {
            span.record("request_id", id);
        }
        propagation::set_parent(&span, headers);
        Self { span, service: service.to_owned(), method: method.to_owned(), begun: Instant::now(), unrouted: false }
    }

    fn end(&self, code: Code) {
        let elapsed = self.begun.elapsed();
        self.span.record("rpc.grpc.status_code", i32::from(code));
        let ours = matches!(code, Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable);
        self.span.in_scope(|| {
            let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
            if ours {
                self.span.record("otel.status_code", "ERROR");
                tracing::error!(?code, elapsed_us = micros, "rpc failed");
            } else {
                tracing::debug!(?code, elapsed_us = micros, "rpc");
            }
        });
        let unknown = self.unrouted || code == Code::Unimplemented;
        let (service, method) = if unknown { (names::OTHER, names::OTHER) } else { (&*self.service, &*self.method) };
        metrics::record_rpc(service, method, code, elapsed);
    }
}

/// `/package.Service/Method` in its parts; what is shaped otherwise is nobody's rpc and is not repeated.
fn rpc_name(path: &str) -> (&str, &str) {
    let plain = |text: &str| {
        (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'))
    };
    match path.strip_prefix('/').and_then(|path| path.split_once('/')) {
        Some((service, method)) if plain(service) && plain(method) => (service, method),
        _ => (names::OTHER, names::OTHER),
    }
}

fn status(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

/// The answer's body. Its end is the end of the rpc: the status of what did not fail at once is in the trailers.
struct Observed<A> {
    body: Pin<Box<A>>,
    call: Option<Call>,
}

impl<A: Body<Data = Bytes>> Body for Observed<A> {
    type Data = Bytes;
    type Error = A::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, A::Error>>> {
        let this = &mut *self;
        let entered = this.call.as_ref().map(|call| call.span.enter());
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        drop(entered);
        let code = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().map(|trailers| status(trailers).unwrap_or(Code::Unknown)),
            Some(Err(_)) => Some(Code::Unknown),
            None => Some(Code::Ok),
        };
        if let Some(code) = code
            && let Some(call) = this.call.take()
        {
            call.end(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<A> Drop for Observed<A> {
    fn drop(&mut self) {
        // The caller went away before the trailers.
        if let Some(call) = self.call.take() {
            call.end(Code::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rpc_name;

    #[test]
    fn only_what_looks_like_an_rpc_is_named() {
        assert_eq!(rpc_name("/rollcall.token.v1.TokenService/Verify"), ("rollcall.token.v1.TokenService", "Verify"));
        for path in ["/", "", "/a", "/a/b/c", "/a/jane@example.com", "//", "/a/"] {
            assert_eq!(rpc_name(path), ("_OTHER", "_OTHER"), "{path}");
        }
    }
}
