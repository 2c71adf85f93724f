//! Service credentials at the command line and by certificate. Every rpc with each of them: the suite `services` of
//! `cargo xtask e2e`.

#![expect(clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "the other suites use the rest")]
mod support;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use support::{all_in_one, directory, program, provisioned, text};
use testkit::process::Server;
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use wire::{
    Reason,
    identity::{
        CreateOrganizationRequest, ListOrganizationsRequest, organization_service_client::OrganizationServiceClient,
    },
};

fn with<T>(message: T, secret: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(secret) = secret {
        request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().expect("a header value"));
    }
    request
}

async fn organizations(channel: &Channel, secret: Option<&str>) -> Result<usize, Status> {
    let mut client = OrganizationServiceClient::new(channel.clone());
    let listed = client.list_organizations(with(ListOrganizationsRequest::default(), secret)).await?;
    Ok(listed.into_inner().organizations.len())
}

fn reason(refused: Result<usize, Status>) -> (Code, Reason) {
    let status = refused.expect_err("refused");
    (status.code(), wire::refusal(&status).reason)
}

const INVALID: (Code, Reason) = (Code::Unauthenticated, Reason::CredentialInvalid);

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_shows_rotates_and_revokes_them() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    provisioned(&server, "acme");
    let run = |words: &[&str]| server.cli_json(words).expect("the command works");
    let none = server.cli(&["service", "list"]).expect("it runs");
    assert!(none.stdout.contains("rollcall service create NAME --scope identities:read"), "{}", none.stdout);

    let made = run(&["service", "create", "mail", "--scope", "identities:read,identities:watch", "--ttl-days", "30"]);
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("rc_svc_"));
    assert_eq!(made["scopes"], serde_json::json!(["identities:read", "identities:watch"]));
    assert_eq!((&made["state"], &made["has_secret"]), (&"active".into(), &true.into()));
    let endpoint = Endpoint::from_shared(server.grpc("identity").expect("an address")).expect("an endpoint");
    let channel = endpoint.connect().await.expect("a connection");
    assert_eq!(organizations(&channel, Some(&secret)).await.expect("let in"), 1);
    let mut client = OrganizationServiceClient::new(channel.clone());
    let refused = client.create_organization(with(CreateOrganizationRequest::default(), Some(&secret))).await;
    let status = refused.expect_err("no scope");
    assert_eq!((status.code(), wire::refusal(&status).reason), (Code::PermissionDenied, Reason::ScopeMissing));
    assert!(status.message().contains("mail lacks the scope administer"), "{}", status.message());

    let rotated = run(&["service", "rotate", "mail", "--retire-after", "1h"]);
    let new = text(&rotated["secret"]);
    assert_eq!(rotated["state"], "rotated");
    let early = server.cli(&["service", "retire", "mail"]).expect("it runs");
    assert_eq!(early.status.code(), Some(1));
    assert!(early.stderr.contains("--force") && early.stderr.lines().count() == 1, "{}", early.stderr);
    assert!(organizations(&channel, Some(&new)).await.is_ok());
    run(&["service", "retire", "mail"]);
    let again = server.cli(&["service", "retire", "mail"]).expect("it runs").stderr;
    assert!(again.contains("There is no old secret"), "{again}");
    let listed = server.cli(&["service", "list", "--output", "json"]).expect("it runs").stdout;
    assert!(listed.contains("\"mail\"") && !listed.contains(&secret) && !listed.contains(&new), "{listed}");
    for wrong in [
        &["service", "create", "mail", "--scope", "administer"][..],
        &["service", "create", "Mail", "--scope", "administer"],
        &["service", "create", "x", "--scope", "administer", "--ttl-days", "0"],
        &["service", "revoke", "nobody"],
        &["service", "rotate", "mail", "--retire-after", "40d"],
    ] {
        let refused = server.cli(wrong).expect("it runs");
        assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), ""), "{wrong:?}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "one clear line: {:?}", refused.stderr);
    }
    assert!(!server.cli(&["service", "create", "x"]).expect("it runs").status.success(), "a scope is needed");
    let revoked = run(&["service", "revoke", &text(&made["id"])]);
    assert_eq!(revoked["state"], "revoked");
    let begun = std::time::Instant::now();
    while organizations(&channel, Some(&new)).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(1), "still let in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().expect("a clean end");
}

