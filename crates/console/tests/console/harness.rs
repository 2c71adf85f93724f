//! A server, and browsers: they keep cookies, and send forms as browsers do.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::{Router, body::Body};
use console::Config;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use store::{Clock, Instant};
use testkit::TestDatabase;
use tower::ServiceExt as _;
use wire::{
    Transport,
    common::{Administrator, Caller, caller::Kind},
    identity::{
        AdminRole, CreateAdminInviteRequest, CreateOrganizationRequest, console_service_client::ConsoleServiceClient,
        identity_service_client::IdentityServiceClient, organization_service_client::OrganizationServiceClient,
    },
    token::{o_auth_service_client::OAuthServiceClient, token_service_client::TokenServiceClient},
};

pub(crate) const ORIGIN: &str = "https://scim.example.com";
pub(crate) const MINUTE: i64 = 60 * 1_000_000;

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) admins: ConsoleServiceClient<Transport>,
    pub(crate) organizations: OrganizationServiceClient<Transport>,
    pub(crate) identity: IdentityServiceClient<Transport>,
    pub(crate) tokens: TokenServiceClient<Transport>,
    pub(crate) oauth: OAuthServiceClient<Transport>,
    pub(crate) organization: String,
    /// To identity-service and to token-service.
    pub(crate) transports: [Transport; 2],
    pub(crate) ahead: Arc<AtomicI64>,
    /// Kept as long as the services.
    pub(crate) databases: Arc<[TestDatabase; 2]>,
}

pub(crate) fn administrator() -> Option<Caller> {
    let kind = Kind::Administrator(Administrator { name: "test".to_owned() });
    Some(Caller { kind: Some(kind), request_id: String::new() })
}

impl World {
    /// With an organization `acme`.
    pub(crate) async fn start() -> Self {
        Self::at(ORIGIN).await
    }

    pub(crate) async fn at(public_url: &str) -> Self {
        let databases = [testkit::sqlite(), testkit::sqlite()];
        let ahead = Arc::new(AtomicI64::new(0));
        let (offset, system) = (Arc::clone(&ahead), Clock::system());
        let clock =
            Clock::from_fn(move || Instant::from_micros(system.now().as_micros() + offset.load(Ordering::Relaxed)));
        let set_up = identity_service::new_opaque_set_up(&identity_service::Random::system());
        let config = identity_service::Config {
            database_url: databases[0].url().to_owned(),
            pool_size: 4,
            sealing_key: Arc::new(|| Ok([7; 32])),
            opaque_set_ups: Arc::new(move || Ok(vec![set_up.clone()])),
            mailing: None,
        };
        let identity = identity_service::Service::open(&config, clock.clone()).await.expect("identity-service");
        let config = token_service::Config { database_url: databases[1].url().to_owned(), pool_size: 4 };
        let token = token_service::Service::open(&config, clock.clone()).await.expect("token-service");
        let identity = Transport::in_process(identity.routes().prepare());
        let token = Transport::in_process(token.routes().prepare());
        let now = Arc::new(move || Timestamp::from_microsecond(clock.now().as_micros()).expect("instant"));
        let random = Arc::new(|bytes: &mut [u8; 32]| getrandom::fill(bytes).expect("randomness"));
        let router = console::router(Config::new(public_url), identity.clone(), token.clone(), now, random);
        let transports = [identity.clone(), token.clone()];
        let mut world = Self {
            router,
            admins: ConsoleServiceClient::new(identity.clone()),
            organizations: OrganizationServiceClient::new(identity.clone()),
            identity: IdentityServiceClient::new(identity),
            tokens: TokenServiceClient::new(token.clone()),
            oauth: OAuthServiceClient::new(token),
            organization: String::new(),
            transports,
            ahead,
            databases: Arc::new(databases),
        };
        world.organization = world.enroll("acme", "Acme", "enterprise").await;
        world
    }

