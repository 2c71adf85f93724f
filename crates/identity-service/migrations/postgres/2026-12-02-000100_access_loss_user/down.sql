DELETE FROM __schema_compatibility WHERE migration = '20261202000100';
DROP INDEX access_loss_user;