/// A role that was not told where token-service is says so, and lets in what it can check.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_token_service_refuses_service_credentials_and_says_which_flag_is_missing() {
    let directory = directory();
    let server = Server::start(&program(), "identity", directory.path(), &[]).expect("a running server");
    let endpoint = Endpoint::from_shared(server.url("grpc").expect("an address")).expect("an endpoint");
    let channel = endpoint.connect().await.expect("a connection");
    assert_eq!(reason(organizations(&channel, Some("rc_svc_any")).await), INVALID);
    let admin = std::fs::read_to_string(directory.path().join("admin-credential")).expect("the credential");
    assert!(organizations(&channel, Some(admin.trim())).await.is_ok());
    let log = server.stop().expect("a clean end");
    let told = |words: &str| log.lines().any(|line| line.contains(words) && line.contains("--token-url"));
    assert!(told("service credentials are refused here") && told("a service credential was shown"), "{log}");
}

/// Those that nobody has are looked up as the budget of their address allows, and a valid one is let in meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_secrets_has_a_budget_and_no_valid_one_is_refused() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    let made = server.cli_json(&["service", "create", "mail", "--scope", "identities:read"]).expect("made");
    let secret = text(&made["secret"]);
    let endpoint = Endpoint::from_shared(server.grpc("identity").expect("an address")).expect("an endpoint");
    let channel = endpoint.connect().await.expect("a connection");
    let begun = std::time::Instant::now();
    for round in 0..20 {
        let flooding = endpoint.connect().await.expect("a connection");
        let calls = (0..40).map(|n| {
            let (flooding, secret) = (flooding.clone(), format!("rc_svc_{round}_{n}"));
            tokio::spawn(async move { organizations(&flooding, Some(&secret)).await })
        });
        let calls: Vec<_> = calls.collect();
        organizations(&channel, Some(&secret)).await.expect("let in");
        for answer in calls {
            assert_eq!(reason(answer.await.expect("an answer")), INVALID);
        }
    }
    // 800: 500 at once and 50 a second, less those that were under way together.
    assert!(begun.elapsed() > Duration::from_secs(4), "{:?}: each was looked up at once", begun.elapsed());
    server.stop().expect("a clean end");
}

/// One that is shown for the first time waits for no refusal of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_is_let_in_at_once_while_its_address_floods() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    let new = |n: usize| {
        let made = server.cli_json(&["service", "create", &format!("mail-{n}"), "--scope", "identities:read"]);
        text(&made.expect("made")["secret"])
    };
    let secrets: Vec<String> = (0..8).map(new).collect();
    let endpoint = Endpoint::from_shared(server.grpc("identity").expect("an address")).expect("an endpoint");
    let channel = endpoint.connect().await.expect("a connection");
    let flood = async |name: &str, connections: usize| {
        let mut flood = Vec::new();
        for round in 0..connections {
            let flooding = endpoint.connect().await.expect("a connection");
            flood.extend((0..40).map(|n| {
                let (flooding, secret) = (flooding.clone(), format!("rc_svc_{name}_{round}_{n}"));
                tokio::spawn(async move { organizations(&flooding, Some(&secret)).await })
            }));
        }
        flood
    };
    for answer in flood("first", 15).await {
        assert_eq!(reason(answer.await.expect("an answer")), INVALID);
    }
    // The budget is spent.
    let flood = flood("second", 6).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let valid = secrets.iter().zip(0..).map(|(secret, n)| {
        let channel = channel.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(37 * n)).await;
            let begun = std::time::Instant::now();
            assert_eq!(organizations(&channel, Some(secret)).await.expect("let in"), 0);
            begun.elapsed()
        }
    });
    let slowest = futures::future::join_all(valid).await.into_iter().max().expect("some");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(flood.iter().any(|call| !call.is_finished()), "others still wait for their refusal");
    for answer in flood {
        assert_eq!(reason(answer.await.expect("an answer")), INVALID);
    }
    server.stop().expect("a clean end");
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    fn pem(&self) -> String {
        let certificate: &rcgen::Certificate = self.0.as_ref();
        certificate.pem()
    }

    /// Certificate and key, with these names: DNS names, or URIs where there is a colon.
    fn issue(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose, expired: bool) -> (String, String) {
        let (uris, dns): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains(':'));
        let dns: Vec<String> = dns.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(dns).expect("names");
        for uri in uris {
            params.subject_alt_names.push(rcgen::SanType::URI(uri.try_into().expect("a URI")));
        }
        params.extended_key_usages = vec![purpose];
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &*self.0).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    fn client(&self, names: &[&str]) -> (String, String) {
        self.issue(names, ExtendedKeyUsagePurpose::ClientAuth, false)
    }
}

