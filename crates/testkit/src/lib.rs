//! Test only: temporary databases, the binary as processes, a SCIM client, what identity providers send, an OTLP sink.
//!
//! Not here: expectations. Those stand in the tests.

pub mod client;
mod database;
pub mod entra;
pub mod okta;
pub mod otlp;
pub mod process;

pub use database::{
    Column, POSTGRES_VARIABLE, PostgresServer, Schema, Table, TestDatabase, key_without, postgres, postgres_binaries,
    postgres_schema, schema_parity, sqlite, sqlite_schema,
};
