//! Users: issue 2 items 5, 8, 11.

use serde_json::{Value, json};
use wire::{
    Reason,
    identity::{self as proto, PatchOp, group_change::Change, look_up_users_request::Key},
};

use crate::world::{
    World, administrator, bytes, client, ids, json_of, kit, on_both, operation, reason, refused, replace,
};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn look_up(world: &World, org: &str, key: Key) -> Vec<proto::User> {
    let request =
        proto::LookUpUsersRequest { organization_id: org.to_owned(), caller: client(), key: Some(key), mask: None };
    world.identity.clone().look_up_users(request).await.expect("look up").into_inner().users
}

#[tokio::test]
async fn a_user_is_kept_as_it_was_sent() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut body = kit("Kit.Moor@Example.com");
        body["schemas"] = json!(["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE]);
        body["phoneNumbers"] = json!([{"value": "tel:+1-555-0100", "type": "work"}, {"value": "x", "type": "other"}]);
        body[ENTERPRISE] = json!({"department": "Pier", "manager": {"value": "26118915-6090-4610-87e4-49d8ca9f808d"}});
        let user = world.create(&org, &body).await.expect("create");
        assert_eq!((user.version, user.changed, user.active), (1, true, Some(true)));
        assert_eq!(user.user_name, "Kit.Moor@Example.com");
        assert_eq!(user.external_id.as_deref(), Some("00u1a2b3c4d5"));
        assert_eq!((user.display_name.as_str(), user.primary_email.as_str()), ("Kit Moor", "Kit.Moor@Example.com"));
        assert_eq!(user.created_at, Some(wire::to_timestamp(world.now())));
        assert_eq!(user.modified_at, user.created_at);

        let read = world.get(&org, &user.id).await.expect("get");
        assert_eq!(read, proto::User { changed: false, ..user.clone() });
        let resource = json_of(&read.resource_json);
        let mut expected = body.clone();
        let expected = expected.as_object_mut().expect("object");
        for absent in ["password", "groups"] {
            expected.remove(absent);
        }
        assert_eq!(resource, Value::Object(expected.clone()));
        assert!(!String::from_utf8_lossy(&read.resource_json).contains("horse"));
        assert!(read.resource_json.starts_with(b"{\"schemas\":"), "schemas first");
    })
    .await;
}

#[tokio::test]
async fn active_is_true_by_default_and_honoured_when_given() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut body = kit("a@x");
        body.as_object_mut().expect("object").remove("active");
        assert_eq!(world.create(&org, &body).await.expect("create").active, Some(true));
        body["userName"] = json!("b@x");
        body["active"] = json!(false);
        let user = world.create(&org, &body).await.expect("create");
        assert_eq!(user.active, Some(false));

        // Omitted on PUT: unchanged. Others that are omitted are cleared.
        let put = json!({"schemas": body["schemas"], "userName": "b@x", "title": ""});
        let user = world.put(&org, &user.id, &put).await.expect("put");
        assert_eq!((user.active, user.version, user.changed), (Some(false), 2, true));
        assert_eq!(
            json_of(&user.resource_json),
            json!({"schemas": body["schemas"], "userName": "b@x", "active": false})
        );
        assert_eq!((user.external_id, user.display_name.as_str(), user.primary_email.as_str()), (None, "", ""));
        assert!(look_up(&world, &org, Key::ExternalId("00u1a2b3c4d5".to_owned())).await.len() == 1, "only a@x");
        assert!(look_up(&world, &org, Key::Email("b@x".to_owned())).await.is_empty());

        let user = world.patch(&org, &user.id, vec![replace("active", &json!(true))]).await.expect("patch");
        assert_eq!((user.active, user.version), (Some(true), 3));
        let removed = operation(PatchOp::Remove, "active", &Value::Null);
        let user = world.patch(&org, &user.id, vec![removed]).await.expect("patch");
        assert_eq!((user.active, user.version), (None, 4));
        assert_eq!(json_of(&user.resource_json).get("active"), None);
    })
    .await;
}

