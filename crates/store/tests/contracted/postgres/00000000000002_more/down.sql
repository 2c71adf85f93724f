DROP TABLE more;
DELETE FROM __schema_compatibility WHERE migration = '00000000000002';
