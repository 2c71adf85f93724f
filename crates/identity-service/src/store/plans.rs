//! Query plans: look-ups by key find their rows by an index, at any size.

use diesel::{QueryableByName, sql_types::Text};
use scim::schema::Types;
use store::{AnyConnection, Backend, Config, Db, Failure, Instant};
use uuid::Uuid;

use super::{
    Count,
    event::{self, Author},
    list::Listing,
    member::{self, Membership},
    organization,
    rank::Spot,
    request_log, session,
    statement::{Statement, Value},
    user::{self, Nesting, UserKey},
};
use crate::domain::{
    GroupId, LogId, OrgId, UserId,
    access::is_open,
    actor::{Actor, ActorKind},
    list::{Edge, ListQuery, Position, Start, Target},
    organization::{Gate, Organization},
    plan::{Plan, Terms},
    request_log::{Outcome, Range, Search, Start as LogStart, Subject},
    secret::Hash,
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
        Statement::new("SELECT gin_clean_pending_list('scim_user_names')", []).run(conn)?;
        Statement::new("ANALYZE", []).run(conn)?;
    }
    Ok(())
}

async fn databases() -> Vec<(testkit::TestDatabase, Db)> {
    let mut opened = Vec::new();
    for database in [testkit::sqlite(), testkit::postgres()] {
        let config = Config { url: database.url().to_owned(), pool_size: 2 };
        let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
        db.of(ORG).write(|conn| Ok::<_, Failure<String>>(seed(conn)?)).await.expect("seed");
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
        (
            Target::User,
            "groups.$ref eq \"http://x/Groups/00000000-0000-0000-0000-00000000004d\"",
            "(org=? AND id=?)",
            "id =",
        ),
        (
            Target::User,
            "groups[value eq \"00000000-0000-0000-0000-00000000004d\" and type eq \"direct\"]",
            "(org=? AND id=?)",
            "id =",
        ),
        (
            Target::User,
            "meta.location eq \"http://x/Users/00000000-0000-0000-0000-00000000004d\"",
            "(org=? AND id=?)",
            "id =",
        ),
        (
            Target::Group,
            "members.$ref eq \"http://x/Users/00000000-0000-0000-0000-00000000004d\"",
            "(org=? AND member_id=?)",
            "member_id =",
        ),
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
            let base_url = Some("http://x".to_owned());
            let query = ListQuery { filter: Some(filter.to_owned()), limit: 100, base_url, ..ListQuery::default() };
            let statement = Listing::new(db.backend(), ORG, Types::builtin(), target, &query)
                .expect(filter)
                .page(&Start::Rank(0))
                .expect("page");
            let text = statement.text().to_owned();
            let backend = db.backend();
            let plan = db
                .of(ORG)
                .read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?))
                .await
                .expect(filter);
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
        for target in [Target::User, Target::Group] {
            let after = Position { target, sort_key: None, id: Uuid::from_u128(2500) };
            let by_cursor = |backwards| Start::Cursor(Edge { from: Some(after.clone()), backwards });
            let query = ListQuery { limit: 100, ..ListQuery::default() };
            let listing = Listing::new(backend, ORG, Types::builtin(), target, &query).expect("listing");
            for (start, sqlite, postgres) in [
                (by_cursor(false), "(org=? AND id>?)", "id >"),
                (by_cursor(true), "(org=? AND id<?)", "id <"),
                (Start::Continued { offset: 2500, after: after.clone() }, "(org=? AND id>?)", "id >"),
            ] {
                let statement = listing.page(&start).expect("page");
                let plan = db
                    .of(ORG)
                    .read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?))
                    .await
                    .expect("plan");
                match backend {
                    Backend::Sqlite => assert!(plan.contains(sqlite), "{plan}"),
                    Backend::Postgres => {
                        let seek = plan.lines().any(|line| line.contains("Index Cond") && line.contains(postgres));
                        assert!(seek, "{plan}");
                    }
                }
                assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn a_part_of_a_name_is_found_by_trigrams_on_postgres() {
    for (_database, db) in databases().await {
        if db.backend() == Backend::Sqlite {
            continue;
        }
        for filter in
            ["userName co \"u2999\"", "displayName co \"D2999\"", "name.givenName co \"2999\" and active eq true"]
        {
            let query = ListQuery { filter: Some(filter.to_owned()), limit: 100, ..ListQuery::default() };
            let listing = Listing::new(db.backend(), ORG, Types::builtin(), Target::User, &query).expect("listing");
            let statement = listing.page(&Start::Rank(0)).expect("page");
            let plan = db
                .of(ORG)
                .read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?))
                .await
                .expect("plan");
            assert!(plan.contains("Bitmap Index Scan on scim_user_names"), "{filter}\n{plan}");
        }
    }
}

