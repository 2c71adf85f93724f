-- Programs of the customer's that hold keys of their own and confirm members (docs/adr/0028). Their public keys are rows of account_key and
-- their grants of org_key_grant, by the agent's id where a user's stands. key_id, challenge: what the keys are made for. granted: the
-- version of the organization key it was given, 0 for none.
CREATE TABLE confirm_agent (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    key_id BLOB NOT NULL,
    challenge BLOB NOT NULL CHECK (length(challenge) = 32),
    granted INTEGER NOT NULL,
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    enrolled INTEGER,
    confirmed INTEGER,
    last_seen INTEGER,
    revoked INTEGER,
    PRIMARY KEY (org, id),
    UNIQUE (secret_sha256),
    CHECK ((granted > 0) = (confirmed IS NOT NULL)),
    CHECK (confirmed IS NULL OR enrolled IS NOT NULL)
) STRICT;

-- Programs of before know no agents, and need not: to them a granter is a granter.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261203000100', '20261201000100');
