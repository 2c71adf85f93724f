//! The connection assistant and the provisioning log, over requests that really came in: each mistake of a set-up is told from
//! the page alone.

use std::{sync::atomic::Ordering, time::Duration};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::Clock;
use tower::ServiceExt as _;
use wire::{
    identity::{AdminRole, SetPlanRequest, SetRequestLimitRequest, SetScimEnabledRequest},
    token::{CreateScimTokenRequest, RevokeScimTokenRequest},
};

use crate::harness::{Answer, Browser, World, administrator};

const USERS: &str = "/scim/v2/Users";
const PATIENCE: Duration = Duration::from_secs(15);

/// A server, an administrator who watches, and a provider with a token.
struct Bench {
    world: World,
    browser: Browser,
    token: String,
    token_id: String,
    page: String,
}

impl Bench {
    async fn start(provider: &str) -> Self {
        let world = World::start().await;
        let [identity, token] = world.transports.clone();
        let (ahead, system) = (std::sync::Arc::clone(&world.ahead), Clock::system());
        let now = std::sync::Arc::new(move || {
            Timestamp::from_microsecond(system.now().as_micros() + ahead.load(Ordering::Relaxed)).expect("instant")
        });
        let mut config = scim_gateway::Config::new("https://scim.example.com");
        config.refusal_pause = Duration::ZERO;
        let router = scim_gateway::router_with(config, identity, token, now, world.router.clone());
        let world = World { router, ..World::start_beside(&world) };
        let switch = SetScimEnabledRequest {
            caller: administrator(),
            organization_id: world.organization.clone(),
            enabled: true,
        };
        world.organizations.clone().set_scim_enabled(switch).await.expect("switched on");
        let mut browser = world.signed_in("ada@example.com", AdminRole::Owner).await;
        let mut bench = Self {
            browser: browser.clone(),
            world,
            token: String::new(),
            token_id: String::new(),
            page: String::new(),
        };
        (bench.token_id, bench.token) = bench.make_token(CreateScimTokenRequest::default()).await;
        browser.get("/console/scim/assistant").await.is(200).says("Start watching");
        bench.browser = browser;
        bench.watch(provider).await;
        bench
    }

    async fn watch(&mut self, provider: &str) {
        self.browser.get("/console/scim/assistant").await.is(200);
        let watching = self.browser.post("/console/scim/assistant", &[("provider", provider)]).await.is(303);
        watching.header("location").clone_into(&mut self.page);
    }

    async fn scim(&self, enabled: bool) {
        let organization_id = self.world.organization.clone();
        let request = SetScimEnabledRequest { caller: administrator(), organization_id, enabled };
        self.world.organizations.clone().set_scim_enabled(request).await.expect("set");
    }

    async fn revoke(&self) {
        let request = RevokeScimTokenRequest {
            organization_id: self.world.organization.clone(),
            caller: administrator(),
            id: self.token_id.clone(),
        };
        self.world.tokens.clone().revoke_scim_token(request).await.expect("revoked");
    }

    async fn make_token(&self, request: CreateScimTokenRequest) -> (String, String) {
        let request = CreateScimTokenRequest {
            organization_id: self.world.organization.clone(),
            caller: administrator(),
            description: "Okta".to_owned(),
            ..request
        };
        let made = self.world.tokens.clone().create_scim_token(request).await.expect("made").into_inner();
        (made.token.expect("a token").id, made.secret)
    }

    async fn send_as(
        &self,
        authorization: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "Okta SCIM Client 1.0.0");
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        request = request.header("content-type", "application/scim+json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.world.router.clone().oneshot(request.body(body).expect("request")).await.expect("infallible");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("body").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.send_as(&format!("Bearer {}", self.token), method, path, body).await
    }

