//! The service through its in-process gRPC client, on both databases.

#![expect(clippy::expect_used, reason = "a test fails by it")]

mod credentials;
mod harness;
mod look_up;
mod oauth;
mod policy;
mod revocations;
mod rotation;
mod uses;
mod warnings;

use sha2::{Digest as _, Sha256};
use wire::{
    Reason,
    common::{Caller, InternalService, ScimClient, caller::Kind},
    refusal,
    token::{CreateScimTokenRequest, RevokeScimTokenRequest, ScimToken, VerifyRequest},
};

use crate::harness::{DAY, NOW, ORG, OTHER, Tokens, both, invalid, new, open, open_at};

/// As many as `VerifyMany` takes.
const MANY: usize = 1000;

#[tokio::test]
async fn a_token_works_until_it_is_revoked() {
    for mut tokens in both().await {
        let (token, secret) = tokens.create(ORG, None).await;
        assert!(secret.starts_with("rc_scim_"), "{secret}");
        assert_eq!(wire::from_timestamp(token.created_at.as_ref().expect("created")), NOW);
        assert_eq!(wire::from_timestamp(token.expires_at.as_ref().expect("expires")), NOW + 365 * DAY);

        let grant = tokens.verify(&secret).await.expect("valid");
        assert_eq!((grant.organization_id.as_str(), grant.token_id.as_str()), (ORG, token.id.as_str()));
        assert_eq!(grant.expires_at, token.expires_at);

        tokens.later(1_000);
        let revoked = tokens.revoke(ORG, &token.id).await.expect("revoke");
        assert_eq!(wire::from_timestamp(revoked.revoked_at.as_ref().expect("revoked")), NOW + 1_000);
        assert_eq!(tokens.verify(&secret).await, Err(invalid()));

        tokens.later(1_000);
        let again = tokens.revoke(ORG, &token.id).await.expect("idempotent");
        assert_eq!(again.revoked_at, revoked.revoked_at);
    }
}

#[tokio::test]
async fn unknown_expired_and_revoked_are_answered_alike() {
    for mut tokens in both().await {
        let (_, expiring) = tokens.create(ORG, Some(1)).await;
        tokens.allow_never(ORG).await;
        let (eternal, forever) = tokens.create(ORG, Some(0)).await;
        assert_eq!(eternal.expires_at, None);
        tokens.later(DAY - 1);
        assert!(tokens.verify(&expiring).await.is_ok());
        tokens.later(1);
        assert_eq!(tokens.verify(&expiring).await, Err(invalid()));
        assert_eq!(tokens.verify("rc_scim_unknown").await, Err(invalid()));
        assert_eq!(tokens.verify("").await, Err(invalid()));
        tokens.later(20_000 * DAY);
        assert!(tokens.verify(&forever).await.is_ok());
        tokens.revoke(ORG, &eternal.id).await.expect("revoke");
        assert_eq!(tokens.verify(&forever).await, Err(invalid()));

        // Many at once, as each alone.
        let (token, valid) = tokens.create(ORG, Some(0)).await;
        let (other, theirs) = {
            tokens.allow_never(OTHER).await;
            tokens.create(OTHER, Some(0)).await
        };
        let mut asked: Vec<&str> = vec![&valid, &expiring, &forever, "rc_scim_unknown", "", &theirs, &valid];
        let unknown: Vec<String> = (0..MANY - asked.len()).map(|n| format!("rc_scim_unknown-{n}")).collect();
        asked.extend(unknown.iter().map(String::as_str));
        let mut verified = tokens.verify_many(&asked).await.expect("answered");
        verified.sort_by_key(|(secret, _)| *secret != valid);
        let alone = [tokens.verify(&valid).await, tokens.verify(&theirs).await].map(|grant| grant.expect("valid"));
        assert_eq!([&alone[0].token_id, &alone[1].token_id], [&token.id, &other.id]);
        assert_eq!(verified, [(valid, alone[0].clone()), (theirs, alone[1].clone())]);
        for wrong in [&[][..], &vec!["x"; MANY + 1]] {
            assert_eq!(tokens.verify_many(wrong).await, Err(Reason::InvalidArgument));
        }

        let short = tokens
            .client
            .verify(VerifyRequest { secret_sha256: vec![1, 2, 3].into(), restrictions_enforced: true })
            .await;
        assert_eq!(refusal(&short.expect_err("refused")).reason, Reason::InvalidArgument);
    }
}

