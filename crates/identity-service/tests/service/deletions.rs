//! Deleted users: gone for every client, and what an administrator can still do about them. Issue 6 item 7.

use serde_json::{Value, json};
use tonic::Status;
use wire::{
    Entitlement, Reason,
    identity::{self as proto, group_change::Change},
};

use crate::{
    statements::{counted_on_both, literal, numbers, recorded, seeded, sql, transactions},
    world::{World, administrator, client, ids, json_of, kit, member_ids, on_both, reason, refused, replace},
};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

impl World {
    async fn restore_as(
        &self,
        org: &str,
        id: &str,
        user_name: Option<&str>,
    ) -> Result<proto::RestoreUserResponse, Status> {
        let request = proto::RestoreUserRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            id: id.to_owned(),
            user_name: user_name.map(str::to_owned),
        };
        Ok(self.identity.clone().restore_user(request).await?.into_inner())
    }

    pub(crate) async fn restore(&self, org: &str, id: &str) -> Result<proto::RestoreUserResponse, Status> {
        self.restore_as(org, id, None).await
    }

    async fn deleted_page(&self, org: &str, page_size: u32, token: &str) -> proto::ListDeletedUsersResponse {
        let request = proto::ListDeletedUsersRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            page_size,
            page_token: token.to_owned(),
            id: String::new(),
        };
        self.identity.clone().list_deleted_users(request).await.expect("list").into_inner()
    }

    async fn deleted_one(&self, org: &str, id: &str) -> Result<Vec<proto::DeletedUser>, Status> {
        let request = proto::ListDeletedUsersRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            id: id.to_owned(),
            ..Default::default()
        };
        Ok(self.identity.clone().list_deleted_users(request).await?.into_inner().users)
    }

    pub(crate) async fn deleted(&self, org: &str) -> Vec<String> {
        self.deleted_page(org, 0, "").await.users.into_iter().map(|user| user.id).collect()
    }

    pub(crate) async fn policy(
        &self,
        org: &str,
        grace_days: Option<u32>,
        hold_percent: Option<u32>,
    ) -> Result<proto::Organization, Status> {
        let request = proto::SetDeletionPolicyRequest {
            caller: administrator(),
            organization_id: org.to_owned(),
            grace_days,
            hold_percent,
        };
        Ok(self.organizations.clone().set_deletion_policy(request).await?.into_inner())
    }

    /// The deltas of events of one type, once there are this many.
    pub(crate) async fn told(&self, org: &str, kind: &str, at_least: usize) -> Vec<Value> {
        for _ in 0..1000 {
            let events = self.events(org, 0).await;
            let deltas: Vec<Value> =
                events.iter().filter(|event| event.r#type == kind).map(|event| json_of(&event.delta_json)).collect();
            if deltas.len() >= at_least {
                return deltas;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("no {kind} after twenty seconds");
    }
}

fn names(user: &proto::User) -> Vec<&str> {
    user.groups.iter().map(|group| group.display_name.as_str()).collect()
}

#[tokio::test]
async fn a_deleted_user_is_in_no_answer() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (kit_id, ann) = (world.user(&org, "kit@x").await.id, world.user(&org, "ann@x").await.id);
        let ops = world.group(&org, "Ops", &[&kit_id, &ann]).await.id;
        let all = world.group(&org, "All", &[&ops]).await.id;
        world.delete(&org, &kit_id).await.expect("delete");

        assert_eq!(reason(world.get(&org, &kit_id).await), Reason::UserNotFound);
        assert_eq!(reason(world.delete(&org, &kit_id).await), Reason::UserNotFound);
        assert_eq!(reason(world.put(&org, &kit_id, &kit("kit@x")).await), Reason::UserNotFound);
        let off = vec![replace("active", &json!(false))];
        assert_eq!(reason(world.patch(&org, &kit_id, off).await), Reason::UserNotFound);
        let request =
            proto::ListGroupsOfUserRequest { organization_id: org.clone(), caller: client(), user_id: kit_id.clone() };
        assert_eq!(reason(world.identity.clone().list_groups_of_user(request).await), Reason::UserNotFound);
        for filter in [
            format!("id eq \"{kit_id}\""),
            "userName eq \"kit@x\"".to_owned(),
            "emails.value eq \"kit@x\"".to_owned(),
            "userName sw \"kit\"".to_owned(),
        ] {
            assert_eq!(world.found(&org, &filter).await.expect("found"), Vec::<String>::new(), "{filter}");
        }
        let in_groups = format!("groups.value eq \"{ops}\" or groups.value eq \"{all}\"");
        for filter in ["", "externalId eq \"00u1a2b3c4d5\"", "active eq true", &in_groups] {
            assert_eq!(world.found(&org, filter).await.expect("found"), ["ann@x"], "{filter}");
        }
        let of_kit = format!("members.value eq \"{kit_id}\"");
        assert_eq!(world.found_groups(&org, &of_kit).await.expect("found"), Vec::<String>::new());
        assert_eq!(world.members(&org, &ops).await, std::slice::from_ref(&ann));
        let add = vec![Change::AddMembers(ids(&[&kit_id]))];
        assert_eq!(reason(world.patch_group(&org, &ops, add).await), Reason::InvalidValue);
        let query = proto::ListResourcesRequest {
            organization_id: org.clone(),
            caller: client(),
            query: Some(proto::ListQuery::default()),
            ..Default::default()
        };
        let both = world.identity.clone().list_resources(query).await.expect("list").into_inner();
        assert_eq!((both.total_results, both.users.len(), both.groups.len()), (3, 1, 2));

        // The name is free, and who takes it inherits nothing.
        let again = world.user(&org, "KIT@x").await;
        assert_ne!(again.id, kit_id);
        assert_eq!(names(&world.get(&org, &again.id).await.expect("get")), Vec::<&str>::new());
        assert_eq!(world.deleted(&org).await, [kit_id]);
    })
    .await;
}

