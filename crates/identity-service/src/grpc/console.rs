//! Administrators of consoles, how they sign in, and their sessions.

use store::Instant;
use tonic::Request;
use wire::{
    Reason, Refusal,
    identity::{self as proto, console_service_server::ConsoleService},
    received,
};

use super::{
    Reply,
    convert::{instant, org_id, scope},
    reply,
};
use crate::{
    domain::{
        AdminId, OrgId, SessionId,
        admin::{Admin, Invite, Role},
        parse_id,
        secret::Hash,
        session::{Browser, Session, session_not_found},
        sign_in::{Attempt, Claims, Provider},
    },
    operations::{Core, NewInvite, NewProvider, admin_not_found},
};

/// `rollcall.identity.v1.ConsoleService`.
pub(crate) struct Console(pub(crate) Core);

#[tonic::async_trait]
impl ConsoleService for Console {
    async fn create_admin_invite(
        &self,
        request: Request<proto::CreateAdminInviteRequest>,
    ) -> Reply<proto::CreateAdminInviteResponse> {
        reply(create_invite(&self.0, received(request)?).await)
    }

    async fn list_admins(&self, request: Request<proto::ListAdminsRequest>) -> Reply<proto::ListAdminsResponse> {
        reply(list_admins(&self.0, request.into_inner()).await)
    }

    async fn set_admin_role(&self, request: Request<proto::SetAdminRoleRequest>) -> Reply<proto::Admin> {
        reply(set_role(&self.0, received(request)?).await)
    }

    async fn remove_admin(&self, request: Request<proto::RemoveAdminRequest>) -> Reply<proto::RemoveAdminResponse> {
        reply(remove(&self.0, received(request)?).await)
    }

    async fn set_sign_in_provider(
        &self,
        request: Request<proto::SetSignInProviderRequest>,
    ) -> Reply<proto::SignInProvider> {
        reply(set_provider(&self.0, received(request)?).await)
    }

    async fn get_sign_in_provider(
        &self,
        request: Request<proto::GetSignInProviderRequest>,
    ) -> Reply<proto::SignInProvider> {
        reply(get_provider(&self.0, request.into_inner()).await)
    }

    async fn remove_sign_in_provider(
        &self,
        request: Request<proto::RemoveSignInProviderRequest>,
    ) -> Reply<proto::RemoveSignInProviderResponse> {
        reply(remove_provider(&self.0, received(request)?).await)
    }

    async fn get_admin_invite(&self, request: Request<proto::GetAdminInviteRequest>) -> Reply<proto::AdminInvite> {
        reply(get_invite(&self.0, request.into_inner()).await)
    }

    async fn accept_admin_invite(&self, request: Request<proto::AcceptAdminInviteRequest>) -> Reply<proto::NewSession> {
        reply(accept_invite(&self.0, request.into_inner()).await)
    }

    async fn begin_sign_in(&self, request: Request<proto::BeginSignInRequest>) -> Reply<proto::BeginSignInResponse> {
        reply(begin(&self.0, request.into_inner()).await)
    }

    async fn take_sign_in(&self, request: Request<proto::TakeSignInRequest>) -> Reply<proto::SignInAttempt> {
        reply(take(&self.0, request.into_inner()).await)
    }

    async fn finish_sign_in(&self, request: Request<proto::FinishSignInRequest>) -> Reply<proto::NewSession> {
        reply(finish(&self.0, request.into_inner()).await)
    }

    async fn verify_session(&self, request: Request<proto::VerifySessionRequest>) -> Reply<proto::Session> {
        reply(verify(&self.0, request.into_inner()).await)
    }

    async fn rotate_session(&self, request: Request<proto::RotateSessionRequest>) -> Reply<proto::NewSession> {
        reply(rotate(&self.0, request.into_inner()).await)
    }

    async fn list_sessions(&self, request: Request<proto::ListSessionsRequest>) -> Reply<proto::ListSessionsResponse> {
        reply(list_sessions(&self.0, request.into_inner()).await)
    }

    async fn revoke_session(
        &self,
        request: Request<proto::RevokeSessionRequest>,
    ) -> Reply<proto::RevokeSessionResponse> {
        reply(revoke(&self.0, received(request)?).await)
    }
}

