//! Requests to OpenID providers: https, or http on this machine where the console itself is only there; no redirect, nothing
//! link-local or a cloud's metadata, a few seconds, 64 KiB, a few at once. An owner of any organization names a provider.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use http::Uri;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{
            HttpConnector,
            dns::{GaiResolver, Name},
        },
    },
    rt::TokioExecutor,
};
use openidconnect::{HttpRequest, HttpResponse};
use tokio::sync::{Semaphore, SemaphorePermit};
use tower::Service;

const LARGEST: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
/// At once, of all and of those that owners try out: these can name servers that do not answer, and may wait for each other
/// alone.
const PLACES: usize = 64;
const TRIALS: usize = 4;

/// For a person.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreached(&'static str);

pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Body>,
    loopback: bool,
    places: Semaphore,
    trials: Semaphore,
}

impl Http {
    pub(super) fn new(loopback: bool) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver { system: GaiResolver::new(), loopback });
        tcp.set_connect_timeout(Some(PATIENCE));
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().with_webpki_roots();
        let tls = if loopback { tls.https_or_http() } else { tls.https_only() };
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(tls.enable_http1().wrap_connector(tcp));
        Self { client, loopback, places: Semaphore::new(PLACES), trials: Semaphore::new(TRIALS) }
    }

    /// A place among those who try a provider out.
    pub(super) async fn trial(&self) -> Result<SemaphorePermit<'_>, Unreached> {
        let place = tokio::time::timeout(PATIENCE, self.trials.acquire()).await;
        place.ok().and_then(Result::ok).ok_or(Unreached("others are trying providers out; try again in a few seconds"))
    }

    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Unreached> {
        self.allowed(request.uri())?;
        let work = async {
            let _place = self.places.acquire().await.map_err(|_| Unreached("it cannot be asked now"))?;
            let answer = self.client.request(request.map(Body::from)).await.map_err(|error| {
                tracing::info!(%error, "asking an OpenID provider");
                Unreached("it cannot be reached, or its certificate is not trusted")
            })?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|_| Unreached("its answer is larger than 64 KiB, or broke off"))?;
            Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(Unreached("it does not answer within five seconds")))
    }

    /// Names are looked at where they are resolved.
    pub(super) fn allowed(&self, uri: &Uri) -> Result<(), Unreached> {
        let host = uri.host().ok_or(Unreached("its address has no host"))?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if literal.is_some_and(|address| !wire::is_outside(address, self.loopback)) {
            return Err(Unreached("its address is loopback, link-local or a cloud's metadata"));
        }
        let here = host == "localhost" || literal.is_some_and(|address| address.is_loopback());
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.loopback && here => Ok(()),
            _ => Err(Unreached("its address is not https")),
        }
    }
}

/// The system's, less what is not reachable.
#[derive(Clone)]
struct Resolver {
    system: GaiResolver,
    loopback: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, loopback) = (self.system.call(name), self.loopback);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                found.await?.filter(|address| wire::is_outside(address.ip(), loopback)).collect();
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_outside_and_over_tls_unless_the_console_is_on_this_machine() {
        let (public, local) = (Http::new(false), Http::new(true));
        let allowed = |http: &Http, uri: &str| http.allowed(&uri.parse().expect("uri")).is_ok();
        for uri in ["https://id.example.com/a", "https://10.0.0.7/"] {
            assert!(allowed(&public, uri) && allowed(&local, uri), "{uri}");
        }
        for uri in ["http://127.0.0.1:9", "http://localhost:9/x", "https://127.0.0.1"] {
            assert!(!allowed(&public, uri) && allowed(&local, uri), "{uri}");
        }
        for uri in ["http://id.example.com", "https://169.254.169.254/latest", "https://[fe80::1]/", "ftp://a.example"]
        {
            assert!(!allowed(&public, uri) && !allowed(&local, uri), "{uri}");
        }
    }
}
