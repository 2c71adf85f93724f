//! Diesel plumbing for two databases: one connection type, pools, transactions, SQL types, clock and ids.
//!
//! Not here: tables, migrations and queries. Each service owns its own.

mod clock;
mod connection;
mod db;
mod error;
mod instrument;
mod migrate;
mod pool;
mod postgres;
mod sqlite;
mod tenant;
mod types;
mod urgency;
mod url;
mod writer;

pub use clock::{Clock, Ids, Random};
pub use connection::{AnyConnection, Backend, MultiBackend, MultiRawValue};
pub use db::{Config, Db};
pub use error::{Error, Failure, Outage};
pub use tenant::Scoped;
pub use types::{Instant, JsonText, sql_types};
pub use urgency::urgently_if;

/// What [`typed_id!`] expands to; nothing to call by hand.
#[doc(hidden)]
pub mod macro_support {
    pub use diesel;
    pub use uuid::Uuid;

    pub use crate::types::{id_from_postgres, id_from_sqlite, id_to_postgres, id_to_sqlite};
}
