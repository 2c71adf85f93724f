//! Who is signed in. Each request is asked for at identity-service, so that an ended session and a changed role hold at once.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{Method, StatusCode, header::SET_COOKIE, request::Parts};
use wire::{
    Reason,
    identity::{
        Admin, AdminRole, GetOrganizationRequest, ListSessionsRequest, Organization, RotateSessionRequest, Session,
        VerifySessionRequest, get_organization_request::Key,
    },
};

use crate::{
    busy::Kind,
    console::{Console, sha256},
    cookies, page,
    problem::{Problem, Result},
    site::Door,
    visit::Visit,
};

/// What an administrator may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Viewer,
    Admin,
    Owner,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Viewer, Self::Admin, Self::Owner];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    pub(crate) fn article(self) -> &'static str {
        match self {
            Self::Viewer => "a viewer",
            Self::Admin => "an admin",
            Self::Owner => "an owner",
        }
    }

    pub(crate) fn means(self) -> &'static str {
        match self {
            Self::Viewer => "looks, changes nothing",
            Self::Admin => "changes provisioning: SCIM, tokens, OAuth clients",
            Self::Owner => "administrators and sign-in as well",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// One that this version does not know may look.
    pub(crate) fn from_wire(role: AdminRole) -> Self {
        match role {
            AdminRole::Owner => Self::Owner,
            AdminRole::Admin => Self::Admin,
            AdminRole::Viewer | AdminRole::Unspecified => Self::Viewer,
        }
    }

    pub(crate) fn to_wire(self) -> i32 {
        match self {
            Self::Viewer => AdminRole::Viewer.into(),
            Self::Admin => AdminRole::Admin.into(),
            Self::Owner => AdminRole::Owner.into(),
        }
    }
}

/// How the addresses end that a page asks again and again.
pub(crate) const WATCHED: &str = "/scim/assistant/events";

/// A request of somebody who is signed in.
#[derive(Clone)]
pub(crate) struct SignedIn(Arc<Known>);

pub(crate) struct Known {
    pub(crate) visit: Visit,
    pub(crate) session: Session,
    pub(crate) admin: Admin,
    pub(crate) role: Role,
    pub(crate) organization: Organization,
}

impl std::ops::Deref for SignedIn {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.0
    }
}

impl SignedIn {
    /// Whether the session still holds, and its administrator is still one: for answers that take long.
    ///
    /// # Errors
    /// It does not, or that cannot be found out.
    pub(crate) async fn still(&self) -> Result<()> {
        let request = ListSessionsRequest { organization_id: self.organization_id(), admin_id: self.admin.id.clone() };
        let mut admins = self.visit.console.clients.admins.clone();
        let sessions = admins.list_sessions(self.call(request)).await?.into_inner().sessions;
        let holds = sessions.iter().any(|session| session.id == self.session.id);
        holds.then_some(()).ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "Signed out", "The session has ended."))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        // Absent only on a route outside of `authenticate`: a mistake of ours that must not let anyone in.
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

/// Lets in who has a session; others are sent to sign in.
pub(crate) async fn authenticate(
    State(console): State<Console>,
    visit: Visit,
    mut request: Request,
    next: Next,
) -> Result<Response> {
    let Some(secret) = cookies::get(request.headers(), console.cookies.session) else {
        return sign_in_first(&visit, &request);
    };
    // What cannot be a session's secret costs no look-up.
    if !secret.starts_with("rc_session_") {
        return sign_in_first(&visit, &request);
    }
    let hash = sha256(secret);
    // A page that asks by itself keeps no session alive.
    let watching = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().ends_with(WATCHED));
    let verify = VerifySessionRequest { secret_sha256: hash.clone(), browser: Some(visit.browser.clone()), watching };
    let session = match console.clients.admins.clone().verify_session(visit.call(verify)).await {
        Ok(session) => session.into_inner(),
        Err(status) if wire::refusal(&status).reason == Reason::SessionInvalid => {
            console.strangers.admit(visit.address()).await?;
            let mut response = sign_in_first(&visit, &request).unwrap_or_else(Problem::into_response);
            if let Some(cookie) = console.cookies.remove(console.cookies.session) {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            return Ok(response);
        }
        Err(status) => return Err(status.into()),
    };
    let admin = session.admin.clone().ok_or_else(Problem::internal)?;
    let by_id = GetOrganizationRequest { key: Some(Key::Id(admin.organization_id.clone())) };
    let organization = console.clients.organizations.clone().get_organization(visit.call(by_id)).await?.into_inner();
    // Only where the answer is sure to be taken: the browser shows it. Another request may have been first, which is as good.
    let rotated = if session.rotation_due && !watching && shown(&request) {
        let rotate = visit.call(RotateSessionRequest { secret_sha256: hash });
        console.clients.admins.clone().rotate_session(rotate).await.ok().map(tonic::Response::into_inner)
    } else {
        None
    };
    let role = Role::from_wire(admin.role());
    let signed_in = SignedIn(Arc::new(Known { visit, session, admin, role, organization }));
    let place = console.busy.begin(Kind::Page, &signed_in);
    request.extensions_mut().insert(signed_in);
    let mut response = match place {
        Ok(_place) => next.run(request).await,
        // With its cookie, which it may have been given just now.
        Err(problem) => problem.into_response(),
    };
    if let Some(cookie) = rotated.and_then(|new| console.cookies.set(console.cookies.session, &new.secret, None)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

fn shown(request: &Request) -> bool {
    let to = request.headers().get("sec-fetch-dest").map(|to| to.as_bytes());
    request.method() == Method::GET && matches!(to, None | Some(b"document"))
}

fn sign_in_first(visit: &Visit, request: &Request) -> Result<Response> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let text = "You are signed out: sessions end after a while without use. Sign in, then send the form again.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "Nothing was changed", text).next("/sign-in", "Sign in"));
    }
    let site = &visit.console.site;
    let prefix = site.root.strip_suffix("/console").unwrap_or_default();
    let here = format!("{prefix}{}", request.uri().path_and_query().map_or("", |path| path.as_str()));
    let mut query = form_urlencoded::Serializer::new(String::new());
    match site.path_or_root(Door::Console, &here) {
        root if root == site.root => {}
        path => {
            query.append_pair("return_to", path);
        }
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    page::see(&format!("{}/sign-in{mark}{query}", site.root))
}
