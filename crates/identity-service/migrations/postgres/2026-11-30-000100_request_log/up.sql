-- What identity providers asked for, and what came of it (docs/adr/0024). What was changed is in the events.
-- id: a UUIDv7 of when it ended. outcome: 1 read, 2 changed, 3 unchanged, 4 refused, 5 failed. search: folded.
CREATE TABLE request_log (
    org uuid NOT NULL,
    id uuid NOT NULL,
    occurred timestamptz NOT NULL,
    outcome smallint NOT NULL,
    status smallint NOT NULL,
    subject uuid,
    request_id text NOT NULL,
    search text NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (org, id)
);

CREATE INDEX request_log_outcome ON request_log (org, outcome, id);
CREATE INDEX request_log_subject ON request_log (org, subject, id) WHERE subject IS NOT NULL;

-- Kept longer than the requests.
CREATE TABLE request_count (
    org uuid NOT NULL,
    hour timestamptz NOT NULL,
    read bigint NOT NULL,
    changed bigint NOT NULL,
    unchanged bigint NOT NULL,
    refused bigint NOT NULL,
    failed bigint NOT NULL,
    PRIMARY KEY (org, hour)
);

CREATE INDEX event_subject ON event (org, subject, seq);

ALTER TABLE organization ADD COLUMN request_log_days bigint NOT NULL DEFAULT 30;
ALTER TABLE organization ADD COLUMN requests_watched_until timestamptz;

DO $$
DECLARE
    made text;
    own text := 'org = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)';
BEGIN
    FOREACH made IN ARRAY ARRAY['request_log', 'request_count'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', made);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', made);
        EXECUTE format('CREATE POLICY tenant_read ON %I FOR SELECT USING (true)', made);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT WITH CHECK (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE USING (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE USING (%s)', made, own);
    END LOOP;
END
$$;

INSERT INTO __schema_compatibility (migration, known) VALUES ('20261130000100', '20261129000200');
