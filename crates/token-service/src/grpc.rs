//! `rollcall.token.v1.TokenService`.

use std::str::FromStr;

use store::{Failure, Instant};
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::{
    Reason, Refusal, to_timestamp,
    token::{
        CreateScimTokenRequest, CreateScimTokenResponse, ListScimTokensRequest, ListScimTokensResponse,
        RevokeScimTokenRequest, RevokeScimTokenResponse, ScimToken, VerifyRequest, VerifyResponse,
        token_service_server::TokenService,
    },
};

use crate::{
    Service,
    caller::Caller,
    error::refusal,
    secret::Secret,
    store::{self as tokens, EventId, Kind, OrgId, Token, TokenId},
};

const LONGEST_DESCRIPTION: usize = 200;
const DEFAULT_TTL_DAYS: u32 = 365;
const LONGEST_TTL_DAYS: u32 = 3650;
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

#[tonic::async_trait]
impl TokenService for Service {
    async fn create_scim_token(
        &self,
        request: Request<CreateScimTokenRequest>,
    ) -> Result<Response<CreateScimTokenResponse>, Status> {
        Ok(Response::new(self.create(request.into_inner()).await?))
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
        Ok(Response::new(self.revoke(request.into_inner()).await?))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        Ok(Response::new(self.verify_hash(request.into_inner()).await?))
    }
}

impl Service {
    async fn create(&self, request: CreateScimTokenRequest) -> Result<CreateScimTokenResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let description = description(&request.description)?;
        let created = self.inner.clock.now();
        let token = Token {
            org,
            id: TokenId(self.inner.ids.next()),
            description,
            created,
            expires: expiry(created, request.ttl_days)?,
            revoked: None,
            last_used: None,
        };
        let event = EventId(self.inner.ids.next());
        let secret = Secret::generate(&self.inner.random);
        let (row, hash) = (token.clone(), secret.sha256());
        let written = self.inner.db.write(move |connection| {
            tokens::token_insert(connection, org, &row, &hash)?;
            tokens::event_insert(connection, org, event, row.id, Kind::Created, &caller, created)?;
            Ok::<(), Failure<Refusal>>(())
        });
        written.await.map_err(refusal)?;
        Ok(CreateScimTokenResponse { token: Some(to_wire(token)), secret: secret.into_answer() })
    }

    async fn list(&self, request: ListScimTokensRequest) -> Result<ListScimTokensResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let listed = self.inner.db.read(move |connection| Ok(tokens::token_list(connection, org)?));
        let listed = listed.await.map_err(refusal)?;
        Ok(ListScimTokensResponse { tokens: listed.into_iter().map(to_wire).collect() })
    }

    async fn revoke(&self, request: RevokeScimTokenRequest) -> Result<RevokeScimTokenResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let id = TokenId::from_str(&request.id).map_err(|_| not_found())?;
        let at = self.inner.clock.now();
        let event = EventId(self.inner.ids.next());
        let revoked = self.inner.db.write(move |connection| {
            if tokens::token_revoke(connection, org, id, at)? {
                tokens::event_insert(connection, org, event, id, Kind::Revoked, &caller, at)?;
            }
            tokens::token_get(connection, org, id)?.ok_or_else(|| Failure::Refused(not_found()))
        });
        let token = revoked.await.map_err(refusal)?;
        Ok(RevokeScimTokenResponse { token: Some(to_wire(token)) })
    }

    async fn verify_hash(&self, request: VerifyRequest) -> Result<VerifyResponse, Refusal> {
        let hash: [u8; 32] =
            request.secret_sha256.as_ref().try_into().map_err(|_| {
                Refusal::new(Reason::InvalidArgument, "secret_sha256 must have the 32 bytes of a SHA-256.")
            })?;
        let found = self.inner.db.seek(move |connection| Ok(tokens::token_by_hash(connection, &hash)?));
        let found = found.await.map_err(refusal)?;
        let now = self.inner.clock.now();
        let grant = found
            .filter(|grant| grant.revoked.is_none() && grant.expires.is_none_or(|expires| now < expires))
            .ok_or_else(|| Refusal::new(Reason::TokenInvalid, "The token is not valid."))?;
        self.inner.usage.note(grant.org, grant.id, now);
        Ok(VerifyResponse {
            organization_id: grant.org.to_string(),
            token_id: grant.id.to_string(),
            expires_at: grant.expires.map(|expires| to_timestamp(expires.as_micros())),
        })
    }
}

fn not_found() -> Refusal {
    Refusal::new(Reason::TokenNotFound, "The organization has no token with this id.")
}

/// The nil UUID is refused, too: it is what a forgotten id looks like.
fn organization(text: &str) -> Result<OrgId, Refusal> {
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

fn expiry(created: Instant, ttl_days: Option<u32>) -> Result<Option<Instant>, Refusal> {
    match ttl_days.unwrap_or(DEFAULT_TTL_DAYS) {
        0 => Ok(None),
        days if days <= LONGEST_TTL_DAYS => Ok(Some(created.saturating_add_micros(i64::from(days) * DAY_MICROS))),
        days => Err(Refusal::new(
            Reason::InvalidArgument,
            format!(
                "A token cannot live for {days} days. Choose 1 to {LONGEST_TTL_DAYS}, or 0 for one that never expires."
            ),
        )),
    }
}

fn to_wire(token: Token) -> ScimToken {
    let timestamp = |instant: Instant| to_timestamp(instant.as_micros());
    ScimToken {
        id: token.id.to_string(),
        organization_id: token.org.to_string(),
        description: token.description,
        created_at: Some(timestamp(token.created)),
        expires_at: token.expires.map(timestamp),
        revoked_at: token.revoked.map(timestamp),
        last_used_at: token.last_used.map(timestamp),
    }
}
