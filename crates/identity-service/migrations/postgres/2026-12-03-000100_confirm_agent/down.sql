DROP TABLE confirm_agent;
