//! The service through its in-process gRPC client, on both databases.

#![expect(clippy::expect_used, reason = "a test fails by it")]
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query, sql_types,
};
use sha2::{Digest as _, Sha256};
use store::{Clock, Instant};
use testkit::TestDatabase;
use token_service::{Config, Service};
use tonic::Code;
use wire::{
    Reason, Transport,
    common::{Administrator, Caller, InternalService, ScimClient, caller::Kind},
    refusal,
    token::{
        CreateScimTokenRequest, ListScimTokensRequest, RevokeScimTokenRequest, ScimToken, VerifyRequest,
        VerifyResponse, token_service_client::TokenServiceClient,
    },
};

const ORG: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const NOW: i64 = 1_763_900_000_000_000;
const DAY: i64 = 86_400_000_000;

struct Tokens {
    database: TestDatabase,
    service: Service,
    client: TokenServiceClient<Transport>,
    now: Arc<AtomicI64>,
}

async fn open(database: TestDatabase) -> Tokens {
    let now = Arc::new(AtomicI64::new(NOW));
    let clock = Arc::clone(&now);
    let clock = Clock::from_fn(move || Instant::from_micros(clock.load(Ordering::Relaxed)));
    let config = Config { database_url: database.url().to_owned(), pool_size: 4 };
    let service = Service::open(&config, clock).await.expect("open");
    let client = TokenServiceClient::new(Transport::in_process(service.routes()));
    Tokens { database, service, client, now }
}

async fn both() -> [Tokens; 2] {
    [open(testkit::sqlite()).await, open(testkit::postgres()).await]
}

fn administrator() -> Option<Caller> {
    let kind = Kind::Administrator(Administrator { name: "ada".to_owned() });
    Some(Caller { kind: Some(kind), request_id: "req-1".to_owned() })
}

impl Tokens {
    async fn create(&mut self, org: &str, ttl_days: Option<u32>) -> (ScimToken, String) {
        let request = CreateScimTokenRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            description: "Okta".to_owned(),
            ttl_days,
        };
        let answer = self.client.create_scim_token(request).await.expect("create").into_inner();
        (answer.token.expect("token"), answer.secret)
    }

    async fn verify(&mut self, secret: &str) -> Result<VerifyResponse, (Code, Reason, String)> {
        let secret_sha256 = Sha256::digest(secret.as_bytes()).to_vec().into();
        let answer = self.client.verify(VerifyRequest { secret_sha256 }).await;
        answer.map(tonic::Response::into_inner).map_err(|status| {
            let refusal = refusal(&status);
            (status.code(), refusal.reason, refusal.message)
        })
    }

    async fn revoke(&mut self, org: &str, id: &str) -> Result<ScimToken, Reason> {
        let request =
            RevokeScimTokenRequest { organization_id: org.to_owned(), caller: administrator(), id: id.to_owned() };
        let answer = self.client.revoke_scim_token(request).await;
        answer.map(|answer| answer.into_inner().token.expect("token")).map_err(|status| refusal(&status).reason)
    }

    async fn list(&mut self, org: &str) -> Vec<ScimToken> {
        let request = ListScimTokensRequest { organization_id: org.to_owned() };
        self.client.list_scim_tokens(request).await.expect("list").into_inner().tokens
    }

    fn later(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::Relaxed);
    }

    /// One column of text, straight from the database.
    fn query(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql_types::Text)]
            text: String,
        }
        let url = self.database.url();
        let rows: Vec<Row> = match url.strip_prefix("sqlite:") {
            Some(path) => sql_query(sql).load(&mut SqliteConnection::establish(path).expect("open")).expect("query"),
            None => sql_query(sql).load(&mut PgConnection::establish(url).expect("open")).expect("query"),
        };
        rows.into_iter().map(|row| row.text).collect()
    }
}

