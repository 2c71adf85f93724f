//! SQL types with one Rust form and the native form of each database.

use std::{
    fmt::{self, Display},
    io::Write as _,
};

use diesel::{
    deserialize::{self, FromSql},
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types as base,
    sqlite::{Sqlite, SqliteValue},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{MultiBackend, MultiRawValue};

/// What columns are declared as in `schema.rs`.
pub mod sql_types {
    /// `uuid` on PostgreSQL, a BLOB of 16 bytes on SQLite.
    #[derive(Clone, Copy, Debug, Default, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(oid = 2950, array_oid = 2951))]
    #[diesel(sqlite_type(name = "Binary"))]
    pub struct Id;

    /// `timestamptz` on PostgreSQL, an INTEGER of microseconds since the epoch on SQLite.
    #[derive(Clone, Copy, Debug, Default, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(oid = 1184, array_oid = 1185))]
    #[diesel(sqlite_type(name = "Long"))]
    pub struct Instant;

    /// `jsonb` on PostgreSQL, TEXT on SQLite.
    #[derive(Clone, Copy, Debug, Default, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(oid = 3802, array_oid = 3807))]
    #[diesel(sqlite_type(name = "Text"))]
    pub struct Json;

    impl diesel::sql_types::SqlOrd for Id {}
    impl diesel::sql_types::SqlOrd for Instant {}
}

macro_rules! on_both {
    ($sql:ty) => {
        impl diesel::sql_types::HasSqlType<$sql> for MultiBackend {
            fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
                Self::lookup_sql_type::<$sql>(lookup)
            }
        }
    };
    ($sql:ident, $rust:ty) => {
        impl ToSql<sql_types::$sql, MultiBackend> for $rust {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, MultiBackend>) -> serialize::Result {
                out.set_value((sql_types::$sql, self));
                Ok(IsNull::No)
            }
        }

        impl FromSql<sql_types::$sql, MultiBackend> for $rust {
            fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
                value.from_sql::<Self, sql_types::$sql>()
            }
        }
    };
}

on_both!(sql_types::Id);
on_both!(sql_types::Instant);
on_both!(sql_types::Json);
on_both!(Instant, Instant);
on_both!(Json, JsonText);

/// An instant: microseconds since 1970-01-01T00:00:00Z, the precision that both databases keep.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = sql_types::Instant)]
pub struct Instant(i64);

/// PostgreSQL counts from here: 2000-01-01T00:00:00Z, in microseconds.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl Instant {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Later by so many microseconds, or earlier if negative; stops at the ends.
    #[must_use]
    pub const fn saturating_add_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl From<Timestamp> for Instant {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_microsecond())
    }
}

impl TryFrom<Instant> for Timestamp {
    type Error = jiff::Error;

    fn try_from(instant: Instant) -> Result<Self, jiff::Error> {
        Self::from_microsecond(instant.0)
    }
}

/// RFC 3339 in UTC.
impl Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{} microseconds since 1970", self.0),
        }
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl ToSql<sql_types::Instant, Pg> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let micros = self.0.checked_sub(POSTGRES_EPOCH).ok_or("an instant before what PostgreSQL can hold")?;
        ToSql::<base::BigInt, Pg>::to_sql(&micros, &mut out.reborrow())
    }
}

impl FromSql<sql_types::Instant, Pg> for Instant {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<base::BigInt, Pg>>::from_sql(value)?;
        Ok(Self(micros.saturating_add(POSTGRES_EPOCH)))
    }
}

impl ToSql<sql_types::Instant, Sqlite> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0);
        Ok(IsNull::No)
    }
}

impl FromSql<sql_types::Instant, Sqlite> for Instant {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        <i64 as FromSql<base::BigInt, Sqlite>>::from_sql(value).map(Self)
    }
}

/// A JSON document as text. The text must be JSON: PostgreSQL refuses anything else, and returns it normalized (order of
/// members, white space), SQLite returns it as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = sql_types::Json)]
pub struct JsonText(pub String);

/// The one version of the binary form of `jsonb`.
const JSONB_VERSION: u8 = 1;

