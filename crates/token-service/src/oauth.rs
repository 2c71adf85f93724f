//! OAuth 2.0 for SCIM clients: `rollcall.token.v1.OAuthService`.
//!
//! Clients are made, and approvals given, by administrators ([`clients`]); the gateway, which speaks OAuth over HTTP, asks
//! for codes and tokens ([`tokens`]). What a request has to look like stands in [`check`]. An access token is a row among
//! the SCIM tokens, so all that verifies, uses and revokes those does it for these.

mod check;
mod clients;
mod tokens;

use std::{convert::Infallible, str::FromStr as _, time::Duration};

use store::{Clock, Db, Failure, Instant};
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use wire::{
    Entitlement, Reason, Refusal, received, to_timestamp,
    token::{
        ApproveOAuthAuthorizationRequest, ApproveOAuthAuthorizationResponse, CreateOAuthApprovalRequest,
        CreateOAuthApprovalResponse, CreateOAuthClientRequest, CreateOAuthClientResponse, GetOAuthClientRequest,
        IssueOAuthTokenRequest, IssueOAuthTokenResponse, ListOAuthClientsRequest, ListOAuthClientsResponse,
        ListOAuthGrantsRequest, ListOAuthGrantsResponse, OAuthClient, OAuthClientCredential, OAuthGrant, OAuthTrust,
        RetireOAuthSecretRequest, RetireOAuthSecretResponse, RevokeOAuthClientRequest, RevokeOAuthClientResponse,
        RevokeOAuthGrantRequest, RevokeOAuthGrantResponse, RevokeOAuthTokenRequest, RevokeOAuthTokenResponse,
        RotateOAuthSecretRequest, RotateOAuthSecretResponse, o_auth_client_credential::Proof,
        o_auth_service_server::OAuthService,
    },
};

use crate::{
    Service,
    caller::Caller,
    error::refusal,
    restrictions,
    store::{
        ClientId, EventId, GrantId, Kind, OrgId,
        oauth::{self, Client, Grant, Kept},
        oauth_event_insert,
    },
};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60 * SECOND;

macro_rules! rpcs {
    ($($rpc:ident($request:ident) -> $answer:ident = $method:ident($message:path);)*) => {
        #[tonic::async_trait]
        impl OAuthService for Service {
            $(async fn $rpc(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                Ok(Response::new(self.$method($message(request)?).await?))
            })*
        }
    };
}

rpcs! {
    create_o_auth_client(CreateOAuthClientRequest) -> CreateOAuthClientResponse = oauth_client_create(received);
    list_o_auth_clients(ListOAuthClientsRequest) -> ListOAuthClientsResponse = oauth_client_list(plain);
    revoke_o_auth_client(RevokeOAuthClientRequest) -> RevokeOAuthClientResponse = oauth_client_revoke(received);
    rotate_o_auth_secret(RotateOAuthSecretRequest) -> RotateOAuthSecretResponse = oauth_secret_rotate(received);
    retire_o_auth_secret(RetireOAuthSecretRequest) -> RetireOAuthSecretResponse = oauth_secret_retire(received);
    create_o_auth_approval(CreateOAuthApprovalRequest) -> CreateOAuthApprovalResponse = oauth_approval_create(received);
    list_o_auth_grants(ListOAuthGrantsRequest) -> ListOAuthGrantsResponse = oauth_grant_list(plain);
    revoke_o_auth_grant(RevokeOAuthGrantRequest) -> RevokeOAuthGrantResponse = oauth_grant_revoke(received);
    get_o_auth_client(GetOAuthClientRequest) -> OAuthClient = oauth_client_get(plain);
    approve_o_auth_authorization(ApproveOAuthAuthorizationRequest) -> ApproveOAuthAuthorizationResponse =
        oauth_authorize(plain);
    issue_o_auth_token(IssueOAuthTokenRequest) -> IssueOAuthTokenResponse = oauth_issue(plain);
    revoke_o_auth_token(RevokeOAuthTokenRequest) -> RevokeOAuthTokenResponse = oauth_token_revoke(plain);
}

