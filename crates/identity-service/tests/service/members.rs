//! Who is in a group, directly and through nesting: issue 2 item 6.

use serde_json::json;
use uuid::Uuid;
use wire::{
    Reason,
    identity::{self as proto, MemberType, group_change::Change},
};

use crate::{
    statements::{recorded, seeded, users_exist},
    world::{World, client, ids, member_ids, on_both, reason, refused, replace, sorted},
};

fn add(members: &[&str]) -> Vec<Change> {
    vec![Change::AddMembers(ids(members))]
}

fn remove(members: &[&str]) -> Vec<Change> {
    vec![Change::RemoveMembers(ids(members))]
}

/// The groups that a user is shown in: name, and whether directly.
async fn groups_of(world: &World, org: &str, user: &str) -> Vec<(String, bool)> {
    let shown = world.get(org, user).await.expect("get").groups;
    let request =
        proto::ListGroupsOfUserRequest { organization_id: org.to_owned(), caller: client(), user_id: user.to_owned() };
    let listed = world.identity.clone().list_groups_of_user(request).await.expect("groups").into_inner().groups;
    assert_eq!(shown, listed);
    shown.into_iter().map(|group| (group.display_name, group.direct)).collect()
}

#[tokio::test]
async fn members_are_added_and_removed_and_only_real_changes_count() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (a, b, c) =
            (world.user(&org, "a").await.id, world.user(&org, "b").await.id, world.user(&org, "c").await.id);
        let group = world.group(&org, "Ops", &[&a]).await;
        assert_eq!(member_ids(&group.members), std::slice::from_ref(&a));
        assert_eq!(group.members[0].r#type(), MemberType::User);

        world.later(7);
        let group = world.patch_group(&org, &group.id, add(&[&b, &a, &b])).await.expect("add");
        assert_eq!((group.version, group.changed, member_ids(&group.members)), (2, true, vec![a.clone(), b.clone()]));
        let again = world.patch_group(&org, &group.id, add(&[&b, &a])).await.expect("add again");
        assert_eq!((again.version, again.changed), (2, false));
        assert_eq!(again.modified_at, group.modified_at);
        let stranger = Uuid::from_u128(7).to_string();
        let none = world.patch_group(&org, &group.id, remove(&[&c, &stranger])).await.expect("remove strangers");
        assert_eq!((none.version, none.changed), (2, false));
        let came_and_went = [add(&[&c]), remove(&[&c])].concat();
        let none = world.patch_group(&org, &group.id, came_and_went).await.expect("add and remove");
        assert_eq!((none.version, none.changed), (2, false));

        let moved = [remove(&[&a, &b]), add(&[&c])].concat();
        let moved = world.patch_group(&org, &group.id, moved).await.expect("move");
        assert_eq!((moved.version, member_ids(&moved.members)), (3, vec![c.clone()]));
        let one_of = Change::RemoveMembersWhere(format!("value eq \"{c}\""));
        let gone = world.patch_group(&org, &group.id, vec![one_of.clone()]).await.expect("remove where");
        assert_eq!((gone.version, gone.members.len()), (4, 0));
        let gone = world.patch_group(&org, &group.id, vec![one_of]).await.expect("remove where");
        assert_eq!((gone.version, gone.changed), (4, false));
    })
    .await;
}

