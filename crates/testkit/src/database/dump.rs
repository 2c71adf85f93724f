//! All that a database holds, as a backup would have it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, ensure};

use super::{
    rows::{execute, is_sqlite, lines},
    server::postgres_binaries,
    sqlite_path,
};

/// Every row of every table, with bytes in hexadecimal: by `pg_dump`, or, of SQLite, as literals.
///
/// # Errors
/// The database's, or if there is no `pg_dump`.
pub fn dump(url: &str) -> anyhow::Result<Vec<u8>> {
    if !is_sqlite(url) {
        let program = postgres_binaries().context("there is no PostgreSQL here")?.join("pg_dump");
        let output = Command::new(program).arg("--dbname").arg(url).output().context("running pg_dump")?;
        ensure!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
        return Ok(output.stdout);
    }
    let mut all = lines(url, "SELECT coalesce(sql, name) AS line FROM sqlite_master")?;
    for table in lines(url, "SELECT name AS line FROM sqlite_master WHERE type = 'table' ORDER BY 1")? {
        let columns =
            lines(url, &format!("SELECT 'quote(\"' || name || '\")' AS line FROM pragma_table_info('{table}')"))?;
        ensure!(!columns.is_empty(), "the table {table} has no columns");
        all.extend(lines(url, &format!("SELECT {} AS line FROM \"{table}\"", columns.join(" || ',' || ")))?);
    }
    Ok(all.join("\n").into_bytes())
}

/// The bytes of every file that the database is in, after a checkpoint: what a stolen disk shows. Of PostgreSQL, whose
/// directory must be readable, this database's files and the write-ahead log of all.
///
/// # Errors
/// If one cannot be read.
pub fn files(url: &str) -> anyhow::Result<Vec<u8>> {
    let mut all = Vec::new();
    if is_sqlite(url) {
        let path = sqlite_path(url);
        let directory = path.parent().context("a file without a directory")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // With -wal, -shm and -journal.
            if entry.file_name().to_string_lossy().starts_with(&name) {
                all.extend(fs::read(entry.path())?);
            }
        }
        return Ok(all);
    }
    execute(url, "CHECKPOINT")?;
    let of = |select| -> anyhow::Result<String> { lines(url, select)?.pop().context("no answer") };
    let data = of("SELECT current_setting('data_directory') AS line")?;
    let database = of("SELECT oid::text AS line FROM pg_database WHERE datname = current_database()")?;
    for directory in [format!("{data}/base/{database}"), format!("{data}/pg_wal")] {
        for entry in fs::read_dir(&directory).with_context(|| format!("reading {directory}"))? {
            let path = entry?.path();
            if path.is_file() {
                all.extend(fs::read(path)?);
            }
        }
    }
    Ok(all)
}

/// What the PostgreSQL server of this database has logged; `None` for SQLite.
///
/// # Errors
/// If it cannot be read.
pub fn server_log(url: &str) -> anyhow::Result<Option<Vec<u8>>> {
    if is_sqlite(url) {
        return Ok(None);
    }
    let data = lines(url, "SELECT current_setting('data_directory') AS line")?.pop().context("no answer")?;
    // Where `launch` has it.
    let log = Path::new(&data).parent().context("a directory without a parent")?.join("log");
    Ok(Some(fs::read(&log).with_context(|| format!("reading {}", log.display()))?))
}
