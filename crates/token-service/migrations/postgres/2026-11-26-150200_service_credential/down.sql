DELETE FROM __schema_compatibility WHERE migration = '20261126150200';
DROP TABLE service_credential_event;
DROP TABLE service_credential;