#[tokio::test]
async fn a_user_name_is_taken_in_any_case_and_free_after_deletion() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "Éva@Example.com").await;
        let (reason_given, message) = refused(world.create(&org, &kit("ÉVA@example.COM")).await);
        assert_eq!(reason_given, Reason::Uniqueness);
        assert!(message.contains("userName \"ÉVA@example.COM\"") && message.contains("send another"), "{message}");
        let other = world.user(&org, "other@example.com").await;
        assert_eq!(reason(world.put(&org, &other.id, &kit("e\u{301}va@example.com")).await), Reason::Uniqueness);
        let rename = vec![replace("userName", &json!("e\u{301}va@example.com"))];
        assert_eq!(reason(world.patch(&org, &other.id, rename).await), Reason::Uniqueness);
        assert_eq!(world.get(&org, &other.id).await.expect("get").version, 1);

        // Inactive users keep their name, and externalId is anybody's.
        world.patch(&org, &user.id, vec![replace("active", &json!(false))]).await.expect("deactivate");
        assert_eq!(reason(world.create(&org, &kit("éva@example.com")).await), Reason::Uniqueness);
        assert_eq!(look_up(&world, &org, Key::ExternalId("00u1a2b3c4d5".to_owned())).await.len(), 2);

        world.delete(&org, &user.id).await.expect("delete");
        assert_eq!(reason(world.get(&org, &user.id).await), Reason::UserNotFound);
        assert_eq!(reason(world.delete(&org, &user.id).await), Reason::UserNotFound);
        let again = world.user(&org, "éva@example.com").await;
        assert_ne!(again.id, user.id);
    })
    .await;
}

/// RFC 8265; what it refuses is refused on both databases, and each name is found by its own key.
#[tokio::test]
async fn names_are_one_as_the_profile_says() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for name in ["fussball", "Fußball", "ς", "Σ", "Straße Nord", "Kitמשה"] {
            world.user(&org, name).await;
        }
        for taken in ["FUSSBALL", "fußBALL", "σ", "STRASSE NORD", "kITמשה"] {
            assert_eq!(reason(world.create(&org, &json!({"userName": taken})).await), Reason::Uniqueness, "{taken}");
        }
        for (asked, name) in
            [("FUSSBALL", "fussball"), ("FUßBALL", "Fußball"), ("σ", "Σ"), ("strasse nord", "Straße Nord")]
        {
            for filter in [format!("userName eq \"{asked}\""), format!("userName eq \"{asked}\" and userName pr")] {
                assert_eq!(world.found(&org, &filter).await.expect("found"), [name], "{filter}");
            }
            let found = look_up(&world, &org, Key::UserName(asked.to_owned())).await;
            assert_eq!(found.iter().map(|user| user.user_name.as_str()).collect::<Vec<_>>(), [name]);
        }
        for refused in ["♚", "henryⅣ", "ﬁsh", "a\u{202e}b", "a\u{200b}b", " a", "a ", "a\tb", " "] {
            assert_eq!(
                reason(world.create(&org, &json!({"userName": refused})).await),
                Reason::InvalidValue,
                "{refused:?}"
            );
            // Asking for one is no error, and finds nobody.
            let filter = format!("userName eq {}", json!(refused));
            assert_eq!(world.found(&org, &filter).await.expect("asked"), Vec::<String>::new(), "{refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_changes_nothing_moves_neither_version_nor_instant() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "kit@x").await;
        world.later(1_000_000);
        let put = world.put(&org, &user.id, &kit("kit@x")).await.expect("put");
        assert_eq!(put, proto::User { changed: false, ..user.clone() });
        let same = vec![replace("", &json!({"active": true})), replace("displayName", &json!("Kit Moor"))];
        let patched = world.patch(&org, &user.id, same).await.expect("patch");
        assert_eq!(patched, proto::User { changed: false, ..user.clone() });

        let patched = world.patch(&org, &user.id, vec![replace("displayName", &json!("Kit"))]).await.expect("patch");
        assert_eq!((patched.version, patched.changed), (2, true));
        assert_eq!(patched.modified_at, Some(wire::to_timestamp(world.now())));
        assert_eq!(patched.created_at, user.created_at);
        // Two organization events, then created and updated, and none for what changed nothing.
        assert_eq!(world.events(&org, 4).await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_failing_patch_leaves_nothing_behind() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "kit@x").await;
        let half = vec![replace("displayName", &json!("Half")), replace("noSuchThing", &json!(1))];
        assert_eq!(reason(world.patch(&org, &user.id, half).await), Reason::InvalidPath);
        let half = vec![replace("displayName", &json!("Half")), replace("active", &json!("perhaps"))];
        assert_eq!(reason(world.patch(&org, &user.id, half).await), Reason::InvalidValue);
        let half = vec![replace("displayName", &json!("Half")), replace("id", &json!("x"))];
        assert_eq!(reason(world.patch(&org, &user.id, half).await), Reason::Mutability);
        let half = vec![replace("displayName", &json!("Half")), operation(PatchOp::Remove, "", &Value::Null)];
        assert_eq!(reason(world.patch(&org, &user.id, half).await), Reason::NoTarget);
        assert_eq!(world.get(&org, &user.id).await.expect("get"), proto::User { changed: false, ..user });
    })
    .await;
}

