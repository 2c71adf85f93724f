//! The gateway over HTTP with both services behind it in this process, on SQLite. What is unit-tested in `src` (media
//! types, limits, the accept loop) is not repeated here.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod access;
mod admission;
mod bad_input;
mod bulk;
mod discovery;
mod groups;
#[expect(dead_code, reason = "the other suites use the rest")]
mod harness;
mod idempotency;
mod log;
mod oauth;
mod pagination;
mod races;
mod rotation;
mod schemas;
mod scopes;
mod search;
mod socket;
mod tokens;
mod users;
