//! What all requests share, and what one request knows of itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::FromRequestParts;
use http::request::Parts;
use scim::schema::Types;
use tokio::sync::Semaphore;
use tonic::Request;
use wire::{
    Transport,
    common::{Caller, ScimClient, caller::Kind},
};

use crate::{
    Clock, Config,
    auth::Verifier,
    clients::Clients,
    error::{Failure, Result},
    extract::LARGE_BODIES,
    limits::{Lane, Limiter},
};

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Shared>);

pub(crate) struct Shared {
    /// The SCIM base URL, without a slash at the end.
    pub(crate) base_url: String,
    pub(crate) request_timeout: Duration,
    pub(crate) clients: Clients,
    pub(crate) verifier: Verifier,
    pub(crate) limiter: Limiter,
    pub(crate) clock: Clock,
    /// Bytes that large bodies may hold together.
    pub(crate) large_bodies: Arc<Semaphore>,
}

impl std::ops::Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Gateway {
    pub(crate) fn new(config: &Config, identity: Transport, token: Transport, clock: Clock) -> Self {
        let clients = Clients::new(identity, token);
        Self(Arc::new(Shared {
            base_url: format!("{}/scim/v2", config.public_url.trim_end_matches('/')),
            request_timeout: config.request_timeout,
            verifier: Verifier::new(clients.clone(), Arc::clone(&clock)),
            clients,
            limiter: Limiter::new(config.default_requests_per_second),
            clock,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
        }))
    }

    /// A call with its request id and its deadline.
    pub(crate) fn call<T>(message: T, request_id: &str, timeout: Duration) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(timeout);
        if let Ok(id) = request_id.parse() {
            request.metadata_mut().insert(telemetry::names::REQUEST_ID_HEADER, id);
        }
        request
    }
}

/// The id that joins an answer, its log lines, its rpcs and its events.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// A request that was let in: for whom, and until when.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) gateway: Gateway,
    pub(crate) organization: Arc<str>,
    pub(crate) token_id: Arc<str>,
    pub(crate) request_id: Arc<str>,
    /// The organization's own limit, if it has one.
    pub(crate) requests_per_second: Option<u32>,
    pub(crate) deadline: Instant,
    /// The organization's resource types, with the schemas it added.
    pub(crate) types: Arc<Types>,
}

impl Session {
    pub(crate) fn base_url(&self) -> &str {
        &self.gateway.base_url
    }

    pub(crate) fn organization_id(&self) -> String {
        self.organization.to_string()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the field of every message is optional")]
    pub(crate) fn caller(&self) -> Option<Caller> {
        Some(Caller {
            kind: Some(Kind::ScimClient(ScimClient { token_id: self.token_id.to_string() })),
            request_id: self.request_id.to_string(),
        })
    }

    /// A call on this client's behalf, which ends when the request must.
    pub(crate) fn call<T>(&self, message: T) -> Request<T> {
        self.call_within(message, self.deadline.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn call_within<T>(&self, message: T, timeout: Duration) -> Request<T> {
        Gateway::call(message, &self.request_id, timeout)
    }

    /// Takes this request from a budget of the organization's, or refuses it with 429.
    pub(crate) async fn admit(&self, lane: Lane) -> Result<()> {
        let limited = self.gateway.limiter.admit(&self.organization, self.requests_per_second, lane).await;
        limited.map_err(|seconds| {
            Failure::too_many_requests(
                format!(
                    "Your organization has used up its requests for now. Send this one again after {seconds} s, as \
                     Retry-After says. An administrator can change the limit: rollcall org limit."
                ),
                seconds,
            )
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        // Absent only on a route outside of the authenticated router: a mistake of ours that must not let anyone in.
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::internal)
    }
}
