ALTER TABLE organization DROP COLUMN nested_groups;
