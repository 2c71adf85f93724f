//! Who may call the gRPC listener, and what: the admin credential everything, a service credential what its scopes allow, and
//! only as itself. Health answers everybody.
//!
//! Not here: making and keeping service credentials, which is token-service's.

mod scopes;
mod verifier;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body::{Frame, SizeHint};
use scim_gateway::Remainder;
use sha2::{Digest as _, Sha256};
use telemetry::Unrouted;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use wire::{CalledBy, Reason, Refusal, Transport};

pub(crate) use self::scopes::Scope;
use self::verifier::{Grant, Refused, Shown, Verifier};
use crate::{connections::Peer, credential::CredentialDigest};

const HEALTH: &str = "/grpc.health.v1.Health/";
/// Anything else is not looked up.
const SECRET: &[u8] = b"rc_svc_";
/// As many as can be asked for; a certificate with more is nobody's.
const MOST_NAMES: usize = 32;

/// Decides for every call. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Callers(Arc<Inner>);

struct Inner {
    admin: CredentialDigest,
    services: Option<Verifier>,
    /// That service credentials cannot be checked was logged.
    told: AtomicBool,
}

/// Who calls.
enum Caller {
    /// A part of Rollcall, or the command line.
    Administrator,
    Service(Shown, Grant),
}

impl Callers {
    /// `token`: where service credentials are asked for; without it none is let in.
    pub(crate) fn new(admin: CredentialDigest, token: Option<Transport>, clock: scim_gateway::Clock) -> Self {
        let services = token.map(|token| Verifier::new(token, clock));
        Self(Arc::new(Inner { admin, services, told: AtomicBool::new(false) }))
    }

    /// Hears of credentials that end, for ever.
    pub(crate) async fn listen(self, token: Transport) {
        match self.0.services.clone() {
            Some(services) => services.listen(token).await,
            None => std::future::pending().await,
        }
    }

    async fn identify(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Caller, Status> {
        let shown = match self.shown(headers, peer) {
            Ok(None) => return Ok(Caller::Administrator),
            Ok(Some(shown)) => shown,
            Err(Nothing) => return Err(unauthenticated()),
        };
        let Some(services) = &self.0.services else {
            if !self.0.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "a service credential was shown, and this process cannot check any: give it --token-url, http://HOST:PORT \
                     of `rollcall serve token`"
                );
            }
            return Err(unauthenticated());
        };
        let address = peer.and_then(|peer| peer.address).map(|address| address.ip().to_canonical());
        match services.verify(&shown, address).await {
            Ok(grant) => Ok(Caller::Service(shown, grant)),
            Err(refused) => Err(ended(refused)),
        }
    }

    /// What to look up; nothing for the admin credential. A header that is there decides, whatever the certificate says.
    fn shown(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Option<Shown>, Nothing> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        match (given.next(), given.next()) {
            (Some(value), None) => {
                let secret = bearer(value).ok_or(Nothing)?;
                if self.0.admin.matches(secret) {
                    Ok(None)
                } else if secret.starts_with(SECRET) {
                    Ok(Some(Shown::Secret(Sha256::digest(secret).into())))
                } else {
                    Err(Nothing)
                }
            }
            (None, _) => {
                let names = peer.map(|peer| &peer.names).filter(|names| (1..=MOST_NAMES).contains(&names.len()));
                let names = names.ok_or(Nothing)?;
                Ok(Some(Shown::Certificate(Arc::clone(names))))
            }
            (Some(_), Some(_)) => Err(Nothing),
        }
    }
}

/// No credential that could be looked up.
struct Nothing;

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, secret) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(secret)
}

/// One answer for all, so that none of them is a sign of another.
fn unauthenticated() -> Status {
    let message = "This call needs a credential that is valid: the header `authorization: Bearer rc_svc_...` or a client \
                   certificate of a service credential (rollcall service list shows them), or the server's admin \
                   credential.";
    Refusal::new(Reason::CredentialInvalid, message).into()
}

fn ended(refused: Refused) -> Status {
    match refused {
        Refused::Invalid => unauthenticated(),
        Refused::Unknown => {
            let message = "Service credentials cannot be checked at the moment. Try again shortly.";
            Refusal::new(Reason::Unavailable, message).into()
        }
    }
}

/// As the server says it to those who may do anything.
fn unimplemented() -> Status {
    Status::unimplemented("There is no such rpc here. Reflection (grpc.reflection.v1) lists them.")
}

fn lacking(name: &str, missing: Scope) -> Status {
    let message = format!(
        "The service credential {name} lacks the scope {missing}. Create one that has it: rollcall service create NAME \
         --scope {missing}."
    );
    Refusal::new(Reason::ScopeMissing, message).into()
}

impl<S> Layer<S> for Callers {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded { inner, callers: self.clone() }
    }
}

/// What [`Callers`] makes of a server.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    callers: Callers,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().starts_with(HEALTH) {
            return Box::pin(self.inner.call(request));
        }
        let mut request = request.map(|body| Body::new(Remainder::of(body)));
        // The one that is ready is used; its clone may not be.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let callers = self.callers.clone();
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().cloned();
            let (shown, grant) = match callers.identify(request.headers(), peer.as_ref()).await {
                Ok(Caller::Administrator) => return inner.call(request).await,
                Ok(Caller::Service(shown, grant)) => (shown, grant),
                Err(status) => return Ok(refusing(status)),
            };
            let Grant { name, scopes, .. } = &grant;
            if let Err(missing) = scopes.allow(request.uri().path()) {
                return Ok(refusing(missing.map_or_else(unimplemented, |missing| lacking(name, missing))));
            }
            request.extensions_mut().insert(CalledBy { name: Arc::clone(name), administers: scopes.administers() });
            let Some(services) = callers.0.services.clone() else { return Ok(refusing(unauthenticated())) };
            let over = CancellationToken::new();
            let until = Box::pin(over.clone().cancelled_owned());
            let answer = inner.call(request.map(|body| Body::new(Until { body, until }))).await?;
            let lasts = Box::pin(services.lasts(shown, grant));
            let over = over.drop_guard();
            Ok(answer.map(|body| Body::new(Lasting { open: Some((body, over)), lasts })))
        })
    }
}

fn refusing(status: Status) -> Response<Body> {
    let mut response = status.into_http();
    response.extensions_mut().insert(Unrouted);
    response
}

/// What a call sends, until the answer to it is over: nobody reads on then, and a stream of requests that goes on would keep
/// the connection from ending.
struct Until {
    body: Body,
    until: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

/// An answer that ends when the credential does it was given for: a stream may last for days.
struct Lasting {
    /// Absent: it has ended.
    open: Option<(Body, DropGuard)>,
    lasts: Pin<Box<dyn Future<Output = Refused> + Send>>,
}

impl http_body::Body for Lasting {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some((body, _)) = &mut this.open else { return Poll::Ready(None) };
        if let Poll::Ready(refused) = this.lasts.as_mut().poll(cx) {
            this.open = None;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(match ended(refused).add_header(&mut trailers) {
                Ok(()) => Ok(Frame::trailers(trailers)),
                Err(status) => Err(status),
            }));
        }
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.open.as_ref().is_none_or(|(body, _)| http_body::Body::is_end_stream(body))
    }

    fn size_hint(&self) -> SizeHint {
        // It may end before it is whole.
        SizeHint::default()
    }
}
