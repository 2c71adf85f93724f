//! Agents that confirm members: list (on the page of accounts), create, revoke.

use axum::{extract::Path, response::Response};
use jiff::Timestamp;
use wire::identity::{
    ConfirmAgent, ConfirmAgentState, CreateConfirmAgentRequest, ListConfirmAgentsRequest, RevokeConfirmAgentRequest,
};

use super::{Confirm, Line, Secret, accounts, made_before, said, see, status, who::administrator};
use crate::{
    form::Form,
    page::{self, Section, Shell},
    problem::{Problem, Result},
    session::SignedIn,
    time::When,
};

const BACK: (&str, &str) = ("accounts", "Accounts");

/// An agent as its list shows it.
pub(super) struct AgentRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    /// And what comes next.
    pub(super) means: &'static str,
    pub(super) valid: bool,
    pub(super) last_seen: Option<When>,
    pub(super) created: Option<When>,
    pub(super) created_by: String,
}

impl AgentRow {
    fn new(agent: ConfirmAgent, now: Timestamp) -> Self {
        let (state, tone, means) = match agent.state() {
            ConfirmAgentState::Created | ConfirmAgentState::Unspecified => {
                ("created", "plain", "Has no keys yet. Run rollcall confirm-agent enroll with its credential.")
            }
            ConfirmAgentState::Waiting => (
                "waiting",
                "warn",
                "Has keys. A confirmed administrator compares its fingerprint phrase on the account page and confirms it.",
            ),
            ConfirmAgentState::Confirmed => {
                ("confirmed", "good", "Has the organization key, and confirms members while it runs.")
            }
            ConfirmAgentState::Revoked => ("revoked", "plain", "Confirms nobody any more."),
        };
        Self {
            state,
            tone,
            means,
            valid: agent.state() != ConfirmAgentState::Revoked,
            last_seen: When::of(agent.last_seen_at.as_ref(), now),
            created: When::of(agent.created_at.as_ref(), now),
            created_by: administrator(agent.created_by),
            id: agent.id,
            name: agent.name,
        }
    }
}

/// The organization key is to be made anew.
pub(super) struct KeyDue {
    pub(super) since: When,
    /// A confirmed agent may make it.
    pub(super) by_agent: bool,
}

pub(super) async fn key_due(signed_in: &SignedIn) -> Result<Option<KeyDue>> {
    let request = ListConfirmAgentsRequest { organization_id: signed_in.organization_id() };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    let found = accounts.list_confirm_agents(signed_in.call(request)).await?.into_inner();
    let since = When::of(found.rotation_due_at.as_ref(), signed_in.visit.console.now());
    let by_agent = found.agents.iter().any(|agent| agent.state() == ConfirmAgentState::Confirmed);
    Ok(since.map(|since| KeyDue { since, by_agent }))
}

pub(super) async fn all(signed_in: &SignedIn) -> Result<Vec<AgentRow>> {
    let request = ListConfirmAgentsRequest { organization_id: signed_in.organization_id() };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    let found = accounts.list_confirm_agents(signed_in.call(request)).await?.into_inner().agents;
    let now = signed_in.visit.console.now();
    Ok(found.into_iter().map(|agent| AgentRow::new(agent, now)).collect())
}

/// `POST accounts/agents`
pub(crate) async fn create(signed_in: SignedIn, form: Form) -> Result<Response> {
    if let Some(response) = made_before(&signed_in, &form, BACK.0)? {
        return Ok(response);
    }
    let request = CreateConfirmAgentRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        name: form.get("name").to_owned(),
    };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    match accounts.create_confirm_agent(signed_in.call(request)).await {
        Ok(created) => secret(&signed_in, created.into_inner().secret).answer(&signed_in, &form),
        Err(status) => {
            let error = said(status.into())?;
            accounts::accounts_page(&signed_in, &accounts::Asked::default(), Some(error)).await
        }
    }
}

fn secret(signed_in: &SignedIn, secret: String) -> Secret {
    let (url, slug) = (&signed_in.visit.console.site.public_url, &signed_in.organization.slug);
    let enroll = format!(
        "rollcall confirm-agent enroll --url {url} --organization {slug} --credential-file agent-credential --state agent-state"
    );
    let run = "rollcall confirm-agent run --state agent-state".to_owned();
    Secret {
        shell: Shell::new(signed_in, Section::Accounts, "Your new agent's credential"),
        back: BACK,
        what: "agent credential",
        secret,
        beside: vec![
            Line { id: "enroll-command", label: "command that makes its keys", value: enroll },
            Line { id: "run-command", label: "command that runs it", value: run },
        ],
        steps: vec![
            "On a machine of your own that runs all the time, save the credential in a file that you alone can read (chmod 600).".to_owned(),
            "Run the first command there. It makes the agent's keys, which stay in its state file, and prints a fingerprint phrase."
                .to_owned(),
            "Open your account page as a confirmed administrator, compare the phrase, and confirm the agent.".to_owned(),
            "Run the second command there as a service. From then on members are confirmed as they finish set-up.".to_owned(),
        ],
    }
}

async fn revoke_page(signed_in: &SignedIn, id: &str, error: Option<String>) -> Result<Response> {
    let agent = all(signed_in).await?.into_iter().find(|agent| agent.id == id).ok_or_else(Problem::not_found)?;
    let page = Confirm {
        shell: Shell::new(signed_in, Section::Accounts, "Revoke an agent"),
        back: BACK,
        action: format!("accounts/agents/{id}/revoke"),
        subject: format!("Agent: {}", agent.name),
        consequence: "From then on its credential is refused, and it confirms nobody. If it had the organization key, a new one is to be \
                      made. Whom it confirmed keeps access. This cannot be taken back.",
        button: "Revoke agent",
        force: None,
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// `GET accounts/agents/{id}/revoke`
pub(crate) async fn revoking(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    revoke_page(&signed_in, &id, None).await
}

/// `POST accounts/agents/{id}/revoke`
pub(crate) async fn revoke(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let request = RevokeConfirmAgentRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.clone(),
    };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    match accounts.revoke_confirm_agent(signed_in.call(request)).await {
        Ok(_) => see(&signed_in, BACK.0, "agent-revoked"),
        Err(status) => revoke_page(&signed_in, &id, Some(said(status.into())?)).await,
    }
}
