//! Organizations: slug, settings, and what of them each call asks for.

use store::Instant;
use wire::{Reason, Refusal};

use super::{
    OrgId,
    plan::{Terms, grace_ends_at},
};

const LONGEST_SLUG: usize = 63;
const LONGEST_NAME: usize = 200;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Organization {
    pub(crate) id: OrgId,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) plan: String,
    pub(crate) terms: Terms,
    /// The end, or the end of grace, of which the organization was told.
    pub(crate) plan_told: Option<Instant>,
    pub(crate) scim_enabled: bool,
    /// Absent: the gateway's default. 0: unlimited.
    pub(crate) requests_per_second: Option<u32>,
    /// Some group is or was a member of a group.
    pub(crate) nested_groups: bool,
    /// Days in which a deleted user can be restored.
    pub(crate) deletion_grace_days: u32,
    /// More of a hundred users that lose their access within an hour are held; 0: never.
    pub(crate) hold_percent: u32,
    /// Days that requests stay in the provisioning log.
    pub(crate) request_log_days: u32,
    /// Until then reads stand in it as well.
    pub(crate) requests_watched_until: Option<Instant>,
    pub(crate) created: Instant,
    pub(crate) modified: Instant,
}

impl Organization {
    pub(crate) fn gate(&self) -> Gate {
        let Terms { scim, expires_at, grace_days, max_users, .. } = self.terms;
        Gate {
            scim_entitled: scim,
            plan_expires_at: expires_at,
            plan_grace_days: grace_days,
            max_users,
            scim_enabled: self.scim_enabled,
            nested_groups: self.nested_groups,
        }
    }
}

/// What of an organization each call on its users and groups asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) scim_entitled: bool,
    pub(crate) plan_expires_at: Option<Instant>,
    pub(crate) plan_grace_days: u32,
    /// Absent: any number.
    pub(crate) max_users: Option<i64>,
    pub(crate) scim_enabled: bool,
    /// Some group is or was a member of a group.
    pub(crate) nested_groups: bool,
}

impl Gate {
    /// Whether the `scim` entitlement holds at this instant.
    pub(crate) fn entitled(&self, now: Instant) -> bool {
        self.scim_entitled && self.ended(now).is_none()
    }

    /// When the plan's days of grace were over, if they are at this instant.
    pub(crate) fn ended(&self, now: Instant) -> Option<Instant> {
        self.plan_expires_at.map(|end| grace_ends_at(end, self.plan_grace_days)).filter(|end| now >= *end)
    }
}

/// 1 to 63 of a-z, 0-9 and inner hyphens.
pub(crate) fn check_slug(slug: &str) -> Result<(), Refusal> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let inner = !slug.starts_with('-') && !slug.ends_with('-');
    if slug.is_empty() || slug.len() > LONGEST_SLUG || !slug.bytes().all(allowed) || !inner {
        let message = "slug must be 1 to 63 of a-z, 0-9 and hyphens, and neither begin nor end with a hyphen.";
        return Err(Refusal::new(Reason::InvalidArgument, message));
    }
    Ok(())
}

/// 1 to 200 characters, none of them a control character, not blank.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > LONGEST_NAME || name.chars().any(char::is_control) {
        let message = "name must be 1 to 200 characters without control characters.";
        return Err(Refusal::new(Reason::InvalidArgument, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_host_names_labels() {
        for good in ["a", "acme", "acme-2", "0", &"a".repeat(63)] {
            assert!(check_slug(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "ä", "a/b", &"a".repeat(64)] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_for_people() {
        assert!(check_name("Ægir & Söhne").is_ok());
        assert!(check_name(&"ä".repeat(200)).is_ok());
        for bad in ["", "  ", "a\nb", &"a".repeat(201)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
