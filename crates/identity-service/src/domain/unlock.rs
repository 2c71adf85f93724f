//! How often a password may be guessed at. With the answer to a beginning in hand one guess can be checked, whether it is
//! finished or not; so each beginning counts, and only a finished unlock takes it back.

use store::Instant;
use wire::{Reason, Refusal};

const MINUTE_MICROS: i64 = 60 * 1_000_000;
/// Guesses that need no pause.
const FREE: u32 = 5;
/// After so many in a row that nobody finished the kit alone unlocks.
const LOCKED: u32 = 10;
/// The first pause; each further one is twice as long.
const PAUSE_MICROS: i64 = 15 * MINUTE_MICROS;

/// In which the guesses of a whole organization are counted.
const WINDOW_MICROS: i64 = 15 * MINUTE_MICROS;
/// Unfinished guesses of an organization in it: so many, and one more for each five users.
const BUDGET: i64 = 200;

/// That guesses are refused is an event once in so long.
const TOLD_MICROS: i64 = 15 * MINUTE_MICROS;

/// So often within a day a user may begin with new keys: each time the organization key is made anew, and somebody looks.
pub(crate) const RESETS: i64 = 3;
pub(crate) const RESETS_MICROS: i64 = 24 * 60 * MINUTE_MICROS;

/// `oldest`: the first of [`RESETS`] within a day.
pub(crate) fn too_many_resets(oldest: Instant) -> Refusal {
    let until = oldest.saturating_add_micros(RESETS_MICROS);
    let message = format!(
        "New keys were made {RESETS} times within a day, which is as often as they may be. The next can be made at {until}. \
         Until then unlock with the newest password or kit. If it was not you, tell an administrator: somebody else may sign \
         in as you."
    );
    Refusal::new(Reason::Limited, message)
}

/// How long the two messages of a login may be apart.
pub(crate) const LOGIN_MICROS: i64 = MINUTE_MICROS;

/// Guesses of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guesses {
    /// In a row that nobody finished.
    pub(crate) unfinished: u32,
    pub(crate) next_at: Instant,
    /// When an event last said so.
    pub(crate) told: Option<Instant>,
}

/// Guesses of all members of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) since: Instant,
    pub(crate) unfinished: i64,
    pub(crate) told: Option<Instant>,
}

/// With what somebody wants to unlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    Password,
    /// 256 random bits: pauses hold for it, the lock does not.
    Kit,
}

/// Why a guess is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    Until(Instant),
    Locked,
    /// The organization's members guess too much together.
    Organization(Instant),
}

impl Guesses {
    pub(crate) fn none(now: Instant) -> Self {
        Self { unfinished: 0, next_at: now, told: None }
    }

    /// With one guess more.
    ///
    /// # Errors
    /// It is not taken, and does not count.
    pub(crate) fn guess(self, with: With, now: Instant) -> Result<Self, Limited> {
        if self.unfinished >= LOCKED && with == With::Password {
            return Err(Limited::Locked);
        }
        if now < self.next_at {
            return Err(Limited::Until(self.next_at));
        }
        let unfinished = self.unfinished.saturating_add(1);
        Ok(Self { unfinished, next_at: now.saturating_add_micros(pause(unfinished)), ..self })
    }

    pub(crate) fn tells(&self, now: Instant) -> bool {
        tells(self.told, now)
    }
}

/// After so many.
fn pause(unfinished: u32) -> i64 {
    match unfinished.checked_sub(FREE) {
        None => 0,
        Some(beyond) => PAUSE_MICROS << beyond.min(LOCKED - FREE),
    }
}

impl Budget {
    pub(crate) fn none(now: Instant) -> Self {
        Self { since: now, unfinished: 0, told: None }
    }

    /// With one guess more of an organization of so many users.
    ///
    /// # Errors
    /// It is not taken, and does not count.
    pub(crate) fn guess(self, users: i64, now: Instant) -> Result<Self, Limited> {
        let end = self.since.saturating_add_micros(WINDOW_MICROS);
        if now >= end {
            return Ok(Self { since: now, unfinished: 1, ..self });
        }
        if self.unfinished >= BUDGET + users / 5 {
            return Err(Limited::Organization(end));
        }
        Ok(Self { unfinished: self.unfinished + 1, ..self })
    }

