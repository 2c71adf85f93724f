#!/bin/sh
# Runs once, when the database volume is empty: one role and one database per service, each closed to the other.
set -eu
for service in identity token; do
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --set "name=rollcall_$service" \
    --set "password=$ROLLCALL_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
