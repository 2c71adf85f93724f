CREATE TABLE item (
  org BLOB NOT NULL,
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  made INTEGER,
  body TEXT,
  n INTEGER NOT NULL,
  PRIMARY KEY (org, id),
  UNIQUE (org, name)
) STRICT;
