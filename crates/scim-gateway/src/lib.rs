//! The REST edge: SCIM 2.0 over HTTP (RFC 7644) to the gRPC services.
//!
//! A request passes `edge` (request id, span, deadline, panics), then `auth` (token, SCIM switch, rate limit),
//! then `scopes`, then its handler in `routes`, which makes one call and renders the answer.
//!
//! `oauth` answers OAuth 2.0 beside it, in OAuth's own words; the console's pages may stand beside both (`router_with`).
//!
//! Not here: what a SCIM value means (the `scim` crate), data and its rules (identity-service), tokens (token-service),
//! TLS (a proxy in front).

mod auth;
mod client_address;
mod clients;
mod connections;
mod edge;
mod error;
mod extract;
mod gateway;
mod limits;
mod lookups;
mod negotiate;
mod oauth;
mod provisioning_log;
mod refusals;
mod remainder;
mod reply;
mod revocations;
mod room;
mod router;
mod routes;
mod scopes;
mod serve;
mod unreadable;
mod uses;

use std::{sync::Arc, time::Duration};

pub use connections::{Addresses, Entered};
pub use ipnet::IpNet;
pub use refusals::{Crowded, LookUp, Refusals, Turn};
pub use remainder::Remainder;
pub use router::{router, router_with, scim_paths};
pub use serve::serve;

/// The wall clock, as a parameter: UTC.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// The largest body of a request about users, bytes.
pub const MAX_USER_BODY: usize = 1024 * 1024;
/// The largest body of a request about groups, bytes: some 300,000 members as Okta sends them.
pub const MAX_GROUP_BODY: usize = 16 * 1024 * 1024;

/// How the gateway presents itself and what it takes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients reach this server, such as `https://scim.example.com`. Links are built from it, never from the
    /// `Host` header.
    pub public_url: String,
    /// Requests a second for an organization without a limit of its own; 0: unlimited.
    pub default_requests_per_second: u32,
    /// The time one request may take until its answer begins.
    pub request_timeout: Duration,
    /// How long a 429 takes: whoever sends on without waiting would else be answered as fast as this machine can, at the
    /// price of everybody else.
    pub refusal_pause: Duration,
    /// The proxies whose `X-Forwarded-For` says who the client is.
    pub trusted_proxies: Vec<IpNet>,
    /// For tests and development: the keys of an OAuth client's assertions may be fetched from this machine, without TLS.
    pub oauth_loopback_jwks: bool,
}

impl Config {
    /// Defaults: 100 requests a second for each organization, 30 seconds for each request, 200 ms
    /// for each 429, no proxy trusted.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            default_requests_per_second: 100,
            request_timeout: Duration::from_secs(30),
            refusal_pause: Duration::from_millis(200),
            trusted_proxies: Vec::new(),
            oauth_loopback_jwks: false,
        }
    }
}
