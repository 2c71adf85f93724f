//! The tables, for both databases. Kept by hand: the types are ours.

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use store::sql_types::{Id, Instant};

    organization (id) {
        id -> Id,
        slug -> Text,
        name -> Text,
        plan -> Text,
        scim_entitled -> Bool,
        plan_expires_at -> Nullable<Instant>,
        scim_enabled -> Bool,
        requests_per_second -> Nullable<BigInt>,
        created -> Instant,
        modified -> Instant,
        nested_groups -> Bool,
        plan_grace_days -> BigInt,
        max_users -> Nullable<BigInt>,
        oauth_entitled -> Bool,
        plan_told -> Nullable<Instant>,
        deletion_grace_days -> BigInt,
        hold_percent -> BigInt,
        request_log_days -> BigInt,
        requests_watched_until -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use store::sql_types::{Id, Instant, Json};

    scim_user (org, id) {
        org -> Id,
        id -> Id,
        user_name -> Text,
        user_name_key -> Text,
        external_id -> Nullable<Text>,
        active -> Nullable<Bool>,
        display_name -> Nullable<Text>,
        display_name_key -> Nullable<Text>,
        given_name_key -> Nullable<Text>,
        family_name_key -> Nullable<Text>,
        primary_email -> Nullable<Text>,
        primary_email_key -> Nullable<Text>,
        version -> BigInt,
        created -> Instant,
        modified -> Instant,
        resource -> Text,
        search -> Json,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use store::sql_types::Id;

    user_key (org, attr, key, user_id) {
        org -> Id,
        attr -> Text,
        key -> Text,
        user_id -> Id,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use store::sql_types::{Id, Instant, Json};

    scim_group (org, id) {
        org -> Id,
        id -> Id,
        display_name -> Text,
        display_name_key -> Text,
        external_id -> Nullable<Text>,
        version -> BigInt,
        created -> Instant,
        modified -> Instant,
        resource -> Text,
        search -> Json,
    }
}

diesel::table! {
    use diesel::sql_types::SmallInt;
    use store::sql_types::Id;

    group_member (org, group_id, member_id) {
        org -> Id,
        group_id -> Id,
        member_id -> Id,
        member_type -> SmallInt,
    }
}

diesel::table! {
    use store::sql_types::{Id, Instant};

    group_tombstone (org, group_id) {
        org -> Id,
        group_id -> Id,
        created -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use store::sql_types::{Id, Instant};

    outbox (org, id) {
        org -> Id,
        id -> Id,
        occurred -> Instant,
        kind -> Text,
        subject -> Id,
        actor -> Text,
        delta -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Text};
    use store::sql_types::{Id, Instant};

    event (org, seq) {
        org -> Id,
        seq -> BigInt,
        id -> Id,
        occurred -> Instant,
        kind -> Text,
        subject -> Id,
        actor -> Text,
        delta -> Text,
        hash -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary};
    use store::sql_types::Id;

    event_head (org) {
        org -> Id,
        last_seq -> BigInt,
        last_hash -> Binary,
        splits -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary};
    use store::sql_types::{Id, Instant};

    cursor_key (org, generation) {
        org -> Id,
        generation -> BigInt,
        secret -> Binary,
        created -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use store::sql_types::{Id, Instant};

    console_admin (org, id) {
        org -> Id,
        id -> Id,
        email -> Text,
        email_key -> Text,
        name -> Text,
        role -> Text,
        created -> Instant,
        last_signed_in -> Nullable<Instant>,
        issuer -> Nullable<Text>,
        subject -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Text};
    use store::sql_types::{Id, Instant};

    admin_invite (org, id) {
        org -> Id,
        id -> Id,
        email -> Text,
        email_key -> Text,
        role -> Text,
        secret_sha256 -> Binary,
        created -> Instant,
        created_by -> Text,
        expires -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Nullable, Text};
    use store::sql_types::{Id, Instant};

    console_session (org, id) {
        org -> Id,
        id -> Id,
        admin_id -> Id,
        secret_sha256 -> Binary,
        rotated -> Instant,
        previous_sha256 -> Nullable<Binary>,
        previous_expires -> Nullable<Instant>,
        created -> Instant,
        last_used -> Instant,
        expires -> Instant,
        revoked -> Nullable<Instant>,
        address -> Text,
        user_agent -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Text};
    use store::sql_types::{Id, Instant};

    sign_in_attempt (org, state_sha256) {
        org -> Id,
        state_sha256 -> Binary,
        nonce -> Text,
        pkce_verifier -> Text,
        return_to -> Text,
        issuer -> Text,
        expires -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Nullable, Text};
    use store::sql_types::{Id, Instant};

    sign_in_provider (org) {
        org -> Id,
        issuer -> Text,
        client_id -> Text,
        sealed_secret -> Nullable<Binary>,
        modified -> Instant,
    }
}
