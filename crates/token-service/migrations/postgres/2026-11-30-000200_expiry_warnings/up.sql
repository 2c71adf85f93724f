-- Warnings of expiry are looked for, too (docs/adr/0025).
CREATE INDEX token_event_warned ON token_event (occurred, id) WHERE kind IN (
  'expires_in_30_days', 'expires_in_7_days', 'expires_in_1_day'
);

-- Programs of before write the same events.
INSERT INTO __schema_compatibility (migration, known) VALUES ('20261130000200', '20261127000100');
