DROP TABLE token_event;
DROP TABLE token;
