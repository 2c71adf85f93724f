DELETE FROM token_event WHERE kind NOT IN ('created', 'revoked');
ALTER TABLE token_event ALTER COLUMN token SET NOT NULL;
ALTER TABLE token_event DROP CONSTRAINT token_event_kind_check;
ALTER TABLE token_event ADD CONSTRAINT token_event_kind_check CHECK (kind IN ('created', 'revoked'));
DROP TABLE token_policy;
DROP TABLE revocation_counter;
DROP INDEX token_revocation;
DROP INDEX token_warn_at;
-- An older program would take them for tokens that may do everything.
UPDATE token SET revoked = now()
WHERE revoked IS NULL
  AND (scopes <> 'users:read users:write groups:read groups:write' OR allowed_cidrs <> '');
ALTER TABLE token
  DROP COLUMN revocation,
  DROP COLUMN warn_at,
  DROP COLUMN successor,
  DROP COLUMN last_used_user_agent,
  DROP COLUMN last_used_address,
  DROP COLUMN created_by,
  DROP COLUMN allowed_cidrs,
  DROP COLUMN scopes;
