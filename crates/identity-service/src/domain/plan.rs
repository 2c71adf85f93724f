//! Plans: what an organization pays for, until when, and what holds afterwards.

use store::Instant;
use wire::{Entitlement, Reason, Refusal};

/// Days after its end in which a plan still holds, where no others are set.
pub(crate) const DEFAULT_GRACE_DAYS: u32 = 14;
const LONGEST_GRACE_DAYS: u32 = 3650;
const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Free,
    Enterprise,
}

impl Plan {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "" | "free" => Ok(Self::Free),
            "enterprise" => Ok(Self::Enterprise),
            _ => Err(invalid("plan is not known. Use free or enterprise.")),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Enterprise => "enterprise",
        }
    }

    /// What it includes where nothing else is agreed.
    pub(crate) fn terms(self) -> Terms {
        let included = self == Self::Enterprise;
        Terms { scim: included, oauth: included, expires_at: None, grace_days: DEFAULT_GRACE_DAYS, max_users: None }
    }
}

/// The entitlements of an organization, and how long they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) scim: bool,
    pub(crate) oauth: bool,
    pub(crate) expires_at: Option<Instant>,
    pub(crate) grace_days: u32,
    /// Users, active or not. Absent: any number.
    pub(crate) max_users: Option<i64>,
}

impl Terms {
    /// # Errors
    /// [`Reason::InvalidArgument`].
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.expires_at.is_some_and(|end| jiff::Timestamp::try_from(end).is_err()) {
            return Err(invalid("expires_at must lie in the years up to 9999."));
        }
        if self.grace_days > LONGEST_GRACE_DAYS {
            return Err(invalid("grace_days must be 3650 at the most."));
        }
        Ok(())
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.expires_at {
            Some(end) if now >= grace_ends_at(end, self.grace_days) => Standing::Ended,
            Some(end) if now >= end => Standing::InGrace,
            _ => Standing::Current,
        }
    }

    pub(crate) fn grace_ends_at(&self) -> Option<Instant> {
        self.expires_at.map(|end| grace_ends_at(end, self.grace_days))
    }
}

/// How a plan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Current,
    /// It has ended, and all still works.
    InGrace,
    Ended,
}

pub(crate) fn grace_ends_at(end: Instant, grace_days: u32) -> Instant {
    end.saturating_add_micros(i64::from(grace_days) * MICROS_PER_DAY)
}

/// The answer to creating and changing without the `scim` entitlement. `ended`: when the plan's days of grace were over.
pub(crate) fn plan_lapsed(ended: Option<Instant>) -> Refusal {
    let why = match ended.and_then(|ended| jiff::Timestamp::try_from(ended).ok()) {
        Some(ended) => format!("has ended, and its days of grace with {ended:.0}"),
        None => "does not include SCIM".to_owned(),
    };
    Refusal::by_plan(
        Entitlement::Scim,
        format!(
            "The organization's plan {why}. Reading, deactivating and removing still work; renew the plan to create and \
             change."
        ),
    )
}

/// The answer to creating one user too many.
pub(crate) fn plan_full(max_users: i64) -> Refusal {
    Refusal::by_plan(
        Entitlement::MaxUsers,
        format!(
            "The organization's plan is for at most {max_users} users, and there are no fewer. Delete users who are gone, or \
             extend the plan, and send the request again. All but creating users still works."
        ),
    )
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(Reason::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_holds_to_its_end_and_its_days_of_grace() {
        let day = |n: i64| Instant::from_micros(n * MICROS_PER_DAY);
        let terms = Terms { expires_at: Some(day(10)), grace_days: 14, ..Plan::Enterprise.terms() };
        let just_before = |instant: Instant| instant.saturating_add_micros(-1);
        for (now, standing) in [
            (just_before(day(10)), Standing::Current),
            (day(10), Standing::InGrace),
            (just_before(day(24)), Standing::InGrace),
            (day(24), Standing::Ended),
        ] {
            assert_eq!(terms.standing(now), standing, "{now}");
        }
        assert_eq!(Terms { grace_days: 0, ..terms }.standing(day(10)), Standing::Ended);
        assert_eq!(Terms { expires_at: None, ..terms }.standing(Instant::from_micros(i64::MAX)), Standing::Current);
    }

    #[test]
    fn terms_are_within_bounds() {
        let terms = Plan::Free.terms();
        assert!(terms.check().is_ok() && Terms { grace_days: 3650, ..terms }.check().is_ok());
        assert!(Terms { grace_days: 3651, ..terms }.check().is_err());
        assert!(Terms { expires_at: Some(Instant::from_micros(i64::MAX)), ..terms }.check().is_err());
    }
}
