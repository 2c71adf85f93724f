//! Idempotency keys: a create that is sent again gives what it made the first time (RFC 7644 knows none; this follows
//! the IETF httpapi draft on the `Idempotency-Key` header field).

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use wire::{Reason, Refusal};

/// How long a key is known, in microseconds: 24 hours.
pub(crate) const KEPT_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// The longest key.
const LONGEST: usize = 255;

/// A key as the client chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// # Errors
    /// [`Reason::InvalidValue`] unless it is 1 to 255 visible ASCII characters.
    pub(crate) fn parse(text: String) -> Result<Self, Refusal> {
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!(
                "Idempotency-Key must be 1 to {LONGEST} visible ASCII characters without spaces, such as a UUID. Send \
                 another key, or none."
            );
            return Err(Refusal::new(Reason::InvalidValue, message));
        }
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of what a create stores. Of that and not of the body as it came, which may hold a password: nothing that is
/// kept must allow to guess one.
pub(crate) fn digest(resource_type: &str, resource: &str, members: &[Uuid]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [resource_type, resource] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    for member in members {
        hash.update(member.as_bytes());
    }
    hash.finalize().into()
}

/// The answer to a key that came with other content before.
pub(crate) fn reused() -> Refusal {
    Refusal::new(
        Reason::IdempotencyKeyReused,
        "This Idempotency-Key was used for another resource within the last 24 hours. Send a new key with each new \
         resource.",
    )
}

/// The answer to a key whose resource is gone.
pub(crate) fn spent() -> Refusal {
    Refusal::new(
        Reason::IdempotencyKeySpent,
        "The resource that this Idempotency-Key created has been deleted since. To create it again, send a new key.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_visible_ascii() {
        for good in ["a", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "~!", &"k".repeat(255)] {
            assert_eq!(IdempotencyKey::parse(good.to_owned()).expect("a key").as_str(), good);
        }
        for bad in ["", "a b", "a\tb", "\u{7f}", "é", "a\0", &"k".repeat(256)] {
            let refusal = IdempotencyKey::parse(bad.to_owned()).expect_err("no key");
            assert_eq!(refusal.reason, Reason::InvalidValue, "{bad:?}");
        }
    }

    #[test]
    fn a_digest_tells_type_content_and_members_apart() {
        let [a, b] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let all = [
            digest("User", "{}", &[]),
            digest("Group", "{}", &[]),
            digest("Use", "r{}", &[]),
            digest("Group", "{}", &[a]),
            digest("Group", "{}", &[b]),
            digest("Group", "{}", &[a, b]),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one), "{i}");
        }
    }
}
