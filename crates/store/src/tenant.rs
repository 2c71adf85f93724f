//! Whose rows a unit of work may write. PostgreSQL holds every write to it by row-level security (ADR 16); on SQLite the
//! tenant's id in the statements is all there is.
//!
//! Not here: the policies. Each service's migrations make them for its tables.

use uuid::Uuid;

use crate::{AnyConnection, Db, Failure};

/// Whose rows they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenant {
    One(Uuid),
    All,
}

impl Tenant {
    /// Said at the begin of a transaction, and forgotten at its end: a session has no state.
    pub(crate) fn set(self) -> String {
        match self {
            Self::One(id) => format!("SET LOCAL rollcall.org = '{id}'"),
            Self::All => "SET LOCAL rollcall.across = 'on'".to_owned(),
        }
    }
}

/// A database for units of work on the rows of one tenant; or, where it is asked for, for reading those of all.
#[derive(Clone, Copy, Debug)]
pub struct Scoped<'a> {
    pub(crate) db: &'a Db,
    pub(crate) tenant: Tenant,
}

impl Scoped<'_> {
    /// As [`Db::seek`].
    ///
    /// # Errors
    /// As [`Db::seek`].
    pub async fn seek<T, E, F>(self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match self.db.scoped_reads() {
            Some(postgres) => postgres.transaction(self.tenant, f).await,
            None => self.db.seek(f).await,
        }
    }

    /// As [`Db::read`].
    ///
    /// # Errors
    /// As [`Db::seek`].
    pub async fn read<T, E, F>(self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match self.db.scoped_reads() {
            Some(postgres) => postgres.transaction(self.tenant, f).await,
            None => self.db.read(f).await,
        }
    }

    /// As [`Db::snapshot`].
    ///
    /// # Errors
    /// As [`Db::seek`].
    pub async fn snapshot<T, E, F>(self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let tenant = self.db.scoped_reads().map(|_| self.tenant);
        self.db.read(move |connection| connection.snapshot(tenant, &f)).await
    }

    /// As [`Db::write`]. What it writes of another tenant PostgreSQL refuses, or does not find.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write<T, E, F>(self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match self.db.postgres() {
            Some(postgres) => postgres.transaction(self.tenant, f).await,
            None => self.db.write(f).await,
        }
    }
}
