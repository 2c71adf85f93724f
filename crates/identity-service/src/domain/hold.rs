//! Many users at once that lose their access: what cannot be undone waits for an administrator.

use store::Instant;
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::UserId;

store::typed_id! {
    /// A hold.
    pub(crate) struct HoldId;
}

/// Users of a hundred that may lose their access within an hour, where no other share is set.
pub(crate) const DEFAULT_PERCENT: u32 = 20;
/// Fewer are never too many.
pub(crate) const FEWEST: i64 = 10;
/// What counts as at once.
pub(crate) const WINDOW_MICROS: i64 = 60 * 60 * 1_000_000;

/// How a user lost its access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Deactivated,
    Deleted,
}

impl Loss {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Deactivated => 1,
            Self::Deleted => 2,
        }
    }

    /// What was written was one.
    pub(crate) fn of(code: i16) -> Self {
        if code == 2 { Self::Deleted } else { Self::Deactivated }
    }

    /// What an event tells of, if it is one.
    pub(crate) fn told(kind: &str, delta: &str) -> Option<Self> {
        use super::event::Kind;
        if kind == Kind::UserDeleted.as_str() {
            return Some(Self::Deleted);
        }
        if kind != Kind::UserUpdated.as_str() {
            return None;
        }
        let delta: serde_json::Value = serde_json::from_str(delta).ok()?;
        let was = delta["before"]["active"].as_bool() == Some(true);
        let is = delta["after"]["active"].as_bool() == Some(true);
        (was && !is).then_some(Self::Deactivated)
    }
}

/// Whether so many of so many are too many.
pub(crate) fn too_many(lost: i64, users: i64, percent: u32) -> bool {
    percent > 0 && lost >= FEWEST && lost.saturating_mul(100) > users.saturating_mul(i64::from(percent))
}

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for a decision.
    Open,
    Approved,
    /// Those it is about are being restored.
    Restoring,
    Restored,
}

impl State {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Open => 1,
            Self::Approved => 2,
            Self::Restoring => 3,
            Self::Restored => 4,
        }
    }

    /// What was written was one.
    pub(crate) fn of(code: i16) -> Self {
        match code {
            2 => Self::Approved,
            3 => Self::Restoring,
            4 => Self::Restored,
            _ => Self::Open,
        }
    }
}

/// A hold: all that lost their access from the first of them to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) id: HoldId,
    pub(crate) state: State,
    pub(crate) opened: Instant,
    pub(crate) first: Instant,
    pub(crate) last: Instant,
    /// Of so many, when it was opened.
    pub(crate) users: i64,
    pub(crate) counts: Counts,
    pub(crate) decided: Option<Instant>,
    /// As events keep it.
    pub(crate) decided_by: Option<String>,
}

/// How many users a hold is about, each once: counted while it is open or worked on, then as they were at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// And not deleted as well.
    pub(crate) deactivated: i64,
    pub(crate) deleted: i64,
    /// That could not be restored.
    pub(crate) failed: i64,
    /// That were, so far.
    pub(crate) restored: i64,
}

/// Who lost its access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) seq: i64,
    pub(crate) user: UserId,
    pub(crate) loss: Loss,
    pub(crate) occurred: Instant,
}

/// Somebody whom a hold is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) lost: Lost,
    /// Empty: it is not there any more.
    pub(crate) user_name: String,
    pub(crate) display_name: String,
}

/// Who could not be restored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) user: Uuid,
    pub(crate) why: String,
}

/// # Errors
/// [`Reason::InvalidArgument`].
pub(crate) fn check_percent(percent: u32) -> Result<(), Refusal> {
    if percent <= 100 {
        return Ok(());
    }
    Err(Refusal::new(Reason::InvalidArgument, "hold_percent must be 0 to 100; 0 switches holds off."))
}

/// The answer to looking at a hold that is not there.
pub(crate) fn hold_not_found() -> Refusal {
    Refusal::new(
        Reason::InvalidArgument,
        "There is no hold with this id in the organization. Look at the list of holds.",
    )
}

/// The answer to deciding about a hold that is not there, or was decided about.
pub(crate) fn not_open() -> Refusal {
    Refusal::new(
        Reason::InvalidArgument,
        "There is no hold with this id in the organization that waits for a decision. Look at the list of holds.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_and_a_number_make_too_many() {
        for (lost, users, percent, held) in [
            (10, 49, 20, true),
            (10, 50, 20, false),
            (11, 50, 20, true),
            (9, 9, 20, false),
            (100, 100, 0, false),
            (100, 100, 100, false),
            (i64::MAX, 1, 1, true),
        ] {
            assert_eq!(too_many(lost, users, percent), held, "{lost} of {users} at {percent}");
        }
        assert!(check_percent(100).is_ok() && check_percent(0).is_ok() && check_percent(101).is_err());
    }

    #[test]
    fn what_takes_access_away_is_a_loss() {
        for (kind, delta, loss) in [
            ("user.deleted", "{}", Some(Loss::Deleted)),
            ("user.created", r#"{"after":{"active":false}}"#, None),
            ("user.updated", r#"{"before":{"active":true},"after":{"active":false}}"#, Some(Loss::Deactivated)),
            ("user.updated", r#"{"before":{"active":true},"after":{}}"#, Some(Loss::Deactivated)),
            ("user.updated", r#"{"before":{"active":false},"after":{"active":true}}"#, None),
            ("user.updated", r#"{"before":{},"after":{"active":false}}"#, None),
            ("user.updated", "", None),
        ] {
            assert_eq!(Loss::told(kind, delta), loss, "{kind} {delta}");
        }
        for loss in [Loss::Deactivated, Loss::Deleted] {
            assert_eq!(Loss::of(loss.code()), loss);
        }
        for state in [State::Open, State::Approved, State::Restoring, State::Restored] {
            assert_eq!(State::of(state.code()), state);
        }
    }
}
