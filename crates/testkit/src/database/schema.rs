//! Schemas as databases describe them, so that two migration trees can be compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query,
    sql_types::{Array, BigInt, Bool, Text},
};

use super::sqlite_path;

/// The tables of one schema, but for the migrations' own, which begin with two underscores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// By name.
    pub tables: BTreeMap<String, Table>,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// By name.
    pub columns: BTreeMap<String, Column>,
    /// In key order.
    pub primary_key: Vec<String>,
    /// Column lists of unique constraints and unique indexes, partial ones marked with a last element `(partial)`.
    pub unique: BTreeSet<Vec<String>>,
    /// The same of the other indexes.
    pub indexes: BTreeSet<Vec<String>>,
    /// `columns -> table(columns) on delete ACTION`.
    pub foreign_keys: BTreeSet<String>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// `integer`, `text`, `blob` or `real`: what both databases can say.
    pub kind: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
}

/// Compares two migrated databases. Each line is a difference; those in `exceptions` are left out, and an exception that
/// fits nothing is a line of its own.
///
/// # Errors
/// If one of them cannot be read.
pub fn schema_parity(sqlite_url: &str, postgres_url: &str, exceptions: &[&str]) -> anyhow::Result<Vec<String>> {
    let differences = differences(&sqlite_schema(sqlite_url)?, &postgres_schema(postgres_url)?);
    let unused = exceptions.iter().filter(|exception| !differences.iter().any(|line| line == **exception));
    let unused = unused.map(|exception| format!("unused exception: {exception}"));
    let unused: Vec<String> = unused.collect();
    let mut lines: Vec<String> =
        differences.iter().filter(|line| !exceptions.contains(&line.as_str())).cloned().collect();
    lines.extend(unused);
    Ok(lines)
}

/// The primary keys and unique indexes whose first column is another than `first`, as `TABLE(COLUMNS)`.
pub fn key_without(schema: &Schema, first: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, table) in &schema.tables {
        let keys = std::iter::once(&table.primary_key).chain(&table.unique);
        for key in keys.filter(|key| key.first().is_none_or(|column| column != first)) {
            found.push(format!("{name}({})", key.join(", ")));
        }
    }
    found
}

fn differences(sqlite: &Schema, postgres: &Schema) -> Vec<String> {
    let mut lines = Vec::new();
    let names: BTreeSet<&String> = sqlite.tables.keys().chain(postgres.tables.keys()).collect();
    for name in names {
        match (sqlite.tables.get(name), postgres.tables.get(name)) {
            (Some(one), Some(other)) => table_differences(name, one, other, &mut lines),
            (Some(_), None) => lines.push(format!("{name}: only on SQLite")),
            (None, _) => lines.push(format!("{name}: only on PostgreSQL")),
        }
    }
    lines
}

fn table_differences(name: &str, sqlite: &Table, postgres: &Table, lines: &mut Vec<String>) {
    let columns: BTreeSet<&String> = sqlite.columns.keys().chain(postgres.columns.keys()).collect();
    for column in columns {
        match (sqlite.columns.get(column), postgres.columns.get(column)) {
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => lines.push(format!("{name}.{column}: {one:?} and {other:?}")),
            (Some(_), None) => lines.push(format!("{name}.{column}: only on SQLite")),
            (None, _) => lines.push(format!("{name}.{column}: only on PostgreSQL")),
        }
    }
    if sqlite.primary_key != postgres.primary_key {
        lines.push(format!("{name}: primary key {:?} and {:?}", sqlite.primary_key, postgres.primary_key));
    }
    let mut sets = |what: &str, one: BTreeSet<String>, other: BTreeSet<String>| {
        lines.extend(one.difference(&other).map(|key| format!("{name}: {what} ({key}) only on SQLite")));
        lines.extend(other.difference(&one).map(|key| format!("{name}: {what} ({key}) only on PostgreSQL")));
    };
    let joined = |keys: &BTreeSet<Vec<String>>| keys.iter().map(|key| key.join(", ")).collect::<BTreeSet<_>>();
    sets("unique", joined(&sqlite.unique), joined(&postgres.unique));
    sets("index", joined(&sqlite.indexes), joined(&postgres.indexes));
    sets("foreign key", sqlite.foreign_keys.clone(), postgres.foreign_keys.clone());
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
    #[diesel(sql_type = BigInt)]
    key_position: i64,
}

#[derive(QueryableByName)]
struct SqliteIndexRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    index_name: String,
    #[diesel(sql_type = Bool)]
    is_unique: bool,
    #[diesel(sql_type = Bool)]
    is_partial: bool,
    #[diesel(sql_type = Text)]
    column_name: String,
}

#[derive(QueryableByName)]
struct SqliteForeignKeyRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    target: String,
    #[diesel(sql_type = Text)]
    from_column: String,
    #[diesel(sql_type = Text)]
    to_column: String,
    #[diesel(sql_type = Text)]
    on_delete: String,
}

