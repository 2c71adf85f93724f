//! The protocol of docs/account-keys.md, in this implementation and against the one for browsers.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod browser;
mod committed;
mod made;
mod protocol;
mod vectors;
