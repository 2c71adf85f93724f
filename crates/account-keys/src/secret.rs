//! The secrets that are made, and the keys derived from them.

use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{Signer as _, SigningKey};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Fill, PublicKeys, RecoveryProof, Result, member::text, words};

/// A secret of 32 bytes: wiped when dropped, compared in constant time, not in what `Debug` shows.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<[u8; 32]>);

        impl $name {
            /// A new one, of 32 random bytes.
            pub fn generate(random: &mut Fill) -> Self {
                let mut bytes = Zeroizing::new([0; 32]);
                random(bytes.as_mut_slice());
                Self(bytes)
            }

            /// One that was made before.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Zeroizing::new(bytes))
            }

            /// The secret itself.
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(other.0.as_slice()).into()
            }
        }

        impl Eq for $name {}
    };
}

secret! {
    /// AS. All keys of a member are derived from it.
    AccountSecret
}
secret! {
    /// R, the emergency kit of a member.
    KitSecret
}
secret! {
    /// OK, of one version. What the product's data is encrypted with hangs below it.
    OrganizationKey
}
secret! {
    /// Q, the kit of an organization.
    OrganizationKitSecret
}

/// HKDF-SHA256, 32 bytes.
pub(crate) fn derive(key: &[u8], salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
    let mut derived = Zeroizing::new([0; 32]);
    // It can only fail for more than 255 blocks.
    let expanded = Hkdf::<Sha256>::new(Some(salt), key).expand(info.as_bytes(), derived.as_mut_slice());
    debug_assert!(expanded.is_ok());
    derived
}

/// The X25519 private key of a recipient of grants.
#[derive(Clone)]
pub struct OpeningKey(Zeroizing<[u8; 32]>);

impl OpeningKey {
    /// What is sealed to it.
    pub fn public(&self) -> [u8; 32] {
        MontgomeryPoint::mul_base_clamped(*self.0).0
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpeningKey(..)")
    }
}

/// What a member opens and signs with.
#[derive(Clone)]
pub struct MemberKeys {
    opening: OpeningKey,
    signing: SigningKey,
}

impl MemberKeys {
    /// The X25519 and the Ed25519 key that this account secret gives.
    pub fn derive(secret: &AccountSecret) -> Self {
        Self {
            opening: OpeningKey(derive(secret.expose(), b"", "enc/v1")),
            signing: SigningKey::from_bytes(&derive(secret.expose(), b"", "sig/v1")),
        }
    }

    /// What others may know.
    pub fn public(&self) -> PublicKeys {
        PublicKeys { enc: self.opening.public(), sig: self.signing.verifying_key().to_bytes() }
    }

    /// What opens grants to this member.
    pub fn opening(&self) -> &OpeningKey {
        &self.opening
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for MemberKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemberKeys({:?})", self.public())
    }
}

impl KitSecret {
    /// What the server releases the recovery wrap for.
    pub fn recovery_proof(&self, user: Uuid) -> RecoveryProof {
        RecoveryProof(*derive(self.expose(), text(user).as_bytes(), "auth/recovery/v1"))
    }

    /// 24 words, with single spaces between them.
    pub fn words(&self) -> Zeroizing<String> {
        words::from_secret(self.expose())
    }

    /// In any case, with any white space.
    ///
    /// # Errors
    /// [`crate::Error::WordCount`], [`crate::Error::UnknownWord`], [`crate::Error::WordsChecksum`]
    pub fn from_words(typed: &str) -> Result<Self> {
        words::to_secret(typed).map(Self)
    }
}

impl OrganizationKitSecret {
    /// What opens the copies of the organization's keys that are sealed to the kit.
    pub fn opening(&self, organization: Uuid) -> OpeningKey {
        OpeningKey(derive(self.expose(), text(organization).as_bytes(), "org-kit/v1"))
    }

    /// What the server takes a grant to oneself for.
    pub fn proof(&self, organization: Uuid) -> RecoveryProof {
        RecoveryProof(*derive(self.expose(), text(organization).as_bytes(), "auth/org-kit/v1"))
    }

    /// 24 words, with single spaces between them.
    pub fn words(&self) -> Zeroizing<String> {
        words::from_secret(self.expose())
    }

    /// In any case, with any white space.
    ///
    /// # Errors
    /// [`crate::Error::WordCount`], [`crate::Error::UnknownWord`], [`crate::Error::WordsChecksum`]
    pub fn from_words(typed: &str) -> Result<Self> {
        words::to_secret(typed).map(Self)
    }
}
