//! The web console: where an organization's administrators sign in, switch SCIM on, make tokens and see who arrived.
//!
//! A request passes `visit` (request id, deadline, panics, header fields), then `session` (who is signed in), for a change
//! then `guard` (is the form ours, may this role), then its handler in `pages`, which makes a few calls and renders a template.
//! Everything works without script; `assets/console.js` only saves clicks.
//!
//! Not here: administrators, sessions and invitations as data (identity-service), SCIM and OAuth for clients (scim-gateway), the
//! connection, its limits, the request's span and its line in the log (scim-gateway's `serve` and `edge`, beside which
//! `rollcall` puts this router).

mod account;
mod assets;
mod busy;
mod calls;
mod clients;
mod console;
mod cookies;
mod diagnosis;
mod form;
mod guard;
mod page;
mod pages;
mod problem;
mod router;
mod session;
mod sign_in;
mod site;
mod strangers;
mod time;
mod visit;

use std::{sync::Arc, time::Duration};

pub use router::router;

/// The wall clock, as a parameter: UTC.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// Where randomness comes from, as a parameter.
pub type Random = Arc<dyn Fn(&mut [u8; 32]) + Send + Sync>;

/// How the console presents itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where browsers reach this server, such as `https://scim.example.com`. Links are built from it, never from the `Host`
    /// header. Without TLS the console is there for a loopback address alone.
    pub public_url: String,
    /// The time one request may take. Less than what is around it allows: its answer is a page, too.
    pub request_timeout: Duration,
}

impl Config {
    /// 20 seconds for each request.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self { public_url: public_url.into(), request_timeout: Duration::from_secs(20) }
    }
}
