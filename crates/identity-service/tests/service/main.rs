//! The service through its gRPC client, each test on both databases.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod accounts;
mod accounts_client;
mod accounts_keys;
mod accounts_mail;
mod accounts_org;
mod accounts_structure;
mod admins;
mod agents;
mod concurrency;
mod cost;
mod deletions;
mod events;
mod filters;
mod groups;
mod holds;
mod idempotency;
mod isolation;
mod keys;
mod lists;
mod mail;
mod members;
mod organizations;
mod pagination;
mod plans;
mod request_log;
mod schema;
mod schemas;
mod sessions;
mod sign_in;
mod statements;
mod users;
mod world;