    async fn get(&self, path: &str) {
        self.send(Method::GET, path, None).await;
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, Some(body)).await.1
    }

    async fn user(&self, user_name: &str) -> Value {
        self.post(USERS, json!({"userName": user_name, "active": true})).await
    }

    /// What the page shows, once it shows this.
    async fn shows(&mut self, text: &str) -> Answer {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let page = self.page.clone();
            let answer = self.browser.get(&page).await.is(200);
            if answer.body.contains(text) || tokio::time::Instant::now() > end {
                return answer.says(text);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The page has the finding, with the box it is about.
    async fn finds(&mut self, key: &str, place: &str) {
        let page = self.shows(&format!("data-finding=\"{key}\"")).await;
        let finding = page.body.split("<li data-finding=").find(|part| part.starts_with(&format!("\"{key}\"")));
        let finding = finding.expect("the finding").split("</li>").next().unwrap_or_default();
        assert!(finding.contains(place), "{place:?} is not in {finding}");
        assert!(!page.body.contains(&self.token), "the page holds a token");
    }
}

/// Each is a test: what was set up wrongly, what the provider then sends, and what the page says.
macro_rules! seeds {
    ($($name:ident: $provider:literal, $key:literal at $place:literal, |$bench:ident| $work:block)*) => {
        $(#[tokio::test]
        async fn $name() {
            let mut bench = Bench::start($provider).await;
            {
                let $bench = &mut bench;
                $work
            }
            bench.finds($key, $place).await;
        })*
    };
}

seeds! {
    nothing_has_come_in: "okta", "nothing" at "Test Connector Configuration", |_bench| {}
    base_url_without_scim_v2: "okta", "base_url" at "SCIM connector base URL", |bench| {
        bench.get("/Users?filter=userName%20eq%20%22kit%22&startIndex=1&count=100").await;
    }
    base_url_of_another_version: "entra", "base_url_version" at "Tenant URL", |bench| { bench.get("/scim/v1/Users").await; }
    base_url_with_scim_v2_twice: "okta", "base_url_twice" at "SCIM connector base URL", |bench| {
        bench.get("/scim/v2/scim/v2/Users").await;
    }
    base_url_that_ends_in_users: "jumpcloud", "base_url_endpoint" at "Base URL", |bench| { bench.get("/scim/v2/Users/Users").await; }
    base_url_alone: "onelogin", "base_url_only" at "SCIM Base URL", |bench| { bench.get("/scim/v2").await; }
    base_url_alone_with_a_slash: "onelogin", "base_url_only" at "/Users and /Groups", |bench| { bench.get("/scim/v2/").await; }
    an_endpoint_that_there_is_not: "okta", "not_found" at "There are /Users and /Groups", |bench| { bench.get("/scim/v2/Roles").await; }
    nothing_can_be_let_in: "okta", "no_token" at "no OAuth client", |bench| { bench.revoke().await; }
    endpoint_in_small_letters: "pingone", "base_url_case" at "SCIM base URL", |bench| { bench.get("/scim/v2/users").await; }
    bearer_typed_twice: "okta", "bearer_twice" at "Authorization", |bench| {
        bench.send_as(&format!("Bearer Bearer {}", bench.token), Method::GET, USERS, None).await;
    }
    token_without_bearer: "onelogin", "no_bearer" at "SCIM Bearer Token", |bench| {
        bench.send_as(&bench.token.clone(), Method::GET, USERS, None).await;
    }
    basic_authentication: "okta", "basic" at "Authorization", |bench| {
        let pair = STANDARD.encode(format!("okta:{}", bench.token));
        bench.send_as(&format!("Basic {pair}"), Method::GET, USERS, None).await;
    }
    token_in_quotes: "jumpcloud", "malformed_token" at "Token Key", |bench| {
        bench.send_as(&format!("Bearer \"{}\"", bench.token), Method::GET, USERS, None).await;
    }
    token_that_was_revoked: "okta", "token_revoked" at "Authorization", |bench| {
        bench.revoke().await;
        bench.get(USERS).await;
    }
    token_that_has_expired: "entra", "token_expired" at "Secret Token", |bench| {
        let request = CreateScimTokenRequest { ttl_days: Some(1), ..CreateScimTokenRequest::default() };
        let (_, short) = bench.make_token(request).await;
        // The session is as young as it was.
        bench.world.later(25 * 60 * 60 * 1_000_000);
        bench.browser = bench.world.signed_in("eve@example.com", AdminRole::Owner).await;
        bench.watch("entra").await;
        bench.send_as(&format!("Bearer {short}"), Method::GET, USERS, None).await;
    }
    token_for_another_network: "okta", "token_network" at "Authorization", |bench| {
        let request =
            CreateScimTokenRequest { allowed_cidrs: vec!["192.0.2.0/24".to_owned()], ..CreateScimTokenRequest::default() };
        let (_, narrow) = bench.make_token(request).await;
        bench.send_as(&format!("Bearer {narrow}"), Method::GET, USERS, None).await;
    }
    token_without_the_scope: "okta", "scope" at "Authorization", |bench| {
        let request = CreateScimTokenRequest { scopes: vec!["users:read".to_owned()], ..CreateScimTokenRequest::default() };
        let (_, narrow) = bench.make_token(request).await;
        bench.send_as(&format!("Bearer {narrow}"), Method::POST, USERS, Some(json!({"userName": "kit@example.com"}))).await;
    }
    scim_is_switched_off: "okta", "scim_off" at "SCIM Configuration", |bench| {
        bench.scim(false).await;
        bench.get(USERS).await;
    }
    plan_without_scim: "okta", "plan" at "plan", |bench| {
        let request = SetPlanRequest {
            caller: administrator(), organization_id: bench.world.organization.clone(), plan: "free".to_owned(),
            ..SetPlanRequest::default()
        };
        bench.world.organizations.clone().set_plan(request).await.expect("set");
        bench.user("kit@example.com").await;
    }
    too_many_requests: "okta", "rate_limit" at "whoever runs Rollcall", |bench| {
        let request = SetRequestLimitRequest {
            caller: administrator(), organization_id: bench.world.organization.clone(), requests_per_second: Some(1),
        };
        bench.world.organizations.clone().set_request_limit(request).await.expect("set");
        futures::future::join_all((0..250).map(|_| bench.get(USERS))).await;
    }
    wrong_unique_identifier: "okta", "invalidFilter" at "Unique identifier field for users", |bench| {
        bench.get("/scim/v2/Users?filter=login%20eq%20%22kit%22").await;
    }
    mapping_to_an_unknown_attribute: "entra", "invalidPath" at "Attribute mapping", |bench| {
        let user = bench.user("kit@example.com").await;
        let path = format!("{USERS}/{}", user["id"].as_str().expect("an id"));
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "shoeSize", "value": "43"}]});
        bench.send(Method::PATCH, &path, Some(body)).await;
    }
    mapping_without_user_name: "onelogin", "invalidValue" at "SCIM JSON Template", |bench| {
        bench.post(USERS, json!({"name": {"givenName": "Kit"}})).await;
    }
    mapping_that_is_ignored: "okta", "unchanged" at "Attribute Mappings", |bench| {
        let user = bench.user("kit@example.com").await;
        let path = format!("{USERS}/{}", user["id"].as_str().expect("an id"));
        bench.send(Method::PUT, &path, Some(json!({"userName": "kit@example.com", "active": true, "shoeSize": 43}))).await;
    }
    mapping_to_a_read_only_attribute: "entra", "mutability" at "Attribute mapping", |bench| {
        let user = bench.user("kit@example.com").await;
        let path = format!("{USERS}/{}", user["id"].as_str().expect("an id"));
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "id", "value": "43"}]});
        bench.send(Method::PATCH, &path, Some(body)).await;
    }
    body_that_is_no_json: "onelogin", "invalidSyntax" at "SCIM JSON Template", |bench| {
        bench.post(USERS, json!("userName=kit")).await;
    }
    user_name_that_is_taken: "okta", "uniqueness" at "Unique identifier field for users", |bench| {
        bench.user("kit@example.com").await;
        bench.user("KIT@example.com").await;
    }
    somebody_who_is_not_here: "okta", "not_found" at "Assignments", |bench| {
        bench.send(Method::PUT, &format!("{USERS}/01a219ef-766f-789b-8b50-cb76619bc82c"), Some(json!({"userName": "kit"}))).await;
    }
    group_with_members_who_are_not: "okta", "invalidValue" at "Assignments", |bench| {
        let members = json!([{"value": "01a219ef-766f-789b-8b50-cb76619bc82c"}]);
        bench.post("/scim/v2/Groups", json!({"displayName": "Toys", "members": members})).await;
    }
    group_name_that_is_taken: "okta", "uniqueness" at "Push Groups", |bench| {
        bench.post("/scim/v2/Groups", json!({"displayName": "Toys"})).await;
        bench.post("/scim/v2/Groups", json!({"displayName": "Toys"})).await;
    }
    nobody_is_assigned: "okta", "reads_only" at "Assignments", |bench| {
        bench.get("/scim/v2/Users?filter=userName%20eq%20%22kit%22&startIndex=1&count=100").await;
    }
    push_groups_is_missing: "okta", "no_groups" at "Push Groups", |bench| { bench.user("kit@example.com").await; }
    groups_without_their_people: "okta", "groups_only" at "Assignments", |bench| {
        bench.post("/scim/v2/Groups", json!({"displayName": "Toys"})).await;
    }
    an_app_that_only_puts: "okta", "put_only" at "App Integration Wizard", |bench| {
        let user = bench.user("kit@example.com").await;
        let path = format!("{USERS}/{}", user["id"].as_str().expect("an id"));
        bench.send(Method::PUT, &path, Some(json!({"userName": "kit@example.com", "displayName": "Kit", "active": true}))).await;
    }
    user_names_that_are_no_addresses: "okta", "user_name" at "Unique identifier field for users", |bench| {
        bench.user("kit").await;
    }
}

