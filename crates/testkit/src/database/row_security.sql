-- What a SELECT sees is what the transaction's organization may write. Superusers, as a test's own connections are, are above
-- policies.
CREATE SCHEMA row_security;
GRANT USAGE ON SCHEMA row_security TO PUBLIC;

CREATE FUNCTION row_security.hold() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
  made record;
  own text;
BEGIN
  FOR made IN
    SELECT p.polname, CAST(p.polrelid AS regclass) AS name,
      (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = p.polrelid AND a.attname IN ('org', 'id')
       ORDER BY a.attname DESC LIMIT 1) AS org
    FROM pg_event_trigger_ddl_commands() d JOIN pg_policy p ON p.oid = d.objid WHERE p.polcmd = 'r'
  LOOP
    own := format('%I = CAST(nullif(current_setting(''rollcall.org'', true), '''') AS uuid)', made.org);
    -- Where it is found out which organizations have work.
    -- And where a credential is looked up, which shows whose it is.
    IF CAST(made.name AS text) IN (
      'organization', 'outbox', 'group_tombstone', 'idempotency_key', 'membership_move', 'deleted_user', 'event_head',
      'loss_watch', 'hold', 'mail', 'request_log', 'request_count', 'console_admin', 'admin_invite', 'console_session', 'sign_in_attempt', 'account_session', 'confirm_agent',
      'login_state',
      'token', 'token_event', 'oauth_client', 'oauth_approval', 'oauth_assertion', 'oauth_code', 'oauth_grant',
      'oauth_refresh'
    ) THEN
      own := own || ' OR coalesce(current_setting(''rollcall.across'', true), '''') = ''on''';
    END IF;
    EXECUTE format('ALTER POLICY %I ON %s USING (%s)', made.polname, made.name, own);
  END LOOP;
END $$;

CREATE EVENT TRIGGER row_security ON ddl_command_end WHEN TAG IN ('CREATE POLICY')
  EXECUTE FUNCTION row_security.hold();
