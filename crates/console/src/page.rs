//! What every page has around its content, and answers made of templates.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};

use crate::{
    assets::{CSS_FILE, JS_FILE},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    visit::Visit,
};

/// What the navigation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    None,
    Overview,
    Users,
    Groups,
    Accounts,
    Scim,
    Log,
    DeletedUsers,
    Holds,
    Deletion,
    SignIn,
    Administrators,
    Sessions,
}

/// Around a page's content.
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) section: Section,
    /// What paths of the console begin with.
    pub(crate) root: String,
    pub(crate) css: &'static str,
    pub(crate) js: &'static str,
    /// Of forms: theirs and nobody else's.
    pub(crate) csrf: String,
    /// Of a form that makes a secret: each is taken once.
    pub(crate) once: String,
    pub(crate) request_id: String,
    pub(crate) who: Option<Who>,
    pub(crate) notice: Option<&'static str>,
}

pub(crate) struct Who {
    pub(crate) email: String,
    pub(crate) role: Role,
    pub(crate) organization: String,
}

impl Shell {
    /// For somebody who is not signed in.
    pub(crate) fn bare(visit: &Visit, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            section: Section::None,
            root: visit.root().to_owned(),
            css: &CSS_FILE,
            js: &JS_FILE,
            csrf: visit.form_token(""),
            once: visit.console.secret(),
            request_id: visit.request_id.to_string(),
            who: None,
            notice: None,
        }
    }

    pub(crate) fn new(signed_in: &SignedIn, section: Section, title: impl Into<String>) -> Self {
        let who = Who {
            email: signed_in.admin.email.clone(),
            role: signed_in.role,
            organization: signed_in.organization.name.clone(),
        };
        Self {
            section,
            csrf: signed_in.visit.form_token(&signed_in.session.id),
            who: Some(who),
            notice: notice(signed_in.visit.done.as_deref()),
            ..Self::bare(&signed_in.visit, title)
        }
    }

    /// For tests of templates.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self {
            title: String::new(),
            section: Section::None,
            root: "/console".to_owned(),
            css: "",
            js: "",
            csrf: String::new(),
            once: String::new(),
            request_id: String::new(),
            who: None,
            notice: None,
        }
    }

    pub(crate) fn role_article(&self) -> &'static str {
        self.who.as_ref().map_or("", |who| who.role.article())
    }

    pub(crate) fn is(&self, section: &Section) -> bool {
        self.section == *section
    }
}

/// What was done, said on the page after it. The cookie has a word, never a text.
fn notice(done: Option<&str>) -> Option<&'static str> {
    Some(match done? {
        "scim-on" => "SCIM provisioning is on. Requests with a valid token are served from now on.",
        "scim-off" => "SCIM provisioning is off. Identity providers are refused until it is on again.",
        "token-revoked" => "The token is revoked. Within a second it is refused everywhere.",
        "token-retired" => "The old token is retired. Within a second it is refused everywhere.",
        "client-made" => "The OAuth client is made. It has no secret: it signs what it sends.",
        "client-revoked" => "The OAuth client is revoked, with all its grants and tokens.",
        "secret-retired" => "The old secret is retired.",
        "grant-ended" => "The grant is ended, with all its tokens.",
        "made" => "That was done already, and a secret is shown once. Make another one if it is lost.",
        "provider-saved" => "The sign-in provider is saved. Try it in a private window before you close this session.",
        "provider-removed" => {
            "The sign-in provider is removed. Sign-in works by invitation until there is another one."
        }
        "user-restored" => "The user is restored, in all groups that it was in.",
        "hold-restoring" => "Restoring has begun.",
        "hold-approved" => "Approved. Who was deleted is erased in time.",
        "accounts-saved" => "The account settings are saved.",
        "unlinked" => "The next sign-in finds the user anew. It has no open session.",
        "agent-revoked" => {
            "The agent is revoked. If it had the organization key, an administrator's account page asks for a new one."
        }
        "invited" => "They are told by mail, in a minute.",
        "deletion-saved" => "The deletion settings are saved.",
        "role-changed" => "The role is changed. Sessions follow at once.",
        "admin-removed" => "Removed. All sessions and invitations of this address have ended.",
        "log-kept" => "Saved. Older requests are deleted within the hour.",
        "session-ended" => "The session is ended.",
        _ => return None,
    })
}

/// A page.
pub(crate) fn html(status: StatusCode, template: &impl Template) -> Result<Response> {
    let page = template.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        Problem::internal()
    })?;
    Ok((status, [(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], page).into_response())
}

/// After a change: the page is fetched anew, so that a reload does nothing twice.
pub(crate) fn see(location: &str) -> Result<Response> {
    let location = HeaderValue::try_from(location).map_err(|_| Problem::internal())?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}
