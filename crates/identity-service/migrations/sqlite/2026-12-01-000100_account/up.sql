-- What users have beside their SCIM resource (docs/account-keys.md): sign-in, sessions, keys, and the organization key. All of it is
-- public, encrypted in a browser, the hash of a secret, or of OPAQUE, which says nothing without its set-up: that is in a file.

-- stage: 1 setup_required, 2 accepted, 3 confirmed; no row is provisioned, and whether somebody is suspended or deleted is read where
-- users are. issuer, subject: who it is at the provider. granted: the version of the organization key it was given, 0 for none.
CREATE TABLE account (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    stage INTEGER NOT NULL CHECK (stage IN (1, 2, 3)),
    issuer TEXT,
    subject TEXT,
    key_id BLOB,
    granted INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_signed_in INTEGER NOT NULL,
    set_up INTEGER,
    confirmed INTEGER,
    PRIMARY KEY (org, user_id),
    UNIQUE (org, issuer, subject),
    CHECK ((issuer IS NULL) = (subject IS NULL)),
    CHECK ((stage = 1) = (key_id IS NULL)),
    CHECK ((stage = 3) = (granted > 0)),
    CHECK ((stage = 3) = (confirmed IS NOT NULL))
) STRICT;

CREATE INDEX account_stage ON account (org, stage, user_id);
CREATE INDEX account_waiting ON account (org, granted, key_id) WHERE key_id IS NOT NULL;

-- unlocked: since when its user has shown the password or the kit in it.
CREATE TABLE account_session (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    created INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended INTEGER,
    unlocked INTEGER,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (secret_sha256)
) STRICT;

CREATE INDEX account_session_user ON account_session (org, user_id);
CREATE INDEX account_session_expires ON account_session (org, expires);

-- A password that is about to be registered. kind: 1 with the first keys, 2 with new ones, 3 for the keys there are. set_up_id: of the
-- OPAQUE set-up, which is in a file.
CREATE TABLE account_registration (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    session_id BLOB NOT NULL,
    kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
    key_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    challenge BLOB NOT NULL CHECK (length(challenge) = 32),
    set_up_id BLOB NOT NULL CHECK (length(set_up_id) = 32),
    created INTEGER NOT NULL,
    PRIMARY KEY (org, user_id)
) STRICT;

-- Public keys, and that their owner had the private ones. Former ones stay: grants name who granted.
CREATE TABLE account_key (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    enc_pub BLOB NOT NULL CHECK (length(enc_pub) = 32),
    sig_pub BLOB NOT NULL CHECK (length(sig_pub) = 32),
    possession BLOB NOT NULL CHECK (length(possession) = 64),
    challenge BLOB NOT NULL CHECK (length(challenge) = 32),
    created INTEGER NOT NULL,
    retired INTEGER,
    PRIMARY KEY (org, id),
    UNIQUE (org, user_id, version)
) STRICT;

-- The account secret, encrypted in the browser. Of the current key alone.
CREATE TABLE account_key_wrap (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('password', 'recovery')),
    key_id BLOB NOT NULL,
    nonce BLOB NOT NULL CHECK (length(nonce) = 12),
    ciphertext BLOB NOT NULL CHECK (length(ciphertext) = 48),
    created INTEGER NOT NULL,
    PRIMARY KEY (org, user_id, kind)
) STRICT;

-- memory (KiB), iterations, parallelism: how the client stretches the password.
CREATE TABLE opaque_record (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    id BLOB NOT NULL,
    record BLOB NOT NULL CHECK (length(record) = 192),
    set_up_id BLOB NOT NULL CHECK (length(set_up_id) = 32),
    memory INTEGER NOT NULL,
    iterations INTEGER NOT NULL,
    parallelism INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (org, user_id)
) STRICT;

-- Of the proof that the kit gives.
CREATE TABLE recovery_verifier (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    proof_sha256 BLOB NOT NULL CHECK (length(proof_sha256) = 32),
    created INTEGER NOT NULL,
    PRIMARY KEY (org, user_id)
) STRICT;

-- Guesses in a row that nobody finished. told: when an event last said that more were refused.
CREATE TABLE unlock_limit (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    unfinished INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    told INTEGER,
    PRIMARY KEY (org, user_id)
) STRICT;

-- Guesses of all members of an organization that nobody finished, since an instant.
CREATE TABLE unlock_budget (
    org BLOB NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL,
    unfinished INTEGER NOT NULL,
    told INTEGER
) STRICT;

-- Between the two messages of an unlock: a minute, and once. record_id absent: there is none, and nothing finishes it.
CREATE TABLE login_state (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    session_id BLOB NOT NULL,
    record_id BLOB,
    state BLOB NOT NULL CHECK (length(state) = 128),
    expires INTEGER NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;

CREATE INDEX login_state_expires ON login_state (org, expires);

-- An organization key of a version: sealed to the organization kit, and the version before encrypted under it. rotation_due: since
-- when somebody has it who should not.
CREATE TABLE org_key (
    org BLOB NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    made_by BLOB NOT NULL,
    made_by_key BLOB NOT NULL,
    link_nonce BLOB CHECK (length(link_nonce) = 12),
    link_ciphertext BLOB CHECK (length(link_ciphertext) = 48),
    kit_pub BLOB NOT NULL CHECK (length(kit_pub) = 32),
    kit_enc BLOB NOT NULL CHECK (length(kit_enc) = 32),
    kit_ciphertext BLOB NOT NULL CHECK (length(kit_ciphertext) = 48),
    kit_signature BLOB NOT NULL CHECK (length(kit_signature) = 64),
    created INTEGER NOT NULL,
    rotation_due INTEGER,
    PRIMARY KEY (org, version),
    CHECK ((version = 1) = (link_nonce IS NULL)),
    CHECK ((link_nonce IS NULL) = (link_ciphertext IS NULL))
) STRICT;

-- An organization key, sealed to a member's public key by another member's browser.
CREATE TABLE org_key_grant (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    recipient_key_id BLOB NOT NULL,
    enc BLOB NOT NULL CHECK (length(enc) = 32),
    ciphertext BLOB NOT NULL CHECK (length(ciphertext) = 48),
    signature BLOB NOT NULL CHECK (length(signature) = 64),
    granter_key_id BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (org, user_id, version)
) STRICT;

CREATE INDEX org_key_grant_granter ON org_key_grant (org, granter_key_id);

-- link: 1 e-mail, 2 userName, 3 externalId.
CREATE TABLE account_policy (
    org BLOB NOT NULL PRIMARY KEY,
    link INTEGER NOT NULL CHECK (link IN (1, 2, 3)),
    just_in_time INTEGER NOT NULL,
    confirm_automatically INTEGER NOT NULL,
    modified INTEGER NOT NULL
) STRICT;

-- No row for programs of before: they erase users without their keys, and do not note that a key is to be rotated.
