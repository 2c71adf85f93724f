//! Service credentials: made, rotated, retired, revoked and verified, on both databases.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use tonic::Code;
use wire::{
    CalledBy, Reason, Transport,
    common::{Caller, ScimClient, caller::Kind},
    refusal,
    token::{
        CreateServiceCredentialRequest, ListServiceCredentialsRequest, RetireServiceSecretRequest,
        RevokeServiceCredentialRequest, RotateServiceCredentialRequest, RotateServiceCredentialResponse,
        ServiceCredential, VerifyServiceCredentialRequest, VerifyServiceCredentialResponse, WatchRevocationsRequest,
        service_credential_service_client::ServiceCredentialServiceClient,
    },
};

use crate::harness::{DAY, NOW, ORG, Tokens, administrator, both};

const HOUR: i64 = DAY / 24;

type Client = ServiceCredentialServiceClient<Transport>;

fn client(tokens: &Tokens) -> Client {
    ServiceCredentialServiceClient::new(Transport::in_process(tokens.service.routes()))
}

fn new(name: &str) -> CreateServiceCredentialRequest {
    CreateServiceCredentialRequest {
        caller: administrator(),
        name: name.to_owned(),
        scopes: vec!["identities:read".to_owned()],
        ..CreateServiceCredentialRequest::default()
    }
}

async fn create(client: &mut Client, request: CreateServiceCredentialRequest) -> (ServiceCredential, String) {
    let made = client.create_service_credential(request).await.expect("created").into_inner();
    (made.credential.expect("a credential"), made.secret)
}

async fn ask(
    client: &mut Client,
    request: VerifyServiceCredentialRequest,
) -> Result<VerifyServiceCredentialResponse, (Code, Reason, String)> {
    let answer = client.verify_service_credential(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| {
        let refusal = refusal(&status);
        (status.code(), refusal.reason, refusal.message)
    })
}

async fn verify(client: &mut Client, secret: &str) -> Result<VerifyServiceCredentialResponse, (Code, Reason, String)> {
    let secret_sha256 = Sha256::digest(secret.as_bytes()).to_vec().into();
    ask(client, VerifyServiceCredentialRequest { secret_sha256, tls_identities: Vec::new() }).await
}

async fn verify_names(
    client: &mut Client,
    names: &[&str],
) -> Result<VerifyServiceCredentialResponse, (Code, Reason, String)> {
    let tls_identities = names.iter().map(|name| (*name).to_owned()).collect();
    ask(client, VerifyServiceCredentialRequest { secret_sha256: Vec::new().into(), tls_identities }).await
}

async fn rotate(
    client: &mut Client,
    id: &str,
    overlap_seconds: Option<u32>,
) -> Result<RotateServiceCredentialResponse, tonic::Status> {
    let request =
        RotateServiceCredentialRequest { caller: administrator(), id: id.to_owned(), overlap_seconds, ttl_days: None };
    client.rotate_service_credential(request).await.map(tonic::Response::into_inner)
}

async fn retire(client: &mut Client, id: &str, force: bool) -> Result<ServiceCredential, tonic::Status> {
    let request = RetireServiceSecretRequest { caller: administrator(), id: id.to_owned(), force };
    client.retire_service_secret(request).await.map(tonic::Response::into_inner)
}

async fn revoke(client: &mut Client, id: &str) -> Result<ServiceCredential, tonic::Status> {
    let request = RevokeServiceCredentialRequest { caller: administrator(), id: id.to_owned() };
    client.revoke_service_credential(request).await.map(tonic::Response::into_inner)
}

async fn list(client: &mut Client) -> Vec<ServiceCredential> {
    client.list_service_credentials(ListServiceCredentialsRequest {}).await.expect("listed").into_inner().credentials
}

fn invalid() -> (Code, Reason, String) {
    (Code::Unauthenticated, Reason::TokenInvalid, "The service credential is not valid.".to_owned())
}

