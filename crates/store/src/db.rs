//! The handle that services hold.

use std::sync::Arc;

use diesel::r2d2::R2D2Connection as _;
use diesel_migrations::EmbeddedMigrations;
use uuid::Uuid;

use crate::{
    AnyConnection, Backend, Error, Failure,
    postgres::{Mode, Postgres},
    sqlite::Sqlite,
    tenant::{Scoped, Tenant},
    url::{self, Target},
};

/// Where the database is.
#[derive(Clone)]
pub struct Config {
    /// `sqlite:PATH`, `postgres://..` or `postgresql://..`. With `?options=-c%20search_path%3DNAME` two services share one
    /// PostgreSQL database, each in its schema, which is created if it is missing. `pooler=transaction` says that a pooler
    /// between gives each transaction another session, `prepare=off` that it keeps no prepared statements, and
    /// `row_security=reads` that policies hold reads to their tenant, too.
    pub url: String,
    /// PostgreSQL connections of this process, at least 1. Ignored on SQLite.
    pub pool_size: u32,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("pool_size", &self.pool_size).finish_non_exhaustive()
    }
}

/// A database. Clones share it.
///
/// Closures must be re-runnable and have no effect but on the connection: they are run again after a collision or a
/// lost connection. They must pass the store's errors on unchanged for that to work. The current tracing span goes with
/// them.
#[derive(Clone, Debug)]
pub struct Db(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Db {
    /// Opens the database, creates the SQLite file (mode 0600) or the PostgreSQL schema if missing, and runs the
    /// migrations of its kind. A newer schema is accepted where all its migrations say that this program may work with them.
    ///
    /// # Errors
    /// [`Error::Other`] with what to do, for a URL of another scheme, a missing directory, a failing migration, or a schema
    /// that is too new; [`Error::Unavailable`] if the server cannot be reached.
    pub async fn open(
        config: &Config,
        sqlite: EmbeddedMigrations,
        postgres: EmbeddedMigrations,
    ) -> Result<Self, Error> {
        let target = url::parse(&config.url)?;
        let pool_size = config.pool_size;
        let opened = tokio::task::spawn_blocking(move || match target {
            Target::Sqlite(path) => Sqlite::open(&path, sqlite).map(Inner::Sqlite),
            Target::Postgres(server) => Postgres::open(server, pool_size, &postgres).map(Inner::Postgres),
        });
        let inner =
            opened.await.map_err(|_| Error::Other("opening the database panicked, see the log".to_owned()))??;
        Ok(Self(Arc::new(inner)))
    }

    /// Which database it is.
    pub fn backend(&self) -> Backend {
        match &*self.0 {
            Inner::Sqlite(_) => Backend::Sqlite,
            Inner::Postgres(_) => Backend::Postgres,
        }
    }

    /// For units of work on the rows of one tenant.
    pub fn of(&self, tenant: impl Into<Uuid>) -> Scoped<'_> {
        Scoped { db: self, tenant: Tenant::One(tenant.into()) }
    }

    /// For finding out across all tenants which of them a task is about. It writes nothing: what is to be done for one of
    /// them goes through [`Db::of`], or through [`AnyConnection::enter`] where it has to be one transaction.
    pub fn across(&self) -> Scoped<'_> {
        Scoped { db: self, tenant: Tenant::All }
    }

    pub(crate) fn postgres(&self) -> Option<&Postgres> {
        match &*self.0 {
            Inner::Sqlite(_) => None,
            Inner::Postgres(postgres) => Some(postgres),
        }
    }

    /// Where reads are held to their tenant as well.
    pub(crate) fn scoped_reads(&self) -> Option<&Postgres> {
        self.postgres().filter(|postgres| postgres.scoped_reads())
    }

    /// A few reads by a unique key. On SQLite they run on the calling thread, so they must take microseconds.
    ///
    /// # Errors
    /// The closure's, and [`Error::Busy`] or [`Error::Unavailable`] if there is no connection within two seconds.
    pub async fn seek<T, E, F>(&self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match &*self.0 {
            Inner::Sqlite(sqlite) => sqlite.seek(f).await,
            Inner::Postgres(postgres) => postgres.run(Mode::Read, f).await,
        }
    }

    /// Scans and pages, on a blocking thread. Several statements may see different states.
    ///
    /// # Errors
    /// As [`Db::seek`].
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match &*self.0 {
            Inner::Sqlite(sqlite) => sqlite.read(f).await,
            Inner::Postgres(postgres) => postgres.run(Mode::Read, f).await,
        }
    }

    /// Pages of which all statements see the same state, for answers that show one thing by two statements. Costs
    /// PostgreSQL two more round trips than [`Db::read`].
    ///
    /// # Errors
    /// As [`Db::seek`].
    pub async fn snapshot<T, E, F>(&self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.read(move |connection| connection.snapshot(None, &f)).await
    }

    /// One transaction, READ COMMITTED on PostgreSQL. Any error of the closure rolls it back. On SQLite it shares its
    /// COMMIT with others, and a refused one undoes only itself.
    ///
    /// # Errors
    /// As [`Db::seek`]; [`Error::Serialization`] after ten collisions; an [`Error::Unavailable`] whose
    /// [`outcome_unknown`](crate::Outage::outcome_unknown) may have been committed.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match &*self.0 {
            Inner::Sqlite(sqlite) => sqlite.writer().run(f).await,
            Inner::Postgres(postgres) => postgres.run(Mode::Transaction(None), f).await,
        }
    }

    /// Exactly one statement: its own transaction on PostgreSQL, without the round trips of BEGIN and COMMIT. A second
    /// statement in the closure would not be atomic with the first.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write_one<T, E, F>(&self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match &*self.0 {
            Inner::Sqlite(sqlite) => sqlite.writer().run(f).await,
            Inner::Postgres(postgres) => postgres.run(Mode::Statement, f).await,
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What keeps it from answering.
    pub async fn ping(&self) -> Result<(), Error> {
        let asked = self.read(|connection| Ok::<_, Failure<std::convert::Infallible>>(connection.ping()?)).await;
        asked.map_err(|failure| match failure {
            Failure::Store(error) => error,
            Failure::Refused(never) => match never {},
        })
    }
}
