-- What a create with an Idempotency-Key made; written with the resource itself.
CREATE TABLE idempotency_key (
    org BLOB NOT NULL,
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    resource BLOB NOT NULL,
    digest BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (org, caller, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_key_created ON idempotency_key (org, created);
