//! Who did something, by name: events keep the ids of tokens and grants.

use std::collections::HashMap;

use serde::Deserialize;
use wire::token::{ListOAuthClientsRequest, ListOAuthGrantsRequest};

use super::tokens;
use crate::{problem::Result, session::SignedIn};

/// What Rollcall does by itself has this name in events.
const OURSELVES: &str = "identity-service";
/// And this one on pages.
const OURS: &str = "Rollcall";
/// So has what its command line does; no administrator is called that, since each has an address.
const COMMANDS: &str = "command line";

/// An administrator's name, as in `by ada@example.com`.
pub(super) fn administrator(name: String) -> String {
    if name == COMMANDS { "the command line".to_owned() } else { name }
}

/// The same, of somebody who is spoken of to strangers.
pub(crate) fn inviter(name: String) -> String {
    if name == COMMANDS { "Whoever runs Rollcall here".to_owned() } else { name }
}

/// The names of an organization's tokens and grants, whether they are good still or not.
#[derive(Default)]
pub(super) struct Names(HashMap<String, String>);

/// `Event.actor_json`, as far as it is shown.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Actor {
    ScimClient { token_id: String },
    Administrator { name: String },
    InternalService { name: String },
    Member { user_id: String },
    Agent { name: String },
}

impl Names {
    pub(super) async fn of(signed_in: &SignedIn) -> Result<Self> {
        let organization_id = signed_in.organization_id();
        let list_clients = ListOAuthClientsRequest { organization_id: organization_id.clone() };
        let list_grants = ListOAuthGrantsRequest { organization_id };
        let oauth = &signed_in.visit.console.clients.oauth;
        let (mut clients, mut grants) = (oauth.clone(), oauth.clone());
        let (tokens, clients, grants) = futures::join!(
            tokens::all(signed_in),
            clients.list_o_auth_clients(signed_in.call(list_clients)),
            grants.list_o_auth_grants(signed_in.call(list_grants)),
        );
        let clients = clients?.into_inner().clients;
        let client = |id: &str| clients.iter().find(|client| client.id == id).map(|client| client.name.as_str());
        let tokens = tokens?.into_iter().map(|token| (token.id, format!("the SCIM token \"{}\"", token.description)));
        let grants = grants?.into_inner().grants.into_iter().map(|grant| {
            let name = client(&grant.client_id).unwrap_or(&grant.client_id);
            (grant.id, format!("the OAuth client \"{name}\""))
        });
        Ok(Self(tokens.chain(grants).collect()))
    }

    /// Of a token or grant.
    pub(super) fn client(&self, id: &str) -> String {
        self.0.get(id).cloned().unwrap_or_else(|| format!("the SCIM token {id}"))
    }

    /// Of `Event.actor_json` and what is kept like it.
    pub(super) fn who(&self, actor_json: &[u8]) -> String {
        match serde_json::from_slice(actor_json) {
            Ok(Actor::ScimClient { token_id }) => self.client(&token_id),
            Ok(Actor::Administrator { name }) => administrator(name),
            Ok(Actor::InternalService { name }) if name == OURSELVES => OURS.to_owned(),
            Ok(Actor::InternalService { name }) => format!("the service {name}"),
            Ok(Actor::Member { user_id }) => format!("the user {user_id}"),
            Ok(Actor::Agent { name }) => format!("the agent \"{name}\""),
            Err(_) => "somebody unknown".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_have_names() {
        let names = Names([("t1".to_owned(), "the SCIM token \"Okta\"".to_owned())].into());
        for (actor, who) in [
            (r#"{"kind":"scim_client","token_id":"t1","request_id":"r"}"#, "the SCIM token \"Okta\""),
            (r#"{"kind":"scim_client","token_id":"t2","request_id":"r"}"#, "the SCIM token t2"),
            (r#"{"kind":"administrator","name":"ada@example.com","request_id":"r"}"#, "ada@example.com"),
            (r#"{"kind":"administrator","name":"command line","request_id":"r"}"#, "the command line"),
            (r#"{"kind":"internal_service","name":"identity-service","request_id":""}"#, "Rollcall"),
            (r#"{"kind":"internal_service","name":"mail","request_id":""}"#, "the service mail"),
            (r#"{"kind":"member","user_id":"u1","request_id":""}"#, "the user u1"),
            (r#"{"kind":"agent","agent_id":"a1","name":"cellar","request_id":""}"#, "the agent \"cellar\""),
            ("", "somebody unknown"),
        ] {
            assert_eq!(names.who(actor.as_bytes()), who);
        }
    }
}
