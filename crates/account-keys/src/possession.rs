//! Proof of possession: who hands in public keys has the private ones.

use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::{AccountKey, Error, PublicKeys, Result, canonical::canonical, member::text};

/// 32 random bytes of the server, for one proof.
pub type Challenge = [u8; 32];

/// An Ed25519 signature over the account key, its public keys and the server's challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Possession(pub [u8; 64]);

impl Possession {
    /// # Errors
    /// [`Error::PublicKey`], [`Error::Possession`]
    pub fn verify(&self, of: &AccountKey, public: &PublicKeys, challenge: &Challenge) -> Result<()> {
        // Nothing could be sealed to it, and that would be found much later.
        if of_small_order(&public.enc) {
            return Err(Error::PublicKey("the encryption key"));
        }
        let message = message(of, public, challenge);
        verify(&public.sig, &message, &self.0, Error::Possession)
    }

    /// Made by who has the account secret.
    #[cfg(feature = "client")]
    pub fn make(of: &AccountKey, keys: &crate::MemberKeys, challenge: &Challenge) -> Self {
        Self(keys.sign(&message(of, &keys.public(), challenge)))
    }
}

fn message(of: &AccountKey, public: &PublicKeys, challenge: &Challenge) -> Vec<u8> {
    let AccountKey { member, key_id, version } = of;
    canonical(
        "account-key/v1",
        &[
            text(member.organization).as_bytes(),
            text(member.user).as_bytes(),
            text(*key_id).as_bytes(),
            version.to_string().as_bytes(),
            challenge,
            &public.enc,
            &public.sig,
        ],
    )
}

/// Strict: a key that verifies more than its owner signed is refused.
pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64], wrong: Error) -> Result<()> {
    let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak());
    let key = key.ok_or(Error::PublicKey("the signing key"))?;
    key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| wrong)
}

/// Whatever the private key, what is agreed with such a key is 0 (RFC 7748 section 6.1): everybody knows it.
fn of_small_order(enc: &[u8; 32]) -> bool {
    // Clamped scalars are multiples of the cofactor, so any of them shows it.
    MontgomeryPoint(*enc).mul_clamped([0; 32]).0 == [0; 32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_keeps_no_secret_is_seen() {
        let mut last = [0xff; 32];
        last[0] = 0xec;
        last[31] = 0x7f;
        let mut one = [0; 32];
        one[0] = 1;
        for weak in [[0; 32], one, last] {
            assert!(of_small_order(&weak), "{weak:?}");
        }
        let mut base = [0; 32];
        base[0] = 9;
        assert!(!of_small_order(&base));
    }
}
