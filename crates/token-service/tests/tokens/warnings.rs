//! Warnings before a token expires.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use wire::token::{CreateScimTokenRequest, ListExpiryWarningsRequest, RotateScimTokenRequest};

use crate::harness::{DAY, NOW, ORG, Tokens, administrator, both, new, open_at};

fn warnings(tokens: &Tokens) -> Vec<String> {
    tokens.query("SELECT kind AS text FROM token_event WHERE kind LIKE 'expires%' ORDER BY occurred, id")
}

/// Two processes that start at the same moment both look at once.
async fn look(tokens: &Tokens, day: i64, expected: &[&str]) {
    tokens.now.store(NOW + day * DAY, Ordering::Relaxed);
    let again = || open_at(Arc::clone(&tokens.database), Arc::clone(&tokens.now));
    let (one, other) = tokio::join!(again(), again());
    let begun = Instant::now();
    while warnings(tokens) != expected {
        assert!(begun.elapsed() < Duration::from_secs(10), "day {day}: {:?}", warnings(tokens));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The other one has looked, too.
    tokio::join!(one.service.shutdown(), other.service.shutdown());
    assert_eq!(warnings(tokens), expected, "day {day}");
}

#[tokio::test]
async fn each_warning_is_one_event_whoever_looks_and_however_often() {
    for mut tokens in both().await {
        tokens.create(ORG, None).await;
        look(&tokens, 334, &[]).await;
        look(&tokens, 335, &["expires_in_30_days"]).await;
        look(&tokens, 335, &["expires_in_30_days"]).await;
        look(&tokens, 358, &["expires_in_30_days", "expires_in_7_days"]).await;
        let all = ["expires_in_30_days", "expires_in_7_days", "expires_in_1_day"];
        look(&tokens, 364, &all).await;
        look(&tokens, 366, &all).await;
        let who = tokens.query("SELECT actor_kind || ' ' || actor AS text FROM token_event WHERE kind LIKE 'expires%'");
        assert!(who.iter().all(|who| who == "internal_service token-service"), "{who:?}");
        // A new token is warned of by itself.
        tokens.create(ORG, Some(5)).await;
        look(&tokens, 370, &["expires_in_30_days", "expires_in_7_days", "expires_in_1_day", "expires_in_1_day"]).await;
    }
}

#[tokio::test]
async fn nobody_is_warned_of_a_token_that_is_over_or_has_a_successor() {
    for mut tokens in both().await {
        let (revoked, _) = tokens.create(ORG, Some(40)).await;
        tokens.revoke(ORG, &revoked.id).await.expect("revoked");
        tokens.allow_never(ORG).await;
        tokens.create(ORG, Some(0)).await;
        let rotated = CreateScimTokenRequest { ttl_days: Some(40), ..new() };
        let rotated = tokens.client.create_scim_token(rotated).await.expect("created").into_inner();
        let rotation = RotateScimTokenRequest {
            organization_id: ORG.to_owned(),
            caller: administrator(),
            id: rotated.token.expect("token").id,
            ..RotateScimTokenRequest::default()
        };
        tokens.client.rotate_scim_token(rotation).await.expect("rotated");
        look(&tokens, 39, &[]).await;
    }
}

#[tokio::test]
async fn warnings_are_listed_from_an_instant_on_less_those_of_tokens_that_are_over() {
    for mut tokens in both().await {
        let (kept, _) = tokens.create(ORG, Some(40)).await;
        let (revoked, _) = tokens.create(ORG, Some(40)).await;
        look(&tokens, 10, &["expires_in_30_days"; 2]).await;
        tokens.revoke(ORG, &revoked.id).await.expect("revoked");
        look(&tokens, 33, &["expires_in_30_days", "expires_in_30_days", "expires_in_7_days"]).await;
        let list = async |tokens: &mut Tokens, since: i64, after_id: &str| {
            let request =
                ListExpiryWarningsRequest { since: Some(wire::to_timestamp(since)), after_id: after_id.to_owned() };
            tokens.client.list_expiry_warnings(request).await.map(|answer| answer.into_inner().warnings)
        };
        let told = list(&mut tokens, 0, "").await.expect("listed");
        assert_eq!(told.iter().map(|warning| warning.days).collect::<Vec<_>>(), [30, 7]);
        assert!(told.iter().all(|warning| warning.token_id == kept.id && warning.organization_id == ORG));
        assert_eq!((told[1].description.as_str(), told[1].expires_at), ("Okta", kept.expires_at));
        let at = wire::from_timestamp(told[1].warned_at.as_ref().expect("instant"));
        assert_eq!(list(&mut tokens, at, "").await.expect("listed"), told[1..]);
        assert_eq!(list(&mut tokens, at, &told[1].id).await.expect("listed"), []);
        assert!(list(&mut tokens, 0, "x").await.is_err());
        tokens.now.store(NOW + 40 * DAY, Ordering::Relaxed);
        assert_eq!(list(&mut tokens, 0, "").await.expect("listed"), [], "it is over");
    }
}
