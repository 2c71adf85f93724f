//! `rollcall serve`: from settings to listeners, and back to nothing on SIGTERM.

use std::{future::Future, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use wire::identity::{ListOrganizationsRequest, organization_service_client::OrganizationServiceClient};

use crate::{
    cli::{Role, shell_word},
    compose::{self, Services},
    credential::AdminCredential,
    grpc::{self, Trust},
    mail, opaque, output,
    runtime::{self, Lock, Part, Running, RuntimeFile},
    sealing,
    settings::{Settings, reachable},
    tls,
};

/// How long requests that have begun may take once the server is told to stop.
/// Longer than the gateway's own limit, which it reports in more detail.
const DRAIN: Duration = Duration::from_secs(28);

/// Serves until a signal.
pub(crate) async fn run(settings: &Settings, role: Option<Role>) -> anyhow::Result<()> {
    let parts: &[Part] = match role {
        None => &Part::ALL,
        Some(Role::Gateway) => &[Part::Gateway],
        Some(Role::Identity) => &[Part::Identity],
        Some(Role::Token) => &[Part::Token],
    };
    check(settings, parts)?;
    let stop = stop_signal()?;
    let tls = settings.listener_tls.as_ref().map(tls::acceptor).transpose()?;

    // What can be refused is refused before anything is written. A second server on the same data is told so, not that
    // its ports are in use.
    for part in parts {
        runtime::refuse_second(&settings.data_dir, *part)?;
    }
    let http = if parts.contains(&Part::Gateway) { Some(listen(&settings.http, "--http").await?) } else { None };
    let grpc = if parts == [Part::Gateway] { None } else { Some(listen(&settings.grpc, "--grpc").await?) };
    let public_url =
        http.as_ref().map(TcpListener::local_addr).transpose()?.map(|address| settings.public_url(address));
    let links = public_url.as_deref().or(settings.given_public_url());
    let mailing = if parts.contains(&Part::Identity) { mail::mailing(settings, links)? } else { None };
    let mut services = Services::default();
    services.open(settings, parts, mailing.as_ref(), true).await?;

    runtime::prepare_data_dir(settings)?;
    let mut locks = Vec::new();
    for part in parts {
        locks.push(Lock::take(&settings.data_dir, *part).await?);
    }
    RuntimeFile::clear(&settings.data_dir, parts);
    let credential = AdminCredential::load_or_create(settings)?;
    services.open(settings, parts, mailing.as_ref(), false).await?;
    if let Some(identity) = services.identity.as_ref().filter(|_| mailing.is_some()) {
        match compose::token_if_known(&services, settings, &credential)? {
            Some(tokens) => identity.follow_tokens(tokens),
            None => tracing::warn!(
                "nobody is mailed about tokens that expire: to hear of them this process needs --token-url, http://HOST:PORT \
                 of `rollcall serve token`"
            ),
        }
    }

    let running = Running {
        role: role_name(role).to_owned(),
        http: http.as_ref().map(TcpListener::local_addr).transpose()?,
        grpc: grpc.as_ref().map(TcpListener::local_addr).transpose()?,
        grpc_tls: grpc.is_some() && tls.is_some(),
        public_url,
        pid: std::process::id(),
    };
    let mut listeners = JoinSet::new();
    if let (Some(listener), Some(public_url)) = (http, &running.public_url) {
        listeners.spawn(gateway(settings, &services, &credential, public_url, listener, stop.clone())?);
    }
    if let Some(listener) = grpc {
        let stopped = stop.clone().cancelled_owned();
        let token = compose::token_if_known(&services, settings, &credential)?;
        if token.is_none() {
            tracing::warn!(
                "service credentials are refused here: to check them this process needs --token-url, http://HOST:PORT of \
                 `rollcall serve token`"
            );
        }
        let trust = Trust { admin: credential.digest(), token, clock: clock(), tls };
        listeners.spawn(grpc::serve(listener, services.clone(), trust, stopped));
    }
    let runtime_file = RuntimeFile::write(&settings.data_dir, &running)?;
    if let Err(error) = announce(settings, &services, &running).await {
        tracing::warn!(%error, "nobody reads standard output");
    }

    let result = supervise(listeners, &stop).await;
    services.shutdown().await;
    drop(runtime_file);
    drop(locks);
    tracing::info!("stopped");
    result
}

fn role_name(role: Option<Role>) -> &'static str {
    match role {
        None => "all",
        Some(Role::Gateway) => "gateway",
        Some(Role::Identity) => "identity",
        Some(Role::Token) => "token",
    }
}

/// What the settings alone can tell.
fn check(settings: &Settings, parts: &[Part]) -> anyhow::Result<()> {
    let elsewhere = parts == [Part::Gateway];
    let all = parts == Part::ALL;
    for (url, flag, role) in
        [(&settings.identity_url, "--identity-url", "identity"), (&settings.token_url, "--token-url", "token")]
    {
        ensure!(
            url.is_some() || !elsewhere,
            "`serve gateway` needs {flag}: give http://HOST:PORT of `rollcall serve {role}`"
        );
        ensure!(
            url.is_none() || !all,
            "{flag} is for `serve gateway` and for commands; this process runs its services itself, so leave it out"
        );
    }
    if settings.credential_file.is_some() {
        AdminCredential::load(settings)?;
    }
    if parts.contains(&Part::Identity) {
        sealing::check(settings)?;
        opaque::check(settings)?;
        mail::smtp(settings)?;
    }
    Ok(())
}

