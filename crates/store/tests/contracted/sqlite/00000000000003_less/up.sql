DROP TABLE more;
INSERT INTO __schema_compatibility (migration, known) VALUES ('00000000000003', '00000000000002');
