//! Who asks: the bearer token, the addresses it is for, the organization it belongs to, its SCIM switch, its rate limit.
//! Applied to a router, never by matching paths. The plan is judged in identity-service, where the change is known.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, USER_AGENT},
    request::Parts,
};
use ipnet::IpNet;
use moka::future::Cache;
use scim::{
    ErrorKind,
    schema::{Types, parse_extension},
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tonic::Status;
use wire::{
    Reason,
    identity::{
        GetOrganizationRequest, ListSchemasRequest, ListSchemasResponse, Organization, SchemaExtension,
        get_organization_request::Key,
    },
    token::{VerifyRequest, VerifyResponse},
};

use crate::{
    Clock,
    client_address::ClientAddress,
    clients::Clients,
    error::{Failure, Result},
    extract::refuse,
    gateway::{Gateway, RequestId, Session},
    limits::{Lane, Place},
    lookups::Lookups,
    provisioning_log::Trail,
    refusals::{Crowded, LookUp, Refusals},
    reply,
    revocations::Revoked,
    scopes::Scopes,
    uses::Use,
};

/// How long an answer about a token is believed, counted from when it was asked for. A token that is revoked ends at once,
/// by [`Revoked`]; where that is not heard of it ends within five seconds.
const TOKEN_BELIEVED: Duration = Duration::from_millis(4500);
/// How long an answer about an organization is believed: a closed switch is seen within one second everywhere.
const BELIEVED: Duration = Duration::from_millis(500);
/// How old it may be, counted from when it was asked for: it may have been long under way.
const OLDEST: Duration = Duration::from_millis(900);
/// A credential that was valid is looked up at once whatever else comes from its address.
const KNOWN: Duration = Duration::from_secs(24 * 60 * 60);
/// For as long one that was not costs no other look-up, where its address has spent its budget. No secret becomes valid that
/// was sent before it was made.
const UNKNOWN: Duration = Duration::from_secs(60);
/// Credentials that are not known and are being looked up, each by a call of its own.
const ALONE: usize = 32;
/// How long it is believed that both services answer, or that one does not.
const READY: Duration = Duration::from_secs(1);
/// How an OAuth access token begins.
const ACCESS: &str = "rc_access_";
/// The time for `Verify` and `GetOrganization`.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The one layer around everything under `/scim/v2`, unknown routes and wrong methods included.
pub(crate) async fn authenticate(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let answer = match let_in(&gateway, &parts).await {
        Ok((session, place)) => {
            parts.extensions.insert(session);
            let answer = next.run(Request::from_parts(parts, body)).await;
            drop(place);
            answer
        }
        Err(failure) => refuse(&parts.headers, body, failure).await.into_response(),
    };
    if answer.status() == StatusCode::TOO_MANY_REQUESTS {
        tokio::time::sleep(gateway.refusal_pause).await;
    }
    answer
}

/// With a place, unless the body decides on which lane.
async fn let_in(gateway: &Gateway, request: &Parts) -> Result<(Session, Option<Place>)> {
    let deadline = Instant::now() + gateway.request_timeout;
    let trail = request.extensions.get::<Trail>().cloned().unwrap_or_default();
    let request_id = request.extensions.get::<RequestId>().cloned().ok_or_else(Failure::internal)?;
    let secret = bearer(&request.headers)?;
    let by_oauth = secret.starts_with(ACCESS);
    let digest: [u8; 32] = Sha256::digest(secret).into();
    let address = request.extensions.get::<ClientAddress>().map(|address| address.0);
    let token = gateway.verifier.token(digest, address, &request_id.0).await;
    let token = token.map_err(|failure| match failure.kind() {
        ErrorKind::Unauthorized if by_oauth => access_not_valid(),
        _ => failure,
    })?;
    let at = (gateway.clock)().as_microsecond();
    let user_agent = request.headers.get(USER_AGENT).cloned();
    gateway.uses.note(&token.id, Use { organization: Arc::clone(&token.organization), at, address, user_agent });
    tracing::Span::current().record("rollcall.organization_id", &*token.organization);
    trail.of(&token.organization, &token.lasting);
    let settings = gateway.verifier.settings(&token.organization, &request_id.0).await?;
    trail.settings(settings.watched_until.is_some_and(|until| at < until), &settings.types);
    let session = Session {
        gateway: gateway.clone(),
        room: gateway.room(&token.organization).await,
        organization: token.organization,
        token_id: token.lasting,
        scopes: token.scopes.by_oauth(by_oauth),
        request_id: request_id.0,
        types: settings.types,
        oauth: settings.oauth,
        requests_per_second: settings.requests_per_second,
        deadline,
        trail,
    };
    let place = match lane(request) {
        Some(lane) => Some(session.admit(lane).await?),
        None => None,
    };
    if !settings.scim_enabled {
        return Err(Failure::new(
            ErrorKind::Forbidden,
            "SCIM is switched off for your organization. An administrator can switch it on: rollcall scim enable.",
        )
        .because("scim_off"));
    }
    Ok((session, place))
}

/// The budget a request draws on; `None` where its body decides, see `routes::users` and `routes::bulk`.
fn lane(request: &Parts) -> Option<Lane> {
    let route = request.extensions.get::<MatchedPath>().map(|route| route.as_str().trim_end_matches('/'));
    match request.method {
        Method::DELETE => Some(Lane::Deprovisioning),
        Method::PUT | Method::PATCH if matches!(route, Some("/scim/v2/Users/{id}" | "/scim/v2/Groups/{id}")) => None,
        Method::POST if route == Some("/scim/v2/Bulk") => None,
        _ => Some(Lane::Main),
    }
}

/// The token of `Authorization: Bearer`, RFC 6750 section 2.1. In no other place is one looked for.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str> {
    const SEND: &str = "Send the SCIM token as: Authorization: Bearer rc_scim_...";
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(
            Failure::no_credential(format!("The request carries no credential. {SEND}")).because("no_credential")
        );
    };
    let malformed =
        |what: &str| Failure::new(ErrorKind::Unauthorized, format!("{what} {SEND}")).because("malformed_token");
    if values.next().is_some() {
        return Err(malformed("The request carries more than one Authorization header.").because("two_credentials"));
    }
    let text = value.to_str().map_err(|_| malformed("The Authorization header is not readable."))?;
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") {
        let reason = if scheme.eq_ignore_ascii_case("basic") { "basic" } else { "no_bearer" };
        return Err(malformed("The Authorization header does not use the Bearer scheme.").because(reason));
    }
    if token.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        let what = "The Authorization header says Bearer twice: paste the token alone into your client.";
        return Err(malformed(what).because("bearer_twice"));
    }
    let token68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(token68) {
        return Err(malformed("The Authorization header holds no well-formed token."));
    }
    Ok(token)
}

