//! A whole server in this process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use scim_gateway::Config;
use serde_json::{Value, json};
use testkit::TestDatabase;
use tower::ServiceExt as _;
use wire::{
    Transport,
    common::{Administrator, Caller, caller::Kind},
    identity::{
        AddSchemaRequest, CreateOrganizationRequest, SetPlanRequest, SetRequestLimitRequest, SetScimEnabledRequest,
        account_service_client::AccountServiceClient, console_service_client::ConsoleServiceClient,
        identity_service_client::IdentityServiceClient, organization_service_client::OrganizationServiceClient,
        provisioning_log_service_client::ProvisioningLogServiceClient,
    },
    token::{
        CreateScimTokenRequest, CreateScimTokenResponse, RevokeScimTokenRequest,
        o_auth_service_client::OAuthServiceClient, token_service_client::TokenServiceClient,
    },
};

pub(crate) const SCIM_JSON: &str = "application/scim+json";
pub(crate) const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
pub(crate) const BASE: &str = "https://scim.example.com/scim/v2";

pub(crate) struct Server {
    router: Router,
    pub(crate) organizations: OrganizationServiceClient<Transport>,
    pub(crate) tokens: TokenServiceClient<Transport>,
    pub(crate) oauth: OAuthServiceClient<Transport>,
    pub(crate) identity: IdentityServiceClient<Transport>,
    pub(crate) console: ConsoleServiceClient<Transport>,
    pub(crate) accounts: AccountServiceClient<Transport>,
    pub(crate) log: ProvisioningLogServiceClient<Transport>,
    /// To identity-service and to token-service.
    pub(crate) transports: [Transport; 2],
    /// Microseconds by which the gateway's clock is ahead.
    pub(crate) ahead: Arc<AtomicI64>,
    pub(crate) organization: String,
    pub(crate) token: String,
    pub(crate) token_id: String,
    pub(crate) databases: Arc<[TestDatabase; 2]>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// A SCIM error as RFC 7644 section 3.12 wants it, with a detail that has `hint` in it.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, scim_type: Option<&str>, hint: &str) -> Self {
        let answer = self.is(status);
        let body = answer.json();
        assert_eq!(answer.header("content-type"), SCIM_JSON);
        assert!(!answer.header("x-request-id").is_empty());
        assert_eq!(body["schemas"], json!([ERROR]));
        assert_eq!(body["status"], status.to_string());
        assert_eq!(body.get("scimType").and_then(Value::as_str), scim_type, "{body}");
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(hint), "{detail:?} does not say {hint:?}");
        answer
    }
}

