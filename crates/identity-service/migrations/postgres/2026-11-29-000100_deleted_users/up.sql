-- Users that were deleted and can be restored (docs/adr/0023). What is derived from the stored form is not kept.
CREATE TABLE deleted_user (
    org uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    created timestamptz NOT NULL,
    modified timestamptz NOT NULL,
    resource text NOT NULL,
    deleted_at timestamptz NOT NULL,
    purge_at timestamptz NOT NULL,
    deleted_by text NOT NULL,
    PRIMARY KEY (org, id)
);

CREATE INDEX deleted_user_deleted_at ON deleted_user (org, deleted_at, id);
CREATE INDEX deleted_user_purge_at ON deleted_user (org, purge_at);

-- The groups they were in, with their names then.
CREATE TABLE deleted_user_group (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    group_id uuid NOT NULL,
    display_name text NOT NULL,
    PRIMARY KEY (org, user_id, group_id)
);

-- Users of many groups that are still leaving them (direction 1), or coming back to them (2).
CREATE TABLE membership_move (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    direction smallint NOT NULL,
    created timestamptz NOT NULL,
    PRIMARY KEY (org, user_id)
);

ALTER TABLE organization ADD COLUMN deletion_grace_days bigint NOT NULL DEFAULT 30;

DO $$
DECLARE
    made text;
    own text := 'org = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)';
BEGIN
    FOREACH made IN ARRAY ARRAY['deleted_user', 'deleted_user_group', 'membership_move'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', made);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', made);
        EXECUTE format('CREATE POLICY tenant_read ON %I FOR SELECT USING (true)', made);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT WITH CHECK (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE USING (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE USING (%s)', made, own);
    END LOOP;
END
$$;
-- No row for programs of before: they delete for good, and do not count who is restored.
