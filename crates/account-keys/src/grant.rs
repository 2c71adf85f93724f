//! Grants: an organization key, sealed to one recipient by one granter.

use uuid::Uuid;

use crate::{Error, PublicKeys, Result, canonical::canonical, member::text, possession};

/// An organization key of one version for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// HPKE's encapsulated key.
    pub enc: [u8; 32],
    /// The organization key and HPKE's tag.
    pub ct: [u8; 48],
    /// The granter's.
    pub signature: [u8; 64],
}

/// Whom a grant is for. The granter signs the public keys, too: who rotates later sees which ones had been confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// A member, by one of its account keys.
    Member {
        /// Of the grant's organization.
        user: Uuid,
        /// Which account key.
        key_id: Uuid,
        /// Its public keys.
        public: PublicKeys,
    },
    /// Who has the organization's kit.
    Kit {
        /// X25519: [`crate::OpeningKey::public`] of the kit, which signs nothing.
        enc: [u8; 32],
    },
}

/// What a grant is of. It opens and verifies with exactly this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrantOf {
    /// Whose key is granted.
    pub organization: Uuid,
    /// Which version of it, from 1.
    pub version: u32,
    /// To whom.
    pub recipient: Recipient,
    /// The account key of who granted.
    pub granter_key_id: Uuid,
}

impl Grant {
    /// Whether the granter made it, for exactly this.
    ///
    /// # Errors
    /// [`Error::PublicKey`], [`Error::GrantSignature`]
    pub fn verify(&self, of: &GrantOf, granter_sig: &[u8; 32]) -> Result<()> {
        let message = of.message(&self.enc, &self.ct);
        possession::verify(granter_sig, &message, &self.signature, Error::GrantSignature)
    }
}

impl GrantOf {
    /// Organization, user, version and recipient key id.
    fn fields(&self) -> [String; 4] {
        let (user, key_id) = match self.recipient {
            Recipient::Member { user, key_id, .. } => (text(user), text(key_id)),
            Recipient::Kit { .. } => ("kit".to_owned(), "kit".to_owned()),
        };
        [text(self.organization), user, self.version.to_string(), key_id]
    }

    /// What it is sealed to.
    #[cfg(feature = "client")]
    pub(crate) fn recipient_enc(&self) -> &[u8; 32] {
        match &self.recipient {
            Recipient::Member { public, .. } => &public.enc,
            Recipient::Kit { enc } => enc,
        }
    }

    /// HPKE's additional data.
    #[cfg(feature = "client")]
    pub(crate) fn additional(&self) -> Vec<u8> {
        canonical("org-key/v1", &self.fields().each_ref().map(String::as_bytes))
    }

    /// What the granter signs.
    fn message(&self, enc: &[u8; 32], ct: &[u8; 48]) -> Vec<u8> {
        let [organization, user, version, key_id] = &self.fields();
        let (recipient_enc, recipient_sig): (&[u8], &[u8]) = match &self.recipient {
            Recipient::Member { public, .. } => (&public.enc, &public.sig),
            Recipient::Kit { enc } => (enc, &[]),
        };
        canonical(
            "grant/v1",
            &[
                organization.as_bytes(),
                user.as_bytes(),
                version.as_bytes(),
                key_id.as_bytes(),
                recipient_enc,
                recipient_sig,
                enc,
                ct,
                text(self.granter_key_id).as_bytes(),
            ],
        )
    }
}

#[cfg(feature = "client")]
mod client {
    use hpke::{
        Deserializable as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305, kdf::HkdfSha256,
        kem::X25519HkdfSha256, rand_core,
    };
    use zeroize::Zeroizing;

    use super::{Grant, GrantOf};
    use crate::{Error, Fill, MemberKeys, OpeningKey, OrganizationKey, Result};

    const INFO: &[u8] = b"org-key/v1";

    type Public = <X25519HkdfSha256 as hpke::Kem>::PublicKey;
    type Private = <X25519HkdfSha256 as hpke::Kem>::PrivateKey;
    type Encapsulated = <X25519HkdfSha256 as hpke::Kem>::EncappedKey;

