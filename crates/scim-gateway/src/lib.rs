//! The REST edge: SCIM 2.0 over HTTP (RFC 7644) to the gRPC services.
//!
//! A request passes `edge` (request id, span, deadline, panics), then `auth` (token, SCIM switch, rate limit),
//! then its handler in `routes`, which makes one call and renders the answer.
//!
//! Not here: what a SCIM value means (the `scim` crate), data and its rules (identity-service), tokens (token-service),
//! TLS (a proxy in front).

mod auth;
mod clients;
mod edge;
mod error;
mod extract;
mod gateway;
mod limits;
mod negotiate;
mod reply;
mod router;
mod routes;
mod serve;

use std::{sync::Arc, time::Duration};

pub use router::router;
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
}

impl Config {
    /// Defaults: 100 requests a second for each organization, 30 seconds for each request.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            default_requests_per_second: 100,
            request_timeout: Duration::from_secs(30),
        }
    }
}