#[tokio::test]
async fn a_secret_is_valid_until_it_expires_or_is_revoked_and_the_answer_is_one() {
    for tokens in both().await {
        let mut client = client(&tokens);
        let (made, secret) = create(&mut client, new("mail")).await;
        assert!(secret.starts_with("rc_svc_") && secret.len() == 56, "{}", secret.len());
        assert_eq!(wire::from_timestamp(made.expires_at.as_ref().expect("it expires")), NOW + 365 * DAY);
        let grant = verify(&mut client, &secret).await.expect("valid");
        assert_eq!((&grant.id, grant.name.as_str()), (&made.id, "mail"));
        assert_eq!(grant.scopes, ["identities:read"]);
        assert_eq!(grant.expires_at, made.expires_at);

        let (short, brief) =
            create(&mut client, CreateServiceCredentialRequest { ttl_days: Some(1), ..new("brief") }).await;
        tokens.later(DAY - 1);
        assert!(verify(&mut client, &brief).await.is_ok());
        tokens.later(1);
        assert_eq!(verify(&mut client, &brief).await, Err(invalid()));
        for unknown in ["", "rc_svc_unknown", &secret[1..]] {
            assert_eq!(verify(&mut client, unknown).await, Err(invalid()));
        }
        let revoked = revoke(&mut client, &made.id).await.expect("revoked");
        assert_eq!(verify(&mut client, &secret).await, Err(invalid()));
        tokens.later(1);
        let again = revoke(&mut client, &made.id).await.expect("idempotent");
        assert_eq!(again.revoked_at, revoked.revoked_at);
        let ids: Vec<String> = list(&mut client).await.into_iter().map(|this| this.id).collect();
        assert_eq!(ids, [short.id, made.id], "newest first");
        for wrong in ["no-uuid", ORG] {
            let status = revoke(&mut client, wrong).await.expect_err("unknown");
            assert_eq!(refusal(&status).reason, Reason::CredentialNotFound);
        }
        let status = ask(&mut client, VerifyServiceCredentialRequest::default()).await.expect_err("nothing shown");
        assert_eq!(status.1, Reason::InvalidArgument);
    }
}

/// Each is looked up among its own.
#[tokio::test]
async fn a_scim_token_is_no_service_credential_and_the_other_way_round() {
    for mut tokens in both().await {
        let mut client = client(&tokens);
        let (_, secret) = create(&mut client, new("mail")).await;
        let (_, token) = tokens.create(ORG, None).await;
        assert_eq!(verify(&mut client, &token).await, Err(invalid()));
        assert_eq!(tokens.verify(&secret).await.expect_err("no token").1, Reason::TokenInvalid);
    }
}

#[tokio::test]
async fn a_certificate_is_known_by_one_of_its_names() {
    for tokens in both().await {
        let mut client = client(&tokens);
        let uri = "spiffe://example.com/mail";
        let by_uri = CreateServiceCredentialRequest { tls_identity: uri.to_owned(), ttl_days: Some(0), ..new("mail") };
        let (mail, secret) = create(&mut client, by_uri.clone()).await;
        assert_eq!((secret.as_str(), mail.has_secret, mail.expires_at), ("", false, None));
        let by_name = CreateServiceCredentialRequest {
            tls_identity: "Sync.Internal".to_owned(),
            with_secret: true,
            ..new("sync")
        };
        let (sync, secret) = create(&mut client, by_name).await;
        assert_eq!(sync.tls_identity, "sync.internal");
        assert_eq!(verify(&mut client, &secret).await.expect("by secret").name, "sync");
        assert_eq!(verify_names(&mut client, &["other.internal", uri]).await.expect("by URI").name, "mail");
        assert_eq!(verify_names(&mut client, &["SYNC.internal"]).await.expect("by DNS name").name, "sync");
        for names in [&["sync"][..], &["*.internal"], &["spiffe://example.com/Mail"], &["x.sync.internal"]] {
            assert_eq!(verify_names(&mut client, names).await, Err(invalid()), "{names:?}");
        }
        let ambiguous = verify_names(&mut client, &[uri, "sync.internal"]).await;
        assert_eq!(ambiguous, Err(invalid()), "nobody can say whose rights it has");
        assert_eq!(verify_names(&mut client, &[uri, uri]).await.expect("one is one").name, "mail");
        assert!(verify_names(&mut client, &["a"; 33]).await.is_err_and(|refused| refused.1 == Reason::InvalidArgument));

        let status = rotate(&mut client, &mail.id, None).await.expect_err("no secret");
        assert_eq!(refusal(&status).reason, Reason::CredentialState);
        revoke(&mut client, &mail.id).await.expect("revoked");
        assert_eq!(verify_names(&mut client, &[uri]).await, Err(invalid()));
        // Its name and identity are free again.
        create(&mut client, by_uri).await;
        assert!(verify_names(&mut client, &[uri]).await.is_ok());
    }
}

#[tokio::test]
async fn a_name_and_an_identity_are_of_one_that_is_not_revoked() {
    for tokens in both().await {
        let mut client = client(&tokens);
        let mail = CreateServiceCredentialRequest { tls_identity: "mail.internal".to_owned(), ..new("mail") };
        let (made, _) = create(&mut client, mail.clone()).await;
        let same_identity = CreateServiceCredentialRequest { tls_identity: "MAIL.internal".to_owned(), ..new("other") };
        for (request, said) in
            [(new("mail"), "the name \"mail\""), (same_identity, "the TLS identity \"mail.internal\"")]
        {
            let status = client.create_service_credential(request).await.expect_err("taken");
            assert_eq!(refusal(&status).reason, Reason::Uniqueness);
            assert!(status.message().contains(said), "{}", status.message());
        }
        revoke(&mut client, &made.id).await.expect("revoked");
        create(&mut client, mail).await;
    }
}

