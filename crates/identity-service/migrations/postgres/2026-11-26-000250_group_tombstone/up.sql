-- Groups that are deleted but for their members, which a background task deletes.
CREATE TABLE group_tombstone (
    org uuid NOT NULL,
    group_id uuid NOT NULL,
    created timestamptz NOT NULL,
    PRIMARY KEY (org, group_id)
);
