//! A token and its successor.

use wire::{
    Reason, refusal,
    token::{
        CreateScimTokenRequest, RetireScimTokenRequest, RotateScimTokenRequest, RotateScimTokenResponse, ScimToken,
    },
};

use crate::harness::{DAY, NOW, ORG, OTHER, Tokens, administrator, both, invalid, new};

type Refused = (Reason, String);

impl Tokens {
    async fn rotate(
        &mut self,
        org: &str,
        id: &str,
        deadline: Option<i64>,
    ) -> Result<(ScimToken, ScimToken, String), Refused> {
        let request = RotateScimTokenRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            id: id.to_owned(),
            ttl_days: None,
            deadline: deadline.map(wire::to_timestamp),
        };
        let answer = self.client.rotate_scim_token(request).await.map_err(|status| {
            let refusal = refusal(&status);
            (refusal.reason, refusal.message)
        })?;
        let RotateScimTokenResponse { token, successor, secret } = answer.into_inner();
        Ok((token.expect("token"), successor.expect("successor"), secret))
    }

    async fn retire(&mut self, org: &str, id: &str, force: bool) -> Result<ScimToken, Refused> {
        let request = RetireScimTokenRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            id: id.to_owned(),
            force,
        };
        let answer = self.client.retire_scim_token(request).await.map_err(|status| {
            let refusal = refusal(&status);
            (refusal.reason, refusal.message)
        })?;
        Ok(answer.into_inner().token.expect("token"))
    }
}

#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, Refused>, reason: Reason, hint: &str) {
    let (given, message) = result.expect_err(hint);
    assert_eq!(given, reason, "{message}");
    assert!(message.contains(hint), "{message:?} does not say {hint:?}");
}

#[tokio::test]
async fn both_are_valid_until_the_old_one_is_retired() {
    for mut tokens in both().await {
        let request = CreateScimTokenRequest {
            scopes: vec!["users:read".to_owned()],
            allowed_cidrs: vec!["10.0.0.0/8".to_owned()],
            ..new()
        };
        let created = tokens.client.create_scim_token(request).await.expect("created").into_inner();
        let (old, old_secret) = (created.token.expect("token"), created.secret);
        tokens.later(DAY);
        let (rotated, new, secret) = tokens.rotate(ORG, &old.id, None).await.expect("rotated");
        assert_eq!((&rotated.id, &rotated.successor_id), (&old.id, &new.id));
        assert_eq!(rotated.expires_at, old.expires_at, "no deadline was given");
        assert_eq!(
            (&new.description, &new.scopes, &new.allowed_cidrs),
            (&old.description, &old.scopes, &old.allowed_cidrs)
        );
        assert_eq!(wire::from_timestamp(new.expires_at.as_ref().expect("expires")), NOW + 366 * DAY);
        assert_ne!(secret, old_secret);
        tokens.verify(&old_secret).await.expect("valid");
        tokens.verify(&secret).await.expect("valid");

        says(tokens.retire(ORG, &old.id, false).await, Reason::TokenState, "--force");
        says(tokens.rotate(ORG, &old.id, None).await, Reason::TokenState, &new.id);
        assert!(!tokens.list(ORG).await.iter().any(|token| token.successor_used));

        // Noted, not yet written.
        tokens.used(ORG, &new.id, "10.1.2.3", "Okta").await;
        let retired = tokens.retire(ORG, &old.id, false).await.expect("retired");
        assert!(retired.successor_used && retired.revoked_at.is_some());
        assert_eq!(tokens.verify(&old_secret).await, Err(invalid()));
        tokens.verify(&secret).await.expect("valid");
        let again = tokens.retire(ORG, &old.id, false).await.expect("idempotent");
        assert_eq!(again, retired);
        let events = tokens.query("SELECT kind AS text FROM token_event ORDER BY id");
        assert_eq!(events, ["created", "created", "rotated", "retired"]);
    }
}

#[tokio::test]
async fn a_deadline_ends_the_old_one_and_never_lengthens_its_life() {
    for mut tokens in both().await {
        let (old, secret) = tokens.create(ORG, Some(10)).await;
        says(tokens.rotate(ORG, &old.id, Some(NOW + 59_000_000)).await, Reason::InvalidArgument, "a minute");
        assert_eq!(tokens.list(ORG).await.len(), 1, "nothing was made");
        let (rotated, ..) = tokens.rotate(ORG, &old.id, Some(NOW + DAY)).await.expect("rotated");
        assert_eq!(wire::from_timestamp(rotated.expires_at.as_ref().expect("expires")), NOW + DAY);
        let (short, _) = tokens.create(ORG, Some(1)).await;
        let (rotated, ..) = tokens.rotate(ORG, &short.id, Some(NOW + 5 * DAY)).await.expect("rotated");
        assert_eq!(rotated.expires_at, short.expires_at);
        tokens.later(DAY - 1);
        tokens.verify(&secret).await.expect("valid");
        tokens.later(1);
        assert_eq!(tokens.verify(&secret).await, Err(invalid()));
    }
}

#[tokio::test]
async fn what_cannot_be_rotated_or_retired_is_said() {
    for mut tokens in both().await {
        let (token, secret) = tokens.create(ORG, None).await;
        says(tokens.rotate(OTHER, &token.id, None).await, Reason::TokenNotFound, "no token");
        says(tokens.retire(OTHER, &token.id, true).await, Reason::TokenNotFound, "no token");
        says(tokens.rotate(ORG, "no-uuid", None).await, Reason::TokenNotFound, "no token");
        says(tokens.retire(ORG, &token.id, true).await, Reason::TokenState, "Rotate it first");

        let (_, new, _) = tokens.rotate(ORG, &token.id, None).await.expect("rotated");
        says(tokens.retire(OTHER, &token.id, true).await, Reason::TokenNotFound, "no token");
        tokens.used(ORG, &new.id, "", "").await;
        tokens.revoke(ORG, &new.id).await.expect("revoked");
        says(tokens.retire(ORG, &token.id, false).await, Reason::TokenState, "no longer valid");
        says(tokens.rotate(ORG, &new.id, None).await, Reason::TokenState, "Make a new one");
        tokens.verify(&secret).await.expect("untouched by what was refused");
        tokens.retire(ORG, &token.id, true).await.expect("forced");
        assert_eq!(tokens.verify(&secret).await, Err(invalid()));

        let (expiring, _) = tokens.create(ORG, Some(1)).await;
        tokens.later(DAY);
        says(tokens.rotate(ORG, &expiring.id, None).await, Reason::TokenState, "no longer valid");
    }
}

#[tokio::test]
async fn of_two_rotations_at_once_one_wins() {
    for mut tokens in both().await {
        let (token, _) = tokens.create(ORG, None).await;
        let request = RotateScimTokenRequest {
            organization_id: ORG.to_owned(),
            caller: administrator(),
            id: token.id.clone(),
            ..RotateScimTokenRequest::default()
        };
        let rotate = || {
            let (mut client, request) = (tokens.client.clone(), request.clone());
            async move { client.rotate_scim_token(request).await.is_ok() }
        };
        let won = futures::future::join_all((0..8).map(|_| rotate())).await;
        assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
        assert_eq!(tokens.list(ORG).await.len(), 2, "the losers left nothing");
    }
}
