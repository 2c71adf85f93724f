//! What went wrong, as a page that says what to do about it. `visit` renders it.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tonic::Status;
use wire::Reason;

/// In words for a person; shown as they are.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) title: Cow<'static, str>,
    pub(crate) text: Cow<'static, str>,
    /// Where to go on: a path below the console's root, and what to call it.
    pub(crate) next: (&'static str, &'static str),
    /// The refused call's reason, for handlers that answer some themselves.
    pub(crate) reason: Option<Reason>,
}

pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        title: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, title: title.into(), text: text.into(), next: ("", "Go to the overview"), reason: None }
    }

    pub(crate) fn next(self, path: &'static str, label: &'static str) -> Self {
        Self { next: (path, label), ..self }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "Nothing of your organization has this address. It may have been deleted.",
        )
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong",
            "The fault is on our side. Try again; if it stays, tell whoever runs Rollcall the request id below.",
        )
    }

    /// Whether the form was filled in wrong, or cannot be done as things are: said beside the form, not on a page of its own.
    pub(crate) fn of_the_form(&self) -> bool {
        self.reason.is_some() && (StatusCode::BAD_REQUEST..StatusCode::INTERNAL_SERVER_ERROR).contains(&self.status)
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let refusal = wire::refusal(&status);
        let (status, title) = match refusal.reason {
            Reason::InvalidFilter
            | Reason::InvalidPath
            | Reason::InvalidSyntax
            | Reason::InvalidValue
            | Reason::Mutability
            | Reason::NoTarget
            | Reason::TooMany
            | Reason::InvalidCount
            | Reason::KeyInvalid
            | Reason::InvalidArgument => (StatusCode::UNPROCESSABLE_ENTITY, "This cannot be taken as it is"),
            // It stands in the address.
            Reason::InvalidCursor | Reason::ExpiredCursor => {
                let text = "The address names a page of a list that is not there, or not any more. Open the list anew and go on \
                            from its beginning.";
                return Self {
                    reason: Some(refusal.reason),
                    ..Self::new(StatusCode::NOT_FOUND, "There is no such page", text)
                };
            }
            Reason::UserNotFound
            | Reason::GroupNotFound
            | Reason::OrganizationNotFound
            | Reason::TokenNotFound
            | Reason::OAuthNotFound
            | Reason::AdminNotFound
            | Reason::SignInNotFound
            | Reason::SessionNotFound
            | Reason::RequestNotFound
            | Reason::AgentNotFound
            | Reason::CredentialNotFound => (StatusCode::NOT_FOUND, "There is nothing here"),
            Reason::Uniqueness
            | Reason::IdempotencyKeyReused
            | Reason::IdempotencyKeySpent
            | Reason::TokenState
            | Reason::OAuthState
            | Reason::AdminState
            | Reason::CredentialState
            | Reason::SignInInvalid
            | Reason::SignInState
            | Reason::AccountState
            | Reason::AccountLocked
            | Reason::MailOff
            | Reason::GrantInvalid
            | Reason::VersionMismatch => (StatusCode::CONFLICT, "This cannot be done as things are"),
            Reason::ScimDisabled | Reason::PlanLapsed => (StatusCode::FORBIDDEN, "The plan does not include this"),
            Reason::ApprovalInvalid
            | Reason::GrantNotAllowed
            | Reason::ScopeInvalid
            | Reason::SignInRefused
            | Reason::AdminInviteInvalid
            | Reason::UnlockFailed
            | Reason::NotConfirming
            | Reason::SessionInvalid => (StatusCode::FORBIDDEN, "This is not allowed"),
            Reason::AgentInvalid => (StatusCode::UNAUTHORIZED, "This is not allowed"),
            Reason::Limited => (StatusCode::TOO_MANY_REQUESTS, "Not so fast"),
            Reason::Contended | Reason::Busy | Reason::Unavailable => {
                let text = "A part of Rollcall cannot be reached, or has too much to do. Try again in a few seconds.";
                return Self {
                    reason: Some(refusal.reason),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not just now", text)
                };
            }
            // Between our own parts: nothing an administrator could do.
            Reason::ClientInvalid
            | Reason::TokenInvalid
            | Reason::CredentialInvalid
            | Reason::ScopeMissing
            | Reason::CallerNotAllowed
            | Reason::Internal => return Self { reason: Some(refusal.reason), ..Self::internal() },
        };
        Self { reason: Some(refusal.reason), ..Self::new(status, title, refusal.message) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
