//! A create that is sent again, and people who come back.

use serde_json::json;
use tonic::Status;
use wire::{
    Reason,
    common::{Caller, ScimClient, caller::Kind},
    identity as proto,
};

use crate::world::{World, administrator, bytes, client, group_body, ids, kit, on_both, reason, refused, replace};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

fn other_client() -> Option<Caller> {
    let token_id = "01890a5d-ac96-774b-bcce-b302099a8058".to_owned();
    Some(Caller {
        kind: Some(Kind::ScimClient(ScimClient { token_id, entry_id: String::new() })),
        request_id: "req-3".to_owned(),
    })
}

impl World {
    async fn create_as(
        &self,
        caller: Option<Caller>,
        org: &str,
        user_name: &str,
        key: &str,
    ) -> Result<proto::User, Status> {
        let request = proto::CreateUserRequest {
            organization_id: org.to_owned(),
            caller,
            resource_json: bytes(&kit(user_name)).into(),
            idempotency_key: Some(key.to_owned()),
        };
        Ok(self.identity.clone().create_user(request).await?.into_inner())
    }

    pub(crate) async fn create_with(&self, org: &str, user_name: &str, key: &str) -> Result<proto::User, Status> {
        self.create_as(client(), org, user_name, key).await
    }

    async fn group_by(&self, org: &str, name: &str, members: &[&str], key: &str) -> Result<proto::Group, Status> {
        let request = proto::CreateGroupRequest {
            organization_id: org.to_owned(),
            caller: client(),
            resource_json: bytes(&group_body(name)).into(),
            members: Some(ids(members)),
            mask: Some(proto::GroupMask { members: 10 }),
            idempotency_key: Some(key.to_owned()),
        };
        Ok(self.identity.clone().create_group(request).await?.into_inner())
    }
}

#[tokio::test]
async fn the_same_create_gives_the_same_user_as_it_is_now() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let first = world.create_with(&org, "kit@example.com", "k1").await.expect("created");
        let again = world.create_with(&org, "kit@example.com", "k1").await.expect("again");
        assert!(first.changed && !again.changed);
        assert_eq!(proto::User { changed: true, ..again }, first);

        let group = world.group(&org, "Pier", &[&first.id]).await;
        world.patch(&org, &first.id, vec![replace("title", &json!("Keeper"))]).await.expect("patched");
        let again = world.create_with(&org, "kit@example.com", "k1").await.expect("again");
        assert_eq!((again.id.as_str(), again.version), (first.id.as_str(), 2));
        assert_eq!(again.groups.iter().map(|group| &group.id).collect::<Vec<_>>(), [&group.id]);

        assert_eq!(world.found(&org, "userName pr").await.expect("list"), ["kit@example.com"]);
        // Two of the organization, one of the user's creation, one of the group's with its member's, one of the change.
        let events = world.events(&org, 6).await;
        assert_eq!(events.iter().filter(|event| event.r#type == "user.created").count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_key_is_one_callers_in_one_organization_and_stands_for_one_resource() {
    on_both(async |world| {
        let (org, other_org) = (world.organization("acme").await, world.organization("bolt").await);
        let first = world.create_with(&org, "kit@example.com", "k1").await.expect("created");
        let (why, message) = refused(world.create_with(&org, "max@example.com", "k1").await);
        assert_eq!(why, Reason::IdempotencyKeyReused, "{message}");
        assert_eq!(reason(world.group_by(&org, "Pier", &[], "k1").await), Reason::IdempotencyKeyReused);

        assert_ne!(world.create_with(&other_org, "kit@example.com", "k1").await.expect("created").id, first.id);
        for caller in [other_client(), administrator()] {
            assert_eq!(
                reason(world.create_as(caller.clone(), &org, "kit@example.com", "k1").await),
                Reason::Uniqueness
            );
            let name = format!("{}@example.com", if caller == administrator() { "a" } else { "b" });
            world.create_as(caller, &org, &name, "k1").await.expect("a key of their own");
        }
        assert_eq!(reason(world.create_with(&org, "KIT@example.com", "k2").await), Reason::Uniqueness);
        world.create_with(&org, "max@example.com", "k2").await.expect("a refused create leaves its key free");
        for key in ["", "a b", &"k".repeat(256)] {
            assert_eq!(reason(world.create_with(&org, "x@example.com", key).await), Reason::InvalidValue);
        }
    })
    .await;
}

#[tokio::test]
async fn a_group_is_the_same_only_with_the_same_members() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (a, b) = (world.user(&org, "a").await.id, world.user(&org, "b").await.id);
        let first = world.group_by(&org, "Pier", &[&a, &b], "k1").await.expect("created");
        let again = world.group_by(&org, "Pier", &[&b, &a, &a], "k1").await.expect("again");
        assert_eq!(proto::Group { changed: true, ..again }, first);
        assert_eq!(reason(world.group_by(&org, "Pier", &[&a], "k1").await), Reason::IdempotencyKeyReused);
        assert_eq!(reason(world.group_by(&org, "Pier", &[&a, &b], "k2").await), Reason::Uniqueness);
        world.delete_group(&org, &first.id).await.expect("deleted");
        assert_eq!(reason(world.group_by(&org, "Pier", &[&a, &b], "k1").await), Reason::IdempotencyKeySpent);
    })
    .await;
}

