//! `rollcall.token.v1.TokenService`: tokens made, listed, revoked and verified. Rotation and policies: [`crate::rotation`],
//! [`crate::policy`].

use std::{pin::Pin, str::FromStr};

use futures::Stream;
use store::{AnyConnection, Failure, Instant};
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::{
    Reason, Refusal, received, to_timestamp,
    token::{
        CreateScimTokenRequest, CreateScimTokenResponse, GetTokenPolicyRequest, IdentifiedToken, IdentifyTokensRequest,
        IdentifyTokensResponse, ListExpiryWarningsRequest, ListExpiryWarningsResponse, ListScimTokensRequest,
        ListScimTokensResponse, ReportScimTokenUsesRequest, ReportScimTokenUsesResponse, RetireScimTokenRequest,
        RetireScimTokenResponse, Revocations, RevokeScimTokenRequest, RevokeScimTokenResponse, RotateScimTokenRequest,
        RotateScimTokenResponse, ScimToken, ScimTokenUse, SetTokenPolicyRequest, TokenPolicy, TokenStanding,
        VerifiedToken, VerifyManyRequest, VerifyManyResponse, VerifyRequest, VerifyResponse, WatchRevocationsRequest,
        token_service_server::TokenService,
    },
};

use crate::{
    Service,
    caller::Caller,
    error::refusal,
    expiry::next_warning,
    policy::expiry,
    restrictions,
    secret::{SCIM_TOKEN, Secret},
    store::{self as tokens, EventId, Grant, Kind, OrgId, Token, TokenId, Use},
    usage::told,
};

const LONGEST_DESCRIPTION: usize = 200;
/// Of one `VerifyMany`.
const MOST_AT_ONCE: usize = 1000;

#[tonic::async_trait]
impl TokenService for Service {
    async fn create_scim_token(
        &self,
        request: Request<CreateScimTokenRequest>,
    ) -> Result<Response<CreateScimTokenResponse>, Status> {
        Ok(Response::new(self.create(received(request)?).await?))
    }

    async fn list_scim_tokens(
        &self,
        request: Request<ListScimTokensRequest>,
    ) -> Result<Response<ListScimTokensResponse>, Status> {
        Ok(Response::new(self.list(request.into_inner()).await?))
    }

    async fn revoke_scim_token(
        &self,
        request: Request<RevokeScimTokenRequest>,
    ) -> Result<Response<RevokeScimTokenResponse>, Status> {
        Ok(Response::new(self.revoke(received(request)?).await?))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        Ok(Response::new(self.verify_hash(request.into_inner()).await?))
    }

    async fn verify_many(&self, request: Request<VerifyManyRequest>) -> Result<Response<VerifyManyResponse>, Status> {
        Ok(Response::new(self.verify_hashes(request.into_inner()).await?))
    }

    async fn identify_tokens(
        &self,
        request: Request<IdentifyTokensRequest>,
    ) -> Result<Response<IdentifyTokensResponse>, Status> {
        Ok(Response::new(self.identify(request.into_inner()).await?))
    }

    async fn rotate_scim_token(
        &self,
        request: Request<RotateScimTokenRequest>,
    ) -> Result<Response<RotateScimTokenResponse>, Status> {
        Ok(Response::new(self.rotate(received(request)?).await?))
    }

    async fn retire_scim_token(
        &self,
        request: Request<RetireScimTokenRequest>,
    ) -> Result<Response<RetireScimTokenResponse>, Status> {
        Ok(Response::new(self.retire(received(request)?).await?))
    }

    async fn get_token_policy(&self, request: Request<GetTokenPolicyRequest>) -> Result<Response<TokenPolicy>, Status> {
        Ok(Response::new(self.policy(request.into_inner()).await?))
    }

    async fn set_token_policy(&self, request: Request<SetTokenPolicyRequest>) -> Result<Response<TokenPolicy>, Status> {
        Ok(Response::new(self.set_policy(received(request)?).await?))
    }

