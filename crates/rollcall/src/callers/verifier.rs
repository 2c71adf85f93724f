//! What is known of service credentials: asked of token-service, remembered for a moment, forgotten when it tells of an end.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use moka::future::Cache;
use scim_gateway::{Crowded, Refusals};
use tokio::sync::watch;
use tonic::{Request, Status, service::interceptor::InterceptedService};
use tracing::Instrument as _;
use wire::{
    Reason, Transport,
    token::{
        Revocations, VerifyServiceCredentialRequest, service_credential_service_client::ServiceCredentialServiceClient,
        token_service_client::TokenServiceClient,
    },
};

use super::scopes::Scopes;

/// How long an answer is believed, counted from when it was asked for. One that token-service takes back ends at once; where
/// that is not heard of it ends within five seconds.
const BELIEVED: Duration = Duration::from_millis(4500);
/// What has lasted since before this is asked for again, while there is time for a second attempt.
const RENEWED: Duration = Duration::from_secs(3);
/// Whatever is not known to be valid by then has ended.
const OLDEST: Duration = Duration::from_secs(5);
const LOOK_UP: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(250);
/// An answer that takes less is over before anything is asked for it.
const SHORT: Duration = Duration::from_millis(100);
/// Longer than any answer is believed or under way.
const KEPT: Duration = Duration::from_secs(15);
/// A secret that was valid is looked up at once whatever else comes from its address.
const KNOWN: Duration = Duration::from_secs(24 * 60 * 60);
/// As long one that was not costs no other look-up where its address has spent its budget: it never becomes valid.
const UNKNOWN: Duration = Duration::from_secs(60);
/// The names of a certificate may be given a credential at any time.
const NAMES_UNKNOWN: Duration = Duration::from_secs(1);
const MOST: u64 = 10_000;

/// What a caller showed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shown {
    /// The SHA-256 of a bearer secret.
    Secret([u8; 32]),
    /// The names in a certificate that was verified.
    Certificate(Arc<[String]>),
}

/// A credential that is valid.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) scopes: Scopes,
    /// Microseconds since the epoch.
    expires_at: Option<i64>,
    asked: Instant,
}

/// Why a call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Unknown, expired or revoked.
    Invalid,
    /// token-service did not answer: nothing is known.
    Unknown,
}

type Traced = InterceptedService<Transport, fn(Request<()>) -> Result<Request<()>, Status>>;

/// Clones share what they know.
#[derive(Clone)]
pub(crate) struct Verifier(Arc<Inner>);

struct Inner {
    client: ServiceCredentialServiceClient<Traced>,
    clock: scim_gateway::Clock,
    believed: Cache<Shown, Grant>,
    known: Cache<Shown, ()>,
    unknown: Cache<Shown, ()>,
    names_unknown: Cache<Shown, ()>,
    refusals: Refusals,
    /// When an end of a credential was told of last: answers that were asked for before that are void.
    ended: Mutex<HashMap<Arc<str>, Instant>>,
    /// Changes with each of them.
    told: watch::Sender<u64>,
    /// token-service does not answer, and that was logged.
    failing: AtomicBool,
}

impl Verifier {
    pub(crate) fn new(token: Transport, clock: scim_gateway::Clock) -> Self {
        let lasting = |time: Duration| Cache::builder().max_capacity(MOST).time_to_live(time).build();
        Self(Arc::new(Inner {
            client: ServiceCredentialServiceClient::new(InterceptedService::new(
                token,
                telemetry::inject as fn(_) -> _,
            )),
            clock,
            believed: Cache::builder().max_capacity(MOST).time_to_live(BELIEVED).build(),
            known: Cache::builder().max_capacity(MOST).time_to_idle(KNOWN).build(),
            unknown: lasting(UNKNOWN),
            names_unknown: lasting(NAMES_UNKNOWN),
            refusals: Refusals::new(),
            ended: Mutex::default(),
            told: watch::Sender::new(0),
            failing: AtomicBool::new(false),
        }))
    }

    /// Hears of what ends, for ever.
    pub(crate) async fn listen(self, token: Transport) {
        let heard = |message: Revocations| {
            let this = Arc::clone(&self.0);
            async move {
                if message.service_credential_ids.is_empty() {
                    return;
                }
                this.end(message.service_credential_ids);
                this.told.send_modify(|count| *count += 1);
            }
        };
        wire::revocations::follow(TokenServiceClient::new(token), heard).await;
    }

    /// Whose credential this is.
    pub(crate) async fn verify(&self, shown: &Shown, address: Option<IpAddr>) -> Result<Grant, Refused> {
        self.no_older(shown, address, BELIEVED).await
    }

    async fn no_older(&self, shown: &Shown, address: Option<IpAddr>, age: Duration) -> Result<Grant, Refused> {
        for _ in 0..3 {
            let grant = match self.0.believed.get(shown).await {
                Some(grant) => grant,
                None => self.asked(shown, address).await?,
            };
            if grant.asked.elapsed() < age && !self.0.is_void(&grant) {
                // Expiry needs no look-up, so it holds to the moment.
                return if self.0.has_expired(&grant) { Err(Refused::Invalid) } else { Ok(grant) };
            }
            self.0.believed.invalidate(shown).await;
        }
        Err(Refused::Unknown)
    }