pub(crate) fn administrator() -> Option<Caller> {
    let kind = Kind::Administrator(Administrator { name: "test".to_owned() });
    Some(Caller { kind: Some(kind), request_id: String::new() })
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut server = Self::open(Arc::new([testkit::sqlite(), testkit::sqlite()]), configure).await;
        server.enroll("acme").await;
        server
    }

    /// A server on these databases without an organization of its own.
    pub(crate) async fn open(databases: Arc<[TestDatabase; 2]>, configure: impl FnOnce(&mut Config)) -> Self {
        let urls = [databases[0].url().to_owned(), databases[1].url().to_owned()];
        Self::open_at(databases, urls, configure).await
    }

    /// The same by other URLs of them.
    pub(crate) async fn open_at(
        databases: Arc<[TestDatabase; 2]>,
        urls: [String; 2],
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let [identity_url, token_url] = urls;
        let clock = store::Clock::system();
        let set_up = identity_service::new_opaque_set_up(&identity_service::Random::system());
        let config = identity_service::Config {
            database_url: identity_url,
            pool_size: 4,
            sealing_key: Arc::new(|| Ok([7; 32])),
            opaque_set_ups: Arc::new(move || Ok(vec![set_up.clone()])),
            mailing: None,
        };
        let identity = identity_service::Service::open(&config, clock.clone()).await.expect("identity-service");
        let config = token_service::Config { database_url: token_url, pool_size: 4 };
        let token = token_service::Service::open(&config, clock.clone()).await.expect("token-service");
        let identity = Transport::in_process(identity.routes().prepare());
        let token = Transport::in_process(token.routes().prepare());

        let ahead = Arc::new(AtomicI64::new(0));
        let offset = Arc::clone(&ahead);
        let now = Arc::new(move || {
            let micros = clock.now().as_micros() + offset.load(Ordering::Relaxed);
            Timestamp::from_microsecond(micros).expect("instant")
        });
        let mut config = Config {
            default_requests_per_second: 0,
            refusal_pause: Duration::ZERO,
            ..Config::new("https://scim.example.com/")
        };
        configure(&mut config);
        let router = scim_gateway::router(config, identity.clone(), token.clone(), now);

        Self {
            router,
            organizations: OrganizationServiceClient::new(identity.clone()),
            identity: IdentityServiceClient::new(identity.clone()),
            console: ConsoleServiceClient::new(identity.clone()),
            accounts: AccountServiceClient::new(identity.clone()),
            log: ProvisioningLogServiceClient::new(identity.clone()),
            tokens: TokenServiceClient::new(token.clone()),
            oauth: OAuthServiceClient::new(token.clone()),
            transports: [identity, token],
            ahead,
            organization: String::new(),
            token: String::new(),
            token_id: String::new(),
            databases,
        }
    }

    /// One more gateway before the same services, which reaches token-service by this transport.
    pub(crate) fn beside(&self, token: Transport) -> Self {
        let config = Config { default_requests_per_second: 0, ..Config::new("https://scim.example.com/") };
        let clock = store::Clock::system();
        let now = Arc::new(move || Timestamp::from_microsecond(clock.now().as_micros()).expect("instant"));
        Self {
            router: scim_gateway::router(config, self.transports[0].clone(), token, now),
            identity: self.identity.clone(),
            console: self.console.clone(),
            accounts: self.accounts.clone(),
            log: self.log.clone(),
            organizations: self.organizations.clone(),
            tokens: self.tokens.clone(),
            oauth: self.oauth.clone(),
            transports: self.transports.clone(),
            ahead: Arc::clone(&self.ahead),
            organization: self.organization.clone(),
            token: self.token.clone(),
            token_id: self.token_id.clone(),
            databases: Arc::clone(&self.databases),
        }
    }

    /// A new organization, for which it speaks from here on.
    pub(crate) async fn enroll(&mut self, slug: &str) {
        self.organization = self.organization(slug).await;
        let created = self.token(&self.organization, None).await;
        self.token = created.secret;
        self.token_id = created.token.expect("token").id;
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// An organization on the enterprise plan with SCIM switched on.
    pub(crate) async fn organization(&self, slug: &str) -> String {
        let request = CreateOrganizationRequest {
            caller: administrator(),
            slug: slug.to_owned(),
            name: slug.to_owned(),
            plan: "enterprise".to_owned(),
        };
        let organization = self.organizations.clone().create_organization(request).await.expect("created").into_inner();
        self.switch(&organization.id, true).await;
        organization.id
    }

    /// An organization on the free plan, as they begin.
    pub(crate) async fn organization_without_scim(&self, slug: &str) {
        let (slug, name) = (slug.to_owned(), slug.to_owned());
        let request = CreateOrganizationRequest { caller: administrator(), slug, name, plan: String::new() };
        self.organizations.clone().create_organization(request).await.expect("created");
    }

    pub(crate) async fn switch(&self, organization: &str, enabled: bool) {
        let request =
            SetScimEnabledRequest { caller: administrator(), organization_id: organization.to_owned(), enabled };
        self.organizations.clone().set_scim_enabled(request).await.expect("switched");
    }

    pub(crate) async fn add_schema(&self, organization: &str, document: &Value) {
        let request = AddSchemaRequest {
            caller: administrator(),
            organization_id: organization.to_owned(),
            document_json: document.to_string().into_bytes().into(),
        };
        self.organizations.clone().add_schema(request).await.expect("added");
    }

    pub(crate) async fn plan(&self, organization: &str, plan: &str) {
        let request = SetPlanRequest {
            caller: administrator(),
            organization_id: organization.to_owned(),
            plan: plan.to_owned(),
            ..Default::default()
        };
        self.organizations.clone().set_plan(request).await.expect("plan");
    }

    /// The enterprise plan for so many users.
    pub(crate) async fn most_users(&self, organization: &str, max_users: u64) {
        let request = SetPlanRequest {
            caller: administrator(),
            organization_id: organization.to_owned(),
            plan: "enterprise".to_owned(),
            max_users: Some(max_users),
            ..Default::default()
        };
        self.organizations.clone().set_plan(request).await.expect("plan");
    }

    pub(crate) async fn limit(&self, organization: &str, requests_per_second: Option<u32>) {
        let organization_id = organization.to_owned();
        let request = SetRequestLimitRequest { caller: administrator(), organization_id, requests_per_second };
        self.organizations.clone().set_request_limit(request).await.expect("limited");
    }

    pub(crate) async fn token(&self, organization: &str, ttl_days: Option<u32>) -> CreateScimTokenResponse {
        self.token_that(CreateScimTokenRequest { ttl_days, ..self.new_token(organization) }).await
    }

    pub(crate) fn new_token(&self, organization: &str) -> CreateScimTokenRequest {
        CreateScimTokenRequest {
            organization_id: organization.to_owned(),
            caller: administrator(),
            description: "test".to_owned(),
            ..CreateScimTokenRequest::default()
        }
    }

    pub(crate) async fn token_that(&self, request: CreateScimTokenRequest) -> CreateScimTokenResponse {
        self.tokens.clone().create_scim_token(request).await.expect("token").into_inner()
    }

    pub(crate) async fn revoke(&self, organization: &str, id: &str) {
        let request = RevokeScimTokenRequest {
            organization_id: organization.to_owned(),
            caller: administrator(),
            id: id.to_owned(),
        };
        self.tokens.clone().revoke_scim_token(request).await.expect("revoked");
    }

    /// Any request; `path` is below the SCIM base URL where it does not start with `//`, which is the server's root.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let uri = path
            .strip_prefix('/')
            .filter(|rest| rest.starts_with('/'))
            .map_or(format!("/scim/v2{path}"), str::to_owned);
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).expect("method")).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("request");
        let answer = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A request with a token and more headers; a string as body is sent as it is.
    pub(crate) async fn send(&self, method: &str, path: &str, more: &[(&str, &str)], body: Option<&str>) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        if body.is_some() && !more.iter().any(|(name, _)| *name == header::CONTENT_TYPE.as_str()) {
            headers.push(("content-type", "application/scim+json; charset=utf-8"));
        }
        headers.extend_from_slice(more);
        self.raw(method, path, &headers, body.map(str::to_owned).unwrap_or_default()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], Some(&body.to_string())).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], Some(&body.to_string())).await
    }

    pub(crate) async fn patch(&self, path: &str, operations: &Value) -> Answer {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        self.send("PATCH", path, &[], Some(&body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None).await
    }

    /// A new user's id.
    pub(crate) async fn user(&self, user_name: &str) -> String {
        self.user_named(user_name.to_owned()).await
    }

    pub(crate) async fn user_named(&self, user_name: String) -> String {
        let body = json!({"schemas": [scim::schema::USER], "userName": user_name});
        text(&self.post("/Users", &body).await.is(201).json()["id"])
    }

    /// A new group's id.
    pub(crate) async fn group(&self, display_name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let body = json!({"schemas": [scim::schema::GROUP], "displayName": display_name, "members": members});
        text(&self.post("/Groups", &body).await.is(201).json()["id"])
    }
}

#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}
