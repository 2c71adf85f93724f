-- How many users (resource_type 1) and groups (2) have an id from first_id on, up to the next block.
CREATE TABLE rank_block (
    org BLOB NOT NULL,
    resource_type INTEGER NOT NULL,
    first_id BLOB NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (org, resource_type, first_id)
) STRICT, WITHOUT ROWID;

INSERT INTO rank_block (org, resource_type, first_id, n)
SELECT o.id, 1, zeroblob(16), (SELECT count(*) FROM scim_user r WHERE r.org = o.id) FROM organization o
UNION ALL
SELECT o.id, 2, zeroblob(16), (SELECT count(*) FROM scim_group r WHERE r.org = o.id) FROM organization o;

-- Of use on PostgreSQL only.
ALTER TABLE event_head ADD COLUMN splits INTEGER NOT NULL DEFAULT 0;
