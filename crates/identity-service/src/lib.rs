//! Organizations, users, groups, members, accounts, administrators and their events, over gRPC (`proto/rollcall/identity/v1`) on SQLite or
//! PostgreSQL.
//!
//! Not here: REST, SCIM rendering and tokens. What a SCIM body means is the `scim` crate's.

mod deletions;
mod domain;
mod error;
mod expiry;
mod grpc;
mod mailer;
#[cfg(feature = "mutants")]
pub mod mutants;
mod operations;
mod plan_notices;
mod sequencer;
mod smtp;
mod store;
mod turns;
mod user_names;
mod walks;

pub use ::store::Clock;
pub use ::store::Random;
use ::store::{Db, Ids};
use deletions::Deletions;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
pub use domain::keys::{OpaqueSetUpSource, is_opaque_set_up, new_opaque_set_up};
pub use domain::sealing::SealingKeySource;
use domain::{keys::OpaqueSetUps, sealing::SealingKey};
use expiry::Expiry;
use mailer::Mailer;
pub use mailer::Mailing;
use operations::{Core, TypesCache};
use plan_notices::PlanNotices;
use sequencer::Sequencer;
pub use smtp::{Smtp, SmtpConfig, SmtpError};
use turns::Turns;
use walks::Walks;
use wire::identity::{
    account_service_server::AccountServiceServer, console_service_server::ConsoleServiceServer,
    identity_service_server::IdentityServiceServer, organization_service_server::OrganizationServiceServer,
    provisioning_log_service_server::ProvisioningLogServiceServer,
};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Where the service keeps its data.
#[derive(Clone)]
pub struct Config {
    /// `sqlite:PATH`, `postgres://..` or `postgresql://..`; may hold a password.
    pub database_url: String,
    /// PostgreSQL connections of this process, at least 1. Ignored on SQLite.
    pub pool_size: u32,
    /// What has to be read again, such as the client secret of a sign-in provider, is sealed by this key: random, kept
    /// elsewhere than the database, and the same for all replicas.
    pub sealing_key: SealingKeySource,
    /// What passwords of members are checked with (OPAQUE): random, kept elsewhere than the database, and the same for all
    /// replicas.
    pub opaque_set_ups: OpaqueSetUpSource,
    /// How mail is sent. Absent: it is not, and nothing is kept to be sent later.
    pub mailing: Option<Mailing>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("pool_size", &self.pool_size).finish_non_exhaustive()
    }
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
#[error("the identity database cannot be opened")]
pub struct OpenError(#[from] ::store::Error);

/// The running service. Clones share it.
#[derive(Clone)]
pub struct Service {
    core: Core,
}

impl Service {
    /// Opens the database, brings its schema up to date and starts numbering events.
    ///
    /// # Errors
    /// The database cannot be reached, or its schema is newer than this program.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, OpenError> {
        let database = ::store::Config { url: config.database_url.clone(), pool_size: config.pool_size };
        let db = Db::open(&database, SQLITE, POSTGRES).await?;
        user_names::rekey(&db).await?;
        let random = Random::system();
        let ids = Ids::new(clock.clone(), random.clone());
        let sequencer = Sequencer::start(db.clone());
        let expiry = Expiry::start(db.clone(), clock.clone());
        let mailer = Mailer::start(db.clone(), clock.clone(), ids.clone(), config.mailing.clone());
        let deletions = Deletions::start(db.clone(), clock.clone(), ids.clone(), sequencer.clone(), mailer.clone());
        let turns = Turns::new(db.backend());
        let plan_notices = PlanNotices::start(db.clone(), clock.clone(), ids.clone(), sequencer.clone());
        Ok(Self {
            core: Core {
                db,
                clock,
                ids,
                random,
                sequencer,
                expiry,
                deletions,
                mailer,
                turns,
                plan_notices,
                walks: Walks::default(),
                types_cache: TypesCache::default(),
                sealing_key: SealingKey(config.sealing_key.clone()),
                opaque_set_ups: OpaqueSetUps(config.opaque_set_ups.clone()),
            },
        })
    }

    /// Tells administrators by mail of tokens that are about to expire, as token-service, at the other end, knows them.
    pub fn follow_tokens(&self, tokens: wire::Transport) {
        self.core.mailer.follow_tokens(tokens);
    }

    /// Its gRPC services, for a server or an in-process transport.
    pub fn routes(&self) -> tonic::service::Routes {
        let identity = IdentityServiceServer::new(grpc::Identity(self.core.clone()));
        let console = ConsoleServiceServer::new(grpc::Console(self.core.clone()));
        let accounts = AccountServiceServer::new(grpc::Accounts(self.core.clone()));
        let log = ProvisioningLogServiceServer::new(grpc::ProvisioningLog(self.core.clone()));
        let organizations = OrganizationServiceServer::new(grpc::Organizations(self.core.clone()));
        tonic::service::Routes::new(
            identity.max_decoding_message_size(wire::MAX_MESSAGE).max_encoding_message_size(wire::MAX_MESSAGE),
        )
        .add_service(
            organizations.max_decoding_message_size(wire::MAX_MESSAGE).max_encoding_message_size(wire::MAX_MESSAGE),
        )
        .add_service(console)
        .add_service(accounts)
        .add_service(log.max_decoding_message_size(wire::MAX_MESSAGE).max_encoding_message_size(wire::MAX_MESSAGE))
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> bool {
        self.core.db.ping().await.is_ok()
    }

    /// Numbers the events that are left and stops doing so. Calls made afterwards still work; their events are numbered
    /// at the next start.
    pub async fn shutdown(&self) {
        self.core.expiry.stop().await;
        self.core.deletions.stop().await;
        self.core.mailer.stop().await;
        self.core.plan_notices.stop().await;
        self.core.sequencer.stop().await;
    }
}
