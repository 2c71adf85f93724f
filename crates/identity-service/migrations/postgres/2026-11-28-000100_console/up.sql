-- Who may use an organization's console, how they sign in, and their sessions. Of secrets there is the SHA-256 alone, of an
-- OpenID provider's the sealed form.

-- email_key: in lower case, as far as ASCII goes. issuer, subject: of the provider, once it has named the administrator.
CREATE TABLE console_admin (
    org uuid NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'admin', 'owner')),
    created timestamptz NOT NULL,
    last_signed_in timestamptz,
    issuer text COLLATE "C",
    subject text COLLATE "C",
    PRIMARY KEY (org, id),
    UNIQUE (org, email_key),
    UNIQUE (org, issuer, subject),
    CHECK ((issuer IS NULL) = (subject IS NULL))
);

CREATE TABLE admin_invite (
    org uuid NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'admin', 'owner')),
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    created timestamptz NOT NULL,
    created_by text NOT NULL,
    expires timestamptz NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (org, email_key),
    UNIQUE (secret_sha256)
);

-- previous_sha256: of the secret before the last rotation.
CREATE TABLE console_session (
    org uuid NOT NULL,
    id uuid NOT NULL,
    admin_id uuid NOT NULL,
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    rotated timestamptz NOT NULL,
    previous_sha256 bytea CHECK (octet_length(previous_sha256) = 32),
    previous_expires timestamptz,
    created timestamptz NOT NULL,
    last_used timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    revoked timestamptz,
    address text NOT NULL,
    user_agent text NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (secret_sha256),
    UNIQUE (previous_sha256),
    CHECK ((previous_sha256 IS NULL) = (previous_expires IS NULL)),
    FOREIGN KEY (org, admin_id) REFERENCES console_admin (org, id) ON DELETE CASCADE
);

CREATE INDEX console_session_admin ON console_session (org, admin_id);

-- What a sign-in that has begun has to be compared with.
CREATE TABLE sign_in_attempt (
    org uuid NOT NULL,
    state_sha256 bytea NOT NULL CHECK (octet_length(state_sha256) = 32),
    nonce text NOT NULL,
    pkce_verifier text NOT NULL,
    return_to text NOT NULL,
    issuer text NOT NULL,
    expires timestamptz NOT NULL,
    PRIMARY KEY (org, state_sha256),
    UNIQUE (state_sha256)
);

CREATE INDEX sign_in_attempt_expires ON sign_in_attempt (org, expires);

CREATE TABLE sign_in_provider (
    org uuid NOT NULL PRIMARY KEY,
    issuer text NOT NULL,
    client_id text NOT NULL,
    sealed_secret bytea,
    modified timestamptz NOT NULL
);

-- As docs/adr/0016 has it.
DO $$
DECLARE
    made text;
    own text := 'org = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)';
BEGIN
    FOREACH made IN ARRAY ARRAY[
        'console_admin', 'admin_invite', 'console_session', 'sign_in_attempt', 'sign_in_provider'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', made);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', made);
        EXECUTE format('CREATE POLICY tenant_read ON %I FOR SELECT USING (true)', made);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT WITH CHECK (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE USING (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE USING (%s)', made, own);
    END LOOP;
END
$$;

-- Programs of before know no console, so there is nothing that they would make untrue.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261128000100', '20261127000200');
