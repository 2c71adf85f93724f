-- The second wall (docs/adr/0016): a write touches the rows of the organization that its transaction names, whatever the
-- statement says, and none where it names none. Reads are held to it by their statements alone.
-- Nothing but an equality: with the statement's own it becomes one check for the whole statement, and plans stay as they were.
-- A data migration takes FORCE off a table first, and puts it on again.
-- No row for programs of before: they name no organization, so they could write nothing.
DO $$
DECLARE
    made record;
    own text;
BEGIN
    FOR made IN SELECT * FROM (VALUES
        ('organization', 'id'),
        ('scim_user', 'org'),
        ('user_key', 'org'),
        ('scim_group', 'org'),
        ('group_member', 'org'),
        ('group_tombstone', 'org'),
        ('outbox', 'org'),
        ('event', 'org'),
        ('event_head', 'org'),
        ('rank_block', 'org'),
        ('cursor_key', 'org'),
        ('schema_extension', 'org'),
        ('idempotency_key', 'org')
    ) AS t (name, org) LOOP
        own := format('%I = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)', made.org);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', made.name);
        -- For the owner, too, who is the role of the service.
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', made.name);
        EXECUTE format('CREATE POLICY tenant_read ON %I FOR SELECT USING (true)', made.name);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT WITH CHECK (%s)', made.name, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE USING (%s)', made.name, own);
        EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE USING (%s)', made.name, own);
    END LOOP;
END
$$;
