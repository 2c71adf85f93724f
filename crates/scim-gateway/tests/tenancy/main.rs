//! Organization A's token with organization B's ids, wherever an id, a name or a cursor can stand: the answer, and the
//! statements sent to the database for it, are those to ids that do not exist. So there is no count and no time to learn
//! from. On SQLite and PostgreSQL.
//!
//! The routes come from the router, their methods from OPTIONS, the filters from the schemas, the rpcs from the descriptor
//! set: a new one without a case fails here.
//!
//! With the feature `mutants` (`cargo xtask mutate`) the suite must fail for each tenant predicate that is taken out.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod filters;
#[path = "../scim/harness.rs"]
#[expect(dead_code, reason = "the other suites use the rest")]
mod harness;
mod incidents;
#[cfg(feature = "mutants")]
mod mutants;
mod plant;
mod probes;
mod record;
mod rpcs;
mod subject;
mod twins;

use std::sync::Arc;

use crate::{harness::Server, subject::Subject};

/// What is tried, with the twins first: they notice most of what can be wrong, and soon. `alone`: how an organization
/// without a twin is answered.
async fn suite(server: &mut Server, alone: &[Vec<String>; 2]) {
    // The first of all must not stand for the others.
    server.organization_without_scim("off").await;
    twins::all(server, alone, "twins").await;
    let theirs = Subject::enroll(server, "theirs").await.with_console(server).await.with_member(server).await;
    let ours = Subject::enroll(server, "ours").await.with_console(server).await.with_member(server).await;
    let before = theirs.state(server).await;
    rpcs::all(server, &ours, &theirs).await;
    probes::routes(server, &ours, &theirs).await;
    assert_eq!(theirs.state(server).await, before, "nothing of the other organization has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_organization_are_ids_that_do_not_exist() {
    for kind in 0..testkit::databases().len() {
        // Statements are compared: none may be sent twice.
        let fresh = async || {
            let databases = [0, 1].map(|_| testkit::databases().swap_remove(kind));
            for database in &databases {
                database.without_injected_collisions().expect("switched off");
            }
            let databases = Arc::new(databases);
            Server::open(databases, |_| {}).await
        };
        let alone = twins::alone(&mut fresh().await).await;
        suite(&mut fresh().await, &alone).await;
    }
}
