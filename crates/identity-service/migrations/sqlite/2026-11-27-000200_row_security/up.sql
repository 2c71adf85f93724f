-- PostgreSQL only: row-level security. On SQLite the organization in each statement is all there is.
SELECT 1;
