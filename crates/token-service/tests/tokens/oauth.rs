//! OAuth clients, what is granted to them, and the tokens they get for it.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wire::{
    Entitlement, Reason, Transport, refusal,
    token::{
        ApproveOAuthAuthorizationRequest, CreateOAuthApprovalRequest, CreateOAuthClientRequest, IssueOAuthTokenRequest,
        IssueOAuthTokenResponse, ListOAuthClientsRequest, ListOAuthGrantsRequest, OAuthAssertion, OAuthClient,
        OAuthClientCredential, OAuthCode, OAuthGrant, OAuthGrantType, OAuthTrust, RetireOAuthSecretRequest,
        RevokeOAuthClientRequest, RevokeOAuthGrantRequest, RevokeOAuthTokenRequest, RotateOAuthSecretRequest,
        WatchRevocationsRequest, issue_o_auth_token_request::Grant, o_auth_client_credential::Proof,
        o_auth_service_client::OAuthServiceClient,
    },
};

use crate::harness::{DAY, ORG, OTHER, Tokens, administrator, both, invalid, open_at};

const CALLBACK: &str = "https://system-admin.okta.com/admin/app/cpc/acme/oauth/callback";
const MINUTE: i64 = 60_000_000;

fn hash(text: &str) -> bytes::Bytes {
    Sha256::digest(text.as_bytes()).to_vec().into()
}

/// A client as somebody configured it in an identity provider.
#[derive(Clone)]
struct Idp {
    rpc: OAuthServiceClient<Transport>,
    id: String,
    proof: Proof,
}

fn rpc(tokens: &Tokens) -> OAuthServiceClient<Transport> {
    OAuthServiceClient::new(Transport::in_process(tokens.service.routes()))
}

fn new(grant_type: OAuthGrantType) -> CreateOAuthClientRequest {
    let by_code = grant_type == OAuthGrantType::AuthorizationCode;
    CreateOAuthClientRequest {
        organization_id: ORG.to_owned(),
        caller: administrator(),
        name: "Okta".to_owned(),
        grant_types: vec![grant_type.into()],
        redirect_uris: if by_code { vec![CALLBACK.to_owned()] } else { Vec::new() },
        oauth_entitled: true,
        ..Default::default()
    }
}

async fn idp(tokens: &Tokens, request: CreateOAuthClientRequest) -> (Idp, String) {
    let mut rpc = rpc(tokens);
    let created = rpc.create_o_auth_client(request).await.expect("created").into_inner();
    let id = created.client.expect("client").id;
    (Idp { rpc, id, proof: Proof::SecretSha256(hash(&created.secret)) }, created.secret)
}

impl Idp {
    fn credential(&self) -> Option<OAuthClientCredential> {
        Some(OAuthClientCredential { client_id: self.id.clone(), proof: Some(self.proof.clone()) })
    }

    async fn approval(&self) -> String {
        let request = CreateOAuthApprovalRequest {
            organization_id: ORG.to_owned(),
            caller: administrator(),
            client_id: self.id.clone(),
            oauth_entitled: true,
        };
        let answer = self.rpc.clone().create_o_auth_approval(request).await.expect("approval").into_inner();
        answer.code.replace('-', "")
    }

    fn authorization(&self, approval: &str) -> ApproveOAuthAuthorizationRequest {
        ApproveOAuthAuthorizationRequest {
            client_id: self.id.clone(),
            request_id: "req-2".to_owned(),
            approval_sha256: hash(approval),
            redirect_uri: CALLBACK.to_owned(),
            scopes: Vec::new(),
            code_challenge: None,
            oauth_entitled: true,
        }
    }

    async fn authorize(&self, request: ApproveOAuthAuthorizationRequest) -> Result<String, Reason> {
        let answer = self.rpc.clone().approve_o_auth_authorization(request).await;
        answer.map(|answer| answer.into_inner().code).map_err(|status| refusal(&status).reason)
    }

    async fn code(&self) -> String {
        let approval = self.approval().await;
        self.authorize(self.authorization(&approval)).await.expect("a code")
    }

    async fn issue(&self, grant: Grant, scopes: &[&str]) -> Result<IssueOAuthTokenResponse, Reason> {
        let request = IssueOAuthTokenRequest {
            credential: self.credential(),
            request_id: "req-3".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            grant: Some(grant),
        };
        let answer = self.rpc.clone().issue_o_auth_token(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| refusal(&status).reason)
    }

    async fn exchange(&self, code: &str) -> Result<IssueOAuthTokenResponse, Reason> {
        self.issue(Grant::Code(shown(code, None)), &[]).await
    }

