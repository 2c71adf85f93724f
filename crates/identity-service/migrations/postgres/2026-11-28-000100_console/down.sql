DELETE FROM __schema_compatibility WHERE migration = '20261128000100';
DROP TABLE sign_in_provider;
DROP TABLE sign_in_attempt;
DROP TABLE console_session;
DROP TABLE admin_invite;
DROP TABLE console_admin;