fn written(directory: &Path, name: &str, text: &str) -> String {
    let file: PathBuf = directory.join(name);
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("a path").to_owned()
}

/// Connected, and asked once: with TLS 1.3 a client hears of a refused certificate when it reads.
async fn listed(
    url: &str,
    ca: &str,
    identity: Option<&(String, String)>,
    secret: Option<&str>,
) -> Result<usize, Status> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("an endpoint").tls_config(tls).expect("a config");
    let channel = endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
    organizations(&channel, secret).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_the_credential_that_has_its_name() {
    let directory = directory();
    let files = tempfile::tempdir().expect("a directory");
    let at = |name: &str, text: &str| written(files.path(), name, text);
    let (servers, clients, strangers) =
        (Authority::new("servers"), Authority::new("clients"), Authority::new("strangers"));
    let (certificate, key) = servers.issue(&["localhost"], ExtendedKeyUsagePurpose::ServerAuth, false);
    let ca_file = at("ca.pem", &servers.pem());
    let flags = [
        "--grpc-cert",
        &at("cert.pem", &certificate),
        "--grpc-key",
        &at("key.pem", &key),
        "--grpc-client-ca",
        &at("clients.pem", &clients.pem()),
    ];
    let server = all_in_one(directory.path(), &flags);
    let url = server.grpc("identity").expect("an address").replace("http://127.0.0.1", "https://localhost");

    // The command line finds the server by itself, but not whom to trust.
    let mistrust = server.cli(&["service", "list"]).expect("it runs");
    assert!(mistrust.stderr.contains("--grpc-ca") && mistrust.stderr.lines().count() == 1, "{}", mistrust.stderr);
    let trust = ["--grpc-ca", &ca_file, "--identity-url", &url, "--token-url", &url];
    let run = |words: &[&str]| server.cli_json(&[words, &trust].concat()).expect("the command works");
    let uri = "spiffe://example.com/mail";
    let made = run(&["service", "create", "mail", "--scope", "identities:read", "--tls-identity", uri]);
    assert_eq!((&made["secret"], &made["tls_identity"]), (&serde_json::Value::Null, &uri.into()));
    run(&["service", "create", "sync", "--scope", "identities:watch", "--tls-identity", "sync.internal"]);
    let by_secret = text(&run(&["service", "create", "other", "--scope", "identities:read"])["secret"]);

    let ca = servers.pem();
    let mail = clients.client(&["mail.internal", uri]);
    assert_eq!(listed(&url, &ca, Some(&mail), None).await.expect("let in"), 0);
    let sync = clients.client(&["sync.internal"]);
    assert_eq!(reason(listed(&url, &ca, Some(&sync), None).await), (Code::PermissionDenied, Reason::ScopeMissing));
    // No certificate, or a name that no credential has: as without any credential.
    assert_eq!(reason(listed(&url, &ca, None, None).await), INVALID);
    for names in [&["other.internal"][..], &["spiffe://example.com/mail2"], &["spiffe://example.com"], &[]] {
        assert_eq!(reason(listed(&url, &ca, Some(&clients.client(names)), None).await), INVALID, "{names:?}");
    }
    // A header that is there decides.
    assert_eq!(reason(listed(&url, &ca, Some(&mail), Some("rc_svc_wrong")).await), INVALID);
    assert_eq!(listed(&url, &ca, None, Some(&by_secret)).await.expect("let in"), 0);
    let admin = server.admin_credential().expect("the credential");
    assert_eq!(listed(&url, &ca, Some(&sync), Some(&admin)).await.expect("let in"), 0);
    // Certificates that are none here end the connection.
    let expired = clients.issue(&[uri], ExtendedKeyUsagePurpose::ClientAuth, true);
    let for_servers = clients.issue(&[uri], ExtendedKeyUsagePurpose::ServerAuth, false);
    for wrong in [&strangers.client(&[uri]), &expired, &for_servers] {
        let status = listed(&url, &ca, Some(wrong), Some(&by_secret)).await.expect_err("refused");
        assert_ne!(status.code(), Code::Ok);
        assert_eq!(status.details(), b"", "the connection, not the call: {status:?}");
    }
    // Nor is the server any other's, and nothing is answered without TLS.
    assert!(listed(&url, &strangers.pem(), Some(&mail), None).await.is_err());
    let plain = Endpoint::from_shared(url.replace("https", "http")).expect("an endpoint").connect_lazy();
    assert!(organizations(&plain, Some(&by_secret)).await.is_err());
    let health = HealthClient::new(
        Endpoint::from_shared(url.clone())
            .expect("an endpoint")
            .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&ca)))
            .expect("a config")
            .connect_lazy(),
    );
    health.clone().check(HealthCheckRequest::default()).await.expect("health answers anybody");

    run(&["service", "revoke", "mail"]);
    let begun = std::time::Instant::now();
    while listed(&url, &ca, Some(&mail), None).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(1), "still let in");
    }
    server.stop().expect("a clean end");
}

