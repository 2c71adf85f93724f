//! How a command reaches the services: over the network where a server runs, else by opening them in this process.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use wire::{
    Transport, identity::organization_service_client::OrganizationServiceClient,
    token::token_service_client::TokenServiceClient,
};

use crate::{
    compose::{self, Services},
    credential::AdminCredential,
    runtime::{self, Lock, Part, Running},
    serve,
    settings::{Database, Settings, reachable},
};

/// What a command works with. [`Self::close`] it at the end.
pub(crate) struct Connection<'a> {
    settings: &'a Settings,
    /// Those that had to be opened here.
    services: Services,
    locks: Vec<Lock>,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self { settings, services: Services::default(), locks: Vec::new() }
    }

    /// Organizations. `create`: a data directory that is not there yet is made.
    pub(crate) async fn organizations(&mut self, create: bool) -> anyhow::Result<OrganizationServiceClient<Transport>> {
        let settings = self.settings;
        let transport = match self.running(Part::Identity, settings.identity_url.as_ref()).await? {
            Some(transport) => transport,
            None => {
                self.open(Part::Identity, &settings.identity_database, create).await?;
                let service = self.services.identity.as_ref().context("identity-service is not open")?;
                compose::here(service.routes())
            }
        };
        Ok(OrganizationServiceClient::new(transport))
    }

    /// SCIM tokens.
    pub(crate) async fn tokens(&mut self) -> anyhow::Result<TokenServiceClient<Transport>> {
        let settings = self.settings;
        let transport = match self.running(Part::Token, settings.token_url.as_ref()).await? {
            Some(transport) => transport,
            None => {
                // Organizations were looked up before, so the data directory is the right one.
                self.open(Part::Token, &settings.token_database, true).await?;
                let service = self.services.token.as_ref().context("token-service is not open")?;
                compose::here(service.routes())
            }
        };
        Ok(TokenServiceClient::new(transport))
    }

    /// Where identity providers reach SCIM.
    pub(crate) fn scim_url(&self) -> String {
        let running = || Running::find(&self.settings.data_dir, Part::Gateway).and_then(|running| running.public_url);
        let public_url = self.settings.given_public_url().map(str::to_owned).or_else(running);
        serve::scim_url(&public_url.unwrap_or_else(|| serve::expected_public_url(self.settings)))
    }

    /// Writes what is still in memory.
    pub(crate) async fn close(self) {
        self.services.shutdown().await;
        drop(self.locks);
    }

    /// The part as a server runs it; `None` where none does.
    async fn running(&self, part: Part, given: Option<&Endpoint>) -> anyhow::Result<Option<Transport>> {
        if let Some(endpoint) = given {
            return Ok(Some(compose::elsewhere(endpoint, &AdminCredential::load(self.settings)?)?));
        }
        let address = Running::find(&self.settings.data_dir, part).and_then(|running| running.grpc).map(reachable);
        let Some(address) = address else { return Ok(None) };
        if !answers(address).await {
            return Ok(None);
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(Some(compose::elsewhere(&endpoint, &AdminCredential::load(self.settings)?)?))
    }

    async fn open(&mut self, part: Part, database: &Database, create: bool) -> anyhow::Result<()> {
        let settings = self.settings;
        let shown = settings.data_dir.display();
        if let Database::Embedded(file) = database {
            let exists = file.exists();
            ensure!(
                exists || create,
                "there is no server and no data in {shown}; start `rollcall serve`, create an organization with \
                 `rollcall org create`, or name another --data-dir"
            );
            // A server was here and kept its data elsewhere.
            ensure!(
                exists || !settings.credential_path().exists(),
                "no server that runs `{name}` was found in {shown}, and its database is not there; start it, or give \
                 --{name}-url, or --{name}-database-url",
                name = part.name()
            );
            runtime::prepare_data_dir(settings)?;
            // Two processes may not run the migrations and background work of one file.
            let Some(lock) = Lock::try_take(&settings.data_dir, part)? else {
                bail!(
                    "another rollcall is using {shown} but does not answer on gRPC; wait until it has started or is \
                     done, then try again"
                );
            };
            self.locks.push(lock);
        }
        self.services.open(settings, &[part], database.is_postgres()).await
    }
}

async fn answers(address: SocketAddr) -> bool {
    let connected = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_)))
}
