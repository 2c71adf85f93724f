//! Why a call was refused, as `google.rpc.ErrorInfo` beside the status code.

use std::{collections::HashMap, error::Error};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::TransportError;

const DOMAIN: &str = "rollcall";

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $code:ident;)*) => {
        /// The reasons that services give, each with its gRPC status code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for exhaustive tests.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The text in `ErrorInfo.reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The status code it travels under.
            pub fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)* }
            }

            fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

reasons! {
    /// RFC 7644 table 9.
    InvalidFilter = "INVALID_FILTER", InvalidArgument;
    /// RFC 7644 table 9.
    InvalidPath = "INVALID_PATH", InvalidArgument;
    /// RFC 7644 table 9.
    InvalidSyntax = "INVALID_SYNTAX", InvalidArgument;
    /// RFC 7644 table 9.
    InvalidValue = "INVALID_VALUE", InvalidArgument;
    /// RFC 7644 table 9.
    Mutability = "MUTABILITY", InvalidArgument;
    /// RFC 7644 table 9.
    NoTarget = "NO_TARGET", InvalidArgument;
    /// RFC 7644 table 9.
    TooMany = "TOO_MANY", InvalidArgument;
    /// RFC 9865 table 3.
    InvalidCursor = "INVALID_CURSOR", InvalidArgument;
    /// RFC 9865 table 3.
    ExpiredCursor = "EXPIRED_CURSOR", InvalidArgument;
    /// RFC 9865 table 3.
    InvalidCount = "INVALID_COUNT", InvalidArgument;
    /// Another resource has this value.
    Uniqueness = "UNIQUENESS", AlreadyExists;
    /// The idempotency key was used with other content.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", FailedPrecondition;
    /// What the idempotency key created has been deleted.
    IdempotencyKeySpent = "IDEMPOTENCY_KEY_SPENT", FailedPrecondition;
    /// A request field is malformed; not the SCIM client's fault.
    InvalidArgument = "INVALID_ARGUMENT", InvalidArgument;
    /// No such user in this organization.
    UserNotFound = "USER_NOT_FOUND", NotFound;
    /// No such group in this organization.
    GroupNotFound = "GROUP_NOT_FOUND", NotFound;
    /// No such organization.
    OrganizationNotFound = "ORGANIZATION_NOT_FOUND", NotFound;
    /// No such SCIM token in this organization.
    TokenNotFound = "TOKEN_NOT_FOUND", NotFound;
    /// The token's state does not allow this.
    TokenState = "TOKEN_STATE", FailedPrecondition;
    /// No such OAuth client or grant in this organization.
    OAuthNotFound = "OAUTH_NOT_FOUND", NotFound;
    /// The OAuth client's state does not allow this.
    OAuthState = "OAUTH_STATE", FailedPrecondition;
    /// Not this OAuth client's credential: one answer for unknown, revoked and wrong.
    ClientInvalid = "CLIENT_INVALID", Unauthenticated;
    /// Not an approval code of this OAuth client: one answer for unknown, used, expired and too many guesses.
    ApprovalInvalid = "APPROVAL_INVALID", PermissionDenied;
    /// The code or refresh token is unknown, used, expired or ended: one answer for all.
    GrantInvalid = "GRANT_INVALID", FailedPrecondition;
    /// The OAuth client was not made for this grant type.
    GrantNotAllowed = "GRANT_NOT_ALLOWED", PermissionDenied;
    /// The OAuth client may not have this scope.
    ScopeInvalid = "SCOPE_INVALID", PermissionDenied;
    /// No such administrator or invitation in this organization.
    AdminNotFound = "ADMIN_NOT_FOUND", NotFound;
    /// The organization's administrators do not allow this.
    AdminState = "ADMIN_STATE", FailedPrecondition;
    /// The invitation is unknown, used or expired: one answer for all.
    AdminInviteInvalid = "ADMIN_INVITE_INVALID", Unauthenticated;
    /// The organization has no sign-in provider.
    SignInNotFound = "SIGN_IN_NOT_FOUND", NotFound;
    /// The sign-in provider is not as it has to be for this: its client secret cannot be read any more.
    SignInState = "SIGN_IN_STATE", FailedPrecondition;
    /// No sign-in that has begun, or not any more: one answer for unknown, used and expired.
    SignInInvalid = "SIGN_IN_INVALID", FailedPrecondition;
    /// The provider named nobody who may sign in.
    SignInRefused = "SIGN_IN_REFUSED", PermissionDenied;
    /// The console session is unknown, ended, idle for too long or too old: one answer for all.
    SessionInvalid = "SESSION_INVALID", Unauthenticated;
    /// No such console session in this organization.
    SessionNotFound = "SESSION_NOT_FOUND", NotFound;
    /// No member's state in which this can be done.
    AccountState = "ACCOUNT_STATE", FailedPrecondition;
    /// The account is not unlocked in this session.
    AccountLocked = "ACCOUNT_LOCKED", FailedPrecondition;
    /// A public key, a proof of possession or a signature that is not good.
    KeyInvalid = "KEY_INVALID", InvalidArgument;
    /// Not the password or kit, or an unlock that is unknown, used or too old: one answer for all.
    UnlockFailed = "UNLOCK_FAILED", PermissionDenied;
    /// Too many guesses; the message says when to try again.
    Limited = "LIMITED", ResourceExhausted;
    /// Who may not confirm others.
    NotConfirming = "NOT_CONFIRMING", PermissionDenied;
    /// The agent's credential is unknown or revoked: one answer for both.
    AgentInvalid = "AGENT_INVALID", Unauthenticated;
    /// No such agent in this organization.
    AgentNotFound = "AGENT_NOT_FOUND", NotFound;
    /// No mail is sent by this installation.
    MailOff = "MAIL_OFF", FailedPrecondition;
    /// No such request in this organization's provisioning log.
    RequestNotFound = "REQUEST_NOT_FOUND", NotFound;
    /// If-Match names no current version.
    VersionMismatch = "VERSION_MISMATCH", FailedPrecondition;
    /// The organization's SCIM switch is off.
    ScimDisabled = "SCIM_DISABLED", PermissionDenied;
    /// The plan does not include it, has lapsed, or is for no more: see [`Refusal::entitlement`].
    PlanLapsed = "PLAN_LAPSED", PermissionDenied;
    /// Unknown, expired or revoked: one answer for all.
    TokenInvalid = "TOKEN_INVALID", Unauthenticated;
    /// A gRPC call without a valid credential.
    CredentialInvalid = "CREDENTIAL_INVALID", Unauthenticated;
    /// The service credential lacks the scope that the call needs.
    ScopeMissing = "SCOPE_MISSING", PermissionDenied;
    /// The call names a caller that its service credential may not speak for.
    CallerNotAllowed = "CALLER_NOT_ALLOWED", PermissionDenied;
    /// No such service credential.
    CredentialNotFound = "CREDENTIAL_NOT_FOUND", NotFound;
    /// The service credential's state does not allow this.
    CredentialState = "CREDENTIAL_STATE", FailedPrecondition;
    /// Others kept changing the same row; try again.
    Contended = "CONTENDED", Aborted;
    /// More than can be taken now; try again in a second.
    Busy = "BUSY", ResourceExhausted;
    /// The database or a service cannot be reached.
    Unavailable = "UNAVAILABLE", Unavailable;
    /// Our fault; logged where it happened.
    Internal = "INTERNAL", Internal;
}