    impl Grant {
        /// Seals the key to the recipient and signs. Takes 32 random bytes.
        ///
        /// # Errors
        /// [`Error::PublicKey`]: nothing can be sealed to the recipient's key.
        pub fn seal(of: &GrantOf, key: &OrganizationKey, granter: &MemberKeys, random: &mut Fill) -> Result<Self> {
            let unusable = || Error::PublicKey("the recipient's encryption key");
            let recipient = Public::from_bytes(of.recipient_enc()).map_err(|_| unusable())?;
            let (enc, ct) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &recipient,
                INFO,
                key.expose(),
                &of.additional(),
                &mut Source(random),
            )
            .map_err(|_| unusable())?;
            let enc: [u8; 32] = enc.to_bytes().into();
            let ct = ct.try_into().map_err(|_| Error::GrantSealed)?;
            let signature = granter.sign(&of.message(&enc, &ct));
            Ok(Self { enc, ct, signature })
        }

        /// Opens it, after the granter's signature has verified.
        ///
        /// # Errors
        /// [`Error::GrantRecipient`], [`Error::PublicKey`], [`Error::GrantSignature`], [`Error::GrantSealed`]
        pub fn open(&self, of: &GrantOf, recipient: &OpeningKey, granter_sig: &[u8; 32]) -> Result<OrganizationKey> {
            if recipient.public() != *of.recipient_enc() {
                return Err(Error::GrantRecipient);
            }
            self.verify(of, granter_sig)?;
            let private = Private::from_bytes(recipient.expose()).map_err(|_| Error::GrantSealed)?;
            let enc = Encapsulated::from_bytes(&self.enc).map_err(|_| Error::GrantSealed)?;
            let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeR::Base,
                &private,
                &enc,
                INFO,
                &self.ct,
                &of.additional(),
            );
            let opened = Zeroizing::new(opened.map_err(|_| Error::GrantSealed)?);
            let key: [u8; 32] = opened.as_slice().try_into().map_err(|_| Error::GrantSealed)?;
            Ok(OrganizationKey::from_bytes(key))
        }
    }

    struct Source<'a, 'b>(&'a mut Fill<'b>);

    impl rand_core::TryRng for Source<'_, '_> {
        type Error = std::convert::Infallible;

        fn try_next_u32(&mut self) -> std::result::Result<u32, Self::Error> {
            let mut bytes = [0; 4];
            (self.0)(&mut bytes);
            Ok(u32::from_le_bytes(bytes))
        }

        fn try_next_u64(&mut self) -> std::result::Result<u64, Self::Error> {
            let mut bytes = [0; 8];
            (self.0)(&mut bytes);
            Ok(u64::from_le_bytes(bytes))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Self::Error> {
            (self.0)(bytes);
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Source<'_, '_> {}
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;
    use crate::{AccountSecret, MemberKeys, OrganizationKey};

    /// Who signs anew can make a signature fit; what was sealed still tells whom and what it was for.
    #[test]
    fn additional_data_holds_where_a_signature_would_not() {
        let keys = |seed| MemberKeys::derive(&AccountSecret::from_bytes([seed; 32]));
        let (member, evil) = (keys(2), keys(6));
        let id = Uuid::from_u128;
        let of = GrantOf {
            organization: id(1),
            version: 2,
            recipient: Recipient::Member { user: id(2), key_id: id(3), public: member.public() },
            granter_key_id: id(4),
        };
        let sealed = Grant::seal(&of, &OrganizationKey::from_bytes([9; 32]), &keys(1), &mut |bytes| bytes.fill(7));
        let sealed = sealed.expect("sealed");
        let forged = |of: &GrantOf| {
            let signature = evil.sign(&of.message(&sealed.enc, &sealed.ct));
            Grant { signature, ..sealed }.open(of, member.opening(), &evil.public().sig)
        };
        // The same grant under another signature is the granter's word against the evil one's: the fingerprint phrase.
        assert!(forged(&of).is_ok());
        for other in [
            GrantOf { organization: id(9), ..of },
            GrantOf { version: 3, ..of },
            GrantOf { recipient: Recipient::Member { user: id(9), key_id: id(3), public: member.public() }, ..of },
            GrantOf { recipient: Recipient::Member { user: id(2), key_id: id(9), public: member.public() }, ..of },
            GrantOf { recipient: Recipient::Kit { enc: member.public().enc }, ..of },
        ] {
            assert_eq!(forged(&other), Err(Error::GrantSealed), "{other:?}");
        }
    }
}
