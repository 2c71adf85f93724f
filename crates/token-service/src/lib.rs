//! SCIM tokens, OAuth clients with theirs, and service credentials: made, rotated, listed, revoked and verified over gRPC
//! (`rollcall.token.v1`), kept in a database of their own.
//!
//! Not here: HTTP, the gateway's cache of verified tokens, and organizations: an organization is an id.

mod caller;
mod credentials;
mod error;
mod expiry;
mod grpc;
mod oauth;
mod policy;
mod restrictions;
mod revocations;
mod rotation;
mod secret;
mod store;
mod usage;

use std::sync::Arc;

pub use ::store::Clock;
use ::store::{Db, Ids, Random};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use wire::token::{
    o_auth_service_server::OAuthServiceServer, service_credential_service_server::ServiceCredentialServiceServer,
    token_service_server::TokenServiceServer,
};

use crate::{revocations::Feed, usage::Usage};

/// Where tokens are kept.
#[derive(Clone)]
pub struct Config {
    /// See [`::store::Config::url`].
    pub database_url: String,
    /// PostgreSQL connections of this process.
    pub pool_size: u32,
}

/// Why the service could not start; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("the token database cannot be opened")]
pub struct OpenError(#[from] ::store::Error);

/// The service. Clones share it; when the last one is dropped, what was noted is written and background work ends.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    clock: Clock,
    ids: Ids,
    random: Random,
    usage: Usage,
    feed: Feed,
    stop: CancellationToken,
    tasks: TaskTracker,
    _stop_on_drop: DropGuard,
}

impl Service {
    /// Opens the database, migrates it, and starts background work on the current Tokio runtime.
    ///
    /// # Errors
    /// If the database cannot be opened or migrated.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, OpenError> {
        let database = ::store::Config { url: config.database_url.clone(), pool_size: config.pool_size };
        let db = Db::open(&database, store::SQLITE, store::POSTGRES).await?;
        let random = Random::system();
        let usage = Usage::default();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let feed = Feed::open(&db).await?;
        let ids = Ids::new(clock.clone(), random.clone());
        tasks.spawn(usage.clone().keep(db.clone(), stop.clone()));
        tasks.spawn(feed.clone().keep(db.clone(), stop.clone()));
        tasks.spawn(expiry::keep(db.clone(), clock.clone(), ids.clone(), stop.clone()));
        tasks.spawn(oauth::purge(db.clone(), clock.clone(), stop.clone()));
        tasks.close();
        let _stop_on_drop = stop.clone().drop_guard();
        Ok(Self { inner: Arc::new(Inner { db, clock, ids, random, usage, feed, stop, tasks, _stop_on_drop }) })
    }

    /// All gRPC services of this crate.
    pub fn routes(&self) -> tonic::service::Routes {
        let server = TokenServiceServer::new(self.clone())
            .max_decoding_message_size(wire::MAX_MESSAGE)
            .max_encoding_message_size(wire::MAX_MESSAGE);
        let oauth = OAuthServiceServer::new(self.clone())
            .max_decoding_message_size(wire::MAX_MESSAGE)
            .max_encoding_message_size(wire::MAX_MESSAGE);
        let credentials = ServiceCredentialServiceServer::new(self.clone());
        tonic::service::Routes::new(server).add_service(oauth).add_service(credentials)
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> bool {
        match self.inner.db.ping().await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the token database does not answer");
                false
            }
        }
    }

    /// Ends the streams of revocations, new ones too: a server that stops would wait for them.
    pub fn end_streams(&self) {
        self.inner.feed.end_streams();
    }

    /// Writes what has been noted and ends background work. Calls that come later are still answered.
    pub async fn shutdown(&self) {
        self.end_streams();
        self.inner.stop.cancel();
        self.inner.tasks.wait().await;
    }
}
