DROP INDEX token_event_warned;
