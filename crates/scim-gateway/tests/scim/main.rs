//! The gateway over HTTP with both services behind it in this process, on SQLite. What is unit-tested in `src` (media
//! types, limits, the accept loop) is not repeated here.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod access;
mod bad_input;
mod bulk;
mod discovery;
mod groups;
mod harness;
mod idempotency;
mod log;
mod pagination;
mod races;
mod schemas;
mod search;
mod socket;
mod users;
