//! Pages and order.

use serde_json::json;
use wire::{
    Reason,
    identity::{self as proto, SortOrder},
};

use crate::world::{World, kit, on_both, reason};

async fn names(world: &World, org: &str, query: proto::ListQuery) -> (Vec<String>, i64) {
    let (users, total) = world.list_query(org, query).await.expect("list");
    (users.into_iter().map(|user| user.user_name).collect(), total)
}

#[tokio::test]
async fn pages_are_in_id_order_and_complete() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut all = Vec::new();
        for n in 0..7 {
            all.push(world.user(&org, &format!("user{}", 9 - n)).await.user_name);
        }
        let page = async |start_index, count| {
            names(&world, &org, proto::ListQuery { start_index, count, ..Default::default() }).await
        };
        assert_eq!(page(0, None).await, (all.clone(), 7));
        assert_eq!(page(1, Some(3)).await, (all[..3].to_vec(), 7));
        assert_eq!(page(4, Some(3)).await, (all[3..6].to_vec(), 7));
        assert_eq!(page(7, Some(3)).await, (all[6..].to_vec(), 7));
        assert_eq!(page(8, Some(3)).await, (vec![], 7));
        assert_eq!(page(i64::MAX, Some(3)).await, (vec![], 7));
        assert_eq!(page(-3, Some(2)).await, (all[..2].to_vec(), 7));
        assert_eq!(page(1, Some(0)).await, (vec![], 7));
        assert_eq!(page(1, Some(u32::MAX)).await, (all.clone(), 7));
    })
    .await;
}

#[tokio::test]
async fn lists_are_sorted_with_absent_values_last_and_ties_by_id() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for (name, family, title, mails, active) in [
            ("b", "Öz", Some("boss"), vec![("work", "m2@x", false), ("home", "a9@x", true)], true),
            ("A", "Adams", None, vec![("work", "m1@x", false), ("home", "a0@x", false)], false),
            ("c", "adams", Some("Aide"), vec![], true),
        ] {
            let mut body = kit(name);
            body["name"]["familyName"] = json!(family);
            body["title"] = json!(title);
            let mails: Vec<_> = mails
                .iter()
                .map(|(kind, value, primary)| json!({"value": value, "type": kind, "primary": primary}))
                .collect();
            body["phoneNumbers"] = json!(mails);
            body["emails"] = json!(mails);
            body["active"] = json!(active);
            world.create(&org, &body).await.expect("create");
            world.later(1);
        }
        let sorted = async |sort_by: &str, sort_order: SortOrder| {
            let query =
                proto::ListQuery { sort_by: sort_by.to_owned(), sort_order: sort_order.into(), ..Default::default() };
            world
                .list_query(&org, query)
                .await
                .map(|(users, _)| users.into_iter().map(|user| user.user_name).collect::<String>())
        };
        let both = async |sort_by: &str| {
            let ascending = sorted(sort_by, SortOrder::Unspecified).await.expect(sort_by);
            (ascending, sorted(sort_by, SortOrder::Descending).await.expect(sort_by))
        };
        let expected = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(both("userName").await, expected("Abc", "cbA"));
        assert_eq!(both("name.familyName").await, expected("Acb", "bcA"));
        assert_eq!(both("title").await, expected("cbA", "Abc"));
        assert_eq!(both("emails").await, expected("bAc", "cAb"));
        assert_eq!(both("phoneNumbers.value").await, expected("bAc", "cAb"));
        assert_eq!(both("active").await, expected("Abc", "cbA"));
        assert_eq!(both("meta.created").await, expected("bAc", "cAb"));
        assert_eq!(both("id").await, expected("bAc", "cAb"));
        for unsorted in ["noSuchThing", "name", "groups", "meta", "a b"] {
            assert_eq!(reason(sorted(unsorted, SortOrder::Ascending).await), Reason::InvalidValue, "{unsorted}");
        }
    })
    .await;
}
