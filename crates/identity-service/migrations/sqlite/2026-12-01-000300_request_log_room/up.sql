-- How much of the provisioning log an organization takes (docs/adr/0024), by the hour: entries that changed nothing and their bytes, the
-- bytes of all, and how many requests are counted but not in the log.
ALTER TABLE request_count ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request_count ADD COLUMN in_vain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request_count ADD COLUMN in_vain_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request_count ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0;

-- Programs of before write entries that nobody counts, as they always did.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261201000300', '20261129000200');
