//! Runs migrations, one starter at a time, and refuses a schema from the future.

use diesel::{
    backend::Backend,
    migration::{Migration, MigrationSource},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use crate::Error;

/// Runs what is pending on this connection. The caller holds off other starters.
pub(crate) fn run<C, DB>(connection: &mut C, migrations: EmbeddedMigrations) -> Result<(), Error>
where
    DB: Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let ours: Vec<Box<dyn Migration<DB>>> = migrations.migrations().map_err(failed)?;
    let newest = ours.iter().map(|migration| migration.name().version().to_string()).max().unwrap_or_default();
    let applied = connection.applied_migrations().map_err(failed)?;
    if let Some(foreign) = applied.iter().map(ToString::to_string).filter(|version| *version > newest).max() {
        return Err(Error::Other(format!(
            "The database has schema version {foreign}, and this program knows versions up to {newest}. Run the newer \
             program, or restore a backup from before the upgrade."
        )));
    }
    let done = connection.run_pending_migrations(migrations).map_err(failed)?;
    if !done.is_empty() {
        let versions: Vec<String> = done.iter().map(ToString::to_string).collect();
        tracing::info!(versions = versions.join(" "), "the database schema was migrated");
    }
    Ok(())
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => match Error::from(*error) {
            Error::Other(message) => Error::Other(format!("A migration failed: {message}")),
            other => other,
        },
        Err(error) => Error::Other(format!("A migration failed: {error}")),
    }
}
