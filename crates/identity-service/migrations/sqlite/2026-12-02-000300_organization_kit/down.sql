DELETE FROM __schema_compatibility WHERE migration = '20261202000300';
ALTER TABLE org_key DROP COLUMN kit_verifier;
