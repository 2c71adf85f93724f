//! The tables, as both migration trees make them.

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Nullable, Text};
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
        scopes -> Text,
        allowed_cidrs -> Text,
        created_by -> Nullable<Text>,
        last_used_address -> Nullable<Text>,
        last_used_user_agent -> Nullable<Text>,
        successor -> Nullable<Id>,
        warn_at -> Nullable<Instant>,
        revocation -> Nullable<BigInt>,
        oauth_client -> Nullable<Id>,
        oauth_grant -> Nullable<Id>,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use ::store::sql_types::{Id, Instant};

    token_event (org, id) {
        org -> Id,
        id -> Id,
        token -> Nullable<Id>,
        kind -> Text,
        actor_kind -> Text,
        actor -> Text,
        request_id -> Text,
        occurred -> Instant,
        oauth_client -> Nullable<Id>,
        oauth_grant -> Nullable<Id>,
    }
}

diesel::table! {
    use diesel::sql_types::BigInt;

    revocation_counter (id) {
        id -> BigInt,
        last -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable};
    use ::store::sql_types::Id;

    token_policy (org) {
        org -> Id,
        max_ttl_days -> Nullable<BigInt>,
        allow_never -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Nullable, Text};
    use ::store::sql_types::{Id, Instant};

    oauth_client (org, id) {
        org -> Id,
        id -> Id,
        name -> Text,
        secret_sha256 -> Nullable<Binary>,
        secret_used -> Nullable<Instant>,
        old_secret_sha256 -> Nullable<Binary>,
        old_secret_expires -> Nullable<Instant>,
        grant_types -> Text,
        redirect_uris -> Text,
        scopes -> Text,
        allowed_cidrs -> Text,
        trust_issuer -> Nullable<Text>,
        trust_subject -> Nullable<Text>,
        trust_audience -> Nullable<Text>,
        trust_jwks -> Nullable<Text>,
        trust_jwks_uri -> Nullable<Text>,
        created -> Instant,
        created_by -> Text,
        revoked -> Nullable<Instant>,
        last_issued -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Nullable, Text};
    use ::store::sql_types::{Id, Instant};

    oauth_approval (org, client, code_sha256) {
        org -> Id,
        client -> Id,
        code_sha256 -> Binary,
        created_by -> Text,
        expires -> Instant,
        used -> Nullable<Instant>,
        guesses -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use ::store::sql_types::{Id, Instant};

    oauth_grant (org, id) {
        org -> Id,
        id -> Id,
        client -> Id,
        scopes -> Text,
        created -> Instant,
        approved_by -> Text,
        expires -> Instant,
        revoked -> Nullable<Instant>,
        revoked_for -> Nullable<Text>,
        last_issued -> Instant,
        last_used -> Nullable<Instant>,
        last_used_address -> Nullable<Text>,
        last_used_user_agent -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Nullable, Text};
    use ::store::sql_types::{Id, Instant};

    oauth_code (org, code_sha256) {
        org -> Id,
        code_sha256 -> Binary,
        client -> Id,
        redirect_uri -> Text,
        code_challenge -> Nullable<Text>,
        scopes -> Text,
        approved_by -> Text,
        expires -> Instant,
        used -> Nullable<Instant>,
        grant_id -> Nullable<Id>,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Nullable};
    use ::store::sql_types::{Id, Instant};

    oauth_refresh (org, refresh_sha256) {
        org -> Id,
        refresh_sha256 -> Binary,
        grant_id -> Id,
        parent -> Nullable<Binary>,
        expires -> Instant,
        used -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Nullable, Text};
    use ::store::sql_types::{Id, Instant};

    service_credential (id) {
        id -> Id,
        name -> Text,
        scopes -> Text,
        secret_sha256 -> Nullable<Binary>,
        previous_sha256 -> Nullable<Binary>,
        previous_expires -> Nullable<Instant>,
        tls_identity -> Nullable<Text>,
        created -> Instant,
        created_by -> Text,
        expires -> Nullable<Instant>,
        revoked -> Nullable<Instant>,
        last_used -> Nullable<Instant>,
        secret_used -> Nullable<Instant>,
        revocation -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use ::store::sql_types::{Id, Instant};

    service_credential_event (id) {
        id -> Id,
        credential -> Id,
        kind -> Text,
        actor_kind -> Text,
        actor -> Text,
        request_id -> Text,
        occurred -> Instant,
    }
}

diesel::allow_tables_to_appear_in_same_query!(token, token_event, oauth_grant, oauth_refresh);
