//! What a token may be used for: reading or writing, users or groups. What is in neither, such as `/Schemas`, is for every
//! token. A bulk request is judged operation by operation, in `routes::bulk`.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::Method;
use scim::{ErrorKind, bulk::Endpoint};

use crate::{
    error::{Failure, Result},
    extract::refuse,
    gateway::Session,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    UsersRead = 1,
    UsersWrite = 2,
    GroupsRead = 4,
    GroupsWrite = 8,
}

impl Scope {
    const ALL: [Self; 4] = [Self::UsersRead, Self::UsersWrite, Self::GroupsRead, Self::GroupsWrite];

    fn as_str(self) -> &'static str {
        match self {
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::GroupsRead => "groups:read",
            Self::GroupsWrite => "groups:write",
        }
    }
}

/// Those of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scopes {
    bits: u8,
    /// Of an OAuth access token, which gets them from its client.
    by_oauth: bool,
}

impl Scopes {
    /// None named: all. A token-service from before there were scopes names none.
    pub(crate) fn named(names: &[String]) -> Self {
        let named = |scope: &Scope| names.is_empty() || names.iter().any(|name| name == scope.as_str());
        let bits = Scope::ALL.into_iter().filter(named).fold(0, |all, scope| all | scope as u8);
        Self { bits, by_oauth: false }
    }

    pub(crate) fn by_oauth(self, by_oauth: bool) -> Self {
        Self { by_oauth, ..self }
    }

    pub(crate) fn require(self, scope: Scope) -> Result<()> {
        if self.bits & scope as u8 != 0 {
            return Ok(());
        }
        let name = scope.as_str();
        let remedy = if self.by_oauth {
            format!(
                "Ask for it where the token is fetched, if the client has it (rollcall oauth client list). If not, an \
                 administrator can make a client that has it: rollcall oauth client create ORG --name TEXT --grant TYPE \
                 --scope {name}, and --scope for each other one."
            )
        } else {
            format!(
                "An administrator can make one that has it: rollcall token create ORG --description TEXT --scope {name}, and \
                 --scope for each other one."
            )
        };
        let detail = format!("This token lacks the scope {name}, which the request needs. {remedy}");
        Err(Failure::new(ErrorKind::Forbidden, detail).because("scope"))
    }
}

/// What a request to `/Users` or below needs.
pub(crate) fn users(method: &Method) -> &'static [Scope] {
    if method.is_safe() { &[Scope::UsersRead] } else { &[Scope::UsersWrite] }
}

/// What a request to `/Groups` or below needs.
pub(crate) fn groups(method: &Method) -> &'static [Scope] {
    if method.is_safe() { &[Scope::GroupsRead] } else { &[Scope::GroupsWrite] }
}

/// What one operation of a bulk request needs.
pub(crate) fn operation(endpoint: Endpoint) -> Scope {
    match endpoint {
        Endpoint::Users => Scope::UsersWrite,
        Endpoint::Groups => Scope::GroupsWrite,
    }
}

/// The layer around the routes of a resource.
pub(crate) async fn check(needed: fn(&Method) -> &'static [Scope], request: Request, next: Next) -> Response {
    let scopes = request.extensions().get::<Session>().map(|session| session.scopes).ok_or_else(Failure::internal);
    let checked =
        scopes.and_then(|scopes| needed(request.method()).iter().try_for_each(|scope| scopes.require(*scope)));
    match checked {
        Ok(()) => next.run(request).await,
        Err(failure) => {
            let (parts, body) = request.into_parts();
            refuse(&parts.headers, body, failure).await.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_scopes_that_are_named_or_all() {
        let names = |names: &[&str]| Scopes::named(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        for scope in Scope::ALL {
            assert!(names(&[]).require(scope).is_ok());
            assert!(names(&[scope.as_str()]).require(scope).is_ok());
            let refused = names(&["of a later release"]).require(scope).expect_err("refused");
            assert_eq!(refused.kind(), ErrorKind::Forbidden);
            assert!(refused.detail().contains(scope.as_str()), "{}", refused.detail());
        }
        assert!(names(&["users:read", "groups:write"]).require(Scope::UsersWrite).is_err());
    }
}
