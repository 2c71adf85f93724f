//! A token gives way to its successor: both are valid until the old one is retired, or until its deadline.
//!
//! The deadline is the old token's expiry, so that whoever knows nothing of rotation keeps to it.

use std::str::FromStr as _;

use store::{Failure, Instant};
use wire::{
    Reason, Refusal,
    token::{RetireScimTokenRequest, RetireScimTokenResponse, RotateScimTokenRequest, RotateScimTokenResponse},
};

use crate::{
    Service,
    caller::Caller,
    error::refusal,
    grpc::{New, insert, not_found, organization, successor, to_wire},
    store::{self as tokens, EventId, Kind, OrgId, Token, TokenId},
};

/// Gateways have seen a new expiry by then.
const SHORTEST: i64 = 60_000_000;

impl Service {
    pub(crate) async fn rotate(&self, request: RotateScimTokenRequest) -> Result<RotateScimTokenResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let id = TokenId::from_str(&request.id).map_err(|_| not_found())?;
        let ttl_days = request.ttl_days;
        let deadline = request.deadline.as_ref().map(|at| Instant::from_micros(wire::from_timestamp(at)));
        let (drawn, secret) = self.draw();
        let now = drawn.at;
        if deadline.is_some_and(|deadline| deadline < now.saturating_add_micros(SHORTEST)) {
            let detail =
                "The deadline must be a minute from now, or later: the new token has to be put in place by then.";
            return Err(Refusal::new(Reason::InvalidArgument, detail));
        }
        let event = EventId(self.inner.ids.next());
        let written = self.inner.db.of(org).write(move |connection| {
            let Some(mut old) = tokens::token_get(connection, org, id)? else {
                return Err(Failure::Refused(not_found()));
            };
            if old.revoked.is_some() || old.expires.is_some_and(|expires| expires <= now) {
                return Err(state("The token is no longer valid, so there is nothing to rotate. Make a new one."));
            }
            if let Some(successor) = old.successor {
                return Err(rotated(&successor.to_string()));
            }
            let new = New {
                description: old.description.clone(),
                scopes: old.scopes.clone(),
                allowed_cidrs: old.allowed_cidrs.clone(),
                ttl_days,
            };
            let new = insert(connection, org, &new, &drawn, &caller)?;
            old.expires = match (old.expires, deadline) {
                (Some(expires), Some(deadline)) => Some(expires.min(deadline)),
                (expires, deadline) => expires.or(deadline),
            };
            old.successor = Some(new.id);
            if !tokens::token_rotate(connection, org, id, new.id, old.expires)? {
                return Err(state("The token was rotated or revoked just now. List the tokens to see which."));
            }
            tokens::event_insert(connection, org, event, Some(id), Kind::Rotated, &caller, now)?;
            Ok((old, new))
        });
        let (old, new) = written.await.map_err(refusal)?;
        Ok(RotateScimTokenResponse {
            token: Some(to_wire(old, false)),
            successor: Some(to_wire(new, false)),
            secret: secret.into_answer(),
        })
    }

    pub(crate) async fn retire(&self, request: RetireScimTokenRequest) -> Result<RetireScimTokenResponse, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let id = TokenId::from_str(&request.id).map_err(|_| not_found())?;
        let mut retired = self.retire_if_used(org, id, &caller, request.force).await?;
        if retired.is_err() {
            // The use that is waited for may be noted here and not be written.
            self.inner.usage.flush(&self.inner.db).await;
            retired = self.retire_if_used(org, id, &caller, request.force).await?;
        }
        let (token, used) = retired.map_err(|successor| unused(&successor.to_string()))?;
        self.inner.feed.poke();
        Ok(RetireScimTokenResponse { token: Some(to_wire(token, used)) })
    }

    /// The retired token and whether its successor was used; or else the successor, which is waited for.
    async fn retire_if_used(
        &self,
        org: OrgId,
        id: TokenId,
        caller: &Caller,
        force: bool,
    ) -> Result<Result<(Token, bool), TokenId>, Refusal> {
        let (event, at, caller) = (EventId(self.inner.ids.next()), self.inner.clock.now(), caller.clone());
        let written = self.inner.db.of(org).write(move |connection| {
            let Some(mut old) = tokens::token_get(connection, org, id)? else {
                return Err(Failure::Refused(not_found()));
            };
            let Some(new) = successor(connection, &old)? else {
                return Err(state("The token has no successor. Rotate it first, or revoke it if nothing uses it."));
            };
            let used = new.last_used.is_some();
            if old.revoked.is_none() {
                let valid = new.revoked.is_none() && new.expires.is_none_or(|expires| at < expires);
                if !force && !valid {
                    return Err(state(
                        "The successor is no longer valid, so that nothing would be. Revoke this token if that is what \
                         you want, or make a new one first.",
                    ));
                }
                if !force && !used {
                    return Ok(Err(new.id));
                }
                if tokens::token_revoke(connection, org, id, at)? {
                    tokens::event_insert(connection, org, event, Some(id), Kind::Retired, &caller, at)?;
                }
                old.revoked = Some(at);
            }
            Ok(Ok((old, used)))
        });
        written.await.map_err(refusal)
    }
}

fn state(message: impl Into<String>) -> Failure<Refusal> {
    Failure::Refused(Refusal::new(Reason::TokenState, message))
}

fn rotated(successor: &str) -> Failure<Refusal> {
    state(format!(
        "The token was rotated before: its successor is {successor}. Retire it when that one is in use, or rotate the \
         successor."
    ))
}

fn unused(successor: &str) -> Refusal {
    Refusal::new(
        Reason::TokenState,
        format!(
            "The successor {successor} has not been used yet. Put it into the identity provider, test the connection there, \
         and retire this token some seconds later; or retire it with --force, and what still uses it is refused."
        ),
    )
}