/// The message of a call that says nothing of who asks.
#[expect(clippy::unnecessary_wraps, reason = "as its sibling, `received`")]
fn plain<T>(request: Request<T>) -> Result<T, Refusal> {
    Ok(request.into_inner())
}

/// How a client has shown that it is the client.
#[derive(Clone, Debug)]
enum Shown {
    Secret([u8; 32]),
    /// With the hash of its `jti`, if it had one, and its end.
    Assertion(Option<[u8; 32]>, Instant),
}

impl Service {
    /// The client whose credential this is. A wrong one costs a look-up and no write.
    async fn oauth_authenticate(&self, credential: Option<OAuthClientCredential>) -> Result<(Client, Shown), Refusal> {
        let credential = credential.ok_or_else(|| argument("credential is missing. Say who asks."))?;
        let client = self.oauth_client_known(&credential.client_id).await?;
        let now = self.inner.clock.now();
        let shown = match credential.proof {
            Some(Proof::SecretSha256(hash)) => Shown::Secret(sha256(&hash, "secret_sha256")?),
            Some(Proof::Assertion(assertion)) => {
                let jti = &assertion.jti_sha256;
                let jti = if jti.is_empty() { None } else { Some(sha256(jti, "jti_sha256")?) };
                let expires = assertion.expires_at.as_ref();
                let expires = expires.ok_or_else(|| argument("assertion.expires_at is missing."))?;
                Shown::Assertion(jti, Instant::from_micros(wire::from_timestamp(expires)))
            }
            None => return Err(argument("credential.proof is missing.")),
        };
        let is = |hash: &[u8; 32], kept: &Option<Vec<u8>>| {
            kept.as_ref().is_some_and(|kept| bool::from(kept.as_slice().ct_eq(&hash[..])))
        };
        let holds = match &shown {
            Shown::Secret(hash) => {
                is(hash, &client.secret_sha256) | (client.old_secret_valid(now) & is(hash, &client.old_secret_sha256))
            }
            Shown::Assertion(..) => client.trust.issuer.is_some(),
        };
        if holds { Ok((client, shown)) } else { Err(client_invalid()) }
    }

    /// The client of this id, unless it is revoked.
    async fn oauth_client_known(&self, id: &str) -> Result<Client, Refusal> {
        let id = ClientId::from_str(id).map_err(|_| client_invalid())?;
        let found = self.inner.db.across().seek(move |connection| Ok(oauth::client_by_id(connection, id)?));
        let found = found.await.map_err(refusal)?;
        found.filter(|client| client.revoked.is_none()).ok_or_else(client_invalid)
    }

    fn oauth_event(&self) -> EventId {
        EventId(self.inner.ids.next())
    }

    /// A refusal because of the plan is an event. `client`: none where it was to be made.
    async fn oauth_entitled(
        &self,
        entitled: bool,
        org: OrgId,
        client: Option<ClientId>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        if entitled {
            return Ok(());
        }
        let (event, at, caller) = (self.oauth_event(), self.inner.clock.now(), caller.clone());
        let written = self.inner.db.of(org).write(move |connection| {
            Ok(oauth_event_insert(connection, org, event, client, None, Kind::OAuthPlanRefused, &caller, at)?)
        });
        written.await.map_err(refusal)?;
        Err(Refusal::by_plan(
            Entitlement::OAuth,
            "The organization's plan does not include OAuth now, so no client can be made and no authorization approved; \
             those that are there go on. An administrator can change the plan: rollcall org plan ORG --plan enterprise. A \
             SCIM token (rollcall token create) needs no OAuth.",
        ))
    }
}

