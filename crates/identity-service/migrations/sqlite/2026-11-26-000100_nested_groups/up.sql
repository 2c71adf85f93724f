-- Whether a group was ever a member of a group; the groups of users are searched through nesting only then.
ALTER TABLE organization ADD COLUMN nested_groups INTEGER NOT NULL DEFAULT 0;

UPDATE organization SET nested_groups = 1
WHERE id IN (SELECT m.org FROM group_member m WHERE m.member_type = 2);
