//! A service on a database, by a clock that stands.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _, sql_query, sql_types,
};
use sha2::{Digest as _, Sha256};
use store::{Clock, Instant};
use testkit::TestDatabase;
use token_service::{Config, Service};
use tonic::Code;
use wire::{
    Reason, Transport,
    common::{Administrator, Caller, caller::Kind},
    refusal,
    token::{
        CreateScimTokenRequest, ListScimTokensRequest, ReportScimTokenUsesRequest, RevokeScimTokenRequest, ScimToken,
        ScimTokenUse, SetTokenPolicyRequest, VerifiedToken, VerifyManyRequest, VerifyRequest, VerifyResponse,
        token_service_client::TokenServiceClient,
    },
};

pub(crate) const ORG: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
pub(crate) const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
pub(crate) const NOW: i64 = 1_763_900_000_000_000;
pub(crate) const DAY: i64 = 86_400_000_000;

pub(crate) struct Tokens {
    pub(crate) database: Arc<TestDatabase>,
    pub(crate) service: Service,
    pub(crate) client: TokenServiceClient<Transport>,
    pub(crate) now: Arc<AtomicI64>,
}

pub(crate) async fn open(database: TestDatabase) -> Tokens {
    open_at(Arc::new(database), Arc::new(AtomicI64::new(NOW))).await
}

/// One more process on the same database, by the same clock.
pub(crate) async fn open_at(database: Arc<TestDatabase>, now: Arc<AtomicI64>) -> Tokens {
    let clock = Arc::clone(&now);
    let clock = Clock::from_fn(move || Instant::from_micros(clock.load(Ordering::Relaxed)));
    let config = Config { database_url: database.url().to_owned(), pool_size: 4 };
    let service = Service::open(&config, clock).await.expect("open");
    let client = TokenServiceClient::new(Transport::in_process(service.routes()));
    Tokens { database, service, client, now }
}

pub(crate) async fn both() -> [Tokens; 2] {
    [open(testkit::sqlite()).await, open(testkit::postgres()).await]
}

pub(crate) fn administrator() -> Option<Caller> {
    let kind = Kind::Administrator(Administrator { name: "ada".to_owned() });
    Some(Caller { kind: Some(kind), request_id: "req-1".to_owned() })
}

pub(crate) fn new() -> CreateScimTokenRequest {
    CreateScimTokenRequest {
        organization_id: ORG.to_owned(),
        caller: administrator(),
        description: "Okta".to_owned(),
        ..CreateScimTokenRequest::default()
    }
}

impl Tokens {
    pub(crate) async fn create(&mut self, org: &str, ttl_days: Option<u32>) -> (ScimToken, String) {
        let request = CreateScimTokenRequest { organization_id: org.to_owned(), ttl_days, ..new() };
        let answer = self.client.create_scim_token(request).await.expect("create").into_inner();
        (answer.token.expect("token"), answer.secret)
    }

    pub(crate) async fn verify(&mut self, secret: &str) -> Result<VerifyResponse, (Code, Reason, String)> {
        self.verify_as(secret, true).await
    }

    /// `restrictions_enforced`: what a gateway of this release says.
    pub(crate) async fn verify_as(
        &mut self,
        secret: &str,
        restrictions_enforced: bool,
    ) -> Result<VerifyResponse, (Code, Reason, String)> {
        let secret_sha256 = Sha256::digest(secret.as_bytes()).to_vec().into();
        let answer = self.client.verify(VerifyRequest { secret_sha256, restrictions_enforced }).await;
        answer.map(tonic::Response::into_inner).map_err(|status| {
            let refusal = refusal(&status);
            (status.code(), refusal.reason, refusal.message)
        })
    }

    /// The valid ones of them.
    pub(crate) async fn verify_many(&mut self, secrets: &[&str]) -> Result<Vec<(String, VerifyResponse)>, Reason> {
        let hash = |secret: &str| Sha256::digest(secret.as_bytes()).to_vec();
        let secret_sha256 = secrets.iter().map(|secret| hash(secret).into()).collect();
        let answer = self.client.verify_many(VerifyManyRequest { secret_sha256 }).await;
        let verified = answer.map_err(|status| refusal(&status).reason)?.into_inner().verified;
        let named = |VerifiedToken { secret_sha256, token }: VerifiedToken| {
            let secret = secrets.iter().find(|secret| hash(secret) == secret_sha256[..]).expect("one of them");
            ((*secret).to_owned(), token.expect("the token"))
        };
        Ok(verified.into_iter().map(named).collect())
    }

    pub(crate) async fn revoke(&mut self, org: &str, id: &str) -> Result<ScimToken, Reason> {
        let request =
            RevokeScimTokenRequest { organization_id: org.to_owned(), caller: administrator(), id: id.to_owned() };
        let answer = self.client.revoke_scim_token(request).await;
        answer.map(|answer| answer.into_inner().token.expect("token")).map_err(|status| refusal(&status).reason)
    }

    pub(crate) async fn list(&mut self, org: &str) -> Vec<ScimToken> {
        let request = ListScimTokensRequest { organization_id: org.to_owned() };
        self.client.list_scim_tokens(request).await.expect("list").into_inner().tokens
    }

    pub(crate) async fn used(&mut self, org: &str, id: &str, address: &str, user_agent: &str) {
        let used = ScimTokenUse {
            organization_id: org.to_owned(),
            token_id: id.to_owned(),
            used_at: Some(wire::to_timestamp(self.now.load(Ordering::Relaxed))),
            address: address.to_owned(),
            user_agent: user_agent.to_owned(),
        };
        self.client.report_scim_token_uses(ReportScimTokenUsesRequest { uses: vec![used] }).await.expect("reported");
    }

    pub(crate) async fn allow_never(&mut self, org: &str) {
        let request = SetTokenPolicyRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            max_ttl_days: None,
            allow_never: Some(true),
        };
        self.client.set_token_policy(request).await.expect("set");
    }

    pub(crate) fn later(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.database.direct().starts_with("sqlite:")
    }

    /// Past the service.
    pub(crate) fn execute(&self, sql: &str) {
        let url = self.database.direct();
        let done = match url.strip_prefix("sqlite:") {
            Some(path) => {
                let mut connection = SqliteConnection::establish(path).expect("open");
                connection.batch_execute("PRAGMA busy_timeout = 5000").expect("patience");
                connection.batch_execute(sql)
            }
            None => PgConnection::establish(url).expect("open").batch_execute(sql),
        };
        done.expect("executed");
    }

    /// One column of text, straight from the database.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql_types::Text)]
            text: String,
        }
        let url = self.database.direct();
        let rows: Vec<Row> = match url.strip_prefix("sqlite:") {
            Some(path) => sql_query(sql).load(&mut SqliteConnection::establish(path).expect("open")).expect("query"),
            None => sql_query(sql).load(&mut PgConnection::establish(url).expect("open")).expect("query"),
        };
        rows.into_iter().map(|row| row.text).collect()
    }
}

pub(crate) fn invalid() -> (Code, Reason, String) {
    (Code::Unauthenticated, Reason::TokenInvalid, "The token is not valid.".to_owned())
}