#[tokio::test]
async fn a_rotation_keeps_the_secret_before_until_it_is_retired_or_its_time_is_over() {
    for tokens in both().await {
        let mut client = client(&tokens);
        let (made, first) = create(&mut client, new("mail")).await;
        tokens.later(DAY);
        let rotated = rotate(&mut client, &made.id, Some(3600)).await.expect("rotated");
        let (credential, second) = (rotated.credential.expect("a credential"), rotated.secret);
        let ends = credential.previous_secret_expires_at;
        assert_eq!(ends.as_ref().map(wire::from_timestamp), Some(NOW + DAY + HOUR));
        assert_eq!(credential.expires_at.as_ref().map(wire::from_timestamp), Some(NOW + 366 * DAY), "counted anew");
        assert_eq!(verify(&mut client, &first).await.expect("still").expires_at, ends);
        // Only the new secret is the successor's use.
        let status = retire(&mut client, &made.id, false).await.expect_err("not used");
        assert_eq!(refusal(&status).reason, Reason::CredentialState);
        assert!(rotate(&mut client, &made.id, None).await.is_err(), "two are enough");
        assert_eq!(verify(&mut client, &second).await.expect("valid").expires_at, credential.expires_at);
        let retired = retire(&mut client, &made.id, false).await.expect("used a moment ago");
        assert_eq!((retired.previous_secret_expires_at, retired.secret_used), (None, true));
        assert_eq!(verify(&mut client, &first).await, Err(invalid()));
        let status = retire(&mut client, &made.id, false).await.expect_err("nothing is left to retire");
        assert!(status.message().contains("no old secret"), "{}", status.message());

        let third = rotate(&mut client, &made.id, Some(3600)).await.expect("again").secret;
        tokens.later(HOUR - 1);
        assert!(verify(&mut client, &second).await.is_ok());
        tokens.later(1);
        assert_eq!(verify(&mut client, &second).await, Err(invalid()));
        let fourth = rotate(&mut client, &made.id, Some(0)).await.expect("without overlap").secret;
        assert_eq!(verify(&mut client, &third).await, Err(invalid()));
        rotate(&mut client, &made.id, None).await.expect("for a day");
        assert!(retire(&mut client, &made.id, true).await.is_ok(), "by force");
        assert_eq!(verify(&mut client, &fourth).await, Err(invalid()));
        let too_long = rotate(&mut client, &made.id, Some(31 * 86_400)).await.expect_err("too long");
        assert_eq!(refusal(&too_long).reason, Reason::InvalidArgument);
        revoke(&mut client, &made.id).await.expect("revoked");
        assert_eq!(
            refusal(&rotate(&mut client, &made.id, None).await.expect_err("over")).reason,
            Reason::CredentialState
        );
        let kinds = tokens.query("SELECT kind AS text FROM service_credential_event ORDER BY id");
        let rest = ["rotated", "rotated", "rotated", "retired", "revoked"];
        assert_eq!(kinds, [&["created", "rotated", "retired"][..], &rest].concat());
    }
}