    async fn report_scim_token_uses(
        &self,
        request: Request<ReportScimTokenUsesRequest>,
    ) -> Result<Response<ReportScimTokenUsesResponse>, Status> {
        for used in request.into_inner().uses {
            self.note(&used);
        }
        Ok(Response::new(ReportScimTokenUsesResponse {}))
    }

    async fn list_expiry_warnings(
        &self,
        request: Request<ListExpiryWarningsRequest>,
    ) -> Result<Response<ListExpiryWarningsResponse>, Status> {
        Ok(Response::new(self.expiry_warnings(request.into_inner()).await?))
    }

    type WatchRevocationsStream = Pin<Box<dyn Stream<Item = Result<Revocations, Status>> + Send>>;

    async fn watch_revocations(
        &self,
        request: Request<WatchRevocationsRequest>,
    ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        let after = request.into_inner().after_position;
        Ok(Response::new(Box::pin(self.inner.feed.stream(self.inner.db.clone(), after))))
    }
}

/// A token to be made.
#[derive(Clone)]
pub(crate) struct New {
    pub(crate) description: String,
    pub(crate) scopes: String,
    pub(crate) allowed_cidrs: String,
    pub(crate) ttl_days: Option<u32>,
}

/// What is drawn before the transaction, which may run more than once.
#[derive(Clone)]
pub(crate) struct Drawn {
    id: TokenId,
    event: EventId,
    hash: [u8; 32],
    pub(crate) at: Instant,
}