#[tokio::test]
async fn a_page_anywhere_is_a_seek() {
    for (_database, db) in databases().await {
        let backend = db.backend();
        for target in [Target::User, Target::Group] {
            let query = ListQuery { limit: 100, ..ListQuery::default() };
            let listing = Listing::new(backend, ORG, Types::builtin(), target, &query).expect("listing");
            let statement = listing.page_from(ORG, target, Spot { from: Uuid::from_u128(1500), skip: 700 });
            let plan = db
                .of(ORG)
                .read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?))
                .await
                .expect("plan");
            match backend {
                Backend::Sqlite => {
                    assert_eq!(plan.matches("(org=? AND id>?)").count(), 2, "{plan}");
                    assert!(plan.contains("SEARCH b USING COVERING INDEX"), "{plan}");
                }
                Backend::Postgres => {
                    assert!(plan.contains("Index Only Scan") && !plan.contains("Seq Scan"), "{plan}");
                }
            }
            assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}

#[tokio::test]
async fn the_first_members_of_many_groups_are_read_and_no_more() {
    for (_database, db) in databases().await {
        let backend = db.backend();
        let groups: Vec<Uuid> = (1..=100).map(Uuid::from_u128).collect();
        let statement = member::member_pages_statement(backend, ORG, &groups, 10);
        let plan =
            db.of(ORG).read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?)).await.expect("plan");
        match backend {
            Backend::Sqlite => assert!(plan.contains("(org=? AND group_id=? AND member_id<?)"), "{plan}"),
            Backend::Postgres => assert!(!plan.contains("Seq Scan"), "{plan}"),
        }
    }
}