#[tokio::test]
async fn another_organizations_token_is_not_found() {
    for mut tokens in both().await {
        let (token, secret) = tokens.create(ORG, None).await;
        assert_eq!(tokens.revoke(OTHER, &token.id).await, Err(Reason::TokenNotFound));
        assert_eq!(tokens.revoke(ORG, "no-uuid").await, Err(Reason::TokenNotFound));
        assert_eq!(tokens.revoke("no-uuid", &token.id).await, Err(Reason::InvalidArgument));
        assert_eq!(
            tokens.revoke("00000000-0000-0000-0000-000000000000", &token.id).await,
            Err(Reason::InvalidArgument)
        );
        assert!(tokens.list(OTHER).await.is_empty());
        assert!(tokens.verify(&secret).await.is_ok());
        assert_eq!(tokens.query("SELECT kind AS text FROM token_event"), ["created"]);
    }
}

#[tokio::test]
async fn the_list_is_newest_first_and_shows_no_secret() {
    for mut tokens in both().await {
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(tokens.create(ORG, None).await.0.id);
            tokens.later(500);
        }
        let (theirs, _) = tokens.create(OTHER, None).await;
        made.reverse();
        let listed: Vec<String> = tokens.list(ORG).await.into_iter().map(|token| token.id).collect();
        assert_eq!(listed, made);
        assert_eq!(tokens.list(OTHER).await, [theirs]);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    for mut tokens in both().await {
        let good = CreateScimTokenRequest { description: "ü".repeat(200), ttl_days: Some(3650), ..new() };
        tokens.client.create_scim_token(good.clone()).await.expect("the limits are inside");
        let caller = |kind| Some(Caller { kind, request_id: String::new() });
        let cases = [
            (CreateScimTokenRequest { description: " ".to_owned(), ..good.clone() }, "empty"),
            (CreateScimTokenRequest { description: "x".repeat(201), ..good.clone() }, "more than 200"),
            (CreateScimTokenRequest { description: "a\nb".to_owned(), ..good.clone() }, "line breaks"),
            (CreateScimTokenRequest { ttl_days: Some(3651), ..good.clone() }, "1 to 3650"),
            (CreateScimTokenRequest { ttl_days: Some(0), ..good.clone() }, "--allow-never true"),
            (CreateScimTokenRequest { scopes: vec!["users".to_owned()], ..good.clone() }, "users:read"),
            (CreateScimTokenRequest { allowed_cidrs: vec!["10.0.0.1/8".to_owned()], ..good.clone() }, "10.0.0.0/8"),
            (CreateScimTokenRequest { organization_id: "acme".to_owned(), ..good.clone() }, "organization_id"),
            (CreateScimTokenRequest { caller: None, ..good.clone() }, "caller"),
            (CreateScimTokenRequest { caller: caller(None), ..good.clone() }, "caller"),
            (
                CreateScimTokenRequest {
                    caller: caller(Some(Kind::ScimClient(ScimClient {
                        token_id: ORG.to_owned(),
                        entry_id: String::new(),
                    }))),
                    ..good.clone()
                },
                "SCIM client",
            ),
        ];
        for (request, said) in cases {
            let status = tokens.client.create_scim_token(request).await.expect_err(said);
            assert_eq!(refusal(&status).reason, Reason::InvalidArgument, "{said}");
            assert!(status.message().contains(said), "{}", status.message());
        }
        assert_eq!(tokens.list(ORG).await.len(), 1);
    }
}