fn invalid() -> (Code, Reason, String) {
    (Code::Unauthenticated, Reason::TokenInvalid, "The token is not valid.".to_owned())
}

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

        let short = tokens.client.verify(VerifyRequest { secret_sha256: vec![1, 2, 3].into() }).await;
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
        let good = CreateScimTokenRequest {
            organization_id: ORG.to_owned(),
            caller: administrator(),
            description: "ü".repeat(200),
            ttl_days: Some(3650),
        };
        tokens.client.create_scim_token(good.clone()).await.expect("the limits are inside");
        let caller = |kind| Some(Caller { kind, request_id: String::new() });
        let cases = [
            (CreateScimTokenRequest { description: " ".to_owned(), ..good.clone() }, "empty"),
            (CreateScimTokenRequest { description: "x".repeat(201), ..good.clone() }, "more than 200"),
            (CreateScimTokenRequest { description: "a\nb".to_owned(), ..good.clone() }, "line breaks"),
            (CreateScimTokenRequest { ttl_days: Some(3651), ..good.clone() }, "1 to 3650"),
            (CreateScimTokenRequest { organization_id: "acme".to_owned(), ..good.clone() }, "organization_id"),
            (CreateScimTokenRequest { caller: None, ..good.clone() }, "caller"),
            (CreateScimTokenRequest { caller: caller(None), ..good.clone() }, "caller"),
            (
                CreateScimTokenRequest {
                    caller: caller(Some(Kind::ScimClient(ScimClient { token_id: ORG.to_owned() }))),
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
        tokens.verify(&secret).await.expect("valid");
        let used = |listed: Vec<ScimToken>| listed[0].last_used_at.as_ref().map(wire::from_timestamp);
        let begin = std::time::Instant::now();
        while used(tokens.list(ORG).await).is_none() {
            assert!(begin.elapsed().as_secs() < 10, "not written");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(used(tokens.list(ORG).await), Some(NOW + 7_000));

        tokens.later(1_000);
        tokens.verify(&secret).await.expect("valid");
        tokens.service.shutdown().await;
        assert_eq!(used(tokens.list(ORG).await), Some(NOW + 8_000));
    }
}

/// Counts what this thread asks the database.
struct Statements(Arc<AtomicI64>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Statements {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        if attributes.metadata().name() == "db.query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn a_verification_is_one_indexed_look_up() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let mut tokens = open(testkit::sqlite()).await;
    let (_, secret) = tokens.create(ORG, None).await;
    let statements = Arc::new(AtomicI64::new(0));
    let counting = tracing_subscriber::registry().with(Statements(Arc::clone(&statements)));
    let guard = tracing::subscriber::set_default(counting);
    // The readers are connected in the background; until then a look-up takes another thread.
    let begin = std::time::Instant::now();
    loop {
        statements.store(0, Ordering::Relaxed);
        for _ in 0..10 {
            tokens.verify(&secret).await.expect("valid");
        }
        let asked = statements.load(Ordering::Relaxed);
        assert!(asked <= 10, "{asked} statements for ten verifications");
        if asked == 10 {
            break;
        }
        assert!(begin.elapsed().as_secs() < 10, "no reader");
    }
    drop(guard);

    #[derive(QueryableByName)]
    struct Plan {
        #[diesel(sql_type = sql_types::Text)]
        detail: String,
    }
    let path = tokens.database.url().trim_start_matches("sqlite:");
    let plan: Vec<Plan> = sql_query("EXPLAIN QUERY PLAN SELECT org FROM token WHERE secret_sha256 = x'00'")
        .load(&mut SqliteConnection::establish(path).expect("open"))
        .expect("plan");
    let plan: Vec<String> = plan.into_iter().map(|step| step.detail).collect();
    assert!(plan.len() == 1 && plan[0].contains("USING INDEX"), "{plan:?}");
}

#[tokio::test]
async fn tokens_survive_a_restart() {
    for database in [testkit::sqlite(), testkit::postgres()] {
        let mut first = open(database).await;
        let (_, secret) = first.create(ORG, None).await;
        first.service.shutdown().await;
        let Tokens { database, service, client, .. } = first;
        drop((service, client));
        let mut second = open(database).await;
        assert!(second.verify(&secret).await.is_ok());
    }
}

#[tokio::test]
async fn both_migration_trees_make_the_same_schema_and_the_organization_comes_first() {
    let [sqlite, postgres] = both().await;
    let differences = testkit::schema_parity(sqlite.database.url(), postgres.database.url(), &[]);
    assert_eq!(differences.expect("compare"), Vec::<String>::new());
    let schema = testkit::sqlite_schema(sqlite.database.url()).expect("read");
    // The hash is how an unknown caller shows which organization it belongs to.
    assert_eq!(testkit::key_without(&schema, "org"), ["token(secret_sha256)"]);
    let foreign = schema.tables.values().flat_map(|table| &table.foreign_keys);
    assert!(foreign.clone().count() > 0 && foreign.clone().all(|key| key.starts_with("org, ")));
}
