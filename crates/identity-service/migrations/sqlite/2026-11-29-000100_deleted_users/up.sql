-- Users that were deleted and can be restored (docs/adr/0023). What is derived from the stored form is not kept.
CREATE TABLE deleted_user (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    resource TEXT NOT NULL,
    deleted_at INTEGER NOT NULL,
    purge_at INTEGER NOT NULL,
    deleted_by TEXT NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;

CREATE INDEX deleted_user_deleted_at ON deleted_user (org, deleted_at, id);
CREATE INDEX deleted_user_purge_at ON deleted_user (org, purge_at);

-- The groups they were in, with their names then.
CREATE TABLE deleted_user_group (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    group_id BLOB NOT NULL,
    display_name TEXT NOT NULL,
    PRIMARY KEY (org, user_id, group_id)
) STRICT, WITHOUT ROWID;

-- Users of many groups that are still leaving them (direction 1), or coming back to them (2).
CREATE TABLE membership_move (
    org BLOB NOT NULL,
    user_id BLOB NOT NULL,
    direction INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (org, user_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE organization ADD COLUMN deletion_grace_days INTEGER NOT NULL DEFAULT 30;
-- No row for programs of before: they delete for good, and do not count who is restored.
