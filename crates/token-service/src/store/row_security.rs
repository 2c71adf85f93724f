//! The second wall on PostgreSQL, as in the identity-service: whatever a statement says, a transaction writes rows of its own
//! organization only.

use diesel::{prelude::*, sql_query, sql_types::BigInt};
use store::{AnyConnection, Config, Db, Failure};
use uuid::Uuid;

use super::OrgId;

const OURS: OrgId = OrgId(Uuid::from_u128(1));
const THEIRS: OrgId = OrgId(Uuid::from_u128(2));

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn count(connection: &mut AnyConnection, text: &str) -> QueryResult<i64> {
    sql_query(text).get_result::<Count>(connection).map(|count| count.n)
}

async fn open(database: &testkit::TestDatabase) -> Db {
    let config = Config { url: database.url().to_owned(), pool_size: 2 };
    Db::open(&config, super::SQLITE, super::POSTGRES).await.expect("open")
}

#[tokio::test]
async fn a_statement_without_its_organization_writes_nothing_of_another_one() {
    let database = testkit::postgres();
    let db = open(&database).await;
    for org in [OURS, THEIRS] {
        let row = format!(
            "INSERT INTO token (org, id, description, secret_sha256, created, scopes, allowed_cidrs) VALUES \
             ('{0}', '{0}', 'd', sha256('{0}'), now(), '', '')",
            org.0
        );
        database.execute(&row).expect("a row");
    }
    let update = |connection: &mut AnyConnection| {
        Ok::<_, Failure<String>>(sql_query("UPDATE token SET description = 'x'").execute(connection)?)
    };
    assert_eq!(db.of(OURS).write(update).await, Ok(1), "ours");
    assert_eq!(db.write(update).await, Ok(0), "who names no organization writes nothing");
    assert_eq!(db.across().write(update).await, Ok(0), "across is for reading");
    let entered = db.across().write(move |connection| {
        connection.enter(THEIRS)?;
        update(connection)
    });
    assert_eq!(entered.await, Ok(1), "until one is named");
    let moved = db.of(OURS).write(|connection| {
        let text = format!("UPDATE token SET org = '{}'", THEIRS.0);
        Ok::<_, Failure<String>>(sql_query(text).execute(connection)?)
    });
    let Err(Failure::Store(error)) = moved.await else { panic!("a token of ours became theirs") };
    assert!(error.to_string().contains("row-level security"), "{error}");
}

#[tokio::test]
async fn every_table_of_organizations_has_its_policies() {
    let database = testkit::postgres();
    let db = open(&database).await;
    let tables = "SELECT count(*) AS n FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org' \
                  WHERE c.relkind = 'r' AND c.relnamespace = CAST(current_schema() AS regnamespace)";
    let walled = format!(
        "{tables} AND c.relrowsecurity AND c.relforcerowsecurity AND (SELECT string_agg(CAST(p.polcmd AS text), '' \
         ORDER BY p.polcmd) FROM pg_policy p WHERE p.polrelid = c.oid) = 'adrw'"
    );
    let counts =
        db.read(move |connection| Ok::<_, Failure<String>>([count(connection, tables)?, count(connection, &walled)?]));
    let [all, walled] = counts.await.expect("counts");
    assert!(all > 5, "{all}");
    assert_eq!(walled, all);
}
