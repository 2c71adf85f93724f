//! SQL text with values. Diesel caches neither `sql_query` nor any UPDATE, so hot statements of constant text go through
//! here; the ones shaped by a client's filter are marked so that the cache does not grow with them.

use std::borrow::Cow;

use diesel::{
    QueryResult, RunQueryDsl,
    deserialize::QueryableByName,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::Error,
    sql_types::{BigInt, Binary, Bool, Nullable, Text, Untyped},
};
use store::{
    AnyConnection, Backend, Instant, JsonText, MultiBackend,
    sql_types::{Id, Instant as InstantType, Json},
};
use uuid::Uuid;

store::typed_id! {
    /// An id of any kind, where it is bound to a statement.
    pub(crate) struct AnyId;
}

/// What a placeholder stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Id(AnyId),
    OptionalId(Option<AnyId>),
    Text(String),
    OptionalText(Option<String>),
    Integer(i64),
    Boolean(bool),
    OptionalBoolean(Option<bool>),
    Instant(Instant),
    OptionalInstant(Option<Instant>),
    Json(JsonText),
    Bytes(Vec<u8>),
    OptionalBytes(Option<Vec<u8>>),
}

impl Value {
    pub(crate) fn id(id: impl Into<Uuid>) -> Self {
        Self::Id(AnyId(id.into()))
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Many ids as one value, for [`each`].
    pub(crate) fn ids(backend: Backend, ids: &[Uuid]) -> Self {
        let mut text = String::with_capacity(ids.len() * 37 + 2);
        let mut buffer = Uuid::encode_buffer();
        match backend {
            Backend::Postgres => {
                for id in ids {
                    text.push(if text.is_empty() { '{' } else { ',' });
                    text.push_str(id.hyphenated().encode_lower(&mut buffer));
                }
                text.push_str(if ids.is_empty() { "{}" } else { "}" });
            }
            Backend::Sqlite => {
                for id in ids {
                    text.push_str(if text.is_empty() { "[\"" } else { ",\"" });
                    text.push_str(id.simple().encode_lower(&mut buffer));
                    text.push('"');
                }
                text.push_str(if ids.is_empty() { "[]" } else { "]" });
            }
        }
        Self::Text(text)
    }

    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        match self {
            Self::Id(value) => out.push_bind_param::<Id, _>(value),
            Self::OptionalId(value) => out.push_bind_param::<Nullable<Id>, _>(value),
            Self::Text(value) => out.push_bind_param::<Text, _>(value),
            Self::OptionalText(value) => out.push_bind_param::<Nullable<Text>, _>(value),
            Self::Integer(value) => out.push_bind_param::<BigInt, _>(value),
            Self::Boolean(value) => out.push_bind_param::<Bool, _>(value),
            Self::OptionalBoolean(value) => out.push_bind_param::<Nullable<Bool>, _>(value),
            Self::Instant(value) => out.push_bind_param::<InstantType, _>(value),
            Self::OptionalInstant(value) => out.push_bind_param::<Nullable<InstantType>, _>(value),
            Self::Json(value) => out.push_bind_param::<Json, _>(value),
            Self::Bytes(value) => out.push_bind_param::<Binary, _>(value),
            Self::OptionalBytes(value) => out.push_bind_param::<Nullable<Binary>, _>(value),
        }
    }
}

/// A table expression with one column `id`: each of [`Value::ids`].
pub(crate) fn each(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "(SELECT unnest(CAST(? AS uuid[])) AS id)",
        Backend::Sqlite => "(SELECT unhex(value) AS id FROM json_each(?))",
    }
}

/// A SELECT that looks rows of a table up for each row of a few. Neither planner is left the choice of reading the whole
/// table instead: SQLite has no statistics, and PostgreSQL's guesses about a recursion or a list of ids are wide.
pub(crate) fn for_each(backend: Backend, columns: &str, few: &str, table: &str, condition: &str) -> String {
    match backend {
        Backend::Sqlite => format!("SELECT {columns} FROM {few} CROSS JOIN {table} WHERE {condition}"),
        Backend::Postgres => {
            let alias = table.rsplit(' ').next().unwrap_or(table);
            format!(
                "SELECT {columns} FROM {few} CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {condition} OFFSET 0) {alias}"
            )
        }
    }
}

