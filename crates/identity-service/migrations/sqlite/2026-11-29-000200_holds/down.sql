DROP TABLE hold;
DROP TABLE access_loss;
DROP TABLE loss_watch;
ALTER TABLE organization DROP COLUMN hold_percent;