#[tokio::test]
async fn a_key_ends_after_a_day_and_does_not_bring_back_the_deleted() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let first = world.create_with(&org, "kit@example.com", "k1").await.expect("created");
        world.later(DAY - 1);
        assert_eq!(world.create_with(&org, "kit@example.com", "k1").await.expect("again").id, first.id);
        world.delete(&org, &first.id).await.expect("deleted");
        assert_eq!(reason(world.create_with(&org, "kit@example.com", "k1").await), Reason::IdempotencyKeySpent);
        world.later(1);
        let second = world.create_with(&org, "kit@example.com", "k1").await.expect("a free key");
        assert_ne!(second.id, first.id);
        assert_eq!(world.create_with(&org, "kit@example.com", "k1").await.expect("again").id, second.id);

        world.lapse(&org).await;
        assert_eq!(world.create_with(&org, "kit@example.com", "k1").await.expect("a read").id, second.id);
        assert_eq!(reason(world.create_with(&org, "max@example.com", "k2").await), Reason::PlanLapsed);
    })
    .await;
}

#[tokio::test]
async fn of_those_who_come_together_one_creates() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for round in 0..5 {
            let (name, key) = (format!("kit{round}@example.com"), format!("k{round}"));
            let all = (0..8).map(|_| world.create_with(&org, &name, &key));
            let users: Vec<proto::User> =
                futures::future::join_all(all).await.into_iter().map(|user| user.expect("the user")).collect();
            assert_eq!(users.iter().filter(|user| user.changed).count(), 1);
            assert!(users.iter().all(|user| user.id == users[0].id));
        }
        assert_eq!(world.found(&org, "userName pr").await.expect("list").len(), 5);
    })
    .await;
}

#[tokio::test]
async fn an_inactive_user_is_found_and_comes_back_with_the_same_id() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let id = world.user(&org, "kit@example.com").await.id;
        for back in 0..2 {
            world.patch(&org, &id, vec![replace("active", &json!(false))]).await.expect("deactivated");
            for filter in [
                "userName eq \"KIT@example.com\"",
                "externalId eq \"00u1a2b3c4d5\"",
                "emails.value eq \"kit@example.com\"",
                "emails[type eq \"work\"].value eq \"kit@example.com\"",
                "active eq false",
            ] {
                assert_eq!(world.found(&org, filter).await.expect("found"), ["kit@example.com"], "{filter}");
            }
            use proto::look_up_users_request::Key;
            for key in [
                Key::UserName("Kit@example.com".to_owned()),
                Key::ExternalId("00u1a2b3c4d5".to_owned()),
                Key::Email("KIT@example.com".to_owned()),
            ] {
                let request = proto::LookUpUsersRequest {
                    organization_id: org.clone(),
                    caller: client(),
                    key: Some(key),
                    mask: None,
                };
                let users = world.identity.clone().look_up_users(request).await.expect("look-up").into_inner().users;
                assert_eq!(users.iter().map(|user| &user.id).collect::<Vec<_>>(), [&id]);
            }
            assert_eq!(world.get(&org, &id).await.expect("by id").active, Some(false));

            assert_eq!(reason(world.create(&org, &kit("kit@example.com")).await), Reason::Uniqueness);
            assert_eq!(reason(world.create_with(&org, "Kit@Example.com", "k1").await), Reason::Uniqueness);
            assert_eq!(world.get(&org, &id).await.expect("by id").active, Some(false), "POST never reactivates");

            let user = match back {
                0 => world.patch(&org, &id, vec![replace("active", &json!(true))]).await,
                _ => world.put(&org, &id, &kit("kit@example.com")).await,
            };
            let user = user.expect("reactivated");
            assert_eq!((user.id.as_str(), user.active), (id.as_str(), Some(true)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_users_names_are_free_and_nothing_is_inherited() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let first = world.user(&org, "kit@example.com").await;
        let group = world.group(&org, "Pier", &[&first.id]).await;
        world.delete(&org, &first.id).await.expect("deleted");
        let second = world.user(&org, "kit@example.com").await;
        assert_ne!(second.id, first.id);
        assert_eq!(second.version, 1);
        assert!(world.get(&org, &second.id).await.expect("by id").groups.is_empty());
        assert!(world.members(&org, &group.id).await.is_empty());
        assert_eq!(reason(world.get(&org, &first.id).await), Reason::UserNotFound);
    })
    .await;
}
