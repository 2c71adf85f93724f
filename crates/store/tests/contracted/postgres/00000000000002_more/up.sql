CREATE TABLE more (a INTEGER);
INSERT INTO __schema_compatibility (migration, known) VALUES ('00000000000002', '00000000000001');
