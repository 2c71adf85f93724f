DROP TABLE group_tombstone;