    async fn refresh(&self, token: &str) -> Result<IssueOAuthTokenResponse, Reason> {
        self.issue(Grant::RefreshSha256(hash(token)), &[]).await
    }

    async fn own(&self, grant_type: OAuthGrantType, scopes: &[&str]) -> Result<IssueOAuthTokenResponse, Reason> {
        self.issue(Grant::Own(grant_type.into()), scopes).await
    }

    async fn grants(&self) -> Vec<OAuthGrant> {
        let request = ListOAuthGrantsRequest { organization_id: ORG.to_owned() };
        self.rpc.clone().list_o_auth_grants(request).await.expect("list").into_inner().grants
    }

    async fn client(&self) -> OAuthClient {
        let request = ListOAuthClientsRequest { organization_id: ORG.to_owned() };
        let listed = self.rpc.clone().list_o_auth_clients(request).await.expect("list").into_inner().clients;
        listed.into_iter().find(|client| client.id == self.id).expect("this client")
    }
}

fn shown(code: &str, code_challenge: Option<&str>) -> OAuthCode {
    OAuthCode {
        code_sha256: hash(code),
        redirect_uri: CALLBACK.to_owned(),
        code_challenge: code_challenge.map(str::to_owned),
    }
}

fn events(tokens: &Tokens) -> Vec<String> {
    tokens.query("SELECT kind || ' ' || actor_kind AS text FROM token_event ORDER BY id")
}

#[tokio::test]
async fn an_approved_client_gets_tokens_and_refreshes_them() {
    for mut tokens in both().await {
        let (okta, secret) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        assert!(secret.starts_with("rc_oauth_"), "{secret}");
        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        assert!(first.access_token.starts_with("rc_access_") && first.refresh_token.starts_with("rc_refresh_"));
        assert_eq!((first.expires_in, first.scopes.len()), (3600, 4));
        let verified = tokens.verify(&first.access_token).await.expect("valid");
        assert_eq!(verified.organization_id, ORG);
        tokens.later(30 * MINUTE);
        let second = okta.refresh(&first.refresh_token).await.expect("fresh");
        let again = tokens.verify(&second.access_token).await.expect("valid");
        assert_ne!(again.token_id, verified.token_id);
        // So a retry with an Idempotency-Key finds its first result.
        assert_eq!(again.grant_id, verified.grant_id);
        assert_eq!(okta.grants().await[0].id, verified.grant_id);
        // The old one lives on until its hour is over.
        assert!(tokens.verify(&first.access_token).await.is_ok());
        tokens.later(30 * MINUTE);
        assert_eq!(tokens.verify(&first.access_token).await, Err(invalid()));
        assert!(tokens.verify(&second.access_token).await.is_ok());
        assert!(tokens.list(ORG).await.is_empty(), "access tokens are no SCIM tokens");
        assert_eq!(tokens.revoke(ORG, &again.token_id).await, Err(Reason::TokenNotFound));

        tokens.used(ORG, &again.token_id, "203.0.113.7", "Okta SCIM Client 1.0.0").await;
        tokens.service.shutdown().await;
        let grant = okta.grants().await.remove(0);
        assert_eq!((grant.approved_by.as_str(), grant.last_used_address.as_str()), ("ada", "203.0.113.7"));
        assert_eq!(
            events(&tokens),
            [
                "oauth_client_created administrator",
                "oauth_approval_created administrator",
                "oauth_authorized administrator",
                "oauth_grant_created oauth_client",
            ]
        );
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_ends_the_grant() {
    for mut tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        let second = okta.refresh(&first.refresh_token).await.expect("fresh");
        let third = okta.refresh(&second.refresh_token).await.expect("fresh");
        let mut stream = tokens.client.watch_revocations(WatchRevocationsRequest { after_position: None }).await;
        let stream = stream.as_mut().expect("stream").get_mut();
        stream.message().await.expect("the first");
        let live = [&first, &second, &third].map(|pair| pair.access_token.clone());
        let mut ids = Vec::new();
        for access in &live {
            ids.push(tokens.verify(access).await.expect("valid").token_id);
        }
        // Its successor was used, so no answer can have been lost.
        assert_eq!(okta.refresh(&first.refresh_token).await, Err(Reason::GrantInvalid));
        for access in &live {
            assert_eq!(tokens.verify(access).await, Err(invalid()));
        }
        assert_eq!(okta.refresh(&third.refresh_token).await, Err(Reason::GrantInvalid));
        let grant = okta.grants().await.remove(0);
        assert_eq!((grant.revoked_for.as_str(), grant.revoked_at.is_some()), ("refresh_reused", true));
        assert_eq!(events(&tokens).last().map(String::as_str), Some("oauth_refresh_reused oauth_client"));
        let told = async {
            let mut told = Vec::new();
            while told.len() < 3 {
                told.extend(stream.message().await.expect("no error").expect("no end").token_ids);
            }
            told.sort();
            told
        };
        ids.sort();
        let told = tokio::time::timeout(std::time::Duration::from_secs(1), told).await.expect("within a second");
        assert_eq!(told, ids);
    }
}

#[tokio::test]
async fn a_client_whose_answer_was_lost_is_answered_once_more_for_half_a_minute() {
    for tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        let lost = okta.refresh(&first.refresh_token).await.expect("fresh");
        tokens.later(MINUTE / 2 - 1);
        let again = okta.refresh(&first.refresh_token).await.expect("once more");
        assert_ne!(again.refresh_token, lost.refresh_token);
        let next = okta.refresh(&again.refresh_token).await.expect("goes on");
        // Whoever has the lost answer is not the client.
        assert_eq!(okta.refresh(&lost.refresh_token).await, Err(Reason::GrantInvalid));
        assert_eq!(okta.refresh(&next.refresh_token).await, Err(Reason::GrantInvalid), "the grant has ended");

        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        okta.refresh(&first.refresh_token).await.expect("fresh");
        tokens.later(MINUTE / 2);
        assert_eq!(okta.refresh(&first.refresh_token).await, Err(Reason::GrantInvalid), "too late");
        assert_eq!(okta.grants().await[0].revoked_for, "refresh_reused");
    }
}

