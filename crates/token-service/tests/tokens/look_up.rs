//! A verification costs the same however many tokens there are.

use testkit::statements::recorded;

use crate::harness::{ORG, both};

const MANY: usize = 100_000;

#[tokio::test]
async fn among_a_hundred_thousand_it_is_one_statement_on_the_index() {
    for mut tokens in both().await {
        // One transaction may be run again there, and is then two statements.
        tokens.database.without_injected_collisions().expect("switched off");
        let (_, secret) = tokens.create(ORG, None).await;
        let verify = async |tokens: &mut crate::harness::Tokens| {
            let (valid, mut statements) = recorded(tokens.verify(&secret)).await;
            valid.expect("valid");
            // Where reads are held to their organization, too, each says whose it is.
            statements.retain(|text| !text.starts_with("BEGIN; SET LOCAL") && text != "COMMIT");
            statements
        };
        let among_one = verify(&mut tokens).await;
        let fill = if tokens.is_sqlite() {
            format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) \
                 INSERT INTO token (org, id, description, secret_sha256, created) \
                 SELECT randomblob(16), randomblob(16), 'x', randomblob(32), 0 FROM n"
            )
        } else {
            format!(
                "INSERT INTO token (org, id, description, secret_sha256, created) \
                 SELECT gen_random_uuid(), gen_random_uuid(), 'x', sha256(i::text::bytea), now() \
                 FROM generate_series(1, {MANY}) i"
            )
        };
        tokens.execute(&fill);
        tokens.execute("ANALYZE token");
        let count = tokens.query("SELECT CAST(count(*) AS TEXT) AS text FROM token");
        assert_eq!(count, [(MANY + 1).to_string()]);

        let among_many = verify(&mut tokens).await;
        assert_eq!(among_many, among_one);
        assert_eq!(among_many.len(), 1, "{among_many:?}");
        let plan = tokens.plan(&among_many[0]);
        let index = if tokens.is_sqlite() {
            "SEARCH token USING INDEX sqlite_autoindex_token_2 (secret_sha256=?)"
        } else {
            "Index Scan using token_secret_sha256_key"
        };
        assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("Seq Scan"), "{plan}");

        // Many at once: one statement on the same index.
        let unknown: Vec<String> = (0..500).map(|n| format!("rc_scim_unknown-{n}")).collect();
        let asked: Vec<&str> = unknown.iter().map(String::as_str).chain([secret.as_str()]).collect();
        let (found, statements) = recorded(tokens.verify_many(&asked)).await;
        let found = found.expect("answered");
        assert_eq!(found.len(), 1);
        let sent: Vec<String> = statements.into_iter().filter(|text| text.contains("secret_sha256")).collect();
        assert_eq!(sent.len(), 1, "{sent:?}");
        let plan = if tokens.is_sqlite() {
            tokens.lines(&format!("EXPLAIN QUERY PLAN {}", sent[0]))
        } else {
            let hashes = (0..asked.len()).map(|n| format!("'\\x{n:064x}'")).collect::<Vec<_>>().join(",");
            tokens.lines(&format!("EXPLAIN {}", sent[0].replace("$1", &format!("ARRAY[{hashes}]::bytea[]"))))
        };
        assert!(plan.contains("secret_sha256") && !plan.contains("SCAN") && !plan.contains("Seq Scan"), "{plan}");
    }
}

impl crate::harness::Tokens {
    /// How the database would run the service's own statement.
    fn plan(&self, statement: &str) -> String {
        if self.is_sqlite() {
            return self.lines(&format!("EXPLAIN QUERY PLAN {statement}"));
        }
        let statement = statement.replace("$1", "'\\x00'").replace("$2", "1");
        self.lines(&format!("EXPLAIN {statement}"))
    }

    fn lines(&self, sql: &str) -> String {
        use diesel::{
            Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query, sql_types,
        };
        #[derive(QueryableByName)]
        struct Sqlite {
            #[diesel(sql_type = sql_types::Text)]
            detail: String,
        }
        #[derive(QueryableByName)]
        struct Postgres {
            #[diesel(sql_type = sql_types::Text, column_name = "QUERY PLAN")]
            line: String,
        }
        let url = self.database.direct();
        let lines: Vec<String> = match url.strip_prefix("sqlite:") {
            Some(path) => {
                let mut connection = SqliteConnection::establish(path).expect("open");
                let rows: Vec<Sqlite> = sql_query(sql).load(&mut connection).expect("plan");
                rows.into_iter().map(|row| row.detail).collect()
            }
            None => {
                let mut connection = PgConnection::establish(url).expect("open");
                let rows: Vec<Postgres> = sql_query(sql).load(&mut connection).expect("plan");
                rows.into_iter().map(|row| row.line).collect()
            }
        };
        lines.join("\n")
    }
}
