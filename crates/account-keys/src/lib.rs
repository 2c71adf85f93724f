//! The keys of members and of organizations, by the protocol of docs/account-keys.md.
//!
//! Pure: randomness comes in as an argument, ids and versions too. Without the feature `client` it is what a server
//! needs: it verifies proofs and signatures and plays its part of OPAQUE, and no type of it holds what decrypts.
//!
//! Not here: IO, clocks, what is stored, who may grant.

#[cfg(feature = "client")]
mod aead;
#[cfg(feature = "browser")]
pub mod browser;
mod canonical;
#[cfg(feature = "client")]
mod chain;
mod error;
#[cfg(feature = "client")]
mod fingerprint;
mod grant;
mod member;
pub mod opaque;
mod possession;
mod recovery;
#[cfg(feature = "client")]
mod secret;
mod stretching;
#[cfg(feature = "client")]
mod words;
#[cfg(feature = "client")]
mod wrap;

pub use canonical::canonical;
#[cfg(feature = "client")]
pub use chain::ChainLink;
pub use error::{Error, Result};
#[cfg(feature = "client")]
pub use fingerprint::{fingerprint, fingerprint_typed};
pub use grant::{Grant, GrantOf, Recipient};
pub use member::{AccountKey, Member, PublicKeys};
pub use possession::{Challenge, Possession};
pub use recovery::{RecoveryProof, RecoveryVerifier};
#[cfg(feature = "client")]
pub use secret::{AccountSecret, KitSecret, MemberKeys, OpeningKey, OrganizationKey, OrganizationKitSecret};
pub use stretching::Stretching;
#[cfg(feature = "client")]
pub use wrap::{Wrap, WrapKind};

/// Fills with random bytes that nobody can guess: the operating system's, or fixed ones in a test.
pub type Fill<'a> = dyn FnMut(&mut [u8]) + 'a;
