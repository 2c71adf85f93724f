//! 32 bytes under AES-256-GCM.

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead as _, KeyInit as _, Payload},
};
use zeroize::Zeroizing;

/// Random, and used once.
pub(crate) type Nonce = [u8; 12];

/// Ciphertext with tag.
pub(crate) type Sealed = [u8; 48];

/// None: not with inputs of these lengths.
pub(crate) fn seal(key: &[u8; 32], nonce: &Nonce, additional: &[u8], secret: &[u8; 32]) -> Option<Sealed> {
    let payload = Payload { msg: secret, aad: additional };
    let sealed = Aes256Gcm::new(key.into()).encrypt(nonce.into(), payload);
    sealed.ok()?.try_into().ok()
}

/// None: other key, other additional data, or damaged.
pub(crate) fn open(key: &[u8; 32], nonce: &Nonce, additional: &[u8], sealed: &Sealed) -> Option<Zeroizing<[u8; 32]>> {
    let payload = Payload { msg: sealed, aad: additional };
    let opened = Zeroizing::new(Aes256Gcm::new(key.into()).decrypt(nonce.into(), payload).ok()?);
    opened.as_slice().try_into().ok().map(Zeroizing::new)
}
