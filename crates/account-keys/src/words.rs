//! 32 bytes as 24 words of BIP 39's English list, and back.

use bip39::{Error as Bip39, Language, Mnemonic};
use zeroize::Zeroizing;

use crate::{Error, Result};

const COUNT: usize = 24;

/// With single spaces between them.
pub(crate) fn from_secret(secret: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(COUNT * 9));
    // 32 bytes are a length that BIP 39 has.
    for word in Mnemonic::from_entropy(secret).iter().flat_map(Mnemonic::words) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// In any case, with any white space.
pub(crate) fn to_secret(typed: &str) -> Result<Zeroizing<[u8; 32]>> {
    let typed = Zeroizing::new(typed.to_lowercase());
    let count = typed.split_whitespace().count();
    if count != COUNT {
        return Err(Error::WordCount(count));
    }
    let mnemonic = Mnemonic::parse_in_normalized(Language::English, &typed).map_err(|error| match error {
        Bip39::UnknownWord(index) => Error::UnknownWord(index + 1),
        Bip39::BadWordCount(count) => Error::WordCount(count),
        Bip39::InvalidChecksum | Bip39::BadEntropyBitCount(_) | Bip39::AmbiguousLanguages(_) => Error::WordsChecksum,
    })?;
    let (bytes, length) = mnemonic.to_entropy_array();
    let bytes = Zeroizing::new(bytes);
    let secret = bytes[..length].try_into().map_err(|_| Error::WordsChecksum)?;
    Ok(Zeroizing::new(secret))
}
