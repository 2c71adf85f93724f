-- A rowid table: the primary key is narrow, the rows are wide.
CREATE TABLE token (
  org BLOB NOT NULL CHECK (length(org) = 16),
  id BLOB NOT NULL CHECK (length(id) = 16),
  description TEXT NOT NULL,
  secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
  created INTEGER NOT NULL,
  expires INTEGER,
  revoked INTEGER,
  last_used INTEGER,
  PRIMARY KEY (org, id),
  UNIQUE (secret_sha256)
) STRICT;

CREATE TABLE token_event (
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

CREATE INDEX token_event_token ON token_event (org, token);
