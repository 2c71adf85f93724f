//! Issue 5, item 8: a flood of unknown tokens from an address keeps no valid one from there waiting, and is no flood of
//! statements. A program of its own, since it counts all statements that are sent.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

#[path = "../scim/harness.rs"]
#[expect(dead_code, reason = "the other suites use the rest")]
mod harness;

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;
use ipnet::IpNet;
use testkit::client::Client;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tracing::{
    Id, Subscriber,
    field::{Field, Visit},
    span::Attributes,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

use crate::harness::Server;

/// How many statements looked for a token by its hash.
#[derive(Clone, Default)]
struct LookUps(Arc<AtomicUsize>);

struct Text(bool);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 |= field.name() == "db.query.text" && value.contains("WHERE") && value.contains("secret_sha256");
    }
}

impl<S: Subscriber> Layer<S> for LookUps {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "db.query" {
            let mut text = Text(false);
            attributes.record(&mut text);
            self.0.fetch_add(usize::from(text.0), Ordering::Relaxed);
        }
    }
}

const A_SECOND: usize = 2_000;
const VALID: usize = 12;
/// Of the flood, of which 500 wait for their refusal. A machine that cannot answer 2,000 a second answers fewer.
const CONNECTIONS: usize = 600;
/// For a valid token, under the flood.
const LONGEST: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn valid_tokens_that_nobody_has_shown_yet_are_served_in_a_flood_of_unknown_ones() {
    let look_ups = LookUps::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(look_ups.clone()))
        .expect("the only subscriber of this program");
    let counted = || look_ups.0.load(Ordering::Relaxed);
    for databases in [[testkit::sqlite(), testkit::sqlite()], [testkit::postgres(), testkit::postgres()]] {
        // All come by one proxy, which may have any number of connections.
        let proxy: IpNet = "127.0.0.1/32".parse().expect("network");
        let mut server = Server::open(Arc::new(databases), |config| config.trusted_proxies = vec![proxy]).await;
        server.enroll("acme").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let base = format!("http://{}/scim/v2", listener.local_addr().expect("address"));
        tokio::spawn(scim_gateway::serve(listener, server.router(), vec![proxy], std::future::pending()));
        let mut valid = Vec::new();
        for _ in 0..VALID {
            valid.push(server.token(&server.organization, None).await.secret);
        }

        let before = counted();
        let begun = Instant::now();
        let from = || Client::new(&base).with_header("x-forwarded-for", "203.0.113.7").expect("a header");
        let (client, over) = (from(), Arc::new(AtomicBool::new(false)));
        let flood = {
            let (over, places) = (Arc::clone(&over), Arc::new(Semaphore::new(CONNECTIONS)));
            tokio::spawn(async move {
                let (mut requests, mut tick) = (JoinSet::new(), tokio::time::interval(Duration::from_millis(10)));
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    if n % (A_SECOND / 100) == 0 {
                        tick.tick().await;
                    }
                    let client = client.with_token(&format!("rc_scim_unknown-{n}")).expect("a header");
                    let place = Arc::clone(&places).acquire_owned().await.expect("a place");
                    requests.spawn(async move {
                        let answer = client.send(Method::GET, "/Users?count=0", None).await;
                        drop(place);
                        answer
                    });
                }
                requests
            })
        };
        let mut slowest = Duration::ZERO;
        for token in valid {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let own = from().with_token(&token).expect("a header");
            let asked = Instant::now();
            let answer = own.send(Method::GET, "/Users?count=0", None).await.expect("an answer");
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            slowest = slowest.max(asked.elapsed());
        }
        over.store(true, Ordering::Relaxed);
        let mut requests = flood.await.expect("the flood");
        let (elapsed, statements) = (begun.elapsed(), counted() - before);
        let mut answered = 0;
        while let Some(answer) = requests.try_join_next() {
            let answer = answer.expect("a request").expect("an answer");
            assert_eq!(answer.status, 401, "{}", String::from_utf8_lossy(&answer.body));
            answered += 1;
        }
        println!("{answered} refused and {statements} look-ups in {elapsed:?}, the slowest valid one {slowest:?}");
        assert!(answered > 1_500, "no flood: {answered}");
        assert!(slowest < LONGEST, "{slowest:?}");
        // The budget of 500 and what was under way with it, then twenty a second, and the valid ones' renewals.
        let bound = 500 + 64 + VALID + 25 * usize::try_from(elapsed.as_secs() + 1).expect("seconds");
        assert!(statements <= bound, "{statements} statements, {bound} are expected at the most");
        requests.abort_all();
    }
}