#[tokio::test]
async fn members_are_removed_by_filter() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (a, b, c) =
            (world.user(&org, "a").await.id, world.user(&org, "b").await.id, world.user(&org, "c").await.id);
        let inner = world.group(&org, "Inner", &[]).await.id;
        let all = [a.as_str(), &b, &c, &inner];
        let group = world.group(&org, "Ops", &all).await;
        let reset_after = async |filter: String| {
            let removed = Change::RemoveMembersWhere(filter);
            let left = world.patch_group(&org, &group.id, vec![removed]).await.map(|group| member_ids(&group.members));
            world.put_group(&org, &group.id, "Ops", Some(&all)).await.expect("reset");
            left
        };
        let some = |ids: &[&str]| sorted(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(reset_after("type eq \"Group\"".to_owned()).await.expect("type"), some(&[&a, &b, &c]));
        assert_eq!(
            reset_after(format!("value eq \"{a}\" or value eq \"{b}\"")).await.expect("or"),
            some(&[&c, &inner])
        );
        assert_eq!(
            reset_after(format!("type eq \"User\" and not (value eq \"{a}\")")).await.expect("not"),
            some(&[&a, &inner])
        );
        assert_eq!(reset_after("value eq \"nobody\"".to_owned()).await.expect("nobody").len(), 4);
        assert_eq!(reason(reset_after("value eq".to_owned()).await), Reason::InvalidFilter);
        assert_eq!(reason(reset_after("color eq \"red\"".to_owned()).await), Reason::InvalidFilter);
        assert_eq!(world.members(&org, &group.id).await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn put_replaces_members_or_leaves_them() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (a, b, c) =
            (world.user(&org, "a").await.id, world.user(&org, "b").await.id, world.user(&org, "c").await.id);
        let group = world.group(&org, "Ops", &[&a, &b]).await;
        let stay = world.put_group(&org, &group.id, "Ops", None).await.expect("put");
        assert_eq!((stay.version, member_ids(&stay.members)), (1, vec![a.clone(), b.clone()]));
        let put = world.put_group(&org, &group.id, "Ops", Some(&[&b, &c])).await.expect("put");
        assert_eq!((put.version, member_ids(&put.members)), (2, vec![b.clone(), c.clone()]));
        let same = world.put_group(&org, &group.id, "Ops", Some(&[&c, &b])).await.expect("put");
        assert_eq!((same.version, same.changed), (2, false));
        let both = world.put_group(&org, &group.id, "Ops 2", Some(&[&a])).await.expect("put");
        assert_eq!((both.version, both.display_name.as_str()), (3, "Ops 2"));
        let replaced = vec![Change::ReplaceMembers(ids(&[&a, &c]))];
        let replaced = world.patch_group(&org, &group.id, replaced).await.expect("replace");
        assert_eq!((replaced.version, member_ids(&replaced.members)), (4, vec![a.clone(), c.clone()]));
        let empty = world.put_group(&org, &group.id, "Ops 2", Some(&[])).await.expect("put");
        assert_eq!((empty.version, empty.members.len()), (5, 0));

        // Only what really changed is in the events.
        let events = world.events(&org, 12).await;
        let deltas: Vec<_> = events
            .iter()
            .filter(|event| event.r#type == "group.members_changed" && event.subject_id == group.id)
            .map(|event| serde_json::from_slice::<serde_json::Value>(&event.delta_json).expect("delta"))
            .collect();
        assert_eq!(
            deltas,
            [
                json!({"version": 1, "added": [a, b]}),
                json!({"version": 2, "added": [c], "removed": [a]}),
                json!({"version": 3, "added": [a], "removed": [b, c]}),
                json!({"version": 4, "added": [c]}),
                json!({"version": 5, "removed": [a, c]}),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn unknown_members_are_named_and_nothing_is_stored() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let other = world.organization("other").await;
        let a = world.user(&org, "a").await.id;
        let foreign = world.user(&other, "a").await.id;
        let group = world.group(&org, "Ops", &[]).await;
        let (given, message) = refused(world.patch_group(&org, &group.id, add(&[&a, &foreign])).await);
        assert_eq!((given, message.contains(&foreign), message.contains(&a)), (Reason::InvalidValue, true, false));
        let strangers: Vec<String> = (1..=12).map(|n| Uuid::from_u128(n).to_string()).collect();
        let strangers: Vec<&str> = strangers.iter().map(String::as_str).collect();
        let (given, message) = refused(world.put_group(&org, &group.id, "New name", Some(&strangers)).await);
        assert_eq!((given, message.matches("00000000-").count()), (Reason::InvalidValue, 10), "{message}");
        let (given, _) = refused(world.group_with(&org, "Dev", &strangers[..1]).await);
        assert_eq!(given, Reason::InvalidValue);
        assert_eq!(reason(world.patch_group(&org, &group.id, add(&[&group.id])).await), Reason::InvalidValue);
        let half = vec![Change::Attribute(replace("displayName", &json!("Half"))), add(&strangers[..1]).remove(0)];
        assert_eq!(reason(world.patch_group(&org, &group.id, half).await), Reason::InvalidValue);
        let after = world.get_group(&org, &group.id).await.expect("get");
        assert_eq!((after.version, after.members.len(), after.display_name.as_str()), (1, 0, "Ops"));
        world.group(&org, "Dev", &[]).await;
    })
    .await;
}

#[tokio::test]
async fn groups_nest_and_even_a_cycle_ends() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (kit, ann) = (world.user(&org, "kit").await.id, world.user(&org, "ann").await.id);
        let ops = world.group(&org, "Ops", &[&kit]).await.id;
        let all = world.group(&org, "All", &[&ops, &ann]).await;
        assert_eq!(all.members.iter().map(|member| member.r#type()).collect::<Vec<_>>().len(), all.members.len());
        let top = world.group(&org, "Top", &[&all.id]).await.id;
        let direct = |name: &str| (name.to_owned(), true);
        let nested = |name: &str| (name.to_owned(), false);
        assert_eq!(groups_of(&world, &org, &kit).await, [direct("Ops"), nested("All"), nested("Top")]);
        world.patch_group(&org, &ops, add(&[&top])).await.expect("a cycle");
        assert_eq!(groups_of(&world, &org, &kit).await, [direct("Ops"), nested("All"), nested("Top")]);
        assert_eq!(groups_of(&world, &org, &ann).await, [direct("All"), nested("Ops"), nested("Top")]);
        // In a group directly and through nesting: direct.
        world.patch_group(&org, &top, add(&[&kit])).await.expect("add");
        assert_eq!(groups_of(&world, &org, &kit).await, [direct("Ops"), direct("Top"), nested("All")]);

        let (page, _) = world.list_query(&org, proto::ListQuery::default()).await.expect("list");
        assert_eq!(page.iter().map(|user| user.groups.len()).collect::<Vec<_>>(), [3, 3]);
        let found = world.found(&org, &format!("groups.value eq \"{top}\"")).await.expect("filter");
        assert_eq!(found, ["ann", "kit"]);
        assert_eq!(world.found(&org, "groups.display eq \"oPs\"").await.expect("filter"), ["ann", "kit"]);
        assert_eq!(world.found(&org, "groups[display eq \"none\"]").await.expect("filter"), Vec::<String>::new());

        world.delete_group(&org, &all.id).await.expect("delete");
        assert_eq!(groups_of(&world, &org, &ann).await, []);
        assert_eq!(groups_of(&world, &org, &kit).await, [direct("Ops"), direct("Top")]);
        assert_eq!(world.members(&org, &top).await, std::slice::from_ref(&kit));
        assert_eq!(world.get_group(&org, &top).await.expect("get").version, 3);
    })
    .await;
}

#[tokio::test]
async fn nesting_is_searched_from_the_first_nested_group_on() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let kit = world.user(&org, "kit").await.id;
        let ops = world.group(&org, "Ops", &[&kit]).await.id;
        let all = world.group(&org, "All", &[]).await.id;
        let recursions = async || {
            let (user, statements) = recorded(world.get(&org, &kit)).await;
            (user.expect("get").groups.len(), statements.iter().filter(|text| text.contains("RECURSIVE")).count())
        };
        assert_eq!(recursions().await, (1, 0));
        world.patch_silently(&org, &all, add(&[&ops])).await.expect("nest");
        assert_eq!(recursions().await, (2, 1));
        world.patch_silently(&org, &all, remove(&[&ops])).await.expect("take out");
        assert_eq!(recursions().await.0, 1);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_user_leaves_its_groups_and_does_not_come_back_to_them() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (kit, ann) = (world.user(&org, "kit").await.id, world.user(&org, "ann").await.id);
        let ops = world.group(&org, "Ops", &[&kit, &ann]).await.id;
        let dev = world.group(&org, "Dev", &[&kit]).await.id;
        let none = world.group(&org, "None", &[&ann]).await.id;
        world.later(9);
        world.delete(&org, &kit).await.expect("delete");
        assert_eq!(world.members(&org, &ops).await, std::slice::from_ref(&ann));
        for (group, version) in [(&ops, 2), (&dev, 2), (&none, 1)] {
            let group = world.get_group(&org, group).await.expect("get");
            assert_eq!(group.version, version);
            assert_eq!(group.modified_at == Some(wire::to_timestamp(world.now())), version == 2);
        }
        let again = world.user(&org, "kit").await;
        assert_ne!(again.id, kit);
        assert_eq!(groups_of(&world, &org, &again.id).await, []);
        assert_eq!(reason(world.patch_group(&org, &dev, add(&[&kit])).await), Reason::InvalidValue);
    })
    .await;
}

