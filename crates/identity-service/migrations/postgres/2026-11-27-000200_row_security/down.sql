DO $$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT CAST(p.polrelid AS regclass) AS name FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE p.polname = 'tenant_read' AND c.relnamespace = CAST(current_schema() AS regnamespace) LOOP
        EXECUTE format('DROP POLICY tenant_read ON %s', made.name);
        EXECUTE format('DROP POLICY tenant_insert ON %s', made.name);
        EXECUTE format('DROP POLICY tenant_update ON %s', made.name);
        EXECUTE format('DROP POLICY tenant_delete ON %s', made.name);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', made.name);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', made.name);
    END LOOP;
END
$$;
