-- Whether a group was ever a member of a group; the groups of users are searched through nesting only then.
ALTER TABLE organization ADD COLUMN nested_groups boolean NOT NULL DEFAULT false;

UPDATE organization SET nested_groups = true
WHERE id IN (SELECT m.org FROM group_member m WHERE m.member_type = 2);
