DROP INDEX IF EXISTS scim_user_names;