#[tokio::test]
async fn of_many_that_refresh_at_once_two_get_a_pair_and_the_grant_goes_on() {
    for mut tokens in both().await {
        let there = open_at(Arc::clone(&tokens.database), Arc::clone(&tokens.now)).await;
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let elsewhere = Idp { rpc: rpc(&there), ..okta.clone() };
        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        let calls = (0..20).map(|n| {
            let idp = if n % 2 == 0 { okta.clone() } else { elsewhere.clone() };
            let token = first.refresh_token.clone();
            async move { idp.refresh(&token).await }
        });
        let all = futures::future::join_all(calls).await;
        let (given, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert!(refused.iter().all(|answer| *answer == Err(Reason::GrantInvalid)));
        let given: Vec<_> = given.into_iter().filter_map(Result::ok).collect();
        assert_eq!(given.len(), 2, "an answer is lost once");
        let mut live = 0;
        for pair in &given {
            live += usize::from(tokens.verify(&pair.access_token).await.is_ok());
        }
        assert_eq!(live, 1, "of what was given for one refresh token");
        okta.refresh(&given[0].refresh_token).await.expect("goes on");
        assert!(okta.grants().await[0].revoked_at.is_none());
    }
}

#[tokio::test]
async fn a_refresh_token_whose_answer_has_arrived_is_not_answered_again() {
    for mut tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        let before = tokens.verify(&first.access_token).await.expect("valid").token_id;
        tokens.later(MINUTE);
        let second = okta.refresh(&first.refresh_token).await.expect("fresh");
        // What was given before says nothing about the answer.
        tokens.used(ORG, &before, "203.0.113.7", "Okta").await;
        let second_again = okta.refresh(&first.refresh_token).await.expect("once more");
        assert_eq!(tokens.verify(&second.access_token).await, Err(invalid()), "the answer that was lost");
        assert!(tokens.verify(&first.access_token).await.is_ok());
        let third = okta.refresh(&second_again.refresh_token).await.expect("goes on");
        tokens.later(1);
        let used = tokens.verify(&third.access_token).await.expect("valid").token_id;
        tokens.used(ORG, &used, "203.0.113.7", "Okta").await;
        // Somebody has its answer, so whoever shows it now is somebody else.
        assert_eq!(okta.refresh(&second_again.refresh_token).await, Err(Reason::GrantInvalid));
        assert_eq!(tokens.verify(&third.access_token).await, Err(invalid()));
        assert_eq!(okta.grants().await[0].revoked_for, "refresh_reused");
        assert_eq!(events(&tokens).last().map(String::as_str), Some("oauth_refresh_reused oauth_client"));
    }
}