impl Service {
    async fn create(&self, request: CreateScimTokenRequest) -> Result<CreateScimTokenResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let new = New {
            description: description(&request.description)?,
            scopes: restrictions::scopes(&request.scopes)?,
            allowed_cidrs: restrictions::cidrs(&request.allowed_cidrs)?,
            ttl_days: request.ttl_days,
        };
        let (drawn, secret) = self.draw();
        let written = self.inner.db.of(org).write(move |connection| insert(connection, org, &new, &drawn, &caller));
        let token = written.await.map_err(refusal)?;
        Ok(CreateScimTokenResponse { token: Some(to_wire(token, false)), secret: secret.into_answer() })
    }

    pub(crate) fn draw(&self) -> (Drawn, Secret) {
        let secret = Secret::generate(SCIM_TOKEN, &self.inner.random);
        let id = TokenId(self.inner.ids.next());
        let event = EventId(self.inner.ids.next());
        (Drawn { id, event, hash: secret.sha256(), at: self.inner.clock.now() }, secret)
    }

    async fn list(&self, request: ListScimTokensRequest) -> Result<ListScimTokensResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let listed = self.inner.db.of(org).read(move |connection| Ok(tokens::token_list(connection, org)?));
        let listed = listed.await.map_err(refusal)?;
        let used: Vec<TokenId> =
            listed.iter().filter(|token| token.last_used.is_some()).map(|token| token.id).collect();
        let successor_used = |token: &Token| token.successor.is_some_and(|successor| used.contains(&successor));
        let tokens = listed.into_iter().map(|token| (successor_used(&token), token));
        Ok(ListScimTokensResponse { tokens: tokens.map(|(used, token)| to_wire(token, used)).collect() })
    }

    async fn revoke(&self, request: RevokeScimTokenRequest) -> Result<RevokeScimTokenResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let id = TokenId::from_str(&request.id).map_err(|_| not_found())?;
        let at = self.inner.clock.now();
        let event = EventId(self.inner.ids.next());
        let revoked = self.inner.db.of(org).write(move |connection| {
            if tokens::token_revoke(connection, org, id, at)? {
                tokens::event_insert(connection, org, event, Some(id), Kind::Revoked, &caller, at)?;
            }
            let token = tokens::token_get(connection, org, id)?.ok_or_else(|| Failure::Refused(not_found()))?;
            let used = successor(connection, &token)?.is_some_and(|successor| successor.last_used.is_some());
            Ok((token, used))
        });
        let (token, successor_used) = revoked.await.map_err(refusal)?;
        self.inner.feed.poke();
        Ok(RevokeScimTokenResponse { token: Some(to_wire(token, successor_used)) })
    }

    async fn verify_hash(&self, request: VerifyRequest) -> Result<VerifyResponse, Refusal> {
        let hash = hash(&request.secret_sha256)?;
        let found = self.inner.db.across().seek(move |connection| Ok(tokens::token_by_hash(connection, &hash)?));
        let found = found.await.map_err(refusal)?;
        let now = self.inner.clock.now();
        let grant = found
            .filter(|grant| grant.holds(now))
            // A gateway of before would let it do everything.
            .filter(|grant| {
                request.restrictions_enforced || restrictions::unrestricted(&grant.scopes, &grant.allowed_cidrs)
            })
            .ok_or_else(|| Refusal::new(Reason::TokenInvalid, "The token is not valid."))?;
        if !request.restrictions_enforced {
            self.inner.usage.note(grant.org, grant.id, Use { at: now, address: None, user_agent: None });
        }
        Ok(verified(&grant))
    }

    async fn verify_hashes(&self, request: VerifyManyRequest) -> Result<VerifyManyResponse, Refusal> {
        let found = self.by_hashes(&request.secret_sha256).await?;
        let now = self.inner.clock.now();
        let valid = found.into_iter().filter(|(_, grant)| grant.holds(now));
        let named = |(hash, grant): (Vec<u8>, Grant)| VerifiedToken {
            secret_sha256: hash.into(),
            token: Some(verified(&grant)),
        };
        Ok(VerifyManyResponse { verified: valid.map(named).collect() })
    }

    async fn identify(&self, request: IdentifyTokensRequest) -> Result<IdentifyTokensResponse, Refusal> {
        let found = self.by_hashes(&request.secret_sha256).await?;
        let now = self.inner.clock.now();
        let named = |(hash, grant): (Vec<u8>, Grant)| {
            let standing = match (grant.revoked, grant.holds(now)) {
                (Some(_), _) => TokenStanding::Revoked,
                (None, true) => TokenStanding::Valid,
                (None, false) => TokenStanding::Expired,
            };
            IdentifiedToken {
                secret_sha256: hash.into(),
                organization_id: grant.org.to_string(),
                token_id: grant.id.to_string(),
                standing: standing.into(),
            }
        };
        Ok(IdentifyTokensResponse { tokens: found.into_iter().map(named).collect() })
    }

    /// Those that are known, valid or not.
    async fn by_hashes(&self, secret_sha256: &[impl AsRef<[u8]>]) -> Result<Vec<(Vec<u8>, Grant)>, Refusal> {
        let hashes = secret_sha256.iter().map(|bytes| hash(bytes.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if hashes.is_empty() || hashes.len() > MOST_AT_ONCE {
            let message = format!("secret_sha256 must be given 1 to {MOST_AT_ONCE} times.");
            return Err(Refusal::new(Reason::InvalidArgument, message));
        }
        let found = self.inner.db.across().read(move |connection| Ok(tokens::tokens_by_hash(connection, &hashes)?));
        found.await.map_err(refusal)
    }

    /// A use that makes no sense is left out: the gateway's other ones count.
    fn note(&self, used: &ScimTokenUse) {
        let (Ok(org), Ok(id)) = (organization(&used.organization_id), TokenId::from_str(&used.token_id)) else {
            return;
        };
        let now = self.inner.clock.now();
        // A clock that is ahead must not hide later uses.
        let at = used.used_at.as_ref().map_or(now, |at| Instant::from_micros(wire::from_timestamp(at)).min(now));
        let last = Use { at, address: told(&used.address), user_agent: told(&used.user_agent) };
        self.inner.usage.note(org, id, last);
    }
}

fn hash(bytes: &[u8]) -> Result<[u8; 32], Refusal> {
    bytes
        .try_into()
        .map_err(|_| Refusal::new(Reason::InvalidArgument, "secret_sha256 must have the 32 bytes of a SHA-256."))
}

fn verified(grant: &Grant) -> VerifyResponse {
    let stable = grant.oauth_grant.map(|id| id.0).or(grant.oauth_client.map(|id| id.0));
    VerifyResponse {
        organization_id: grant.org.to_string(),
        token_id: grant.id.to_string(),
        expires_at: grant.expires.map(|expires| to_timestamp(expires.as_micros())),
        scopes: restrictions::split(&grant.scopes),
        allowed_cidrs: restrictions::split(&grant.allowed_cidrs),
        grant_id: stable.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// One token and its event, in a transaction of the caller's.
pub(crate) fn insert(
    connection: &mut AnyConnection,
    org: OrgId,
    new: &New,
    drawn: &Drawn,
    caller: &Caller,
) -> Result<Token, Failure<Refusal>> {
    let policy = tokens::policy_get(connection, org)?;
    let token = Token {
        org,
        id: drawn.id,
        description: new.description.clone(),
        created: drawn.at,
        expires: expiry(policy, new.ttl_days, drawn.at).map_err(Failure::Refused)?,
        revoked: None,
        last_used: None,
        scopes: new.scopes.clone(),
        allowed_cidrs: new.allowed_cidrs.clone(),
        created_by: Some(caller.name().to_owned()),
        last_used_address: None,
        last_used_user_agent: None,
        successor: None,
    };
    tokens::token_insert(connection, org, &token, &drawn.hash, next_warning(token.expires, drawn.at))?;
    tokens::event_insert(connection, org, drawn.event, Some(token.id), Kind::Created, caller, drawn.at)?;
    Ok(token)
}

pub(crate) fn successor(connection: &mut AnyConnection, token: &Token) -> Result<Option<Token>, Failure<Refusal>> {
    let Some(id) = token.successor else { return Ok(None) };
    Ok(tokens::token_get(connection, token.org, id)?)
}

pub(crate) fn not_found() -> Refusal {
    Refusal::new(Reason::TokenNotFound, "The organization has no token with this id.")
}

/// The nil UUID is refused, too: it is what a forgotten id looks like.
pub(crate) fn organization(text: &str) -> Result<OrgId, Refusal> {
    match Uuid::from_str(text) {
        Ok(id) if !id.is_nil() => Ok(OrgId(id)),
        _ => Err(Refusal::new(Reason::InvalidArgument, "organization_id must be the UUID of an organization.")),
    }
}

fn description(text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refusal::new(
            Reason::InvalidArgument,
            "The description is empty. Say what the token is for, such as \"Okta production\".",
        ));
    }
    if text.chars().count() > LONGEST_DESCRIPTION {
        return Err(Refusal::new(
            Reason::InvalidArgument,
            format!("The description has more than {LONGEST_DESCRIPTION} characters. Shorten it."),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::new(
            Reason::InvalidArgument,
            "The description contains control characters or line breaks. Remove them.",
        ));
    }
    Ok(text.to_owned())
}

pub(crate) fn to_wire(token: Token, successor_used: bool) -> ScimToken {
    let timestamp = |instant: Instant| to_timestamp(instant.as_micros());
    ScimToken {
        id: token.id.to_string(),
        organization_id: token.org.to_string(),
        description: token.description,
        created_at: Some(timestamp(token.created)),
        expires_at: token.expires.map(timestamp),
        revoked_at: token.revoked.map(timestamp),
        last_used_at: token.last_used.map(timestamp),
        scopes: restrictions::split(&token.scopes),
        allowed_cidrs: restrictions::split(&token.allowed_cidrs),
        created_by: token.created_by.unwrap_or_default(),
        last_used_address: token.last_used_address.unwrap_or_default(),
        last_used_user_agent: token.last_used_user_agent.unwrap_or_default(),
        successor_id: token.successor.map(|id| id.to_string()).unwrap_or_default(),
        successor_used,
    }
}
