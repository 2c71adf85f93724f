CREATE TABLE item (
  org uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  made timestamptz,
  body jsonb,
  n bigint NOT NULL,
  PRIMARY KEY (org, id),
  UNIQUE (org, name)
);
