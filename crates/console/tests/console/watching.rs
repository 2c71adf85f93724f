//! What goes on for long, or by itself: pages that watch, and exports. How many there may be, whom they keep signed in, and when they
//! end.

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use wire::identity::{
    AdminRole, LoggedRequest, Outcome, ReportRequestsRequest, RequestCount,
    provisioning_log_service_client::ProvisioningLogServiceClient,
};

use crate::harness::{Browser, MINUTE, World};

const EVENTS: &str = "/console/scim/assistant/events?provider=okta&since=";

impl World {
    fn now(&self) -> i64 {
        let ahead = self.ahead.load(std::sync::atomic::Ordering::Relaxed);
        store::Clock::system().now().as_micros() + ahead
    }

    /// A page that watches from now on.
    fn events(&self) -> String {
        let millis = u64::try_from(self.now() / 1000).expect("now");
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid();
        format!("{EVENTS}{id}")
    }

    /// So many requests, one after another, from now on.
    async fn log(&self, many: u32) {
        let begin = self.now();
        let requests: Vec<_> = (0..many)
            .map(|n| {
                let at = begin + 1000 * i64::from(n);
                let millis = u64::try_from(at / 1000).expect("an instant");
                LoggedRequest {
                    id: uuid::Builder::from_unix_timestamp_millis(millis, &[1; 10]).into_uuid().to_string(),
                    organization_id: self.organization.clone(),
                    occurred_at: Some(wire::to_timestamp(at)),
                    method: "POST".to_owned(),
                    path: format!("/scim/v2/Users/number-{n}"),
                    status: 409,
                    outcome: Outcome::Refused.into(),
                    reason: "uniqueness".to_owned(),
                    ..LoggedRequest::default()
                }
            })
            .collect();
        let mut log = ProvisioningLogServiceClient::new(self.transports[0].clone());
        for some in requests.chunks(500) {
            let report = ReportRequestsRequest { requests: some.to_vec(), counts: Vec::new() };
            log.report_requests(report).await.expect("reported");
        }
    }
}

/// The beginning of an answer.
async fn begin(browser: &Browser, path: &str) -> Response<Body> {
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = Request::get(path).header("cookie", cookies.join("; ")).header("sec-fetch-dest", "empty");
    let request = request.body(Body::empty()).expect("request");
    browser.router.clone().oneshot(request).await.expect("infallible")
}

#[tokio::test]
async fn the_newest_requests_are_shown_however_many_there_are() {
    let world = World::start().await;
    let mut browser = world.signed_in("ada@example.com", AdminRole::Owner).await;
    let page = world.events().replace("/events?", "?");
    world.log(400).await;
    let shown = browser.get(&page).await.is(200);
    assert!(shown.body.contains("number-399") && !shown.body.contains("number-90<"), "{}", shown.body);
}

#[tokio::test]
async fn a_session_watches_so_many_pages_and_the_next_is_told_why_not() {
    let world = World::start().await;
    let browser = world.signed_in("vic@example.com", AdminRole::Viewer).await;
    let mut open = Vec::new();
    loop {
        let answer = begin(&browser, &world.events()).await;
        if answer.status() != 200 {
            assert_eq!(answer.status(), 429);
            let body = answer.into_body().collect().await.expect("body").to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(body.contains("Close one of them") && body.contains("pages open that watch"), "{body}");
            break;
        }
        open.push(answer);
        assert!(open.len() < 100, "there is no end to it");
    }
    assert!(open.len() >= 2, "{}", open.len());
    open.pop();
    assert_eq!(begin(&browser, &world.events()).await.status(), 200, "one was closed");
    // The rest of the console goes on, and so do others.
    browser.clone().get("/console/log").await.is(200);
    let other = world.enroll("globex", "Globex", "enterprise").await;
    let stranger = world.signed_in_to(&other, "eve@example.com", AdminRole::Viewer).await;
    assert_eq!(begin(&stranger, &world.events()).await.status(), 200);
}

#[tokio::test]
async fn of_many_pages_at_once_some_are_made_and_the_others_are_told_to_wait() {
    let world = World::start().await;
    let mut browser = world.signed_in("vic@example.com", AdminRole::Viewer).await;
    let answers = futures::future::join_all((0..100).map(|_| begin(&browser, "/console/log?q=nobody"))).await;
    let of = |status: u16| answers.iter().filter(|answer| answer.status().as_u16() == status).count();
    assert!(of(200) >= 12 && of(429) > 0 && of(200) + of(429) == 100, "{} and {}", of(200), of(429));
    browser.get("/console/log").await.is(200);
}

#[tokio::test]
async fn a_page_that_watches_keeps_nobody_signed_in() {
    let world = World::start().await;
    let mut browser = world.signed_in("ada@example.com", AdminRole::Owner).await;
    for _ in 0..7 {
        world.later(2 * MINUTE);
        assert_eq!(begin(&browser, &world.events()).await.status(), 200);
    }
    world.later(2 * MINUTE);
    assert_eq!(begin(&browser, &world.events()).await.status(), 303);
    browser.get("/console").await.is(303);
}

#[tokio::test]
async fn an_export_with_a_wrong_search_is_a_page_that_says_so() {
    let world = World::start().await;
    let mut browser = world.signed_in("ada@example.com", AdminRole::Owner).await;
    for query in ["subject=nobody", "q=a+b+c+d+e+f+g+h+i+j+k"] {
        browser.get(&format!("/console/log?{query}")).await.is(422);
        browser.get(&format!("/console/log/export?{query}")).await.is(422).says("This cannot be taken as it is");
    }
}

#[tokio::test]
async fn an_export_ends_with_its_session_and_there_are_few_at_once() {
    let world = World::start().await;
    let browser = world.signed_in("ada@example.com", AdminRole::Owner).await;
    world.log(1200).await;
    let export = async || begin(&browser, "/console/log/export").await;
    let whole = export().await.into_body().collect().await.expect("whole").to_bytes();
    assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count(), 1200);

    let (first, _second) = (export().await, export().await);
    assert_eq!((first.status().as_u16(), export().await.status().as_u16()), (200, 429));
    let mut body = first.into_body();
    body.frame().await.expect("more").expect("some");
    let mut ends = browser.clone();
    ends.get("/console").await.is(200);
    ends.post("/console/sign-out", &[]).await.is(303);
    assert!(body.collect().await.is_err(), "the session is gone");
}

#[tokio::test]
async fn the_log_says_that_requests_were_left_out() {
    let world = World::start().await;
    let mut browser = world.signed_in("ada@example.com", AdminRole::Owner).await;
    let page = browser.get("/console/log").await.is(200);
    assert!(!page.body.contains("id=\"left-out\""), "{}", page.body);
    let count = RequestCount {
        organization_id: world.organization.clone(),
        hour: Some(wire::to_timestamp(world.now())),
        refused: 20_000,
        left_out: 12_345,
        ..RequestCount::default()
    };
    let mut log = ProvisioningLogServiceClient::new(world.transports[0].clone());
    log.report_requests(ReportRequestsRequest { requests: Vec::new(), counts: vec![count] }).await.expect("reported");
    browser.get("/console/log").await.is(200).says("id=\"left-out\"").says("12345 requests");
}