#[tokio::test]
async fn what_is_put_right_is_not_said_any_more_and_all_is_well_in_the_end() {
    let mut bench = Bench::start("okta").await;
    bench.send_as(&format!("Bearer Bearer {}", bench.token), Method::GET, USERS, None).await;
    bench.finds("bearer_twice", "Authorization").await;
    bench.user("kit@example.com").await;
    bench.post("/scim/v2/Groups", json!({"displayName": "Toys"})).await;
    bench.finds("works", "Okta").await;
    let page = bench.shows("kit@example.com").await;
    assert!(!page.body.contains("data-finding=\"bearer_twice\""), "{}", page.body);
}

#[tokio::test]
async fn a_group_that_waited_for_its_people_and_a_switch_that_was_off_are_said_no_more() {
    let mut bench = Bench::start("okta").await;
    let unknown = json!([{"value": "01a219ef-766f-789b-8b50-cb76619bc82c"}]);
    bench.post("/scim/v2/Groups", json!({"displayName": "Toys", "members": unknown})).await;
    bench.finds("invalidValue", "Assignments").await;
    let user = bench.user("kit@example.com").await;
    bench.post("/scim/v2/Groups", json!({"displayName": "Toys", "members": [{"value": user["id"]}]})).await;
    bench.scim(false).await;
    bench.get(USERS).await;
    bench.finds("scim_off", "SCIM Configuration").await;
    bench.scim(true).await;
    let page = bench.shows("data-finding=\"works\"").await;
    assert!(!page.body.contains("invalidValue\"") && !page.body.contains("scim_off\""), "{}", page.body);
}