#[tokio::test]
async fn of_two_pairs_the_one_whose_refresh_token_is_used_first_ends_the_others_access() {
    for mut tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        let mut stream = tokens.client.watch_revocations(WatchRevocationsRequest { after_position: None }).await;
        let stream = stream.as_mut().expect("stream").get_mut();
        stream.message().await.expect("the first");
        tokens.later(MINUTE);
        let owners = okta.refresh(&first.refresh_token).await.expect("fresh");
        let owners_id = tokens.verify(&owners.access_token).await.expect("valid").token_id;
        tokens.later(10_000_000);
        let thiefs = okta.refresh(&first.refresh_token).await.expect("once more");
        let thiefs_id = tokens.verify(&thiefs.access_token).await.expect("valid").token_id;
        tokens.later(1);
        let next = okta.refresh(&owners.refresh_token).await.expect("goes on");
        assert_eq!(tokens.verify(&thiefs.access_token).await, Err(invalid()));
        assert!(tokens.verify(&next.access_token).await.is_ok());
        let told = async {
            let mut told = Vec::new();
            while told.len() < 2 {
                told.extend(stream.message().await.expect("no error").expect("no end").token_ids);
            }
            told
        };
        let told = tokio::time::timeout(std::time::Duration::from_secs(1), told).await.expect("within a second");
        assert_eq!(told, [owners_id, thiefs_id]);
        assert_eq!(okta.refresh(&thiefs.refresh_token).await, Err(Reason::GrantInvalid));
        assert_eq!(tokens.verify(&next.access_token).await, Err(invalid()), "the grant has ended");
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_a_second_use_ends_what_it_gave() {
    for mut tokens in both().await {
        let there = open_at(Arc::clone(&tokens.database), Arc::clone(&tokens.now)).await;
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let code = okta.code().await;
        let given = okta.exchange(&code).await.expect("tokens");
        assert_eq!(okta.exchange(&code).await, Err(Reason::GrantInvalid));
        assert_eq!(tokens.verify(&given.access_token).await, Err(invalid()));
        assert_eq!(okta.refresh(&given.refresh_token).await, Err(Reason::GrantInvalid));
        assert_eq!(okta.grants().await[0].revoked_for, "code_reused");

        let elsewhere = Idp { rpc: rpc(&there), ..okta.clone() };
        let code = okta.code().await;
        let calls = (0..8).map(|n| {
            let (idp, code) = (if n % 2 == 0 { okta.clone() } else { elsewhere.clone() }, code.clone());
            async move { idp.exchange(&code).await }
        });
        let all = futures::future::join_all(calls).await;
        let given: Vec<_> = all.into_iter().filter_map(Result::ok).collect();
        assert_eq!(given.len(), 1, "one of them was the first");
        assert_eq!(tokens.verify(&given[0].access_token).await, Err(invalid()), "and the second ended it");
        assert_eq!(okta.grants().await.len(), 2);
    }
}

#[tokio::test]
async fn a_code_is_bound_to_client_redirect_uri_challenge_and_a_minute() {
    for tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let (other, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let bound = async |code_challenge: Option<&str>| {
            let approval = okta.approval().await;
            let code_challenge = code_challenge.map(str::to_owned);
            okta.authorize(ApproveOAuthAuthorizationRequest { code_challenge, ..okta.authorization(&approval) }).await
        };
        let code = bound(Some(challenge)).await.expect("a code");
        let wrong_uri = OAuthCode { redirect_uri: format!("{CALLBACK}/"), ..shown(&code, Some(challenge)) };
        for (idp, shown) in [
            (&other, shown(&code, Some(challenge))),
            (&okta, wrong_uri),
            (&okta, shown(&code, None)),
            (&okta, shown(&code, Some("wrong"))),
            (&okta, shown("rc_code_x", Some(challenge))),
        ] {
            assert_eq!(idp.issue(Grant::Code(shown), &[]).await, Err(Reason::GrantInvalid));
        }
        okta.issue(Grant::Code(shown(&code, Some(challenge))), &[]).await.expect("the right one still works");
        // A verifier to a code that was asked for without a challenge.
        let code = bound(None).await.expect("a code");
        assert_eq!(okta.issue(Grant::Code(shown(&code, Some(challenge))), &[]).await, Err(Reason::GrantInvalid));
        tokens.later(MINUTE);
        assert_eq!(okta.exchange(&code).await, Err(Reason::GrantInvalid), "a minute is over");
        assert_eq!(bound(Some("short")).await, Err(Reason::InvalidArgument));
    }
}

#[tokio::test]
async fn an_approval_is_for_one_client_once_and_for_ten_minutes() {
    for tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let (other, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let approval = okta.approval().await;
        assert_eq!(other.authorize(other.authorization(&approval)).await, Err(Reason::ApprovalInvalid));
        let elsewhere = "https://evil.example.com/".to_owned();
        let moved = ApproveOAuthAuthorizationRequest { redirect_uri: elsewhere, ..okta.authorization(&approval) };
        assert_eq!(okta.authorize(moved).await, Err(Reason::InvalidArgument));
        okta.authorize(okta.authorization(&approval)).await.expect("a code");
        assert_eq!(okta.authorize(okta.authorization(&approval)).await, Err(Reason::ApprovalInvalid), "used");
        let approval = okta.approval().await;
        tokens.later(10 * MINUTE);
        assert_eq!(okta.authorize(okta.authorization(&approval)).await, Err(Reason::ApprovalInvalid), "too old");
    }
}

#[tokio::test]
async fn after_a_hundred_wrong_approval_codes_the_right_one_is_refused() {
    for tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let approval = okta.approval().await;
        for n in 0..100 {
            let wrong = okta.authorization(&format!("WRONG{n}"));
            assert_eq!(okta.authorize(wrong).await, Err(Reason::ApprovalInvalid));
        }
        assert_eq!(okta.authorize(okta.authorization(&approval)).await, Err(Reason::ApprovalInvalid));
        let another = okta.approval().await;
        okta.authorize(okta.authorization(&another)).await.expect("a new one works");
    }
}

