CREATE TABLE token_event_old (
  org BLOB NOT NULL CHECK (length(org) = 16),
  id BLOB NOT NULL CHECK (length(id) = 16),
  token BLOB NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('created', 'revoked')),
  actor_kind TEXT NOT NULL CHECK (actor_kind IN ('administrator', 'internal_service')),
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  occurred INTEGER NOT NULL,
  PRIMARY KEY (org, id),
  FOREIGN KEY (org, token) REFERENCES token (org, id)
) STRICT;
INSERT INTO token_event_old (org, id, token, kind, actor_kind, actor, request_id, occurred)
SELECT org, id, token, kind, actor_kind, actor, request_id, occurred FROM token_event
WHERE kind IN ('created', 'revoked');
DROP TABLE token_event;
ALTER TABLE token_event_old RENAME TO token_event;
CREATE INDEX token_event_token ON token_event (org, token);
DROP TABLE token_policy;
DROP TABLE revocation_counter;
DROP INDEX token_revocation;
DROP INDEX token_warn_at;
-- An older program would take them for tokens that may do everything.
UPDATE token SET revoked = CAST(unixepoch('subsec') * 1000000 AS INTEGER)
WHERE revoked IS NULL
  AND (scopes <> 'users:read users:write groups:read groups:write' OR allowed_cidrs <> '');
ALTER TABLE token DROP COLUMN revocation;
ALTER TABLE token DROP COLUMN warn_at;
ALTER TABLE token DROP COLUMN successor;
ALTER TABLE token DROP COLUMN last_used_user_agent;
ALTER TABLE token DROP COLUMN last_used_address;
ALTER TABLE token DROP COLUMN created_by;
ALTER TABLE token DROP COLUMN allowed_cidrs;
ALTER TABLE token DROP COLUMN scopes;
