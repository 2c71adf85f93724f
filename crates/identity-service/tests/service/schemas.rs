//! Schemas that organizations add.

use serde_json::{Value, json};
use tonic::Status;
use wire::{
    Reason, Transport,
    common::Caller,
    identity::{self as proto, identity_service_client::IdentityServiceClient},
};

use crate::world::{World, administrator, bytes, client, json_of, kit, on_both, operation, reason, refused, replace};

const URN: &str = "urn:example:params:scim:acme:2.0:User";
const GROUP_URN: &str = "urn:example:params:scim:acme:2.0:Group";

fn badge() -> Value {
    json!({
        "id": URN,
        "name": "Acme",
        "attributes": [
            {"name": "badge", "type": "string"},
            {"name": "level", "type": "integer"},
            {"name": "hired", "type": "dateTime"},
            {"name": "desks", "type": "complex", "multiValued": true, "subAttributes": [
                {"name": "value", "type": "string"},
                {"name": "floor", "type": "integer"},
            ]},
        ],
    })
}

fn of_groups() -> Value {
    json!({"id": GROUP_URN, "resourceType": "Group", "attributes": [{"name": "cost", "type": "decimal"}]})
}

impl World {
    async fn add_schema_as(
        &self,
        caller: Option<Caller>,
        org: &str,
        document: &Value,
    ) -> Result<proto::SchemaExtension, Status> {
        let request =
            proto::AddSchemaRequest { caller, organization_id: org.to_owned(), document_json: bytes(document).into() };
        Ok(self.organizations.clone().add_schema(request).await?.into_inner())
    }

    async fn add_schema(&self, org: &str, document: &Value) -> Result<proto::SchemaExtension, Status> {
        self.add_schema_as(administrator(), org, document).await
    }

    async fn schemas(&self, org: &str) -> Vec<String> {
        let request = proto::ListSchemasRequest { organization_id: org.to_owned() };
        let answer = self.organizations.clone().list_schemas(request).await.expect("listed").into_inner();
        answer.schemas.into_iter().map(|schema| schema.id).collect()
    }
}

fn with(user_name: &str, extension: &Value) -> Value {
    let mut body = kit(user_name);
    body[URN] = extension.clone();
    body
}

#[tokio::test]
async fn an_extension_is_filtered_sorted_patched_and_replaced() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let added = world.add_schema(&org, &badge()).await.expect("added");
        assert_eq!((added.id.as_str(), added.resource_type.as_str()), (URN, "User"));
        for (name, badge, level) in [("a", "B-1", 9), ("b", "b-2", 10), ("c", "C-3", 8)] {
            let extension =
                json!({"badge": badge, "level": level, "hired": format!("2026-01-0{}T00:00:00Z", level % 8 + 1)});
            world.create(&org, &with(name, &extension)).await.expect("created");
        }
        let plain = world.user(&org, "d").await;
        for (filter, found) in [
            (format!("{URN}:badge eq \"b-1\""), &["a"][..]),
            (format!("{}:BADGE sw \"B\"", URN.to_uppercase()), &["a", "b"]),
            (format!("{URN}:level gt 8"), &["a", "b"]),
            (format!("{URN}:hired lt \"2026-01-02T00:00:00Z\""), &["c"]),
            (format!("not ({URN}:badge pr)"), &["d"]),
        ] {
            assert_eq!(world.found(&org, &filter).await.expect("found"), found, "{filter}");
        }
        let sorted = |order: proto::SortOrder| proto::ListQuery {
            sort_by: format!("{URN}:level"),
            sort_order: order.into(),
            count: Some(10),
            ..Default::default()
        };
        for (order, names) in
            [(proto::SortOrder::Ascending, ["c", "a", "b", "d"]), (proto::SortOrder::Descending, ["d", "b", "a", "c"])]
        {
            let (users, _) = world.list_query(&org, sorted(order)).await.expect("sorted");
            assert_eq!(users.into_iter().map(|user| user.user_name).collect::<Vec<_>>(), names);
        }
        assert_eq!(reason(world.found(&org, &format!("{URN}:nope eq 1")).await), Reason::InvalidFilter);

        let patch = vec![
            replace(&format!("{URN}:level"), &json!(3)),
            operation(proto::PatchOp::Add, &format!("{URN}:desks"), &json!([{"value": "4-12", "floor": 4}])),
            replace(&format!("{URN}:desks[value eq \"4-12\"].floor"), &json!(5)),
        ];
        let user = world.patch(&org, &plain.id, patch).await.expect("patched");
        let stored = json_of(&user.resource_json);
        assert_eq!(stored[URN], json!({"level": 3, "desks": [{"value": "4-12", "floor": 5}]}));
        assert_eq!(stored["schemas"][1], URN);
        let filter = format!("{URN}:desks[floor eq 5 and value co \"12\"]");
        assert_eq!(world.found(&org, &filter).await.expect("found"), ["d"]);
        let wrong = vec![replace(&format!("{URN}:level"), &json!("high"))];
        assert_eq!(reason(world.patch(&org, &plain.id, wrong).await), Reason::InvalidValue);
        let unknown = vec![replace(&format!("{URN}:nope"), &json!(1))];
        assert_eq!(reason(world.patch(&org, &plain.id, unknown).await), Reason::InvalidPath);

        let user = world.put(&org, &plain.id, &kit("d")).await.expect("replaced");
        assert_eq!(json_of(&user.resource_json).get(URN), None, "omitted is cleared");
    })
    .await;
}

