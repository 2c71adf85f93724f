ALTER TABLE organization DROP COLUMN plan_told;
ALTER TABLE organization DROP COLUMN oauth_entitled;
ALTER TABLE organization DROP COLUMN max_users;
ALTER TABLE organization DROP COLUMN plan_grace_days;
