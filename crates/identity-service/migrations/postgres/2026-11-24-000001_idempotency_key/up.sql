-- What a create with an Idempotency-Key made; written with the resource itself.
CREATE TABLE idempotency_key (
    org uuid NOT NULL,
    caller text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    resource uuid NOT NULL,
    digest bytea NOT NULL,
    created timestamptz NOT NULL,
    PRIMARY KEY (org, caller, key)
);

CREATE INDEX idempotency_key_created ON idempotency_key (org, created);