#[tokio::test]
async fn groups_have_extensions_too() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.add_schema(&org, &badge()).await.expect("added");
        world.add_schema(&org, &of_groups()).await.expect("added");
        assert_eq!(world.schemas(&org).await, [URN, GROUP_URN]);
        let group = world.group(&org, "Pier", &[]).await;
        let cost = replace(&format!("{GROUP_URN}:cost"), &json!(1.5));
        let change = proto::group_change::Change::Attribute(cost);
        let group = world.patch_group(&org, &group.id, vec![change]).await.expect("patched");
        assert_eq!(json_of(&group.resource_json)[GROUP_URN]["cost"], 1.5);
        let list = |filter: String| proto::ListGroupsRequest {
            organization_id: org.clone(),
            caller: client(),
            query: Some(proto::ListQuery { filter, ..Default::default() }),
            mask: None,
        };
        let mut identity = world.identity.clone();
        let found = identity.list_groups(list(format!("{GROUP_URN}:cost ge 1.5"))).await.expect("list").into_inner();
        assert_eq!(found.groups.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), [group.id.as_str()]);
        let wrong = identity.list_groups(list(format!("{URN}:badge pr"))).await;
        assert_eq!(reason(wrong), Reason::InvalidFilter, "an extension of users");
    })
    .await;
}

