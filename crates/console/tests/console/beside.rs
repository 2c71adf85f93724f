//! Beside the gateway: below `/console` pages, elsewhere SCIM errors, and in the log neither secrets nor people.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};
use wire::identity::AdminRole;

use crate::harness::World;

impl World {
    /// The console under the gateway's edge, as the binary has both.
    fn whole(&self) -> Self {
        let [identity, token] = self.transports.clone();
        let now = Arc::new(|| Timestamp::from_second(1_900_000_000).expect("instant"));
        let config = scim_gateway::Config::new("https://scim.example.com");
        let router = scim_gateway::router_with(config, identity, token, now, self.router.clone());
        Self { router, ..Self::start_beside(self) }
    }
}

#[tokio::test]
async fn each_answers_in_its_own_way() {
    let world = World::start().await.whole();
    let mut browser = world.browser();
    for (path, status, media_type) in [
        ("/", 303, ""),
        ("/console", 303, ""),
        ("/console/", 303, ""),
        ("/console/sign-in", 200, "text/html"),
        ("/console/assets/x", 404, "text/html"),
        ("/console/invite/x", 403, "text/html"),
        ("/console/users/%ff", 303, ""),
        ("/nothing", 404, "application/scim+json"),
        ("/consoles", 404, "application/scim+json"),
        ("/scim/v2/Users", 401, "application/scim+json"),
        ("/oauth/authorize", 400, "text/html"),
        ("/healthz", 200, "text/plain"),
        ("/readyz", 200, "text/plain"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("content-type").starts_with(media_type), "{path}: {}", answer.header("content-type"));
        assert_eq!(answer.header("x-request-id"), "req-1", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    // The id that is shown is the one that is logged, also where the browser sent none that may be.
    let answer = browser.send(http::Method::GET, "/console/invite/x", &[], String::new()).await;
    answer.says("req-1");
    let page = browser.get("/console/sign-in").await.is(200).body;
    let css = page.split("href=\"/console/assets/").nth(1).and_then(|rest| rest.split('"').next()).expect("linked");
    let css = browser.get(&format!("/console/assets/{css}")).await.is(200);
    assert!(css.header("cache-control").contains("immutable"));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_has_neither_secrets_nor_people() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    // With one subscriber only, tracing asks the thread that reaches a line first whether anybody listens, and other
    // tests' threads say no for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);
    let world = World::start().await.whole();
    let mut owner = world.signed_in("canary-owner@example.com", AdminRole::Owner).await;
    owner.get("/console/users?q=canary-words").await.is(200);
    owner.get("/console/scim/tokens/new").await.is(200);
    let fields = [("description", "canary-description"), ("scope", "users:read")];
    let token = owner.post("/console/scim/tokens", &fields).await.is(200).field("secret");
    owner.get("/console/administrators/invite").await.is(200);
    let fields = [("email", "canary-new@example.com"), ("role", "admin"), ("ttl_hours", "1")];
    let link = owner.post("/console/administrators/invite", &fields).await.is(200).field("secret");
    owner.get("/console/sign-in/callback/x?state=canary-state&code=canary-code").await.is(403);
    let session = owner.cookies["__Host-rollcall"].clone();
    drop(guard);

    let log = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("req-1") && log.contains("/console/invite/{secret}"), "{log}");
    let invitation = link.rsplit('/').next().expect("secret");
    for secret in ["canary", "rc_invite_", "rc_session_", &token, invitation, &session] {
        let found: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}