/// A token that `Verify` accepted.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) organization: Arc<str>,
    pub(crate) id: Arc<str>,
    /// What events and idempotency keys go by: of an OAuth access token its grant, which outlives it.
    lasting: Arc<str>,
    /// Microseconds since the epoch.
    expires_at: Option<i64>,
    scopes: Scopes,
    /// Empty: from anywhere.
    allowed: Arc<[IpNet]>,
}

impl Token {
    /// A request that came over no connection comes from nowhere.
    fn allows(&self, address: Option<IpAddr>) -> bool {
        let inside = |address: &IpAddr| self.allowed.iter().any(|network| network.contains(address));
        self.allowed.is_empty() || address.as_ref().is_some_and(inside)
    }
}

/// What the gateway needs of an organization.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) scim_enabled: bool,
    pub(crate) oauth: bool,
    pub(crate) requests_per_second: Option<u32>,
    /// Until then reads are logged as well; microseconds since the epoch.
    pub(crate) watched_until: Option<i64>,
    pub(crate) types: Arc<Types>,
}

/// An answer and the moment it was asked for: its age counts from there, since what it says may have changed while it
/// was under way.
#[derive(Clone, Debug)]
struct Dated<T> {
    asked: Instant,
    value: T,
}

impl<T> Dated<T> {
    fn within(&self, age: Duration) -> bool {
        self.asked.elapsed() < age
    }
}

/// Why a credential has no good answer.
#[derive(Debug)]
pub(crate) enum Guarded<E> {
    /// Nobody had it a moment ago, and its address has spent its budget.
    Unknown,
    /// Too many are being looked up already.
    Crowded,
    Failed(E),
}

/// Asks the services, and remembers good answers for a moment.
pub(crate) struct Verifier {
    clients: Clients,
    clock: Clock,
    tokens: Cache<[u8; 32], Dated<Token>>,
    known: Cache<[u8; 32], ()>,
    unknown: Cache<[u8; 32], ()>,
    refusals: Refusals,
    /// Who is looked up alone: what comes beside is looked up with others.
    alone: Semaphore,
    lookups: Lookups,
    revoked: Revoked,
    organizations: Cache<Arc<str>, Dated<Settings>>,
    ready: Cache<(), Result<(), &'static str>>,
}

