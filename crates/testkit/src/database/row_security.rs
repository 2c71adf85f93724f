//! Row-level security that holds reads to their organization, as the product's own holds writes.

use anyhow::Context as _;
use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};

/// Prepares an empty database: policies for reading that are made in it from now on are as strict as those for writing.
pub(super) fn hold_reads(url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::establish(url).context("a database just made does not answer")?;
    connection.batch_execute(include_str!("row_security.sql"))?;
    Ok(())
}
