//! Secrets of invitations, sessions and agents. Their text is that of SCIM tokens (ADR 4): a prefix that says what it is, 43
//! characters of base64url for 32 random bytes, 6 of base62 for the CRC-32 of all that stands before. Prefix and checksum
//! are for secret scanners; nothing is decided by them here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use store::Random;
use wire::{Reason, Refusal};

/// Of an invitation.
pub(crate) const INVITE: &str = "rc_invite_";
/// Of a session.
pub(crate) const SESSION: &str = "rc_session_";
/// Of a member's session.
pub(crate) const ACCOUNT: &str = "rc_account_";
/// Of an agent that confirms members.
pub(crate) const AGENT: &str = "rc_agent_";

const CHECKSUM: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a secret, or of the `state` of a sign-in: what is stored and looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

impl Hash {
    /// As a caller shows it.
    ///
    /// # Errors
    /// [`Reason::InvalidArgument`] unless it has 32 bytes.
    pub(crate) fn shown(field: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let wrong = |_| Refusal::new(Reason::InvalidArgument, format!("{field} must have the 32 bytes of a SHA-256."));
        bytes.try_into().map(Self).map_err(wrong)
    }
}

/// Its text. It cannot be printed by accident and is wiped when dropped.
pub(crate) struct Secret(SecretString);

impl Secret {
    pub(crate) fn generate(prefix: &str, random: &Random) -> Self {
        let bytes: [u8; 32] = random.bytes();
        let mut text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
        text.push_str(&checksum(&text));
        Self(SecretString::from(text))
    }

    pub(crate) fn hash(&self) -> Hash {
        Hash(Sha256::digest(self.0.expose_secret().as_bytes()).into())
    }

    /// For the one answer in which it leaves.
    pub(crate) fn into_answer(self) -> String {
        self.0.expose_secret().to_owned()
    }
}

/// 62^6 is more than 2^32, so the width is fixed.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(rest % 62).unwrap_or_default();
        *digit = BASE62.get(index).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_form_of_a_token_and_another_prefix() {
        let random = Random::system();
        for (prefix, length) in [(INVITE, 59), (SESSION, 60), (ACCOUNT, 60), (AGENT, 58)] {
            let (one, other) = (Secret::generate(prefix, &random), Secret::generate(prefix, &random));
            assert_ne!(one.hash(), other.hash());
            let hash = one.hash();
            let text = one.into_answer();
            assert_eq!(text.len(), length);
            assert_eq!(hash, Hash(Sha256::digest(text.as_bytes()).into()));
            let (body, given) = text.split_at(text.len() - CHECKSUM);
            assert_eq!(given, checksum(body));
            let bytes = URL_SAFE_NO_PAD.decode(body.strip_prefix(prefix).expect("prefix")).expect("base64url");
            assert_eq!(bytes.len(), 32);
        }
    }

    #[test]
    fn the_checksum_is_that_of_tokens() {
        assert_eq!(checksum(""), "000000");
        assert_eq!(checksum("123456789"), "3jZRME");
    }
}