impl Verifier {
    pub(crate) fn new(clients: Clients, clock: Clock, revoked: Revoked, lookups: Lookups) -> Self {
        let tokens = Cache::builder().max_capacity(50_000).time_to_live(TOKEN_BELIEVED).build();
        let organizations = Cache::builder().max_capacity(50_000).time_to_live(BELIEVED).build();
        let known = Cache::builder().max_capacity(50_000).time_to_idle(KNOWN).build();
        let unknown = Cache::builder().max_capacity(50_000).time_to_live(UNKNOWN).build();
        let (refusals, alone) = (Refusals::new(), Semaphore::new(ALONE));
        let ready = Cache::builder().max_capacity(1).time_to_live(READY).build();
        Self { clients, clock, tokens, known, unknown, refusals, alone, lookups, revoked, organizations, ready }
    }

    async fn token(&self, digest: [u8; 32], address: Option<IpAddr>, request_id: &str) -> Result<Token> {
        // Requests that come together ask once.
        let ask =
            async { Ok(Dated { asked: Instant::now(), value: self.in_turn(digest, address, request_id).await? }) };
        let answer = self.tokens.try_get_with(digest, ask).await.map_err(|failure: Arc<Failure>| (*failure).clone())?;
        let token = if answer.within(TOKEN_BELIEVED) { answer.value } else { self.verify(digest, request_id).await? };
        // Expiry needs no look-up, so it holds to the moment.
        if token.expires_at.is_some_and(|at| at <= (self.clock)().as_microsecond()) {
            return Err(not_valid());
        }
        // One answer for all, so that none of them is a sign of another.
        if self.revoked.contains(&token.id) {
            return Err(not_valid());
        }
        if !token.allows(address) {
            // It waits and costs like one that nobody has.
            if let Some(address) = address {
                self.refuse(address).await;
            }
            return Err(not_valid());
        }
        Ok(token)
    }

    /// Looks any credential up, of which this is the digest, by `ask`; of those that are not known to be somebody's a few at
    /// once. Only a refusal waits for its turn. `refused`: whether a failure means that nobody has it, which the address
    /// pays for.
    pub(crate) async fn guarded<T, E>(
        &self,
        digest: [u8; 32],
        address: Option<IpAddr>,
        ask: impl Future<Output = std::result::Result<T, E>>,
        refused: impl Fn(&E) -> bool,
    ) -> std::result::Result<T, Guarded<E>> {
        self.guarded_in(digest, address, true, ask, refused).await
    }

    /// As [`Verifier::guarded`]. `place`: whether it needs one of the places for look-ups; what `ask` itself takes one for,
    /// as long as it needs it, does not.
    pub(crate) async fn guarded_in<T, E>(
        &self,
        digest: [u8; 32],
        address: Option<IpAddr>,
        place: bool,
        ask: impl Future<Output = std::result::Result<T, E>>,
        refused: impl Fn(&E) -> bool,
    ) -> std::result::Result<T, Guarded<E>> {
        let Some(address) = address else { return ask.await.map_err(Guarded::Failed) };
        let known = self.known.get(&digest).await.is_some();
        if !known && self.unknown.get(&digest).await.is_some() && self.refusals.is_spent(address).await {
            return Err(Guarded::Unknown);
        }
        let place =
            if known || !place { None } else { self.place(Some(address)).await.map_err(|Crowded| Guarded::Crowded)? };
        let asked = ask.await;
        drop(place);
        match &asked {
            Ok(_) => self.known.insert(digest, ()).await,
            Err(failure) if refused(failure) => {
                self.known.invalidate(&digest).await;
                self.unknown.insert(digest, ()).await;
                let turn = if known { None } else { Some(self.refusals.turn(address).await) };
                self.refusals.charge(address).await;
                drop(turn);
            }
            Err(_) => {}
        }
        asked.map_err(Guarded::Failed)
    }

