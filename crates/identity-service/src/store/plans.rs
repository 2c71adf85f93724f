//! Query plans: look-ups by key find their rows by an index, at any size.

use diesel::{QueryableByName, sql_types::Text};
use scim::schema::Types;
use store::{AnyConnection, Backend, Config, Db, Failure};
use uuid::Uuid;

use super::{
    filter_sql::Target,
    list::Listing,
    member,
    statement::{Statement, Value},
    user,
};
use crate::domain::{
    OrgId,
    list::{ListQuery, Position, Start},
};

const USERS: i64 = 3000;
const ORG: OrgId = OrgId(Uuid::from_u128(1));

#[derive(QueryableByName)]
struct SqliteLine {
    #[diesel(sql_type = Text)]
    detail: String,
}

#[derive(QueryableByName)]
struct PostgresLine {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

fn plan(conn: &mut AnyConnection, statement: Statement) -> Result<String, store::Error> {
    let backend = conn.backend();
    let mut explain = Statement::new(
        match backend {
            Backend::Sqlite => "EXPLAIN QUERY PLAN ",
            Backend::Postgres => "EXPLAIN (COSTS OFF) ",
        },
        [],
    );
    explain.append(statement);
    let explain = explain.shaped();
    let lines: Vec<String> = match backend {
        Backend::Sqlite => explain.rows::<SqliteLine>(conn)?.into_iter().map(|row| row.detail).collect(),
        Backend::Postgres => explain.rows::<PostgresLine>(conn)?.into_iter().map(|row| row.line).collect(),
    };
    Ok(lines.join("\n"))
}

fn seed(conn: &mut AnyConnection) -> Result<(), store::Error> {
    let backend = conn.backend();
    let (id, parse) = match backend {
        Backend::Sqlite => ("unhex(printf('%032x', i))", "'{}'"),
        Backend::Postgres => ("CAST(lpad(to_hex(i), 32, '0') AS uuid)", "CAST('{}' AS jsonb)"),
    };
    let instant = match backend {
        Backend::Sqlite => "0",
        Backend::Postgres => "now()",
    };
    let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {USERS})");
    let users = format!(
        "{numbers} INSERT INTO scim_user (org, id, user_name, user_name_key, external_id, display_name, display_name_key, \
         version, created, modified, resource, search) SELECT ?, {id}, 'u' || i, 'u' || i, 'x' || i, 'd' || i, 'd' || i, 1, \
         {instant}, {instant}, '{{}}', {parse} FROM n"
    );
    let keys = format!(
        "{numbers} INSERT INTO user_key (org, attr, key, user_id) SELECT ?, 'emails.value', 'm' || i, {id} FROM n"
    );
    let groups = format!(
        "{numbers} INSERT INTO scim_group (org, id, display_name, display_name_key, version, created, modified, resource, \
         search) SELECT ?, {id}, 'g' || i, 'g' || i, 1, {instant}, {instant}, '{{}}', {parse} FROM n"
    );
    let members = format!(
        "{numbers} INSERT INTO group_member (org, group_id, member_id, member_type) SELECT ?, {id}, {id}, 1 FROM n"
    );
    for text in [users, keys, groups, members] {
        Statement::new(text, [Value::id(ORG)]).run(conn)?;
    }
    // SQLite goes without statistics, as it does in production.
    if backend == Backend::Postgres {
        Statement::new("ANALYZE", []).run(conn)?;
    }
    Ok(())
}

async fn databases() -> Vec<(testkit::TestDatabase, Db)> {
    let mut opened = Vec::new();
    for database in [testkit::sqlite(), testkit::postgres()] {
        let config = Config { url: database.url().to_owned(), pool_size: 2 };
        let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
        db.write_one(|conn| Ok::<_, Failure<String>>(seed(conn)?)).await.expect("seed");
        opened.push((database, db));
    }
    opened
}

