-- Says nothing for older programs (ADR 10): they would take access tokens for SCIM tokens that can be rotated.

CREATE TABLE oauth_client (
  org BLOB NOT NULL CHECK (length(org) = 16),
  id BLOB NOT NULL CHECK (length(id) = 16),
  name TEXT NOT NULL,
  secret_sha256 BLOB CHECK (length(secret_sha256) = 32),
  secret_used INTEGER,
  old_secret_sha256 BLOB CHECK (length(old_secret_sha256) = 32),
  old_secret_expires INTEGER,
  grant_types TEXT NOT NULL,
  redirect_uris TEXT NOT NULL,
  scopes TEXT NOT NULL,
  allowed_cidrs TEXT NOT NULL,
  trust_issuer TEXT,
  trust_subject TEXT,
  trust_audience TEXT,
  trust_jwks TEXT,
  trust_jwks_uri TEXT,
  created INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  revoked INTEGER,
  last_issued INTEGER,
  PRIMARY KEY (org, id),
  -- The id is how an unknown caller says which organization it belongs to.
  UNIQUE (id)
) STRICT;

CREATE TABLE oauth_approval (
  org BLOB NOT NULL CHECK (length(org) = 16),
  client BLOB NOT NULL CHECK (length(client) = 16),
  code_sha256 BLOB NOT NULL CHECK (length(code_sha256) = 32),
  created_by TEXT NOT NULL,
  expires INTEGER NOT NULL,
  used INTEGER,
  guesses INTEGER NOT NULL,
  PRIMARY KEY (org, client, code_sha256),
  FOREIGN KEY (org, client) REFERENCES oauth_client (org, id)
) STRICT;
CREATE INDEX oauth_approval_expires ON oauth_approval (expires);

CREATE TABLE oauth_grant (
  org BLOB NOT NULL CHECK (length(org) = 16),
  id BLOB NOT NULL CHECK (length(id) = 16),
  client BLOB NOT NULL CHECK (length(client) = 16),
  scopes TEXT NOT NULL,
  created INTEGER NOT NULL,
  approved_by TEXT NOT NULL,
  expires INTEGER NOT NULL,
  revoked INTEGER,
  revoked_for TEXT,
  last_issued INTEGER NOT NULL,
  last_used INTEGER,
  last_used_address TEXT,
  last_used_user_agent TEXT,
  PRIMARY KEY (org, id),
  FOREIGN KEY (org, client) REFERENCES oauth_client (org, id)
) STRICT;
CREATE INDEX oauth_grant_client ON oauth_grant (org, client);
CREATE INDEX oauth_grant_expires ON oauth_grant (expires);

CREATE TABLE oauth_code (
  org BLOB NOT NULL CHECK (length(org) = 16),
  code_sha256 BLOB NOT NULL CHECK (length(code_sha256) = 32),
  client BLOB NOT NULL CHECK (length(client) = 16),
  redirect_uri TEXT NOT NULL,
  code_challenge TEXT,
  scopes TEXT NOT NULL,
  approved_by TEXT NOT NULL,
  expires INTEGER NOT NULL,
  used INTEGER,
  -- What it was exchanged for.
  grant_id BLOB CHECK (length(grant_id) = 16),
  PRIMARY KEY (org, code_sha256),
  FOREIGN KEY (org, client) REFERENCES oauth_client (org, id)
) STRICT;
CREATE INDEX oauth_code_expires ON oauth_code (expires);

CREATE TABLE oauth_refresh (
  org BLOB NOT NULL CHECK (length(org) = 16),
  refresh_sha256 BLOB NOT NULL CHECK (length(refresh_sha256) = 32),
  grant_id BLOB NOT NULL CHECK (length(grant_id) = 16),
  -- The one that was shown for it; none for the first.
  parent BLOB CHECK (length(parent) = 32),
  expires INTEGER NOT NULL,
  used INTEGER,
  PRIMARY KEY (org, refresh_sha256),
  FOREIGN KEY (org, grant_id) REFERENCES oauth_grant (org, id)
) STRICT;
CREATE INDEX oauth_refresh_parent ON oauth_refresh (org, grant_id, parent);
CREATE INDEX oauth_refresh_expires ON oauth_refresh (expires);

-- Assertions that were used.
CREATE TABLE oauth_assertion (
  org BLOB NOT NULL CHECK (length(org) = 16),
  client BLOB NOT NULL CHECK (length(client) = 16),
  jti_sha256 BLOB NOT NULL CHECK (length(jti_sha256) = 32),
  expires INTEGER NOT NULL,
  PRIMARY KEY (org, client, jti_sha256),
  FOREIGN KEY (org, client) REFERENCES oauth_client (org, id)
) STRICT;
CREATE INDEX oauth_assertion_expires ON oauth_assertion (expires);

-- An access token is a token; oauth_grant is empty where the client needs no grant.
ALTER TABLE token ADD COLUMN oauth_client BLOB CHECK (length(oauth_client) = 16);
ALTER TABLE token ADD COLUMN oauth_grant BLOB CHECK (length(oauth_grant) = 16);
CREATE INDEX token_oauth_client ON token (org, oauth_client) WHERE oauth_client IS NOT NULL;
CREATE INDEX token_oauth_grant ON token (org, oauth_grant) WHERE oauth_grant IS NOT NULL;
CREATE INDEX token_oauth_expires ON token (expires) WHERE oauth_client IS NOT NULL;

CREATE TABLE token_event_new (
  org BLOB NOT NULL CHECK (length(org) = 16),
  id BLOB NOT NULL CHECK (length(id) = 16),
  token BLOB,
  kind TEXT NOT NULL CHECK (kind IN (
    'created', 'revoked', 'rotated', 'retired', 'policy_set',
    'expires_in_30_days', 'expires_in_7_days', 'expires_in_1_day',
    'oauth_client_created', 'oauth_client_revoked', 'oauth_secret_rotated', 'oauth_secret_retired',
    'oauth_approval_created', 'oauth_authorized', 'oauth_grant_created', 'oauth_grant_revoked',
    'oauth_code_reused', 'oauth_refresh_reused', 'oauth_plan_refused'
  )),
  actor_kind TEXT NOT NULL CHECK (actor_kind IN ('administrator', 'internal_service', 'oauth_client')),
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  occurred INTEGER NOT NULL,
  oauth_client BLOB CHECK (length(oauth_client) = 16),
  oauth_grant BLOB CHECK (length(oauth_grant) = 16),
  PRIMARY KEY (org, id),
  FOREIGN KEY (org, token) REFERENCES token (org, id)
) STRICT;
INSERT INTO token_event_new (org, id, token, kind, actor_kind, actor, request_id, occurred)
SELECT org, id, token, kind, actor_kind, actor, request_id, occurred FROM token_event;
DROP TABLE token_event;
ALTER TABLE token_event_new RENAME TO token_event;
CREATE INDEX token_event_token ON token_event (org, token);
