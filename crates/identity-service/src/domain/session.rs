//! Sessions of the console: how long they hold.

use store::Instant;
use wire::{Reason, Refusal};

use super::{OrgId, SessionId, admin::Admin, secret::Hash};

const MINUTE_MICROS: i64 = 60 * 1_000_000;
/// Without a use, in microseconds.
pub(crate) const IDLE_MICROS: i64 = 15 * MINUTE_MICROS;
/// However much it is used.
pub(crate) const LONGEST_MICROS: i64 = 12 * 60 * MINUTE_MICROS;
/// From when on a secret is to be rotated.
const ROTATION_MICROS: i64 = 5 * MINUTE_MICROS;
/// How long the secret before a rotation is good, for requests under way.
pub(crate) const OVERLAP_MICROS: i64 = MINUTE_MICROS;
/// A use is written once in so long.
const USE_MICROS: i64 = MINUTE_MICROS;

const LONGEST_ADDRESS: usize = 64;
const LONGEST_USER_AGENT: usize = 300;

/// Where a session is used from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Browser {
    pub(crate) address: String,
    pub(crate) user_agent: String,
}

impl Browser {
    /// As much of it as is kept.
    pub(crate) fn new(address: &str, user_agent: &str) -> Self {
        let kept = |text: &str, most| text.chars().filter(|c| !c.is_control()).take(most).collect();
        Self { address: kept(address, LONGEST_ADDRESS), user_agent: kept(user_agent, LONGEST_USER_AGENT) }
    }
}

/// With its administrator as that is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) org: OrgId,
    pub(crate) id: SessionId,
    pub(crate) admin: Admin,
    pub(crate) secret: Hash,
    pub(crate) rotated: Instant,
    /// The secret before, and until when it is good.
    pub(crate) previous: Option<(Hash, Instant)>,
    pub(crate) created: Instant,
    pub(crate) last_used: Instant,
    pub(crate) expires: Instant,
    pub(crate) revoked: bool,
    pub(crate) browser: Browser,
}

impl Session {
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        !self.revoked && now < self.expires && now < self.last_used.saturating_add_micros(IDLE_MICROS)
    }

    /// Whether it is let in by the secret of this hash.
    pub(crate) fn admits(&self, shown: Hash, now: Instant) -> bool {
        let previous = self.previous.is_some_and(|(hash, expires)| hash == shown && now < expires);
        self.is_live(now) && (self.secret == shown || previous)
    }

    pub(crate) fn rotation_due(&self, now: Instant) -> bool {
        now >= self.rotated.saturating_add_micros(ROTATION_MICROS)
    }

    /// Whether a use at this instant is to be written.
    pub(crate) fn use_due(&self, now: Instant) -> bool {
        now >= self.last_used.saturating_add_micros(USE_MICROS)
    }
}

/// One answer to a secret that is unknown, ended, idle for too long or too old.
pub(crate) fn session_invalid() -> Refusal {
    Refusal::new(Reason::SessionInvalid, "The session has ended. Sign in again.")
}

pub(crate) fn session_not_found() -> Refusal {
    Refusal::new(
        Reason::SessionNotFound,
        "The organization has no session with this id. List them to see which it has.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_browser_a_bounded_part_is_kept() {
        let browser = Browser::new(&"1".repeat(100), &format!("a\r\nb{}", "ü".repeat(400)));
        assert_eq!(browser.address.len(), LONGEST_ADDRESS);
        assert_eq!(browser.user_agent.chars().count(), LONGEST_USER_AGENT);
        assert!(browser.user_agent.starts_with("abü"));
    }
}
