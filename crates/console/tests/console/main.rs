//! The console over its router, with the real services in this process, on SQLite.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod access;
mod agents;
mod assistant;
mod beside;
mod directory;
mod harness;
mod history;
mod people;
mod provider;
mod safety;
mod scim;
mod sign_in;
mod watching;
