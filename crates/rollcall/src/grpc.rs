//! The gRPC listener: which services it has, how it lives and ends. Who may call them: `callers`.

use std::{future::Future, time::Duration};

use anyhow::Context as _;
use telemetry::GrpcServerLayer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::transport::Server;
use tonic_health::{ServingStatus, server::HealthReporter};
use wire::{
    Transport,
    identity::{identity_service_server, organization_service_server},
    token::{service_credential_service_server, token_service_server},
};

use crate::{
    callers::Callers,
    compose::Services,
    connections::{LIMITS, incoming},
    credential::CredentialDigest,
};

/// How often health follows what the services say of themselves.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// A message that does not arrive whole, too, ends with this.
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// Flow control of both ends, bytes. A call that nobody reads stops at the first.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
/// h2 ends a connection on which more small DATA frames wait to be read than half of this, of which each counts for up to
/// 256. Windows that adapt begin at 64 KiB: 130 short calls at once were too many.
pub(crate) const CONNECTION_WINDOW: u32 = 8 << 20;

/// How the listener tells friend from foe.
pub(crate) struct Trust {
    pub(crate) admin: CredentialDigest,
    /// token-service, which knows the service credentials; without it none is let in.
    pub(crate) token: Option<Transport>,
    pub(crate) clock: scim_gateway::Clock,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves until `shutdown`, then lets calls end.
pub(crate) async fn serve(
    listener: TcpListener,
    services: Services,
    trust: Trust,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("the descriptors for gRPC reflection cannot be read")?;
    let routes = services.routes().add_service(health).add_service(reflection).prepare();
    let watching = tokio::spawn(report_health(reporter, services.clone()));
    let callers = Callers::new(trust.admin, trust.token.clone(), trust.clock);
    let listening = trust.token.map(|token| tokio::spawn(callers.clone().listen(token)));
    let shutdown = async move {
        shutdown.await;
        services.end_streams();
    };
    let result = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // A gateway sends all its calls over one connection.
        .max_concurrent_streams(1024)
        // Streams that are opened and reset at once (CVE-2023-44487): beyond this the connection ends.
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(100))
        .http2_max_header_list_size(32 * 1024)
        // Until an answer begins; callers set shorter ones.
        .timeout(LONGEST_CALL)
        .layer(GrpcServerLayer)
        .layer(callers)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming(listener, LIMITS, trust.tls), shutdown)
        .await;
    watching.abort();
    if let Some(listening) = listening {
        listening.abort();
    }
    result.context("the gRPC listener failed")
}

async fn report_health(reporter: HealthReporter, services: Services) {
    loop {
        if let Some(service) = &services.identity {
            let status = serving(service.ready().await);
            reporter.set_service_status(identity_service_server::SERVICE_NAME, status).await;
            reporter.set_service_status(organization_service_server::SERVICE_NAME, status).await;
        }
        if let Some(service) = &services.token {
            let status = serving(service.ready().await);
            reporter.set_service_status(token_service_server::SERVICE_NAME, status).await;
            reporter.set_service_status(service_credential_service_server::SERVICE_NAME, status).await;
        }
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
}

fn serving(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}