#[tokio::test]
async fn what_ends_is_told_in_one_order_with_tokens_and_within_a_second() {
    for mut tokens in both().await {
        let mut client = client(&tokens);
        let watch = WatchRevocationsRequest { after_position: None };
        let mut stream = tokens.client.watch_revocations(watch).await.expect("a stream").into_inner();
        let first = stream.message().await.expect("no error").expect("a message").position;
        let (revoked, _) = create(&mut client, new("revoked")).await;
        let (rotated, _) = create(&mut client, new("rotated")).await;
        let (token, _) = tokens.create(ORG, None).await;
        let begun = Instant::now();
        revoke(&mut client, &revoked.id).await.expect("revoked");
        tokens.revoke(ORG, &token.id).await.expect("revoked");
        rotate(&mut client, &rotated.id, Some(0)).await.expect("rotated");
        let (mut credentials, mut others) = (BTreeSet::new(), BTreeSet::new());
        let mut position = first;
        while credentials.len() + others.len() < 3 {
            let message = tokio::time::timeout(Duration::from_secs(2), stream.message()).await.expect("in time");
            let message = message.expect("no error").expect("no end");
            credentials.extend(message.service_credential_ids);
            others.extend(message.token_ids);
            position = message.position;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(position, first + 3, "each has its number");
        assert_eq!(credentials, BTreeSet::from([revoked.id.clone(), rotated.id.clone()]));
        assert_eq!(others, BTreeSet::from([token.id]));
        // Taken up again from before, all are there, and in pages of any size nothing is left out.
        let again = WatchRevocationsRequest { after_position: Some(first) };
        let mut stream = tokens.client.watch_revocations(again).await.expect("a stream").into_inner();
        let all = stream.message().await.expect("no error").expect("a message");
        assert_eq!((all.position, all.service_credential_ids.len(), all.token_ids.len()), (first + 3, 2, 1));
    }
}

#[tokio::test]
async fn uses_are_written_and_those_of_the_secret_before_are_told_apart() {
    for tokens in both().await {
        let mut client = client(&tokens);
        let (made, first) = create(&mut client, new("mail")).await;
        tokens.later(5_000);
        verify(&mut client, &first).await.expect("valid");
        let second = rotate(&mut client, &made.id, None).await.expect("rotated").secret;
        // Noted before the rotation, and written after it.
        assert!(retire(&mut client, &made.id, false).await.is_err(), "that was the secret before");
        tokens.later(1_000);
        verify(&mut client, &second).await.expect("valid");
        tokens.service.shutdown().await;
        let listed = list(&mut client).await.remove(0);
        assert_eq!(listed.last_used_at.as_ref().map(wire::from_timestamp), Some(NOW + 6_000));
        assert!(listed.secret_used);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_and_events_tell_who_asked() {
    for tokens in both().await {
        let mut client = client(&tokens);
        let good = new("mail");
        let scim = Kind::ScimClient(ScimClient { token_id: ORG.to_owned(), entry_id: String::new() });
        let cases = [
            (CreateServiceCredentialRequest { name: "Mail".to_owned(), ..good.clone() }, "inner hyphens"),
            (CreateServiceCredentialRequest { name: "token-service".to_owned(), ..good.clone() }, "another name"),
            (CreateServiceCredentialRequest { scopes: Vec::new(), ..good.clone() }, "identities:watch"),
            (
                CreateServiceCredentialRequest { scopes: vec!["users:read".to_owned()], ..good.clone() },
                "identities:read",
            ),
            (CreateServiceCredentialRequest { ttl_days: Some(0), ..good.clone() }, "has to expire"),
            (CreateServiceCredentialRequest { ttl_days: Some(3651), ..good.clone() }, "1 to 3650"),
            (CreateServiceCredentialRequest { tls_identity: "*.x".to_owned(), ..good.clone() }, "wildcard"),
            (CreateServiceCredentialRequest { caller: None, ..good.clone() }, "caller"),
            (
                CreateServiceCredentialRequest {
                    caller: Some(Caller { kind: Some(scim), request_id: String::new() }),
                    ..good.clone()
                },
                "SCIM client",
            ),
        ];
        for (request, said) in cases {
            let status = client.create_service_credential(request).await.expect_err(said);
            assert_eq!(refusal(&status).reason, Reason::InvalidArgument, "{said}");
            assert!(status.message().contains(said), "{}", status.message());
        }
        let (made, _) = create(&mut client, good).await;
        let mut by_service =
            tonic::Request::new(RevokeServiceCredentialRequest { caller: administrator(), id: made.id.clone() });
        by_service.extensions_mut().insert(CalledBy { name: "console".into(), administers: true });
        client.revoke_service_credential(by_service).await.expect("revoked");
        let told = tokens.query(
            "SELECT kind || ' ' || actor_kind || ' ' || actor || ' ' || request_id AS text \
             FROM service_credential_event ORDER BY id",
        );
        assert_eq!(told, ["created administrator ada req-1", "revoked internal_service console req-1"]);
        assert_eq!(list(&mut client).await[0].created_by, "ada");
    }
}

#[tokio::test]
async fn the_database_holds_no_secret() {
    for tokens in both().await {
        let mut client = client(&tokens);
        let (made, first) = create(&mut client, new("mail")).await;
        let second = rotate(&mut client, &made.id, None).await.expect("rotated").secret;
        tokens.service.shutdown().await;
        let dump = match tokens.database.url().strip_prefix("sqlite:") {
            Some(path) => {
                let read = |suffix: &str| std::fs::read(format!("{path}{suffix}")).unwrap_or_default();
                String::from_utf8_lossy(&[read(""), read("-wal")].concat()).into_owned()
            }
            None => {
                let credentials = tokens.query("SELECT t::text AS text FROM service_credential t");
                let events = tokens.query("SELECT t::text AS text FROM service_credential_event t");
                [credentials, events].concat().join("\n")
            }
        };
        assert!(dump.contains("mail"));
        for secret in [first, second] {
            assert!(!dump.contains(&secret["rc_svc_".len()..secret.len() - 6]));
        }
    }
}
