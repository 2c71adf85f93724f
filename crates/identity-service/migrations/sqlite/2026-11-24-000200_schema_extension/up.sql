-- What organizations add to the schemas of users and groups. urn_key: the URN in lower case.
CREATE TABLE schema_extension (
    org BLOB NOT NULL,
    urn_key TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    document TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (org, urn_key)
) STRICT;
