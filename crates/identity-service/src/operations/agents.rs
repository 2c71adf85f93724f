//! Agents that confirm members: made and revoked by administrators, enrolled by themselves. What they grant: `org_keys`.

use ::store::{AnyConnection, Instant};
use scim::fold;
use serde_json::json;
use wire::{Reason, Refusal};

use super::{Core, Scope, organization_of, organizations::not_a_client};
use crate::{
    domain::{
        OrgId,
        account::{KeyId, PublicKey, account_state},
        actor::{Actor, ActorKind},
        agent::{Agent, AgentId, AgentKeys, AgentState, KEY_VERSION, MOST, agent_invalid, agent_name, agent_not_found},
        event::{Kind, NewEvent},
        secret::{AGENT, Hash, Secret},
    },
    error::{Refused, refusal},
    store::{account_key, agent, org_key, organization},
};

/// Agents of one answer.
const LISTED: i64 = 100;

pub(super) fn agent_scope(agent: &Agent, request_id: &str) -> Scope {
    let kind = ActorKind::Agent { id: agent.id.to_string(), name: agent.name.clone() };
    Scope { org: agent.org, actor: Actor { kind, request_id: request_id.to_owned() } }
}

impl Core {
    /// With the text of its credential, this once.
    pub(crate) async fn agent_create(&self, scope: Scope, name: &str) -> Result<(Agent, String), Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        let secret = Secret::generate(AGENT, &self.random);
        let new = Agent {
            org: scope.org,
            id: AgentId(self.ids.next()),
            name: agent_name(name)?,
            key_id: KeyId(self.ids.next()),
            challenge: self.random.bytes(),
            granted: 0,
            created: now,
            created_by: scope.actor.name().to_owned(),
            enrolled: None,
            confirmed: None,
            last_seen: None,
            revoked: None,
            key: None,
        };
        let hash = secret.hash();
        let made = self.write(scope.org, move |conn| {
            // Of several at once each counts those before it.
            organization::organization_lock(conn, scope.org)?;
            organization_of(conn, scope.org)?;
            if usize::try_from(agent::agents_counted(conn, scope.org)?).is_ok_and(|there| there >= MOST) {
                let message = format!("The organization has {MOST} agents. Revoke one that is not needed any more.");
                return Err(Refused::Refused(account_state(&message)));
            }
            // Those that are not revoked are fewer than that.
            let there = agent::agents(conn, scope.org, LISTED)?;
            let same = |other: &Agent| other.state() != AgentState::Revoked && fold(&other.name) == fold(&new.name);
            if there.iter().any(same) {
                let message = format!(
                    "The organization has an agent with the name {:?}. Give this one another name, such as where it runs, or \
                     revoke that one first.",
                    new.name
                );
                return Err(Refused::Refused(Refusal::new(Reason::InvalidArgument, message)));
            }
            agent::agent_insert(conn, scope.org, &new, hash)?;
            let delta = json!({ "name": new.name });
            let event = NewEvent { kind: Kind::AgentCreated, subject: new.id.0, delta };
            core.record(conn, &scope, now, &[event])?;
            Ok(new.clone())
        });
        Ok((made.await?, secret.into_answer()))
    }

    /// The newest first, revoked ones last; and since when the organization key is to be made anew, which one of them may do.
    pub(crate) async fn agent_list(&self, org: OrgId) -> Result<(Vec<Agent>, Option<Instant>), Refusal> {
        self.read(org, move |conn| {
            organization_of(conn, org)?;
            let due = org_key::org_key_newest(conn, org)?.and_then(|newest| newest.rotation_due);
            Ok((agent::agents(conn, org, LISTED)?, due))
        })
        .await
    }

    /// From then on it confirms nobody, and what it had of the organization key is to be made anew.
    pub(crate) async fn agent_revoke(&self, scope: Scope, id: Option<AgentId>) -> Result<Agent, Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            let org = scope.org;
            organization_of(conn, org)?;
            let missing = || Refused::Refused(agent_not_found());
            let id = id.ok_or_else(missing)?;
            let agent = agent::agent_lock(conn, org, id)?.ok_or_else(missing)?;
            if agent.state() == AgentState::Revoked {
                return Ok(agent);
            }
            agent::agent_revoke(conn, org, id, now)?;
            org_key::rotation_note(conn, org, id.holder(), now)?;
            org_key::grants_delete(conn, org, id.holder())?;
            account_key::keys_retire(conn, org, id.holder(), now)?;
            let delta = json!({ "name": agent.name, "was_confirmed": agent.confirmed.is_some() });
            core.record(conn, &scope, now, &[NewEvent { kind: Kind::AgentRevoked, subject: id.0, delta }])?;
            agent::agent_get(conn, org, id)?.ok_or_else(missing)
        })
        .await
    }

    /// As it sees itself, with the organization's slug.
    pub(crate) async fn agent_self(&self, shown: Hash) -> Result<(Agent, String), Refusal> {
        let (found, _) = self.agent(shown).await?;
        let org = found.org;
        self.seek(org, move |conn| {
            let slug = organization_of(conn, org)?.slug;
            let agent = agent::agent_get(conn, org, found.id)?.ok_or_else(|| Refused::Refused(agent_invalid()))?;
            Ok((agent, slug))
        })
        .await
    }

    /// Its keys from now on. It has no others ever: whoever takes the credential later cannot put others in their place.
    pub(crate) async fn agent_enroll(
        &self,
        shown: Hash,
        request_id: String,
        new: AgentKeys,
    ) -> Result<(Agent, String), Refusal> {
        let (found, now) = self.agent(shown).await?;
        let (core, org) = (self.clone(), found.org);
        let done = self.write(org, move |conn| {
            let agent = agent_in(conn, shown)?;
            if let Some(key) = &agent.key {
                let same = new.key == Some(key.id) && (key.enc_pub, key.sig_pub) == (new.enc_pub, new.sig_pub);
                let message = "This agent has enrolled with other keys. Use the state file that they are in; if it is lost, \
                               revoke the agent and create a new one.";
                return if same { Ok(()) } else { Err(Refused::Refused(account_state(message))) };
            }
            new.check(&agent).map_err(Refused::Refused)?;
            let key = PublicKey {
                id: agent.key_id,
                user: agent.id.holder(),
                version: KEY_VERSION,
                enc_pub: new.enc_pub,
                sig_pub: new.sig_pub,
            };
            account_key::key_insert(conn, org, &key, (&new.possession, &agent.challenge), now)?;
            agent::agent_enrolled(conn, org, agent.id, now)?;
            let delta = json!({ "name": agent.name, "key": key.id.to_string() });
            let event = NewEvent { kind: Kind::AgentEnrolled, subject: agent.id.0, delta };
            core.record(conn, &agent_scope(&agent, &request_id), now, &[event])
        });
        done.await?;
        self.agent_self(shown).await
    }

    /// The secret finds the organization, and nothing else across organizations. Counts as a sign of life.
    pub(super) async fn agent(&self, shown: Hash) -> Result<(Agent, Instant), Refusal> {
        let now = self.clock.now();
        let owner = self.db.across().seek(move |conn| Ok(agent::agent_by_hash(conn, shown)?)).await;
        let org = owner.map_err(refusal)?.ok_or_else(agent_invalid)?;
        let found = self.seek(org, move |conn| Ok(agent::agent_shown(conn, org, shown)?)).await?;
        let found = found.filter(|agent| agent.state() != AgentState::Revoked).ok_or_else(agent_invalid)?;
        if found.seen_due(now) {
            let id = found.id;
            let seen = move |conn: &mut AnyConnection| Ok(agent::agent_seen(conn, org, id, now)?);
            self.db.of(org).write(seen).await.map_err(refusal)?;
        }
        Ok((found, now))
    }
}

/// In the caller's transaction: who was revoked since is nobody any more.
pub(super) fn agent_shown_in(conn: &mut AnyConnection, shown: Hash) -> Result<Agent, Refused> {
    let found = match agent::agent_by_hash(conn, shown)? {
        Some(org) => agent::agent_shown(conn, org, shown)?,
        None => None,
    };
    let held = found.filter(|agent| agent.state() != AgentState::Revoked);
    held.ok_or_else(|| Refused::Refused(agent_invalid()))
}

/// The same, and nobody changes it until the transaction ends.
pub(super) fn agent_in(conn: &mut AnyConnection, shown: Hash) -> Result<Agent, Refused> {
    let found = agent_shown_in(conn, shown)?;
    let locked = agent::agent_lock(conn, found.org, found.id)?;
    let held = locked.filter(|agent| agent.state() != AgentState::Revoked);
    held.ok_or_else(|| Refused::Refused(agent_invalid()))
}

/// Its keys, without which it can neither be given anything nor grant.
pub(super) fn agent_keys(agent: &Agent) -> Result<PublicKey, Refused> {
    let missing =
        || Refused::Refused(Refusal::new(Reason::AccountState, "This agent has no keys yet. Enroll it first."));
    agent.key.clone().ok_or_else(missing)
}
