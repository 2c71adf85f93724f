-- What identity providers asked for, and what came of it (docs/adr/0024). What was changed is in the events.
-- id: a UUIDv7 of when it ended. outcome: 1 read, 2 changed, 3 unchanged, 4 refused, 5 failed. search: folded.
CREATE TABLE request_log (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    occurred INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    status INTEGER NOT NULL,
    subject BLOB,
    request_id TEXT NOT NULL,
    search TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;

CREATE INDEX request_log_outcome ON request_log (org, outcome, id);
CREATE INDEX request_log_subject ON request_log (org, subject, id) WHERE subject IS NOT NULL;

-- Kept longer than the requests.
CREATE TABLE request_count (
    org BLOB NOT NULL,
    hour INTEGER NOT NULL,
    read INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (org, hour)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_subject ON event (org, subject, seq);

ALTER TABLE organization ADD COLUMN request_log_days INTEGER NOT NULL DEFAULT 30;
ALTER TABLE organization ADD COLUMN requests_watched_until INTEGER;

INSERT INTO __schema_compatibility (migration, known) VALUES ('20261130000100', '20261129000200');
