//! The same rows without the product: what one create left in the tables is read, and inserted again and again with plain
//! Diesel, under the settings that the product has. Nothing is known of the tables here but their keys.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use diesel::{
    Connection as _, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection as _,
    deserialize::FromSql,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::Error,
    row::{Field as _, NamedRow, Row},
    sql_query,
    sql_types::{BigInt, Binary, Nullable, Text, Untyped},
    sqlite::{Sqlite, SqliteType},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    measure::Figures,
    process::{self, Clock, Watched},
    say,
    yardstick::{Created, MARKER},
};

const SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                        PRAGMA foreign_keys = ON; PRAGMA cache_size = -8192";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
    /// The new resource's id, or another one of the request, by number.
    Id(u8),
    /// A number that grows, in a text.
    Numbered(Vec<String>),
    /// A number that grows from here.
    Next(i64),
}

/// One row of one table.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Insert {
    text: String,
    values: Vec<Value>,
}

/// What a loop does.
#[derive(Debug, Serialize, Deserialize)]
enum Work {
    /// All rows of so many creates in one COMMIT, numbered from here.
    Create { inserts: Vec<Insert>, together: u64, first: i64 },
    /// One row by its key; each key in turn.
    Select { text: String, keys: Vec<Vec<Value>> },
}

/// A loop in a process of its own.
#[derive(Args)]
pub(crate) struct Loop {
    database: PathBuf,
    work: PathBuf,
    seconds: f64,
}

#[derive(Serialize, Deserialize)]
struct Done {
    requests: u64,
    seconds: f64,
    cpu_ms: f64,
}

/// SQL with `?` for each value; the text holds no other question mark.
struct Statement<'a> {
    text: &'a str,
    values: &'a [Value],
}

impl QueryFragment<Sqlite> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut values = self.values.iter();
        for (position, piece) in self.text.split('?').enumerate() {
            if position > 0 {
                match values.next() {
                    Some(Value::Null) => out.push_bind_param::<Nullable<Text>, _>(&None::<String>)?,
                    Some(Value::Integer(value)) => out.push_bind_param::<BigInt, _>(value)?,
                    Some(Value::Text(value)) => out.push_bind_param::<Text, _>(value)?,
                    Some(Value::Blob(value)) => out.push_bind_param::<Binary, _>(value)?,
                    other => return Err(Error::QueryBuilderError(format!("not a value: {other:?}").into())),
                }
            }
            out.push_sql(piece);
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl RunQueryDsl<SqliteConnection> for Statement<'_> {}

/// A row of any table.
struct AnyRow(Vec<(String, Value)>);

impl QueryableByName<Sqlite> for AnyRow {
    fn build<'a>(row: &impl NamedRow<'a, Sqlite>) -> diesel::deserialize::Result<Self> {
        let mut columns = Vec::with_capacity(row.field_count());
        for n in 0..row.field_count() {
            let field = Row::get(row, n).ok_or("a column is missing")?;
            let kind = field.value().and_then(|value| value.value_type());
            let value = match (field.value(), kind) {
                (Some(value), Some(SqliteType::Binary)) => Value::Blob(FromSql::<Binary, Sqlite>::from_sql(value)?),
                (Some(value), Some(SqliteType::Text)) => Value::Text(FromSql::<Text, Sqlite>::from_sql(value)?),
                (Some(value), Some(_)) => Value::Integer(FromSql::<BigInt, Sqlite>::from_sql(value)?),
                _ => Value::Null,
            };
            columns.push((field.field_name().unwrap_or_default().to_owned(), value));
        }
        Ok(Self(columns))
    }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

fn names(connection: &mut SqliteConnection, query: &str) -> Result<Vec<String>> {
    Ok(sql_query(query).load::<Name>(connection)?.into_iter().map(|name| name.name).collect())
}

fn open(database: &Path) -> Result<SqliteConnection> {
    let mut connection = SqliteConnection::establish(&database.to_string_lossy())?;
    connection.batch_execute(SETTINGS)?;
    Ok(connection)
}

/// The rows that a created resource left: those that hold its id.
fn inserts(connection: &mut SqliteConnection, created: Created) -> Result<Vec<Insert>> {
    let mut inserts = Vec::new();
    let mut ids = vec![created.id];
    for table in names(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid",
    )? {
        let info = format!("SELECT name FROM pragma_table_info('{table}')");
        let blobs = names(connection, &format!("{info} WHERE type = 'BLOB'"))?;
        // A number within a key must differ from row to row.
        let keys = names(connection, &format!("{info} WHERE type = 'INTEGER' AND pk > 0"))?;
        if blobs.is_empty() {
            continue;
        }
        let condition: Vec<String> = blobs.iter().map(|column| format!("\"{column}\" = ?")).collect();
        let text = format!("SELECT * FROM \"{table}\" WHERE {}", condition.join(" OR "));
        let values = vec![Value::Blob(created.id.as_bytes().to_vec()); blobs.len()];
        let rows: Vec<AnyRow> = Statement { text: &text, values: &values }.load(connection)?;
        for AnyRow(columns) in rows {
            let list: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let marks = vec!["?"; columns.len()].join(", ");
            let text = format!("INSERT INTO \"{table}\" ({}) VALUES ({marks})", list.join(", "));
            let varied = |(name, value): (String, Value)| match value {
                Value::Blob(bytes) => id_of_the_request(bytes, created, &mut ids),
                Value::Text(text) if text.contains(MARKER) => {
                    Value::Numbered(text.split(MARKER).map(str::to_owned).collect())
                }
                Value::Integer(number) if keys.contains(&name) => Value::Next(number),
                other => other,
            };
            let values = columns.into_iter().map(varied).collect();
            inserts.push(Insert { text, values });
        }
    }
    Ok(inserts)
}

/// The resource's id, and its event's, must differ from row to row.
fn id_of_the_request(bytes: Vec<u8>, created: Created, ids: &mut Vec<Uuid>) -> Value {
    match Uuid::from_slice(&bytes) {
        Ok(id) if created.made_with(id) => {
            let position = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                ids.push(id);
                ids.len() - 1
            });
            Value::Id(u8::try_from(position).unwrap_or(u8::MAX))
        }
        _ => Value::Blob(bytes),
    }
}