    /// Calls that come together ask once. In a task of its own: whoever asks may go away, or not be polled while its client
    /// does not read, and the others wait for the same answer.
    async fn asked(&self, shown: &Shown, address: Option<IpAddr>) -> Result<Grant, Refused> {
        let (this, shown) = (Arc::clone(&self.0), shown.clone());
        let asking = async move {
            let ask = this.in_turn(&shown, address);
            this.believed.try_get_with(shown.clone(), ask).await.map_err(|refused| *refused)
        };
        tokio::spawn(asking.in_current_span()).await.unwrap_or(Err(Refused::Unknown))
    }

    /// Ends when the credential does; says why.
    pub(crate) async fn lasts(self, shown: Shown, mut grant: Grant) -> Refused {
        let mut told = self.0.told.subscribe();
        loop {
            if !self.0.is_void(&grant) {
                if self.0.has_expired(&grant) {
                    return Refused::Invalid;
                }
                let expiry = self.0.until_expiry(&grant).unwrap_or(Duration::MAX);
                let renewal = RENEWED.saturating_sub(grant.asked.elapsed()).max(SHORT);
                tokio::select! {
                    () = tokio::time::sleep(expiry.min(renewal)) => {}
                    changed = told.changed() => if changed.is_err() { return Refused::Unknown },
                }
                if !self.0.is_void(&grant) && grant.asked.elapsed() < RENEWED {
                    continue;
                }
            }
            match self.renewed(&shown, &grant).await {
                Ok(renewed) => grant = renewed,
                Err(refused) => return refused,
            }
        }
    }

    async fn renewed(&self, shown: &Shown, grant: &Grant) -> Result<Grant, Refused> {
        let left = OLDEST.saturating_sub(grant.asked.elapsed());
        let ask = async {
            loop {
                match self.no_older(shown, None, RENEWED).await {
                    Err(Refused::Unknown) => tokio::time::sleep(RETRY).await,
                    answer => return answer,
                }
            }
        };
        tokio::time::timeout(left, ask).await.unwrap_or(Err(Refused::Unknown))
    }
}

impl Inner {
    fn end(&self, ids: Vec<String>) {
        let now = Instant::now();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, at| at.elapsed() < KEPT);
        ended.extend(ids.into_iter().map(|id| (Arc::from(id), now)));
    }

    /// Whether it was asked for before something of the credential ended.
    fn is_void(&self, grant: &Grant) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.get(&grant.id).is_some_and(|at| grant.asked <= *at)
    }

    fn has_expired(&self, grant: &Grant) -> bool {
        grant.expires_at.is_some_and(|at| at <= (self.clock)().as_microsecond())
    }

    fn until_expiry(&self, grant: &Grant) -> Option<Duration> {
        let micros = grant.expires_at?.saturating_sub((self.clock)().as_microsecond());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// Looks a credential up; of secrets that are not known to be somebody's a few at once. Only a refusal waits for its turn.
    async fn in_turn(&self, shown: &Shown, address: Option<IpAddr>) -> Result<Grant, Refused> {
        let (Shown::Secret(_), Some(address)) = (shown, address) else {
            if self.names_unknown.contains_key(shown) {
                return Err(Refused::Invalid);
            }
            let answer = self.ask(shown).await;
            if matches!((&answer, shown), (Err(Refused::Invalid), Shown::Certificate(_))) {
                self.names_unknown.insert(shown.clone(), ()).await;
            }
            return answer;
        };
        let known = self.known.contains_key(shown);
        if !known && self.unknown.contains_key(shown) && self.refusals.is_spent(address).await {
            return Err(Refused::Invalid);
        }
        let place =
            if known { None } else { Some(self.refusals.place(address).await.map_err(|Crowded| Refused::Unknown)?) };
        let answer = self.ask(shown).await;
        drop(place);
        match &answer {
            Ok(_) => self.known.insert(shown.clone(), ()).await,
            Err(Refused::Invalid) => {
                self.known.invalidate(shown).await;
                self.unknown.insert(shown.clone(), ()).await;
                let turn = if known { None } else { Some(self.refusals.turn(address).await) };
                self.refusals.charge(address).await;
                drop(turn);
            }
            Err(Refused::Unknown) => {}
        }
        answer
    }

    async fn ask(&self, shown: &Shown) -> Result<Grant, Refused> {
        let asked = Instant::now();
        let request = match shown {
            Shown::Secret(digest) => {
                VerifyServiceCredentialRequest { secret_sha256: digest.to_vec().into(), tls_identities: Vec::new() }
            }
            Shown::Certificate(names) => {
                VerifyServiceCredentialRequest { secret_sha256: Vec::new().into(), tls_identities: names.to_vec() }
            }
        };
        let mut client = self.client.clone();
        let status = match tokio::time::timeout(LOOK_UP, client.verify_service_credential(request)).await {
            Ok(Ok(answer)) => {
                self.failing.store(false, Ordering::Relaxed);
                let answer = answer.into_inner();
                return Ok(Grant {
                    id: answer.id.into(),
                    name: answer.name.into(),
                    scopes: Scopes::named(&answer.scopes),
                    expires_at: answer.expires_at.as_ref().map(wire::from_timestamp),
                    asked,
                });
            }
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("no answer in time"),
        };
        match wire::refusal(&status).reason {
            // Not CREDENTIAL_INVALID: that is said of the admin credential of this process, if it is not token-service's.
            Reason::TokenInvalid => {
                self.failing.store(false, Ordering::Relaxed);
                Err(Refused::Invalid)
            }
            reason => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    let reason = reason.as_str();
                    tracing::warn!(reason, "token-service cannot say whose a service credential is, none is let in");
                }
                Err(Refused::Unknown)
            }
        }
    }
}