#[tokio::test]
async fn scopes_and_networks_are_those_of_the_client_or_fewer() {
    for mut tokens in both().await {
        let narrow = CreateOAuthClientRequest {
            scopes: vec!["users:write".to_owned(), "users:read".to_owned()],
            allowed_cidrs: vec!["203.0.113.0/24".to_owned()],
            ..new(OAuthGrantType::ClientCredentials)
        };
        let (entra, _) = idp(&tokens, narrow).await;
        let all = entra.own(OAuthGrantType::ClientCredentials, &[]).await.expect("token");
        assert_eq!((all.scopes.join(" "), all.refresh_token.as_str()), ("users:read users:write".to_owned(), ""));
        let one = entra.own(OAuthGrantType::ClientCredentials, &["users:read"]).await.expect("token");
        let verified = tokens.verify(&one.access_token).await.expect("valid");
        assert_eq!(
            (verified.scopes, verified.allowed_cidrs),
            (vec!["users:read".into()], vec!["203.0.113.0/24".into()])
        );
        // Without a grant of its own the client is what stays the same.
        assert_eq!(verified.grant_id, entra.id);
        assert_eq!(tokens.verify_as(&one.access_token, false).await, Err(invalid()), "a gateway of before");
        assert_eq!(entra.own(OAuthGrantType::ClientCredentials, &["groups:read"]).await, Err(Reason::ScopeInvalid));
        assert_eq!(entra.own(OAuthGrantType::JwtBearer, &[]).await, Err(Reason::GrantNotAllowed));
        assert_eq!(entra.refresh("rc_refresh_x").await, Err(Reason::GrantNotAllowed));
    }
}

#[tokio::test]
async fn a_wrong_credential_is_answered_alike_whatever_is_wrong_with_it() {
    for tokens in both().await {
        let (entra, secret) = idp(&tokens, new(OAuthGrantType::ClientCredentials)).await;
        let unknown = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        let assertion = OAuthAssertion { jti_sha256: Vec::new().into(), expires_at: Some(wire::to_timestamp(0)) };
        let wrong = [
            Idp { id: unknown, ..entra.clone() },
            Idp { id: "acme".to_owned(), ..entra.clone() },
            Idp { proof: Proof::SecretSha256(hash("rc_oauth_x")), ..entra.clone() },
            Idp { proof: Proof::Assertion(assertion), ..entra.clone() },
        ];
        for idp in wrong {
            assert_eq!(idp.own(OAuthGrantType::ClientCredentials, &[]).await, Err(Reason::ClientInvalid));
        }
        assert_eq!(tokens.query("SELECT 'x' AS text FROM token").len(), 0);
        let right = entra.own(OAuthGrantType::ClientCredentials, &[]).await.expect("token");
        let body = &secret["rc_oauth_".len()..];
        let kept = tokens.query("SELECT name || grant_types || scopes || created_by AS text FROM oauth_client");
        assert!(!kept.iter().any(|text| text.contains(body)));
        assert_ne!(right.access_token, secret);
    }
}

