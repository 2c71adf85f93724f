//! Who may ask for a token to be made or revoked.

use wire::{Reason, Refusal, common};

/// The longest name or request id, characters.
const LONGEST: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    pub(crate) request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Administrator(String),
    InternalService(String),
    /// By its id. What only the client itself brings about.
    OAuthClient(String),
}

impl Actor {
    /// What it is, as events say it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Administrator(_) => "administrator",
            Self::InternalService(_) => "internal_service",
            Self::OAuthClient(_) => "oauth_client",
        }
    }
}

impl Caller {
    /// Refuses SCIM clients: a token must not make or end tokens.
    pub(crate) fn from_wire(caller: Option<common::Caller>) -> Result<Self, Refusal> {
        let caller = caller.ok_or_else(|| refused("caller is missing. Say who asks."))?;
        let actor = match caller.kind {
            Some(common::caller::Kind::Administrator(administrator)) => Actor::Administrator(administrator.name),
            Some(common::caller::Kind::InternalService(service)) => Actor::InternalService(service.name),
            Some(common::caller::Kind::ScimClient(_)) => {
                return Err(refused("A SCIM client cannot make or revoke tokens. Ask an administrator."));
            }
            None => return Err(refused("caller.kind is missing. Say who asks.")),
        };
        let (Actor::Administrator(name) | Actor::InternalService(name) | Actor::OAuthClient(name)) = &actor;
        if name.trim().is_empty() || name.chars().count() > LONGEST {
            return Err(refused("The caller's name must have 1 to 200 characters."));
        }
        if caller.request_id.chars().count() > LONGEST {
            return Err(refused("caller.request_id must have at most 200 characters."));
        }
        Ok(Self { actor, request_id: caller.request_id })
    }

    pub(crate) fn name(&self) -> &str {
        let (Actor::Administrator(name) | Actor::InternalService(name) | Actor::OAuthClient(name)) = &self.actor;
        name
    }
}

fn refused(message: &str) -> Refusal {
    Refusal::new(Reason::InvalidArgument, message)
}
