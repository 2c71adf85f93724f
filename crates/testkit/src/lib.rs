//! Test only: temporary databases, the binary as processes, a SCIM client, what identity providers send, an OTLP sink, a
//! mail server, the statements that a call sends, a relay that keeps what goes through it.
//!
//! Not here: expectations. Those stand in the tests.

pub mod client;
mod database;
pub mod entra;
pub mod okta;
pub mod otlp;
pub mod process;
pub mod relay;
pub mod smtp;
pub mod statements;

pub use database::{
    Column, POSTGRES_VARIABLE, PostgresServer, Schema, TLS_HOST, Table, TestDatabase, TlsServer, databases, dump,
    execute, files, key_without, lines, postgres, postgres_binaries, postgres_schema, rows, schema_parity, server_log,
    sqlite, sqlite_schema,
};