#[tokio::test]
async fn an_assertion_is_good_once_if_it_has_an_id() {
    for tokens in both().await {
        let trust = OAuthTrust {
            issuer: "https://login.example.com/v2.0".to_owned(),
            subject: "s".to_owned(),
            audience: "a".to_owned(),
            jwks_json: r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#.to_owned(),
            jwks_uri: String::new(),
        };
        let request = CreateOAuthClientRequest { trust: Some(trust), ..new(OAuthGrantType::JwtBearer) };
        let (entra, secret) = idp(&tokens, request).await;
        assert_eq!(secret, "", "what is not there cannot be lost");
        let by = |jti: Option<&str>| {
            let jti_sha256 = jti.map(hash).unwrap_or_default();
            let expires_at = Some(wire::to_timestamp(crate::harness::NOW + MINUTE));
            Idp { proof: Proof::Assertion(OAuthAssertion { jti_sha256, expires_at }), ..entra.clone() }
        };
        by(Some("one")).own(OAuthGrantType::JwtBearer, &[]).await.expect("token");
        assert_eq!(by(Some("one")).own(OAuthGrantType::JwtBearer, &[]).await, Err(Reason::ClientInvalid));
        by(Some("two")).own(OAuthGrantType::JwtBearer, &[]).await.expect("token");
        by(None).own(OAuthGrantType::JwtBearer, &[]).await.expect("token");
        by(None).own(OAuthGrantType::JwtBearer, &[]).await.expect("again");
        // As the client's credential, RFC 7523 section 2.2.
        by(Some("four")).own(OAuthGrantType::ClientCredentials, &[]).await.expect("the other form");
        assert_eq!(by(Some("four")).own(OAuthGrantType::ClientCredentials, &[]).await, Err(Reason::ClientInvalid));
        let refused = by(None).refresh("rc_refresh_x").await;
        assert_eq!(refused, Err(Reason::GrantNotAllowed));
        let calls = (0..6).map(|_| by(Some("three"))).collect::<Vec<_>>();
        let calls = calls.iter().map(|idp| idp.own(OAuthGrantType::JwtBearer, &[]));
        let given = futures::future::join_all(calls).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(given, 1);
    }
}

#[tokio::test]
async fn a_secret_is_rotated_with_overlap() {
    for tokens in both().await {
        let (old, _) = idp(&tokens, new(OAuthGrantType::ClientCredentials)).await;
        let works = async |idp: &Idp| idp.own(OAuthGrantType::ClientCredentials, &[]).await.is_ok();
        let rotate = async |minutes: Option<i64>| {
            let now = tokens.now.load(std::sync::atomic::Ordering::Relaxed);
            let request = RotateOAuthSecretRequest {
                organization_id: ORG.to_owned(),
                caller: administrator(),
                id: old.id.clone(),
                deadline: minutes.map(|minutes| wire::to_timestamp(now + minutes * MINUTE)),
            };
            let answer = old.rpc.clone().rotate_o_auth_secret(request).await;
            let secret = answer.map_err(|status| refusal(&status).reason)?.into_inner().secret;
            Ok::<_, Reason>(Idp { proof: Proof::SecretSha256(hash(&secret)), ..old.clone() })
        };
        let retire = async |force: bool| {
            let request = RetireOAuthSecretRequest {
                organization_id: ORG.to_owned(),
                caller: administrator(),
                id: old.id.clone(),
                force,
            };
            old.rpc.clone().retire_o_auth_secret(request).await.map(drop).map_err(|status| refusal(&status).reason)
        };
        assert_eq!(retire(true).await, Err(Reason::OAuthState), "never rotated");
        let new = rotate(None).await.expect("rotated");
        assert!(works(&old).await);
        assert_eq!(rotate(None).await.err(), Some(Reason::OAuthState), "two are enough");
        assert_eq!(retire(false).await, Err(Reason::OAuthState), "the new one was not used yet");
        assert!(works(&new).await && works(&old).await);
        assert!(old.client().await.secret_used && old.client().await.old_secret_valid);
        retire(false).await.expect("retired");
        assert_eq!(retire(false).await, Err(Reason::OAuthState), "nothing is left to retire");
        assert!(works(&new).await && !works(&old).await);

        assert_eq!(rotate(Some(0)).await.err(), Some(Reason::InvalidArgument));
        let newest = rotate(Some(5)).await.expect("rotated");
        assert!(works(&new).await && works(&newest).await);
        tokens.later(5 * MINUTE);
        assert!(!works(&new).await && works(&newest).await, "the deadline");
        rotate(None).await.expect("an ended one is in nobody's way");
        assert_eq!(retire(false).await, Err(Reason::OAuthState));
        retire(true).await.expect("forced");
        assert!(!works(&newest).await);
    }
}

