-- What internal services show to call the gRPC ports: of the installation, not of an organization.
CREATE TABLE service_credential (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  secret_sha256 BLOB CHECK (length(secret_sha256) = 32),
  previous_sha256 BLOB CHECK (length(previous_sha256) = 32),
  previous_expires INTEGER,
  tls_identity TEXT,
  created INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires INTEGER,
  revoked INTEGER,
  last_used INTEGER,
  secret_used INTEGER,
  revocation INTEGER,
  CHECK (secret_sha256 IS NOT NULL OR tls_identity IS NOT NULL),
  CHECK ((previous_sha256 IS NULL) = (previous_expires IS NULL))
) STRICT;

CREATE UNIQUE INDEX service_credential_name_key ON service_credential (name) WHERE revoked IS NULL;
CREATE UNIQUE INDEX service_credential_tls_identity_key ON service_credential (tls_identity) WHERE revoked IS NULL;
CREATE UNIQUE INDEX service_credential_secret_sha256_key ON service_credential (secret_sha256);
CREATE UNIQUE INDEX service_credential_previous_sha256_key ON service_credential (previous_sha256);
-- 0: to be numbered; absent: nothing of it was revoked.
CREATE INDEX service_credential_revocation ON service_credential (revocation) WHERE revocation IS NOT NULL;

CREATE TABLE service_credential_event (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  credential BLOB NOT NULL REFERENCES service_credential (id),
  kind TEXT NOT NULL CHECK (kind IN ('created', 'rotated', 'retired', 'revoked')),
  actor_kind TEXT NOT NULL CHECK (actor_kind IN ('administrator', 'internal_service')),
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  occurred INTEGER NOT NULL
) STRICT;

CREATE INDEX service_credential_event_credential ON service_credential_event (credential);

-- An older token-service knows no such credential and lets none in; beside it a revocation may take five seconds.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261126150200', '20261126000400');