async fn create_invite(
    core: &Core,
    request: proto::CreateAdminInviteRequest,
) -> Result<proto::CreateAdminInviteResponse, Refusal> {
    let role = role(request.role())?;
    let scope = scope(&request.organization_id, request.caller)?;
    let org = scope.org;
    let new = NewInvite { email: request.email, role, ttl_hours: request.ttl_hours };
    let (made, secret) = core.invite_create(scope, new).await?;
    Ok(proto::CreateAdminInviteResponse { invite: Some(invite(org, made)), secret })
}

async fn list_admins(core: &Core, request: proto::ListAdminsRequest) -> Result<proto::ListAdminsResponse, Refusal> {
    let org = org_id(&request.organization_id)?;
    let (admins, invites) = core.admin_list(org).await?;
    Ok(proto::ListAdminsResponse {
        admins: admins.into_iter().map(|this| admin(org, this)).collect(),
        invites: invites.into_iter().map(|this| invite(org, this)).collect(),
        mailed: core.mailer.is_on(),
    })
}

async fn set_role(core: &Core, request: proto::SetAdminRoleRequest) -> Result<proto::Admin, Refusal> {
    let role = role(request.role())?;
    let scope = scope(&request.organization_id, request.caller)?;
    let org = scope.org;
    Ok(admin(org, core.admin_role_set(scope, admin_id(&request.id)?, role).await?))
}

async fn remove(core: &Core, request: proto::RemoveAdminRequest) -> Result<proto::RemoveAdminResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    core.admin_remove(scope, admin_id(&request.id)?).await?;
    Ok(proto::RemoveAdminResponse {})
}

async fn set_provider(core: &Core, request: proto::SetSignInProviderRequest) -> Result<proto::SignInProvider, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let org = scope.org;
    let new =
        NewProvider { issuer: request.issuer, client_id: request.client_id, client_secret: request.client_secret };
    Ok(provider(org, core.provider_set(scope, new).await?, String::new()))
}

async fn get_provider(core: &Core, request: proto::GetSignInProviderRequest) -> Result<proto::SignInProvider, Refusal> {
    let org = org_id(&request.organization_id)?;
    let found = core.provider_get(org).await?;
    let secret = if request.with_client_secret { core.client_secret(org, &found)? } else { String::new() };
    Ok(provider(org, found, secret))
}

async fn remove_provider(
    core: &Core,
    request: proto::RemoveSignInProviderRequest,
) -> Result<proto::RemoveSignInProviderResponse, Refusal> {
    core.provider_remove(scope(&request.organization_id, request.caller)?).await?;
    Ok(proto::RemoveSignInProviderResponse {})
}

async fn get_invite(core: &Core, request: proto::GetAdminInviteRequest) -> Result<proto::AdminInvite, Refusal> {
    let (org, found) = core.invite_get(secret(&request.secret_sha256)?).await?;
    Ok(invite(org, found))
}

async fn accept_invite(core: &Core, request: proto::AcceptAdminInviteRequest) -> Result<proto::NewSession, Refusal> {
    let accepted = core.invite_accept(secret(&request.secret_sha256)?, browser(request.browser), request.request_id);
    let (session, secret) = accepted.await?;
    let now = session.created;
    Ok(proto::NewSession { session: Some(shown(session, now)), secret })
}

async fn begin(core: &Core, request: proto::BeginSignInRequest) -> Result<proto::BeginSignInResponse, Refusal> {
    let attempt = Attempt {
        state: state(&request.state_sha256)?,
        nonce: request.nonce,
        pkce_verifier: request.pkce_verifier,
        return_to: request.return_to,
        issuer: request.issuer,
        expires: Instant::from_micros(0),
    };
    core.sign_in_begin(org_id(&request.organization_id)?, attempt).await?;
    Ok(proto::BeginSignInResponse {})
}

async fn take(core: &Core, request: proto::TakeSignInRequest) -> Result<proto::SignInAttempt, Refusal> {
    let (org, attempt) = core.sign_in_take(state(&request.state_sha256)?).await?;
    Ok(proto::SignInAttempt {
        organization_id: org.to_string(),
        nonce: attempt.nonce,
        pkce_verifier: attempt.pkce_verifier,
        return_to: attempt.return_to,
        issuer: attempt.issuer,
    })
}

async fn finish(core: &Core, request: proto::FinishSignInRequest) -> Result<proto::NewSession, Refusal> {
    let claims = Claims {
        issuer: request.issuer,
        subject: request.subject,
        email: request.email,
        email_verified: request.email_verified,
        name: request.name,
    };
    let org = org_id(&request.organization_id)?;
    let (session, secret) = core.sign_in_finish(org, claims, browser(request.browser), request.request_id).await?;
    let now = session.created;
    Ok(proto::NewSession { session: Some(shown(session, now)), secret })
}