#[tokio::test]
async fn events_tell_who_did_what() {
    for mut tokens in both().await {
        let (token, _) = tokens.create(ORG, None).await;
        let by_service = RevokeScimTokenRequest {
            organization_id: ORG.to_owned(),
            caller: Some(Caller {
                kind: Some(Kind::InternalService(InternalService { name: "console".to_owned() })),
                request_id: "req-2".to_owned(),
            }),
            id: token.id.clone(),
        };
        tokens.client.revoke_scim_token(by_service).await.expect("revoke");
        tokens.revoke(ORG, &token.id).await.expect("again");
        let told = tokens.query(
            "SELECT kind || ' ' || actor_kind || ' ' || actor || ' ' || request_id AS text FROM token_event ORDER BY id",
        );
        assert_eq!(told, ["created administrator ada req-1", "revoked internal_service console req-2"]);
    }
}

#[tokio::test]
async fn the_database_holds_no_token() {
    for mut tokens in both().await {
        let (_, secret) = tokens.create(ORG, None).await;
        tokens.verify(&secret).await.expect("valid");
        tokens.service.shutdown().await;
        let body = &secret["rc_scim_".len()..secret.len() - 6];
        let hex: String = Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let sqlite = tokens.database.url().strip_prefix("sqlite:").map(str::to_owned);
        let dump = if let Some(path) = sqlite {
            let read = |suffix: &str| std::fs::read(format!("{path}{suffix}")).unwrap_or_default();
            let bytes = [read(""), read("-wal")].concat();
            let hash = Sha256::digest(secret.as_bytes());
            assert!(bytes.windows(32).any(|window| window == hash.as_slice()), "the hash is there");
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            let rows = [
                tokens.query("SELECT t::text AS text FROM token t"),
                tokens.query("SELECT t::text AS text FROM token_event t"),
            ];
            let dump = rows.concat().join("\n");
            assert!(dump.contains(&hex), "the hash is there");
            dump
        };
        assert!(!dump.contains("rc_scim_"));
        assert!(!dump.contains(body));
    }
}

#[tokio::test]
async fn last_use_is_written_within_seconds_and_at_the_end() {
    for mut tokens in both().await {
        let (_, secret) = tokens.create(ORG, None).await;
        tokens.later(7_000);
        tokens.verify_as(&secret, false).await.expect("valid");
        let used = |listed: Vec<ScimToken>| listed[0].last_used_at.as_ref().map(wire::from_timestamp);
        let begin = std::time::Instant::now();
        while used(tokens.list(ORG).await).is_none() {
            assert!(begin.elapsed().as_secs() < 10, "not written");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(used(tokens.list(ORG).await), Some(NOW + 7_000));

        tokens.later(1_000);
        tokens.verify_as(&secret, false).await.expect("valid");
        tokens.service.shutdown().await;
        assert_eq!(used(tokens.list(ORG).await), Some(NOW + 8_000));
    }
}

#[tokio::test]
async fn tokens_survive_a_restart() {
    for database in [testkit::sqlite(), testkit::postgres()] {
        let mut first = open(database).await;
        let (_, secret) = first.create(ORG, None).await;
        first.service.shutdown().await;
        let Tokens { database, service, client, now } = first;
        drop((service, client));
        let mut second = open_at(database, now).await;
        assert!(second.verify(&secret).await.is_ok());
    }
}

#[tokio::test]
async fn both_migration_trees_make_the_same_schema_and_the_organization_comes_first() {
    let [sqlite, postgres] = both().await;
    let differences = testkit::schema_parity(sqlite.database.direct(), postgres.database.direct(), &[]);
    assert_eq!(differences.expect("compare"), Vec::<String>::new());
    let schema = testkit::sqlite_schema(sqlite.database.url()).expect("read");
    // The hash or the id is how an unknown caller shows which organization it belongs to; the counter orders what all revoke;
    // service credentials are the installation's.
    let (installation, organizations): (Vec<_>, Vec<_>) =
        testkit::key_without(&schema, "org").into_iter().partition(|key| key.starts_with("service_credential"));
    assert_eq!(organizations, ["oauth_client(id)", "revocation_counter(id)", "token(secret_sha256)"]);
    assert!(!installation.is_empty());
    let tables = schema.tables.iter().filter(|(name, _)| !name.starts_with("service_credential"));
    let foreign = tables.flat_map(|(_, table)| &table.foreign_keys);
    assert!(foreign.clone().count() > 0 && foreign.clone().all(|key| key.starts_with("org, ")));
}
