-- For `co` on the names of users: one trigram index over all of them. Where the server has not got the extensions, or the
-- role may not create them in its database, such filters look at each user instead.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE EXTENSION IF NOT EXISTS btree_gin;
    CREATE INDEX scim_user_names ON scim_user USING gin (
        org,
        (user_name_key || ' ' || coalesce(display_name_key, '') || ' ' || coalesce(given_name_key, '') || ' '
            || coalesce(family_name_key, '')) gin_trgm_ops
    ) WITH (gin_pending_list_limit = 256);
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
        RAISE WARNING 'no index over the names of users: %', SQLERRM;
END
$$;
