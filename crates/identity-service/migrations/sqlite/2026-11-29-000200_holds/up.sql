-- What waits where many users lose their access at once (docs/adr/0023).
ALTER TABLE organization ADD COLUMN hold_percent INTEGER NOT NULL DEFAULT 20;

-- Up to which event an organization was read for it. What happened before this migration is not.
CREATE TABLE loss_watch (
    org BLOB NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO loss_watch (org, seq) SELECT h.org, h.last_seq FROM event_head h;

-- Who lost access lately. kind: 1 deactivated, 2 deleted. state: 0, 1 restored, 2 not to be restored, which why tells.
CREATE TABLE access_loss (
    org BLOB NOT NULL,
    seq INTEGER NOT NULL,
    user_id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    occurred INTEGER NOT NULL,
    actor TEXT NOT NULL,
    state INTEGER NOT NULL,
    why TEXT,
    PRIMARY KEY (org, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX access_loss_occurred ON access_loss (org, occurred);

-- state: 1 open, 2 approved, 3 being restored, 4 restored. A hold is about all losses from first_at to last_at.
CREATE TABLE hold (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    state INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    users INTEGER NOT NULL,
    deactivated INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    decided INTEGER,
    decided_by TEXT,
    PRIMARY KEY (org, id)
) STRICT, WITHOUT ROWID;
-- No row for programs of before: they erase what is held.
