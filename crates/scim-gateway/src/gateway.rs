//! What all requests share, and what one request knows of itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::FromRequestParts;
use http::request::Parts;
use ipnet::IpNet;
use moka::future::Cache;
use scim::schema::Types;
use tokio::task::JoinSet;
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
    limits::{Lane, Limiter, Place, Refused},
    lookups::Lookups,
    oauth::{self, KeySets},
    provisioning_log::{Log, Trail},
    revocations::Revoked,
    room::Room,
    scopes::Scopes,
    uses::Uses,
};

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Shared>);

pub(crate) struct Shared {
    /// Where all of this server is, without a slash at the end; the issuer of OAuth.
    pub(crate) public_url: String,
    /// The SCIM base URL, without a slash at the end.
    pub(crate) base_url: String,
    pub(crate) request_timeout: Duration,
    pub(crate) refusal_pause: Duration,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) clients: Clients,
    pub(crate) verifier: Verifier,
    pub(crate) limiter: Limiter,
    /// Of each OAuth client's credential.
    pub(crate) oauth_limiter: Limiter,
    pub(crate) uses: Uses,
    pub(crate) log: Log,
    /// Whose signatures OAuth clients' assertions have.
    pub(crate) key_sets: KeySets,
    pub(crate) clock: Clock,
    room: Room,
    /// Each organization's part of it.
    rooms: Cache<Arc<str>, Room>,
    /// What goes on beside requests; ends with the gateway.
    _background: JoinSet<()>,
}

impl std::ops::Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Gateway {
    /// On a Tokio runtime, which runs what goes on beside requests.
    pub(crate) fn new(config: &Config, identity: Transport, token: Transport, clock: Clock) -> Self {
        let clients = Clients::new(identity, token);
        let public_url = config.public_url.trim_end_matches('/').to_owned();
        let (revoked, uses, lookups, log) = (Revoked::new(), Uses::default(), Lookups::default(), Log::default());
        let mut background = JoinSet::new();
        background.spawn(revoked.clone().watch(clients.clone()));
        background.spawn(lookups.clone().ask(clients.clone()));
        background.spawn(uses.clone().report(clients.clone()));
        background.spawn(log.clone().report(clients.clone()));
        Self(Arc::new(Shared {
            base_url: format!("{public_url}/scim/v2"),
            public_url,
            key_sets: KeySets::new(config.oauth_loopback_jwks),
            request_timeout: config.request_timeout,
            refusal_pause: config.refusal_pause,
            trusted_proxies: config.trusted_proxies.clone(),
            verifier: Verifier::new(clients.clone(), Arc::clone(&clock), revoked, lookups),
            clients,
            limiter: Limiter::new(config.default_requests_per_second),
            oauth_limiter: Limiter::new(config.default_requests_per_second.min(oauth::REQUESTS_PER_SECOND)),
            uses,
            log,
            clock,
            room: Room::new(),
            rooms: Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(600)).build(),
            _background: background,
        }))
    }

    /// An organization's part of the memory for large bodies.
    pub(crate) async fn room(&self, organization: &Arc<str>) -> Room {
        self.rooms.get_with_by_ref(organization, async { self.room.of_another() }).await
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
    /// The token's id, or that of the OAuth grant it was issued for.
    pub(crate) token_id: Arc<str>,
    pub(crate) scopes: Scopes,
    pub(crate) request_id: Arc<str>,
    pub(crate) room: Room,
    /// The organization's own limit, if it has one.
    pub(crate) requests_per_second: Option<u32>,
    pub(crate) deadline: Instant,
    /// Whether OAuth is part of the organization's plan.
    pub(crate) oauth: bool,
    /// The organization's resource types, with the schemas it added.
    pub(crate) types: Arc<Types>,
    pub(crate) trail: Trail,
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
            kind: Some(Kind::ScimClient(ScimClient {
                token_id: self.token_id.to_string(),
                entry_id: self.trail.entry_id(),
            })),
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

    /// Takes this request from a budget of the organization's and gives it a place to be held while it is at work, or
    /// refuses it with 429.
    pub(crate) async fn admit(&self, lane: Lane) -> Result<Place> {
        let limiter = &self.gateway.limiter;
        limiter.admit(&self.organization, self.requests_per_second, lane).await.map_err(refused)
    }

    /// A place for the rest of an answer that is already under way.
    pub(crate) async fn resume(&self, patience: Duration) -> Result<Place> {
        let limiter = &self.gateway.limiter;
        limiter.resume(&self.organization, self.requests_per_second, patience).await.map_err(refused)
    }
}

fn refused(refused: Refused) -> Failure {
    match refused {
        Refused::Spent(seconds) => Failure::too_many_requests(
            format!(
                "Your organization has used up its requests for now. Send this one again after {seconds} s, as \
                 Retry-After says. An administrator can change the limit: rollcall org limit."
            ),
            seconds,
        ),
        Refused::Crowded => Failure::too_many_requests(
            "Your organization has too many requests at work at once. Send this one again in a second, and fewer at a \
             time.",
            1,
        ),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        // Absent only on a route outside of the authenticated router: a mistake of ours that must not let anyone in.
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::internal)
    }
}