/// Deletes what has expired, in small transactions, at once and then every ten minutes.
pub(crate) async fn purge(db: Db, clock: Clock, stop: CancellationToken) {
    const INTERVAL: Duration = Duration::from_secs(600);
    loop {
        for kept in Kept::ALL {
            let before = clock.now().saturating_add_micros(-kept.after());
            while !stop.is_cancelled() {
                match purge_some(&db, kept, before).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(failure) => {
                        tracing::warn!(%failure, what = ?kept, "what has expired could not be deleted, it is tried again");
                        break;
                    }
                }
            }
        }
        if tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

/// Some of one organization. Whether there were any.
async fn purge_some(db: &Db, kept: Kept, before: Instant) -> Result<bool, Failure<Infallible>> {
    const BATCH: i64 = 500;
    let next = db.across().read(move |connection| Ok(oauth::purge_organization(connection, kept, before)?));
    let Some(org) = next.await? else { return Ok(false) };
    let purged = db.of(org).write(move |connection| Ok(oauth::purge(connection, org, kept, before, BATCH)?));
    Ok(purged.await? > 0)
}

fn argument(message: impl Into<String>) -> Refusal {
    Refusal::new(Reason::InvalidArgument, message)
}

fn sha256(bytes: &[u8], name: &str) -> Result<[u8; 32], Refusal> {
    bytes.try_into().map_err(|_| argument(format!("{name} must have the 32 bytes of a SHA-256.")))
}

fn client_invalid() -> Refusal {
    Refusal::new(Reason::ClientInvalid, "The client is not known, or this is not its credential.")
}

fn not_found(what: &str) -> Refusal {
    Refusal::new(Reason::OAuthNotFound, format!("The organization has no OAuth {what} with this id."))
}

fn client_to_wire(client: &Client, now: Instant) -> OAuthClient {
    let timestamp = |instant: Instant| to_timestamp(instant.as_micros());
    let trust = client.trust.issuer.as_ref().map(|issuer| OAuthTrust {
        issuer: issuer.clone(),
        subject: client.trust.subject.clone().unwrap_or_default(),
        audience: client.trust.audience.clone().unwrap_or_default(),
        jwks_json: client.trust.jwks.clone().unwrap_or_default(),
        jwks_uri: client.trust.jwks_uri.clone().unwrap_or_default(),
    });
    OAuthClient {
        id: client.id.to_string(),
        organization_id: client.org.to_string(),
        name: client.name.clone(),
        grant_types: check::grant_types_to_wire(&client.grant_types),
        redirect_uris: restrictions::split(&client.redirect_uris),
        scopes: restrictions::split(&client.scopes),
        allowed_cidrs: restrictions::split(&client.allowed_cidrs),
        trust,
        has_secret: client.secret_sha256.is_some(),
        created_at: Some(timestamp(client.created)),
        created_by: client.created_by.clone(),
        revoked_at: client.revoked.map(timestamp),
        last_issued_at: client.last_issued.map(timestamp),
        old_secret_valid: client.old_secret_valid(now),
        old_secret_expires_at: client.old_secret_expires.map(timestamp),
        secret_used: client.secret_used.is_some(),
    }
}

fn grant_to_wire(grant: Grant) -> OAuthGrant {
    let timestamp = |instant: Instant| to_timestamp(instant.as_micros());
    OAuthGrant {
        id: grant.id.to_string(),
        organization_id: grant.org.to_string(),
        client_id: grant.client.to_string(),
        scopes: restrictions::split(&grant.scopes),
        created_at: Some(timestamp(grant.created)),
        approved_by: grant.approved_by,
        revoked_at: grant.revoked.map(timestamp),
        revoked_for: grant.revoked_for.unwrap_or_default(),
        last_issued_at: Some(timestamp(grant.last_issued)),
        last_used_at: grant.last_used.map(timestamp),
        last_used_address: grant.last_used_address.unwrap_or_default(),
        last_used_user_agent: grant.last_used_user_agent.unwrap_or_default(),
    }
}

fn grant_id(text: &str) -> Result<GrantId, Refusal> {
    GrantId::from_str(text).map_err(|_| not_found("grant"))
}

fn client_id(text: &str) -> Result<ClientId, Refusal> {
    ClientId::from_str(text).map_err(|_| not_found("client"))
}
