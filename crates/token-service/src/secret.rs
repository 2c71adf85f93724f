//! The text of a token or another secret: a prefix that says what it is, 43 characters of base64url for 32 random bytes, 6 of
//! base62 for the CRC-32 of all that stands before. Prefix and checksum are for secret scanners; nothing is decided by them
//! here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use store::Random;

/// Of a SCIM token.
pub(crate) const SCIM_TOKEN: &str = "rc_scim_";
/// Of a service credential.
pub(crate) const SERVICE_CREDENTIAL: &str = "rc_svc_";
/// Of an OAuth client's secret.
pub(crate) const OAUTH_CLIENT: &str = "rc_oauth_";
/// Of an authorization code.
pub(crate) const CODE: &str = "rc_code_";
/// Of an access token.
pub(crate) const ACCESS: &str = "rc_access_";
/// Of a refresh token.
pub(crate) const REFRESH: &str = "rc_refresh_";

const CHECKSUM: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Its text. It cannot be printed by accident and is wiped when dropped.
pub(crate) struct Secret(SecretString);

impl Secret {
    pub(crate) fn generate(prefix: &str, random: &Random) -> Self {
        let bytes: [u8; 32] = random.bytes();
        let mut text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
        text.push_str(&checksum(&text));
        Self(SecretString::from(text))
    }

    /// What is stored and looked up.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }

    /// For the one answer in which it leaves.
    pub(crate) fn into_answer(self) -> String {
        self.0.expose_secret().to_owned()
    }
}

/// What an administrator gives to whoever stands before the consent page: 80 random bits in four groups of Crockford's
/// base32, which has no letters that look like digits.
pub(crate) struct ApprovalCode(SecretString);

impl ApprovalCode {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    pub(crate) fn generate(random: &Random) -> Self {
        let bytes: [u8; 16] = random.bytes();
        // 256 is a multiple of 32: each letter is as likely as the others.
        let letter = |byte: &u8| Self::LETTERS.get(usize::from(byte % 32)).copied().map_or('0', char::from);
        Self(SecretString::from(bytes.iter().map(letter).collect::<String>()))
    }

    /// Of the letters alone, in capitals.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }

    /// For the one answer in which it leaves.
    pub(crate) fn into_answer(self) -> String {
        let letters: Vec<char> = self.0.expose_secret().chars().collect();
        letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
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
    use std::collections::HashSet;

    use super::*;

    fn checksum_holds(text: &str) -> bool {
        let (body, given) = text.split_at(text.len() - CHECKSUM);
        let value = given.bytes().try_fold(0_u64, |value, digit| {
            let index = BASE62.iter().position(|&known| known == digit)?;
            Some(value * 62 + u64::try_from(index).ok()?)
        });
        value == Some(u64::from(crc32fast::hash(body.as_bytes())))
    }

    #[test]
    fn a_hundred_thousand_tokens_differ_and_look_as_scanners_expect() {
        let random = Random::system();
        let mut seen = HashSet::new();
        let mut counts = [0_u32; 256];
        for _ in 0..100_000 {
            let text = Secret::generate(SCIM_TOKEN, &random).into_answer();
            assert_eq!(text.len(), 57);
            assert!(checksum_holds(&text), "{text}");
            let body = text.strip_prefix(SCIM_TOKEN).expect("prefix");
            let bytes = URL_SAFE_NO_PAD.decode(&body[..43]).expect("base64url");
            assert_eq!(bytes.len(), 32);
            counts[usize::from(bytes[0])] += 1;
            assert!(seen.insert(text));
        }
        // Chi-square with 255 degrees of freedom: above 400 has a probability under 1e-7.
        let expected = 100_000.0 / 256.0;
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        assert!(chi < 400.0, "{chi}");
    }

    #[test]
    fn an_approval_code_is_four_groups_of_letters_and_its_hash_is_of_these() {
        let code = ApprovalCode::generate(&Random::system());
        let hash = code.sha256();
        let text = code.into_answer();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4, 4, 4, 4]);
        let letters = text.replace('-', "");
        assert!(letters.bytes().all(|letter| ApprovalCode::LETTERS.contains(&letter)), "{text}");
        assert_eq!(hash, <[u8; 32]>::from(Sha256::digest(letters.as_bytes())));
    }

    #[test]
    fn a_typing_error_breaks_the_checksum() {
        let text = Secret::generate(SCIM_TOKEN, &Random::system()).into_answer();
        let wrong = if text.ends_with('0') { "1" } else { "0" };
        assert!(!checksum_holds(&format!("{}{wrong}", &text[..text.len() - 1])));
    }

    #[test]
    fn the_checksum_is_a_fixed_function() {
        assert_eq!(checksum(""), "000000");
        // The check value of CRC-32 is cbf43926.
        assert_eq!(checksum("123456789"), "3jZRME");
    }
}
