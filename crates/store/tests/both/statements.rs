//! Values, errors and spans of single statements.

use std::sync::{Arc, Mutex};

use diesel::prelude::*;
use store::{Error, Failure, Instant, JsonText};
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt as _, registry::LookupSpan};

use crate::{Item, ItemId, Never, both, ids, insert, item, sample};

#[tokio::test]
async fn values_come_back_as_they_went() {
    for (_database, db) in both().await {
        let instants = [0, 1, -1, 1_763_900_000_123_456, -62_135_596_800_000_000, 253_402_300_799_999_999];
        for micros in instants {
            let new = Item {
                made: Some(Instant::from_micros(micros)),
                body: Some(JsonText(r#"{"a": [1, "\u00fc", null]}"#.to_owned())),
                n: i64::MIN,
                ..sample("Zoë 🦀")
            };
            let row = new.clone();
            let back: Item = db
                .write(move |connection| {
                    insert(connection, &row)?;
                    Ok::<_, Never>(item::table.find((row.org, row.id)).select(Item::as_select()).first(connection)?)
                })
                .await
                .expect("written");
            let same = Item { body: back.body.clone(), ..new };
            assert_eq!(back, same);
            let compact: String = back.body.expect("body").0.split_whitespace().collect();
            assert!(compact == r#"{"a":[1,"\u00fc",null]}"# || compact == r#"{"a":[1,"ü",null]}"#, "{compact}");
        }
        let null = sample("null");
        let row = null.clone();
        db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
        let found = db.seek(move |connection| {
            let found = item::table.filter(item::made.is_null()).filter(item::org.eq(null.org));
            Ok::<Vec<Item>, Never>(found.select(Item::as_select()).load(connection)?)
        });
        assert_eq!(found.await.expect("found").len(), 1);
    }
}

#[tokio::test]
async fn ids_and_instants_compare_in_sql() {
    for (_database, db) in both().await {
        let (ids, org) = (ids(), sample("").org);
        let mut made: Vec<ItemId> = (0..20).map(|_| ItemId(ids.next())).collect();
        made.sort();
        let rows = made.clone();
        db.write(move |connection| {
            for (n, id) in (0..).zip(rows.iter().rev()) {
                let made = Some(Instant::from_micros(n - 10));
                insert(connection, &Item { org, id: *id, name: n.to_string(), made, body: None, n })?;
            }
            Ok::<(), Never>(())
        })
        .await
        .expect("written");
        let some = made[3..7].to_vec();
        let (by_id, among, early): (Vec<ItemId>, i64, i64) = db
            .read(move |connection| {
                let mine = item::table.filter(item::org.eq(org));
                Ok::<_, Never>((
                    mine.filter(item::id.gt(some[0])).order(item::id).limit(4).select(item::id).load(connection)?,
                    mine.filter(item::id.eq_any(&some)).count().get_result(connection)?,
                    mine.filter(item::made.lt(Instant::from_micros(0))).count().get_result(connection)?,
                ))
            })
            .await
            .expect("read");
        assert_eq!(by_id, made[4..8]);
        assert_eq!((among, early), (4, 10));
    }
}

#[tokio::test]
async fn a_unique_violation_names_the_same_constraint_on_both() {
    for (_database, db) in both().await {
        let new = sample("taken");
        for mode in ["write", "write_one"] {
            let row = Item { id: ItemId(ids().next()), ..new.clone() };
            let result = match mode {
                "write" => db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await,
                _ => db.write_one(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await,
            };
            match mode {
                "write" => assert_eq!(result, Ok(1)),
                _ => {
                    let constraint = "item_org_name_key".to_owned();
                    assert_eq!(result, Err(Failure::Store(Error::Unique { constraint })));
                }
            }
        }
    }
}

#[tokio::test]
async fn reads_cannot_write_to_sqlite() {
    let [(_database, db), _] = both().await;
    let row = sample("no");
    let refused = db.seek(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await;
    assert!(matches!(refused, Err(Failure::Store(Error::Other(_)))), "{refused:?}");
}

#[derive(Default)]
struct Texts(Vec<String>);

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push(format!("{}={value:?}", field.name()));
    }
}

struct Capture(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, id: &tracing::span::Id, context: Context<'_, S>) {
        let mut texts = Texts::default();
        attributes.record(&mut texts);
        let parent = context.span(id).and_then(|span| span.parent().map(|parent| parent.name())).unwrap_or("none");
        let line = format!("{} in {parent}: {}", attributes.metadata().name(), texts.0.join(" "));
        self.0.lock().expect("lock").push(line);
    }
}

#[test]
fn each_statement_has_a_span_in_the_callers_without_its_values() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    // Global, because the statements run on threads of the store; this test runs in a process with others, whose
    // statements carry no such name.
    let subscriber = Registry::default().with(Capture(Arc::clone(&lines)));
    tracing::subscriber::set_global_default(subscriber).expect("the only one");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        use tracing::Instrument as _;
        for (_database, db) in both().await {
            let row = sample("Hypatia of Alexandria");
            async {
                db.write(move |connection| Ok::<_, Never>(insert(connection, &row)?)).await.expect("written");
                let asked = |connection: &mut store::AnyConnection| {
                    let found = item::table.filter(item::name.eq("Hypatia of Alexandria"));
                    Ok::<i64, Never>(found.count().get_result(connection)?)
                };
                assert_eq!(db.seek(asked).await, Ok(1));
                assert_eq!(db.read(asked).await, Ok(1));
            }
            .instrument(tracing::info_span!("request"))
            .await;
        }
    });
    let lines = lines.lock().expect("lock");
    let ours: Vec<&String> = lines.iter().filter(|line| line.contains(" in request")).collect();
    for system in ["sqlite", "postgresql"] {
        let of = |what: &str| {
            ours.iter()
                .filter(|line| line.starts_with("db.query") && line.contains(system) && line.contains(what))
                .count()
        };
        assert_eq!(of("INSERT INTO"), 1, "{ours:#?}");
        assert_eq!(of("SELECT COUNT(*)"), 2, "{ours:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("Hypatia") || line.contains("binds")), "{lines:#?}");
}
