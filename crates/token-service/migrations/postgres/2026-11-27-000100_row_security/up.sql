-- The second wall (docs/adr/0016), as the identity-service has it. What is the installation's has no organization:
-- revocation_counter, service_credential and its events.
-- A data migration takes FORCE off a table first, and puts it on again.
-- No row for programs of before: they name no organization, so they could write nothing.
DO $$
DECLARE
    made text;
    own text := 'org = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)';
BEGIN
    FOREACH made IN ARRAY ARRAY[
        'token', 'token_event', 'token_policy', 'oauth_client', 'oauth_approval', 'oauth_assertion', 'oauth_code',
        'oauth_grant', 'oauth_refresh'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', made);
        -- For the owner, too, who is the role of the service.
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', made);
        EXECUTE format('CREATE POLICY tenant_read ON %I FOR SELECT USING (true)', made);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT WITH CHECK (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE USING (%s)', made, own);
        EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE USING (%s)', made, own);
    END LOOP;
END
$$;