/// The end of a SELECT of so many rows. SQLite looks at a bare placeholder there while it plans, and so plans anew
/// whenever another value is bound; it does not look into a sum.
pub(crate) fn limit_to(backend: Backend, limit: i64) -> Statement {
    let text = match backend {
        Backend::Sqlite => " LIMIT ? + 0",
        Backend::Postgres => " LIMIT ?",
    };
    Statement::new(text, [Value::Integer(limit)])
}

/// The end of a SELECT that locks what it returns until the transaction ends. SQLite has one writer.
pub(crate) fn locking(backend: Backend, strength: Lock) -> &'static str {
    match (backend, strength) {
        (Backend::Sqlite, _) => "",
        (Backend::Postgres, Lock::Delete) => " FOR UPDATE",
        (Backend::Postgres, Lock::Change) => " FOR NO KEY UPDATE",
        (Backend::Postgres, Lock::Refer) => " FOR KEY SHARE",
    }
}

/// Why a row is locked. `Refer` goes together with `Change` but not with `Delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    Refer,
    Change,
    Delete,
}

/// SQL text with `?` for each value; the text holds no other question mark.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
    shaped: bool,
}

impl Statement {
    /// One of a bounded number of texts: prepared once for each connection.
    pub(crate) fn new(text: impl Into<Cow<'static, str>>, values: impl IntoIterator<Item = Value>) -> Self {
        Self { text: text.into(), values: values.into_iter().collect(), shaped: false }
    }

    /// Adds to text and values.
    pub(crate) fn push(&mut self, text: &str, values: impl IntoIterator<Item = Value>) -> &mut Self {
        self.text.to_mut().push_str(text);
        self.values.extend(values);
        self
    }

    /// Adds values of placeholders that stand in the text already.
    pub(crate) fn bind(&mut self, values: impl IntoIterator<Item = Value>) -> &mut Self {
        self.values.extend(values);
        self
    }

    /// Adds another one's text and values.
    pub(crate) fn append(&mut self, other: Self) -> &mut Self {
        self.text.to_mut().push_str(&other.text);
        self.values.extend(other.values);
        self
    }

    /// Marks a text that a client shaped: not kept in the cache of prepared statements.
    #[must_use]
    pub(crate) fn shaped(mut self) -> Self {
        self.shaped = true;
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn rows<T>(self, conn: &mut AnyConnection) -> QueryResult<Vec<T>>
    where
        T: QueryableByName<MultiBackend> + 'static,
    {
        self.load(conn)
    }

    /// The first row.
    pub(crate) fn row<T>(self, conn: &mut AnyConnection) -> QueryResult<Option<T>>
    where
        T: QueryableByName<MultiBackend> + 'static,
    {
        Ok(self.load(conn)?.into_iter().next())
    }

    /// The number of rows it changed.
    pub(crate) fn run(self, conn: &mut AnyConnection) -> QueryResult<usize> {
        self.execute(conn)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    #[cfg(test)]
    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }
}

impl QueryFragment<MultiBackend> for Statement {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        if self.shaped {
            out.unsafe_to_cache_prepared();
        }
        let text = self.text();
        #[cfg(feature = "mutants")]
        let text = &crate::mutants::mutated(text);
        let mut values = self.values.iter();
        for (position, piece) in text.split('?').enumerate() {
            if position > 0 {
                let missing = || Error::QueryBuilderError("fewer values than placeholders".into());
                values.next().ok_or_else(missing)?.push(&mut out)?;
            }
            out.push_sql(piece);
        }
        match values.next() {
            None => Ok(()),
            Some(_) => Err(Error::QueryBuilderError("more values than placeholders".into())),
        }
    }
}

impl QueryId for Statement {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement {
    type SqlType = Untyped;
}

impl<C> RunQueryDsl<C> for Statement {}
