-- Keys are compared byte by byte on both databases, hence COLLATE "C".
-- No index mentions active, modified or version, so that updates of them stay HOT.

CREATE TABLE organization (
    id uuid NOT NULL PRIMARY KEY,
    slug text COLLATE "C" NOT NULL UNIQUE,
    name text NOT NULL,
    plan text NOT NULL,
    scim_entitled boolean NOT NULL,
    plan_expires_at timestamptz,
    scim_enabled boolean NOT NULL,
    requests_per_second bigint,
    created timestamptz NOT NULL,
    modified timestamptz NOT NULL
);

CREATE TABLE scim_user (
    org uuid NOT NULL,
    id uuid NOT NULL,
    user_name text NOT NULL,
    user_name_key text COLLATE "C" NOT NULL,
    external_id text COLLATE "C",
    active boolean,
    display_name text,
    display_name_key text COLLATE "C",
    given_name_key text COLLATE "C",
    family_name_key text COLLATE "C",
    primary_email text,
    primary_email_key text COLLATE "C",
    version bigint NOT NULL,
    created timestamptz NOT NULL,
    modified timestamptz NOT NULL,
    resource text NOT NULL,
    search jsonb NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (org, user_name_key)
) WITH (fillfactor = 85);

CREATE INDEX scim_user_external_id ON scim_user (org, external_id);
CREATE INDEX scim_user_display_name ON scim_user (org, display_name_key);

CREATE TABLE user_key (
    org uuid NOT NULL,
    attr text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    PRIMARY KEY (org, attr, key, user_id),
    FOREIGN KEY (org, user_id) REFERENCES scim_user (org, id) ON DELETE CASCADE
);

CREATE INDEX user_key_user ON user_key (org, user_id);

CREATE TABLE scim_group (
    org uuid NOT NULL,
    id uuid NOT NULL,
    display_name text NOT NULL,
    display_name_key text COLLATE "C" NOT NULL,
    external_id text COLLATE "C",
    version bigint NOT NULL,
    created timestamptz NOT NULL,
    modified timestamptz NOT NULL,
    resource text NOT NULL,
    search jsonb NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (org, display_name_key)
) WITH (fillfactor = 85);

CREATE INDEX scim_group_external_id ON scim_group (org, external_id);

-- member_type: 1 user, 2 group. No foreign key: a member is one or the other.
CREATE TABLE group_member (
    org uuid NOT NULL,
    group_id uuid NOT NULL,
    member_id uuid NOT NULL,
    member_type smallint NOT NULL,
    PRIMARY KEY (org, group_id, member_id)
);

CREATE INDEX group_member_member ON group_member (org, member_id, group_id);

-- Changes not yet numbered: written with the change itself.
CREATE TABLE outbox (
    org uuid NOT NULL,
    id uuid NOT NULL,
    occurred timestamptz NOT NULL,
    kind text NOT NULL,
    subject uuid NOT NULL,
    actor text NOT NULL,
    delta text NOT NULL,
    PRIMARY KEY (org, id)
);

-- Numbered and chained by the sequencer, then never changed.
CREATE TABLE event (
    org uuid NOT NULL,
    seq bigint NOT NULL,
    id uuid NOT NULL,
    occurred timestamptz NOT NULL,
    kind text NOT NULL,
    subject uuid NOT NULL,
    actor text NOT NULL,
    delta text NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (org, seq)
);

CREATE TABLE event_head (
    org uuid NOT NULL PRIMARY KEY,
    last_seq bigint NOT NULL,
    last_hash bytea NOT NULL
);
