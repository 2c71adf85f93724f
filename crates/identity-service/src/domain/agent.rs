//! Agents: programs of the customer's that hold keys of their own and confirm members.
//!
//! Not here: what they grant (`keys`).

use account_keys::{AccountKey, Member, Possession, PublicKeys};
use store::Instant;
use wire::{Reason, Refusal};

use super::{
    OrgId, UserId,
    account::{KeyId, PublicKey},
    keys::key_invalid,
};

store::typed_id! {
    /// An agent. Where keys and grants are, it stands in the place of a user's id.
    pub(crate) struct AgentId;
}

impl AgentId {
    /// As keys and grants know it.
    pub(crate) fn holder(self) -> UserId {
        UserId(self.0)
    }
}

/// Not revoked ones of an organization.
pub(crate) const MOST: usize = 20;
/// Characters.
const LONGEST_NAME: usize = 100;
/// Of its keys: it makes them once.
pub(crate) const KEY_VERSION: u32 = 1;
/// A sign of life is written once in so long.
const SEEN_MICROS: i64 = 60 * 1_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) org: OrgId,
    pub(crate) id: AgentId,
    pub(crate) name: String,
    /// What its keys are made for, and what the proof of possession answers.
    pub(crate) key_id: KeyId,
    pub(crate) challenge: [u8; 32],
    /// The version of the organization key that it was given last; 0: none.
    pub(crate) granted: u32,
    pub(crate) created: Instant,
    pub(crate) created_by: String,
    pub(crate) enrolled: Option<Instant>,
    pub(crate) confirmed: Option<Instant>,
    pub(crate) last_seen: Option<Instant>,
    pub(crate) revoked: Option<Instant>,
    /// Absent: it has made none.
    pub(crate) key: Option<PublicKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentState {
    /// Without keys.
    Created,
    /// For the organization key.
    Waiting,
    Confirmed,
    Revoked,
}

impl Agent {
    pub(crate) fn state(&self) -> AgentState {
        match (self.revoked, self.enrolled, self.confirmed) {
            (Some(_), ..) => AgentState::Revoked,
            (None, None, _) => AgentState::Created,
            (None, Some(_), None) => AgentState::Waiting,
            (None, Some(_), Some(_)) => AgentState::Confirmed,
        }
    }

    pub(crate) fn seen_due(&self, now: Instant) -> bool {
        self.last_seen.is_none_or(|seen| now >= seen.saturating_add_micros(SEEN_MICROS))
    }
}

/// The public keys of an agent, as it made them.
#[derive(Clone, Debug)]
pub(crate) struct AgentKeys {
    pub(crate) key: Option<KeyId>,
    pub(crate) enc_pub: [u8; 32],
    pub(crate) sig_pub: [u8; 32],
    pub(crate) possession: [u8; 64],
}

impl AgentKeys {
    /// Whether who sends them has the private ones, and made them for this agent.
    ///
    /// # Errors
    /// [`Reason::KeyInvalid`].
    pub(crate) fn check(&self, agent: &Agent) -> Result<(), Refusal> {
        if self.key != Some(agent.key_id) {
            let message =
                "The keys are not for the key id that this agent was given. Enroll it with its own credential.";
            return Err(Refusal::new(Reason::KeyInvalid, message));
        }
        let member = Member { organization: agent.org.0, user: agent.id.0 };
        let of = AccountKey { member, key_id: agent.key_id.0, version: KEY_VERSION };
        let public = PublicKeys { enc: self.enc_pub, sig: self.sig_pub };
        Possession(self.possession).verify(&of, &public, &agent.challenge).map_err(key_invalid)
    }
}

/// A name that people read.
///
/// # Errors
/// [`Reason::InvalidArgument`].
pub(crate) fn agent_name(text: &str) -> Result<String, Refusal> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let message = format!(
            "The name of an agent has 1 to {LONGEST_NAME} printable characters. Say where it runs, for example."
        );
        return Err(Refusal::new(Reason::InvalidArgument, message));
    }
    Ok(name.to_owned())
}

pub(crate) fn agent_invalid() -> Refusal {
    let message = "This agent credential is unknown or was revoked. Create a new agent (`rollcall account agent create`, or the \
                   console under Accounts) and enroll it.";
    Refusal::new(Reason::AgentInvalid, message)
}

pub(crate) fn agent_not_found() -> Refusal {
    Refusal::new(Reason::AgentNotFound, "The organization has no agent with this id. Look at the list of agents.")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_state_is_what_was_done_last() {
        let at = |n| Some(Instant::from_micros(n));
        let mut agent = Agent {
            org: OrgId(Uuid::nil()),
            id: AgentId(Uuid::from_u128(1)),
            name: "cellar".to_owned(),
            key_id: KeyId(Uuid::from_u128(2)),
            challenge: [0; 32],
            granted: 0,
            created: Instant::from_micros(0),
            created_by: "ada".to_owned(),
            enrolled: None,
            confirmed: None,
            last_seen: None,
            revoked: None,
            key: None,
        };
        assert_eq!(agent.state(), AgentState::Created);
        assert!(agent.seen_due(Instant::from_micros(0)));
        agent.last_seen = at(1);
        assert!(
            !agent.seen_due(Instant::from_micros(SEEN_MICROS)) && agent.seen_due(Instant::from_micros(SEEN_MICROS + 1))
        );
        agent.enrolled = at(1);
        assert_eq!(agent.state(), AgentState::Waiting);
        agent.confirmed = at(2);
        assert_eq!(agent.state(), AgentState::Confirmed);
        agent.revoked = at(3);
        assert_eq!(agent.state(), AgentState::Revoked);
    }

    #[test]
    fn names_are_for_people() {
        assert_eq!(agent_name("  cellar ").expect("a name"), "cellar");
        for bad in ["", "  ", "a\nb", &"n".repeat(101)] {
            assert_eq!(agent_name(bad).expect_err(bad).reason, Reason::InvalidArgument);
        }
    }
}