#[tokio::test]
async fn mistakes_with_people_and_with_groups_stand_beside_each_other() {
    let mut bench = Bench::start("okta").await;
    bench.post(USERS, json!({"userName": "", "name": {"givenName": "Kit"}})).await;
    let unknown = json!([{"value": "01a219ef-766f-789b-8b50-cb76619bc82c"}]);
    bench.post("/scim/v2/Groups", json!({"displayName": "Toys", "members": unknown})).await;
    bench.shows("A group has members that are not here yet").await.says("A value cannot be taken");
}

#[tokio::test]
async fn watching_ends_and_says_so_also_for_an_address_of_yesterday() {
    let mut bench = Bench::start("okta").await;
    let page = bench.shows("Watching until").await.says("data-events=");
    assert!(!page.body.contains("Watching ended"), "{}", page.body);
    bench.get(USERS).await;
    bench.finds("reads_only", "Assignments").await;
    // Sessions end within it, too.
    for (later, email) in [(16, "eve@example.com"), (24 * 60, "bob@example.com")] {
        bench.world.later(later * 60 * 1_000_000);
        bench.browser = bench.world.signed_in(email, AdminRole::Owner).await;
        bench.get("/scim/v2/Users?count=1").await;
        let page = bench.shows("Watching ended at").await.says("Start again").says("data-finding=\"reads_only\"");
        assert!(!page.body.contains("data-events=") && !page.body.contains("Nothing has come in"), "{}", page.body);
        assert!(!page.body.contains("count=1"), "what comes later is not of it: {}", page.body);
    }
    let events = bench.page.replace("/assistant?", "/assistant/events?");
    let cookies: Vec<_> = bench.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = Request::get(&events).header("cookie", cookies.join("; ")).body(Body::empty()).expect("request");
    let answer = bench.world.router.clone().oneshot(request).await.expect("infallible");
    let frame = answer.into_body().frame().await.expect("more").expect("whole");
    assert!(
        String::from_utf8_lossy(frame.data_ref().expect("data")).contains(" data-over>"),
        "the browser asks no more"
    );
}

