-- What users have beside their SCIM resource (docs/account-keys.md): sign-in, sessions, keys, and the organization key. All of it is
-- public, encrypted in a browser, the hash of a secret, or of OPAQUE, which says nothing without its set-up: that is in a file.

-- stage: 1 setup_required, 2 accepted, 3 confirmed; no row is provisioned, and whether somebody is suspended or deleted is read where
-- users are. issuer, subject: who it is at the provider. granted: the version of the organization key it was given, 0 for none.
CREATE TABLE account (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    stage smallint NOT NULL CHECK (stage IN (1, 2, 3)),
    issuer text COLLATE "C",
    subject text COLLATE "C",
    key_id uuid,
    granted bigint NOT NULL,
    created timestamptz NOT NULL,
    last_signed_in timestamptz NOT NULL,
    set_up timestamptz,
    confirmed timestamptz,
    PRIMARY KEY (org, user_id),
    UNIQUE (org, issuer, subject),
    CHECK ((issuer IS NULL) = (subject IS NULL)),
    CHECK ((stage = 1) = (key_id IS NULL)),
    CHECK ((stage = 3) = (granted > 0)),
    CHECK ((stage = 3) = (confirmed IS NOT NULL))
);

CREATE INDEX account_stage ON account (org, stage, user_id);
CREATE INDEX account_waiting ON account (org, granted, key_id) WHERE key_id IS NOT NULL;

-- unlocked: since when its user has shown the password or the kit in it.
CREATE TABLE account_session (
    org uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    created timestamptz NOT NULL,
    last_used timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    ended timestamptz,
    unlocked timestamptz,
    address text NOT NULL,
    user_agent text NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (secret_sha256)
);

CREATE INDEX account_session_user ON account_session (org, user_id);
CREATE INDEX account_session_expires ON account_session (org, expires);

-- A password that is about to be registered. kind: 1 with the first keys, 2 with new ones, 3 for the keys there are. set_up_id: of the
-- OPAQUE set-up, which is in a file.
CREATE TABLE account_registration (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    kind smallint NOT NULL CHECK (kind IN (1, 2, 3)),
    key_id uuid NOT NULL,
    version bigint NOT NULL,
    challenge bytea NOT NULL CHECK (octet_length(challenge) = 32),
    set_up_id bytea NOT NULL CHECK (octet_length(set_up_id) = 32),
    created timestamptz NOT NULL,
    PRIMARY KEY (org, user_id)
);

-- Public keys, and that their owner had the private ones. Former ones stay: grants name who granted.
CREATE TABLE account_key (
    org uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    version bigint NOT NULL,
    enc_pub bytea NOT NULL CHECK (octet_length(enc_pub) = 32),
    sig_pub bytea NOT NULL CHECK (octet_length(sig_pub) = 32),
    possession bytea NOT NULL CHECK (octet_length(possession) = 64),
    challenge bytea NOT NULL CHECK (octet_length(challenge) = 32),
    created timestamptz NOT NULL,
    retired timestamptz,
    PRIMARY KEY (org, id),
    UNIQUE (org, user_id, version)
);

-- The account secret, encrypted in the browser. Of the current key alone.
CREATE TABLE account_key_wrap (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('password', 'recovery')),
    key_id uuid NOT NULL,
    nonce bytea NOT NULL CHECK (octet_length(nonce) = 12),
    ciphertext bytea NOT NULL CHECK (octet_length(ciphertext) = 48),
    created timestamptz NOT NULL,
    PRIMARY KEY (org, user_id, kind)
);

-- memory (KiB), iterations, parallelism: how the client stretches the password.
CREATE TABLE opaque_record (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    record bytea NOT NULL CHECK (octet_length(record) = 192),
    set_up_id bytea NOT NULL CHECK (octet_length(set_up_id) = 32),
    memory bigint NOT NULL,
    iterations bigint NOT NULL,
    parallelism bigint NOT NULL,
    created timestamptz NOT NULL,
    PRIMARY KEY (org, user_id)
);

