DELETE FROM __schema_compatibility WHERE migration = '20261130000100';
ALTER TABLE organization DROP COLUMN requests_watched_until;
ALTER TABLE organization DROP COLUMN request_log_days;
DROP INDEX event_subject;
DROP TABLE request_count;
DROP TABLE request_log;
