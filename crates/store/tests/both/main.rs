//! The store on both databases.
#![expect(clippy::expect_used, reason = "a test fails by it")]

mod opening;
mod schema;
mod sessions;
mod sqlite;
mod statements;
mod transactions;

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use store::{AnyConnection, Clock, Config, Db, Failure, Ids, Instant, JsonText, Random};
use testkit::TestDatabase;

pub(crate) use schema::item;

pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("tests/migrations/sqlite");
pub(crate) const POSTGRES: EmbeddedMigrations = embed_migrations!("tests/migrations/postgres");

store::typed_id! {
    /// An organization.
    pub(crate) struct OrgId;
}

store::typed_id! {
    /// An item.
    pub(crate) struct ItemId;
}

#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = item)]
pub(crate) struct Item {
    pub(crate) org: OrgId,
    pub(crate) id: ItemId,
    pub(crate) name: String,
    pub(crate) made: Option<Instant>,
    pub(crate) body: Option<JsonText>,
    pub(crate) n: i64,
}

pub(crate) type Never = Failure<String>;

pub(crate) async fn open(url: &str, pool_size: u32) -> Db {
    let config = Config { url: url.to_owned(), pool_size };
    Db::open(&config, SQLITE, POSTGRES).await.expect("open")
}

pub(crate) async fn both() -> [(TestDatabase, Db); 2] {
    let (sqlite, postgres) = (testkit::sqlite(), testkit::postgres());
    let dbs = [open(sqlite.url(), 4).await, open(postgres.url(), 8).await];
    let [one, other] = dbs;
    [(sqlite, one), (postgres, other)]
}

pub(crate) fn ids() -> Ids {
    Ids::new(Clock::system(), Random::system())
}

pub(crate) fn sample(name: &str) -> Item {
    let ids = ids();
    Item { org: OrgId(ids.next()), id: ItemId(ids.next()), name: name.to_owned(), made: None, body: None, n: 0 }
}

pub(crate) fn insert(connection: &mut AnyConnection, new: &Item) -> QueryResult<usize> {
    diesel::insert_into(item::table).values(new).execute(connection)
}

pub(crate) async fn count(db: &Db) -> i64 {
    db.read(|connection| Ok::<_, Never>(item::table.count().get_result(connection)?)).await.expect("count")
}
