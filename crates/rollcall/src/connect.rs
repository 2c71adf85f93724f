//! How a command reaches the services: over the network where a server runs, else by opening them in this process.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use wire::{
    Transport,
    identity::{
        account_service_client::AccountServiceClient, console_service_client::ConsoleServiceClient,
        identity_service_client::IdentityServiceClient, organization_service_client::OrganizationServiceClient,
        provisioning_log_service_client::ProvisioningLogServiceClient,
    },
    token::{
        o_auth_service_client::OAuthServiceClient, service_credential_service_client::ServiceCredentialServiceClient,
        token_service_client::TokenServiceClient,
    },
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
    pub(crate) settings: &'a Settings,
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
        Ok(OrganizationServiceClient::new(self.identity_service(create).await?))
    }

    /// Administrators, and how they sign in. After organizations, which says where they are.
    pub(crate) async fn console(&mut self) -> anyhow::Result<ConsoleServiceClient<Transport>> {
        Ok(ConsoleServiceClient::new(self.identity_service(false).await?))
    }

    /// Accounts of users. Ask for the organizations first.
    pub(crate) async fn accounts(&mut self) -> anyhow::Result<AccountServiceClient<Transport>> {
        Ok(AccountServiceClient::new(self.identity_service(false).await?))
    }

    /// Users and groups. Ask for the organizations first.
    pub(crate) async fn identities(&mut self) -> anyhow::Result<IdentityServiceClient<Transport>> {
        let client = IdentityServiceClient::new(self.identity_service(false).await?);
        Ok(client.max_decoding_message_size(wire::MAX_MESSAGE))
    }

    /// What identity providers asked for. Ask for the organizations first.
    pub(crate) async fn log(&mut self) -> anyhow::Result<ProvisioningLogServiceClient<Transport>> {
        let client = ProvisioningLogServiceClient::new(self.identity_service(false).await?);
        Ok(client.max_decoding_message_size(wire::MAX_MESSAGE))
    }

    /// SCIM tokens.
    pub(crate) async fn tokens(&mut self) -> anyhow::Result<TokenServiceClient<Transport>> {
        // Organizations were looked up before, so the data directory is the right one.
        Ok(TokenServiceClient::new(self.token_service(true).await?))
    }

    /// OAuth clients and grants.
    pub(crate) async fn oauth(&mut self) -> anyhow::Result<OAuthServiceClient<Transport>> {
        Ok(OAuthServiceClient::new(self.token_service(true).await?))
    }

    /// Service credentials.
    pub(crate) async fn service_credentials(&mut self) -> anyhow::Result<ServiceCredentialServiceClient<Transport>> {
        Ok(ServiceCredentialServiceClient::new(self.token_service(false).await?))
    }

    async fn identity_service(&mut self, create: bool) -> anyhow::Result<Transport> {
        let settings = self.settings;
        if let Some(service) = &self.services.identity {
            return Ok(compose::here(service.routes()));
        }
        if let Some(transport) = self.running(Part::Identity, settings.identity_url.as_ref()).await? {
            return Ok(transport);
        }
        self.open(Part::Identity, &settings.identity_database, create).await?;
        let service = self.services.identity.as_ref().context("identity-service is not open")?;
        Ok(compose::here(service.routes()))
    }

    async fn token_service(&mut self, create: bool) -> anyhow::Result<Transport> {
        let settings = self.settings;
        if let Some(transport) = self.running(Part::Token, settings.token_url.as_ref()).await? {
            return Ok(transport);
        }
        self.open(Part::Token, &settings.token_database, create).await?;
        let service = self.services.token.as_ref().context("token-service is not open")?;
        Ok(compose::here(service.routes()))
    }

    /// Where identity providers reach SCIM.
    pub(crate) fn scim_url(&self) -> Option<String> {
        self.public_url().map(|url| serve::scim_url(&url))
    }

    /// Where everybody reaches the gateway; `None` where only the gateway knows, which left nothing here. Ask once the
    /// organizations are there.
    pub(crate) fn public_url(&self) -> Option<String> {
        let settings = self.settings;
        let running = || Running::find(&settings.data_dir, Part::Gateway).and_then(|running| running.public_url);
        // Nothing runs yet: it will be where these settings say.
        let embedded = self.services.identity.is_some() && matches!(settings.identity_database, Database::Embedded(_));
        let expected = || embedded.then(|| serve::expected_public_url(settings));
        settings.given_public_url().map(str::to_owned).or_else(running).or_else(expected)
    }

    /// Writes what is still in memory.
    pub(crate) async fn close(self) {
        self.services.shutdown().await;
        drop(self.locks);
    }

    /// The part as a server runs it; `None` where none does.
    async fn running(&self, part: Part, given: Option<&Endpoint>) -> anyhow::Result<Option<Transport>> {
        if let Some(endpoint) = given {
            return Ok(Some(compose::elsewhere(endpoint, self.settings, &AdminCredential::load(self.settings)?)?));
        }
        let Some(running) = Running::find(&self.settings.data_dir, part) else { return Ok(None) };
        let Some(address) = running.grpc.map(reachable) else { return Ok(None) };
        if !answers(address).await {
            return Ok(None);
        }
        ensure!(
            !running.grpc_tls || self.settings.caller_tls.is_some(),
            "the server speaks TLS over gRPC: give --grpc-ca, the CA of its certificate; and --{}-url https://NAME:PORT, if \
             the certificate does not name {}",
            part.name(),
            address.ip()
        );
        let scheme = if running.grpc_tls { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?;
        Ok(Some(compose::elsewhere(&endpoint, self.settings, &AdminCredential::load(self.settings)?)?))
    }

    async fn open(&mut self, part: Part, database: &Database, create: bool) -> anyhow::Result<()> {
        let settings = self.settings;
        let shown = settings.data_dir.display();
        if let Database::Embedded(file) = database {
            let exists = file.exists();
            ensure!(
                exists || create,
                "there is no server and no data in {shown}; start `{}`, create an organization with `{}`, or name \
                 another --data-dir",
                settings.command("serve"),
                settings.command("org create")
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
        // A command sends no mail.
        self.services.open(settings, &[part], None, database.is_postgres()).await
    }
}

async fn answers(address: SocketAddr) -> bool {
    let connected = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_)))
}
