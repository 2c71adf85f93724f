ALTER TABLE event_head DROP COLUMN splits;
DROP TABLE rank_block;
