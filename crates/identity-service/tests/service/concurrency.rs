//! What happens at the same time.

use std::{collections::BTreeSet, sync::Arc};

use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _};
use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use serde_json::json;
use tonic::Status;
use wire::{
    Reason,
    identity::{self as proto, PatchOp, group_change::Change},
};

use crate::{
    statements::literal,
    world::{World, ids, json_of, kit, on_both, operation, replace, sorted},
};

/// The name with some of its letters in upper case.
fn in_case(name: &str, pattern: u32) -> String {
    let one = |(place, c): (usize, char)| if pattern >> (place % 8) & 1 == 1 { c.to_ascii_uppercase() } else { c };
    name.chars().enumerate().map(one).collect()
}

/// Until it is done: who is told that the database is busy comes again, as a client does, and nothing was done before.
async fn done<T>(call: impl Fn() -> BoxFuture<'static, Result<T, Status>>) -> T {
    loop {
        match call().await {
            Err(status) if wire::refusal(&status).reason == Reason::Busy => tokio::task::yield_now().await,
            result => return result.expect("done"),
        }
    }
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
            tokio::spawn(done(move || {
                let (world, org, group, add) = (Arc::clone(&world), org.clone(), group.clone(), add.clone());
                async move { world.patch_group(&org, &group, vec![add]).await }.boxed()
            }))
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
            tokio::spawn(done(move || {
                let (world, org, id, add) = (Arc::clone(&world), org.clone(), id.clone(), add.clone());
                async move { world.patch(&org, &id, vec![add]).await }.boxed()
            }))
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

/// The members of a group as its events tell, each of which must be a real change of a later version.
async fn members_by_events(world: &World, org: &str, group: &str) -> Vec<String> {
    // All is numbered once what came last is.
    let last = world.user(org, &format!("after {group}")).await.id;
    let mut events = Vec::new();
    while !events.iter().any(|event: &proto::Event| event.subject_id == last) {
        events = world.events(org, events.len() + 1).await;
    }
    let (mut members, mut version) = (BTreeSet::new(), 0);
    for event in events.iter().filter(|event| event.subject_id == group && event.r#type == "group.members_changed") {
        let delta = json_of(&event.delta_json);
        let next = delta["version"].as_i64().expect("version");
        assert!(next > version, "{next} after {version}");
        version = next;
        let ids = |name: &str| -> Vec<String> {
            let ids = delta[name].as_array().cloned().unwrap_or_default();
            ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
        };
        for id in ids("added") {
            assert!(members.insert(id.clone()), "{id} was added in {version}, and was a member");
        }
        for id in ids("removed") {
            assert!(members.remove(&id), "{id} was removed in {version}, and was none");
        }
    }
    members.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_group_give_its_members_whatever_happened_at_once() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = users(&world, &org, 8).await;
        let world = Arc::new(world);
        for round in 0..6_usize {
            let group = world.group(&org, &format!("Ops {round}"), &[&users[0], &users[1]]).await.id;
            let tasks = (0..48_usize).map(|n| {
                let (one, other) = (&users[(n * 5 + round) % 8], &users[(n * 5 + round + 3) % 8]);
                let external_id = Change::Attribute(replace("externalId", &json!(n.to_string())));
                let changes = match n % 8 {
                    0 | 1 => vec![Change::AddMembers(ids(&[one]))],
                    2 | 3 => vec![Change::RemoveMembers(ids(&[one]))],
                    4 => vec![Change::RemoveMembers(ids(&[one])), Change::AddMembers(ids(&[other]))],
                    5 => vec![Change::ReplaceMembers(ids(&[one, other]))],
                    6 => vec![Change::RemoveMembersWhere(format!("value eq \"{one}\" or value eq \"{other}\""))],
                    _ => vec![Change::AddMembers(ids(&[one, other])), external_id],
                };
                let (world, org, group) = (Arc::clone(&world), org.clone(), group.clone());
                tokio::spawn(async move { world.patch_silently(&org, &group, changes).await.expect("change") })
            });
            for result in join_all(tasks).await {
                result.expect("no panic");
            }
            assert_eq!(members_by_events(&world, &org, &group).await, world.members(&org, &group).await);
        }
    })
    .await;
}

/// A transaction of another process that has changed a group and is not done.
struct Other(PgConnection);

impl Other {
    fn begin(world: &World, change: &str) -> Self {
        let mut connection = PgConnection::establish(world.database.direct()).expect("PostgreSQL");
        connection.batch_execute(&format!("BEGIN; {change}")).expect(change);
        Self(connection)
    }

    /// Ends it once so many others wait for it.
    fn commit_when(mut self, waiting: i64) {
        let count = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        for _ in 0..2000 {
            let found: Waiting = diesel::sql_query(count).get_result(&mut self.0).expect("activity");
            if found.n >= waiting {
                self.0.batch_execute("COMMIT").expect("commit");
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("fewer than {waiting} wait");
    }
}

#[derive(QueryableByName)]
struct Waiting {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_another_change_goes_by_what_that_made() {
    let world = World::open(testkit::postgres()).await;
    let org = world.organization("acme").await;
    let users = users(&world, &org, 4).await;
    let world = Arc::new(world);
    let added = |user: &str| Change::AddMembers(ids(&[user]));
    let removed = |user: &str| Change::RemoveMembers(ids(&[user]));
    let serializable = std::env::var_os("ROLLCALL_TEST_COLLISIONS").is_some();
    // What another process adds, while the change below waits; then who is in the group, and its version.
    let cases = [
        ("one added meanwhile is removed", vec![removed(&users[1])], vec![0], 3),
        // In two steps; SERIALIZABLE begins again instead, and does both at once.
        (
            "so is it beside one who was in it",
            vec![removed(&users[0]), removed(&users[1])],
            vec![],
            if serializable { 3 } else { 4 },
        ),
        ("one added meanwhile is not added again", vec![added(&users[1])], vec![0, 1], 2),
        ("another is", vec![added(&users[2])], vec![0, 1, 2], 3),
        ("the list is what is wanted", vec![Change::ReplaceMembers(ids(&[&users[2]]))], vec![2], 3),
    ];
    for (case, changes, members, version) in cases {
        let group = world.group(&org, case, &[&users[0]]).await.id;
        let (org_id, group_id, user) = (literal(&world, &org), literal(&world, &group), literal(&world, &users[1]));
        let other = Other::begin(
            &world,
            &format!(
                "UPDATE scim_group SET version = version + 1 WHERE org = {org_id} AND id = {group_id}; \
                 INSERT INTO group_member (org, group_id, member_id, member_type) VALUES ({org_id}, {group_id}, {user}, 1)"
            ),
        );
        let waits = {
            let (world, org, group) = (Arc::clone(&world), org.clone(), group.clone());
            tokio::spawn(async move { world.patch_silently(&org, &group, changes).await })
        };
        tokio::task::spawn_blocking(|| other.commit_when(1)).await.expect("no panic");
        let done = waits.await.expect("no panic").expect(case);
        let wanted: Vec<String> = members.into_iter().map(|n: usize| users[n].clone()).collect();
        assert_eq!(world.members(&org, &group).await, sorted(wanted), "{case}");
        assert_eq!((done.version, done.changed), (version, version > 2), "{case}");
        assert_eq!(world.get_group(&org, &group).await.expect("get").version, version, "{case}");
    }
    world.service.shutdown().await;
}
