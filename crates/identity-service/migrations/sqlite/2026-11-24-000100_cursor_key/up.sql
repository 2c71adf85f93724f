-- What cursors are sealed with, made at first need. The highest generation seals, each one opens.
CREATE TABLE cursor_key (
    org BLOB NOT NULL,
    generation INTEGER NOT NULL,
    secret BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (org, generation)
) STRICT, WITHOUT ROWID;