#[tokio::test]
async fn a_user_is_found_by_its_key_with_its_groups() {
    let keys = [
        UserKey::Id(UserId(Uuid::from_u128(77))),
        UserKey::UserName("u77".to_owned()),
        UserKey::ExternalId("x77".to_owned()),
        UserKey::Email("m77".to_owned()),
    ];
    for (_database, db) in databases().await {
        let backend = db.backend();
        for key in keys.clone() {
            let statement = user::users_find_statement(backend, ORG, &key, true, 10);
            let plan = db
                .of(ORG)
                .read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?))
                .await
                .expect("plan");
            let scan = plan.replace("Seq Scan on organization", "").contains("Seq Scan") || plan.contains("SCAN ");
            assert!(!scan, "{key:?}\n{plan}");
            if backend == Backend::Sqlite {
                assert!(plan.contains("(org=? AND member_id=?)"), "{plan}");
                assert!(plan.contains("SEARCH g USING INDEX sqlite_autoindex_scim_group_1 (org=? AND id=?)"), "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_gate_in_a_statement_is_the_gate_of_the_rules() {
    let now = Instant::from_micros(1_000);
    let client = ActorKind::ScimClient { token_id: "t".to_owned(), entry_id: String::new() };
    let actors = [client, ActorKind::Administrator { name: "a".to_owned() }];
    let ends = [0, -14 * 24 * 60 * 60 * 1_000_000].into_iter().flat_map(|days| [999, 1_000, 1_001].map(|at| at + days));
    let ends: Vec<_> = [None].into_iter().chain(ends.map(|end| Some(Instant::from_micros(end)))).collect();
    for (_database, db) in databases().await {
        // SQLite asks the rules themselves.
        if db.backend() == Backend::Sqlite {
            continue;
        }
        let mut cases = Vec::new();
        for (scim_entitled, scim_enabled, plan_expires_at, plan_grace_days) in [true, false]
            .into_iter()
            .flat_map(|e| [true, false].map(|s| (e, s)))
            .flat_map(|(e, s)| ends.iter().map(move |end| (e, s, *end)))
            .flat_map(|(e, s, end)| [0, 14].map(|days| (e, s, end, days)))
        {
            let gate = Gate {
                scim_entitled,
                plan_expires_at,
                plan_grace_days,
                max_users: None,
                scim_enabled,
                nested_groups: false,
            };
            for (kind, change) in actors.iter().flat_map(|kind| [(kind, true), (kind, false)]) {
                let actor = Actor { kind: kind.clone(), request_id: String::new() };
                cases.push((gate, actor, change));
            }
        }
        let opened = db
            .of(ORG)
            .write(move |conn| {
                let mut results = Vec::new();
                for (gate, actor, change) in cases.clone() {
                    let organization = Organization {
                        id: ORG,
                        slug: "acme".to_owned(),
                        name: "Acme".to_owned(),
                        plan: "enterprise".to_owned(),
                        terms: Terms {
                            scim: gate.scim_entitled,
                            expires_at: gate.plan_expires_at,
                            grace_days: gate.plan_grace_days,
                            ..Plan::Enterprise.terms()
                        },
                        plan_told: None,
                        scim_enabled: gate.scim_enabled,
                        requests_per_second: None,
                        nested_groups: gate.nested_groups,
                        deletion_grace_days: 30,
                        hold_percent: 20,
                        request_log_days: 30,
                        requests_watched_until: None,
                        created: now,
                        modified: now,
                    };
                    organization::organization_insert(conn, &organization)?;
                    assert_eq!(organization::organization_gate(conn, ORG)?, Some(gate));
                    let mut open = Statement::new("SELECT count(*) AS n FROM organization o WHERE ", []);
                    open.append(organization::gate_is_open(&actor, change, now));
                    let open = open.row::<Count>(conn)?.is_some_and(|row| row.n == 1);
                    results.push((open, is_open(&gate, &actor, change, now), gate, actor, change));
                    Statement::new("DELETE FROM organization", []).run(conn)?;
                }
                Ok::<_, Failure<String>>(results)
            })
            .await
            .expect("gates");
        assert!(opened.iter().any(|case| case.0) && opened.iter().any(|case| !case.0));
        for (in_sql, in_rules, gate, actor, change) in opened {
            assert_eq!(in_sql, in_rules, "{gate:?} {actor:?} {change}");
        }
    }
}

#[tokio::test]
async fn groups_of_users_are_found_by_member() {
    for (_database, db) in databases().await {
        let backend = db.backend();
        let few = [vec![Uuid::from_u128(77)], (1..=100).map(Uuid::from_u128).collect()];
        let cases = few.iter().flat_map(|users| [(users, Nesting::None, 1), (users, Nesting::Searched, 2)]);
        for (users, nesting, seeks) in cases {
            let statement = user::groups_of_users_statement(backend, ORG, users, nesting);
            let plan = db
                .of(ORG)
                .read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?))
                .await
                .expect("plan");
            match backend {
                Backend::Sqlite => {
                    assert_eq!(plan.matches("(org=? AND member_id=?)").count(), seeks, "{plan}");
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

#[tokio::test]
async fn a_change_of_members_reads_and_writes_nobody_else() {
    const MEMBERS: i64 = 100_000;
    for (_database, db) in databases().await {
        let group = GroupId(Uuid::from_u128(1));
        // Without statistics on it, as after an import.
        let large = move |conn: &mut AnyConnection| -> Result<(), store::Error> {
            let id = match conn.backend() {
                Backend::Sqlite => "unhex(printf('%032x', i))",
                Backend::Postgres => "CAST(lpad(to_hex(i), 32, '0') AS uuid)",
            };
            let members = format!(
                "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {MEMBERS}) \
                 INSERT INTO group_member (org, group_id, member_id, member_type) SELECT ?, ?, {id}, 1 FROM n WHERE i <> 77"
            );
            Statement::new(members, [Value::id(ORG), Value::id(group)]).run(conn)?;
            Ok(())
        };
        db.of(ORG).write(move |conn| Ok::<_, Failure<String>>(large(conn)?)).await.expect("seed");
        let work = move |conn: &mut AnyConnection| -> Result<Vec<String>, store::Error> {
            let plans = match conn.backend() {
                Backend::Sqlite => member::change_statements(Backend::Sqlite, ORG, group, &[Uuid::from_u128(77)])
                    .map(|statement| plan(conn, statement))
                    .into_iter()
                    .collect::<Result<_, _>>()?,
                Backend::Postgres => {
                    let ids = store::Ids::new(store::Clock::system(), store::Random::system());
                    let kind = ActorKind::Administrator { name: "ada".to_owned() };
                    let actor = Actor { kind, request_id: "r".to_owned() };
                    let author = Author { actor: &actor, now: Instant::from_micros(0), ids: &ids };
                    let of = |add: &[u128], remove: &[u128]| {
                        let ids = |ids: &[u128]| ids.iter().copied().map(Uuid::from_u128).collect();
                        let membership = Membership { add: ids(add), remove: ids(remove), ..Membership::default() };
                        member::members_change_statement(ORG, &author, group, &membership)
                    };
                    [of(&[77], &[]), of(&[], &[78]), of(&[77, 3000], &[79, 80])]
                        .map(|statement| rows_touched(conn, statement))
                        .into_iter()
                        .collect::<Result<_, _>>()?
                }
            };
            Ok(plans)
        };
        let plans = db.of(ORG).write(move |conn| Ok::<_, Failure<String>>(work(conn)?)).await.expect("plans");
        for plan in plans {
            match db.backend() {
                Backend::Sqlite => {
                    assert!(!plan.contains("SCAN group_member") && !plan.contains("SCAN t"), "{plan}");
                    let members = plan.lines().filter(|line| line.contains("SEARCH m "));
                    assert!(
                        members.clone().all(|line| line.contains("(org=? AND group_id=? AND member_id=?)")),
                        "{plan}"
                    );
                }
                Backend::Postgres => {
                    let rows = plan.lines().filter_map(|line| line.split("(actual rows=").nth(1));
                    let most = rows.filter_map(|rest| rest.split(' ').next()?.parse::<i64>().ok()).max();
                    assert!(most.is_some_and(|most| most <= 2), "{plan}");
                    assert!(!plan.contains("Rows Removed by"), "{plan}");
                }
            }
        }
    }
}

#[tokio::test]
async fn pages_of_the_log_read_along_an_index() {
    for (_database, db) in databases().await {
        let backend = db.backend();
        let fill = move |conn: &mut AnyConnection| -> Result<(), store::Error> {
            let (id, instant, blob) = match conn.backend() {
                Backend::Sqlite => ("unhex(printf('%032x', i))", "0", "X'00'"),
                Backend::Postgres => ("CAST(lpad(to_hex(i), 32, '0') AS uuid)", "now()", "CAST('' AS bytea)"),
            };
            let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {USERS})");
            let requests = format!(
                "{numbers} INSERT INTO request_log (org, id, occurred, outcome, status, subject, name_key, request_id, search, \
                 document) SELECT ?, {id}, {instant}, CASE WHEN i = 5 THEN 4 ELSE 2 END, 200, {id}, 'User:' || i, 'r', 's', \
                 '{{}}' FROM n"
            );
            let events = format!(
                "{numbers} INSERT INTO event (org, seq, id, occurred, kind, subject, actor, delta, hash) SELECT ?, i, {id}, \
                 {instant}, 'k', {id}, '{{}}', '{{}}', {blob} FROM n"
            );
            for text in [requests, events] {
                Statement::new(text, [Value::id(ORG)]).run(conn)?;
            }
            if conn.backend() == Backend::Postgres {
                Statement::new("ANALYZE", []).run(conn)?;
            }
            Ok(())
        };
        db.of(ORG).write(move |conn| Ok::<_, Failure<String>>(fill(conn)?)).await.expect("seed");
        let plan_of = async |statement: Statement| {
            let plan = db.of(ORG).read(move |conn| Ok::<_, Failure<String>>(plan(conn, statement.clone())?));
            plan.await.expect("plan")
        };
        let before = Some(LogId(Uuid::from_u128(2500)));
        let range = Range { from: LogId(Uuid::from_u128(2)), before };
        let outcomes = [vec![Outcome::Refused], vec![Outcome::Changed, Outcome::Unchanged, Outcome::Refused]];
        for (outcomes, start) in outcomes.into_iter().flat_map(|outcomes| {
            [LogStart::Newest, LogStart::After(LogId(Uuid::nil()))].map(move |start| (outcomes.clone(), start))
        }) {
            for (subject, sqlite, words) in [
                (None, "request_log_outcome (org=? AND outcome=? AND id>? AND id<?)", vec!["s".to_owned()]),
                (None, "request_log_outcome (org=? AND outcome=? AND id>? AND id<?)", Vec::new()),
                (
                    Some(Subject::Id(Uuid::from_u128(77))),
                    "request_log_subject (org=? AND subject=? AND id>? AND id<?)",
                    Vec::new(),
                ),
                (Some(Subject::user("77")), "request_log_name (org=? AND name_key=? AND id>? AND id<?)", Vec::new()),
            ] {
                let search = Search { outcomes: outcomes.clone(), subject, words, range, start };
                for statement in [
                    request_log::page_statement(backend, ORG, &search, range, 50),
                    request_log::edge_statement(backend, ORG, &search, range),
                ] {
                    let plan = plan_of(statement).await;
                    match backend {
                        Backend::Sqlite => {
                            let each = if search.subject.is_some() { 1 } else { outcomes.len() };
                            assert_eq!(plan.matches(sqlite).count(), each, "{plan}");
                            assert!(!plan.contains("SCAN l"), "{plan}");
                        }
                        Backend::Postgres => assert!(!plan.contains("Seq Scan"), "{plan}"),
                    }
                }
            }
        }
        let events = plan_of(event::of_subject(backend, ORG, Uuid::from_u128(77), (2, 2500), 50)).await;
        assert!(
            events.contains("event_subject") && !events.contains("SCAN") && !events.contains("Seq Scan"),
            "{events}"
        );
    }
}

/// Runs it, and tells how many rows each part of the plan gave, and how many it looked at in vain.
fn rows_touched(conn: &mut AnyConnection, statement: Statement) -> Result<String, store::Error> {
    let mut explain = Statement::new("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ", []);
    explain.append(statement);
    let lines = explain.shaped().rows::<PostgresLine>(conn)?;
    Ok(lines.into_iter().map(|row| row.line).collect::<Vec<_>>().join("\n"))
}

/// Each request to the console asks for one.
#[tokio::test]
async fn a_session_is_found_by_its_hash_whoever_else_has_one() {
    for database in [testkit::sqlite(), testkit::postgres()] {
        let config = Config { url: database.url().to_owned(), pool_size: 2 };
        let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
        let (id, hash, instant, analyze) = if database.is_sqlite() {
            ("unhex(printf('%032x', i))", "randomblob(32)", "0", "SELECT 1")
        } else {
            ("CAST(lpad(to_hex(i), 32, '0') AS uuid)", "sha256(CAST(CAST(i AS text) AS bytea))", "now()", "ANALYZE")
        };
        let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {USERS})");
        let org = database.literal(&ORG.0.to_string());
        let rows = [
            format!(
                "{numbers} INSERT INTO console_admin (org, id, email, email_key, name, role, created) SELECT {org}, {id}, \
                 'a' || i, 'a' || i, '', 'viewer', {instant} FROM n"
            ),
            format!(
                "{numbers} INSERT INTO console_session (org, id, admin_id, secret_sha256, rotated, created, last_used, \
                 expires, address, user_agent) SELECT {org}, {id}, {id}, {hash}, {instant}, {instant}, {instant}, \
                 {instant}, '', '' FROM n"
            ),
            analyze.to_owned(),
        ];
        for text in rows {
            database.execute(&text).expect("rows");
        }
        let found = db.across().read(|conn| Ok::<_, Failure<String>>(plan(conn, session::by_hash(Hash([7; 32])))?));
        let plan = found.await.expect("plan");
        assert!(!plan.contains("SCAN") && !plan.contains("Seq Scan"), "{plan}");
        let indexes = if database.is_sqlite() {
            ["(secret_sha256=?)", "(previous_sha256=?)"]
        } else {
            ["console_session_secret_sha256_key", "console_session_previous_sha256_key"]
        };
        assert!(indexes.iter().all(|index| plan.contains(index)), "{plan}");
    }
}
