//! The gRPC listener: which services it has, who may call them, how it lives and ends.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use futures::{Stream, stream};
use http::{Request, Response, header::AUTHORIZATION};
use telemetry::{GrpcServerLayer, Unrouted};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Status, body::Body, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::{Layer, Service};
use wire::{
    Reason, Refusal,
    identity::{identity_service_server, organization_service_server},
    token::token_service_server,
};

use crate::{compose::Services, credential::CredentialDigest};

/// How often health follows what the services say of themselves.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// Serves until `shutdown`, then lets calls end.
pub(crate) async fn serve(
    listener: TcpListener,
    services: Services,
    credential: CredentialDigest,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("the descriptors for gRPC reflection cannot be read")?;
    let routes = services.routes().add_service(health).add_service(reflection).prepare();
    let watching = tokio::spawn(report_health(reporter, services));
    let result = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .tcp_keepalive(Some(Duration::from_secs(60)))
        .http2_adaptive_window(Some(true))
        // A gateway sends all its calls over one connection.
        .max_concurrent_streams(1024)
        .layer(GrpcServerLayer)
        .layer(CredentialLayer(credential))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming(listener), shutdown)
        .await;
    watching.abort();
    result.context("the gRPC listener failed")
}

/// Never yields an error: one that is passed on would be tried again at once, which for lack of file descriptors is a
/// busy loop.
fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> {
    stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => {
                    let _ = connection.set_nodelay(true);
                    return Some((Ok(connection), listener));
                }
                Err(error) => {
                    tracing::warn!(%error, "a gRPC connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    })
}

async fn report_health(reporter: HealthReporter, services: Services) {
    loop {
        if let Some(service) = &services.identity {
            let status = serving(service.ready().await);
            reporter.set_service_status(identity_service_server::SERVICE_NAME, status).await;
            reporter.set_service_status(organization_service_server::SERVICE_NAME, status).await;
        }
        if let Some(service) = &services.token {
            let status = serving(service.ready().await);
            reporter.set_service_status(token_service_server::SERVICE_NAME, status).await;
        }
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
}

fn serving(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// Lets a call through that shows the credential, or that asks for health.
#[derive(Clone, Copy)]
struct CredentialLayer(CredentialDigest);

impl<S> Layer<S> for CredentialLayer {
    type Service = Credentialed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Credentialed { inner, digest: self.0 }
    }
}

#[derive(Clone)]
struct Credentialed<S> {
    inner: S,
    digest: CredentialDigest,
}

impl<S> Credentialed<S> {
    fn admits<B>(&self, request: &Request<B>) -> bool {
        if request.uri().path().starts_with("/grpc.health.v1.Health/") {
            return true;
        }
        let mut given = request.headers().get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return false };
        let bearer = value.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        bearer.is_some_and(|(_, secret)| self.digest.matches(secret))
    }
}

impl<S, B> Service<Request<B>> for Credentialed<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.admits(&request) {
            return Box::pin(self.inner.call(request));
        }
        let refusal = Refusal::new(
            Reason::CredentialInvalid,
            "This call needs the header `authorization: Bearer ...` with the server's admin credential.",
        );
        let mut response = Status::from(refusal).into_http();
        response.extensions_mut().insert(Unrouted);
        Box::pin(std::future::ready(Ok(response)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An accept loop that ends or spins on errors is a denial of service (CVE-2024-47609).
    #[tokio::test]
    async fn connections_are_accepted_after_one_was_reset() {
        use futures::StreamExt as _;

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let mut accepted = std::pin::pin!(incoming(listener));
        for _ in 0..3 {
            let client = TcpStream::connect(address).await.expect("connected");
            drop(client);
            accepted.next().await.expect("a connection").expect("no error");
        }
    }
}