#[tokio::test]
async fn a_precondition_names_versions() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "kit@x").await;
        let mut body = kit("kit@x");
        body["displayName"] = json!("K");
        let put = async |versions: Vec<i64>, body: &Value| world.put_if(&org, &user.id, Some(versions), body).await;
        assert_eq!(reason(put(vec![2], &body).await), Reason::VersionMismatch);
        assert_eq!(put(vec![7, 1], &body).await.expect("put").version, 2);
        assert_eq!(put(vec![], &kit("kit@x")).await.expect("put").version, 3);
        assert_eq!(reason(put(vec![-1], &body).await), Reason::VersionMismatch);
        let delete = |versions| proto::DeleteUserRequest {
            organization_id: org.clone(),
            caller: client(),
            id: user.id.clone(),
            if_match: Some(proto::Precondition { versions }),
        };
        let mut identity = world.identity.clone();
        assert_eq!(reason(identity.delete_user(delete(vec![1])).await), Reason::VersionMismatch);
        identity.delete_user(delete(vec![3])).await.expect("delete");
        assert_eq!(reason(put(vec![], &body).await), Reason::UserNotFound);
    })
    .await;
}

#[tokio::test]
async fn an_odd_id_is_not_found_and_a_wrong_body_says_why() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for id in ["", "010101001010101011001010101011", "a/b", "%00", "\u{0}", "01890A5D-AC96-774B-BCCE-B302099A8057"]
        {
            assert_eq!(reason(world.get(&org, id).await), Reason::UserNotFound, "{id:?}");
            assert_eq!(reason(world.delete(&org, id).await), Reason::UserNotFound, "{id:?}");
            assert_eq!(reason(world.put(&org, id, &kit("x")).await), Reason::UserNotFound, "{id:?}");
            assert_eq!(reason(world.get_group(&org, id).await), Reason::GroupNotFound, "{id:?}");
        }
        for org in ["", "acme", "01890A5D-AC96-774B-BCCE-B302099A8057", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert_eq!(reason(world.create(org, &kit("x")).await), Reason::OrganizationNotFound, "{org:?}");
        }
        let post = async |body: &[u8]| {
            let request = proto::CreateUserRequest {
                organization_id: org.clone(),
                caller: client(),
                resource_json: body.to_vec().into(),
                idempotency_key: None,
            };
            reason(world.identity.clone().create_user(request).await)
        };
        assert_eq!(post(b"").await, Reason::InvalidSyntax);
        assert_eq!(post(b"[]").await, Reason::InvalidSyntax);
        assert_eq!(post(b"{\"userName\":").await, Reason::InvalidSyntax);
        assert_eq!(post(b"{}").await, Reason::InvalidValue);
        assert_eq!(post(b"{\"userName\": 7}").await, Reason::InvalidValue);
        let long = bytes(&json!({"userName": "x".repeat(1001)}));
        assert_eq!(post(&long).await, Reason::InvalidValue);
        // Each e-mail is a key, and U+FDFA folds to eighteen characters.
        let long = bytes(&json!({"userName": "x", "emails": [{"value": "\u{fdfa}".repeat(100)}]}));
        assert_eq!(post(&long).await, Reason::InvalidValue);
        assert_eq!(world.found(&org, "id pr").await.expect("list"), Vec::<String>::new());

        let request = proto::GetUserRequest { organization_id: org.clone(), ..Default::default() };
        let (reason_given, message) = refused(world.identity.clone().get_user(request).await);
        assert_eq!((reason_given, message.contains("caller")), (Reason::InvalidArgument, true));
    })
    .await;
}

