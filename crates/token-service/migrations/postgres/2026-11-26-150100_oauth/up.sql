-- Says nothing for older programs (ADR 10): they would take access tokens for SCIM tokens that can be rotated.

CREATE TABLE oauth_client (
  org uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  secret_sha256 bytea CHECK (octet_length(secret_sha256) = 32),
  secret_used timestamptz,
  old_secret_sha256 bytea CHECK (octet_length(old_secret_sha256) = 32),
  old_secret_expires timestamptz,
  grant_types text NOT NULL,
  redirect_uris text NOT NULL,
  scopes text NOT NULL,
  allowed_cidrs text NOT NULL,
  trust_issuer text,
  trust_subject text,
  trust_audience text,
  trust_jwks text,
  trust_jwks_uri text,
  created timestamptz NOT NULL,
  created_by text NOT NULL,
  revoked timestamptz,
  last_issued timestamptz,
  PRIMARY KEY (org, id),
  -- The id is how an unknown caller says which organization it belongs to.
  UNIQUE (id)
) WITH (fillfactor = 85);

CREATE TABLE oauth_approval (
  org uuid NOT NULL,
  client uuid NOT NULL,
  code_sha256 bytea NOT NULL CHECK (octet_length(code_sha256) = 32),
  created_by text NOT NULL,
  expires timestamptz NOT NULL,
  used timestamptz,
  guesses bigint NOT NULL,
  PRIMARY KEY (org, client, code_sha256),
  FOREIGN KEY (org, client) REFERENCES oauth_client (org, id)
);
CREATE INDEX oauth_approval_expires ON oauth_approval (expires);

CREATE TABLE oauth_grant (
  org uuid NOT NULL,
  id uuid NOT NULL,
  client uuid NOT NULL,
  scopes text NOT NULL,
  created timestamptz NOT NULL,
  approved_by text NOT NULL,
  expires timestamptz NOT NULL,
  revoked timestamptz,
  revoked_for text,
  last_issued timestamptz NOT NULL,
  last_used timestamptz,
  last_used_address text,
  last_used_user_agent text,
  PRIMARY KEY (org, id),
  FOREIGN KEY (org, client) REFERENCES oauth_client (org, id)
) WITH (fillfactor = 85);
CREATE INDEX oauth_grant_client ON oauth_grant (org, client);
CREATE INDEX oauth_grant_expires ON oauth_grant (expires);

CREATE TABLE oauth_code (
  org uuid NOT NULL,
  code_sha256 bytea NOT NULL CHECK (octet_length(code_sha256) = 32),
  client uuid NOT NULL,
  redirect_uri text NOT NULL,
  code_challenge text,
  scopes text NOT NULL,
  approved_by text NOT NULL,
  expires timestamptz NOT NULL,
  used timestamptz,
  -- What it was exchanged for.
  grant_id uuid,
  PRIMARY KEY (org, code_sha256),
  FOREIGN KEY (org, client) REFERENCES oauth_client (org, id)
);
CREATE INDEX oauth_code_expires ON oauth_code (expires);

CREATE TABLE oauth_refresh (
  org uuid NOT NULL,
  refresh_sha256 bytea NOT NULL CHECK (octet_length(refresh_sha256) = 32),
  grant_id uuid NOT NULL,
  -- The one that was shown for it; none for the first.
  parent bytea CHECK (octet_length(parent) = 32),
  expires timestamptz NOT NULL,
  used timestamptz,
  PRIMARY KEY (org, refresh_sha256),
  FOREIGN KEY (org, grant_id) REFERENCES oauth_grant (org, id)
);
CREATE INDEX oauth_refresh_parent ON oauth_refresh (org, grant_id, parent);
CREATE INDEX oauth_refresh_expires ON oauth_refresh (expires);

-- Assertions that were used.
CREATE TABLE oauth_assertion (
  org uuid NOT NULL,
  client uuid NOT NULL,
  jti_sha256 bytea NOT NULL CHECK (octet_length(jti_sha256) = 32),
  expires timestamptz NOT NULL,
  PRIMARY KEY (org, client, jti_sha256),
  FOREIGN KEY (org, client) REFERENCES oauth_client (org, id)
);
CREATE INDEX oauth_assertion_expires ON oauth_assertion (expires);

-- An access token is a token; oauth_grant is empty where the client needs no grant.
ALTER TABLE token
  ADD COLUMN oauth_client uuid,
  ADD COLUMN oauth_grant uuid;
CREATE INDEX token_oauth_client ON token (org, oauth_client) WHERE oauth_client IS NOT NULL;
CREATE INDEX token_oauth_grant ON token (org, oauth_grant) WHERE oauth_grant IS NOT NULL;
CREATE INDEX token_oauth_expires ON token (expires) WHERE oauth_client IS NOT NULL;

ALTER TABLE token_event
  ADD COLUMN oauth_client uuid,
  ADD COLUMN oauth_grant uuid;
ALTER TABLE token_event DROP CONSTRAINT token_event_kind_check;
ALTER TABLE token_event ADD CONSTRAINT token_event_kind_check CHECK (kind IN (
  'created', 'revoked', 'rotated', 'retired', 'policy_set',
  'expires_in_30_days', 'expires_in_7_days', 'expires_in_1_day',
  'oauth_client_created', 'oauth_client_revoked', 'oauth_secret_rotated', 'oauth_secret_retired',
  'oauth_approval_created', 'oauth_authorized', 'oauth_grant_created', 'oauth_grant_revoked',
  'oauth_code_reused', 'oauth_refresh_reused', 'oauth_plan_refused'
));
ALTER TABLE token_event DROP CONSTRAINT token_event_actor_kind_check;
ALTER TABLE token_event ADD CONSTRAINT token_event_actor_kind_check
  CHECK (actor_kind IN ('administrator', 'internal_service', 'oauth_client'));
