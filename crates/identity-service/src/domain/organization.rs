//! Organizations: slug, plan and settings.

use store::Instant;
use wire::{Reason, Refusal};

use super::OrgId;

const LONGEST_SLUG: usize = 63;
const LONGEST_NAME: usize = 200;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Organization {
    pub(crate) id: OrgId,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) plan: String,
    /// The plan includes `scim`.
    pub(crate) scim_entitled: bool,
    pub(crate) plan_expires_at: Option<Instant>,
    pub(crate) scim_enabled: bool,
    /// Absent: the gateway's default. 0: unlimited.
    pub(crate) requests_per_second: Option<u32>,
    pub(crate) created: Instant,
    pub(crate) modified: Instant,
}

impl Organization {
    /// Whether the `scim` entitlement holds at this instant.
    pub(crate) fn entitled(&self, now: Instant) -> bool {
        self.scim_entitled && self.plan_expires_at.is_none_or(|end| now < end)
    }
}

/// What an organization pays for.
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
            _ => Err(Refusal::new(Reason::InvalidArgument, "plan is not known. Use free or enterprise.")),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Enterprise => "enterprise",
        }
    }

    /// Whether it includes `scim`.
    pub(crate) fn includes_scim(self) -> bool {
        self == Self::Enterprise
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

    #[test]
    fn an_entitlement_ends_at_its_instant() {
        let mut organization = Organization {
            id: OrgId(uuid::Uuid::nil()),
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            plan: "enterprise".to_owned(),
            scim_entitled: true,
            plan_expires_at: Some(Instant::from_micros(10)),
            scim_enabled: true,
            requests_per_second: None,
            created: Instant::from_micros(0),
            modified: Instant::from_micros(0),
        };
        assert!(organization.entitled(Instant::from_micros(9)));
        assert!(!organization.entitled(Instant::from_micros(10)));
        organization.plan_expires_at = None;
        assert!(organization.entitled(Instant::from_micros(i64::MAX)));
        organization.scim_entitled = false;
        assert!(!organization.entitled(Instant::from_micros(0)));
    }
}