#[tokio::test]
async fn a_restored_user_is_as_it_was() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut body = kit("kit@x");
        body["active"] = json!(false);
        body["title"] = json!("Boss");
        let before = world.create(&org, &body).await.expect("create");
        let id = before.id.as_str();
        let (ops, dev) = (world.group(&org, "Ops", &[id]).await.id, world.group(&org, "Dev", &[id]).await.id);
        let all = world.group(&org, "All", &[&ops]).await.id;
        world.later(DAY);
        world.delete(&org, id).await.expect("delete");
        let until = world.now() + 30 * DAY;
        world.delete_group(&org, &dev).await.expect("delete");
        let page = world.deleted_page(&org, 10, "").await;
        assert_eq!((page.users.len(), page.next_page_token.as_str()), (1, ""));
        let shown = &page.users[0];
        assert_eq!((shown.id.as_str(), shown.user_name.as_str(), shown.active), (id, "kit@x", Some(false)));
        assert_eq!((shown.external_id.as_deref(), shown.display_name.as_str()), (Some("00u1a2b3c4d5"), "Kit Moor"));
        assert_eq!(shown.deleted_at, Some(wire::to_timestamp(world.now())));
        assert_eq!(shown.restorable_until, Some(wire::to_timestamp(until)));
        assert_eq!(json_of(&shown.deleted_by_json)["kind"], "scim_client");
        let told = world.told(&org, "user.deleted", 1).await;
        assert_eq!(told[0]["restorable_until"], json!(store::Instant::from_micros(until).to_string()));

        world.later(DAY);
        let restored = world.restore(&org, id).await.expect("restore");
        let user = restored.user.expect("a user");
        assert_eq!((user.id.as_str(), user.version, user.active), (id, 2, Some(false)));
        assert_eq!((user.created_at, user.modified_at), (before.created_at, Some(wire::to_timestamp(world.now()))));
        assert_eq!(user.resource_json, before.resource_json);
        assert_eq!(names(&user), ["Ops", "All"]);
        let gone: Vec<_> = restored.groups_gone.iter().map(|group| (&group.id, group.display_name.as_str())).collect();
        assert_eq!(gone, [(&dev, "Dev")]);
        assert_eq!(world.get(&org, id).await.expect("get").groups, user.groups);
        assert_eq!(world.members(&org, &ops).await, [id]);
        assert_eq!(world.get_group(&org, &ops).await.expect("get").version, 3);
        for filter in ["emails.value eq \"kit@x\"", "userName eq \"KIT@X\"", "title eq \"boss\"", ""] {
            assert_eq!(world.found(&org, filter).await.expect("found"), ["kit@x"], "{filter}");
        }
        assert_eq!(world.found(&org, &format!("groups.value eq \"{all}\"")).await.expect("found"), ["kit@x"]);
        assert_eq!(world.deleted(&org).await, Vec::<String>::new());
        assert_eq!(world.told(&org, "user.restored", 1).await[0]["after"]["title"], "Boss");
        let (_, total) = world.list_query(&org, proto::ListQuery::default()).await.expect("list");
        assert_eq!(total, 1);

        // Not twice; and once more, from the groups it has now.
        assert_eq!(reason(world.restore(&org, id).await), Reason::UserNotFound);
        world.patch_group(&org, &ops, vec![Change::RemoveMembers(ids(&[id]))]).await.expect("out");
        world.delete(&org, id).await.expect("delete");
        let restored = world.restore(&org, id).await.expect("restore");
        assert_eq!((names(&restored.user.expect("a user")), restored.groups_gone.len()), (Vec::new(), 0));
    })
    .await;
}

