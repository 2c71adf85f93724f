//! What becomes of a deleted user: it can be restored for a while, then it is erased.

use store::Instant;
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::UserId;

/// Days in which a deleted user can be restored, where no others are set.
pub(crate) const DEFAULT_GRACE_DAYS: u32 = 30;
const LONGEST_GRACE_DAYS: u32 = 3650;
const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// A user that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deleted {
    pub(crate) id: UserId,
    pub(crate) version: i64,
    pub(crate) created: Instant,
    pub(crate) modified: Instant,
    /// The stored form as text.
    pub(crate) resource: String,
    pub(crate) deleted_at: Instant,
    /// It can be restored before.
    pub(crate) purge_at: Instant,
    /// Who did it, as events keep it.
    pub(crate) deleted_by: String,
    /// A hold keeps it, whether it can be restored for its days or not.
    pub(crate) held: bool,
}

/// Which deleted users are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Those before this one in the list; None: from its beginning.
    Before(Option<(Instant, UserId)>),
    One(UserId),
}

/// A group that a deleted user was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedGroup {
    pub(crate) id: Uuid,
    /// What it was called then.
    pub(crate) display_name: String,
    /// It still exists.
    pub(crate) there: bool,
}

/// Which way a user of many groups is on the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Out of them: it is deleted.
    Out,
    /// Back into them: it is restored.
    Back,
}

impl Direction {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Out => 1,
            Self::Back => 2,
        }
    }

    /// What was written was one.
    pub(crate) fn of(code: i16) -> Self {
        if code == 2 { Self::Back } else { Self::Out }
    }
}

/// When a user that is deleted now is erased.
pub(crate) fn purge_at(now: Instant, grace_days: u32) -> Instant {
    now.saturating_add_micros(i64::from(grace_days) * MICROS_PER_DAY)
}

/// # Errors
/// [`Reason::InvalidArgument`].
pub(crate) fn check_grace_days(days: u32) -> Result<(), Refusal> {
    if (1..=LONGEST_GRACE_DAYS).contains(&days) {
        return Ok(());
    }
    Err(Refusal::new(Reason::InvalidArgument, "grace_days must be 1 to 3650."))
}

/// The answer to restoring somebody who is not among the deleted.
pub(crate) fn not_restorable() -> Refusal {
    Refusal::new(
        Reason::UserNotFound,
        "There is no deleted user with this id in the organization that can be restored: it was restored already, it has been \
         erased, or there never was one. Look at the list of deleted users.",
    )
}

/// The answer to restoring under a userName that is taken.
pub(crate) fn restored_name_taken(user_name: &str) -> Refusal {
    Refusal::new(
        Reason::Uniqueness,
        format!(
            "Another user has the userName {user_name:?} by now. Restore this one under another userName, or rename or delete \
             the other one first."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_grace_have_bounds() {
        for (days, fine) in [(0, false), (1, true), (DEFAULT_GRACE_DAYS, true), (3650, true), (3651, false)] {
            assert_eq!(check_grace_days(days).is_ok(), fine, "{days}");
        }
        assert_eq!(purge_at(Instant::from_micros(5), 1), Instant::from_micros(5 + MICROS_PER_DAY));
    }

    #[test]
    fn a_direction_is_read_back() {
        for direction in [Direction::Out, Direction::Back] {
            assert_eq!(Direction::of(direction.code()), direction);
        }
    }
}
