-- Says nothing for older programs (ADR 10): they would take a token with fewer scopes for one that has all.

ALTER TABLE token
  ADD COLUMN scopes text NOT NULL DEFAULT 'users:read users:write groups:read groups:write',
  ADD COLUMN allowed_cidrs text NOT NULL DEFAULT '',
  ADD COLUMN created_by text,
  ADD COLUMN last_used_address text,
  ADD COLUMN last_used_user_agent text,
  ADD COLUMN successor uuid,
  ADD COLUMN warn_at timestamptz,
  ADD COLUMN revocation bigint;

UPDATE token SET created_by = (
  SELECT min(e.actor) FROM token_event e WHERE e.org = token.org AND e.token = token.id AND e.kind = 'created'
);
UPDATE token SET warn_at = expires - interval '30 days' WHERE expires IS NOT NULL AND revoked IS NULL;
-- What was revoked before there were numbers is before the first of them.
UPDATE token SET revocation = 0 WHERE revoked IS NOT NULL;

CREATE INDEX token_warn_at ON token (warn_at) WHERE warn_at IS NOT NULL;
-- NULL: revoked, and not yet numbered.
CREATE INDEX token_revocation ON token (revocation) WHERE revoked IS NOT NULL;

-- One row, whose lock gives revocations their order.
CREATE TABLE revocation_counter (
  id bigint NOT NULL PRIMARY KEY CHECK (id = 1),
  last bigint NOT NULL
);
INSERT INTO revocation_counter (id, last) VALUES (1, 0);

CREATE TABLE token_policy (
  org uuid NOT NULL PRIMARY KEY,
  max_ttl_days bigint CHECK (max_ttl_days > 0),
  allow_never boolean NOT NULL
);

-- An event of the policy names no token.
ALTER TABLE token_event DROP CONSTRAINT token_event_kind_check;
ALTER TABLE token_event ADD CONSTRAINT token_event_kind_check CHECK (kind IN (
  'created', 'revoked', 'rotated', 'retired', 'policy_set',
  'expires_in_30_days', 'expires_in_7_days', 'expires_in_1_day'
));
ALTER TABLE token_event ALTER COLUMN token DROP NOT NULL;
