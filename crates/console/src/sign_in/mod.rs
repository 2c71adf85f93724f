//! Signing in and out: by the organization's OpenID provider, or by an invitation.

mod http;
mod oidc;

use ::http::{HeaderMap, StatusCode, header::SET_COOKIE};
use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use wire::{
    Reason,
    identity::{
        AcceptAdminInviteRequest, BeginSignInRequest, FinishAccountSignInRequest, FinishSignInRequest,
        GetAdminInviteRequest, GetOrganizationRequest, GetSignInProviderRequest, RevokeSessionRequest, SignInProvider,
        TakeSignInRequest, get_organization_request::Key,
    },
};

pub(crate) use self::oidc::Providers;
use self::oidc::{Person, Registration, Wrong};
use crate::{
    console::{Console, sha256},
    cookies,
    page::{self, Shell},
    pages::inviter,
    problem::{Problem, Result},
    session::{Role, SignedIn},
    site::Door,
    visit::Visit,
};

/// As long as a sign-in is remembered, seconds.
const ATTEMPT: u32 = 600;

/// What the way here had in its query; none of it is more than a suggestion.
#[derive(Deserialize)]
pub(crate) struct Begin {
    #[serde(default)]
    organization: String,
    #[serde(default)]
    return_to: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    shell: Shell,
    organization: &'a str,
    return_to: &'a str,
    error: Option<&'a str>,
}

fn sign_in_page(visit: &Visit, begin: &Begin, error: Option<&str>) -> Result<Response> {
    let page = SignIn {
        shell: Shell::bare(visit, "Sign in"),
        organization: begin.organization.trim(),
        return_to: visit.console.site.path_or_root(visit.door, &begin.return_to),
        error,
    };
    let status = if error.is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    page::html(status, &page)
}

/// `GET sign-in`
pub(crate) async fn form(visit: Visit, Query(begin): Query<Begin>) -> Result<Response> {
    sign_in_page(&visit, &begin, None)
}

#[derive(Template)]
#[template(path = "onward.html")]
struct Onward {
    shell: Shell,
    organization: String,
    to: String,
    host: String,
    /// Else whoever reads the page decides: another site sent the browser here.
    by_itself: bool,
}

/// `GET sign-in/start`: to the provider, by a page that goes on. Chromium holds a redirect after a form against `form-action`.
pub(crate) async fn start(
    State(console): State<Console>,
    visit: Visit,
    headers: HeaderMap,
    Query(begin): Query<Begin>,
) -> Result<Response> {
    let slug = begin.organization.trim().to_ascii_lowercase();
    let Some(provider) = provider(&console, &visit, slug.clone()).await? else {
        let nobody = "No organization of this short name signs in here. Check its spelling. If it is right, no OpenID provider has \
                      been connected yet: ask an owner for an invitation, or whoever runs Rollcall.";
        return sign_in_page(&visit, &begin, Some(nobody));
    };
    let (state, nonce, verifier) = (console.secret(), console.secret(), console.secret());
    let redirect_uri = console.site.redirect_uri(visit.door, &provider.organization_id);
    let registration = registration(&provider, &redirect_uri);
    let to = console.providers.authorization_url(&registration, state.clone(), nonce.clone(), &verifier).await;
    let to = to.map_err(not_signed_in)?;
    let remember = BeginSignInRequest {
        organization_id: provider.organization_id,
        state_sha256: sha256(&state),
        nonce,
        pkce_verifier: verifier,
        return_to: console.site.path_or_root(visit.door, &begin.return_to).to_owned(),
        issuer: provider.issuer,
    };
    console.clients.admins.clone().begin_sign_in(visit.call(remember)).await?;
    let authority = to.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().to_owned();
    let from = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let by_itself = matches!(from, None | Some(b"same-origin" | b"none"));
    let page = Onward { shell: Shell::bare(&visit, "Signing in"), organization: slug, to, host, by_itself };
    let mut response = page::html(StatusCode::OK, &page)?;
    if let Some(cookie) = console.cookies.set(console.cookies.sign_in_of(visit.door), &state, Some(ATTEMPT)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// None: no such organization, or one without a provider. Both are asked for alike.
async fn provider(console: &Console, visit: &Visit, slug: String) -> Result<Option<SignInProvider>> {
    let by_slug = GetOrganizationRequest { key: Some(Key::Slug(slug)) };
    let organization_id = match console.clients.organizations.clone().get_organization(visit.call(by_slug)).await {
        Ok(organization) => organization.into_inner().id,
        Err(status) => match wire::refusal(&status).reason {
            Reason::OrganizationNotFound | Reason::InvalidArgument | Reason::InvalidValue => {
                uuid::Uuid::nil().to_string()
            }
            _ => return Err(status.into()),
        },
    };
    let request = GetSignInProviderRequest { organization_id, with_client_secret: false };
    match console.clients.admins.clone().get_sign_in_provider(visit.call(request)).await {
        Ok(provider) => Ok(Some(provider.into_inner())),
        Err(status) => match wire::refusal(&status).reason {
            Reason::SignInNotFound | Reason::OrganizationNotFound => Ok(None),
            _ => Err(status.into()),
        },
    }
}

fn registration<'a>(provider: &'a SignInProvider, redirect_uri: &'a str) -> Registration<'a> {
    Registration {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        client_secret: &provider.client_secret,
        redirect_uri,
    }
}

fn not_signed_in(Wrong(text): Wrong) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "You are not signed in", text).next("/sign-in", "Begin anew")
}

