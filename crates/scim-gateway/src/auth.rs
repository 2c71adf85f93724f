//! Who asks: the bearer token, the organization it belongs to, its SCIM switch, its rate limit.
//! Applied to a router, never by matching paths. The plan is judged in identity-service, where the change is known.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Method, header::AUTHORIZATION, request::Parts};
use moka::future::Cache;
use scim::{
    ErrorKind,
    schema::{Types, parse_extension},
};
use sha2::{Digest as _, Sha256};
use tonic::Status;
use wire::{
    Reason,
    identity::{
        GetOrganizationRequest, ListSchemasRequest, ListSchemasResponse, Organization, SchemaExtension,
        get_organization_request::Key,
    },
    token::VerifyRequest,
};

use crate::{
    Clock,
    clients::Clients,
    error::{Failure, Result},
    extract::refuse,
    gateway::{Gateway, RequestId, Session},
    limits::Lane,
    reply,
};

/// How long an answer of either service is believed: a revoked token is refused, a closed switch is seen, within one
/// second everywhere.
const BELIEVED: Duration = Duration::from_millis(500);
/// How old an answer may be, counted from when it was asked for: it may have been long under way.
const OLDEST: Duration = Duration::from_millis(900);
/// The time for `Verify` and `GetOrganization`.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The one layer around everything under `/scim/v2`, unknown routes and wrong methods included.
pub(crate) async fn authenticate(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match let_in(&gateway, &parts).await {
        Ok(session) => {
            parts.extensions.insert(session);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(failure) => refuse(&parts.headers, body, failure).await.into_response(),
    }
}

async fn let_in(gateway: &Gateway, request: &Parts) -> Result<Session> {
    let deadline = Instant::now() + gateway.request_timeout;
    let request_id = request.extensions.get::<RequestId>().cloned().ok_or_else(Failure::internal)?;
    let digest: [u8; 32] = Sha256::digest(bearer(&request.headers)?).into();
    let token = gateway.verifier.token(digest, &request_id.0).await?;
    tracing::Span::current().record("rollcall.organization_id", &*token.organization);
    let settings = gateway.verifier.settings(&token.organization, &request_id.0).await?;
    let session = Session {
        gateway: gateway.clone(),
        organization: token.organization,
        token_id: token.id,
        request_id: request_id.0,
        types: settings.types,
        requests_per_second: settings.requests_per_second,
        deadline,
    };
    if let Some(lane) = lane(request) {
        session.admit(lane).await?;
    }
    if !settings.scim_enabled {
        return Err(Failure::new(
            ErrorKind::Forbidden,
            "SCIM is switched off for your organization. An administrator can switch it on: rollcall scim enable.",
        ));
    }
    Ok(session)
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
        return Err(Failure::no_credential(format!("The request carries no credential. {SEND}")));
    };
    let malformed = |what: &str| Failure::from(scim::Error::new(ErrorKind::Unauthorized, format!("{what} {SEND}")));
    if values.next().is_some() {
        return Err(malformed("The request carries more than one Authorization header."));
    }
    let text = value.to_str().map_err(|_| malformed("The Authorization header is not readable."))?;
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed("The Authorization header does not use the Bearer scheme."));
    }
    if token.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        return Err(malformed("The Authorization header says Bearer twice: paste the token alone into your client."));
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
    /// Microseconds since the epoch.
    expires_at: Option<i64>,
}

/// What the gateway needs of an organization.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) scim_enabled: bool,
    pub(crate) requests_per_second: Option<u32>,
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
    fn fresh(&self) -> bool {
        self.asked.elapsed() < OLDEST
    }
}

/// Asks the services, and remembers good answers for a moment.
pub(crate) struct Verifier {
    clients: Clients,
    clock: Clock,
    tokens: Cache<[u8; 32], Dated<Token>>,
    organizations: Cache<Arc<str>, Dated<Settings>>,
}

impl Verifier {
    pub(crate) fn new(clients: Clients, clock: Clock) -> Self {
        let tokens = Cache::builder().max_capacity(50_000).time_to_live(BELIEVED).build();
        let organizations = Cache::builder().max_capacity(50_000).time_to_live(BELIEVED).build();
        Self { clients, clock, tokens, organizations }
    }

    async fn token(&self, digest: [u8; 32], request_id: &str) -> Result<Token> {
        // Requests that come together ask once.
        let ask = async { Ok(Dated { asked: Instant::now(), value: self.verify(digest, request_id).await? }) };
        let answer = self.tokens.try_get_with(digest, ask).await.map_err(|failure: Arc<Failure>| (*failure).clone())?;
        let token = if answer.fresh() { answer.value } else { self.verify(digest, request_id).await? };
        // Expiry needs no look-up, so it holds to the moment.
        if token.expires_at.is_some_and(|at| at <= (self.clock)().as_microsecond()) {
            return Err(not_valid());
        }
        Ok(token)
    }

    async fn verify(&self, digest: [u8; 32], request_id: &str) -> Result<Token> {
        let request = VerifyRequest { secret_sha256: digest.to_vec().into() };
        let request = Gateway::call(request, request_id, LOOK_UP);
        let answer = look_up(self.clients.tokens.clone().verify(request)).await?;
        Ok(Token {
            organization: answer.organization_id.into(),
            id: answer.token_id.into(),
            expires_at: answer.expires_at.as_ref().map(wire::from_timestamp),
        })
    }

    /// A switch that is on is believed for a moment; one that is off is looked at again, so that switching on counts
    /// at once.
    async fn settings(&self, organization: &Arc<str>, request_id: &str) -> Result<Settings> {
        let remembered = self.organizations.get(organization).await.filter(Dated::fresh);
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
        let Organization { scim_enabled, requests_per_second, .. } = settings;
        let value = Settings { scim_enabled, requests_per_second, types: types(&schemas)? };
        self.organizations.insert(Arc::clone(organization), Dated { asked, value: value.clone() }).await;
        Ok(value)
    }

    /// Whether both services answer, in words for whoever runs this server.
    pub(crate) async fn ready(&self) -> Result<(), &'static str> {
        let verify = VerifyRequest { secret_sha256: vec![0; 32].into() };
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

fn not_valid() -> Failure {
    scim::Error::new(
        ErrorKind::Unauthorized,
        "This token is not valid: it is unknown, expired or revoked. Make a new one (rollcall token create) and put \
         it into your client.",
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
