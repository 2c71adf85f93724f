//! testkit

mod database;
pub mod otlp;

pub use database::{
    Column, POSTGRES_VARIABLE, PostgresServer, Schema, Table, TestDatabase, key_without, postgres, postgres_binaries,
    postgres_schema, schema_parity, sqlite, sqlite_schema,
};
