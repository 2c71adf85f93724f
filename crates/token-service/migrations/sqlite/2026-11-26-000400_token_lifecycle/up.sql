-- Says nothing for older programs (ADR 10): they would take a token with fewer scopes for one that has all.

ALTER TABLE token ADD COLUMN scopes TEXT NOT NULL DEFAULT 'users:read users:write groups:read groups:write';
ALTER TABLE token ADD COLUMN allowed_cidrs TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN created_by TEXT;
ALTER TABLE token ADD COLUMN last_used_address TEXT;
ALTER TABLE token ADD COLUMN last_used_user_agent TEXT;
ALTER TABLE token ADD COLUMN successor BLOB CHECK (length(successor) = 16);
ALTER TABLE token ADD COLUMN warn_at INTEGER;
ALTER TABLE token ADD COLUMN revocation INTEGER;

UPDATE token SET created_by = (
  SELECT min(e.actor) FROM token_event e WHERE e.org = token.org AND e.token = token.id AND e.kind = 'created'
);
UPDATE token SET warn_at = expires - 2592000000000 WHERE expires IS NOT NULL AND revoked IS NULL;
-- What was revoked before there were numbers is before the first of them.
UPDATE token SET revocation = 0 WHERE revoked IS NOT NULL;

CREATE INDEX token_warn_at ON token (warn_at) WHERE warn_at IS NOT NULL;
-- NULL: revoked, and not yet numbered.
CREATE INDEX token_revocation ON token (revocation) WHERE revoked IS NOT NULL;

-- One row, whose lock gives revocations their order.
CREATE TABLE revocation_counter (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  last INTEGER NOT NULL
) STRICT;
INSERT INTO revocation_counter (id, last) VALUES (1, 0);

CREATE TABLE token_policy (
  org BLOB NOT NULL PRIMARY KEY CHECK (length(org) = 16),
  max_ttl_days INTEGER CHECK (max_ttl_days > 0),
  allow_never INTEGER NOT NULL CHECK (allow_never IN (0, 1))
) STRICT;

-- An event of the policy names no token.
CREATE TABLE token_event_new (
  org BLOB NOT NULL CHECK (length(org) = 16),
  id BLOB NOT NULL CHECK (length(id) = 16),
  token BLOB,
  kind TEXT NOT NULL CHECK (kind IN (
    'created', 'revoked', 'rotated', 'retired', 'policy_set',
    'expires_in_30_days', 'expires_in_7_days', 'expires_in_1_day'
  )),
  actor_kind TEXT NOT NULL CHECK (actor_kind IN ('administrator', 'internal_service')),
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  occurred INTEGER NOT NULL,
  PRIMARY KEY (org, id),
  FOREIGN KEY (org, token) REFERENCES token (org, id)
) STRICT;
INSERT INTO token_event_new (org, id, token, kind, actor_kind, actor, request_id, occurred)
SELECT org, id, token, kind, actor_kind, actor, request_id, occurred FROM token_event;
DROP TABLE token_event;
ALTER TABLE token_event_new RENAME TO token_event;
CREATE INDEX token_event_token ON token_event (org, token);