#[tokio::test]
async fn who_is_no_administrator_of_ours_restores_nobody() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        let id = world.user(&org, "kit@x").await.id;
        assert_eq!(reason(world.restore(&org, &id).await), Reason::UserNotFound);
        world.delete(&org, &id).await.expect("delete");
        for unknown in [id.as_str(), "nobody"] {
            assert_eq!(reason(world.restore(&other, unknown).await), Reason::UserNotFound);
        }
        assert_eq!(world.deleted(&other).await, Vec::<String>::new());
        let second = world.user(&org, "ann@x").await.id;
        world.delete(&org, &second).await.expect("delete");
        let found = world.deleted_one(&org, &id).await.expect("list");
        assert_eq!(found.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), [&id]);
        assert_eq!(world.deleted_one(&other, &id).await.expect("list"), []);
        assert_eq!(reason(world.deleted_one(&org, "nobody").await), Reason::InvalidArgument);
        let request = proto::RestoreUserRequest {
            organization_id: org.clone(),
            caller: client(),
            id: id.clone(),
            user_name: None,
        };
        assert_eq!(reason(world.identity.clone().restore_user(request).await), Reason::InvalidArgument);
        let request =
            proto::ListDeletedUsersRequest { organization_id: org.clone(), caller: client(), ..Default::default() };
        assert_eq!(reason(world.identity.clone().list_deleted_users(request).await), Reason::InvalidArgument);
        let request = proto::ListDeletedUsersRequest {
            organization_id: org.clone(),
            caller: administrator(),
            page_token: "x".to_owned(),
            ..Default::default()
        };
        assert_eq!(reason(world.identity.clone().list_deleted_users(request).await), Reason::InvalidArgument);
        world.restore(&org, &id).await.expect("restore");
    })
    .await;
}

#[tokio::test]
async fn into_a_taken_name_only_under_another_one() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let id = world.user(&org, "kit@x").await.id;
        world.delete(&org, &id).await.expect("delete");
        let second = world.user(&org, "Kit@X").await.id;
        let (why, message) = refused(world.restore(&org, &id).await);
        assert_eq!(why, Reason::Uniqueness);
        assert!(message.contains("under another userName"), "{message}");
        assert_eq!(reason(world.restore_as(&org, &id, Some("KIT@x")).await), Reason::Uniqueness);
        assert_eq!(reason(world.restore_as(&org, &id, Some("\u{265a}")).await), Reason::InvalidValue);
        assert_eq!(world.deleted(&org).await, std::slice::from_ref(&id));
        let restored = world.restore_as(&org, &id, Some("kit2@x")).await.expect("restore").user.expect("a user");
        assert_eq!((restored.id.as_str(), restored.user_name.as_str()), (id.as_str(), "kit2@x"));
        assert_eq!(json_of(&restored.resource_json)["userName"], "kit2@x");
        assert_eq!(world.found(&org, "userName eq \"kit2@x\"").await.expect("found"), ["kit2@x"]);
        assert_eq!(world.get(&org, &second).await.expect("get").user_name, "Kit@X");
    })
    .await;
}

#[tokio::test]
async fn a_full_plan_restores_nobody_and_keys_stay_what_they_were() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let first = world.create_with(&org, "kit@example.com", "k1").await.expect("create").id;
        world.delete(&org, &first).await.expect("delete");
        assert_eq!(reason(world.create_with(&org, "kit@example.com", "k1").await), Reason::IdempotencyKeySpent);
        world.plan(&org, proto::SetPlanRequest { max_users: Some(1), ..Default::default() }).await;
        let second = world.user(&org, "ann@x").await.id;
        let full = wire::refusal(&world.restore(&org, &first).await.expect_err("full"));
        assert_eq!((full.reason, full.entitlement), (Reason::PlanLapsed, Some(Entitlement::MaxUsers)));
        world.delete(&org, &second).await.expect("delete");
        world.restore(&org, &first).await.expect("restore");
        assert_eq!(world.create_with(&org, "kit@example.com", "k1").await.expect("as before").id, first);
        // It counts.
        assert_eq!(reason(world.create(&org, &kit("c@x")).await), Reason::PlanLapsed);
    })
    .await;
}

