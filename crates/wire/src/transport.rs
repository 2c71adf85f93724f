//! One client transport for both forms of deployment.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use tonic::{body::Body, transport::Channel};
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

/// Why a call did not reach its service.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(String);

impl TransportError {
    /// From any error, with what it came from: tonic's own says no more than "transport error".
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        let causes = std::iter::successors(Some(&*error as &dyn Error), |&cause| cause.source());
        Self(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

/// The bearer credential of a gRPC caller. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct Credential(HeaderValue);

impl Credential {
    /// `None` where the text cannot stand in a header.
    pub fn new(secret: &str) -> Option<Self> {
        let mut value = HeaderValue::try_from(format!("Bearer {secret}")).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// A cheap handle that generated clients are built on: `IdentityServiceClient::new(transport)`.
#[derive(Clone)]
pub struct Transport(BoxCloneSyncService<Request<Body>, Response<Body>, TransportError>);

impl Transport {
    /// Calls a service in this process: the same encoding, status and metadata, no socket.
    pub fn in_process<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(service.map_err(|never| match never {})))
    }

    /// Calls over HTTP/2, with the credential on every request.
    pub fn network(channel: Channel, credential: Credential) -> Self {
        let service = channel.map_err(TransportError::new).map_request(move |mut request: Request<Body>| {
            request.headers_mut().insert(AUTHORIZATION, credential.0.clone());
            request
        });
        Self(BoxCloneSyncService::new(service))
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.call(request))
    }
}
