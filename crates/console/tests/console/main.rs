//! The console over its router, with the real services in this process, on SQLite.

mod access;
mod directory;
mod harness;
mod people;
mod provider;
mod scim;
mod sign_in;
