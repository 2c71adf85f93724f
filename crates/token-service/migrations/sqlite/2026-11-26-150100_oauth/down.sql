CREATE TABLE token_event_old (
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
INSERT INTO token_event_old (org, id, token, kind, actor_kind, actor, request_id, occurred)
SELECT org, id, token, kind, actor_kind, actor, request_id, occurred FROM token_event
WHERE kind NOT LIKE 'oauth%' AND actor_kind <> 'oauth_client';
DROP TABLE token_event;
ALTER TABLE token_event_old RENAME TO token_event;
CREATE INDEX token_event_token ON token_event (org, token);
DELETE FROM token WHERE oauth_client IS NOT NULL;
DROP INDEX token_oauth_expires;
DROP INDEX token_oauth_grant;
DROP INDEX token_oauth_client;
ALTER TABLE token DROP COLUMN oauth_client;
ALTER TABLE token DROP COLUMN oauth_grant;
DROP TABLE oauth_assertion;
DROP TABLE oauth_refresh;
DROP TABLE oauth_code;
DROP TABLE oauth_grant;
DROP TABLE oauth_approval;
DROP TABLE oauth_client;