fn begin_anew(text: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "You are not signed in", text).next("/sign-in", "Begin anew")
}

/// RFC 6749 section 4.1.2, RFC 9207.
#[derive(Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    iss: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

/// `GET sign-in/callback/{organization}`
pub(crate) async fn callback(
    State(console): State<Console>,
    visit: Visit,
    Path(organization): Path<String>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Response {
    let begun = cookies::get(&headers, console.cookies.sign_in_of(visit.door)).unwrap_or_default();
    let result = finish(&console, &visit, &organization, begun, answer).await;
    let mut response = result.unwrap_or_else(Problem::into_response);
    if let Some(cookie) = console.cookies.remove(console.cookies.sign_in_of(visit.door)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

async fn finish(console: &Console, visit: &Visit, organization: &str, begun: &str, answer: Answer) -> Result<Response> {
    // Before anything is used up: what another browser began is left to it.
    if answer.state.is_empty() || !bool::from(begun.as_bytes().ct_eq(answer.state.as_bytes())) {
        return Err(begin_anew(
            "This answer belongs to a sign-in that this browser did not begin, or that another one in this browser has replaced.",
        ));
    }
    let mut admins = console.clients.admins.clone();
    let take = TakeSignInRequest { state_sha256: sha256(&answer.state) };
    let attempt = match admins.take_sign_in(visit.call(take)).await {
        Ok(attempt) => attempt.into_inner(),
        Err(status) if wire::refusal(&status).reason == Reason::SignInInvalid => {
            return Err(begin_anew("This sign-in was finished already, or took longer than ten minutes."));
        }
        Err(status) => return Err(status.into()),
    };
    // Before the code goes anywhere.
    if attempt.organization_id != organization {
        return Err(begin_anew(
            "The answer comes from the provider of another organization than the one that was asked.",
        ));
    }
    if !answer.error.is_empty() {
        let said: String = [&*answer.error, &*answer.error_description].join(" ").trim().chars().take(300).collect();
        let text = match &*answer.error {
            "access_denied" => {
                format!("The provider did not let you in: {said}. Are you assigned to this application there?")
            }
            _ => format!("The provider answered: {said}. An owner can check what it was set up with under Sign-in."),
        };
        return Err(Problem::new(StatusCode::FORBIDDEN, "You are not signed in", text).next("/sign-in", "Begin anew"));
    }
    if !answer.iss.is_empty() && answer.iss != attempt.issuer {
        return Err(begin_anew("The answer comes from another issuer than the one that was asked."));
    }
    let request =
        GetSignInProviderRequest { organization_id: attempt.organization_id.clone(), with_client_secret: true };
    let provider = match admins.get_sign_in_provider(visit.call(request)).await {
        Ok(provider) => provider.into_inner(),
        Err(status) if wire::refusal(&status).reason == Reason::SignInNotFound => SignInProvider::default(),
        Err(status) => return Err(status.into()),
    };
    if provider.issuer != attempt.issuer {
        return Err(begin_anew("The organization's sign-in provider was changed meanwhile."));
    }
    let redirect_uri = console.site.redirect_uri(visit.door, organization);
    let registration = registration(&provider, &redirect_uri);
    let person = console.providers.person(&registration, answer.code, attempt.nonce, attempt.pkce_verifier).await;
    let person = person.map_err(not_signed_in)?;
    let to = console.site.path_or_root(visit.door, &attempt.return_to);
    match visit.door {
        Door::Console => {
            let request = FinishSignInRequest {
                organization_id: attempt.organization_id,
                issuer: attempt.issuer,
                subject: person.subject.clone(),
                email: person.email.clone(),
                email_verified: person.email_verified,
                name: person.name.clone(),
                browser: Some(visit.browser.clone()),
                request_id: visit.request_id.to_string(),
            };
            match admins.finish_sign_in(visit.call(request)).await {
                Ok(session) => signed_in(console, console.cookies.session, &session.into_inner().secret, to),
                Err(status) if wire::refusal(&status).reason == Reason::SignInRefused => Err(no_administrator(&person)),
                Err(status) => Err(status.into()),
            }
        }
        Door::Account => {
            let request = FinishAccountSignInRequest {
                organization_id: attempt.organization_id,
                issuer: attempt.issuer,
                subject: person.subject,
                email: person.email,
                email_verified: person.email_verified,
                user_name: person.user_name,
                name: person.name,
                browser: Some(visit.browser.clone()),
                request_id: visit.request_id.to_string(),
            };
            match console.clients.accounts.clone().finish_account_sign_in(visit.call(request)).await {
                Ok(session) => signed_in(console, console.cookies.account, &session.into_inner().secret, to),
                Err(status) => {
                    let refusal = wire::refusal(&status);
                    if refusal.reason != Reason::SignInRefused {
                        return Err(status.into());
                    }
                    Err(Problem::new(StatusCode::FORBIDDEN, "You are not let in here", refusal.message)
                        .next("/sign-in", "Sign in as somebody else"))
                }
            }
        }
    }
}

fn no_administrator(person: &Person) -> Problem {
    let text = match (&*person.email, person.email_verified) {
        ("", _) => {
            "The provider knows you, but did not tell your e-mail address. It has to release the claims email and \
                    email_verified to this application; or ask an owner for an invitation."
                .to_owned()
        }
        (email, false) => format!(
            "The provider did not say that {email} is verified (email_verified), so you are not taken for the administrator of that \
             address. Have it verified there, or ask an owner for an invitation."
        ),
        (email, true) => format!(
            "The provider knows you as {email}, and no administrator here has that address, or the one who has it signs in as \
             somebody else there. Ask an owner to invite you: Administrators."
        ),
    };
    Problem::new(StatusCode::FORBIDDEN, "You are not an administrator here", text)
        .next("/sign-in", "Sign in as somebody else")
}

fn signed_in(console: &Console, cookie: &str, secret: &str, to: &str) -> Result<Response> {
    let mut response = page::see(to)?;
    let cookie = console.cookies.set(cookie, secret, None).ok_or_else(Problem::internal)?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

#[derive(Template)]
#[template(path = "invite.html")]
struct Invite {
    shell: Shell,
    organization: String,
    email: String,
    role: Role,
    created_by: String,
}

fn no_invite() -> Problem {
    let text = "It was used already, is too old, or was not copied whole. Ask whoever sent it for another one.";
    Problem::new(StatusCode::FORBIDDEN, "This invitation is not valid", text).next("/sign-in", "Sign in")
}

/// `GET invite/{secret}`
pub(crate) async fn invite(
    State(console): State<Console>,
    visit: Visit,
    Path(secret): Path<String>,
) -> Result<Response> {
    let request = GetAdminInviteRequest { secret_sha256: sha256(&secret) };
    let invite = match console.clients.admins.clone().get_admin_invite(visit.call(request)).await {
        Ok(invite) => invite.into_inner(),
        Err(status) if wire::refusal(&status).reason == Reason::AdminInviteInvalid => return Err(no_invite()),
        Err(status) => return Err(status.into()),
    };
    let role = Role::from_wire(invite.role());
    let by_id = GetOrganizationRequest { key: Some(Key::Id(invite.organization_id)) };
    let organization = console.clients.organizations.clone().get_organization(visit.call(by_id)).await?.into_inner();
    let page = Invite {
        shell: Shell::bare(&visit, "Invitation"),
        organization: organization.name,
        email: invite.email,
        role,
        created_by: inviter(invite.created_by),
    };
    page::html(StatusCode::OK, &page)
}

/// `POST invite/{secret}`
pub(crate) async fn accept(
    State(console): State<Console>,
    visit: Visit,
    Path(secret): Path<String>,
) -> Result<Response> {
    let request = AcceptAdminInviteRequest {
        secret_sha256: sha256(&secret),
        browser: Some(visit.browser.clone()),
        request_id: visit.request_id.to_string(),
    };
    match console.clients.admins.clone().accept_admin_invite(visit.call(request)).await {
        Ok(session) => {
            let secret = session.into_inner().secret;
            signed_in(&console, console.cookies.session, &secret, &console.site.root)
        }
        Err(status) if wire::refusal(&status).reason == Reason::AdminInviteInvalid => Err(no_invite()),
        Err(status) => Err(status.into()),
    }
}

/// `POST sign-out`
pub(crate) async fn sign_out(signed_in: SignedIn) -> Result<Response> {
    let console = &signed_in.visit.console;
    let request = RevokeSessionRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: signed_in.session.id.clone(),
    };
    console.clients.admins.clone().revoke_session(signed_in.call(request)).await?;
    let mut response = page::see(&format!("{}/sign-in", console.site.root))?;
    if let Some(cookie) = console.cookies.remove(console.cookies.session) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}