#[tokio::test]
async fn members_come_in_pages_and_large_groups_are_handled_set_wise() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut users = Vec::new();
        for n in 0..25 {
            users.push(world.user(&org, &format!("user{n}")).await.id);
        }
        let everyone: Vec<&str> = users.iter().map(String::as_str).collect();
        let group = world.group(&org, "Ops", &everyone).await;
        let page = async |token: &str, size: u32| {
            let request = proto::ListMembersRequest {
                organization_id: org.clone(),
                caller: client(),
                group_id: group.id.clone(),
                page_size: size,
                page_token: token.to_owned(),
            };
            world.identity.clone().list_members(request).await.map(tonic::Response::into_inner)
        };
        let (mut walked, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let answer = page(&token, 10).await.expect("page");
            walked.extend(member_ids(&answer.members));
            pages += 1;
            token = answer.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!((pages, walked), (3, sorted(users.clone())));
        assert_eq!(reason(page("not a token", 10).await), Reason::InvalidArgument);
        assert_eq!(page("", 0).await.expect("page").members.len(), 25);
        let request = proto::GetGroupRequest {
            organization_id: org.clone(),
            caller: client(),
            id: group.id.clone(),
            mask: Some(proto::GroupMask { members: 5 }),
        };
        let shown = world.identity.clone().get_group(request).await.expect("get").into_inner();
        assert_eq!(shown.members.len(), 5);
        let rest = page(&shown.next_member_page_token, 100).await.expect("page");
        assert_eq!(rest.members.len(), 20);
    })
    .await;
}

