//! The connection that is SQLite or PostgreSQL at run time.
#![expect(missing_docs, reason = "the derive writes public items without documentation")]

use diesel::{PgConnection, SqliteConnection};

/// Which database is behind a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// One file, one process.
    Sqlite,
    /// A server, many processes.
    Postgres,
}

impl Backend {
    /// OpenTelemetry's `db.system.name`.
    pub fn system_name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
}

/// Either connection. Queries are written once against [`MultiBackend`]; SQL that differs matches on the variant.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl AnyConnection {
    /// Which database this is.
    pub fn backend(&self) -> Backend {
        match self {
            Self::Sqlite(_) => Backend::Sqlite,
            Self::Postgres(_) => Backend::Postgres,
        }
    }
}
