-- What a user lost is found by the user.
CREATE INDEX access_loss_user ON access_loss (org, user_id, seq);

-- To programs of before it is an index like any other.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261202000100', '20261129000200');
