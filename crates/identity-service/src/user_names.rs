//! Keys of userNames that another release wrote by other rules, written anew before the first request: a name must be
//! found, and be taken, by the key that this program computes.
//!
//! At each start, not once: while releases stand side by side, the older one goes on writing its keys.

use std::{convert::Infallible, sync::Arc};

use store::{Db, Error, Failure};
use uuid::Uuid;

use crate::{
    domain::{OrgId, UserId},
    store::{
        user::USER_NAME,
        user_name::{name_key_update, names_organization_after, names_page},
        violates,
    },
};

const PAGE: i64 = 1000;

/// How many keys were written anew, and whose could not be, because another user has the key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rekeyed {
    pub(crate) written: usize,
    pub(crate) taken: Vec<(OrgId, UserId)>,
}

pub(crate) async fn rekey(db: &Db) -> Result<Rekeyed, Error> {
    let mut rekeyed = Rekeyed::default();
    let mut org = OrgId(Uuid::nil());
    while let Some(next) = db.across().read(move |conn| Ok(names_organization_after(conn, org)?)).await.map_err(only)? {
        org = next;
        let mut after = UserId(Uuid::nil());
        loop {
            let page = db.of(org).read(move |conn| Ok(names_page(conn, org, after, PAGE)?)).await.map_err(only)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for seen in page {
                let key = scim::user_name::key(&seen.user_name);
                if key == seen.user_name_key {
                    continue;
                }
                let (id, seen) = (seen.id, Arc::new(seen));
                let written = db.of(org).write(move |conn| Ok(name_key_update(conn, org, &seen, &key)?));
                match written.await.map_err(only) {
                    Ok(()) => rekeyed.written += 1,
                    Err(error) if violates(&error, USER_NAME) => {
                        tracing::warn!(
                            rollcall.organization_id = %org.0,
                            user_id = %id.0,
                            "two users of an organization have userNames that are one by the present rules; the older key \
                             of this one stays, so filters do not find it by name: rename or delete one of them"
                        );
                        rekeyed.taken.push((org, id));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    if rekeyed.written > 0 {
        tracing::info!(count = rekeyed.written, version = scim::user_name::VERSION, "userNames were keyed anew");
    }
    Ok(rekeyed)
}

fn only(failure: Failure<Infallible>) -> Error {
    match failure {
        Failure::Store(error) => error,
        Failure::Refused(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use store::{Backend, Config};

    use super::*;
    use crate::store::statement::{Statement, Value};

    const ORGS: [OrgId; 2] = [OrgId(Uuid::from_u128(1)), OrgId(Uuid::from_u128(2))];

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    async fn insert(db: &Db, org: OrgId, id: UserId, name: &'static str, key: String) {
        let inserted = db.of(org).write(move |conn| {
            let (instant, empty) = match conn.backend() {
                Backend::Sqlite => ("0", "'{}'"),
                Backend::Postgres => ("now()", "CAST('{}' AS jsonb)"),
            };
            let insert = format!(
                "INSERT INTO scim_user (org, id, user_name, user_name_key, version, created, modified, resource, search) \
                 VALUES (?, ?, ?, ?, 1, {instant}, {instant}, '{{}}', {empty})"
            );
            let values = [Value::id(org), Value::id(id), Value::text(name), Value::text(&*key)];
            Statement::new(insert, values).run(conn)?;
            Ok::<_, Failure<Infallible>>(())
        });
        inserted.await.expect("inserted");
    }

    async fn keys(db: &Db, org: OrgId) -> Vec<(UserId, String)> {
        let page =
            db.of(org).read(move |conn| Ok::<_, Failure<Infallible>>(names_page(conn, org, user(0), 5000)?)).await;
        page.expect("read").into_iter().map(|row| (row.id, row.user_name_key)).collect()
    }

    #[tokio::test]
    async fn keys_of_the_release_before_are_written_anew_once() {
        for database in [testkit::sqlite(), testkit::postgres()] {
            let config = Config { url: database.url().to_owned(), pool_size: 2 };
            let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
            // As the release before made them: folded.
            for org in ORGS {
                for (n, name) in
                    [(1, "Straße@x"), (2, "ΣΊΣΥΦΟς"), (3, "Straße Nord"), (4, "♚"), (5, "kit@x"), (6, "ÉVA")]
                {
                    insert(&db, org, user(n), name, scim::fold(name)).await;
                }
            }
            let both = ["straße@x", "σίσυφος", "strasse nord", "♚", "éva"].map(str::to_owned);
            assert_eq!(rekey(&db).await, Ok(Rekeyed { written: 4, taken: vec![] }));
            for org in ORGS {
                assert_eq!(keys(&db, org).await.into_iter().map(|(_, key)| key).collect::<Vec<_>>(), both);
            }
            assert_eq!(rekey(&db).await, Ok(Rekeyed::default()));

            // While releases stand side by side, the older one may let a name in that is taken.
            insert(&db, ORGS[1], user(7), "STRAßE@x", scim::fold("STRAßE@x")).await;
            insert(&db, ORGS[1], user(8), "ς", scim::fold("ς")).await;
            assert_eq!(rekey(&db).await, Ok(Rekeyed { written: 1, taken: vec![(ORGS[1], user(7))] }));
            let kept = keys(&db, ORGS[1]).await;
            assert!(kept.contains(&(user(7), "strasse@x".to_owned())), "{kept:?}");
            assert!(kept.contains(&(user(1), "straße@x".to_owned())), "{kept:?}");
        }
    }

    #[tokio::test]
    async fn more_than_a_page_is_walked() {
        let database = testkit::sqlite();
        let config = Config { url: database.url().to_owned(), pool_size: 2 };
        let db = Db::open(&config, crate::SQLITE, crate::POSTGRES).await.expect("open");
        let count = usize::try_from(PAGE).expect("small") + 1;
        for n in 0..count {
            let n = u128::try_from(n).expect("small") + 1;
            let name = Box::leak(format!("ß{n}").into_boxed_str());
            insert(&db, ORGS[0], user(n), name, scim::fold(name)).await;
        }
        assert_eq!(rekey(&db).await, Ok(Rekeyed { written: count, taken: vec![] }));
    }
}