impl ToSql<sql_types::Json, Pg> for JsonText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[JSONB_VERSION])?;
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<sql_types::Json, Pg> for JsonText {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes().split_first() {
            Some((&JSONB_VERSION, text)) => Ok(Self(std::str::from_utf8(text)?.to_owned())),
            _ => Err("a jsonb value of an unknown version".into()),
        }
    }
}

impl ToSql<sql_types::Json, Sqlite> for JsonText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        <str as ToSql<base::Text, Sqlite>>::to_sql(&self.0, out)
    }
}

impl FromSql<sql_types::Json, Sqlite> for JsonText {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        <String as FromSql<base::Text, Sqlite>>::from_sql(value).map(Self)
    }
}

#[doc(hidden)]
pub fn id_to_postgres(id: &Uuid, out: &mut Output<'_, '_, Pg>) -> serialize::Result {
    out.write_all(id.as_bytes())?;
    Ok(IsNull::No)
}

#[doc(hidden)]
pub fn id_from_postgres(value: PgValue<'_>) -> deserialize::Result<Uuid> {
    Ok(Uuid::from_slice(value.as_bytes())?)
}

#[doc(hidden)]
pub fn id_to_sqlite<'b>(id: &'b Uuid, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
    out.set_value(&id.as_bytes()[..]);
    Ok(IsNull::No)
}

#[doc(hidden)]
pub fn id_from_sqlite(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Uuid> {
    Ok(Uuid::from_slice(value.read_blob())?)
}

/// Declares an id of its own type over a UUID, so that a user's id cannot be given where a group's is wanted. It goes
/// into columns of [`sql_types::Id`].
///
/// ```
/// store::typed_id! {
///     /// An organization.
///     pub struct OrgId;
/// }
/// let id: OrgId = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
/// assert_eq!(id.to_string(), "01890a5d-ac96-774b-bcce-b302099a8057");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! typed_id {
    ($(#[$meta:meta])* $vis:vis struct $name:ident;) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            $crate::macro_support::diesel::expression::AsExpression,
            $crate::macro_support::diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = $crate::sql_types::Id)]
        $vis struct $name(pub $crate::macro_support::Uuid);

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = <$crate::macro_support::Uuid as ::std::str::FromStr>::Err;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                <$crate::macro_support::Uuid as ::std::str::FromStr>::from_str(text).map(Self)
            }
        }

        impl ::std::convert::From<$crate::macro_support::Uuid> for $name {
            fn from(id: $crate::macro_support::Uuid) -> Self {
                Self(id)
            }
        }

        impl ::std::convert::From<$name> for $crate::macro_support::Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        $crate::id_columns!($name);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! id_columns {
    ($name:ident) => {
        const _: () = {
            use $crate::macro_support::diesel::{deserialize, pg, serialize, sqlite};
            use $crate::{MultiBackend, MultiRawValue, macro_support, sql_types::Id};

            impl serialize::ToSql<Id, pg::Pg> for $name {
                fn to_sql<'b>(&'b self, out: &mut serialize::Output<'b, '_, pg::Pg>) -> serialize::Result {
                    macro_support::id_to_postgres(&self.0, out)
                }
            }

            impl serialize::ToSql<Id, sqlite::Sqlite> for $name {
                fn to_sql<'b>(&'b self, out: &mut serialize::Output<'b, '_, sqlite::Sqlite>) -> serialize::Result {
                    macro_support::id_to_sqlite(&self.0, out)
                }
            }

            impl serialize::ToSql<Id, MultiBackend> for $name {
                fn to_sql<'b>(&'b self, out: &mut serialize::Output<'b, '_, MultiBackend>) -> serialize::Result {
                    out.set_value((Id, self));
                    Ok(serialize::IsNull::No)
                }
            }

            impl deserialize::FromSql<Id, pg::Pg> for $name {
                fn from_sql(value: pg::PgValue<'_>) -> deserialize::Result<Self> {
                    macro_support::id_from_postgres(value).map(Self)
                }
            }

            impl deserialize::FromSql<Id, sqlite::Sqlite> for $name {
                fn from_sql(value: sqlite::SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
                    macro_support::id_from_sqlite(value).map(Self)
                }
            }

            impl deserialize::FromSql<Id, MultiBackend> for $name {
                fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
                    value.from_sql::<Self, Id>()
                }
            }
        };
    };
}