    /// The same services.
    pub(crate) fn start_beside(world: &Self) -> Self {
        Self {
            router: world.router.clone(),
            admins: world.admins.clone(),
            organizations: world.organizations.clone(),
            identity: world.identity.clone(),
            tokens: world.tokens.clone(),
            oauth: world.oauth.clone(),
            organization: world.organization.clone(),
            transports: world.transports.clone(),
            ahead: Arc::clone(&world.ahead),
            databases: Arc::clone(&world.databases),
        }
    }

    pub(crate) fn later(&self, micros: i64) {
        self.ahead.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) async fn enroll(&self, slug: &str, name: &str, plan: &str) -> String {
        let request = CreateOrganizationRequest {
            caller: administrator(),
            slug: slug.to_owned(),
            name: name.to_owned(),
            plan: plan.to_owned(),
        };
        self.organizations.clone().create_organization(request).await.expect("created").into_inner().id
    }

    /// An invitation's secret.
    pub(crate) async fn invitation(&self, organization: &str, email: &str, role: AdminRole) -> String {
        let request = CreateAdminInviteRequest {
            organization_id: organization.to_owned(),
            caller: administrator(),
            email: email.to_owned(),
            role: role.into(),
            ttl_hours: None,
        };
        self.admins.clone().create_admin_invite(request).await.expect("invited").into_inner().secret
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser {
            router: self.router.clone(),
            cookies: BTreeMap::new(),
            page: String::new(),
            organization: self.organization.clone(),
        }
    }

    /// A browser that has accepted an invitation.
    pub(crate) async fn signed_in(&self, email: &str, role: AdminRole) -> Browser {
        self.signed_in_to(&self.organization, email, role).await
    }

    pub(crate) async fn signed_in_to(&self, organization: &str, email: &str, role: AdminRole) -> Browser {
        let secret = self.invitation(organization, email, role).await;
        let mut browser = self.browser();
        let path = format!("/console/invite/{secret}");
        browser.get(&path).await.is(200);
        browser.post(&path, &[]).await.is(303);
        browser.get("/console").await.is(200);
        browser
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}\n{}", self.headers.get("location"), self.body);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.body.contains(text), "{text:?} is not in\n{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn goes_to(self, location: &str) -> Self {
        let answer = self.is(303);
        assert_eq!(answer.header("location"), location);
        answer
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().expect("text")).collect()
    }

    /// The value of the field with this id.
    #[track_caller]
    pub(crate) fn field(&self, id: &str) -> String {
        let tag = self.body.split('<').find(|tag| tag.contains(&format!("id=\"{id}\"")));
        let tag = tag.unwrap_or_else(|| panic!("no {id} in\n{}", self.body));
        let value = tag.split("value=\"").nth(1).and_then(|rest| rest.split('"').next());
        unescape(value.unwrap_or_else(|| panic!("{tag} has no value")))
    }
}

pub(crate) fn unescape(text: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) router: Router,
    pub(crate) cookies: BTreeMap<String, String>,
    /// The last page.
    page: String,
    /// Whose provider it comes back from.
    pub(crate) organization: String,
}

impl Browser {
    pub(crate) async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path).header("x-request-id", "req-1");
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.header("user-agent", "Mozilla/5.0 (test)").body(Body::from(body)).expect("request");
        request.extensions_mut().insert("203.0.113.7".parse::<IpAddr>().expect("address"));
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("body").to_bytes();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("UTF-8"),
        };
        for cookie in answer.cookies() {
            let (name, rest) = cookie.split_once('=').expect("cookie");
            let value = rest.split(';').next().unwrap_or_default();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if answer.status.is_success() {
            self.page.clone_from(&answer.body);
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("sec-fetch-site", "same-origin")], String::new()).await
    }

    /// What a hidden field of the last page has.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        self.page.split(&mark).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    }

    /// The fields with those that the last page hides in its form.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let (token, once) = (self.hidden("_token"), self.hidden("_once"));
        let hidden = [("_token", &*token), ("_once", &*once)];
        let body = encode(&[&hidden[..], fields].concat());
        self.send_form(path, body).await
    }

    pub(crate) async fn send_form(&mut self, path: &str, body: String) -> Answer {
        let headers = [
            ("sec-fetch-site", "same-origin"),
            ("origin", "null"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.send(Method::POST, path, &headers, body).await
    }
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