#[tokio::test]
async fn look_ups_are_by_key_and_show_inactive_users_too() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut body = kit("Kit@Example.com");
        body["active"] = json!(false);
        body["emails"] = json!([{"value": "One@x", "type": "home"}, {"value": "Two@x"}, {"value": "one@X"}]);
        let user = world.create(&org, &body).await.expect("create");
        assert_eq!(user.primary_email, "One@x");
        let found = async |key| look_up(&world, &org, key).await.into_iter().map(|user| user.id).collect::<Vec<_>>();
        let here = vec![user.id.clone()];
        assert_eq!(found(Key::UserName("kIT@example.com".to_owned())).await, here);
        assert_eq!(found(Key::Email("TWO@x".to_owned())).await, here);
        assert_eq!(found(Key::Email("one@x".to_owned())).await, here);
        assert_eq!(found(Key::ExternalId("00u1a2b3c4d5".to_owned())).await, here);
        assert!(found(Key::ExternalId("00U1A2B3C4D5".to_owned())).await.is_empty(), "caseExact");
        assert!(found(Key::UserName("kit%".to_owned())).await.is_empty());

        let patch = vec![replace("emails", &json!([{"value": "three@x"}]))];
        world.patch(&org, &user.id, patch).await.expect("patch");
        assert!(found(Key::Email("two@x".to_owned())).await.is_empty());
        assert_eq!(found(Key::Email("Three@X".to_owned())).await, here);
    })
    .await;
}

#[tokio::test]
async fn scim_switched_off_refuses_clients_everything() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "kit@x").await;
        let group = world.group(&org, "Ops", &[&user.id]).await;
        world.switch(&org, false).await;
        let (given, message) = refused(world.get(&org, &user.id).await);
        assert_eq!((given, message.contains("switched off")), (Reason::ScimDisabled, true));
        assert_eq!(reason(world.get(&org, "odd").await), Reason::ScimDisabled);
        assert_eq!(reason(world.create(&org, &kit("y")).await), Reason::ScimDisabled);
        assert_eq!(reason(world.create(&org, &json!({})).await), Reason::ScimDisabled);
        assert_eq!(reason(world.put(&org, &user.id, &kit("y")).await), Reason::ScimDisabled);
        assert_eq!(
            reason(world.patch(&org, &user.id, vec![replace("active", &json!(false))]).await),
            Reason::ScimDisabled
        );
        assert_eq!(reason(world.delete(&org, &user.id).await), Reason::ScimDisabled);
        assert_eq!(reason(world.found(&org, "").await), Reason::ScimDisabled);
        assert_eq!(reason(world.found(&org, "no such attribute").await), Reason::ScimDisabled);
        assert_eq!(reason(world.get_group(&org, &group.id).await), Reason::ScimDisabled);
        assert_eq!(reason(world.patch_group(&org, &group.id, vec![]).await), Reason::ScimDisabled);
        assert_eq!(reason(world.put_group(&org, &group.id, "Ops", None).await), Reason::ScimDisabled);
        assert_eq!(reason(world.delete_group(&org, &group.id).await), Reason::ScimDisabled);

        // An administrator is not a SCIM client.
        let request = proto::GetUserRequest {
            organization_id: org.clone(),
            caller: administrator(),
            id: user.id.clone(),
            mask: None,
        };
        world.identity.clone().get_user(request).await.expect("get");
        world.switch(&org, true).await;
        world.get(&org, &user.id).await.expect("get");
    })
    .await;
}