/// Reads a SQLite file (`sqlite:PATH`).
///
/// # Errors
/// If it cannot be opened or is empty.
pub fn sqlite_schema(url: &str) -> anyhow::Result<Schema> {
    let path = sqlite_path(url);
    let path = path.to_str().context("a path in UTF-8")?;
    let mut connection = SqliteConnection::establish(path).with_context(|| format!("opening {path}"))?;
    let tables = "(SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                  AND substr(name, 1, 2) <> '__') AS t";
    let columns: Vec<ColumnRow> = sql_query(format!(
        "SELECT t.name AS table_name, c.name AS column_name, lower(c.type) AS kind, c.\"notnull\" = 0 AS nullable, \
         c.pk AS key_position FROM {tables}, pragma_table_info(t.name) AS c"
    ))
    .load(&mut connection)?;
    let mut schema = columns_of(columns, |kind| if kind == "int" { "integer".to_owned() } else { kind.to_owned() })?;

    let rows: Vec<SqliteIndexRow> = sql_query(format!(
        "SELECT t.name AS table_name, i.name AS index_name, i.\"unique\" AS is_unique, i.partial AS is_partial, \
         coalesce(c.name, '(expression)') AS column_name \
         FROM {tables}, pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS c \
         WHERE i.origin <> 'pk' ORDER BY 1, 2, c.seqno"
    ))
    .load(&mut connection)?;
    let mut indexes: BTreeMap<(String, String), (bool, bool, Vec<String>)> = BTreeMap::new();
    for row in rows {
        let index = indexes.entry((row.table_name, row.index_name));
        index.or_insert((row.is_unique, row.is_partial, Vec::new())).2.push(row.column_name);
    }
    for ((table, _), (unique, partial, columns)) in indexes {
        add_index(&mut schema, &table, unique, partial, columns);
    }

    let rows: Vec<SqliteForeignKeyRow> = sql_query(format!(
        "SELECT t.name AS table_name, f.id AS id, f.\"table\" AS target, f.\"from\" AS from_column, \
         coalesce(f.\"to\", '') AS to_column, lower(f.on_delete) AS on_delete \
         FROM {tables}, pragma_foreign_key_list(t.name) AS f ORDER BY 1, 2, f.seq"
    ))
    .load(&mut connection)?;
    for key in rows.chunk_by(|one, next| one.table_name == next.table_name && one.id == next.id) {
        let from: Vec<String> = key.iter().map(|column| column.from_column.clone()).collect();
        let to: Vec<String> = key.iter().map(|column| column.to_column.clone()).collect();
        if let Some(SqliteForeignKeyRow { table_name, target, on_delete, .. }) = key.first() {
            add_foreign_key(&mut schema, table_name, &from, target, &to, on_delete);
        }
    }
    Ok(schema)
}

#[derive(QueryableByName)]
struct PostgresIndexRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Bool)]
    is_unique: bool,
    #[diesel(sql_type = Bool)]
    is_partial: bool,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
}

#[derive(QueryableByName)]
struct PostgresForeignKeyRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    target: String,
    #[diesel(sql_type = Array<Text>)]
    from_columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    to_columns: Vec<String>,
    #[diesel(sql_type = Text)]
    on_delete: String,
}

/// Reads the first schema of the connection's search path.
///
/// # Errors
/// If it cannot be opened or is empty.
pub fn postgres_schema(url: &str) -> anyhow::Result<Schema> {
    let mut connection = PgConnection::establish(url).context("opening the PostgreSQL database")?;
    let columns: Vec<ColumnRow> = sql_query(
        "SELECT t.relname::text AS table_name, a.attname::text AS column_name, format_type(a.atttypid, NULL) AS kind, \
         NOT a.attnotnull AS nullable, \
         coalesce(array_position(x.indkey::int2[], a.attnum) + 1, 0)::bigint AS key_position \
         FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_index x ON x.indrelid = t.oid AND x.indisprimary \
         WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p') \
         AND substr(t.relname, 1, 2) <> '__'",
    )
    .load(&mut connection)?;
    let mut schema = columns_of(columns, |kind| {
        let common = match kind {
            "uuid" | "bytea" => "blob",
            "timestamp with time zone" | "bigint" | "integer" | "smallint" | "boolean" => "integer",
            "jsonb" | "text" | "character varying" => "text",
            "double precision" | "real" => "real",
            other => other,
        };
        common.to_owned()
    })?;

    let rows: Vec<PostgresIndexRow> = sql_query(
        "SELECT t.relname::text AS table_name, x.indisunique AS is_unique, x.indpred IS NOT NULL AS is_partial, \
         ARRAY(SELECT coalesce(a.attname::text, '(expression)') \
               FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k (attnum, n) \
               LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum \
               WHERE k.n <= x.indnkeyatts ORDER BY k.n) AS columns \
         FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid \
         WHERE t.relnamespace = current_schema()::regnamespace AND NOT x.indisprimary \
         AND substr(t.relname, 1, 2) <> '__'",
    )
    .load(&mut connection)?;
    for row in rows {
        add_index(&mut schema, &row.table_name, row.is_unique, row.is_partial, row.columns);
    }

    let rows: Vec<PostgresForeignKeyRow> = sql_query(
        "SELECT t.relname::text AS table_name, f.relname::text AS target, \
         ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, n) \
               JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum ORDER BY k.n) AS from_columns, \
         ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k (attnum, n) \
               JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum ORDER BY k.n) AS to_columns, \
         CASE c.confdeltype WHEN 'c' THEN 'cascade' WHEN 'r' THEN 'restrict' WHEN 'n' THEN 'set null' \
              WHEN 'd' THEN 'set default' ELSE 'no action' END AS on_delete \
         FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid \
         WHERE c.contype = 'f' AND t.relnamespace = current_schema()::regnamespace",
    )
    .load(&mut connection)?;
    for row in rows {
        let (from, to) = (&row.from_columns, &row.to_columns);
        add_foreign_key(&mut schema, &row.table_name, from, &row.target, to, &row.on_delete);
    }
    Ok(schema)
}

