//! Administrators of an organization's console, and invitations to become one.
//!
//! Not here: what a role may do. Each page of the console asks for the role that it needs.

use store::Instant;
use wire::{Reason, Refusal};

use super::{AdminId, InviteId};

/// Administrators and open invitations of an organization together.
pub(crate) const MOST: usize = 1000;

const SHORTEST_EMAIL: usize = 3;
const LONGEST_EMAIL: usize = 254;
const LONGEST_NAME: usize = 200;
const DEFAULT_TTL_HOURS: u32 = 24;
const LONGEST_TTL_HOURS: u32 = 7 * 24;
const HOUR_MICROS: i64 = 60 * 60 * 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Viewer,
    Admin,
    Owner,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Admin, Self::Owner].into_iter().find(|role| role.as_str() == text)
    }
}

/// An e-mail address, and what it is compared by. The case of ASCII letters alone is disregarded: to fold more would take
/// `ſam@` for `sam@`, whose owner is somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email {
    pub(crate) text: String,
    pub(crate) key: String,
}

impl Email {
    /// # Errors
    /// [`Reason::InvalidValue`].
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let length = text.chars().count();
        let parts = text.split('@').map(str::is_empty).collect::<Vec<_>>();
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if !(SHORTEST_EMAIL..=LONGEST_EMAIL).contains(&length) || parts != [false, false] || !plain {
            return Err(Refusal::new(
                Reason::InvalidValue,
                format!(
                    "email must be one address of {SHORTEST_EMAIL} to {LONGEST_EMAIL} characters without spaces, such as \
                     ada@example.com. Give that which the person signs in with."
                ),
            ));
        }
        Ok(Self { text: text.to_owned(), key: text.to_ascii_lowercase() })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admin {
    pub(crate) id: AdminId,
    pub(crate) email: Email,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) created: Instant,
    pub(crate) last_signed_in: Option<Instant>,
    /// Who it is at the provider, once that has named it.
    pub(crate) pin: Option<Pin>,
}

/// Issuer and subject, which together are one person for good (OpenID Connect Core 1.0 section 5.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) issuer: String,
    pub(crate) subject: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invite {
    pub(crate) id: InviteId,
    pub(crate) email: Email,
    pub(crate) role: Role,
    pub(crate) created: Instant,
    pub(crate) created_by: String,
    pub(crate) expires: Instant,
}

impl Invite {
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        now < self.expires
    }
}

/// When an invitation of so many hours ends.
///
/// # Errors
/// [`Reason::InvalidValue`].
pub(crate) fn invite_expiry(ttl_hours: Option<u32>, now: Instant) -> Result<Instant, Refusal> {
    let hours = ttl_hours.unwrap_or(DEFAULT_TTL_HOURS);
    if !(1..=LONGEST_TTL_HOURS).contains(&hours) {
        let message = format!("ttl_hours must be 1 to {LONGEST_TTL_HOURS} (7 days); without it: {DEFAULT_TTL_HOURS}.");
        return Err(Refusal::new(Reason::InvalidValue, message));
    }
    Ok(now.saturating_add_micros(i64::from(hours) * HOUR_MICROS))
}

/// A name as the provider tells it, as much of it as is kept.
pub(crate) fn shown_name(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_at_sign_and_ascii_case_alone_does_not_matter() {
        for good in ["a@b", "Ada.Lovelace+x@Example.com", &format!("{}@x", "a".repeat(252)), "jörg@example.com"] {
            assert_eq!(Email::parse(good).expect(good).text, good);
        }
        for bad in ["", "ab", "@b", "a@", "a@b@c", "a b@c", "a@b\n", "a@b\u{a0}", &format!("{}@x", "a".repeat(253))] {
            assert_eq!(Email::parse(bad).expect_err(bad).reason, Reason::InvalidValue);
        }
        let key = |text: &str| Email::parse(text).expect("address").key;
        assert_eq!(key("Ada@Example.COM"), "ada@example.com");
        assert_ne!(key("\u{17f}am@x"), key("sam@x"));
        assert_ne!(key("\u{212a}it@x"), key("kit@x"));
    }

    #[test]
    fn an_invitation_lives_for_a_day_or_up_to_a_week() {
        let now = Instant::from_micros(0);
        let hours = |ttl| invite_expiry(ttl, now).map(|at| at.as_micros() / HOUR_MICROS).ok();
        assert_eq!((hours(None), hours(Some(1)), hours(Some(168))), (Some(24), Some(1), Some(168)));
        assert_eq!((hours(Some(0)), hours(Some(169))), (None, None));
    }

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        assert_eq!(shown_name(" Ada\u{7}\nLovelace "), "AdaLovelace");
        assert_eq!(shown_name(&"ä".repeat(500)).chars().count(), LONGEST_NAME);
    }
}