#[tokio::test]
async fn a_viewer_sees_what_an_admin_watches() {
    let bench = Bench::start("okta").await;
    bench.user("kit@example.com").await;
    let mut viewer = bench.world.signed_in("vic@example.com", AdminRole::Viewer).await;
    viewer.get("/console/scim/assistant").await.is(200).says("Watching until").says("data-events=");
    bench.world.later(16 * 60 * 1_000_000);
    let mut viewer = bench.world.signed_in("vic@example.com", AdminRole::Viewer).await;
    let page = viewer.get("/console/scim/assistant").await.is(200).says("Nobody watches just now");
    assert!(!page.body.contains("data-events="), "{}", page.body);
}

#[tokio::test]
async fn the_page_is_told_of_what_arrives_as_it_does() {
    let mut bench = Bench::start("okta").await;
    bench.user("kit@example.com").await;
    bench.shows("kit@example.com").await;
    let events = bench.page.replace("/assistant?", "/assistant/events?");
    let cookies: Vec<_> = bench.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = Request::get(&events).header("cookie", cookies.join("; ")).body(Body::empty()).expect("request");
    let answer = bench.world.router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(
        (answer.status(), &answer.headers()["content-type"]),
        (StatusCode::OK, &"text/event-stream".parse().expect("value"))
    );
    let mut body = answer.into_body();
    let mut told = String::new();
    let mut next = async |what: &str| {
        while !told.contains(what) {
            let frame =
                tokio::time::timeout(PATIENCE, body.frame()).await.expect("in time").expect("more").expect("whole");
            told.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("UTF-8"));
        }
    };
    next("kit@example.com").await;
    bench.user("robin@example.com").await;
    next("robin@example.com").await;
    // Whoever is not signed in is told nothing.
    let request = Request::get(&events).body(Body::empty()).expect("request");
    let answer = bench.world.router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_request_is_found_again_with_what_was_asked_understood_and_changed() {
    let mut bench = Bench::start("okta").await;
    let user = bench.user("kit@example.com").await;
    let id = user["id"].as_str().expect("an id").to_owned();
    let path = format!("{USERS}/{id}");
    let put =
        json!({"userName": "kit@example.com", "displayName": "Kit", "active": true, "password": "hunter2hunter2"});
    assert_eq!(bench.send(Method::PUT, &path, Some(put.clone())).await.0, 200);
    assert_eq!(bench.send(Method::PUT, &path, Some(put)).await.0, 200);
    bench.page = "/console/log".to_owned();
    bench.shows("changed nothing").await.says("kit@example.com");

    let entry = |body: &str, mark: &str| {
        let row = body.split("<tr>").find(|row| row.contains(mark)).expect("the row").to_owned();
        let link = row.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
        link.to_owned()
    };
    let no_op = bench.browser.get("/console/log?outcome=unchanged").await.is(200);
    let shown = bench.browser.get(&entry(&no_op.body, "changed nothing")).await.is(200);
    let shown =
        shown.says("userName = ").says("(not kept)").says("id=\"no-change\"").says("the SCIM token &#34;Okta&#34;");
    assert!(!shown.body.contains("hunter2"), "{}", shown.body);
    let changed = bench.browser.get("/console/log?outcome=changed&q=kit").await.is(200);
    let put = entry(&changed.body, ">PUT ").clone();
    let shown = bench.browser.get(&put).await.is(200).says("What changed").says("Okta SCIM Client 1.0.0");
    // In the words of the user's history.
    let shown = shown.says("<b>Changed</b>").says("<dt>displayName</dt><dd><span class=\"after\">Kit</span></dd>");
    assert!(!shown.body.contains("schemas") && !shown.body.contains("version"), "{}", shown.body);
    bench.browser.get(&format!("/console/users/{id}")).await.is(200).says(&format!("/console/log?subject={id}"));

    let none = bench.browser.get("/console/log?q=robin").await.is(200);
    none.says("id=\"no-request\"");
    bench.browser.get(&format!("/console/log?subject={id}")).await.is(200).says("Only what is about one user");
    let export = bench.browser.get("/console/log/export").await.is(200);
    let lines: Vec<Value> = export.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().filter(|line| line["outcome"] == "unchanged").count(), 1, "{}", export.body);
    assert!(lines.iter().all(|line| line["outcome"] != "read") && !export.body.contains("hunter2"));
    for line in &lines {
        let changes = line["changes"].as_array().expect("a list");
        assert_eq!(changes.is_empty(), line["outcome"] != "changed", "{line}");
    }
    let changed = lines.iter().find(|line| line["method"] == "PUT" && line["outcome"] == "changed").expect("changed");
    assert_eq!(changed["changes"][0]["type"], "user.updated", "{changed}");
    assert_eq!(changed["changes"][0]["delta"]["after"]["displayName"], "Kit", "{changed}");

    // Another organization sees none of it.
    let other = bench.world.enroll("globex", "Globex", "enterprise").await;
    let mut stranger = bench.world.signed_in_to(&other, "eve@example.com", AdminRole::Owner).await;
    stranger.get("/console/log").await.is(200).says("Nothing here");
    stranger.get(&put).await.is(404);
}

