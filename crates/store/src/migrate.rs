//! Runs migrations, one starter at a time, and refuses a schema from the future that this program may not work with.
//!
//! Not here: which migrations an older program may work with. Each says so itself (docs/adr/0010).

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    Connection, QueryableByName, RunQueryDsl as _,
    backend::Backend,
    connection::LoadConnection,
    migration::{Migration, MigrationSource},
    query_builder::SqlQuery,
    query_dsl::LoadQuery,
    sql_query,
    sql_types::Text,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use crate::Error;

/// A program that knows the migration `known` may work where `migration` was applied, too. Each migration inserts its own
/// row, or none.
const CREATE_COMPATIBILITY: &str = "CREATE TABLE IF NOT EXISTS __schema_compatibility \
     (migration VARCHAR(50) PRIMARY KEY NOT NULL, known VARCHAR(50) NOT NULL)";

/// A row of it.
#[derive(QueryableByName)]
pub(crate) struct Compatibility {
    #[diesel(sql_type = Text)]
    migration: String,
    #[diesel(sql_type = Text)]
    known: String,
}

/// Runs what is pending on this connection, `first` at the begin of each transaction. The caller holds off other starters.
pub(crate) fn run<C, DB>(connection: &mut C, migrations: &EmbeddedMigrations, first: &str) -> Result<(), Error>
where
    DB: Backend,
    C: Connection<Backend = DB> + MigrationHarness<DB> + LoadConnection<Backend = DB>,
    EmbeddedMigrations: MigrationSource<DB>,
    for<'query> SqlQuery: LoadQuery<'query, C, Compatibility>,
{
    let mut pending: Vec<Box<dyn Migration<DB>>> = migrations.migrations().map_err(failed)?;
    pending.sort_unstable_by(|one, other| one.name().version().cmp(&other.name().version()));
    let ours: BTreeSet<String> = pending.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied = connection.applied_migrations().map_err(failed)?;
    connection.batch_execute(CREATE_COMPATIBILITY)?;
    let foreign: Vec<String> =
        applied.iter().map(ToString::to_string).filter(|version| !ours.contains(version)).collect();
    if !foreign.is_empty() {
        let rows: Vec<Compatibility> =
            sql_query("SELECT migration, known FROM __schema_compatibility").load(connection)?;
        let known: BTreeMap<String, String> = rows.into_iter().map(|row| (row.migration, row.known)).collect();
        let works = |version: &&String| known.get(*version).is_some_and(|known| ours.contains(known));
        if let Some(foreign) = foreign.iter().filter(|version| !works(version)).max() {
            let newest = ours.last().map(String::as_str).unwrap_or_default();
            return Err(Error::Other(format!(
                "The database has schema version {foreign}, with which this program, whose newest is {newest}, may not \
                 work. Run the newer program, or restore a backup from before the upgrade."
            )));
        }
        let versions = foreign.join(" ");
        tracing::info!(versions, "the database schema is newer than this program, which may still work with it");
    }
    pending.retain(|migration| !applied.contains(&migration.name().version()));
    for migration in pending {
        let done = if migration.metadata().run_in_transaction() {
            connection.transaction(|connection| {
                connection.batch_execute(first)?;
                connection.run_migration(&migration)
            })
        } else {
            connection.run_migration(&migration)
        };
        let version = done.map_err(failed)?;
        tracing::info!(%version, "the database schema was migrated");
    }
    Ok(())
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => match Error::from(*error) {
            Error::Other(message) => Error::Other(format!("A migration failed: {message}")),
            other => other,
        },
        // Diesel keeps of a statement that failed inside a migration the text alone.
        Err(error) => match error.to_string() {
            text if ["deadlock detected", "could not serialize"].iter().any(|what| text.contains(what)) => {
                Error::Serialization
            }
            text => Error::Other(format!("A migration failed: {text}")),
        },
    }
}
