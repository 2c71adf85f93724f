//! The connection that is SQLite or PostgreSQL at run time.
#![expect(missing_docs, reason = "the derive writes public items without documentation")]

use diesel::{
    PgConnection, QueryResult, SqliteConnection,
    connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager as _},
};
use uuid::Uuid;

use crate::{Error, Failure, tenant::Tenant};

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

    /// Begins a transaction of a tenant, in one message. On SQLite it is one like all others.
    pub(crate) fn begin_of(&mut self, tenant: Tenant) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => AnsiTransactionManager::begin_transaction(connection)?,
            Self::Postgres(connection) => {
                AnsiTransactionManager::begin_transaction_sql(connection, &format!("BEGIN; {}", tenant.set()))?;
            }
        }
        Ok(())
    }

    /// From here on its transaction writes rows of this tenant: for one transaction about several, which
    /// [`Db::across`](crate::Db::across) began.
    ///
    /// # Errors
    /// The database's.
    pub fn enter(&mut self, tenant: impl Into<Uuid>) -> QueryResult<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(connection) => connection.batch_execute(&Tenant::One(tenant.into()).set()),
        }
    }

    /// Runs reads in a transaction that sees the database as it is at the first of them.
    pub(crate) fn snapshot<T, E>(
        &mut self,
        tenant: Option<Tenant>,
        f: &impl Fn(&mut Self) -> Result<T, Failure<E>>,
    ) -> Result<T, Failure<E>> {
        let begun = match self {
            Self::Sqlite(connection) => AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN"),
            Self::Postgres(connection) => {
                let mut begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned();
                begin.extend(tenant.map(|tenant| format!("; {}", tenant.set())));
                AnsiTransactionManager::begin_transaction_sql(connection, &begin)
            }
        };
        begun.map_err(Error::from)?;
        let result = f(self);
        // It has nothing to keep, so that what has failed says why.
        let ended = match self {
            Self::Sqlite(connection) => AnsiTransactionManager::rollback_transaction(connection),
            Self::Postgres(connection) => AnsiTransactionManager::rollback_transaction(connection),
        };
        let value = result?;
        ended.map_err(Error::from)?;
        Ok(value)
    }
}
