-- What a plan includes, and for how many days after its end. plan_told: the end of which the organization was told.
-- No row for programs of before: they let in more users than a plan is for, and know no days of grace.
ALTER TABLE organization ADD COLUMN plan_grace_days bigint NOT NULL DEFAULT 14;
ALTER TABLE organization ADD COLUMN max_users bigint;
ALTER TABLE organization ADD COLUMN oauth_entitled boolean NOT NULL DEFAULT false;
ALTER TABLE organization ADD COLUMN plan_told timestamptz;

UPDATE organization SET oauth_entitled = true WHERE plan = 'enterprise';