#[tokio::test]
async fn an_entry_shows_its_own_changes_whatever_its_client_calls_it() {
    let mut bench = Bench::start("okta").await;
    let user = bench.user("kit@example.com").await;
    let path = format!("{USERS}/{}", user["id"].as_str().expect("an id"));
    for name in ["First name", "Second name"] {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "displayName", "value": name}]});
        let request = Request::builder().method(Method::PATCH).uri(&path).header("x-request-id", "always-the-same");
        let request = request.header("authorization", format!("Bearer {}", bench.token));
        let request = request.header("content-type", "application/scim+json").body(Body::from(body.to_string()));
        let answer = bench.world.router.clone().oneshot(request.expect("request")).await.expect("infallible");
        assert_eq!(answer.status(), 200);
    }
    bench.page = "/console/log?outcome=changed".to_owned();
    let end = tokio::time::Instant::now() + PATIENCE;
    let entries = loop {
        let page = bench.shows(">PATCH ").await.body;
        let rows = page.split("<tr>").filter(|row| row.contains(">PATCH "));
        let link = |row: &str| row.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
        let entries: Vec<String> = rows.filter_map(link).collect();
        if entries.len() == 2 || tokio::time::Instant::now() > end {
            break entries;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let mut with_second = Vec::new();
    for entry in &entries {
        let shown = bench.browser.get(entry).await.is(200).says("First name");
        with_second.push(shown.body.contains("Second name"));
    }
    assert_eq!(with_second, [true, false], "the newest first");
}

#[tokio::test]
async fn what_was_deleted_has_its_name_and_what_was_taken_in_part_says_so() {
    let mut bench = Bench::start("okta").await;
    let user = bench.user("kit@example.com").await;
    let path = format!("{USERS}/{}", user["id"].as_str().expect("an id"));
    let put = json!({"userName": "kit@example.com", "title": "Captain", "active": true, "shoeSize": 43});
    assert_eq!(bench.send(Method::PUT, &path, Some(put)).await.0, 200);
    let group = bench.post("/scim/v2/Groups", json!({"displayName": "Toys"})).await;
    let group = format!("/scim/v2/Groups/{}", group["id"].as_str().expect("an id"));
    let unknown = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "shoeSize", "value": "43"}]});
    assert_eq!(bench.send(Method::PATCH, &group, Some(unknown)).await.0, 400);
    assert_eq!(bench.send(Method::DELETE, &group, None).await.0, 204);
    assert_eq!(bench.send(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(bench.send(Method::GET, "/scim/v2/Me", None).await.0, 501);
    bench.page = "/console/log".to_owned();
    let listed = bench.shows("GET /scim/v2/Me").await;
    let row = |mark: &str| {
        let rows: Vec<&str> = listed.body.split("<tr>").filter(|row| row.contains(mark)).collect();
        assert_eq!(rows.len(), 1, "{mark}: {}", listed.body);
        rows[0].to_owned()
    };
    assert!(row("DELETE /scim/v2/Users").contains("kit@example.com"));
    assert!(row("DELETE /scim/v2/Groups").contains(">Toys<"));
    assert!(row("PATCH /scim/v2/Groups").contains(">Toys<"));
    assert!(row("GET /scim/v2/Me").contains(">refused<"));
    let part = row("PUT /scim/v2/Users");
    assert!(part.contains(">changed in part<") && part.contains("shoeSize"), "{part}");
    // Once, though its event says it as well.
    let link = part.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
    let shown = bench.browser.get(link).await.is(200);
    assert_eq!(shown.body.matches("<code>shoeSize</code>").count(), 1, "{}", shown.body);
    // By whom it is about, and when.
    let rows = async |bench: &mut Bench, query: &str| {
        bench.browser.get(&format!("/console/log?{query}")).await.is(200).body.matches("<tr>").count().saturating_sub(1)
    };
    let id = user["id"].as_str().expect("an id");
    for (query, found) in [
        ("user=KIT%40example.com", 3),
        (&*format!("user={id}"), 3),
        ("group=toys", 3),
        ("group=kit%40example.com", 0),
        ("user=kit%40example.com&outcome=changed&q=delete", 1),
        ("user=kit%40example.com&from=2020-01-01", 3),
        ("user=kit%40example.com&until=2020-01-01", 0),
        ("from=2020-01-01&until=2020-12-31", 0),
        ("q=501+get", 1),
    ] {
        assert_eq!(rows(&mut bench, query).await, found, "{query}");
    }
    let page = bench.browser.get("/console/log?user=kit%40example.com&from=2020-01-01").await.is(200);
    page.says("name=\"user\" maxlength=\"500\"").says("value=\"kit@example.com\"").says("value=\"2020-01-01\"");
    for (query, said) in [
        ("user=kit&group=toys", "not for both at once"),
        ("from=yesterday", "A day is written as"),
        ("until=2020-13-01", "A day is written as"),
        ("from=2026-11-27&until=2026-11-26", "From is a day after Until"),
    ] {
        bench.browser.get(&format!("/console/log?{query}")).await.is(422).says(said);
        bench.browser.get(&format!("/console/log/export?{query}")).await.is(422);
    }
    let lost = bench.browser.get("/console/log?page=2").await.is(404).says("There is no such page");
    assert!(!lost.body.contains("page_token"), "{}", lost.body);
}

#[tokio::test]
async fn how_long_it_is_kept_is_an_admins_to_say() {
    let mut bench = Bench::start("okta").await;
    bench.browser.get("/console/log").await.is(200).says("value=\"30\"");
    bench.browser.post("/console/log/retention", &[("retention_days", "7")]).await.is(303);
    bench.browser.get("/console/log").await.is(200).says("value=\"7\"");
    for wrong in ["0", "366", "-1", "many", ""] {
        bench.browser.post("/console/log/retention", &[("retention_days", wrong)]).await.is(422).says("365");
    }
    let mut viewer = bench.world.signed_in("vic@example.com", AdminRole::Viewer).await;
    viewer.get("/console/scim/assistant").await.is(200).says("You are a viewer");
    viewer.post("/console/log/retention", &[("retention_days", "9")]).await.is(403);
    viewer.post("/console/scim/assistant", &[("provider", "okta")]).await.is(403);
}
