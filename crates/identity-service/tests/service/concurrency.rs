//! What happens at the same time.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use wire::{
    Reason,
    identity::{self as proto, PatchOp, group_change::Change},
};

use crate::world::{World, ids, json_of, kit, on_both, operation, sorted};

/// The name with some of its letters in upper case.
fn in_case(name: &str, pattern: u32) -> String {
    let one = |(place, c): (usize, char)| if pattern >> (place % 8) & 1 == 1 { c.to_ascii_uppercase() } else { c };
    name.chars().enumerate().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_creations_of_one_name_one_succeeds() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let world = Arc::new(world);
        let tasks = (0..100).map(|n| {
            let (world, org) = (Arc::clone(&world), org.clone());
            tokio::spawn(async move { world.create(&org, &kit(&in_case("kit@example.com", n))).await })
        });
        let (mut created, mut refused) = (0, 0);
        for result in join_all(tasks).await {
            match result.expect("no panic") {
                Ok(_) => created += 1,
                Err(status) => {
                    assert_eq!(wire::refusal(&status).reason, Reason::Uniqueness);
                    refused += 1;
                }
            }
        }
        assert_eq!((created, refused), (1, 99));
        assert_eq!(world.found(&org, "").await.expect("list").len(), 1);
    })
    .await;
}

async fn users(world: &World, org: &str, count: usize) -> Vec<String> {
    join_all((0..count).map(|n| async move { world.user(org, &format!("user{n}")).await.id })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_added_members_none_is_lost() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = users(&world, &org, 64).await;
        let group = world.group(&org, "Ops", &[]).await;
        let world = Arc::new(world);
        let tasks = users.iter().map(|user| {
            let (world, org, group, add) =
                (Arc::clone(&world), org.clone(), group.id.clone(), Change::AddMembers(ids(&[user])));
            tokio::spawn(async move { world.patch_group(&org, &group, vec![add]).await.expect("add") })
        });
        for result in join_all(tasks).await {
            result.expect("no panic");
        }
        assert_eq!(world.members(&org, &group.id).await, sorted(users));
        assert_eq!(world.get_group(&org, &group.id).await.expect("get").version, 65);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_beside_a_replace_is_before_it_or_after_it() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = users(&world, &org, 12).await;
        let world = Arc::new(world);
        for round in 0..10 {
            let group = world.group(&org, &format!("Ops {round}"), &[&users[0]]).await.id;
            let tasks = users.iter().enumerate().skip(1).map(|(n, user)| {
                let change =
                    if n % 3 == 0 { Change::ReplaceMembers(ids(&[user])) } else { Change::AddMembers(ids(&[user])) };
                let (world, org, group) = (Arc::clone(&world), org.clone(), group.clone());
                tokio::spawn(async move {
                    let done = world.patch_group(&org, &group, vec![change.clone()]).await.expect("change");
                    (done.version, change)
                })
            });
            let mut done: Vec<(i64, Change)> =
                join_all(tasks).await.into_iter().map(|result| result.expect("no panic")).collect();
            // The versions tell the order; played again one after the other, the same members remain.
            done.sort_by_key(|(version, _)| *version);
            let mut model = vec![users[0].clone()];
            for (_, change) in done {
                match change {
                    Change::ReplaceMembers(members) => model = unpacked(&members),
                    Change::AddMembers(members) => model.extend(unpacked(&members)),
                    _ => {}
                }
            }
            assert_eq!(world.members(&org, &group).await, sorted(model));
        }
    })
    .await;
}

fn unpacked(members: &proto::MemberIds) -> Vec<String> {
    wire::ids::unpack(&members.ids).expect("ids").iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_member_is_left_of_a_user_deleted_meanwhile() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = users(&world, &org, 16).await;
        let groups = [world.group(&org, "One", &[]).await.id, world.group(&org, "Two", &[]).await.id];
        let world = Arc::new(world);
        let mut tasks = Vec::new();
        for user in &users {
            for group in &groups {
                let (world, org, group, user) = (Arc::clone(&world), org.clone(), group.clone(), user.clone());
                tasks.push(tokio::spawn(async move {
                    let add = Change::AddMembers(ids(&[&user]));
                    match world.patch_group(&org, &group, vec![add]).await {
                        Ok(_) => {}
                        Err(status) => assert_eq!(wire::refusal(&status).reason, Reason::InvalidValue),
                    }
                }));
            }
            let (world, org, user) = (Arc::clone(&world), org.clone(), user.clone());
            tasks.push(tokio::spawn(async move { world.delete(&org, &user).await.expect("delete") }));
        }
        for result in join_all(tasks).await {
            result.expect("no panic");
        }
        for group in &groups {
            assert_eq!(world.members(&org, group).await, Vec::<String>::new());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_patches_of_one_user_none_is_lost() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "kit@x").await;
        let world = Arc::new(world);
        let tasks = (0..32).map(|n| {
            let (world, org, id) = (Arc::clone(&world), org.clone(), user.id.clone());
            let value = json!([{"value": format!("+1-555-{n:04}"), "type": "work"}]);
            let add = operation(PatchOp::Add, "phoneNumbers", &value);
            tokio::spawn(async move { world.patch(&org, &id, vec![add]).await.expect("patch") })
        });
        for result in join_all(tasks).await {
            result.expect("no panic");
        }
        let after = world.get(&org, &user.id).await.expect("get");
        assert_eq!(after.version, 33);
        assert_eq!(json_of(&after.resource_json)["phoneNumbers"].as_array().map(Vec::len), Some(32));
    })
    .await;
}
