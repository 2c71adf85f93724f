//! What an organization's policy allows.

use wire::{
    Reason, refusal,
    token::{CreateScimTokenRequest, GetTokenPolicyRequest, SetTokenPolicyRequest, TokenPolicy},
};

use crate::harness::{DAY, NOW, ORG, OTHER, Tokens, administrator, both, new};

async fn set(
    tokens: &mut Tokens,
    max_ttl_days: Option<u32>,
    allow_never: Option<bool>,
) -> Result<(Option<u32>, bool), Reason> {
    let request =
        SetTokenPolicyRequest { organization_id: ORG.to_owned(), caller: administrator(), max_ttl_days, allow_never };
    let answer = tokens.client.set_token_policy(request).await.map_err(|status| refusal(&status).reason)?;
    let TokenPolicy { max_ttl_days, allow_never, .. } = answer.into_inner();
    Ok((max_ttl_days, allow_never))
}

async fn get(tokens: &mut Tokens, org: &str) -> (Option<u32>, bool) {
    let request = GetTokenPolicyRequest { organization_id: org.to_owned() };
    let policy = tokens.client.get_token_policy(request).await.expect("policy").into_inner();
    assert_eq!(policy.organization_id, org);
    (policy.max_ttl_days, policy.allow_never)
}

#[tokio::test]
async fn a_policy_is_set_in_part_and_told() {
    for mut tokens in both().await {
        assert_eq!(get(&mut tokens, ORG).await, (None, false));
        assert_eq!(set(&mut tokens, Some(90), None).await, Ok((Some(90), false)));
        assert_eq!(set(&mut tokens, None, Some(true)).await, Ok((Some(90), true)));
        assert_eq!(set(&mut tokens, None, Some(true)).await, Ok((Some(90), true)), "no change, no event");
        assert_eq!(set(&mut tokens, Some(0), None).await, Ok((None, true)));
        assert_eq!(set(&mut tokens, Some(3651), None).await, Err(Reason::InvalidArgument));
        assert_eq!(get(&mut tokens, ORG).await, (None, true));
        assert_eq!(get(&mut tokens, OTHER).await, (None, false));
        let events = tokens.query("SELECT kind || ' ' || actor AS text FROM token_event WHERE token IS NULL");
        assert_eq!(events, ["policy_set ada", "policy_set ada", "policy_set ada"]);
        let anonymous = SetTokenPolicyRequest { organization_id: ORG.to_owned(), ..SetTokenPolicyRequest::default() };
        let refused = tokens.client.set_token_policy(anonymous).await.expect_err("no caller");
        assert_eq!(refusal(&refused).reason, Reason::InvalidArgument);
    }
}

#[tokio::test]
async fn a_maximum_binds_new_tokens_and_leaves_old_ones() {
    for mut tokens in both().await {
        let (old, _) = tokens.create(ORG, None).await;
        set(&mut tokens, Some(90), None).await.expect("set");
        let (young, _) = tokens.create(ORG, None).await;
        let days = |token: &wire::token::ScimToken| {
            (wire::from_timestamp(token.expires_at.as_ref().expect("expires")) - NOW) / DAY
        };
        assert_eq!((days(&old), days(&young)), (365, 90), "the default is the maximum where that is less");
        tokens.create(ORG, Some(90)).await;
        tokens.create(OTHER, Some(91)).await;
        for (ttl_days, said) in [(91, "--max-ttl-days"), (0, "--allow-never true")] {
            let request = CreateScimTokenRequest { ttl_days: Some(ttl_days), ..new() };
            let refused = tokens.client.create_scim_token(request).await.expect_err("refused");
            assert_eq!(refusal(&refused).reason, Reason::InvalidArgument);
            assert!(refused.message().contains(said) && refused.message().contains("90"), "{}", refused.message());
        }
        set(&mut tokens, None, Some(true)).await.expect("set");
        assert_eq!(tokens.create(ORG, Some(0)).await.0.expires_at, None);
    }
}