    /// Waits, if need be, until something may be looked up for a credential from the address that is not known.
    pub(crate) async fn place(&self, address: Option<IpAddr>) -> std::result::Result<Option<LookUp<'_>>, Crowded> {
        match address {
            Some(address) => self.refusals.place(address).await.map(Some),
            None => Ok(None),
        }
    }

    /// Looks a credential up; one that is not known to be somebody's together with others, where its address has shown too
    /// many that are nobody's. Only a refusal waits for its turn then.
    async fn in_turn(&self, digest: [u8; 32], address: Option<IpAddr>, request_id: &str) -> Result<Token> {
        let Some(address) = address else { return self.verify(digest, request_id).await };
        if self.known.get(&digest).await.is_some() {
            let verified = self.verify(digest, request_id).await;
            if is_nobodys(&verified) {
                self.known.invalidate(&digest).await;
                self.unknown.insert(digest, ()).await;
                self.refusals.charge(address).await;
            }
            return verified;
        }
        let spent = self.refusals.is_spent(address).await;
        if spent && self.unknown.get(&digest).await.is_some() {
            return Err(not_valid());
        }
        let alone = if spent { None } else { self.alone.try_acquire().ok() };
        let verified = if alone.is_some() {
            self.verify(digest, request_id).await
        } else {
            self.verify_among_others(digest, address).await
        };
        drop(alone);
        if verified.is_ok() {
            self.known.insert(digest, ()).await;
        } else if is_nobodys(&verified) {
            self.unknown.insert(digest, ()).await;
            self.refuse(address).await;
        }
        verified
    }

    /// Waits for the turn of a refusal.
    async fn refuse(&self, address: IpAddr) {
        let turn = self.refusals.turn(address).await;
        self.refusals.charge(address).await;
        drop(turn);
    }

    async fn verify_among_others(&self, digest: [u8; 32], address: IpAddr) -> Result<Token> {
        let verdict = tokio::time::timeout(LOOK_UP, self.lookups.of(address, digest)).await;
        match verdict.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))) {
            Ok(Some(answer)) => token(answer),
            Ok(None) => Err(not_valid()),
            Err(status) => Err(status.into()),
        }
    }

    async fn verify(&self, digest: [u8; 32], request_id: &str) -> Result<Token> {
        let request = VerifyRequest { secret_sha256: digest.to_vec().into(), restrictions_enforced: true };
        let request = Gateway::call(request, request_id, LOOK_UP);
        let answer = look_up(self.clients.tokens.clone().verify(request)).await?;
        token(answer)
    }

    /// A switch that is on is believed for a moment; one that is off is looked at again, so that switching on counts
    /// at once.
    async fn settings(&self, organization: &Arc<str>, request_id: &str) -> Result<Settings> {
        let remembered = self.organizations.get(organization).await.filter(|settings| settings.within(OLDEST));
        if let Some(settings) = remembered.filter(|settings| settings.value.scim_enabled) {
            return Ok(settings.value);
        }
        let asked = Instant::now();
        let request = GetOrganizationRequest { key: Some(Key::Id(organization.to_string())) };
        let request = Gateway::call(request, request_id, LOOK_UP);
        let of_schemas = ListSchemasRequest { organization_id: organization.to_string() };
        let of_schemas = Gateway::call(of_schemas, request_id, LOOK_UP);
        let (mut settings, mut schemas) = (self.clients.organizations.clone(), self.clients.organizations.clone());
        let (settings, schemas) =
            tokio::try_join!(look_up(settings.get_organization(request)), look_up(schemas.list_schemas(of_schemas)))?;
        let Organization { scim_enabled, requests_per_second, oauth_entitled: oauth, requests_watched_until, .. } =
            settings;
        let watched_until = requests_watched_until.as_ref().map(wire::from_timestamp);
        let value = Settings { scim_enabled, oauth, requests_per_second, watched_until, types: types(&schemas)? };
        self.organizations.insert(Arc::clone(organization), Dated { asked, value: value.clone() }).await;
        Ok(value)
    }

    /// Whether both services answer, in words for whoever runs this server. However often it is asked, they are asked once a
    /// second.
    pub(crate) async fn ready(&self) -> Result<(), &'static str> {
        self.ready.get_with((), self.both_answer()).await
    }

    async fn both_answer(&self) -> Result<(), &'static str> {
        let verify = VerifyRequest { secret_sha256: vec![0; 32].into(), restrictions_enforced: true };
        let organization = GetOrganizationRequest { key: Some(Key::Id(uuid::Uuid::nil().to_string())) };
        let mut tokens = self.clients.tokens.clone();
        let mut organizations = self.clients.organizations.clone();
        let (token, identity) = tokio::join!(
            answers(tokens.verify(Gateway::call(verify, "readyz", LOOK_UP)), Reason::TokenInvalid),
            answers(
                organizations.get_organization(Gateway::call(organization, "readyz", LOOK_UP)),
                Reason::OrganizationNotFound
            ),
        );
        match (identity, token) {
            (true, true) => Ok(()),
            (false, true) => Err("not ready: identity-service does not answer"),
            (true, false) => Err("not ready: token-service does not answer"),
            (false, false) => Err("not ready: neither identity-service nor token-service answers"),
        }
    }
}