async fn verify(core: &Core, request: proto::VerifySessionRequest) -> Result<proto::Session, Refusal> {
    let used_by = (!request.watching).then(|| browser(request.browser));
    let (session, now) = core.session_verify(secret(&request.secret_sha256)?, used_by).await?;
    Ok(shown(session, now))
}

async fn rotate(core: &Core, request: proto::RotateSessionRequest) -> Result<proto::NewSession, Refusal> {
    let (session, now, secret) = core.session_rotate(secret(&request.secret_sha256)?).await?;
    Ok(proto::NewSession { session: Some(shown(session, now)), secret })
}

async fn list_sessions(
    core: &Core,
    request: proto::ListSessionsRequest,
) -> Result<proto::ListSessionsResponse, Refusal> {
    let of = if request.admin_id.is_empty() { None } else { Some(admin_id(&request.admin_id)?) };
    let (sessions, now) = core.session_list(org_id(&request.organization_id)?, of).await?;
    Ok(proto::ListSessionsResponse { sessions: sessions.into_iter().map(|session| shown(session, now)).collect() })
}

async fn revoke(core: &Core, request: proto::RevokeSessionRequest) -> Result<proto::RevokeSessionResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id: SessionId = parse_id(&request.id).ok_or_else(session_not_found)?;
    core.session_revoke(scope, id).await?;
    Ok(proto::RevokeSessionResponse {})
}

fn role(given: proto::AdminRole) -> Result<Role, Refusal> {
    match given {
        proto::AdminRole::Viewer => Ok(Role::Viewer),
        proto::AdminRole::Admin => Ok(Role::Admin),
        proto::AdminRole::Owner => Ok(Role::Owner),
        proto::AdminRole::Unspecified => {
            Err(Refusal::new(Reason::InvalidValue, "role must be one of viewer, admin and owner."))
        }
    }
}

fn role_of(this: Role) -> i32 {
    let role = match this {
        Role::Viewer => proto::AdminRole::Viewer,
        Role::Admin => proto::AdminRole::Admin,
        Role::Owner => proto::AdminRole::Owner,
    };
    role.into()
}

/// An id that is none is one that nobody has.
fn admin_id(text: &str) -> Result<AdminId, Refusal> {
    parse_id(text).ok_or_else(admin_not_found)
}

fn secret(bytes: &[u8]) -> Result<Hash, Refusal> {
    Hash::shown("secret_sha256", bytes)
}

fn state(bytes: &[u8]) -> Result<Hash, Refusal> {
    Hash::shown("state_sha256", bytes)
}

fn browser(given: Option<proto::Browser>) -> Browser {
    let given = given.unwrap_or_default();
    Browser::new(&given.address, &given.user_agent)
}

fn admin(org: OrgId, this: Admin) -> proto::Admin {
    proto::Admin {
        id: this.id.to_string(),
        organization_id: org.to_string(),
        email: this.email.text,
        name: this.name,
        role: role_of(this.role),
        created_at: Some(instant(this.created)),
        last_signed_in_at: this.last_signed_in.map(instant),
        issuer: this.pin.map(|pin| pin.issuer).unwrap_or_default(),
    }
}

fn invite(org: OrgId, this: Invite) -> proto::AdminInvite {
    proto::AdminInvite {
        id: this.id.to_string(),
        organization_id: org.to_string(),
        email: this.email.text,
        role: role_of(this.role),
        created_at: Some(instant(this.created)),
        expires_at: Some(instant(this.expires)),
        created_by: this.created_by,
    }
}

fn provider(org: OrgId, this: Provider, client_secret: String) -> proto::SignInProvider {
    proto::SignInProvider {
        organization_id: org.to_string(),
        issuer: this.issuer,
        client_id: this.client_id,
        has_client_secret: this.sealed_secret.is_some(),
        client_secret,
        modified_at: Some(instant(this.modified)),
    }
}

fn shown(this: Session, now: Instant) -> proto::Session {
    let rotation_due = this.rotation_due(now);
    proto::Session {
        id: this.id.to_string(),
        admin: Some(admin(this.org, this.admin)),
        created_at: Some(instant(this.created)),
        last_used_at: Some(instant(this.last_used)),
        expires_at: Some(instant(this.expires)),
        browser: Some(proto::Browser { address: this.browser.address, user_agent: this.browser.user_agent }),
        rotation_due,
    }
}
