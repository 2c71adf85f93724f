//! The chain: who has an organization key has the ones before it.

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Error, Fill, OrganizationKey, Result, aead, canonical::canonical, member::text, secret::derive};

const LABEL: &str = "org-key/previous/v1";

/// The organization key of one version, encrypted for who has the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "of AES-256-GCM; the ciphertext includes the tag")]
pub struct ChainLink {
    pub nonce: [u8; 12],
    pub ct: [u8; 48],
}

impl ChainLink {
    /// `version` is that of `key`; `previous` is of the version before. Takes 12 random bytes.
    ///
    /// # Errors
    /// [`Error::NoPrevious`]
    pub fn seal(
        organization: Uuid,
        version: u32,
        key: &OrganizationKey,
        previous: &OrganizationKey,
        random: &mut Fill,
    ) -> Result<Self> {
        let additional = additional(organization, version)?;
        let mut nonce = [0; 12];
        random(&mut nonce);
        let ct = aead::seal(&wrapping(key), &nonce, &additional, previous.expose());
        Ok(Self { nonce, ct: ct.ok_or(Error::Chain)? })
    }

    /// The key of the version before that of `key`, which is `version`.
    ///
    /// # Errors
    /// [`Error::NoPrevious`], [`Error::Chain`]
    pub fn open(&self, organization: Uuid, version: u32, key: &OrganizationKey) -> Result<OrganizationKey> {
        let additional = additional(organization, version)?;
        let opened = aead::open(&wrapping(key), &self.nonce, &additional, &self.ct);
        opened.map(|previous| OrganizationKey::from_bytes(*previous)).ok_or(Error::Chain)
    }
}

fn wrapping(key: &OrganizationKey) -> Zeroizing<[u8; 32]> {
    derive(key.expose(), b"", LABEL)
}

fn additional(organization: Uuid, version: u32) -> Result<Vec<u8>> {
    if version < 2 {
        return Err(Error::NoPrevious(version));
    }
    Ok(canonical(LABEL, &[text(organization).as_bytes(), version.to_string().as_bytes()]))
}
