CREATE TABLE more (a INTEGER);
DELETE FROM __schema_compatibility WHERE migration = '00000000000003';
