//! What shows that somebody has a kit, a member's or an organization's: a proof made from it, of which the server has the hash.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{Error, Result};

/// 32 bytes that only the kit gives. They decrypt nothing.
#[derive(Clone)]
pub struct RecoveryProof(pub [u8; 32]);

/// SHA-256 of a [`RecoveryProof`], which the server keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryVerifier(pub [u8; 32]);

impl std::fmt::Debug for RecoveryProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryProof(..)")
    }
}

impl RecoveryProof {
    /// What the server is to keep.
    pub fn verifier(&self) -> RecoveryVerifier {
        RecoveryVerifier(Sha256::digest(self.0).into())
    }
}

impl RecoveryVerifier {
    /// # Errors
    /// [`Error::RecoveryProof`]
    pub fn verify(&self, proof: &RecoveryProof) -> Result<()> {
        let same = bool::from(proof.verifier().0.ct_eq(&self.0));
        same.then_some(()).ok_or(Error::RecoveryProof)
    }
}