-- Of the proof that the kit gives.
CREATE TABLE recovery_verifier (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    proof_sha256 bytea NOT NULL CHECK (octet_length(proof_sha256) = 32),
    created timestamptz NOT NULL,
    PRIMARY KEY (org, user_id)
);

-- Guesses in a row that nobody finished. told: when an event last said that more were refused.
CREATE TABLE unlock_limit (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    unfinished bigint NOT NULL,
    next_at timestamptz NOT NULL,
    told timestamptz,
    PRIMARY KEY (org, user_id)
);

-- Guesses of all members of an organization that nobody finished, since an instant.
CREATE TABLE unlock_budget (
    org uuid NOT NULL PRIMARY KEY,
    since timestamptz NOT NULL,
    unfinished bigint NOT NULL,
    told timestamptz
);

-- Between the two messages of an unlock: a minute, and once. record_id absent: there is none, and nothing finishes it.
CREATE TABLE login_state (
    org uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    record_id uuid,
    state bytea NOT NULL CHECK (octet_length(state) = 128),
    expires timestamptz NOT NULL,
    PRIMARY KEY (org, id)
);

CREATE INDEX login_state_expires ON login_state (org, expires);

-- An organization key of a version: sealed to the organization kit, and the version before encrypted under it. rotation_due: since
-- when somebody has it who should not.
CREATE TABLE org_key (
    org uuid NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    made_by uuid NOT NULL,
    made_by_key uuid NOT NULL,
    link_nonce bytea CHECK (octet_length(link_nonce) = 12),
    link_ciphertext bytea CHECK (octet_length(link_ciphertext) = 48),
    kit_pub bytea NOT NULL CHECK (octet_length(kit_pub) = 32),
    kit_enc bytea NOT NULL CHECK (octet_length(kit_enc) = 32),
    kit_ciphertext bytea NOT NULL CHECK (octet_length(kit_ciphertext) = 48),
    kit_signature bytea NOT NULL CHECK (octet_length(kit_signature) = 64),
    created timestamptz NOT NULL,
    rotation_due timestamptz,
    PRIMARY KEY (org, version),
    CHECK ((version = 1) = (link_nonce IS NULL)),
    CHECK ((link_nonce IS NULL) = (link_ciphertext IS NULL))
);

-- An organization key, sealed to a member's public key by another member's browser.
CREATE TABLE org_key_grant (
    org uuid NOT NULL,
    user_id uuid NOT NULL,
    version bigint NOT NULL,
    recipient_key_id uuid NOT NULL,
    enc bytea NOT NULL CHECK (octet_length(enc) = 32),
    ciphertext bytea NOT NULL CHECK (octet_length(ciphertext) = 48),
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    granter_key_id uuid NOT NULL,
    created timestamptz NOT NULL,
    PRIMARY KEY (org, user_id, version)
);

CREATE INDEX org_key_grant_granter ON org_key_grant (org, granter_key_id);

-- link: 1 e-mail, 2 userName, 3 externalId.
CREATE TABLE account_policy (
    org uuid NOT NULL PRIMARY KEY,
    link smallint NOT NULL CHECK (link IN (1, 2, 3)),
    just_in_time boolean NOT NULL,
    confirm_automatically boolean NOT NULL,
    modified timestamptz NOT NULL
);

-- As docs/adr/0016 has it.
DO $$
DECLARE
    made text;
    own text := 'org = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)';
BEGIN
    FOREACH made IN ARRAY ARRAY[
        'account', 'account_session', 'account_registration', 'account_key', 'account_key_wrap',
        'opaque_record', 'recovery_verifier', 'unlock_limit', 'unlock_budget', 'login_state', 'org_key',
        'org_key_grant', 'account_policy'
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

-- No row for programs of before: they erase users without their keys, and do not note that a key is to be rotated.