#[tokio::test]
async fn a_client_or_grant_that_is_revoked_gives_nothing_more() {
    for mut tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        let revoke_grant = async |org: &str, id: &str| {
            let request =
                RevokeOAuthGrantRequest { organization_id: org.to_owned(), caller: administrator(), id: id.to_owned() };
            okta.rpc.clone().revoke_o_auth_grant(request).await.map(drop).map_err(|status| refusal(&status).reason)
        };
        let grant = okta.grants().await.remove(0).id;
        assert_eq!(revoke_grant(OTHER, &grant).await, Err(Reason::OAuthNotFound));
        assert!(tokens.verify(&first.access_token).await.is_ok());
        revoke_grant(ORG, &grant).await.expect("revoked");
        revoke_grant(ORG, &grant).await.expect("idempotent");
        assert_eq!(tokens.verify(&first.access_token).await, Err(invalid()));
        assert_eq!(okta.refresh(&first.refresh_token).await, Err(Reason::GrantInvalid));

        let second = okta.exchange(&okta.code().await).await.expect("tokens");
        let code = okta.code().await;
        let revoke = async |org: &str| {
            let id = okta.id.clone();
            let request = RevokeOAuthClientRequest { organization_id: org.to_owned(), caller: administrator(), id };
            okta.rpc.clone().revoke_o_auth_client(request).await.map(drop).map_err(|status| refusal(&status).reason)
        };
        assert_eq!(revoke(OTHER).await, Err(Reason::OAuthNotFound));
        revoke(ORG).await.expect("revoked");
        revoke(ORG).await.expect("idempotent");
        assert_eq!(tokens.verify(&second.access_token).await, Err(invalid()));
        for answer in [okta.refresh(&second.refresh_token).await, okta.exchange(&code).await] {
            assert_eq!(answer, Err(Reason::ClientInvalid));
        }
        assert_eq!(okta.grants().await[0].revoked_for, "client_revoked");
    }
}

#[tokio::test]
async fn a_client_may_give_back_what_is_its_own() {
    for mut tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let (other, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let give_back = async |idp: &Idp, token: &str| {
            let request = RevokeOAuthTokenRequest {
                credential: idp.credential(),
                request_id: String::new(),
                token_sha256: hash(token),
            };
            idp.rpc.clone().revoke_o_auth_token(request).await.map(drop).map_err(|status| refusal(&status).reason)
        };
        let first = okta.exchange(&okta.code().await).await.expect("tokens");
        let (scim, secret) = tokens.create(ORG, None).await;
        for token in [first.access_token.as_str(), &first.refresh_token, &secret, "rc_access_x"] {
            give_back(&other, token).await.expect("passed over");
        }
        give_back(&okta, &secret).await.expect("passed over");
        assert!(
            tokens.verify(&first.access_token).await.is_ok() && tokens.verify(&secret).await.is_ok(),
            "{}",
            scim.id
        );
        give_back(&okta, &first.access_token).await.expect("given back");
        assert_eq!(tokens.verify(&first.access_token).await, Err(invalid()));
        let second = okta.refresh(&first.refresh_token).await.expect("the grant goes on");
        give_back(&okta, &second.refresh_token).await.expect("given back");
        assert_eq!(tokens.verify(&second.access_token).await, Err(invalid()));
        assert_eq!(okta.grants().await[0].revoked_for, "revoked");
    }
}

