//! What can go wrong between a service and its database.

use std::fmt;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};

/// A database error, sorted by what a caller can do about it. Carries no values from rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another row has this value. The name is `TABLE_COLUMN[_COLUMN..]_key`: SQLite tells the columns and the name is
    /// made of them, PostgreSQL tells the name, so constraints there keep its default naming. For an index over an
    /// expression it is the index's name.
    #[error("unique constraint {constraint}")]
    Unique {
        /// The name.
        constraint: String,
    },
    /// Transactions collided (SQLSTATE 40001, 40P01), more often than it was tried again.
    #[error("transactions kept colliding")]
    Serialization,
    /// More work than connections, or a lock or a statement took too long. Try again later.
    #[error("the database is busy")]
    Busy,
    /// The database cannot be reached or the connection broke.
    #[error("the database is not available: {0}")]
    Unavailable(Outage),
    /// A fault in our SQL, schema or configuration.
    #[error("{0}")]
    Other(String),
}

/// Why the database is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    message: String,
    pub(crate) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There never was a connection.
    Connecting,
    /// The connection was lost and the server cannot have run the statement.
    Unsent,
    /// The connection was lost and the statement may have run.
    Sent,
    /// The server refused the statement, since a migration changed a column under what the connection has prepared. A
    /// connection made after it has nothing prepared.
    Outdated,
}

impl Outage {
    pub(crate) fn new(stage: Stage, message: impl Into<String>) -> Self {
        Self { message: message.into(), stage }
    }

    /// Whether a write may have been done although it was answered by this.
    pub fn outcome_unknown(&self) -> bool {
        self.stage == Stage::Sent
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error {
    pub(crate) fn connecting(message: impl Into<String>) -> Self {
        Self::Unavailable(Outage::new(Stage::Connecting, message))
    }

    /// Whether the connection it came from is of no more use.
    pub(crate) fn connection_lost(&self) -> bool {
        matches!(self, Self::Unavailable(outage) if outage.stage != Stage::Connecting)
    }

    /// Whether the connections made before this are of no more use either.
    pub(crate) fn connections_outdated(&self) -> bool {
        matches!(self, Self::Unavailable(outage) if outage.stage == Stage::Outdated)
    }
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(kind, information) => from_database(kind, information.as_ref()),
            DieselError::RollbackErrorOnCommit { commit_error, .. } => Self::from(*commit_error),
            DieselError::RollbackTransaction => Self::Other("the transaction was rolled back".to_owned()),
            DieselError::BrokenTransactionManager => {
                Self::Unavailable(Outage::new(Stage::Sent, "the transaction broke"))
            }
            // Their texts hold values of the row.
            DieselError::DeserializationError(_) => Self::Other("a stored value could not be read".to_owned()),
            DieselError::SerializationError(_) => Self::Other("a value could not be stored".to_owned()),
            other => Self::Other(other.to_string()),
        }
    }
}

fn from_database(kind: DatabaseErrorKind, information: &(dyn DatabaseErrorInformation + Send + Sync)) -> Error {
    let message = information.message();
    match kind {
        DatabaseErrorKind::UniqueViolation => Error::Unique { constraint: constraint(information) },
        DatabaseErrorKind::SerializationFailure => Error::Serialization,
        DatabaseErrorKind::UnableToSendCommand => Error::Unavailable(Outage::new(Stage::Unsent, message)),
        // After a fail-over the old primary takes reads only: another connection finds the new one.
        DatabaseErrorKind::ReadOnlyTransaction => Error::Unavailable(Outage::new(Stage::Unsent, message)),
        DatabaseErrorKind::ClosedConnection => {
            // The server's farewell (57P01, 57P02) instead of a result: the statement was not run to its end. The other
            // is pgbouncer's, which lost the server while it prepared the session, before it handed on the statement.
            let farewells = ["terminating connection", "invalid server parameter"];
            let unsent = farewells.iter().any(|farewell| message.starts_with(farewell));
            let stage = if unsent { Stage::Unsent } else { Stage::Sent };
            Error::Unavailable(Outage::new(stage, message))
        }
        // Diesel keeps no SQLSTATE, so these are known by their text; `open` warns where the server speaks another
        // language than English.
        _ => match message {
            "deadlock detected" => Error::Serialization,
            "canceling statement due to lock timeout"
            | "canceling statement due to statement timeout"
            | "database is locked"
            | "database table is locked" => Error::Busy,
            "database or disk is full" | "disk I/O error" | "unable to open database file" => {
                Error::Unavailable(Outage::new(Stage::Unsent, message))
            }
            "cached plan must not change result type" => Error::Unavailable(Outage::new(Stage::Outdated, message)),
            _ if message.starts_with("prepared statement \"") => Error::Other(
                "A pooler between does not keep prepared statements. Use pgbouncer 1.21 or newer with \
                 max_prepared_statements, or add prepare=off to the database URL."
                    .to_owned(),
            ),
            _ if message.starts_with("terminating connection") => {
                Error::Unavailable(Outage::new(Stage::Unsent, message))
            }
            _ => Error::Other(without_values(kind, message)),
        },
    }
}

/// PostgreSQL quotes a refused value at the end of "invalid input syntax" and the like; constraint messages quote names
/// only.
fn without_values(kind: DatabaseErrorKind, message: &str) -> String {
    match kind {
        DatabaseErrorKind::Unknown => match message.split_once(": \"") {
            Some((what, _)) => what.to_owned(),
            None => message.to_owned(),
        },
        _ => message.to_owned(),
    }
}

fn constraint(information: &(dyn DatabaseErrorInformation + Send + Sync)) -> String {
    if let Some(name) = information.constraint_name() {
        return name.to_owned();
    }
    let message = information.message();
    let failed = message.strip_prefix("UNIQUE constraint failed: ").unwrap_or(message);
    if let Some(index) = failed.strip_prefix("index '") {
        return index.trim_end_matches('\'').to_owned();
    }
    let table = failed.split('.').next().unwrap_or_default();
    let columns = failed.split(", ").map(|column| column.split_once('.').map_or(column, |(_, name)| name));
    columns.fold(table.to_owned(), |name, column| name + "_" + column) + "_key"
}

/// What a closure given to [`crate::Db`] ends with when it does not succeed. `E` is the caller's own refusal; both roll
/// a transaction back, and only the store's errors are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// The database.
    Store(Error),
    /// The caller, who decided against the change.
    Refused(E),
}

impl<E> From<DieselError> for Failure<E> {
    fn from(error: DieselError) -> Self {
        Self::Store(error.into())
    }
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Failure<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_columns_become_the_name_that_postgresql_would_give() {
        let unique = |message: &str| {
            let information: Box<String> = Box::new(message.to_owned());
            match Error::from(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, information)) {
                Error::Unique { constraint } => constraint,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(unique("UNIQUE constraint failed: token.secret_sha256"), "token_secret_sha256_key");
        assert_eq!(unique("UNIQUE constraint failed: user.org, user.name"), "user_org_name_key");
        assert_eq!(unique("UNIQUE constraint failed: index 'user_lower'"), "user_lower");
    }

    #[test]
    fn values_do_not_get_into_the_text() {
        let error = DieselError::DatabaseError(
            DatabaseErrorKind::Unknown,
            Box::new("invalid input syntax for type json: \"secret\"".to_owned()),
        );
        assert!(!Error::from(error).to_string().contains("secret"));
    }
}
