//! What administrators do: clients, their secrets, approvals, and an end to grants.

use store::{Failure, Instant};
use wire::{
    Reason, Refusal, to_timestamp,
    token::{
        CreateOAuthApprovalRequest, CreateOAuthApprovalResponse, CreateOAuthClientRequest, CreateOAuthClientResponse,
        GetOAuthClientRequest, ListOAuthClientsRequest, ListOAuthClientsResponse, ListOAuthGrantsRequest,
        ListOAuthGrantsResponse, OAuthClient, OAuthGrantType, RetireOAuthSecretRequest, RetireOAuthSecretResponse,
        RevokeOAuthClientRequest, RevokeOAuthClientResponse, RevokeOAuthGrantRequest, RevokeOAuthGrantResponse,
        RotateOAuthSecretRequest, RotateOAuthSecretResponse,
    },
};

use super::{SECOND, argument, check, client_id, client_to_wire, grant_id, grant_to_wire, not_found};
use crate::{
    Service,
    caller::Caller,
    error::refusal,
    grpc::organization,
    restrictions,
    secret::{self, ApprovalCode, Secret},
    store::{
        ClientId, Kind,
        oauth::{self, Approval, Client},
        oauth_event_insert,
    },
};

/// How long an approval waits to be used.
const APPROVAL: i64 = 600 * SECOND;
/// As in `rotation`.
const SHORTEST: i64 = 60 * SECOND;

