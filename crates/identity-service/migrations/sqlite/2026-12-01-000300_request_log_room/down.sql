DELETE FROM __schema_compatibility WHERE migration = '20261201000300';
ALTER TABLE request_count DROP COLUMN kept_bytes;
ALTER TABLE request_count DROP COLUMN in_vain_bytes;
ALTER TABLE request_count DROP COLUMN in_vain;
ALTER TABLE request_count DROP COLUMN left_out;
