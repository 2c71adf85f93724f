-- What cursors are sealed with, made at first need. The highest generation seals, each one opens.
CREATE TABLE cursor_key (
    org uuid NOT NULL,
    generation bigint NOT NULL,
    secret bytea NOT NULL,
    created timestamptz NOT NULL,
    PRIMARY KEY (org, generation)
);