#[tokio::test]
async fn a_plan_without_oauth_makes_no_client_and_approves_nothing_and_what_is_there_goes_on() {
    for tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let given = okta.exchange(&okta.code().await).await.expect("tokens");
        let approval = okta.approval().await;
        let mut rpc = okta.rpc.clone();
        let create = CreateOAuthClientRequest { oauth_entitled: false, ..new(OAuthGrantType::ClientCredentials) };
        let approve = CreateOAuthApprovalRequest {
            organization_id: ORG.to_owned(),
            caller: administrator(),
            client_id: okta.id.clone(),
            oauth_entitled: false,
        };
        let authorize = ApproveOAuthAuthorizationRequest { oauth_entitled: false, ..okta.authorization(&approval) };
        let refused = [
            rpc.create_o_auth_client(create).await.expect_err("refused"),
            rpc.create_o_auth_approval(approve).await.expect_err("refused"),
            rpc.approve_o_auth_authorization(authorize).await.expect_err("refused"),
        ];
        for status in refused {
            let refusal = refusal(&status);
            assert_eq!((refusal.reason, refusal.entitlement), (Reason::PlanLapsed, Some(Entitlement::OAuth)));
            assert!(refusal.message.contains("rollcall org plan"), "{}", refusal.message);
        }
        let told = events(&tokens);
        assert_eq!(told.iter().filter(|event| event.starts_with("oauth_plan_refused")).count(), 3, "{told:?}");
        okta.refresh(&given.refresh_token).await.expect("a refresh asks for no plan");
        let wrong = ApproveOAuthAuthorizationRequest { oauth_entitled: false, ..okta.authorization("WRONG") };
        assert_eq!(okta.authorize(wrong).await, Err(Reason::ApprovalInvalid));
        okta.authorize(okta.authorization(&approval)).await.expect("the approval was not used up");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_client_is_said() {
    for tokens in both().await {
        let good = new(OAuthGrantType::AuthorizationCode);
        let trusted = Some(OAuthTrust {
            issuer: "https://login.example.com/v2.0".to_owned(),
            subject: "s".to_owned(),
            audience: String::new(),
            jwks_json: String::new(),
            jwks_uri: "https://login.example.com/keys".to_owned(),
        });
        let cases = [
            (CreateOAuthClientRequest { name: " ".to_owned(), ..good.clone() }, "1 to 200"),
            (CreateOAuthClientRequest { grant_types: Vec::new(), ..good.clone() }, "client_credentials"),
            (CreateOAuthClientRequest { redirect_uris: Vec::new(), ..good.clone() }, "needs a redirect URI"),
            (CreateOAuthClientRequest { redirect_uris: vec!["http://h/".to_owned()], ..good.clone() }, "https://HOST"),
            (CreateOAuthClientRequest { scopes: vec!["users".to_owned()], ..good.clone() }, "users:read"),
            (CreateOAuthClientRequest { allowed_cidrs: vec!["x".to_owned()], ..good.clone() }, "203.0.113.0/24"),
            (new(OAuthGrantType::JwtBearer), "whose assertions"),
            (CreateOAuthClientRequest { trust: trusted.clone(), ..good.clone() }, "Make two clients"),
            (
                CreateOAuthClientRequest {
                    redirect_uris: good.redirect_uris.clone(),
                    ..new(OAuthGrantType::ClientCredentials)
                },
                "for the grant type authorization_code alone",
            ),
            (CreateOAuthClientRequest { caller: None, ..good }, "caller"),
        ];
        for (request, said) in cases {
            let status = rpc(&tokens).create_o_auth_client(request).await.expect_err(said);
            assert_eq!(refusal(&status).reason, Reason::InvalidArgument, "{said}");
            assert!(status.message().contains(said), "{}", status.message());
        }
    }
}

#[tokio::test]
async fn what_has_expired_is_deleted_and_nothing_else() {
    for tokens in both().await {
        let (okta, _) = idp(&tokens, new(OAuthGrantType::AuthorizationCode)).await;
        let (entra, _) = idp(&tokens, new(OAuthGrantType::ClientCredentials)).await;
        let kept = okta.exchange(&okta.code().await).await.expect("tokens");
        for _ in 0..20 {
            entra.own(OAuthGrantType::ClientCredentials, &[]).await.expect("token");
        }
        let fresh = okta.refresh(&kept.refresh_token).await.expect("fresh");
        let rows = |tokens: &Tokens| {
            ["token", "oauth_code", "oauth_approval", "oauth_refresh", "oauth_grant"]
                .map(|table| tokens.query(&format!("SELECT 'x' AS text FROM {table}")).len())
        };
        assert_eq!(rows(&tokens), [22, 1, 1, 2, 1]);
        // A process that starts has it to do at once.
        let purged = async |left: [usize; 5]| {
            let service = open_at(Arc::clone(&tokens.database), Arc::clone(&tokens.now)).await;
            let begin = std::time::Instant::now();
            while rows(&tokens) != left {
                assert!(begin.elapsed().as_secs() < 10, "{:?}", rows(&tokens));
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            service.service.shutdown().await;
        };
        tokens.later(3 * 60 * MINUTE);
        purged([0, 1, 1, 2, 1]).await;
        tokens.later(2 * DAY);
        purged([0, 0, 0, 2, 1]).await;
        tokens.later(30 * DAY);
        purged([0, 0, 0, 1, 1]).await;
        let last = okta.refresh(&fresh.refresh_token).await.expect("still there");
        tokens.later(366 * DAY);
        assert_eq!(okta.refresh(&last.refresh_token).await, Err(Reason::GrantInvalid), "nobody came for a year");
        purged([0, 0, 0, 0, 1]).await;
        tokens.later(90 * DAY);
        purged([0; 5]).await;
    }
}
