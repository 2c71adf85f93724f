DELETE FROM token_event WHERE kind LIKE 'oauth%' OR actor_kind = 'oauth_client';
ALTER TABLE token_event DROP CONSTRAINT token_event_actor_kind_check;
ALTER TABLE token_event ADD CONSTRAINT token_event_actor_kind_check
  CHECK (actor_kind IN ('administrator', 'internal_service'));
ALTER TABLE token_event DROP CONSTRAINT token_event_kind_check;
ALTER TABLE token_event ADD CONSTRAINT token_event_kind_check CHECK (kind IN (
  'created', 'revoked', 'rotated', 'retired', 'policy_set',
  'expires_in_30_days', 'expires_in_7_days', 'expires_in_1_day'
));
ALTER TABLE token_event DROP COLUMN oauth_client, DROP COLUMN oauth_grant;
DELETE FROM token WHERE oauth_client IS NOT NULL;
DROP INDEX token_oauth_expires;
DROP INDEX token_oauth_grant;
DROP INDEX token_oauth_client;
ALTER TABLE token DROP COLUMN oauth_client, DROP COLUMN oauth_grant;
DROP TABLE oauth_assertion;
DROP TABLE oauth_refresh;
DROP TABLE oauth_code;
DROP TABLE oauth_grant;
DROP TABLE oauth_approval;
DROP TABLE oauth_client;
