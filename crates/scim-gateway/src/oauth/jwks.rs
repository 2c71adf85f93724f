//! Where the keys of assertions are fetched, and for how long they are remembered.
//!
//! The address is one that an administrator gave to a client. All the same as little as possible can be done with it: https,
//! no redirect, no loopback, link-local or cloud metadata address, a few seconds, 64 KiB, once a minute, and nothing of the
//! answer is shown to anybody.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{HeaderValue, Request, StatusCode, Uri, header::ACCEPT};
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
use moka::future::Cache;
use tokio::sync::{Mutex, Semaphore};
use tower::Service;
use wire::token::OAuthTrust;

use super::jwt::{self, Assertion, Expected, Keys, Wrong};

/// The largest answer, bytes.
const LARGEST: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
/// Fetched anew after.
const FRESH: Duration = Duration::from_secs(3600);
/// Believed for as long where they cannot be fetched.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// At most one attempt in this time for an address, whoever shows what.
const INTERVAL: Duration = Duration::from_secs(60);

/// Assertions that are verified at once, each on a thread of its own.
const VERIFYING: usize = 2;

type Http = Client<HttpsConnector<HttpConnector<Resolver>>, Body>;

/// Key sets by their addresses.
pub(crate) struct KeySets {
    http: Http,
    /// Of a test's issuer, too.
    loopback: bool,
    sets: Cache<String, Arc<Mutex<Set>>>,
    verifying: Arc<Semaphore>,
}

#[derive(Default)]
struct Set {
    keys: Option<(Instant, Arc<Keys>)>,
    tried: Option<Instant>,
}

impl KeySets {
    pub(crate) fn new(loopback: bool) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver { system: GaiResolver::new(), loopback });
        tcp.set_connect_timeout(Some(PATIENCE));
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().with_webpki_roots();
        let tls = if loopback { tls.https_or_http() } else { tls.https_only() };
        Self {
            http: Client::builder(TokioExecutor::new()).build(tls.enable_http1().wrap_connector(tcp)),
            loopback,
            sets: Cache::builder().max_capacity(1000).time_to_idle(STALE).build(),
            verifying: Arc::new(Semaphore::new(VERIFYING)),
        }
    }

    /// The keys at this address; fetched again if they lack the one that the assertion names. None: there are none that can
    /// be believed.
    pub(super) async fn at(&self, uri: &str, assertion: &str) -> Option<Arc<Keys>> {
        let set = self.sets.get_with_by_ref(uri, async { Arc::default() }).await;
        // Those who come together fetch once.
        let mut set = set.lock().await;
        let good = |(fetched, keys): &(Instant, Arc<Keys>)| fetched.elapsed() < FRESH && !keys.lack(assertion);
        let due = set.tried.is_none_or(|tried| tried.elapsed() >= INTERVAL);
        if due && !set.keys.as_ref().is_some_and(good) {
            set.tried = Some(Instant::now());
            match tokio::time::timeout(PATIENCE, self.fetch(uri)).await.unwrap_or(Err("no answer in time")) {
                Ok(keys) => set.keys = Some((Instant::now(), Arc::new(keys))),
                Err(why) => tracing::warn!(uri, why, "the keys of an OAuth client's assertions cannot be fetched"),
            }
        }
        set.keys.as_ref().filter(|(fetched, _)| fetched.elapsed() < STALE).map(|(_, keys)| Arc::clone(keys))
    }

    /// [`jwt::verify`], beside what answers requests. `now`: seconds since the epoch.
    pub(super) async fn verify(
        &self,
        text: String,
        keys: Arc<Keys>,
        trust: OAuthTrust,
        now: i64,
    ) -> Result<Assertion, Wrong> {
        let place = Arc::clone(&self.verifying).acquire_owned().await;
        let verify = move || {
            let expected = Expected { issuer: &trust.issuer, subject: &trust.subject, audience: &trust.audience };
            let verified = jwt::verify(&text, &keys, expected, now);
            drop(place);
            verified
        };
        // What was not verified to its end has no good signature.
        tokio::task::spawn_blocking(verify).await.unwrap_or(Err(Wrong::Signature))
    }

    async fn fetch(&self, uri: &str) -> Result<Keys, &'static str> {
        let uri: Uri = uri.parse().map_err(|_| "the address cannot be read")?;
        self.allowed(&uri)?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
        let answer = self.http.request(request).await.map_err(|error| {
            tracing::info!(%error, "fetching keys");
            "the server cannot be reached, or its certificate is not trusted"
        })?;
        if answer.status() != StatusCode::OK {
            return Err("the answer is not 200; redirects are not followed");
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|_| "the answer is larger than 64 KiB, or broke off")?.to_bytes();
        Keys::parse(&body).ok_or("the answer is no JWK Set")
    }

    /// Names are looked at where they are resolved.
    fn allowed(&self, uri: &Uri) -> Result<(), &'static str> {
        let host = uri.host().ok_or("the address has no host")?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if literal.is_some_and(|address| !wire::is_outside(address, self.loopback)) {
            return Err("the address is loopback, link-local or a cloud's metadata");
        }
        let here = host == "localhost" || literal.is_some_and(|address| address.is_loopback());
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.loopback && here => Ok(()),
            _ => Err("only https is fetched from"),
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Router, response::Redirect, routing::get};

    use super::*;

    const KEY: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"AAAA"}]}"#;

    /// A token that names a key `x`, which is nowhere.
    const OTHER: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6IngifQ.e30.AA";
    /// One that names `k`.
    const ASSERTION: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.e30.AA";

    async fn issuer(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn keys_are_fetched_once_and_for_an_unknown_one_at_most_once_a_minute() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let keys = get(move || async move {
            count.fetch_add(1, Ordering::Relaxed);
            KEY
        });
        let uri = format!("{}/keys", issuer(Router::new().route("/keys", keys)).await);
        let sets = KeySets::new(true);
        let all = futures::future::join_all((0..20).map(|_| sets.at(&uri, ASSERTION))).await;
        assert!(all.iter().all(|keys| keys.as_ref().is_some_and(|keys| !keys.lack(ASSERTION))));
        for _ in 0..20 {
            assert!(sets.at(&uri, OTHER).await.expect("keys").lack(OTHER));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_no_key_set_is_not_believed() {
        let router = Router::new()
            .route("/moved", get(async || Redirect::temporary("/keys")))
            .route("/keys", get(async || KEY))
            .route("/large", get(async || format!("{KEY}{}", " ".repeat(LARGEST))))
            .route("/html", get(async || "<html>"));
        let base = issuer(router).await;
        let sets = KeySets::new(true);
        for path in ["/moved", "/large", "/html", "/missing"] {
            assert!(sets.at(&format!("{base}{path}"), ASSERTION).await.is_none(), "{path}");
        }
        assert!(sets.at(&format!("{base}/keys"), ASSERTION).await.is_some());
        let strict = KeySets::new(false);
        assert!(strict.at(&format!("{base}/keys"), ASSERTION).await.is_none(), "no TLS, and this machine");
        let tls = base.replace("http://", "https://");
        assert!(strict.at(&format!("{tls}/keys"), ASSERTION).await.is_none(), "this machine");
        let named = tls.replace("127.0.0.1", "localhost");
        assert!(strict.at(&format!("{named}/keys"), ASSERTION).await.is_none(), "this machine by its name");
    }
}