fn made(values: &[Value], n: i64) -> Vec<Value> {
    let one = |value: &Value| match value {
        // Greater than the one before, as ids of version 7 are.
        Value::Id(serial) => {
            let id = (0xffff_u128 << 112) | (u128::from(n.unsigned_abs()) << 8) | u128::from(*serial);
            Value::Blob(id.to_be_bytes().to_vec())
        }
        Value::Numbered(pieces) => Value::Text(pieces.join(&n.to_string())),
        Value::Next(from) => Value::Integer(from + n),
        other => other.clone(),
    };
    values.iter().map(one).collect()
}

/// Works until the time is over, and says on standard output what that took.
pub(crate) fn run(options: &Loop) -> Result<()> {
    let mut connection = open(&options.database)?;
    let work: Work = serde_json::from_slice(&fs::read(&options.work)?)?;
    let me = [Watched { name: "me", id: std::process::id(), tree: false }];
    let clock = Clock::read()?;
    let mut n = 0;
    let mut step = |connection: &mut SqliteConnection| work.step(connection, &mut n);
    step(&mut connection)?;
    let (begin, before) = (Instant::now(), process::cpu(&me, clock)?["me"]);
    let mut requests = 0;
    while begin.elapsed() < Duration::from_secs_f64(options.seconds) {
        requests += step(&mut connection)?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let done = Done { requests, seconds, cpu_ms: process::cpu(&me, clock)?["me"] - before };
    say(&serde_json::to_string(&done)?);
    Ok(())
}

impl Work {
    /// Does it once; gives how many requests it stands for.
    fn step(&self, connection: &mut SqliteConnection, n: &mut i64) -> Result<u64> {
        match self {
            Self::Create { inserts, together, first } => {
                connection.immediate_transaction(|connection| {
                    for _ in 0..*together {
                        *n += 1;
                        for insert in inserts {
                            let values = made(&insert.values, first + *n);
                            Statement { text: &insert.text, values: &values }.execute(connection)?;
                        }
                    }
                    QueryResult::Ok(())
                })?;
                Ok(*together)
            }
            Self::Select { text, keys } => {
                let values = &keys[usize::try_from(*n)? % keys.len()];
                *n += 1;
                let rows: Vec<AnyRow> = Statement { text, values }.load(connection)?;
                ensure!(rows.len() == 1, "{} rows instead of one", rows.len());
                Ok(1)
            }
        }
    }
}

/// The yardsticks from a user that was created just now, and from users to look up. The server
/// must have ended: the loops number events, too.
pub(crate) fn measure(
    database: &Path,
    directory: &Path,
    created: Created,
    users: &[Uuid],
    together: u64,
    seconds: f64,
) -> Result<Vec<(String, Figures)>> {
    let mut connection = open(database)?;
    let inserts = inserts(&mut connection, created)?;
    let widest = inserts.iter().max_by_key(|insert| insert.values.len()).context("the created user left no row")?;
    let table = widest.text.split('"').nth(1).unwrap_or_default().to_owned();
    drop(connection);
    let key = |id: &Uuid| [created.organization, *id].map(|id| Value::Blob(id.as_bytes().to_vec())).to_vec();
    let keys = users.iter().map(key).collect();
    let select = Work::Select { text: format!("SELECT * FROM \"{table}\" WHERE org = ? AND id = ?"), keys };
    let create = |together, first| Work::Create { inserts: inserts.clone(), together, first };
    let mut figures = Vec::new();
    for (name, work) in [
        ("plain Diesel: select by id".to_owned(), select),
        ("plain Diesel: create, a COMMIT each".to_owned(), create(1, 0)),
        (format!("plain Diesel: create, {together} in a COMMIT"), create(together, 1_000_000_000)),
    ] {
        figures.push((name, in_a_process(database, directory, &work, seconds)?));
    }
    Ok(figures)
}

fn in_a_process(database: &Path, directory: &Path, work: &Work, seconds: f64) -> Result<Figures> {
    let file = directory.join("sqlite.json");
    fs::write(&file, serde_json::to_vec(work)?)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["yardstick", "sqlite"]).arg(database).arg(&file).arg(seconds.to_string());
    let output = command.output().context("starting the loop")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done: Done = serde_json::from_slice(&output.stdout)?;
    let requests = done.requests as f64;
    Ok(Figures {
        requests_per_second: requests / done.seconds,
        p50_ms: done.seconds * 1000.0 / requests,
        cpu_ms: [("loop".to_owned(), done.cpu_ms / requests)].into(),
        requests: usize::try_from(done.requests)?,
        ..Figures::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_one_create_are_found_and_made_again() {
        let directory = std::env::temp_dir().join(format!("rc-sqlite-bench-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let mut connection = open(&directory.join("t.db")).expect("opened");
        let id = Uuid::parse_str("0197c7a0-0000-7000-8000-000000000001").expect("an id");
        let hex = id.simple();
        let (org, event) = ("01".repeat(16), format!("{}02", &hex.to_string()[..30]));
        connection
            .batch_execute(&format!(
                "CREATE TABLE person (org BLOB, id BLOB, name TEXT UNIQUE, n INTEGER, note TEXT, PRIMARY KEY (org, id));
                 CREATE TABLE change (org BLOB, seq INTEGER, id BLOB UNIQUE, subject BLOB, PRIMARY KEY (org, seq));
                 CREATE TABLE other (org BLOB PRIMARY KEY, n INTEGER);
                 INSERT INTO other VALUES (x'{org}', 1);
                 INSERT INTO person VALUES (x'{org}', x'{hex}', 'a-{MARKER}-b', 5, NULL);
                 INSERT INTO change VALUES (x'{org}', 41, x'{event}', x'{hex}');"
            ))
            .expect("tables");
        let inserts = inserts(&mut connection, Created { organization: Uuid::from_u128(1), id }).expect("rows");
        assert_eq!(inserts.len(), 2, "{inserts:?}");
        let work = Work::Create { inserts, together: 2, first: 100 };
        let mut n = 0;
        assert_eq!(work.step(&mut connection, &mut n).expect("created"), 2);
        assert_eq!(work.step(&mut connection, &mut n).expect("created"), 2);
        let found = names(&mut connection, "SELECT name FROM person ORDER BY name").expect("names");
        assert_eq!(found, ["a-101-b", "a-102-b", "a-103-b", "a-104-b", &format!("a-{MARKER}-b")]);
        let count = "SELECT count(*) || '' AS name FROM change JOIN person ON person.id = subject";
        assert_eq!(names(&mut connection, count).expect("count"), ["5"]);
        drop(connection);
        fs::remove_dir_all(directory).expect("removed");
    }
}