#[tokio::test]
async fn on_a_lapsed_plan_access_can_still_be_taken_away() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "kit@x").await;
        let other = world.user(&org, "other@x").await;
        world.lapse(&org).await;
        world.get(&org, &user.id).await.expect("get");
        assert_eq!(world.found(&org, "").await.expect("list").len(), 2);
        assert_eq!(reason(world.create(&org, &kit("new@x")).await), Reason::PlanLapsed);
        assert_eq!(
            reason(world.patch(&org, &user.id, vec![replace("title", &json!("Boss"))]).await),
            Reason::PlanLapsed
        );
        assert_eq!(reason(world.put(&org, &user.id, &kit("renamed@x")).await), Reason::PlanLapsed);
        let off = vec![replace("active", &json!(false)), replace("title", &json!("Gone"))];
        let gone = world.patch(&org, &user.id, off).await.expect("deactivate");
        assert_eq!(gone.active, Some(false));
        assert_eq!(json_of(&gone.resource_json)["title"], "Gone");
        let on = vec![replace("active", &json!(true))];
        assert_eq!(reason(world.patch(&org, &user.id, on).await), Reason::PlanLapsed);
        let mut body = kit("other@x");
        body["active"] = json!(false);
        assert_eq!(world.put(&org, &other.id, &body).await.expect("put").active, Some(false));
        world.delete(&org, &other.id).await.expect("delete");
    })
    .await;
}

#[tokio::test]
async fn what_was_ignored_and_read_leniently_is_in_the_answer() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut body = kit("kit@x");
        body["shoeSize"] = json!(43);
        body["active"] = json!("True");
        let made = world.create(&org, &body).await.expect("create");
        assert_eq!((made.ignored, made.coerced), (vec!["shoeSize".to_owned()], vec!["booleanAsString".to_owned()]));
        // Of what changes something and of what changes nothing.
        for (title, changed) in [("Captain", true), ("Captain", false)] {
            let some = vec![replace("", &json!({"title": title, "shoeSize": 43}))];
            let patched = world.patch(&org, &made.id, some).await.expect("patch");
            assert_eq!((patched.changed, patched.ignored), (changed, vec!["shoeSize".to_owned()]));
        }
        let read = world.get(&org, &made.id).await.expect("get");
        assert!(read.ignored.is_empty() && read.coerced.is_empty());
        let put = world.put(&org, &made.id, &kit("kit@x")).await.expect("put");
        assert!(put.changed && put.ignored.is_empty() && put.coerced.is_empty());

        let group = world.group(&org, "Ops", &[]).await;
        let name = |name: &str| Change::Attribute(replace("", &json!({"displayName": name, "shoeSize": 43})));
        for (group, changed) in [
            (world.patch_group(&org, &group.id, vec![name("Operations")]).await, true),
            (world.patch_silently(&org, &group.id, vec![name("Ops")]).await, true),
            (
                world.patch_silently(&org, &group.id, vec![name("Ops"), Change::AddMembers(ids(&[&made.id]))]).await,
                true,
            ),
            (world.patch_silently(&org, &group.id, vec![name("Ops")]).await, false),
        ] {
            let group = group.expect("patch");
            assert_eq!((group.changed, group.ignored), (changed, vec!["shoeSize".to_owned()]));
        }
    })
    .await;
}
