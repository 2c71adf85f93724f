//! Groups without regard to who is in them: issue 2 item 6.

use serde_json::{Value, json};
use wire::{
    Reason,
    identity::{self as proto, PatchOp, group_change::Change},
};

use crate::world::{bytes, client, json_of, on_both, operation, reason, refused, replace};

#[tokio::test]
async fn a_group_is_created_renamed_and_deleted() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let group = world.group(&org, "Ops", &[]).await;
        assert_eq!((group.version, group.changed, group.display_name.as_str()), (1, true, "Ops"));
        assert_eq!(
            json_of(&group.resource_json),
            json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Ops"})
        );
        let read = world.get_group(&org, &group.id).await.expect("get");
        assert_eq!(read, proto::Group { changed: false, ..group.clone() });

        let (given, message) = refused(world.group_with(&org, "oPS", &[]).await);
        assert_eq!((given, message.contains("displayName \"oPS\"")), (Reason::Uniqueness, true), "{message}");
        let other = world.group(&org, "Dev", &[]).await;
        assert_eq!(reason(world.put_group(&org, &other.id, "OPS", None).await), Reason::Uniqueness);

        world.later(5);
        // Okta's rename: no path, with the readOnly id.
        let rename = Change::Attribute(replace("", &json!({"id": group.id, "displayName": "Operations"})));
        let renamed = world.patch_group(&org, &group.id, vec![rename]).await.expect("rename");
        assert_eq!((renamed.display_name.as_str(), renamed.version), ("Operations", 2));
        assert_eq!(renamed.modified_at, Some(wire::to_timestamp(world.now())));
        assert_eq!(world.put_group(&org, &other.id, "OPS", None).await.expect("free").version, 2);
        let same = world.put_group(&org, &other.id, "OPS", None).await.expect("same");
        assert_eq!((same.version, same.changed), (2, false));

        let no_name = operation(PatchOp::Remove, "displayName", &Value::Null);
        let refusal = reason(world.patch_group(&org, &group.id, vec![Change::Attribute(no_name)]).await);
        assert!(matches!(refusal, Reason::Mutability | Reason::InvalidValue), "{refusal:?}");

        world.delete_group(&org, &group.id).await.expect("delete");
        assert_eq!(reason(world.get_group(&org, &group.id).await), Reason::GroupNotFound);
        assert_eq!(reason(world.delete_group(&org, &group.id).await), Reason::GroupNotFound);
        assert_eq!(reason(world.patch_group(&org, &group.id, vec![]).await), Reason::GroupNotFound);
        world.group(&org, "Operations", &[]).await;
    })
    .await;
}

#[tokio::test]
async fn groups_are_listed_by_filter_with_their_first_members() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (kit, ann) = (world.user(&org, "kit@x").await.id, world.user(&org, "ann@x").await.id);
        let ops = world.group(&org, "Ops", &[&kit, &ann]).await;
        let dev = world.group(&org, "Dev", &[&ann]).await;
        let all = world.group(&org, "All", &[&ops.id, &dev.id]).await;
        world.group(&org, "Empty", &[]).await;
        let list = async |filter: &str, members: u32| {
            let request = proto::ListGroupsRequest {
                organization_id: org.clone(),
                caller: client(),
                query: Some(proto::ListQuery { filter: filter.to_owned(), ..Default::default() }),
                mask: Some(proto::GroupMask { members }),
            };
            world.identity.clone().list_groups(request).await.map(tonic::Response::into_inner)
        };
        let names = async |filter: &str| {
            let answer = list(filter, 0).await.expect(filter);
            let mut names: Vec<String> = answer.groups.into_iter().map(|group| group.display_name).collect();
            assert_eq!(usize::try_from(answer.total_results), Ok(names.len()));
            names.sort();
            names
        };
        assert_eq!(names("displayName eq \"oPs\"").await, ["Ops"]);
        assert_eq!(names("displayName sw \"d\" or displayName eq \"empty\"").await, ["Dev", "Empty"]);
        assert_eq!(names(&format!("members.value eq \"{ann}\"")).await, ["Dev", "Ops"]);
        assert_eq!(names(&format!("members eq \"{}\"", ops.id)).await, ["All"]);
        assert_eq!(names(&format!("members[value eq \"{ann}\" and type eq \"User\"]")).await, ["Dev", "Ops"]);
        assert_eq!(names("members.type eq \"Group\"").await, ["All"]);
        assert_eq!(names("not (members pr)").await, ["Empty"]);
        assert_eq!(names("members.value eq \"nobody\"").await, Vec::<String>::new());
        assert_eq!(names(&format!("id eq \"{}\"", all.id)).await, ["All"]);
        assert_eq!(reason(list("members.display eq \"x\"", 0).await), Reason::InvalidFilter);
        assert_eq!(reason(list("userName eq \"x\"", 0).await), Reason::InvalidFilter);

        let answer = list("", 1).await.expect("list");
        let shown: Vec<_> = answer
            .groups
            .iter()
            .map(|group| (group.display_name.as_str(), group.members.len(), group.next_member_page_token.is_empty()))
            .collect();
        assert_eq!(shown, [("Ops", 1, false), ("Dev", 1, true), ("All", 1, false), ("Empty", 0, true)]);
        assert!(list("", 0).await.expect("list").groups.iter().all(|group| group.members.is_empty()));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_body_says_what_is_wrong() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let post = async |body: Value| {
            let request = proto::CreateGroupRequest {
                organization_id: org.clone(),
                caller: client(),
                resource_json: bytes(&body).into(),
                members: None,
                mask: None,
                idempotency_key: None,
            };
            reason(world.identity.clone().create_group(request).await)
        };
        assert_eq!(post(json!({})).await, Reason::InvalidValue);
        assert_eq!(post(json!({"displayName": ""})).await, Reason::InvalidValue);
        assert_eq!(post(json!({"displayName": 7})).await, Reason::InvalidValue);
        assert_eq!(post(json!({"displayName": "x".repeat(1001)})).await, Reason::InvalidValue);
        assert_eq!(post(json!([])).await, Reason::InvalidSyntax);
    })
    .await;
}
