//! Events: numbered without gaps, chained, and true to what happened.

use std::collections::BTreeSet;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use wire::identity as proto;

use crate::world::{json_of, kit, on_both, replace};

/// The chain as its documentation says it, worked out anew.
fn check_chain(org: &str, events: &[proto::Event]) {
    let mut previous = vec![0; 32];
    for (event, number) in events.iter().zip(1..) {
        assert_eq!(event.sequence, number);
        let mut hash = Sha256::new();
        hash.update(&previous);
        hash.update(org.parse::<Uuid>().expect("id").as_bytes());
        hash.update(event.sequence.to_be_bytes());
        let occurred = wire::from_timestamp(event.occurred_at.as_ref().expect("instant"));
        hash.update(occurred.to_be_bytes());
        hash.update(event.subject_id.parse::<Uuid>().expect("id").as_bytes());
        for part in [event.r#type.as_bytes(), &event.actor_json, &event.delta_json] {
            hash.update(u64::try_from(part.len()).expect("length").to_be_bytes());
            hash.update(part);
        }
        previous = hash.finalize().to_vec();
        assert_eq!(event.hash, previous, "event {number}");
    }
}

#[tokio::test]
async fn events_say_who_did_what_to_whom() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "kit@x").await;
        let group = world.group(&org, "Ops", &[&user.id]).await;
        let mut body = kit("kit@x");
        body["nickName"] = json!("K");
        body["password"] = json!("another secret");
        body["favouriteColour"] = json!("red");
        world.put(&org, &user.id, &body).await.expect("put");
        world.delete(&org, &user.id).await.expect("delete");
        let events = world.events(&org, 8).await;
        check_chain(&org, &events);
        let told: Vec<(&str, &str)> =
            events.iter().map(|event| (event.r#type.as_str(), event.subject_id.as_str())).collect();
        assert_eq!(
            told,
            [
                ("organization.created", org.as_str()),
                ("organization.scim_enabled", &org),
                ("user.created", &user.id),
                ("group.created", &group.id),
                ("group.members_changed", &group.id),
                ("user.updated", &user.id),
                ("group.members_changed", &group.id),
                ("user.deleted", &user.id),
            ]
        );
        assert_eq!(
            json_of(&events[1].actor_json),
            json!({"kind": "administrator", "name": "ada", "request_id": "req-2"})
        );
        assert_eq!(
            json_of(&events[2].actor_json),
            json!({"kind": "scim_client", "token_id": "01890a5d-ac96-774b-bcce-b302099a8057", "request_id": "req-1"})
        );
        assert_eq!(json_of(&events[2].delta_json)["after"]["userName"], "kit@x");
        let update = json_of(&events[5].delta_json);
        assert_eq!((&update["before"], &update["after"]), (&json!({}), &json!({"nickName": "K"})));
        assert_eq!(update["ignored"], json!(["favouriteColour"]));
        assert_eq!(json_of(&events[7].delta_json)["before"]["userName"], "kit@x");
        for event in &events {
            let delta = String::from_utf8_lossy(&event.delta_json).into_owned();
            assert!(!delta.contains("password") && !delta.contains("horse") && !delta.contains("secret"), "{delta}");
        }
    })
    .await;
}

#[tokio::test]
async fn numbers_have_no_gaps_although_many_write_and_two_processes_number() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let other = world.organization("other").await;
        let second = if world.is_sqlite() { None } else { Some(world.reopen().await) };
        let users = futures::future::join_all((0..40).map(|n| {
            let (org, world) = (if n % 4 == 0 { &other } else { &org }, &world);
            async move { world.user(org, &format!("user{n}")).await }
        }))
        .await;
        let patches = users.iter().enumerate().filter(|(n, _)| n % 4 != 0).map(|(_, user)| {
            let (org, world) = (&org, &world);
            async move { world.patch(org, &user.id, vec![replace("title", &json!("Boss"))]).await.expect("patch") }
        });
        futures::future::join_all(patches).await;
        let events = world.events(&org, 62).await;
        assert_eq!(events.len(), 62);
        check_chain(&org, &events);
        let theirs = world.events(&other, 12).await;
        assert_eq!(theirs.len(), 12);
        check_chain(&other, &theirs);
        // Each user was created before it was updated, and each once.
        let mut created = BTreeSet::new();
        for event in &events {
            match event.r#type.as_str() {
                "user.created" => assert!(created.insert(event.subject_id.clone())),
                "user.updated" => assert!(created.remove(&event.subject_id)),
                _ => {}
            }
        }
        assert!(created.is_empty());
        if let Some(second) = second {
            second.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn events_come_in_pages_and_what_was_left_is_numbered_at_the_next_start() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.service.shutdown().await;
        for n in 0..5 {
            world.user(&org, &format!("user{n}")).await;
        }
        let before = world.events_after(&org, 0).await.len();
        // SQLite's writer numbers what it writes.
        assert_eq!(before, if world.is_sqlite() { 7 } else { 2 }, "the sequencer is stopped");
        let again = world.reopen().await;
        let events = world.events(&org, 7).await;
        check_chain(&org, &events);
        let request = proto::ListEventsRequest { organization_id: org.clone(), after_sequence: 3, page_size: 2 };
        let page = world.identity.clone().list_events(request).await.expect("page").into_inner().events;
        assert_eq!(page.iter().map(|event| event.sequence).collect::<Vec<_>>(), [4, 5]);
        again.shutdown().await;
    })
    .await;
}
