//! The fingerprint phrase of a member's public keys.

use bip39::Language;
use sha2::{Digest as _, Sha256};

use crate::{Error, Member, PublicKeys, Result, canonical::canonical, member::text};

const COUNT: usize = 8;

/// Two people who see the same eight words see the same keys. With single spaces between them.
pub fn fingerprint(member: &Member, public: &PublicKeys) -> String {
    let (organization, user) = (text(member.organization), text(member.user));
    let fields: [&[u8]; 4] = [organization.as_bytes(), user.as_bytes(), &public.enc, &public.sig];
    let digest = Sha256::digest(canonical("fingerprint/v1", &fields));
    let list = Language::English.word_list();
    // The first 88 bits, most significant first, are eight numbers of 11.
    let bits = digest[..11].iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let words = (0..COUNT).rev().map(|place| list[(bits >> (11 * place) & 0x7ff) as usize]);
    words.collect::<Vec<_>>().join(" ")
}

/// A phrase that somebody typed, in any case and with any white space, as [`fingerprint`] has it.
///
/// # Errors
/// [`Error::PhraseLength`], [`Error::UnknownWord`].
pub fn fingerprint_typed(typed: &str) -> Result<String> {
    let words: Vec<String> = typed.split_whitespace().map(str::to_lowercase).collect();
    if words.len() != COUNT {
        return Err(Error::PhraseLength(words.len()));
    }
    match words.iter().position(|word| Language::English.find_word(word).is_none()) {
        Some(place) => Err(Error::UnknownWord(place + 1)),
        None => Ok(words.join(" ")),
    }
}
