-- What a plan includes, and for how many days after its end. plan_told: the end of which the organization was told.
-- No row for programs of before: they let in more users than a plan is for, and know no days of grace.
ALTER TABLE organization ADD COLUMN plan_grace_days INTEGER NOT NULL DEFAULT 14;
ALTER TABLE organization ADD COLUMN max_users INTEGER;
ALTER TABLE organization ADD COLUMN oauth_entitled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organization ADD COLUMN plan_told INTEGER;

UPDATE organization SET oauth_entitled = 1 WHERE plan = 'enterprise';
