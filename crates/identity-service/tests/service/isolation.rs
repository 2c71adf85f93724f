//! Another organization's id is not found, whatever is done with it.

use serde_json::json;
use wire::{
    Reason,
    identity::{self as proto, group_change::Change, look_up_users_request::Key},
};

use crate::world::{client, ids, kit, on_both, reason, replace};

#[tokio::test]
async fn nothing_of_another_organization_is_seen_or_touched() {
    on_both(async |world| {
        let (ours, theirs) = (world.organization("ours").await, world.organization("theirs").await);
        let mine = world.user(&ours, "mine@x").await.id;
        let user = world.user(&theirs, "kit@x").await;
        let group = world.group(&theirs, "Ops", &[&user.id]).await;
        let my_group = world.group(&ours, "Ours", &[]).await;

        assert_eq!(reason(world.get(&ours, &user.id).await), Reason::UserNotFound);
        assert_eq!(reason(world.put(&ours, &user.id, &kit("taken@x")).await), Reason::UserNotFound);
        let off = vec![replace("active", &json!(false))];
        assert_eq!(reason(world.patch(&ours, &user.id, off).await), Reason::UserNotFound);
        assert_eq!(reason(world.delete(&ours, &user.id).await), Reason::UserNotFound);
        let request = proto::ListGroupsOfUserRequest {
            organization_id: ours.clone(),
            caller: client(),
            user_id: user.id.clone(),
        };
        let mut identity = world.identity.clone();
        assert_eq!(reason(identity.list_groups_of_user(request).await), Reason::UserNotFound);
        for key in [
            Key::UserName("kit@x".to_owned()),
            Key::Email("kit@x".to_owned()),
            Key::ExternalId("00u1a2b3c4d5".to_owned()),
        ] {
            let request = proto::LookUpUsersRequest {
                organization_id: ours.clone(),
                caller: client(),
                key: Some(key),
                mask: None,
            };
            let found = identity.look_up_users(request).await.expect("look up").into_inner().users;
            assert!(found.iter().all(|user| user.id == mine), "{found:?}");
        }
        for filter in [
            String::new(),
            format!("id eq \"{}\"", user.id),
            "userName eq \"kit@x\" or id pr".to_owned(),
            "not (userName eq \"nobody\")".to_owned(),
            "emails.value co \"@\"".to_owned(),
            "active eq true or title pr".to_owned(),
        ] {
            let found = world.found(&ours, &filter).await.expect("list");
            assert!(found.iter().all(|name| name == "mine@x"), "{filter}: {found:?}");
        }
        let filter = format!("groups.value eq \"{}\" or groups.display eq \"Ops\" or groups pr", group.id);
        assert_eq!(world.found(&ours, &filter).await.expect("list"), Vec::<String>::new());

        assert_eq!(reason(world.get_group(&ours, &group.id).await), Reason::GroupNotFound);
        assert_eq!(reason(world.put_group(&ours, &group.id, "Ops", Some(&[])).await), Reason::GroupNotFound);
        assert_eq!(reason(world.patch_group(&ours, &group.id, vec![]).await), Reason::GroupNotFound);
        assert_eq!(reason(world.delete_group(&ours, &group.id).await), Reason::GroupNotFound);
        let request = proto::ListMembersRequest {
            organization_id: ours.clone(),
            caller: client(),
            group_id: group.id.clone(),
            ..Default::default()
        };
        assert_eq!(reason(identity.list_members(request).await), Reason::GroupNotFound);
        let request = proto::ListGroupsRequest {
            organization_id: ours.clone(),
            caller: client(),
            query: Some(proto::ListQuery {
                filter: format!("members.value eq \"{}\" or displayName eq \"Ops\"", user.id),
                ..Default::default()
            }),
            mask: None,
        };
        assert_eq!(identity.list_groups(request).await.expect("list").into_inner().total_results, 0);
        for stranger in [&user.id, &group.id] {
            let add = vec![Change::AddMembers(ids(&[stranger]))];
            assert_eq!(reason(world.patch_group(&ours, &my_group.id, add).await), Reason::InvalidValue);
            let removed = vec![Change::RemoveMembers(ids(&[stranger]))];
            assert!(!world.patch_group(&ours, &my_group.id, removed).await.expect("no-op").changed);
        }
        for event in world.events(&ours, 4).await {
            let delta = String::from_utf8_lossy(&event.delta_json).into_owned();
            assert!(!delta.contains("kit@x") && !delta.contains(&user.id), "{delta}");
        }

        // The same name in both is two users, and theirs is as it was.
        world.user(&ours, "kit@x").await;
        let after = world.get(&theirs, &user.id).await.expect("get");
        assert_eq!((after.version, after.active, after.groups.len()), (1, Some(true), 1));
        assert_eq!(world.members(&theirs, &group.id).await, [user.id]);
    })
    .await;
}
