-- What waits where many users lose their access at once (docs/adr/0023).
ALTER TABLE organization ADD COLUMN hold_percent bigint NOT NULL DEFAULT 20;

-- Up to which event an organization was read for it. What happened before this migration is not.
CREATE TABLE loss_watch (
    org uuid NOT NULL PRIMARY KEY,
    seq bigint NOT NULL
);

INSERT INTO loss_watch (org, seq) SELECT h.org, h.last_seq FROM event_head h;

-- Who lost access lately. kind: 1 deactivated, 2 deleted. state: 0, 1 restored, 2 not to be restored, which why tells.
CREATE TABLE access_loss (
    org uuid NOT NULL,
    seq bigint NOT NULL,
    user_id uuid NOT NULL,
    kind smallint NOT NULL,
    occurred timestamptz NOT NULL,
    actor text NOT NULL,
    state smallint NOT NULL,
    why text,
    PRIMARY KEY (org, seq)
);

CREATE INDEX access_loss_occurred ON access_loss (org, occurred);

-- state: 1 open, 2 approved, 3 being restored, 4 restored. A hold is about all losses from first_at to last_at.
CREATE TABLE hold (
    org uuid NOT NULL,
    id uuid NOT NULL,
    state smallint NOT NULL,
    opened timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    users bigint NOT NULL,
    deactivated bigint NOT NULL,
    deleted bigint NOT NULL,
    failed bigint NOT NULL,
    decided timestamptz,
    decided_by text,
    PRIMARY KEY (org, id)
);

DO $$
DECLARE
    made text;
    own text := 'org = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)';
BEGIN
    FOREACH made IN ARRAY ARRAY['loss_watch', 'access_loss', 'hold'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', made);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', made);
        EXECUTE format('CREATE POLICY tenant_read ON %I FOR SELECT USING (true)', made);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT WITH CHECK (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE USING (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE USING (%s)', made, own);
    END LOOP;
END
$$;
-- No row for programs of before: they erase what is held.
