-- PostgreSQL only: an index over the names of users. SQLite looks at each user, of up to 200,000.
SELECT 1;
