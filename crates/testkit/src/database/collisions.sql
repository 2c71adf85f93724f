-- Every transaction of the product is SERIALIZABLE, and one in ten of those that write fails with SQLSTATE 40001: at its
-- first, second or third writing statement, or at COMMIT. Which ones is a matter of their ids and the seed.
-- Connections that do not call themselves rollcall are a test's own, and are spared.
CREATE SCHEMA collisions;
GRANT USAGE ON SCHEMA collisions TO PUBLIC;

CREATE FUNCTION collisions.lot() RETURNS bigint LANGUAGE sql STABLE AS
  $$ SELECT hashint8extended(pg_current_xact_id()::text::bigint, {seed}) & 65535 $$;

CREATE FUNCTION collisions.doomed() RETURNS boolean LANGUAGE sql STABLE AS
  $$ SELECT current_setting('application_name') = 'rollcall' AND collisions.lot() % 10 = 0 $$;

CREATE FUNCTION collisions.at_statement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  n bigint := coalesce(nullif(current_setting('collisions.statements', true), ''), '0')::bigint;
BEGIN
  PERFORM set_config('collisions.statements', (n + 1)::text, true);
  IF n = collisions.lot() / 10 % 4 THEN
    RAISE serialization_failure USING MESSAGE = 'could not serialize access: injected at a statement';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION collisions.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE serialization_failure USING MESSAGE = 'could not serialize access: injected at commit';
END $$;

CREATE FUNCTION collisions.arm() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
  made record;
BEGIN
  FOR made IN SELECT DISTINCT objid FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
    EXECUTE format(
      'CREATE TRIGGER collision_at_statement BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT
       WHEN (collisions.doomed()) EXECUTE FUNCTION collisions.at_statement()', made.objid::regclass);
    EXECUTE format(
      'CREATE CONSTRAINT TRIGGER collision_at_commit AFTER INSERT OR UPDATE OR DELETE ON %s
       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
       WHEN (collisions.doomed()) EXECUTE FUNCTION collisions.at_commit()', made.objid::regclass);
  END LOOP;
END $$;

CREATE EVENT TRIGGER collisions ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION collisions.arm();
