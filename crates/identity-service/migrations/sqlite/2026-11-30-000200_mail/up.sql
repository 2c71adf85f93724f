-- Mail that waits to be sent, and for some days that which was (docs/adr/0025).
-- state: 0 waits, 1 sent, 2 given up. due: when it is tried next, then when the row is deleted.
CREATE TABLE mail (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    dedupe TEXT NOT NULL,
    recipient TEXT NOT NULL,
    document TEXT NOT NULL,
    created INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    state INTEGER NOT NULL,
    finished INTEGER,
    last_error TEXT,
    PRIMARY KEY (org, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX mail_dedupe ON mail (org, dedupe, recipient);
CREATE INDEX mail_due ON mail (due);

-- Programs of before send no mail, so there is nothing that they would make untrue.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261130000200', '20261129000200');