impl Service {
    pub(super) async fn oauth_client_create(
        &self,
        request: CreateOAuthClientRequest,
    ) -> Result<CreateOAuthClientResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let grant_types = check::grant_types(&request.grant_types)?;
        let redirect_uris = check::redirect_uris(&request.redirect_uris)?;
        let trust = check::trust(request.trust)?;
        let by_code = check::has_grant_type(&grant_types, OAuthGrantType::AuthorizationCode);
        if by_code && redirect_uris.is_empty() {
            return Err(argument(
                "The grant type authorization_code needs a redirect URI, as the identity provider shows it: --redirect-uri.",
            ));
        }
        if !by_code && !redirect_uris.is_empty() {
            return Err(argument(
                "A redirect URI (--redirect-uri) is for the grant type authorization_code alone. Leave it out, or add that \
                 grant type.",
            ));
        }
        if by_code && trust.issuer.is_some() {
            return Err(argument(
                "A client with an issuer has no secret, which the grant type authorization_code needs. Make two clients: one \
                 for authorization_code without an issuer, and one for jwt-bearer with it.",
            ));
        }
        let by_assertion = check::has_grant_type(&grant_types, OAuthGrantType::JwtBearer);
        if by_assertion && trust.issuer.is_none() {
            return Err(argument(
                "The grant type jwt-bearer needs to know whose assertions to trust: issuer, subject, audience and keys.",
            ));
        }
        // Whoever is known by assertions needs no secret that could be lost.
        let secret = trust.issuer.is_none().then(|| Secret::generate(secret::OAUTH_CLIENT, &self.inner.random));
        let client = Client {
            org,
            id: ClientId(self.inner.ids.next()),
            name: check::name(&request.name)?,
            secret_sha256: secret.as_ref().map(|secret| secret.sha256().to_vec()),
            secret_used: None,
            old_secret_sha256: None,
            old_secret_expires: None,
            grant_types,
            redirect_uris,
            scopes: restrictions::scopes(&request.scopes)?,
            allowed_cidrs: restrictions::cidrs(&request.allowed_cidrs)?,
            trust,
            created: self.inner.clock.now(),
            created_by: caller.name().to_owned(),
            revoked: None,
            last_issued: None,
        };
        self.oauth_entitled(request.oauth_entitled, org, None, &caller).await?;
        let (event, new) = (self.oauth_event(), client.clone());
        let written = self.inner.db.of(org).write(move |connection| {
            oauth::client_insert(connection, org, &new)?;
            let kind = Kind::OAuthClientCreated;
            Ok(oauth_event_insert(connection, org, event, Some(new.id), None, kind, &caller, new.created)?)
        });
        written.await.map_err(refusal)?;
        Ok(CreateOAuthClientResponse {
            client: Some(client_to_wire(&client, client.created)),
            secret: secret.map(Secret::into_answer).unwrap_or_default(),
        })
    }

    pub(super) async fn oauth_client_list(
        &self,
        request: ListOAuthClientsRequest,
    ) -> Result<ListOAuthClientsResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let listed = self.inner.db.of(org).read(move |connection| Ok(oauth::client_list(connection, org)?));
        let (listed, now) = (listed.await.map_err(refusal)?, self.inner.clock.now());
        Ok(ListOAuthClientsResponse { clients: listed.iter().map(|client| client_to_wire(client, now)).collect() })
    }

    pub(super) async fn oauth_client_get(&self, request: GetOAuthClientRequest) -> Result<OAuthClient, Refusal> {
        let client = self.oauth_client_known(&request.client_id).await?;
        Ok(client_to_wire(&client, self.inner.clock.now()))
    }

    pub(super) async fn oauth_client_revoke(
        &self,
        request: RevokeOAuthClientRequest,
    ) -> Result<RevokeOAuthClientResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let (id, at, event) = (client_id(&request.id)?, self.inner.clock.now(), self.oauth_event());
        let revoked = self.inner.db.of(org).write(move |connection| {
            if oauth::client_revoke(connection, org, id, at)? {
                let kind = Kind::OAuthClientRevoked;
                oauth_event_insert(connection, org, event, Some(id), None, kind, &caller, at)?;
            }
            oauth::client_get(connection, org, id)?.ok_or_else(|| Failure::Refused(not_found("client")))
        });
        let client = revoked.await.map_err(refusal)?;
        self.inner.feed.poke();
        Ok(RevokeOAuthClientResponse { client: Some(client_to_wire(&client, at)) })
    }

    pub(super) async fn oauth_secret_rotate(
        &self,
        request: RotateOAuthSecretRequest,
    ) -> Result<RotateOAuthSecretResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let (id, now, event) = (client_id(&request.id)?, self.inner.clock.now(), self.oauth_event());
        let deadline = request.deadline.as_ref().map(|at| Instant::from_micros(wire::from_timestamp(at)));
        if deadline.is_some_and(|deadline| deadline < now.saturating_add_micros(SHORTEST)) {
            return Err(argument(
                "The deadline must be a minute from now, or later: the new secret has to be put in place by then.",
            ));
        }
        let secret = Secret::generate(secret::OAUTH_CLIENT, &self.inner.random);
        let hash = secret.sha256();
        let rotated = self.inner.db.of(org).write(move |connection| {
            let client = oauth::client_get(connection, org, id)?;
            let client = client.ok_or_else(|| Failure::Refused(not_found("client")))?;
            if client.revoked.is_some() {
                return Err(state("The client is revoked. Make a new one."));
            }
            if client.secret_sha256.is_none() {
                return Err(state("The client has no secret: it is known by its assertions. Rotate the keys there."));
            }
            if client.old_secret_valid(now) {
                return Err(state(
                    "The secret was rotated before, and the one before it is still valid. Retire that first (rollcall \
                     oauth client retire-secret), once the identity provider uses the new one.",
                ));
            }
            if !oauth::client_rotate(connection, org, &client, &hash, deadline)? {
                return Err(state("The secret was rotated or the client revoked just now. List the clients to see."));
            }
            let kind = Kind::OAuthSecretRotated;
            oauth_event_insert(connection, org, event, Some(id), None, kind, &caller, now)?;
            oauth::client_get(connection, org, id)?.ok_or_else(|| Failure::Refused(not_found("client")))
        });
        let client = rotated.await.map_err(refusal)?;
        Ok(RotateOAuthSecretResponse { client: Some(client_to_wire(&client, now)), secret: secret.into_answer() })
    }

    pub(super) async fn oauth_secret_retire(
        &self,
        request: RetireOAuthSecretRequest,
    ) -> Result<RetireOAuthSecretResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let (id, now, event) = (client_id(&request.id)?, self.inner.clock.now(), self.oauth_event());
        let force = request.force;
        let retired = self.inner.db.of(org).write(move |connection| {
            let client = oauth::client_get(connection, org, id)?;
            let client = client.ok_or_else(|| Failure::Refused(not_found("client")))?;
            if client.old_secret_sha256.is_none() {
                return Err(state(
                    "There is no old secret: it was retired before, or the secret was never rotated (rollcall oauth client \
                     rotate-secret).",
                ));
            }
            if client.old_secret_valid(now) && client.secret_used.is_none() && !force {
                return Err(state(
                    "The new secret has not been used yet. Put it into the identity provider and let it fetch a token; or \
                     retire the old one with --force, and whoever still uses it is refused.",
                ));
            }
            if oauth::client_retire_secret(connection, org, id)? {
                let kind = Kind::OAuthSecretRetired;
                oauth_event_insert(connection, org, event, Some(id), None, kind, &caller, now)?;
            }
            oauth::client_get(connection, org, id)?.ok_or_else(|| Failure::Refused(not_found("client")))
        });
        let client = retired.await.map_err(refusal)?;
        Ok(RetireOAuthSecretResponse { client: Some(client_to_wire(&client, now)) })
    }

    pub(super) async fn oauth_approval_create(
        &self,
        request: CreateOAuthApprovalRequest,
    ) -> Result<CreateOAuthApprovalResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let (id, now, event) = (client_id(&request.client_id)?, self.inner.clock.now(), self.oauth_event());
        let found = self.inner.db.of(org).seek(move |connection| Ok(oauth::client_get(connection, org, id)?));
        let client = found.await.map_err(refusal)?.ok_or_else(|| not_found("client"))?;
        if client.revoked.is_some() {
            return Err(Refusal::new(Reason::OAuthState, "The client is revoked. Make a new one."));
        }
        if !check::has_grant_type(&client.grant_types, OAuthGrantType::AuthorizationCode) {
            let detail = "The client's grant types need no approval: it fetches its tokens by itself.";
            return Err(Refusal::new(Reason::OAuthState, detail));
        }
        self.oauth_entitled(request.oauth_entitled, org, Some(id), &caller).await?;
        let code = ApprovalCode::generate(&self.inner.random);
        let expires = now.saturating_add_micros(APPROVAL);
        let approval = Approval {
            org,
            client: id,
            code_sha256: code.sha256().to_vec(),
            created_by: caller.name().to_owned(),
            expires,
            guesses: 0,
        };
        let written = self.inner.db.of(org).write(move |connection| {
            oauth::approval_insert(connection, org, &approval)?;
            let kind = Kind::OAuthApprovalCreated;
            Ok(oauth_event_insert(connection, org, event, Some(id), None, kind, &caller, now)?)
        });
        written.await.map_err(refusal)?;
        Ok(CreateOAuthApprovalResponse {
            client: Some(client_to_wire(&client, now)),
            code: code.into_answer(),
            expires_at: Some(to_timestamp(expires.as_micros())),
        })
    }

    pub(super) async fn oauth_grant_list(
        &self,
        request: ListOAuthGrantsRequest,
    ) -> Result<ListOAuthGrantsResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let listed = self.inner.db.of(org).read(move |connection| Ok(oauth::grant_list(connection, org)?));
        let listed = listed.await.map_err(refusal)?;
        Ok(ListOAuthGrantsResponse { grants: listed.into_iter().map(grant_to_wire).collect() })
    }

    pub(super) async fn oauth_grant_revoke(
        &self,
        request: RevokeOAuthGrantRequest,
    ) -> Result<RevokeOAuthGrantResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let (id, at, event) = (grant_id(&request.id)?, self.inner.clock.now(), self.oauth_event());
        let revoked = self.inner.db.of(org).write(move |connection| {
            let ended = oauth::grant_revoke(connection, org, id, "revoked", at)?;
            let grant = oauth::grant_get(connection, org, id)?;
            let grant = grant.ok_or_else(|| Failure::Refused(not_found("grant")))?;
            if ended {
                let (client, kind) = (Some(grant.client), Kind::OAuthGrantRevoked);
                oauth_event_insert(connection, org, event, client, Some(id), kind, &caller, at)?;
            }
            Ok(grant)
        });
        let grant = revoked.await.map_err(refusal)?;
        self.inner.feed.poke();
        Ok(RevokeOAuthGrantResponse { grant: Some(grant_to_wire(grant)) })
    }
}

fn state(message: &str) -> Failure<Refusal> {
    Failure::Refused(Refusal::new(Reason::OAuthState, message))
}
