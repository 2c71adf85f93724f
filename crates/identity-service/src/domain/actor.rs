//! Who asks.

use serde_json::{Value, json};

/// The caller of an rpc, as an authenticated service named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) kind: ActorKind,
    pub(crate) request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActorKind {
    ScimClient {
        token_id: String,
        /// The gateway's own id of the request; empty where it gives none.
        entry_id: String,
    },
    Administrator {
        name: String,
    },
    InternalService {
        name: String,
    },
    /// A user, in its own account.
    Member {
        user: String,
    },
    /// A program of the customer's that confirms members.
    Agent {
        id: String,
        name: String,
    },
}

impl Actor {
    /// Whether the organization's SCIM switch and plan bind this caller.
    pub(crate) fn is_scim_client(&self) -> bool {
        matches!(self.kind, ActorKind::ScimClient { .. })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        match &self.kind {
            ActorKind::ScimClient { token_id, .. } => token_id,
            ActorKind::Administrator { name } | ActorKind::InternalService { name } | ActorKind::Agent { name, .. } => {
                name
            }
            ActorKind::Member { user } => user,
        }
    }

    /// Tells callers apart where something is kept for each, such as idempotency keys.
    pub(crate) fn key(&self) -> String {
        match &self.kind {
            ActorKind::ScimClient { token_id, .. } => format!("scim_client:{token_id}"),
            ActorKind::Administrator { name } => format!("administrator:{name}"),
            ActorKind::InternalService { name } => format!("internal_service:{name}"),
            ActorKind::Member { user } => format!("member:{user}"),
            ActorKind::Agent { id, .. } => format!("agent:{id}"),
        }
    }

    /// Of the form that events keep.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let kept: Value = serde_json::from_str(text).ok()?;
        let field = |name: &str| kept[name].as_str().map(str::to_owned);
        let kind = match kept["kind"].as_str()? {
            "scim_client" => {
                ActorKind::ScimClient { token_id: field("token_id")?, entry_id: field("entry_id").unwrap_or_default() }
            }
            "administrator" => ActorKind::Administrator { name: field("name")? },
            "internal_service" => ActorKind::InternalService { name: field("name")? },
            "member" => ActorKind::Member { user: field("user_id")? },
            _ => return None,
        };
        Some(Self { kind, request_id: field("request_id").unwrap_or_default() })
    }

    /// The form that events keep.
    pub(crate) fn to_json(&self) -> String {
        let request_id = &self.request_id;
        let value = match &self.kind {
            ActorKind::ScimClient { token_id, entry_id } if entry_id.is_empty() => {
                json!({"kind": "scim_client", "token_id": token_id, "request_id": request_id})
            }
            ActorKind::ScimClient { token_id, entry_id } => {
                json!({"kind": "scim_client", "token_id": token_id, "request_id": request_id, "entry_id": entry_id})
            }
            ActorKind::Administrator { name } => {
                json!({"kind": "administrator", "name": name, "request_id": request_id})
            }
            ActorKind::InternalService { name } => {
                json!({"kind": "internal_service", "name": name, "request_id": request_id})
            }
            ActorKind::Member { user } => json!({"kind": "member", "user_id": user, "request_id": request_id}),
            ActorKind::Agent { id, name } => {
                json!({"kind": "agent", "agent_id": id, "name": name, "request_id": request_id})
            }
        };
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_events_keep_is_read_back() {
        let name = || "ada".to_owned();
        for kind in [
            ActorKind::ScimClient { token_id: name(), entry_id: String::new() },
            ActorKind::ScimClient { token_id: name(), entry_id: name() },
            ActorKind::Administrator { name: name() },
            ActorKind::InternalService { name: name() },
            ActorKind::Member { user: name() },
        ] {
            let actor = Actor { kind, request_id: "r-1".to_owned() };
            assert_eq!(Actor::parse(&actor.to_json()), Some(actor));
        }
        assert_eq!(Actor::parse("{}"), None);
    }
}
