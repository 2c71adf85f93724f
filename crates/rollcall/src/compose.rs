//! The one place that decides whether a service runs in this process or is called over the network.

use std::time::Duration;

use anyhow::Context as _;
use http::uri::Scheme;
use identity_service::Mailing;
use telemetry::GrpcServerLayer;
use tonic::{service::Routes, transport::Endpoint};
use tower::Layer as _;
use wire::Transport;

use crate::{credential::AdminCredential, grpc, opaque, runtime::Part, sealing, settings::Settings, tls};

/// The services that run in this process.
#[derive(Clone, Default)]
pub(crate) struct Services {
    pub(crate) identity: Option<identity_service::Service>,
    pub(crate) token: Option<token_service::Service>,
}

impl Services {
    /// Opens those of `parts` that keep their data in PostgreSQL (`postgres`) or in a file (otherwise): a server finds
    /// out whether it can reach its database before it writes anything into the data directory.
    pub(crate) async fn open(
        &mut self,
        settings: &Settings,
        parts: &[Part],
        mailing: Option<&Mailing>,
        postgres: bool,
    ) -> anyhow::Result<()> {
        let pool_size = settings.pool_size;
        if parts.contains(&Part::Identity) && settings.identity_database.is_postgres() == postgres {
            let sealing_key = sealing::source(settings);
            let opaque_set_ups = opaque::source(settings);
            let database_url = settings.identity_database.url()?;
            let mailing = mailing.cloned();
            let config = identity_service::Config { database_url, pool_size, sealing_key, opaque_set_ups, mailing };
            let opened = identity_service::Service::open(&config, identity_service::Clock::system()).await;
            self.identity = Some(opened?);
        }
        if parts.contains(&Part::Token) && settings.token_database.is_postgres() == postgres {
            let config = token_service::Config { database_url: settings.token_database.url()?, pool_size };
            let opened = token_service::Service::open(&config, token_service::Clock::system()).await;
            self.token = Some(opened?);
        }
        Ok(())
    }

    /// All that run here, for one listener.
    pub(crate) fn routes(&self) -> Routes {
        let identity = self.identity.as_ref().map(|service| service.routes().into_axum_router());
        let token = self.token.as_ref().map(|service| service.routes().into_axum_router());
        match (identity, token) {
            // Two fallbacks cannot be merged; each says UNIMPLEMENTED.
            (Some(identity), Some(token)) => identity.merge(token.reset_fallback()).into(),
            (Some(only), None) | (None, Some(only)) => only.into(),
            (None, None) => Routes::default(),
        }
    }

    /// Ends the calls that last until one of both sides ends them.
    pub(crate) fn end_streams(&self) {
        if let Some(service) = &self.token {
            service.end_streams();
        }
    }

    /// Writes what is still in memory and stops.
    pub(crate) async fn shutdown(&self) {
        if let Some(service) = &self.identity {
            service.shutdown().await;
        }
        if let Some(service) = &self.token {
            service.shutdown().await;
        }
    }
}

/// To identity-service: here if it runs here, else where the settings say.
pub(crate) fn identity(
    services: &Services,
    settings: &Settings,
    credential: &AdminCredential,
) -> anyhow::Result<Transport> {
    match (&services.identity, &settings.identity_url) {
        (Some(service), _) => Ok(here(service.routes())),
        (None, Some(endpoint)) => elsewhere(endpoint, settings, credential),
        (None, None) => anyhow::bail!("--identity-url is missing: give http://HOST:PORT of `rollcall serve identity`"),
    }
}

/// To token-service, likewise.
pub(crate) fn token(
    services: &Services,
    settings: &Settings,
    credential: &AdminCredential,
) -> anyhow::Result<Transport> {
    match (&services.token, &settings.token_url) {
        (Some(service), _) => Ok(here(service.routes())),
        (None, Some(endpoint)) => elsewhere(endpoint, settings, credential),
        (None, None) => anyhow::bail!("--token-url is missing: give http://HOST:PORT of `rollcall serve token`"),
    }
}

/// To token-service for the listener, which asks it for service credentials; `None` where it is not known to be anywhere.
pub(crate) fn token_if_known(
    services: &Services,
    settings: &Settings,
    credential: &AdminCredential,
) -> anyhow::Result<Option<Transport>> {
    let known = services.token.is_some() || settings.token_url.is_some();
    known.then(|| token(services, settings, credential)).transpose()
}

/// A call without a socket: the same spans, status and metadata as over one.
pub(crate) fn here(routes: Routes) -> Transport {
    Transport::in_process(GrpcServerLayer.layer(routes.prepare()))
}

/// Connects when it is first used and again whenever it must, so that the order of starting does not matter. A dead
/// peer is noticed within some seconds.
pub(crate) fn elsewhere(
    endpoint: &Endpoint,
    settings: &Settings,
    credential: &AdminCredential,
) -> anyhow::Result<Transport> {
    let mut endpoint = endpoint.clone();
    if endpoint.uri().scheme() == Some(&Scheme::HTTPS) {
        let files = settings.caller_tls.as_ref().with_context(|| {
            format!("{} wants TLS: give --grpc-ca, the CA of the certificate there", endpoint.uri())
        })?;
        let wrong = "the client certificate (--grpc-client-cert, --grpc-client-key) or --grpc-ca is not usable";
        endpoint = endpoint.tls_config(tls::caller(files)?).context(wrong)?;
    }
    let channel = endpoint
        .connect_timeout(Duration::from_secs(2))
        .timeout(Duration::from_secs(30))
        .http2_keep_alive_interval(Duration::from_secs(3))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true)
        .tcp_keepalive(Some(Duration::from_secs(60)))
        .initial_stream_window_size(grpc::STREAM_WINDOW)
        .initial_connection_window_size(grpc::CONNECTION_WINDOW)
        .connect_lazy();
    Ok(Transport::network(channel, credential.for_calls()?))
}
