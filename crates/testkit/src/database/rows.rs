//! Rows that are put there and looked at without the product.

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _, sql_query, sql_types::Text,
};

use super::{TestDatabase, sqlite_path};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Runs SQL on the database at a URL, several statements with `;` between them.
///
/// # Errors
/// The database's.
pub fn execute(url: &str, sql: &str) -> anyhow::Result<()> {
    if is_sqlite(url) {
        let mut connection = SqliteConnection::establish(&sqlite_path(url).to_string_lossy())?;
        connection.batch_execute("PRAGMA busy_timeout = 10000")?;
        connection.batch_execute(sql)?;
    } else {
        PgConnection::establish(url)?.batch_execute(sql)?;
    }
    Ok(())
}

/// The texts in the one column `line` of a SELECT.
///
/// # Errors
/// The database's.
pub fn lines(url: &str, select: &str) -> anyhow::Result<Vec<String>> {
    let select = sql_query(select);
    let lines: Vec<Line> = if is_sqlite(url) {
        select.load(&mut SqliteConnection::establish(&sqlite_path(url).to_string_lossy())?)?
    } else {
        select.load(&mut PgConnection::establish(url)?)?
    };
    Ok(lines.into_iter().map(|line| line.line).collect())
}

/// All rows of a table, as texts in order.
///
/// # Errors
/// The database's.
pub fn rows(url: &str, table: &str) -> anyhow::Result<Vec<String>> {
    if !is_sqlite(url) {
        return lines(url, &format!("SELECT t::text AS line FROM {table} t ORDER BY 1"));
    }
    let columns = lines(url, &format!("SELECT 'quote(' || name || ')' AS line FROM pragma_table_info('{table}')"))?;
    lines(url, &format!("SELECT {} AS line FROM {table} ORDER BY 1", columns.join(" || ',' || ")))
}

pub(super) fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

impl TestDatabase {
    /// Whether it is SQLite.
    pub fn is_sqlite(&self) -> bool {
        self.name().is_empty()
    }

    /// An id as it stands in SQL.
    pub fn literal(&self, id: &str) -> String {
        if self.is_sqlite() { format!("X'{}'", id.replace('-', "")) } else { format!("CAST('{id}' AS uuid)") }
    }

    /// Runs SQL, several statements with `;` between them.
    ///
    /// # Errors
    /// The database's.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        execute(self.direct(), sql)
    }

    /// The texts in the one column `line` of a SELECT.
    ///
    /// # Errors
    /// The database's.
    pub fn lines(&self, select: &str) -> anyhow::Result<Vec<String>> {
        lines(self.direct(), select)
    }

    /// The names of a table's columns.
    ///
    /// # Errors
    /// The database's.
    pub fn columns(&self, table: &str) -> anyhow::Result<Vec<String>> {
        if self.is_sqlite() {
            self.lines(&format!("SELECT name AS line FROM pragma_table_info('{table}')"))
        } else {
            self.lines(&format!(
                "SELECT attname::text AS line FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 \
                 AND NOT attisdropped"
            ))
        }
    }

    /// The rows of a table in which the column `org` is this, as texts in order.
    ///
    /// # Errors
    /// The database's.
    pub fn rows_of(&self, table: &str, org: &str) -> anyhow::Result<Vec<String>> {
        let org = self.literal(org);
        if self.is_sqlite() {
            let all = self.columns(table)?.iter().map(|name| format!("quote({name})")).collect::<Vec<_>>();
            let all = all.join(" || ',' || ");
            self.lines(&format!("SELECT {all} AS line FROM {table} WHERE org = {org} ORDER BY 1"))
        } else {
            self.lines(&format!("SELECT t::text AS line FROM {table} t WHERE t.org = {org} ORDER BY 1"))
        }
    }
}