async fn listen(address: &str, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "is in use; stop what listens there, or give another port, 0 for a free one",
            io::ErrorKind::InvalidInput => "is not an address; give HOST:PORT, such as 127.0.0.1:8080",
            io::ErrorKind::AddrNotAvailable => "is not an address of this machine; give HOST:PORT that is",
            io::ErrorKind::PermissionDenied => "may not be listened on by this user; give a port of 1024 or above",
            _ => return anyhow::Error::new(error).context(format!("{flag} {address} cannot be listened on")),
        };
        anyhow::anyhow!("{flag} {address} {why}")
    })
}

fn gateway(
    settings: &Settings,
    services: &Services,
    credential: &AdminCredential,
    public_url: &str,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
    let mut config = scim_gateway::Config::new(public_url);
    config.default_requests_per_second = settings.default_requests_per_second;
    config.trusted_proxies.clone_from(&settings.trusted_proxies);
    config.oauth_loopback_jwks = settings.oauth_loopback_jwks;
    let identity = compose::identity(services, settings, credential)?;
    let token = compose::token(services, settings, credential)?;
    let proxies = config.trusted_proxies.clone();
    let pages =
        console::router(console::Config::new(public_url), identity.clone(), token.clone(), clock(), Arc::new(random));
    let router = scim_gateway::router_with(config, identity, token, clock(), pages);
    Ok(async move {
        let served = scim_gateway::serve(listener, router, proxies, stop.cancelled_owned()).await;
        served.context("the HTTP listener failed")
    })
}

#[expect(clippy::disallowed_methods, reason = "the clock of the listeners is handed in here")]
fn clock() -> scim_gateway::Clock {
    Arc::new(jiff::Timestamp::now)
}

/// The process ends if there is none: no session may begin without it.
fn random(bytes: &mut [u8; 32]) {
    if let Err(error) = getrandom::fill(bytes) {
        tracing::error!(%error, "the operating system gives no randomness");
        std::process::abort();
    }
}

/// SIGTERM or SIGINT. The second one ends the process at once.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        };
        next().await;
        tracing::info!("stopping: no new connections, requests that have begun are finished");
        told.cancel();
        next().await;
        std::process::exit(1);
    });
    Ok(stop)
}

/// Until told to stop or until a listener fails; then until all are done, within bounds.
async fn supervise(mut listeners: JoinSet<anyhow::Result<()>>, stop: &CancellationToken) -> anyhow::Result<()> {
    let failed = tokio::select! {
        () = stop.cancelled() => Ok(()),
        Some(ended) = listeners.join_next() => match ended {
            Ok(Ok(())) if stop.is_cancelled() => Ok(()),
            Ok(Ok(())) => Err(anyhow::anyhow!("a listener ended by itself")),
            Ok(Err(error)) => Err(error),
            // Its text would be the panic's, which may hold what a client sent.
            Err(_) => Err(anyhow::anyhow!("a listener panicked; the log says where")),
        },
    };
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(ended) = listeners.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("{error:#}"),
                Err(error) => tracing::warn!(panicked = error.is_panic(), "a listener did not end well"),
            }
        }
    });
    if drained.await.is_err() {
        tracing::warn!("some requests were cut off: they took longer than {} s after the stop", DRAIN.as_secs());
    }
    failed
}

async fn announce(settings: &Settings, services: &Services, running: &Running) -> io::Result<()> {
    let console = running.public_url.as_ref().map(|url| format!("{url}/console"));
    let scim = running.public_url.as_ref().map(|url| scim_url(url));
    let data_dir = std::path::absolute(&settings.data_dir).unwrap_or_else(|_| settings.data_dir.clone());
    let document = json!({
        "role": running.role,
        "http": running.http.map(reachable),
        "grpc": running.grpc.map(reachable),
        "grpc_tls": running.grpc_tls,
        "console_url": console,
        "scim_url": scim,
        "data_dir": data_dir,
    });
    let mut text = format!("Rollcall {} is ready.\n\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("  {name:10}{value}\n"));
        }
    };
    line("SCIM URL", scim);
    line("Console", console);
    line("gRPC", running.grpc.map(|address| format!("{address}{}", if running.grpc_tls { " (TLS)" } else { "" })));
    line("Data", Some(data_dir.display().to_string()));
    if running.role == "all" && has_no_organization(services).await {
        text.push_str(&next_steps(&settings.data_dir));
        if settings.listener_tls.is_some() {
            text.push_str("\ngRPC speaks TLS: give each command --grpc-ca FILE, the CA of the server's certificate.\n");
        }
    }
    tracing::info!(http = ?running.http, grpc = ?running.grpc, role = running.role, "ready");
    output::print(settings.output, &document, &text)
}

pub(crate) fn scim_url(public_url: &str) -> String {
    format!("{public_url}/scim/v2")
}

async fn has_no_organization(services: &Services) -> bool {
    let Some(service) = &services.identity else { return false };
    let mut client = OrganizationServiceClient::new(compose::here(service.routes()));
    let request = ListOrganizationsRequest { page_size: 1, page_token: String::new() };
    client.list_organizations(request).await.is_ok_and(|page| page.get_ref().organizations.is_empty())
}

fn next_steps(data_dir: &Path) -> String {
    let place = if data_dir == Path::new("rollcall-data") {
        String::new()
    } else {
        format!(" --data-dir {}", shell_word(&data_dir.to_string_lossy()))
    };
    format!(
        "\nThere is no organization yet. In another terminal:\n\n  \
           rollcall org create acme --name \"Acme\" --plan enterprise{place}\n  \
           rollcall scim enable acme{place}\n  \
           rollcall token create acme --description \"Okta\"{place}\n"
    )
}

/// Where HTTP would be reached if a server ran with these settings.
pub(crate) fn expected_public_url(settings: &Settings) -> String {
    let address = settings.http.parse::<SocketAddr>().map(|address| settings.public_url(address));
    address.unwrap_or_else(|_| format!("http://{}", settings.http))
}
