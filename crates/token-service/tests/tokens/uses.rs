//! Restrictions as a gateway is told of them, and uses as it tells of them.

use wire::token::{CreateScimTokenRequest, ScimToken};

use crate::harness::{NOW, ORG, OTHER, Tokens, both, invalid, new};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test]
async fn a_restricted_token_is_for_gateways_that_know_what_that_is() {
    for mut tokens in both().await {
        let restricted = CreateScimTokenRequest {
            scopes: words(&["groups:read", "users:read"]),
            allowed_cidrs: words(&["203.0.113.7", "2001:db8::/32"]),
            ..new()
        };
        let only_scopes = CreateScimTokenRequest { allowed_cidrs: Vec::new(), ..restricted.clone() };
        let only_cidrs = CreateScimTokenRequest { scopes: Vec::new(), ..restricted.clone() };
        for request in [restricted, only_scopes, only_cidrs] {
            let created = tokens.client.create_scim_token(request.clone()).await.expect("created").into_inner();
            let token = created.token.expect("token");
            let grant = tokens.verify_as(&created.secret, true).await.expect("valid");
            assert_eq!((&grant.scopes, &grant.allowed_cidrs), (&token.scopes, &token.allowed_cidrs));
            let expected: &[&str] = if request.scopes.is_empty() {
                &["users:read", "users:write", "groups:read", "groups:write"]
            } else {
                &["users:read", "groups:read"]
            };
            assert_eq!(grant.scopes, expected);
            let expected: &[&str] =
                if request.allowed_cidrs.is_empty() { &[] } else { &["203.0.113.7/32", "2001:db8::/32"] };
            assert_eq!(grant.allowed_cidrs, expected);
            assert_eq!(tokens.verify_as(&created.secret, false).await, Err(invalid()));
        }
        let (_, free) = tokens.create(ORG, None).await;
        assert_eq!(tokens.verify_as(&free, true).await, tokens.verify_as(&free, false).await);
    }
}

async fn last(tokens: &mut Tokens) -> ScimToken {
    tokens.service.shutdown().await;
    tokens.list(ORG).await.remove(0)
}

#[tokio::test]
async fn a_use_is_kept_with_where_it_came_from() {
    for mut tokens in both().await {
        let (token, secret) = tokens.create(ORG, None).await;
        assert_eq!(token.created_by, "ada");
        tokens.later(5_000);
        tokens.verify(&secret).await.expect("valid");
        tokens.used(ORG, &token.id, "203.0.113.7", "Okta SCIM Client 1.0.0").await;
        tokens.later(-1_000);
        tokens.used(ORG, &token.id, "198.51.100.1", "late").await;
        // Nonsense and other organizations' tokens are passed over.
        tokens.used(OTHER, &token.id, "198.51.100.2", "other").await;
        tokens.used("acme", "no-uuid", "", "").await;
        let kept = last(&mut tokens).await;
        assert_eq!(kept.last_used_at.as_ref().map(wire::from_timestamp), Some(NOW + 5_000));
        assert_eq!(kept.last_used_address, "203.0.113.7");
        assert_eq!(kept.last_used_user_agent, "Okta SCIM Client 1.0.0");
    }
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_cut_and_cleaned() {
    for mut tokens in both().await {
        let (token, _) = tokens.create(ORG, None).await;
        tokens.used(ORG, &token.id, "", &format!("a\u{0}\u{1b}[2J{}", "x".repeat(500))).await;
        let kept = last(&mut tokens).await;
        assert_eq!(kept.last_used_address, "");
        assert_eq!(kept.last_used_user_agent.chars().count(), 200);
        assert!(kept.last_used_user_agent.starts_with("a[2Jxxx"), "{}", kept.last_used_user_agent);
    }
}

#[tokio::test]
async fn a_verification_alone_leaves_no_trace() {
    for mut tokens in both().await {
        let (_, secret) = tokens.create(ORG, None).await;
        tokens.verify(&secret).await.expect("valid");
        assert_eq!(last(&mut tokens).await.last_used_at, None);
    }
}
