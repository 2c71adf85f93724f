ALTER TABLE organization DROP COLUMN deletion_grace_days;
DROP TABLE membership_move;
DROP TABLE deleted_user_group;
DROP TABLE deleted_user;