#[tokio::test]
async fn deleted_users_come_in_pages_newest_first() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut wanted = Vec::new();
        for n in 0..7 {
            let id = world.user(&org, &format!("user{n}")).await.id;
            world.delete(&org, &id).await.expect("delete");
            // Some at the same instant.
            world.later(n % 2);
            wanted.insert(0, id);
        }
        let (mut walked, mut token) = (Vec::new(), String::new());
        loop {
            let page = world.deleted_page(&org, 2, &token).await;
            walked.extend(page.users.into_iter().map(|user| user.id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(walked, wanted);
    })
    .await;
}

/// Groups with the numbers 1 to `count` that these users are in.
fn groups_of(world: &World, org: &str, count: u32, users: &[&str]) {
    let (numbers, org) = (numbers(count), literal(world, org));
    let first = crate::statements::FIRST;
    let groups = format!(
        "{numbers} INSERT INTO scim_group (org, id, display_name, display_name_key, version, created, modified, resource, search) \
         SELECT {org}, {{id:{first} + i}}, 'g' || i, 'g' || i, 1, {{now}}, {{now}}, '{{}}', {{json}} FROM n;"
    );
    let members = users.iter().map(|user| {
        let user = literal(world, user);
        format!(
            "{numbers} INSERT INTO group_member (org, group_id, member_id, member_type) SELECT {org}, {{id:{first} + i}}, \
             {user}, 1 FROM n;"
        )
    });
    sql(world, &std::iter::once(groups).chain(members).collect::<String>());
}

