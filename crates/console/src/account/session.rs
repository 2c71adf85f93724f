//! Whose session it is. Each request is asked for at identity-service, so that who is deactivated is out at once.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_TYPE, SET_COOKIE},
    request::Parts,
};
use subtle::ConstantTimeEq as _;
use wire::{
    Reason,
    identity::{
        Account, AccountSession, AccountSessionRequest, GetOrganizationRequest, Organization,
        get_organization_request::Key,
    },
};

use super::json::Refused;
use crate::{
    console::{Console, sha256},
    cookies, guard, page,
    problem::{Problem, Result},
    visit::Visit,
};

/// The field that says that a call comes from the page.
const TOKEN: &str = "x-rollcall-form";

/// A request of a member who is signed in.
#[derive(Clone)]
pub(crate) struct Member(Arc<Known>);

pub(crate) struct Known {
    pub(crate) visit: Visit,
    pub(crate) session: AccountSession,
    pub(crate) account: Account,
    pub(crate) organization: Organization,
    secret_sha256: Bytes,
}

impl std::ops::Deref for Member {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        // Absent only on a route outside of `authenticate`: a mistake of ours that must not let anyone in.
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

impl Member {
    pub(crate) fn form_token(&self) -> String {
        self.visit.form_token(&self.session.id)
    }

    pub(crate) fn secret_sha256(&self) -> Bytes {
        self.secret_sha256.clone()
    }

    pub(crate) fn request_id(&self) -> String {
        self.visit.request_id.to_string()
    }

    pub(crate) fn shown(&self) -> AccountSessionRequest {
        AccountSessionRequest {
            secret_sha256: self.secret_sha256(),
            browser: Some(self.visit.browser.clone()),
            request_id: self.request_id(),
        }
    }
}

/// `None`: nobody is signed in here, and the cookie is to go.
async fn find(console: &Console, visit: &Visit, headers: &HeaderMap) -> Result<Option<Member>> {
    let Some(secret) = cookies::get(headers, console.cookies.account) else { return Ok(None) };
    if !secret.starts_with("rc_account_") {
        return Ok(None);
    }
    let secret_sha256 = sha256(secret);
    let request = AccountSessionRequest {
        secret_sha256: secret_sha256.clone(),
        browser: Some(visit.browser.clone()),
        request_id: visit.request_id.to_string(),
    };
    let session = match console.clients.accounts.clone().verify_account_session(visit.call(request)).await {
        Ok(session) => session.into_inner(),
        Err(status) if wire::refusal(&status).reason == Reason::SessionInvalid => {
            console.strangers.admit(visit.address()).await?;
            return Ok(None);
        }
        Err(status) => return Err(status.into()),
    };
    let account = session.account.clone().ok_or_else(Problem::internal)?;
    let by_id = GetOrganizationRequest { key: Some(Key::Id(account.organization_id.clone())) };
    let organization = console.clients.organizations.clone().get_organization(visit.call(by_id)).await?.into_inner();
    Ok(Some(Member(Arc::new(Known { visit: visit.clone(), session, account, organization, secret_sha256 }))))
}

/// For pages: who is not signed in is sent to sign in.
pub(crate) async fn authenticate(
    State(console): State<Console>,
    visit: Visit,
    mut request: Request,
    next: Next,
) -> Result<Response> {
    if let Some(member) = find(&console, &visit, request.headers()).await? {
        request.extensions_mut().insert(member);
        return Ok(next.run(request).await);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let text = "You are signed out already.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "Nothing was changed", text).next("/sign-in", "Sign in"));
    }
    let mut response = page::see(&format!("{}/sign-in", console.site.account_root))?;
    if let Some(cookie) = console.cookies.remove(console.cookies.account) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// For calls of the page: sent from it, in this session, as JSON. Refusals are JSON, too.
pub(crate) async fn authenticate_call(
    State(console): State<Console>,
    visit: Visit,
    mut request: Request,
    next: Next,
) -> Response {
    let member = match find(&console, &visit, request.headers()).await {
        Ok(Some(member)) => member,
        Ok(None) => return Refused::signed_out().into_response(),
        Err(problem) => return Refused::from(problem).into_response(),
    };
    let headers = request.headers();
    let field = |name: &str| headers.get(name).map(|value| value.as_bytes()).unwrap_or_default();
    let json = field(CONTENT_TYPE.as_str()) == b"application/json";
    let ours = guard::from_here(&console.site, headers);
    if !json || !ours || !bool::from(field(TOKEN).ct_eq(member.form_token().as_bytes())) {
        return Refused::not_from_here().into_response();
    }
    request.extensions_mut().insert(member);
    next.run(request).await
}

/// For the form that signs out.
pub(crate) async fn guard(member: Member, request: Request, next: Next) -> Result<Response> {
    let request = guard::sent_by_us(&member.visit, &member.session.id, request).await?;
    Ok(next.run(request).await)
}
