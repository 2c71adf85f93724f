-- Mail that waits to be sent, and for some days that which was (docs/adr/0025).
-- state: 0 waits, 1 sent, 2 given up. due: when it is tried next, then when the row is deleted.
CREATE TABLE mail (
    org uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    dedupe text NOT NULL,
    recipient text NOT NULL,
    document text NOT NULL,
    created timestamptz NOT NULL,
    due timestamptz NOT NULL,
    attempts bigint NOT NULL,
    state smallint NOT NULL,
    finished timestamptz,
    last_error text,
    PRIMARY KEY (org, id)
);

CREATE UNIQUE INDEX mail_dedupe ON mail (org, dedupe, recipient);
CREATE INDEX mail_due ON mail (due);

DO $$
DECLARE
    made text;
    own text := 'org = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)';
BEGIN
    FOREACH made IN ARRAY ARRAY['mail'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', made);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', made);
        EXECUTE format('CREATE POLICY tenant_read ON %I FOR SELECT USING (true)', made);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT WITH CHECK (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE USING (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE USING (%s)', made, own);
    END LOOP;
END
$$;

-- Programs of before send no mail, so there is nothing that they would make untrue.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261130000200', '20261129000200');
