-- What internal services show to call the gRPC ports: of the installation, not of an organization.
-- Room in each page, and no index on the last uses, so that recording one stays a heap-only update.
CREATE TABLE service_credential (
  id uuid NOT NULL PRIMARY KEY,
  name text NOT NULL,
  scopes text NOT NULL,
  secret_sha256 bytea CHECK (length(secret_sha256) = 32),
  previous_sha256 bytea CHECK (length(previous_sha256) = 32),
  previous_expires timestamptz,
  tls_identity text,
  created timestamptz NOT NULL,
  created_by text NOT NULL,
  expires timestamptz,
  revoked timestamptz,
  last_used timestamptz,
  secret_used timestamptz,
  revocation bigint,
  CHECK (secret_sha256 IS NOT NULL OR tls_identity IS NOT NULL),
  CHECK ((previous_sha256 IS NULL) = (previous_expires IS NULL))
) WITH (fillfactor = 85);

CREATE UNIQUE INDEX service_credential_name_key ON service_credential (name) WHERE revoked IS NULL;
CREATE UNIQUE INDEX service_credential_tls_identity_key ON service_credential (tls_identity) WHERE revoked IS NULL;
CREATE UNIQUE INDEX service_credential_secret_sha256_key ON service_credential (secret_sha256);
CREATE UNIQUE INDEX service_credential_previous_sha256_key ON service_credential (previous_sha256);
-- 0: to be numbered; absent: nothing of it was revoked.
CREATE INDEX service_credential_revocation ON service_credential (revocation) WHERE revocation IS NOT NULL;

CREATE TABLE service_credential_event (
  id uuid NOT NULL PRIMARY KEY,
  credential uuid NOT NULL REFERENCES service_credential (id),
  kind text NOT NULL CHECK (kind IN ('created', 'rotated', 'retired', 'revoked')),
  actor_kind text NOT NULL CHECK (actor_kind IN ('administrator', 'internal_service')),
  actor text NOT NULL,
  request_id text NOT NULL,
  occurred timestamptz NOT NULL
);

CREATE INDEX service_credential_event_credential ON service_credential_event (credential);

-- An older token-service knows no such credential and lets none in; beside it a revocation may take five seconds.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261126150200', '20261126000400');
