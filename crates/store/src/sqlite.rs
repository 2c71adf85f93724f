//! SQLite: four readers and one writer on one file.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use diesel::{
    Connection as _, SqliteConnection,
    connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager as _},
};
use diesel_migrations::EmbeddedMigrations;

use crate::{
    AnyConnection, Backend, Error, Failure,
    instrument::{Failed, Statements},
    migrate,
    pool::{Manager, Sessions},
    writer::Writer,
};

/// `busy_timeout` first: without it connections that open at the same time fail on the change to WAL.
const PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA cache_size = -8192; PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 67108864;";

const READERS: u32 = 4;

#[derive(Clone, Debug)]
pub(crate) struct Sqlite {
    readers: Sessions,
    writer: Writer,
}

impl Sqlite {
    /// Creates the file if there is none, and migrates. Blocks.
    pub(crate) fn open(path: &Path, migrations: EmbeddedMigrations) -> Result<Self, Error> {
        create(path)?;
        let Some(name) = path.to_str().map(str::to_owned) else {
            return Err(Error::Other(format!("The SQLite path {} is not UTF-8. Choose another one.", path.display())));
        };
        let mut connection = connect(&name, Failed::default())?;
        AnsiTransactionManager::begin_transaction_sql(&mut connection, "BEGIN IMMEDIATE")?;
        migrate::run(&mut connection, &migrations, "")?;
        AnsiTransactionManager::commit_transaction(&mut connection)?;
        let path = name.clone();
        let writer = Writer::start(AnyConnection::Sqlite(connection), move || {
            connect(&path, Failed::default()).map(AnyConnection::Sqlite)
        })?;
        let manager = Manager::new(move |failed| {
            let mut connection = connect(&name, failed)?;
            connection.batch_execute("PRAGMA query_only = ON")?;
            Ok(AnyConnection::Sqlite(connection))
        });
        Ok(Self { readers: Sessions::new(manager, READERS, READERS, None), writer })
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Runs on this thread if a reader is at hand, else on a blocking one.
    pub(crate) async fn seek<T, E, F>(&self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match self.readers.try_get() {
            Some(mut session) => f(&mut session.connection),
            None => self.read(f).await,
        }
    }

    pub(crate) async fn read<T, E, F>(&self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let readers = self.readers.clone();
        let span = tracing::Span::current();
        let work = tokio::task::spawn_blocking(move || {
            span.in_scope(|| {
                let mut session = readers.get()?;
                f(&mut session.connection)
            })
        });
        work.await.map_err(|_| Error::Other("a database closure panicked, see the log".to_owned()))?
    }
}

/// Only the owner may read the file; SQLite gives its journals the same mode.
fn create(path: &Path) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        return Err(Error::Other(format!(
            "The directory {} for the SQLite file does not exist. Create it, or choose another path.",
            directory.display()
        )));
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            let synced =
                file.sync_all().and_then(|()| File::open(directory)).and_then(|directory| directory.sync_all());
            synced.map_err(|error| cannot(path, &error))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot(path, &error)),
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::Other(format!("The SQLite file {} cannot be created: {error}.", path.display()))
}

fn connect(path: &str, failed: Failed) -> Result<SqliteConnection, Error> {
    let mut connection = SqliteConnection::establish(path)
        .map_err(|error| Error::connecting(format!("The SQLite file {path} cannot be opened: {error}")))?;
    connection.set_instrumentation(Statements::new(Backend::Sqlite, failed));
    connection.batch_execute(PRAGMAS)?;
    Ok(connection)
}
