//! What calls cost: statements, transactions and rows, at real sizes.

use serde_json::json;
use uuid::Uuid;
use wire::{
    Reason,
    identity::{self as proto, group_change::Change},
};

use crate::{
    statements::{
        FIRST, counted_on_both, data, literal, members_exist, numbers, recorded, seeded, sql, transactions, users_exist,
    },
    world::{World, client, ids, json_of, on_both, reason, refused, replace},
};

const LARGE: u32 = 100_000;
#[tokio::test(flavor = "multi_thread")]
async fn one_member_costs_the_same_in_a_group_of_any_size() {
    counted_on_both(async |world| {
        let org = world.organization("acme").await;
        users_exist(&world, &org, LARGE);
        let newcomer = world.user(&org, "kit@x").await.id;
        let mut of_size = Vec::new();
        for size in [10, LARGE] {
            let group = world.group(&org, &format!("Of {size}"), &[]).await;
            members_exist(&world, &org, &group.id, size);
            // Okta sends the name along.
            let name = || Change::Attribute(replace("", &json!({"id": group.id, "displayName": group.display_name})));
            let (add, remove) = (Change::AddMembers(ids(&[&newcomer])), Change::RemoveMembers(ids(&[&seeded(7)])));
            let mut all = Vec::new();
            for (version, changes) in [(2, vec![name(), add]), (3, vec![name(), remove])] {
                // Now and then the process looks at the organization's schemas, and asks whether a connection is alive.
                let (patched, statements) = recorded(world.patch_silently(&org, &group.id, changes.clone())).await;
                let patched = patched.expect("patch");
                assert_eq!((patched.version, patched.changed), (version, true));
                let (again, _) = recorded(world.patch_silently(&org, &group.id, changes)).await;
                assert_eq!(again.map(|group| (group.version, group.changed)).ok(), Some((version, false)));
                all.push(
                    statements
                        .into_iter()
                        .filter(|text| !text.contains("schema_extension") && text != "SELECT 1")
                        .collect::<Vec<_>>(),
                );
            }
            of_size.push(all);
        }
        assert_eq!(of_size[0], of_size[1]);
        for statements in &of_size[1] {
            let most = if world.is_sqlite() { 6 } else { 1 };
            assert!(transactions(statements).concat().len() <= most, "{statements:#?}");
            if !world.is_sqlite() {
                assert_eq!(data(statements).len(), 1, "{statements:#?}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_of_a_large_group_changes_what_differs() {
    counted_on_both(async |world| {
        let org = world.organization("acme").await;
        users_exist(&world, &org, LARGE + 1);
        let group = world.group(&org, "All", &[]).await.id;
        members_exist(&world, &org, &group, LARGE);
        // All but the third, and one more, in no order.
        let wanted = (1..=LARGE + 1).rev().filter(|n| *n != 3).map(|n| Uuid::from_u128(FIRST + u128::from(n)));
        let wanted: Vec<Uuid> = wanted.collect();
        let request = proto::ReplaceGroupRequest {
            organization_id: org.clone(),
            caller: client(),
            id: group.clone(),
            if_match: None,
            resource_json: json!({"displayName": "All"}).to_string().into_bytes().into(),
            members: Some(proto::MemberIds { ids: wire::ids::pack(&wanted) }),
            mask: None,
        };
        let (put, statements) = recorded(world.identity.clone().replace_group(request.clone())).await;
        assert_eq!(put.expect("put").into_inner().version, 2);
        let statements: Vec<&str> = transactions(&statements).concat();
        // SQLite reads the members in pages.
        let pages =
            statements.iter().filter(|text| text.starts_with("SELECT m.member_id AS id FROM group_member")).count();
        assert!(pages <= LARGE as usize / 4096 + 1 && statements.len() - pages <= 10, "{statements:#?}");
        let events = world.events(&org, 4).await;
        let deltas: Vec<_> =
            events.iter().filter(|event| event.subject_id == group).map(|event| json_of(&event.delta_json)).collect();
        assert_eq!(deltas[1..], [json!({"version": 2, "added": [seeded(LARGE + 1)], "removed": [seeded(3)]})]);

        let again = world.identity.clone().replace_group(request).await.expect("put").into_inner();
        assert_eq!((again.version, again.changed), (2, false));
        let empty = world.put_group(&org, &group, "All", Some(&[])).await.expect("put");
        assert_eq!((empty.version, empty.members.len()), (3, 0));
        let events = world.events(&org, 104).await;
        let removed = events.iter().filter_map(|event| json_of(&event.delta_json)["removed"].as_array().map(Vec::len));
        assert_eq!(removed.sum::<usize>(), 1 + LARGE as usize);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_not_shown_are_not_read() {
    counted_on_both(async |world| {
        let org = world.organization("acme").await;
        let group = world.group(&org, "All", &[]).await.id;
        members_exist(&world, &org, &group, 2500);
        let get = async |members: u32| {
            let request = proto::GetGroupRequest {
                organization_id: org.clone(),
                caller: client(),
                id: group.clone(),
                mask: Some(proto::GroupMask { members }),
            };
            let (group, statements) = recorded(world.identity.clone().get_group(request)).await;
            (group.expect("get").into_inner(), statements)
        };
        let (shown, statements) = get(0).await;
        assert_eq!((shown.members.len(), data(&statements).len()), (0, 1), "{statements:#?}");
        assert!(!data(&statements)[0].contains("group_member"), "{statements:#?}");
        let (shown, statements) = get(1000).await;
        // On SQLite two, in one snapshot.
        let reads = if world.is_sqlite() { 2 } else { 1 };
        assert_eq!((shown.members.len(), data(&statements).len()), (1000, reads), "{statements:#?}");
        let mut token = shown.next_member_page_token;
        let mut read = 1000;
        while !token.is_empty() {
            let request = proto::ListMembersRequest {
                organization_id: org.clone(),
                caller: client(),
                group_id: group.clone(),
                page_size: 1000,
                page_token: token,
            };
            let (page, statements) = recorded(world.identity.clone().list_members(request)).await;
            let page = page.expect("page").into_inner();
            assert_eq!(data(&statements).len(), if world.is_sqlite() { 2 } else { 1 }, "{statements:#?}");
            read += page.members.len();
            token = page.next_page_token;
        }
        assert_eq!(read, 2500);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_in_ten_thousand_groups_leaves_them_in_bounded_transactions() {
    const GROUPS: u32 = 10_000;
    counted_on_both(async |world| {
        let org = world.organization("acme").await;
        let kit = world.user(&org, "kit@x").await.id;
        let ann = world.user(&org, "ann@x").await.id;
        let (numbers, org_id) = (numbers(GROUPS), literal(&world, &org));
        let groups = format!(
            "{numbers} INSERT INTO scim_group (org, id, display_name, display_name_key, version, created, modified, resource, \
             search) SELECT {org_id}, {{id:{FIRST} + i}}, 'g' || i, 'g' || i, 1, {{now}}, {{now}}, '{{}}', {{json}} FROM n;"
        );
        let member = |user: &str| {
            let user = literal(&world, user);
            format!(
                "{numbers} INSERT INTO group_member (org, group_id, member_id, member_type) SELECT {org_id}, {{id:{FIRST} + i}}, \
                 {user}, 1 FROM n;"
            )
        };
        sql(&world, &[groups, member(&kit), member(&ann)].concat());
        let delete = async |if_match: Option<proto::Precondition>| {
            let request =
                proto::DeleteUserRequest { organization_id: org.clone(), caller: client(), id: kit.clone(), if_match };
            recorded(world.identity.clone().delete_user(request)).await
        };
        let (given, statements) = delete(Some(proto::Precondition { versions: vec![9] })).await;
        assert_eq!(reason(given), Reason::VersionMismatch);
        assert_eq!(transactions(&statements).iter().filter(|one| one.iter().any(|text| text.starts_with("DELETE"))).count(), 0);
        let before = world.get_group(&org, &seeded(1)).await.expect("group");
        assert_eq!((before.version, before.members.len()), (1, 2));

        let (given, statements) = delete(Some(proto::Precondition { versions: vec![1] })).await;
        given.expect("delete");
        // Of a thousand groups each; the user is gone with the first.
        let transactions = transactions(&statements);
        assert_eq!(transactions.len(), 10);
        assert!(transactions[0].iter().any(|text| text.contains("INTO deleted_user ")), "{:#?}", transactions[0]);
        for transaction in &transactions {
            // SQLite's writer numbers events one by one.
            let events = transaction.iter().filter(|text| text.starts_with("INSERT INTO event ")).count();
            assert!(events <= 1001 && transaction.len() - events <= 20, "{transaction:#?}");
        }
        assert_eq!(reason(world.get(&org, &kit).await), Reason::UserNotFound);
        for n in [1, 999, 1000, 1001, GROUPS] {
            let group = world.get_group(&org, &seeded(n)).await.expect("group");
            assert_eq!((group.version, crate::world::member_ids(&group.members)), (2, vec![ann.clone()]));
        }
        let events = world.events(&org, 4 + GROUPS as usize + 1).await;
        let left = events.iter().filter(|event| json_of(&event.delta_json)["removed"] == json!([kit])).count();
        assert_eq!(left, GROUPS as usize);
        let gone = events.iter().position(|event| event.r#type == "user.deleted").expect("deleted");
        assert_eq!(gone, 4 + 1000, "before it has left them all");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_group_goes_at_once_and_its_members_later() {
    counted_on_both(async |world| {
        let org = world.organization("acme").await;
        let kit = world.user(&org, "kit@x").await.id;
        let group = world.group(&org, "All", &[&kit]).await.id;
        members_exist(&world, &org, &group, LARGE);
        let request = proto::DeleteGroupRequest {
            organization_id: org.clone(),
            caller: client(),
            id: group.clone(),
            if_match: None,
        };
        let (deleted, statements) = recorded(world.identity.clone().delete_group(request)).await;
        deleted.expect("delete");
        let transactions = transactions(&statements);
        assert_eq!(transactions.len(), 1, "{statements:#?}");
        assert!(transactions[0].len() <= 16, "{statements:#?}");
        assert_eq!(reason(world.get_group(&org, &group).await), Reason::GroupNotFound);
        assert_eq!(world.get(&org, &kit).await.expect("kit").groups, []);
        world.group(&org, "All", &[]).await;
        let events = world.events(&org, 6).await;
        assert!(events.iter().any(|event| event.r#type == "group.deleted" && event.subject_id == group));
        for _ in 0..1000 {
            if rows(&world, "group_member") == 0 && rows(&world, "group_tombstone") == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{} members are left of a deleted group", rows(&world, "group_member"));
    })
    .await;
}

fn rows(world: &World, table: &str) -> i64 {
    use diesel::{
        Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_types::BigInt,
    };
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let count = diesel::sql_query(format!("SELECT count(*) AS n FROM {table}"));
    let url = world.database.direct();
    let count: Count = match url.strip_prefix("sqlite:") {
        Some(path) => count.get_result(&mut SqliteConnection::establish(path).expect("SQLite")).expect("count"),
        None => count.get_result(&mut PgConnection::establish(url).expect("PostgreSQL")).expect("count"),
    };
    count.n
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_deleted_group_are_in_no_group() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let kit = world.user(&org, "kit@x").await.id;
        let inner = world.group(&org, "Inner", &[&kit]).await.id;
        let outer = world.group(&org, "Outer", &[&inner]).await.id;
        assert_eq!(world.get(&org, &kit).await.expect("kit").groups.len(), 2);
        // A group that is gone but for its members, which are a user, and a group that exists.
        let gone = seeded(1);
        let rows: String = [&kit, &outer]
            .iter()
            .zip([1, 2])
            .map(|(member, kind)| {
                let [org, gone, member] = [&org, &gone, *member].map(|id| literal(&world, id));
                format!("INSERT INTO group_member (org, group_id, member_id, member_type) VALUES ({org}, {gone}, {member}, {kind});")
            })
            .collect();
        sql(&world, &rows);
        let names = |user: proto::User| user.groups.into_iter().map(|group| group.display_name).collect::<Vec<_>>();
        assert_eq!(names(world.get(&org, &kit).await.expect("kit")), ["Inner", "Outer"]);
        assert_eq!(world.found(&org, &format!("groups.value eq \"{gone}\"")).await.expect("found"), Vec::<String>::new());
        assert_eq!(world.found(&org, &format!("groups.value eq \"{outer}\"")).await.expect("found"), ["kit@x"]);
        let (_, message) = refused(world.patch_group(&org, &outer, vec![Change::AddMembers(ids(&[&gone]))]).await);
        assert!(message.contains(&gone), "{message}");
        let request = proto::ListGroupsRequest {
            organization_id: org.clone(),
            caller: client(),
            query: Some(proto::ListQuery { filter: format!("members.value eq \"{kit}\""), ..Default::default() }),
            mask: None,
        };
        let found = world.identity.clone().list_groups(request).await.expect("list").into_inner();
        assert_eq!((found.total_results, found.groups.len()), (1, 1));

        world.delete(&org, &kit).await.expect("delete");
        let events = world.events(&org, 8).await;
        assert!(events.iter().all(|event| event.subject_id != gone));
        assert_eq!(world.members(&org, &inner).await, Vec::<String>::new());
    })
    .await;
}
