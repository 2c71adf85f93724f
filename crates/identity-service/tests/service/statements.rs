//! The statements that a call sends to its database, as their spans tell, and rows that are put there without calls.

use diesel::{Connection as _, PgConnection, SqliteConnection, connection::SimpleConnection as _};
pub(crate) use testkit::statements::recorded;
use uuid::Uuid;

use crate::world::{World, on_both};

/// Runs a test that counts what [`recorded`] gives on both databases. Nothing collides there on purpose: a transaction
/// that is tried again sends its statements again.
pub(crate) async fn counted_on_both(test: impl AsyncFn(World)) {
    on_both(async |world| {
        world.database.without_injected_collisions().expect("no collisions");
        test(world).await;
    })
    .await;
}

/// Those that ask for or change data: not those that begin and end a transaction, which each write on PostgreSQL has to say
/// whose rows it is about.
pub(crate) fn data(statements: &[String]) -> Vec<&str> {
    let ends = |text: &&str| ["BEGIN", "COMMIT", "ROLLBACK"].iter().any(|word| text.starts_with(word));
    statements.iter().map(String::as_str).filter(|text| !ends(text)).collect()
}

/// The statements of each transaction, or one that stood alone, without those that begin and end it: each looks at the
/// organization first, but for those that go on with the groups of a user, which look at where it is on its way. SQLite's
/// writer begins transactions by itself, for several calls.
pub(crate) fn transactions(statements: &[String]) -> Vec<Vec<&str>> {
    let begun = statements.iter().any(|statement| statement.starts_with("BEGIN"));
    let mut all: Vec<Vec<&str>> = vec![Vec::new()];
    for statement in statements {
        let ends = ["BEGIN", "COMMIT"].iter().any(|word| statement.starts_with(word));
        let goes_on = !begun && statement.contains("AND t.direction = ?");
        if ends || goes_on || statement.contains("FROM organization o") {
            all.push(Vec::new());
        }
        if !ends && let Some(last) = all.last_mut() {
            last.push(statement);
        }
    }
    all.retain(|transaction| !transaction.is_empty());
    all
}

/// Runs SQL, several statements with `;` between them. `{id:EXPRESSION}` is the id with that number, `{now}` an instant.
pub(crate) fn sql(world: &World, text: &str) {
    let url = world.database.direct();
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{id:") {
        let (expression, after) = after.split_once('}').expect("the end of an id");
        expanded.push_str(before);
        expanded.push_str(&match world.is_sqlite() {
            true => format!("unhex(printf('%032x', {expression}))"),
            false => format!("CAST(lpad(to_hex({expression}), 32, '0') AS uuid)"),
        });
        rest = after;
    }
    expanded.push_str(rest);
    let (now, json) = if world.is_sqlite() { ("0", "'{}'") } else { ("now()", "CAST('{}' AS jsonb)") };
    let expanded = expanded.replace("{now}", now).replace("{json}", json);
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let mut connection = SqliteConnection::establish(path).expect("SQLite");
            connection.batch_execute("PRAGMA busy_timeout = 10000").expect("pragma");
            connection.batch_execute(&expanded).expect(&expanded);
        }
        None => PgConnection::establish(url).expect("PostgreSQL").batch_execute(&expanded).expect(&expanded),
    }
}

/// An id of [`sql`] as the database writes it in a literal.
pub(crate) fn literal(world: &World, id: &str) -> String {
    if world.is_sqlite() { format!("X'{}'", id.replace('-', "")) } else { format!("CAST('{id}' AS uuid)") }
}

/// The numbers from 1 as a table `n (i)`, for the beginning of a statement.
pub(crate) fn numbers(count: u32) -> String {
    format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})")
}

/// Ids of rows that were put there start here.
pub(crate) const FIRST: u128 = 0x1000_0000;

pub(crate) fn seeded(n: u32) -> String {
    Uuid::from_u128(FIRST + u128::from(n)).to_string()
}

/// Puts users with the numbers 1 to `count` there.
pub(crate) fn users_exist(world: &World, org: &str, count: u32) {
    let (numbers, org) = (numbers(count), literal(world, org));
    sql(
        world,
        &format!(
            "{numbers} INSERT INTO scim_user (org, id, user_name, user_name_key, version, created, modified, resource, search) \
             SELECT {org}, {{id:{FIRST} + i}}, 'seeded' || i, 'seeded' || i, 1, {{now}}, {{now}}, '{{}}', {{json}} FROM n"
        ),
    );
}

/// Makes the first users members of a group.
pub(crate) fn members_exist(world: &World, org: &str, group: &str, count: u32) {
    let (numbers, org, group) = (numbers(count), literal(world, org), literal(world, group));
    sql(
        world,
        &format!(
            "{numbers} INSERT INTO group_member (org, group_id, member_id, member_type) SELECT {org}, {group}, \
             {{id:{FIRST} + i}}, 1 FROM n"
        ),
    );
}