    pub(crate) fn tells(&self, now: Instant) -> bool {
        tells(self.told, now)
    }
}

fn tells(told: Option<Instant>, now: Instant) -> bool {
    told.is_none_or(|told| now >= told.saturating_add_micros(TOLD_MICROS))
}

impl Limited {
    /// For events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Until(_) => "too_many",
            Self::Locked => "locked",
            Self::Organization(_) => "too_many_of_organization",
        }
    }

    pub(crate) fn until(self) -> Option<Instant> {
        match self {
            Self::Until(until) | Self::Organization(until) => Some(until),
            Self::Locked => None,
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        let message = match self {
            Self::Until(until) => {
                format!("There were too many tries in a row. Try again at {until}, or use the kit then.")
            }
            Self::Locked => format!(
                "There were {LOCKED} tries in a row that nobody finished, so the password does not unlock any more. Use the \
                 kit, and choose a new password; without it set new keys up."
            ),
            Self::Organization(until) => format!(
                "Too many members of this organization try to unlock and do not finish. Try again at {until}; if that goes on, \
                 tell an administrator: somebody may be guessing at passwords."
            ),
        };
        Refusal::new(Reason::Limited, message)
    }
}

/// One answer to all that is not good.
pub(crate) fn unlock_failed() -> Refusal {
    Refusal::new(
        Reason::UnlockFailed,
        "This did not unlock the account: the password or kit is another one, or it took longer than a minute. Try again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Instant {
        Instant::from_micros(minutes * MINUTE_MICROS)
    }

    #[test]
    fn five_guesses_are_free_then_pauses_double_and_after_ten_the_kit_alone_unlocks() {
        let (mut guesses, mut now, mut pauses) = (Guesses::none(at(0)), 0, Vec::new());
        for _ in 0..LOCKED {
            guesses = guesses.guess(With::Password, at(now)).expect("taken");
            let pause = guesses.next_at.as_micros() / MINUTE_MICROS - now;
            if pause > 0 {
                assert_eq!(
                    guesses.guess(With::Password, at(now)),
                    Err(if guesses.unfinished < LOCKED { Limited::Until(guesses.next_at) } else { Limited::Locked })
                );
            }
            pauses.push(pause);
            now += pause;
        }
        assert_eq!(pauses, [0, 0, 0, 0, 15, 30, 60, 120, 240, 480]);
        assert_eq!(guesses.guess(With::Password, at(now + 100_000)), Err(Limited::Locked));
        assert_eq!(guesses.guess(With::Kit, at(now - 1)), Err(Limited::Until(guesses.next_at)));
        let kit = guesses.guess(With::Kit, at(now)).expect("taken");
        assert_eq!((kit.unfinished, kit.next_at), (11, at(now + 480)), "pauses grow no more");
    }

    #[test]
    fn an_organization_has_a_budget_that_grows_with_it() {
        for (users, most) in [(0, 200), (4, 200), (1000, 400)] {
            let mut budget = Budget::none(at(0));
            for _ in 0..most {
                budget = budget.guess(users, at(14)).expect("taken");
            }
            assert_eq!(budget.guess(users, at(14)), Err(Limited::Organization(at(15))));
            assert_eq!(budget.guess(users, at(15)).expect("taken").unfinished, 1);
        }
    }

    #[test]
    fn that_guesses_are_refused_is_told_once_in_a_while() {
        let guesses = Guesses::none(at(0));
        assert!(guesses.tells(at(0)));
        let told = Guesses { told: Some(at(0)), ..guesses };
        assert!(!told.tells(at(14)) && told.tells(at(15)));
        for limited in [Limited::Until(at(1)), Limited::Locked, Limited::Organization(at(1))] {
            let refusal = limited.refusal();
            assert_eq!(refusal.reason, Reason::Limited);
            assert!(limited.until().is_none_or(|until| refusal.message.contains(&until.to_string())), "{refusal:?}");
        }
    }
}