fn columns_of(rows: Vec<ColumnRow>, kind: impl Fn(&str) -> String) -> anyhow::Result<Schema> {
    ensure!(!rows.is_empty(), "the database has no tables");
    let mut schema = Schema::default();
    let mut keys: BTreeMap<(String, i64), String> = BTreeMap::new();
    for row in rows {
        if row.key_position > 0 {
            keys.insert((row.table_name.clone(), row.key_position), row.column_name.clone());
        }
        let column = Column { kind: kind(&row.kind), nullable: row.nullable };
        schema.tables.entry(row.table_name).or_default().columns.insert(row.column_name, column);
    }
    for ((table, _), column) in keys {
        schema.tables.entry(table).or_default().primary_key.push(column);
    }
    Ok(schema)
}

fn add_index(schema: &mut Schema, table: &str, unique: bool, partial: bool, mut columns: Vec<String>) {
    if partial {
        columns.push("(partial)".to_owned());
    }
    let table = schema.tables.entry(table.to_owned()).or_default();
    if unique {
        table.unique.insert(columns)
    } else {
        table.indexes.insert(columns)
    };
}

fn add_foreign_key(schema: &mut Schema, table: &str, from: &[String], target: &str, to: &[String], on_delete: &str) {
    let text = format!("{} -> {target}({}) on delete {on_delete}", from.join(", "), to.join(", "));
    schema.tables.entry(table.to_owned()).or_default().foreign_keys.insert(text);
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection as _;

    use super::*;

    const SAME: &str = "CREATE TABLE parent (org BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (org, id));
        CREATE TABLE child (org BLOB NOT NULL, n BIGINT NOT NULL, name TEXT, parent BLOB NOT NULL, PRIMARY KEY (org, n),
          UNIQUE (org, name), FOREIGN KEY (org, parent) REFERENCES parent (org, id) ON DELETE CASCADE);
        CREATE INDEX by_parent ON child (org, parent) WHERE name IS NOT NULL;";

    #[test]
    fn equal_trees_are_equal_and_each_difference_is_a_line() {
        let (sqlite, postgres) = (crate::sqlite(), crate::postgres());
        let mut lite = SqliteConnection::establish(&sqlite_path(sqlite.url()).to_string_lossy()).expect("open");
        let mut server = PgConnection::establish(postgres.direct()).expect("open");
        lite.batch_execute(&SAME.replace("BIGINT", "INTEGER")).expect("SQLite");
        server.batch_execute(&SAME.replace("BLOB", "uuid")).expect("PostgreSQL");
        assert_eq!(schema_parity(sqlite.url(), postgres.direct(), &[]).expect("compare"), Vec::<String>::new());
        assert!(key_without(&sqlite_schema(sqlite.url()).expect("read"), "org").is_empty());

        lite.batch_execute("CREATE TABLE more (a TEXT NOT NULL PRIMARY KEY); CREATE INDEX n ON child (name)")
            .expect("SQLite");
        server
            .batch_execute("ALTER TABLE child ALTER name SET NOT NULL; CREATE UNIQUE INDEX ON parent (id)")
            .expect("pg");
        let lines =
            schema_parity(sqlite.url(), postgres.direct(), &["more: only on SQLite", "stale"]).expect("compare");
        assert_eq!(lines.len(), 4, "{lines:#?}");
        assert!(lines.iter().any(|line| line == "unused exception: stale"), "{lines:#?}");
        assert!(lines.iter().any(|line| line == "child: index (name) only on SQLite"), "{lines:#?}");
        assert!(lines.iter().any(|line| line == "parent: unique (id) only on PostgreSQL"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("child.name:")), "{lines:#?}");
        assert_eq!(key_without(&sqlite_schema(sqlite.url()).expect("read"), "org"), ["more(a)"]);
    }
}
