-- How many users (resource_type 1) and groups (2) have an id from first_id on, up to the next block. Changes that still
-- stand in the outbox are not counted.
CREATE TABLE rank_block (
    org uuid NOT NULL,
    resource_type smallint NOT NULL,
    first_id uuid NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (org, resource_type, first_id)
) WITH (fillfactor = 70);

INSERT INTO rank_block (org, resource_type, first_id, n)
SELECT o.id, 1, CAST('00000000-0000-0000-0000-000000000000' AS uuid),
    (SELECT count(*) FROM scim_user r WHERE r.org = o.id)
    - (SELECT count(*) FROM outbox x WHERE x.org = o.id AND x.kind = 'user.created')
    + (SELECT count(*) FROM outbox x WHERE x.org = o.id AND x.kind = 'user.deleted')
FROM organization o
UNION ALL
SELECT o.id, 2, CAST('00000000-0000-0000-0000-000000000000' AS uuid),
    (SELECT count(*) FROM scim_group r WHERE r.org = o.id)
    - (SELECT count(*) FROM outbox x WHERE x.org = o.id AND x.kind = 'group.created')
    + (SELECT count(*) FROM outbox x WHERE x.org = o.id AND x.kind = 'group.deleted')
FROM organization o;

-- Raised when blocks are split: a numbering that began before must not count into the blocks it saw.
ALTER TABLE event_head ADD COLUMN splits bigint NOT NULL DEFAULT 0;
