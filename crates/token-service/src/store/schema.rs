//! The tables, as both migration trees make them.

diesel::table! {
    use diesel::sql_types::{Binary, Nullable, Text};
    use ::store::sql_types::{Id, Instant};

    token (org, id) {
        org -> Id,
        id -> Id,
        description -> Text,
        secret_sha256 -> Binary,
        created -> Instant,
        expires -> Nullable<Instant>,
        revoked -> Nullable<Instant>,
        last_used -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use ::store::sql_types::{Id, Instant};

    token_event (org, id) {
        org -> Id,
        id -> Id,
        token -> Id,
        kind -> Text,
        actor_kind -> Text,
        actor -> Text,
        request_id -> Text,
        occurred -> Instant,
    }
}

diesel::allow_tables_to_appear_in_same_query!(token, token_event);
