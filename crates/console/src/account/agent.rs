//! The calls of agents: programs of the customer's that confirm members. Each is one rpc, as those of the page are, for whoever shows
//! an agent's credential; no cookie is looked at.

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    middleware::{self, Next},
    response::Response,
    routing::post,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
    request::Parts,
};
use serde::{Deserialize, Serialize};
use tonic::Status;
use wire::{
    Reason,
    identity::{
        self as proto, ConfirmAgentRequest, ConfirmAgentState, ConfirmMembersRequest, EnrollConfirmAgentRequest,
        ListMembersToConfirmAsAgentRequest,
    },
};

use super::{
    api::{Answer, Confirm, ConfirmedMembers, Key, MembersFound, OrganizationKey, PublicKeys, RotateKey},
    json::{Base64, Json, Refused, read},
};
use crate::{
    console::{Console, sha256},
    problem::{Problem, Result},
    visit::Visit,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/account/agent/self", post(itself))
        .route("/account/agent/enroll", post(enroll))
        .route("/account/agent/organization-key", post(organization_key))
        .route("/account/agent/organization-key/rotate", post(rotate_organization_key))
        .route("/account/agent/members", post(members))
        .route("/account/agent/members/confirm", post(confirm))
        .route_layer(middleware::from_fn(refusals))
}

/// A request that shows a credential; whether it is any agent's, each rpc says.
pub(super) struct Agent {
    visit: Visit,
    secret_sha256: Bytes,
}

impl<S: Send + Sync> FromRequestParts<S> for Agent {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let visit = Visit::from_request_parts(parts, state).await?;
        match credential(&parts.headers) {
            Some(secret) => Ok(Self { secret_sha256: sha256(secret), visit }),
            None => {
                let text = "This call shows no agent credential. Send it as `Authorization: Bearer rc_agent_...`.";
                Err(Refused::no_agent(text))
            }
        }
    }
}

fn credential(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && secret.starts_with("rc_agent_")).then_some(secret)
}

/// Around all of them: whoever is refused for its credential is told how one is shown.
async fn refusals(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == http::StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"account agent\""));
    }
    response
}

impl Agent {
    fn shown(&self) -> ConfirmAgentRequest {
        ConfirmAgentRequest { secret_sha256: self.secret_sha256.clone(), request_id: self.request_id() }
    }

    fn request_id(&self) -> String {
        self.visit.request_id.to_string()
    }

    /// An address from which many come that nobody has waits.
    async fn refused(&self, status: Status) -> Refused {
        if wire::refusal(&status).reason == Reason::AgentInvalid
            && let Err(problem) = self.visit.console.strangers.admit(self.visit.address()).await
        {
            return problem.into();
        }
        status.into()
    }
}

/// An agent, as it sees itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Itself {
    agent: String,
    name: String,
    state: &'static str,
    organization: String,
    slug: String,
    key_id: String,
    version: u32,
    challenge: Base64,
    key: Option<Key>,
}

impl TryFrom<proto::EnrolledConfirmAgent> for Itself {
    type Error = Refused;

    fn try_from(this: proto::EnrolledConfirmAgent) -> Result<Self, Refused> {
        let agent = this.agent.ok_or_else(Problem::internal)?;
        Ok(Self {
            state: match agent.state() {
                ConfirmAgentState::Created | ConfirmAgentState::Unspecified => "created",
                ConfirmAgentState::Waiting => "waiting",
                ConfirmAgentState::Confirmed => "confirmed",
                ConfirmAgentState::Revoked => "revoked",
            },
            agent: agent.id,
            name: agent.name,
            organization: agent.organization_id,
            slug: this.organization,
            key_id: this.key_id,
            version: this.version,
            challenge: this.challenge.into(),
            key: agent.key.map(Into::into),
        })
    }
}

async fn itself(agent: Agent) -> Answer<Itself> {
    let mut accounts = agent.visit.console.clients.accounts.clone();
    match accounts.get_confirm_agent(agent.visit.call(agent.shown())).await {
        Ok(found) => Ok(Json(found.into_inner().try_into()?)),
        Err(status) => Err(agent.refused(status).await),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Enroll {
    key_id: String,
    public_keys: PublicKeys,
    possession: Base64,
}

async fn enroll(agent: Agent, body: Body) -> Answer<Itself> {
    let given: Enroll = read(body).await?;
    let request = EnrollConfirmAgentRequest {
        secret_sha256: agent.secret_sha256.clone(),
        request_id: agent.request_id(),
        key_id: given.key_id,
        enc_pub: given.public_keys.enc.into(),
        sig_pub: given.public_keys.sig.into(),
        proof_of_possession: given.possession.into(),
    };
    let mut accounts = agent.visit.console.clients.accounts.clone();
    match accounts.enroll_confirm_agent(agent.visit.call(request)).await {
        Ok(found) => Ok(Json(found.into_inner().try_into()?)),
        Err(status) => Err(agent.refused(status).await),
    }
}

async fn organization_key(agent: Agent) -> Answer<OrganizationKey> {
    let mut accounts = agent.visit.console.clients.accounts.clone();
    match accounts.get_organization_key_as_agent(agent.visit.call(agent.shown())).await {
        Ok(found) => Ok(Json(found.into_inner().into())),
        Err(status) => Err(agent.refused(status).await),
    }
}

async fn rotate_organization_key(agent: Agent, body: Body) -> Answer<OrganizationKey> {
    let given: RotateKey = read(body).await?;
    let request = given.request(agent.secret_sha256.clone(), agent.request_id());
    let mut accounts = agent.visit.console.clients.accounts.clone();
    match accounts.rotate_organization_key_as_agent(agent.visit.call(request)).await {
        Ok(found) => Ok(Json(found.into_inner().into())),
        Err(status) => Err(agent.refused(status).await),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(default)]
    after: String,
    #[serde(default)]
    of_next_version: bool,
}

async fn members(agent: Agent, body: Body) -> Answer<MembersFound> {
    let given: Members = read(body).await?;
    let request = ListMembersToConfirmAsAgentRequest {
        secret_sha256: agent.secret_sha256.clone(),
        request_id: agent.request_id(),
        after: given.after,
        of_next_version: given.of_next_version,
    };
    let mut accounts = agent.visit.console.clients.accounts.clone();
    match accounts.list_members_to_confirm_as_agent(agent.visit.call(request)).await {
        Ok(found) => Ok(Json(found.into_inner().into())),
        Err(status) => Err(agent.refused(status).await),
    }
}

async fn confirm(agent: Agent, body: Body) -> Answer<ConfirmedMembers> {
    let given: Confirm = read(body).await?;
    let request = ConfirmMembersRequest {
        secret_sha256: agent.secret_sha256.clone(),
        request_id: agent.request_id(),
        grants: given.grants.into_iter().map(Into::into).collect(),
        automatic: false,
    };
    let mut accounts = agent.visit.console.clients.accounts.clone();
    match accounts.confirm_members_as_agent(agent.visit.call(request)).await {
        Ok(answer) => Ok(Json(answer.into_inner().into())),
        Err(status) => Err(agent.refused(status).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_bearer_of_an_agent() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            credential(&headers).map(str::to_owned)
        };
        for good in ["Bearer rc_agent_x", "bearer  rc_agent_x"] {
            assert_eq!(of(good).as_deref(), Some("rc_agent_x"), "{good}");
        }
        for bad in ["", "rc_agent_x", "Basic rc_agent_x", "Bearer rc_account_x", "Bearer"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(credential(&HeaderMap::new()), None);
    }
}
