//! TLS to PostgreSQL, which is in the product with the feature `pg-tls`.

use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Bool};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use store::{AnyConnection, Config, Db, Error, Failure};
use testkit::{TLS_HOST, TlsServer};

const SQLITE: EmbeddedMigrations = embed_migrations!("tests/migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("tests/migrations/postgres");

async fn open(url: String) -> Result<Db, Error> {
    Db::open(&Config { url, pool_size: 1 }, SQLITE, POSTGRES).await
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    ssl: bool,
}

#[tokio::test]
async fn only_the_server_that_was_meant_is_spoken_to() {
    let server = TlsServer::start().expect("start");
    let right = server.authority();
    let db = open(server.url(TLS_HOST, "verify-full", right)).await.expect("open");
    let encrypted = db.read(|connection| {
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let row: Row = match connection {
            AnyConnection::Postgres(connection) => sql_query(sql).get_result(connection)?,
            AnyConnection::Sqlite(_) => return Err(Failure::Refused("not PostgreSQL".to_owned())),
        };
        Ok(row.ssl)
    });
    assert_eq!(encrypted.await, Ok(true));

    let error = open(server.url(TLS_HOST, "verify-full", server.stranger())).await.expect_err("another authority");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("certificate verify failed"), "{error}");

    let error = open(server.url("elsewhere.example.com", "verify-full", right)).await.expect_err("another name");
    assert!(error.to_string().contains("does not match host name"), "{error}");
}
