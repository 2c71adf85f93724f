-- Room in each page, and no index on last_used, so that recording a use stays a heap-only update.
CREATE TABLE token (
  org uuid NOT NULL,
  id uuid NOT NULL,
  description text NOT NULL,
  secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
  created timestamptz NOT NULL,
  expires timestamptz,
  revoked timestamptz,
  last_used timestamptz,
  PRIMARY KEY (org, id),
  UNIQUE (secret_sha256)
) WITH (fillfactor = 85);

CREATE TABLE token_event (
  org uuid NOT NULL,
  id uuid NOT NULL,
  token uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('created', 'revoked')),
  actor_kind text NOT NULL CHECK (actor_kind IN ('administrator', 'internal_service')),
  actor text NOT NULL,
  request_id text NOT NULL,
  occurred timestamptz NOT NULL,
  PRIMARY KEY (org, id),
  FOREIGN KEY (org, token) REFERENCES token (org, id)
);

CREATE INDEX token_event_token ON token_event (org, token);