fn token(answer: VerifyResponse) -> Result<Token> {
    let allowed = answer.allowed_cidrs.iter().map(|network| network.parse()).collect::<Result<_, _>>();
    let lasting = if answer.grant_id.is_empty() { &answer.token_id } else { &answer.grant_id };
    Ok(Token {
        lasting: lasting.as_str().into(),
        organization: answer.organization_id.into(),
        id: answer.token_id.into(),
        expires_at: answer.expires_at.as_ref().map(wire::from_timestamp),
        scopes: Scopes::named(&answer.scopes),
        allowed: allowed.map_err(|_| reply::not_ours("a network that cannot be read"))?,
    })
}

/// Not one that could not be looked up.
fn is_nobodys(verified: &Result<Token>) -> bool {
    verified.as_ref().is_err_and(|failure| failure.kind() == ErrorKind::Unauthorized)
}

fn not_valid() -> Failure {
    scim::Error::new(
        ErrorKind::Unauthorized,
        "This token is not valid: it is unknown, expired, revoked, or not allowed from the address you call from. \
         `rollcall token list` shows which; make a new one (rollcall token create) and put it into your client.",
    )
    .into()
}

/// The same of what looks like an access token: what was shown decides alone, so nothing is told of what there is.
fn access_not_valid() -> Failure {
    scim::Error::new(
        ErrorKind::Unauthorized,
        "This OAuth access token is not valid: it is unknown, expired, revoked, or not allowed from the address you call from. \
         Fetch a new one at /oauth/token; if that is refused, too, `rollcall oauth client list` and `rollcall oauth grant list` \
         show why: connect again, or make a new client (rollcall oauth client create).",
    )
    .into()
}

fn types(schemas: &ListSchemasResponse) -> Result<Arc<Types>> {
    let unreadable = |_| reply::not_ours("a schema that cannot be read");
    let extension = |schema: &SchemaExtension| {
        let document = scim::json::parse_object(&schema.document_json).map_err(unreadable)?;
        parse_extension(&document).map_err(unreadable)
    };
    Ok(Types::with(schemas.schemas.iter().map(extension).collect::<Result<Vec<_>>>()?))
}

async fn look_up<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T> {
    let status = match tokio::time::timeout(LOOK_UP, call).await {
        Ok(Ok(answer)) => return Ok(answer.into_inner()),
        Ok(Err(status)) => status,
        Err(_) => Status::deadline_exceeded("no answer in time"),
    };
    match wire::refusal(&status).reason {
        Reason::TokenInvalid | Reason::OrganizationNotFound => Err(not_valid()),
        _ => Err(status.into()),
    }
}

/// Up means: it says what it must say of a thing that cannot exist.
async fn answers<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>, expected: Reason) -> bool {
    match tokio::time::timeout(Duration::from_secs(2), call).await {
        Ok(Err(status)) => wire::refusal(&status).reason == expected,
        Ok(Ok(_)) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn given(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).expect("header"))).collect()
    }

    #[test]
    fn a_bearer_token_is_read_in_any_case_of_the_scheme() {
        for value in ["Bearer rc_scim_a", "bearer rc_scim_a", "BEARER   rc_scim_a", "Bearer rc_scim_a "] {
            assert_eq!(bearer(&given(&[value])).expect("token"), "rc_scim_a", "{value}");
        }
        assert_eq!(bearer(&given(&["Bearer abc-._~+/09=="])).expect("token"), "abc-._~+/09==");
    }

    #[test]
    fn anything_else_is_401() {
        for values in [
            &[][..],
            &["non-token"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer\tx"],
            &["Bearer a b"],
            &["Bearer Bearer a"],
            &["Basic dXNlcjpwYXNz"],
            &["Bearera"],
            &["Bearer \"a\""],
            &["Bearer a", "Bearer a"],
            &[""],
        ] {
            let failure = bearer(&given(values)).expect_err("refused");
            assert_eq!(failure.kind(), ErrorKind::Unauthorized, "{values:?}");
            assert!(failure.detail().contains("Authorization: Bearer"), "{}", failure.detail());
        }
    }
}
