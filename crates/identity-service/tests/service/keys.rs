//! What is indexed has a bound, which PostgreSQL's index entries set and both databases keep.

use serde_json::{Value, json};
use wire::Reason;

use crate::world::{bytes, client, on_both, reason};

const LONGEST: usize = 1000;

/// Bodies whose one key is `text`, with the filter that finds it.
fn users(text: &str) -> [(Value, String); 4] {
    [
        (json!({"userName": text}), format!("userName eq \"{text}\"")),
        (json!({"userName": "e", "externalId": text}), format!("externalId eq \"{text}\"")),
        (json!({"userName": "d", "displayName": text}), format!("displayName eq \"{text}\"")),
        (json!({"userName": "m", "emails": [{"value": text}]}), format!("emails.value eq \"{text}\"")),
    ]
}

#[tokio::test]
async fn a_key_of_a_thousand_bytes_is_taken_and_found_and_a_longer_one_is_refused() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let longest = "x".repeat(LONGEST);
        for (body, filter) in users(&longest) {
            let user = world.create(&org, &body).await.expect("taken");
            assert_eq!(world.found(&org, &filter).await.expect("found"), [user.user_name], "{filter:.20}");
        }
        // One byte more, a character of several bytes across the bound, and one that folds to more than it has.
        let folds_longer = "\u{fdfa}".repeat(LONGEST / 3);
        for text in ["x".repeat(LONGEST + 1), "x".repeat(LONGEST - 1) + "é", folds_longer] {
            for (body, filter) in users(&text) {
                assert_eq!(reason(world.create(&org, &body).await), Reason::InvalidValue, "{filter:.20}");
                // Nobody can have it, and asking is no error.
                assert_eq!(world.found(&org, &filter).await.expect("asked"), Vec::<String>::new(), "{filter:.20}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn groups_have_the_same_bound() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let post = async |body: Value| {
            let request = wire::identity::CreateGroupRequest {
                organization_id: org.clone(),
                caller: client(),
                resource_json: bytes(&body).into(),
                members: None,
                mask: None,
                idempotency_key: None,
            };
            world.identity.clone().create_group(request).await
        };
        let (longest, longer) = ("g".repeat(LONGEST), "g".repeat(LONGEST + 1));
        post(json!({"displayName": longest, "externalId": longest})).await.expect("taken");
        for body in [json!({"displayName": longer}), json!({"displayName": "short", "externalId": longer})] {
            assert_eq!(reason(post(body).await), Reason::InvalidValue);
        }
    })
    .await;
}
