//! Agents that confirm members. The trait that has their rpcs is in `accounts`.

use uuid::Uuid;
use wire::{
    Refusal,
    identity::{self as proto},
};

use super::{
    accounts::{key, member_list, secret},
    convert::{instant, invalid, org_id, scope},
};
use crate::{
    domain::{
        account::KeyId,
        agent::{Agent, AgentId, AgentKeys, AgentState, KEY_VERSION},
        keys::{exactly, key_id},
        parse_id,
    },
    operations::{By, Core},
};

pub(super) async fn create(
    core: &Core,
    request: proto::CreateConfirmAgentRequest,
) -> Result<proto::NewConfirmAgent, Refusal> {
    let (agent, secret) = core.agent_create(scope(&request.organization_id, request.caller)?, &request.name).await?;
    Ok(proto::NewConfirmAgent { agent: Some(shown(agent)), secret })
}

pub(super) async fn list(
    core: &Core,
    request: proto::ListConfirmAgentsRequest,
) -> Result<proto::ListConfirmAgentsResponse, Refusal> {
    let (agents, due) = core.agent_list(org_id(&request.organization_id)?).await?;
    Ok(proto::ListConfirmAgentsResponse {
        agents: agents.into_iter().map(shown).collect(),
        rotation_due_at: due.map(instant),
    })
}

pub(super) async fn revoke(
    core: &Core,
    request: proto::RevokeConfirmAgentRequest,
) -> Result<proto::ConfirmAgent, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    Ok(shown(core.agent_revoke(scope, parse_id::<Uuid>(&request.id).map(AgentId)).await?))
}

pub(super) async fn get(
    core: &Core,
    request: proto::ConfirmAgentRequest,
) -> Result<proto::EnrolledConfirmAgent, Refusal> {
    Ok(enrolled(core.agent_self(secret(&request.secret_sha256)?).await?))
}

pub(super) async fn enroll(
    core: &Core,
    request: proto::EnrollConfirmAgentRequest,
) -> Result<proto::EnrolledConfirmAgent, Refusal> {
    let new = AgentKeys {
        key: key_id(&request.key_id),
        enc_pub: exactly("enc_pub", &request.enc_pub)?,
        sig_pub: exactly("sig_pub", &request.sig_pub)?,
        possession: exactly("proof_of_possession", &request.proof_of_possession)?,
    };
    Ok(enrolled(core.agent_enroll(secret(&request.secret_sha256)?, request.request_id, new).await?))
}

pub(super) async fn list_to_confirm(
    core: &Core,
    request: proto::ListMembersToConfirmAsAgentRequest,
) -> Result<proto::ListMembersToConfirmResponse, Refusal> {
    let by = By::Agent(secret(&request.secret_sha256)?);
    Ok(member_list(core.members_to_confirm(by, after(&request.after)?, request.of_next_version).await?))
}

/// Where a page of those who wait begins.
pub(super) fn after(text: &str) -> Result<KeyId, Refusal> {
    match text {
        "" => Ok(KeyId(Uuid::nil())),
        after => key_id(after).ok_or_else(|| invalid("after must be the id of a key, as an earlier answer has it.")),
    }
}

fn shown(this: Agent) -> proto::ConfirmAgent {
    let state = match this.state() {
        AgentState::Created => proto::ConfirmAgentState::Created,
        AgentState::Waiting => proto::ConfirmAgentState::Waiting,
        AgentState::Confirmed => proto::ConfirmAgentState::Confirmed,
        AgentState::Revoked => proto::ConfirmAgentState::Revoked,
    };
    proto::ConfirmAgent {
        id: this.id.to_string(),
        organization_id: this.org.to_string(),
        name: this.name,
        state: state.into(),
        key: this.key.map(key),
        created_at: Some(instant(this.created)),
        created_by: this.created_by,
        enrolled_at: this.enrolled.map(instant),
        confirmed_at: this.confirmed.map(instant),
        last_seen_at: this.last_seen.map(instant),
        revoked_at: this.revoked.map(instant),
    }
}

fn enrolled((agent, organization): (Agent, String)) -> proto::EnrolledConfirmAgent {
    proto::EnrolledConfirmAgent {
        organization,
        key_id: agent.key_id.to_string(),
        version: KEY_VERSION,
        challenge: agent.challenge.to_vec().into(),
        agent: Some(shown(agent)),
    }
}
