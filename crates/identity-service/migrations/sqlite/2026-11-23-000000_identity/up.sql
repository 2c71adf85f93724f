-- Wide rows stand in rowid tables: an OFFSET over a WITHOUT ROWID table of wide rows is slow.

CREATE TABLE organization (
    id BLOB NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    scim_entitled INTEGER NOT NULL,
    plan_expires_at INTEGER,
    scim_enabled INTEGER NOT NULL,
    requests_per_second INTEGER,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL
) STRICT;

CREATE TABLE scim_user (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    user_name TEXT NOT NULL,
    user_name_key TEXT NOT NULL,
    external_id TEXT,
    active INTEGER,
    display_name TEXT,
    display_name_key TEXT,
    given_name_key TEXT,
    family_name_key TEXT,
    primary_email TEXT,
    primary_email_key TEXT,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    resource TEXT NOT NULL,
    search TEXT NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (org, user_name_key)
) STRICT;

CREATE INDEX scim_user_external_id ON scim_user (org, external_id);
CREATE INDEX scim_user_display_name ON scim_user (org, display_name_key);

CREATE TABLE user_key (
    org BLOB NOT NULL,
    attr TEXT NOT NULL,
    key TEXT NOT NULL,
    user_id BLOB NOT NULL,
    PRIMARY KEY (org, attr, key, user_id),
    FOREIGN KEY (org, user_id) REFERENCES scim_user (org, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX user_key_user ON user_key (org, user_id);

CREATE TABLE scim_group (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    display_name TEXT NOT NULL,
    display_name_key TEXT NOT NULL,
    external_id TEXT,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    resource TEXT NOT NULL,
    search TEXT NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (org, display_name_key)
) STRICT;

CREATE INDEX scim_group_external_id ON scim_group (org, external_id);

-- member_type: 1 user, 2 group. No foreign key: a member is one or the other.
CREATE TABLE group_member (
    org BLOB NOT NULL,
    group_id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    member_type INTEGER NOT NULL,
    PRIMARY KEY (org, group_id, member_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX group_member_member ON group_member (org, member_id, group_id);

-- Changes not yet numbered: written with the change itself.
CREATE TABLE outbox (
    org BLOB NOT NULL,
    id BLOB NOT NULL,
    occurred INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject BLOB NOT NULL,
    actor TEXT NOT NULL,
    delta TEXT NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;

-- Numbered and chained by the sequencer, then never changed.
CREATE TABLE event (
    org BLOB NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    occurred INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject BLOB NOT NULL,
    actor TEXT NOT NULL,
    delta TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (org, seq)
) STRICT;

CREATE TABLE event_head (
    org BLOB NOT NULL PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    last_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
