//! Transactions that collide on purpose, so that whatever is tried again really can be.

use anyhow::Context as _;
use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};

/// Prepares an empty database: tables made in it from now on carry triggers that refuse.
pub(super) fn arm(url: &str, name: &str, seed: i64) -> anyhow::Result<()> {
    let mut connection = PgConnection::establish(url).context("a database just made does not answer")?;
    connection.batch_execute(&include_str!("collisions.sql").replace("{seed}", &seed.to_string()))?;
    connection.batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"))?;
    Ok(())
}

/// No transaction is chosen any more. All stay SERIALIZABLE.
pub(super) fn disarm(url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::establish(url).context("the database does not answer")?;
    connection.batch_execute(
        "CREATE OR REPLACE FUNCTION collisions.doomed() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT false $$",
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::{
        QueryableByName, RunQueryDsl as _,
        result::{DatabaseErrorKind, Error},
        sql_query,
        sql_types::Text,
    };

    use super::*;

    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = Text)]
        transaction_isolation: String,
    }

    fn message(result: Result<(), Error>) -> Option<String> {
        match result {
            Ok(()) => None,
            Err(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, said)) => Some(said.message().to_owned()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn one_in_ten_writes_of_the_product_fails_and_leaves_nothing() {
        let database = crate::postgres();
        let mut own = PgConnection::establish(database.direct()).expect("connect");
        if std::env::var(super::super::COLLISIONS_VARIABLE).is_err() {
            arm(database.direct(), database.name(), 7).expect("arm");
        }
        own.batch_execute("CREATE TABLE t (n int)").expect("create");
        let url = format!("{}&application_name=rollcall", database.direct());
        let mut product = PgConnection::establish(&url).expect("connect");
        let setting: Setting = sql_query("SHOW transaction_isolation").get_result(&mut product).expect("show");
        assert_eq!(setting.transaction_isolation, "serializable");

        let (mut at_statement, mut at_commit) = (0, 0);
        for n in 0..1000 {
            let insert = format!("INSERT INTO t VALUES ({n})");
            match message(product.batch_execute(&insert)).as_deref() {
                None => {}
                Some(said) if said.ends_with("at a statement") => at_statement += 1,
                Some(said) if said.ends_with("at commit") => at_commit += 1,
                Some(other) => panic!("{other}"),
            }
            own.batch_execute("DELETE FROM t WHERE false").expect("a test's own connection is spared");
        }
        // 100 are expected, a quarter of them at the one statement there is.
        assert!((5..=60).contains(&at_statement) && (30..=130).contains(&at_commit), "{at_statement} {at_commit}");
        let kept: i64 = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("(SELECT count(*) FROM t)"))
            .get_result(&mut own)
            .expect("count");
        assert_eq!(kept, 1000 - at_statement - at_commit);

        disarm(database.direct()).expect("disarm");
        for n in 0..1000 {
            product.batch_execute(&format!("INSERT INTO t VALUES ({n})")).expect("none is chosen");
        }
    }
}