#[tokio::test]
async fn what_is_unknown_is_ignored_recorded_and_never_comes_back() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("bolt").await);
        let mut body = with("kit@example.com", &json!({"badge": "7"}));
        for n in 0..30 {
            body[format!("x{n:02}")] = json!(n);
        }
        let user = world.create(&org, &body).await.expect("created");
        let events = world.events(&org, 3).await;
        let created = events.iter().find(|event| event.r#type == "user.created").expect("the event");
        let delta = json_of(&created.delta_json);
        let ignored: Vec<&str> = delta["ignored"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
        assert_eq!(ignored.len(), 20, "{ignored:?}");
        assert!(ignored.contains(&URN) && ignored.contains(&"x00"), "{ignored:?}");
        assert_eq!(delta["after"].get(URN), None);

        world.add_schema(&org, &badge()).await.expect("added");
        let read = world.get(&org, &user.id).await.expect("read");
        assert!(!String::from_utf8_lossy(&read.resource_json).contains("badge"));
        assert!(world.found(&org, &format!("{URN}:badge pr")).await.expect("found").is_empty());
        let put = world.put(&org, &user.id, &body).await.expect("replaced");
        assert_eq!(json_of(&put.resource_json)[URN]["badge"], "7", "known now");

        let elsewhere = world.create(&other, &body).await.expect("created");
        assert_eq!(json_of(&elsewhere.resource_json).get(URN), None, "another organization's schema");
        assert_eq!(reason(world.found(&other, &format!("{URN}:badge pr")).await), Reason::InvalidFilter);
        assert!(world.schemas(&other).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_schema_is_checked_and_added_once_by_an_administrator() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.add_schema(&org, &badge()).await.expect("added");
        let (why, message) = refused(world.add_schema(&org, &badge()).await);
        assert_eq!(why, Reason::Uniqueness, "{message}");
        let mut close = badge();
        close["id"] = json!(format!("{}:more", URN.to_uppercase()));
        assert_eq!(reason(world.add_schema(&org, &close).await), Reason::Uniqueness);
        let (why, message) =
            refused(world.add_schema(&org, &json!({"id": "urn:acme:x", "attributes": [{"name": "1"}]})).await);
        assert_eq!(why, Reason::InvalidValue);
        assert!(message.contains("`1`"), "{message}");
        assert_eq!(reason(world.add_schema_as(client(), &org, &of_groups()).await), Reason::InvalidArgument);
        let nowhere = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(reason(world.add_schema(nowhere, &badge()).await), Reason::OrganizationNotFound);
        let list = proto::ListSchemasRequest { organization_id: nowhere.to_owned() };
        assert_eq!(reason(world.organizations.clone().list_schemas(list).await), Reason::OrganizationNotFound);

        let events = world.events(&org, 3).await;
        let event = events.iter().find(|event| event.r#type == "organization.schema_added").expect("the event");
        assert_eq!(event.subject_id, org);
        assert_eq!(json_of(&event.delta_json)["after"]["schema"]["id"], URN);

        for n in 1..20 {
            let document = json!({"id": format!("urn:acme:s{n}"), "attributes": [{"name": "a"}]});
            world.add_schema(&org, &document).await.expect("added");
        }
        let document = json!({"id": "urn:acme:s20", "attributes": [{"name": "a"}]});
        assert_eq!(reason(world.add_schema(&org, &document).await), Reason::TooMany);
        assert_eq!(world.schemas(&org).await.len(), 20);
    })
    .await;
}

#[tokio::test]
async fn a_schema_is_known_at_once_here_and_within_a_second_elsewhere() {
    on_both(async |world| {
        if world.is_sqlite() {
            return;
        }
        let org = world.organization("acme").await;
        let elsewhere = world.reopen().await;
        let mut other = IdentityServiceClient::new(Transport::in_process(elsewhere.routes()));
        let filter = format!("{URN}:badge pr");
        let list = proto::ListUsersRequest {
            organization_id: org.clone(),
            caller: client(),
            query: Some(proto::ListQuery { filter: filter.clone(), ..Default::default() }),
            mask: None,
        };
        assert_eq!(reason(other.list_users(list.clone()).await), Reason::InvalidFilter);
        assert_eq!(reason(world.found(&org, &filter).await), Reason::InvalidFilter);
        world.add_schema(&org, &badge()).await.expect("added");
        assert!(world.found(&org, &filter).await.expect("known here").is_empty());
        let user = world.create(&org, &with("kit", &json!({"badge": "7"}))).await.expect("created");
        let patch = proto::PatchUserRequest {
            organization_id: org.clone(),
            caller: client(),
            id: user.id,
            if_match: None,
            operations: vec![replace("title", &json!("Keeper"))],
            mask: None,
        };
        let patched = other.patch_user(patch).await.expect("patched").into_inner();
        assert_eq!(json_of(&patched.resource_json)[URN]["badge"], "7", "not dropped by one who did not know");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        other.list_users(list).await.expect("known elsewhere");
        elsewhere.shutdown().await;
    })
    .await;
}
