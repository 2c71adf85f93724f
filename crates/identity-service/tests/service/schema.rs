//! The tables of both migration trees.

use crate::world::{on_both, sealing_key, some_set_up};

#[tokio::test]
async fn both_trees_make_the_same_tables() {
    let (sqlite, postgres) = (testkit::sqlite(), testkit::postgres());
    for url in [sqlite.url(), postgres.url()] {
        let config = identity_service::Config {
            database_url: url.to_owned(),
            pool_size: 1,
            sealing_key: sealing_key(7),
            opaque_set_ups: some_set_up(),
            mailing: None,
        };
        let service = identity_service::Service::open(&config, store::Clock::system()).await.expect("open");
        assert!(service.ready().await);
        service.shutdown().await;
    }
    // The trigrams of names, which SQLite has not got.
    let known = ["scim_user: index (org, (expression)) only on PostgreSQL"];
    let differences = testkit::schema_parity(sqlite.direct(), postgres.direct(), &known).expect("compare");
    assert_eq!(differences, Vec::<String>::new());
}

#[tokio::test]
async fn every_key_begins_with_the_organization() {
    on_both(async |world| {
        let url = world.database.direct();
        let schema = if world.is_sqlite() { testkit::sqlite_schema(url) } else { testkit::postgres_schema(url) };
        let schema = schema.expect("read");
        let mut exceptions = testkit::key_without(&schema, "org");
        exceptions.sort();
        // The organization itself, and hashes that find it.
        let known = [
            "account_session(secret_sha256)",
            "admin_invite(secret_sha256)",
            "confirm_agent(secret_sha256)",
            "console_session(previous_sha256)",
            "console_session(secret_sha256)",
            "organization(id)",
            "organization(slug)",
            "sign_in_attempt(state_sha256)",
        ];
        assert_eq!(exceptions, known);
        for (name, table) in &schema.tables {
            for index in &table.indexes {
                // What is due of all is looked for across them.
                if name == "mail" && index == &["due"] {
                    continue;
                }
                assert_eq!(index.first().map(String::as_str), Some("org"), "{name}");
                for column in ["active", "modified", "version"] {
                    assert!(!index.iter().any(|indexed| indexed == column), "{name}: {column} is indexed");
                }
            }
            for key in &table.foreign_keys {
                assert!(key.starts_with("org,") && key.contains("(org,"), "{name}: {key}");
            }
        }
    })
    .await;
}
