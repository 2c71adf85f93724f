-- SHA-256 of what shows that somebody has the organization's kit. NULL: of before it was kept.
ALTER TABLE org_key ADD COLUMN kit_verifier bytea CHECK (octet_length(kit_verifier) = 32);

-- Programs of before write none.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261202000300', '20261202000200');
