DROP TABLE schema_extension;
