//! The server against a naive SCIM in memory, on SQLite and PostgreSQL. Clients work at once on few resources, and each
//! resource and each unique name must have a history that some order of the calls explains; then one client works alone,
//! and every answer must be the one expected, to the letter.
//!
//! `ROLLCALL_MODEL_SEED` replays a seed; what clients do depends on it and on the answers they get, which the machine's
//! scheduling decides.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod calls;
mod checker;
mod clients;
#[path = "../scim/harness.rs"]
#[expect(dead_code, reason = "the other suites use the rest")]
mod harness;
mod history;
mod kinds;
mod objects;
mod sequential;

use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;
use testkit::TestDatabase;

use crate::{
    calls::Call,
    clients::{Client, DISPLAY_NAMES, Shared, USER_NAMES},
    harness::Server,
    objects::{TRY_AGAIN, unexplained},
};

const CLIENTS: usize = 8;
const OPERATIONS: usize = 50;
const SEEDS: [u64; 3] = [1, 2, 3];
/// What the clients must meet with, or the test says little.
const STATUSES: [u16; 8] = [200, 201, 204, 304, 400, 404, 409, 412];
const SEED_VARIABLE: &str = "ROLLCALL_MODEL_SEED";

/// The fixed seeds and one from the clock, or the one that is asked for.
fn seeds() -> Vec<u64> {
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        return vec![seed.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE} must be a number, not {seed:?}"))];
    }
    let now = store::Clock::system().now().as_micros();
    SEEDS.into_iter().chain([now.unsigned_abs()]).collect()
}

/// Two processes on the same databases, as in production behind a load balancer. SQLite's file has one.
async fn replicas(databases: [TestDatabase; 2]) -> Vec<Server> {
    let databases = Arc::new(databases);
    let count = if databases[0].url().starts_with("sqlite:") { 1 } else { 2 };
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(Server::open(Arc::clone(&databases), |_| {}).await);
    }
    servers
}

/// Gives all of them a new organization.
async fn enroll(servers: &mut [Server], slug: &str) {
    let (first, others) = servers.split_first_mut().expect("a server");
    first.enroll(slug).await;
    for other in others {
        other.organization.clone_from(&first.organization);
        other.token.clone_from(&first.token);
    }
}

async fn run(servers: &[Arc<Server>], seed: u64) -> Vec<Call> {
    let shared = Arc::new(Shared::default());
    let clients = (0..CLIENTS).map(|number| {
        let mut client = Client::new(number, seed, Arc::clone(&servers[number % servers.len()]), Arc::clone(&shared));
        tokio::spawn(async move {
            let mut calls = Vec::with_capacity(OPERATIONS);
            for _ in 0..OPERATIONS {
                calls.push(client.call().await);
            }
            calls
        })
    });
    let mut log: Vec<Call> = join_all(clients).await.into_iter().flat_map(|calls| calls.expect("no panic")).collect();
    log.sort_by_key(|call| call.invoked);
    log
}

/// How many of a log's calls were refused as too many, and how many began while the one before was under way.
fn crowding(log: &[Call]) -> (usize, usize) {
    let refused = log.iter().filter(|call| call.answer.status == TRY_AGAIN).count();
    (refused, log.windows(2).filter(|pair| pair[1].invoked < pair[0].returned).count())
}

async fn linearizable(databases: [TestDatabase; 2]) {
    let mut servers = replicas(databases).await;
    let mut met = BTreeSet::new();
    for seed in seeds() {
        enroll(&mut servers, &format!("seed-{seed}")).await;
        let shared: Vec<Arc<Server>> = servers.into_iter().map(Arc::new).collect();
        let log = run(&shared, seed).await;
        servers = shared.into_iter().map(|server| Arc::into_inner(server).expect("the clients are done")).collect();
        let unexplained = unexplained(&log, &USER_NAMES, &DISPLAY_NAMES);
        assert!(
            unexplained.is_empty(),
            "{SEED_VARIABLE}={seed}: {} histories have no order that explains them. The shortest, {}",
            unexplained.len(),
            unexplained[0]
        );
        let (refused, overlapping) = crowding(&log);
        assert!(refused * 20 <= log.len(), "{SEED_VARIABLE}={seed}: {refused} calls were refused as too many");
        assert!(overlapping * 2 > log.len(), "{SEED_VARIABLE}={seed}: only {overlapping} calls met another");
        met.extend(log.iter().map(|call| call.answer.status));
    }
    let missed: Vec<u16> = STATUSES.into_iter().filter(|status| !met.contains(status)).collect();
    assert!(missed.is_empty() || std::env::var(SEED_VARIABLE).is_ok(), "no answer was one of {missed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn each_resource_is_linearizable_on_sqlite() {
    linearizable([testkit::sqlite(), testkit::sqlite()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn each_resource_is_linearizable_on_postgres() {
    linearizable([testkit::postgres(), testkit::postgres()]).await;
}