/// What of a plan a refusal is about. One reason for both: a gateway of the release before knows that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entitlement {
    /// SCIM itself.
    Scim,
    /// The number of users.
    MaxUsers,
    /// OAuth clients and grants.
    OAuth,
}

impl Entitlement {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Scim, Self::MaxUsers, Self::OAuth];

    /// The text in `ErrorInfo.metadata["entitlement"]`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scim => "scim",
            Self::MaxUsers => "max_users",
            Self::OAuth => "oauth",
        }
    }
}

const ENTITLEMENT: &str = "entitlement";

/// What a failed call says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// For a person; safe to show.
    pub message: String,
    /// What of the plan it is about, with [`Reason::PlanLapsed`].
    pub entitlement: Option<Entitlement>,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), entitlement: None }
    }

    /// A refusal because of the plan.
    pub fn by_plan(entitlement: Entitlement, message: impl Into<String>) -> Self {
        Self { entitlement: Some(entitlement), ..Self::new(Reason::PlanLapsed, message) }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let entitlement = refusal.entitlement.map(|this| (ENTITLEMENT.to_owned(), this.as_str().to_owned()));
        let details = ErrorDetails::with_error_info(refusal.reason.as_str(), DOMAIN, HashMap::from_iter(entitlement));
        Self::with_error_details(refusal.reason.code(), refusal.message, details)
    }
}

/// Reads a status back. One that carries no reason of ours came from the transport: its text may name addresses, so it
/// is not passed on.
pub fn refusal(status: &Status) -> Refusal {
    let info = status.get_details_error_info();
    let info = info.filter(|info| info.domain == DOMAIN);
    if let Some(reason) = info.as_ref().and_then(|info| Reason::from_text(&info.reason)) {
        let text = info.as_ref().and_then(|info| info.metadata.get(ENTITLEMENT));
        let entitlement = text.and_then(|text| Entitlement::ALL.into_iter().find(|this| this.as_str() == text));
        return Refusal { entitlement, ..Refusal::new(reason, status.message()) };
    }
    let unreachable =
        || Refusal::new(Reason::Unavailable, "A part of the service cannot be reached. Try again shortly.");
    // A call that found no service has the status code "unknown".
    let mut causes = std::iter::successors(status.source(), |&cause| cause.source());
    if causes.any(|cause| cause.is::<TransportError>()) {
        return unreachable();
    }
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => unreachable(),
        Code::ResourceExhausted => Refusal::new(Reason::Busy, "Too much at once. Try again in a second."),
        Code::Unauthenticated => Refusal::new(Reason::CredentialInvalid, status.message()),
        _ => Refusal::new(Reason::Internal, "Something went wrong on our side."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_wire() {
        let plain = Reason::ALL.iter().map(|reason| Refusal::new(*reason, "why"));
        for refusal in plain.chain(Entitlement::ALL.map(|entitlement| Refusal::by_plan(entitlement, "why"))) {
            let status = Status::from(refusal.clone());
            let headers = {
                let mut map = http::HeaderMap::new();
                status.add_header(&mut map).expect("headers");
                map
            };
            let back = Status::from_header_map(&headers).expect("status");
            assert_eq!(super::refusal(&back), refusal);
        }
    }

    #[test]
    fn a_service_out_of_reach_is_unavailable_however_deep_the_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] TransportError);

        let cause = || TransportError::new("tcp connect error 10.0.0.3:5432");
        for status in [Status::from_error(Box::new(cause())), Status::from_error(Box::new(Outer(cause())))] {
            let refusal = refusal(&status);
            assert_eq!(refusal.reason, Reason::Unavailable);
            assert!(!refusal.message.contains("10.0.0.3"));
        }
    }

    #[test]
    fn a_foreign_status_does_not_leak_its_text() {
        let status = Status::new(Code::Unknown, "tcp connect error 10.0.0.3:5432");
        assert_eq!(refusal(&status).reason, Reason::Internal);
        assert!(!refusal(&status).message.contains("10.0.0.3"));
    }
}
