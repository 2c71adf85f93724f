-- Programs of the customer's that hold keys of their own and confirm members (docs/adr/0028). Their public keys are rows of account_key and
-- their grants of org_key_grant, by the agent's id where a user's stands. key_id, challenge: what the keys are made for. granted: the
-- version of the organization key it was given, 0 for none.
CREATE TABLE confirm_agent (
    org uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    key_id uuid NOT NULL,
    challenge bytea NOT NULL CHECK (octet_length(challenge) = 32),
    granted bigint NOT NULL,
    created timestamptz NOT NULL,
    created_by text NOT NULL,
    enrolled timestamptz,
    confirmed timestamptz,
    last_seen timestamptz,
    revoked timestamptz,
    PRIMARY KEY (org, id),
    UNIQUE (secret_sha256),
    CHECK ((granted > 0) = (confirmed IS NOT NULL)),
    CHECK (confirmed IS NULL OR enrolled IS NOT NULL)
);

-- As docs/adr/0016 has it.
DO $$
DECLARE
    own text := 'org = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)';
BEGIN
    ALTER TABLE confirm_agent ENABLE ROW LEVEL SECURITY;
    ALTER TABLE confirm_agent FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant_read ON confirm_agent FOR SELECT USING (true);
    EXECUTE format('CREATE POLICY tenant_insert ON confirm_agent FOR INSERT WITH CHECK (%s)', own);
    EXECUTE format('CREATE POLICY tenant_update ON confirm_agent FOR UPDATE USING (%s)', own);
    EXECUTE format('CREATE POLICY tenant_delete ON confirm_agent FOR DELETE USING (%s)', own);
END
$$;

-- Programs of before know no agents, and need not: to them a granter is a granter.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261203000100', '20261201000100');