/// The gateway's way to both services, and that of identity to token, over TLS.
#[tokio::test(flavor = "multi_thread")]
async fn the_roles_speak_tls_to_each_other() {
    let directory = directory();
    let files = tempfile::tempdir().expect("a directory");
    let at = |name: &str, text: &str| written(files.path(), name, text);
    let authority = Authority::new("installation");
    let (certificate, key) = authority.issue(&["localhost"], ExtendedKeyUsagePurpose::ServerAuth, false);
    let (client, client_key) = authority.client(&["rollcall.internal"]);
    let ca = at("ca.pem", &authority.pem());
    let listener = [
        "--grpc-cert".to_owned(),
        at("cert.pem", &certificate),
        "--grpc-key".to_owned(),
        at("key.pem", &key),
        "--grpc-client-ca".to_owned(),
        ca.clone(),
    ];
    let caller = [
        "--grpc-ca".to_owned(),
        ca.clone(),
        "--grpc-client-cert".to_owned(),
        at("client.pem", &client),
        "--grpc-client-key".to_owned(),
        at("client-key.pem", &client_key),
    ];
    let https =
        |server: &Server| server.url("grpc").expect("an address").replace("http://127.0.0.1", "https://localhost");
    let start = |role: &'static str, arguments: &[&[String]]| {
        Server::start(&program(), role, directory.path(), &arguments.concat()).expect("a running server")
    };
    let token = start("token", &[&listener]);
    let token_url = ["--token-url".to_owned(), https(&token)];
    let identity = start("identity", &[&listener, &caller, &token_url]);
    let identity_url = ["--identity-url".to_owned(), https(&identity)];
    let gateway = start("gateway", &[&caller, &token_url, &identity_url]);
    let run = |words: &[&str]| {
        let here = ["--data-dir".to_owned(), directory.path().to_str().expect("a path").to_owned()];
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let rest = ["--output".to_owned(), "json".to_owned()];
        let all = [words, rest.to_vec(), here.to_vec(), caller.to_vec(), token_url.to_vec(), identity_url.to_vec()];
        program().run(&all.concat()).expect("it runs").json().expect("the command works")
    };
    run(&["org", "create", "acme", "--name", "Acme", "--plan", "enterprise"]);
    run(&["scim", "enable", "acme"]);
    let scim = text(&run(&["token", "create", "acme", "--description", "Okta"])["token"]);
    let client = testkit::client::Client::new(&format!("{}/scim/v2", gateway.url("http").expect("an address")));
    let client = client.with_token(&scim).expect("a client");
    let reply = client.send(http::Method::GET, "/Users", None).await.expect("an answer");
    assert_eq!(reply.status, 200);
    // identity asks token over TLS.
    let secret = text(&run(&["service", "create", "mail", "--scope", "identities:read"])["secret"]);
    assert_eq!(listed(&https(&identity), &authority.pem(), None, Some(&secret)).await.expect("let in"), 1);
    let here = directory.path().to_str().expect("a path");
    let untold = ["org", "list", "--data-dir", here, "--identity-url", &identity_url[1]];
    let untold = program().run(&untold).expect("it runs");
    assert!(untold.stderr.contains("--grpc-ca"), "{}", untold.stderr);
    for server in [gateway, identity, token] {
        server.stop().expect("a clean end");
    }
}
