-- What organizations add to the schemas of users and groups. urn_key: the URN in lower case.
CREATE TABLE schema_extension (
    org uuid NOT NULL,
    urn_key text COLLATE "C" NOT NULL,
    resource_type text NOT NULL,
    document text NOT NULL,
    created timestamptz NOT NULL,
    PRIMARY KEY (org, urn_key)
);
