DELETE FROM __schema_compatibility WHERE migration = '20261202000200';
DROP INDEX request_log_name;
ALTER TABLE request_log DROP COLUMN name_key;