const GROUPS: u32 = 2500;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_many_groups_comes_back_to_all_of_them_in_bounded_transactions() {
    counted_on_both(async |world| {
        let org = world.organization("acme").await;
        let (kit_id, ann) = (world.user(&org, "kit@x").await.id, world.user(&org, "ann@x").await.id);
        groups_of(&world, &org, GROUPS, &[&kit_id, &ann]);
        world.delete(&org, &kit_id).await.expect("delete");
        world.delete_group(&org, &seeded(7)).await.expect("delete");
        world.delete_group(&org, &seeded(2007)).await.expect("delete");
        let (restored, statements) = recorded(world.restore(&org, &kit_id)).await;
        let restored = restored.expect("restore");
        for transaction in transactions(&statements) {
            // SQLite's writer numbers events one by one.
            let events = transaction.iter().filter(|text| text.starts_with("INSERT INTO event ")).count();
            assert!(events <= 1001 && transaction.len() - events <= 20, "{transaction:#?}");
        }
        assert_eq!(restored.user.expect("a user").groups.len(), GROUPS as usize - 2);
        let gone: Vec<&str> = restored.groups_gone.iter().map(|group| group.display_name.as_str()).collect();
        assert_eq!(gone, ["g7", "g2007"]);
        for n in [1, 1000, 1001, GROUPS] {
            let group = world.get_group(&org, &seeded(n)).await.expect("group");
            assert_eq!((group.version, group.members.len()), (3, 2));
        }
        world.delete(&org, &kit_id).await.expect("delete");
        assert_eq!(member_ids(&world.get_group(&org, &seeded(GROUPS)).await.expect("group").members), [ann]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_left_of_memberships_is_moved_at_the_next_start() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let kit_id = world.user(&org, "kit@x").await.id;
        groups_of(&world, &org, GROUPS, &[&kit_id]);
        // The process ends after the first transaction: the background task is stopped, and the call is dropped.
        world.service.shutdown().await;
        let broken_off = async |call: &mut (dyn Future<Output = ()> + Unpin), table: &str| {
            let until = async {
                while world.database.rows_of("membership_move", &org).expect("rows").is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            futures::future::select(call, std::pin::pin!(until)).await;
            world.database.rows_of(table, &org).expect("rows").len()
        };
        let mut delete = Box::pin(async { drop(world.delete(&org, &kit_id).await) });
        broken_off(&mut delete, "group_member").await;
        drop(delete);
        assert_eq!(reason(world.get(&org, &kit_id).await), Reason::UserNotFound);
        let again = world.reopen().await;
        let settled = async || {
            for _ in 0..1000 {
                if world.database.rows_of("membership_move", &org).expect("rows").is_empty() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            panic!("memberships are still on the move");
        };
        settled().await;
        again.shutdown().await;
        assert_eq!(world.database.rows_of("group_member", &org).expect("rows").len(), 0);
        assert_eq!(world.database.rows_of("deleted_user_group", &org).expect("rows").len(), GROUPS as usize);

        let mut restore = Box::pin(async { drop(world.restore(&org, &kit_id).await) });
        broken_off(&mut restore, "group_member").await;
        drop(restore);
        assert_eq!(world.get(&org, &kit_id).await.expect("back").user_name, "kit@x");
        let again = world.reopen().await;
        settled().await;
        assert_eq!(world.database.rows_of("group_member", &org).expect("rows").len(), GROUPS as usize);
        assert_eq!(world.database.rows_of("deleted_user_group", &org).expect("rows").len(), 0);
        again.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_broke_off_goes_on_when_it_is_sent_again() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let kit_id = world.user(&org, "kit@x").await.id;
        let ops = world.group(&org, "Ops", &[]).await.id;
        world.service.shutdown().await;
        world.delete(&org, &kit_id).await.expect("delete");
        // One more group than it has left.
        let [o, g, u] = [&org, &ops, &kit_id].map(|id| literal(&world, id));
        sql(
            &world,
            &format!(
                "INSERT INTO group_member (org, group_id, member_id, member_type) VALUES ({o}, {g}, {u}, 1); \
                 INSERT INTO membership_move (org, user_id, direction, created) VALUES ({o}, {u}, 1, {{now}});"
            ),
        );
        world.delete(&org, &kit_id).await.expect("goes on");
        assert_eq!(world.members(&org, &ops).await, Vec::<String>::new());
        assert_eq!(reason(world.delete(&org, &kit_id).await), Reason::UserNotFound);
        let restored = world.restore(&org, &kit_id).await.expect("restore").user.expect("a user");
        assert_eq!(names(&restored), ["Ops"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_restores_and_creates_of_one_name_one_succeeds() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let world = std::sync::Arc::new(world);
        for round in 0..10 {
            let name = format!("kit{round}@x");
            let id = world.user(&org, &name).await.id;
            world.delete(&org, &id).await.expect("delete");
            let tasks = (0..8).map(|n| {
                let (world, org, id, name) = (std::sync::Arc::clone(&world), org.clone(), id.clone(), name.clone());
                tokio::spawn(async move {
                    if n % 2 == 0 {
                        world.restore(&org, &id).await.map(drop)
                    } else {
                        world.create(&org, &kit(&name)).await.map(drop)
                    }
                })
            });
            let mut fine = 0;
            for result in futures::future::join_all(tasks).await {
                match result.expect("no panic") {
                    Ok(()) => fine += 1,
                    Err(status) => {
                        let why = wire::refusal(&status).reason;
                        assert!([Reason::Uniqueness, Reason::UserNotFound].contains(&why), "{status:?}");
                    }
                }
            }
            assert_eq!(fine, 1);
            let found = world.found(&org, &format!("userName eq \"{name}\"")).await.expect("found");
            assert_eq!(found.len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn after_the_days_of_grace_a_user_is_erased() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for wrong in [0, 3651] {
            assert_eq!(reason(world.policy(&org, Some(wrong), None).await), Reason::InvalidArgument);
        }
        let early = world.user(&org, "early@x").await.id;
        world.delete(&org, &early).await.expect("delete");
        assert_eq!(world.policy(&org, Some(2), None).await.expect("policy").deletion_grace_days, 2);
        let changed = world.told(&org, "organization.deletion_policy_changed", 1).await;
        assert_eq!(
            changed[0],
            json!({"before": {"grace_days": 30, "hold_percent": 20}, "after": {"grace_days": 2, "hold_percent": 20}})
        );
        let kit_id = world.user(&org, "kit@x").await.id;
        groups_of(&world, &org, GROUPS, &[&kit_id]);
        world.delete(&org, &kit_id).await.expect("delete");
        world.later(2 * DAY - 1);
        world.reopen().await.shutdown().await;
        assert_eq!(world.deleted(&org).await, [kit_id.clone(), early.clone()]);

        world.later(1);
        assert_eq!(world.deleted(&org).await, std::slice::from_ref(&early));
        assert_eq!(reason(world.restore(&org, &kit_id).await), Reason::UserNotFound);
        let second = world.reopen().await;
        assert_eq!(world.told(&org, "user.purged", 1).await, [json!({})]);
        let rows = |table: &str| world.database.rows_of(table, &org).expect("rows");
        assert_eq!((rows("deleted_user").len(), rows("deleted_user_group").len()), (1, 0));
        assert!(!format!("{:?}", rows("deleted_user")).contains("kit@x"));
        world.restore(&org, &early).await.expect("by the policy of then");
        second.shutdown().await;
    })
    .await;
}