#[tokio::test]
async fn look_ups_by_key_are_seeks() {
    // What SQLite says it searches by, and the column that PostgreSQL puts into an index condition.
    let filters = [
        (Target::User, "userName eq \"U77\"", "(org=? AND user_name_key=?)", "user_name_key ="),
        (Target::User, "externalId eq \"x77\"", "(org=? AND external_id=?)", "external_id ="),
        (Target::User, "displayName eq \"d77\"", "(org=? AND display_name_key=?)", "display_name_key ="),
        (Target::User, "emails eq \"m77\"", "(org=? AND attr=? AND key=?)", "key ="),
        (Target::User, "emails[value eq \"m77\" and type eq \"work\"]", "(org=? AND attr=? AND key=?)", "key ="),
        (Target::User, "id eq \"00000000-0000-0000-0000-00000000004d\"", "(org=? AND id=?)", "id ="),
        (Target::User, "userName sw \"u77\"", "(org=? AND user_name_key>? AND user_name_key<?)", "user_name_key >="),
        (Target::User, "groups.value eq \"00000000-0000-0000-0000-00000000004d\"", "(org=? AND id=?)", "id ="),
        (Target::Group, "displayName eq \"g77\"", "(org=? AND display_name_key=?)", "display_name_key ="),
        (
            Target::Group,
            "members.value eq \"00000000-0000-0000-0000-00000000004d\"",
            "(org=? AND member_id=?)",
            "member_id =",
        ),
    ];
    for (_database, db) in databases().await {
        for (target, filter, sqlite, postgres) in filters {
            let query = ListQuery { filter: Some(filter.to_owned()), limit: 100, ..ListQuery::default() };
            let statement = Listing::new(db.backend(), ORG, Types::builtin(), target, &query)
                .expect(filter)
                .page(&Start::Rank(0))
                .expect("page");
            let text = statement.text().to_owned();
            let backend = db.backend();
            let plan =
                db.read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?)).await.expect(filter);
            match backend {
                Backend::Sqlite => {
                    assert!(plan.contains(sqlite), "{filter}\n{text}\n{plan}");
                    let scans = plan.lines().filter(|line| line.contains("SCAN ") && !line.contains("VIRTUAL TABLE"));
                    let scans: Vec<&str> = scans.filter(|line| !line.contains("SCAN b")).collect();
                    assert_eq!(scans, Vec::<&str>::new(), "{filter}\n{plan}");
                }
                Backend::Postgres => {
                    let condition = plan.lines().any(|line| line.contains("Index Cond") && line.contains(postgres));
                    assert!(condition, "{filter}\n{text}\n{plan}");
                    // Users of a group may be most users, so they may be read all; members and groups may not.
                    let scans = plan.lines().filter(|line| line.contains("Seq Scan"));
                    let scans: Vec<&str> = scans.filter(|_| !filter.starts_with("groups")).collect();
                    assert_eq!(scans, Vec::<&str>::new(), "{filter}\n{plan}");
                    assert!(!plan.contains("Seq Scan on group_member"), "{filter}\n{plan}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_next_page_is_a_seek_wherever_it_is() {
    for (_database, db) in databases().await {
        let backend = db.backend();
        let after = Position { sort_key: None, id: Uuid::from_u128(2500) };
        for target in [Target::User, Target::Group] {
            let query = ListQuery { limit: 100, ..ListQuery::default() };
            let listing = Listing::new(backend, ORG, Types::builtin(), target, &query).expect("listing");
            for start in [Start::Cursor(Some(after.clone())), Start::Continued { offset: 2500, after: after.clone() }] {
                let statement = listing.page(&start).expect("page");
                let plan =
                    db.read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?)).await.expect("plan");
                match backend {
                    Backend::Sqlite => assert!(plan.contains("(org=? AND id>?)"), "{plan}"),
                    Backend::Postgres => {
                        let seek = plan.lines().any(|line| line.contains("Index Cond") && line.contains("id >"));
                        assert!(seek, "{plan}");
                    }
                }
                assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_first_members_of_many_groups_are_read_and_no_more() {
    for (_database, db) in databases().await {
        let backend = db.backend();
        let groups: Vec<Uuid> = (1..=100).map(Uuid::from_u128).collect();
        let statement = member::member_pages_statement(backend, ORG, &groups, 10);
        let plan = db.read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?)).await.expect("plan");
        match backend {
            Backend::Sqlite => assert!(plan.contains("(org=? AND group_id=? AND member_id<?)"), "{plan}"),
            Backend::Postgres => assert!(!plan.contains("Seq Scan"), "{plan}"),
        }
    }
}

#[tokio::test]
async fn groups_of_users_are_found_by_member() {
    for (_database, db) in databases().await {
        let backend = db.backend();
        for users in [vec![Uuid::from_u128(77)], (1..=100).map(Uuid::from_u128).collect()] {
            let statement = user::groups_of_users_statement(backend, ORG, &users);
            let plan =
                db.read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?)).await.expect("plan");
            match backend {
                Backend::Sqlite => {
                    assert_eq!(plan.matches("(org=? AND member_id=?)").count(), 2, "{plan}");
                    assert!(
                        plan.contains("SEARCH g USING INDEX sqlite_autoindex_scim_group_1 (org=? AND id=?)"),
                        "{plan}"
                    );
                }
                Backend::Postgres => assert!(!plan.contains("Seq Scan"), "{plan}"),
            }
        }
    }
}
