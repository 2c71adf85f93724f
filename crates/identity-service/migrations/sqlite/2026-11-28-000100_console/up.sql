-- Who may use an organization's console, how they sign in, and their sessions. Of secrets there is the SHA-256 alone, of an
-- OpenID provider's the sealed form.

-- email_key: in lower case, as far as ASCII goes. issuer, subject: of the provider, once it has named the administrator.
CREATE TABLE console_admin (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'admin', 'owner')),
    created INTEGER NOT NULL,
    last_signed_in INTEGER,
    issuer TEXT,
    subject TEXT,
    PRIMARY KEY (org, id),
    UNIQUE (org, email_key),
    UNIQUE (org, issuer, subject),
    CHECK ((issuer IS NULL) = (subject IS NULL))
) STRICT;

CREATE TABLE admin_invite (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'admin', 'owner')),
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (org, email_key),
    UNIQUE (secret_sha256)
) STRICT;

-- previous_sha256: of the secret before the last rotation.
CREATE TABLE console_session (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    admin_id BLOB NOT NULL,
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    rotated INTEGER NOT NULL,
    previous_sha256 BLOB CHECK (length(previous_sha256) = 32),
    previous_expires INTEGER,
    created INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (secret_sha256),
    UNIQUE (previous_sha256),
    CHECK ((previous_sha256 IS NULL) = (previous_expires IS NULL)),
    FOREIGN KEY (org, admin_id) REFERENCES console_admin (org, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX console_session_admin ON console_session (org, admin_id);

-- What a sign-in that has begun has to be compared with.
CREATE TABLE sign_in_attempt (
    org BLOB NOT NULL,
    state_sha256 BLOB NOT NULL CHECK (length(state_sha256) = 32),
    nonce TEXT NOT NULL,
    pkce_verifier TEXT NOT NULL,
    return_to TEXT NOT NULL,
    issuer TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (org, state_sha256),
    UNIQUE (state_sha256)
) STRICT;

CREATE INDEX sign_in_attempt_expires ON sign_in_attempt (org, expires);

CREATE TABLE sign_in_provider (
    org BLOB NOT NULL PRIMARY KEY,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    sealed_secret BLOB,
    modified INTEGER NOT NULL
) STRICT;

-- Programs of before know no console, so there is nothing that they would make untrue.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261128000100', '20261127000200');
