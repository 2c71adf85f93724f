-- Requests are found by the name of whom they are about: kind and folded name.
ALTER TABLE request_log ADD COLUMN name_key TEXT;

CREATE INDEX request_log_name ON request_log (org, name_key, id) WHERE name_key IS NOT NULL;

-- The release before has no such log.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261202000200', '20261129000200');
