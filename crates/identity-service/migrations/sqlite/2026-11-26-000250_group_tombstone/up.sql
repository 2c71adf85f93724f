-- Groups that are deleted but for their members, which a background task deletes.
CREATE TABLE group_tombstone (
    org BLOB NOT NULL,
    group_id BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (org, group_id)
) STRICT, WITHOUT ROWID;
