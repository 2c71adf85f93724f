//! One table with every SQL type.

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use store::sql_types::{Id, Instant, Json};

    item (org, id) {
        org -> Id,
        id -> Id,
        name -> Text,
        made -> Nullable<Instant>,
        body -> Nullable<Json>,
        n -> BigInt,
    }
}