#[tokio::test]
async fn on_a_lapsed_plan_members_can_still_be_removed() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (a, b) = (world.user(&org, "a").await.id, world.user(&org, "b").await.id);
        let group = world.group(&org, "Ops", &[&a]).await;
        let known = world.group(&org, "Known", &[&a, &b]).await;
        let external = vec![Change::Attribute(replace("externalId", &json!("x")))];
        world.patch_group(&org, &known.id, external).await.expect("an externalId");
        world.lapse(&org).await;
        // Okta's wizard sends the whole group, without the externalId it never set.
        world.put_group(&org, &known.id, "Known", Some(&[&a])).await.expect("b goes");
        assert_eq!(reason(world.put_group(&org, &known.id, "Other", Some(&[])).await), Reason::PlanLapsed);
        assert_eq!(reason(world.patch_group(&org, &group.id, add(&[&b])).await), Reason::PlanLapsed);
        let rename = vec![Change::Attribute(replace("displayName", &json!("Dev")))];
        assert_eq!(reason(world.patch_group(&org, &group.id, rename).await), Reason::PlanLapsed);
        assert_eq!(reason(world.put_group(&org, &group.id, "Ops", Some(&[&a, &b])).await), Reason::PlanLapsed);
        assert_eq!(reason(world.group_with(&org, "New", &[]).await), Reason::PlanLapsed);
        assert_eq!(world.members(&org, &group.id).await, std::slice::from_ref(&a));
        // Okta sends the unchanged name along.
        let removal =
            [vec![Change::Attribute(replace("", &json!({"id": group.id, "displayName": "Ops"})))], remove(&[&a])];
        let left = world.patch_group(&org, &group.id, removal.concat()).await.expect("remove");
        assert_eq!((left.version, left.members.len()), (2, 0));
        world.delete_group(&org, &group.id).await.expect("delete");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_change_is_one_call_and_its_events_name_every_member() {
    const COUNT: usize = 1100;
    on_both(async |world| {
        let org = world.organization("acme").await;
        users_exist(&world, &org, u32::try_from(COUNT).expect("count"));
        let users: Vec<String> = (1..=1100).map(seeded).collect();
        let everyone: Vec<&str> = users.iter().map(String::as_str).collect();
        let group = world.group(&org, "Ops", &everyone).await;
        assert_eq!((group.members.len(), group.next_member_page_token.is_empty()), (1000, false));
        let put = world.put_group(&org, &group.id, "Ops", Some(&everyone[50..])).await.expect("put");
        assert_eq!(put.version, 2);
        let events = world.events(&org, 6).await;
        let named = |key: &str, version: i64| -> Vec<usize> {
            let deltas = events
                .iter()
                .filter(|event| event.subject_id == group.id)
                .map(|event| serde_json::from_slice::<serde_json::Value>(&event.delta_json).expect("delta"));
            let deltas = deltas.filter(|delta| delta["version"] == version);
            deltas.filter_map(|delta| delta[key].as_array().map(Vec::len)).collect()
        };
        assert_eq!((named("added", 1), named("removed", 1)), (vec![1000, 100], vec![]));
        assert_eq!((named("added", 2), named("removed", 2)), (vec![], vec![50]));
    })
    .await;
}
