//! The fingerprint phrase of a member's public keys.

use bip39::Language;
use sha2::{Digest as _, Sha256};

use crate::{Member, PublicKeys, canonical::canonical, member::text};

/// Two people who see the same eight words see the same keys. With single spaces between them.
pub fn fingerprint(member: &Member, public: &PublicKeys) -> String {
    let (organization, user) = (text(member.organization), text(member.user));
    let fields: [&[u8]; 4] = [organization.as_bytes(), user.as_bytes(), &public.enc, &public.sig];
    let digest = Sha256::digest(canonical("fingerprint/v1", &fields));
    let list = Language::English.word_list();
    // The first 88 bits, most significant first, are eight numbers of 11.
    let bits = digest[..11].iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let words = (0..8).rev().map(|place| list[(bits >> (11 * place) & 0x7ff) as usize]);
    words.collect::<Vec<_>>().join(" ")
}
