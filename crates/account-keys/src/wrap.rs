//! Wraps: an account secret, encrypted under what the password or the kit gives.

use crate::{
    AccountKey, AccountSecret, Error, Fill, KitSecret, Result, aead, canonical::canonical, member::text,
    opaque::client::ExportKey, secret::derive,
};

/// An account secret, encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "of AES-256-GCM; the ciphertext includes the tag")]
pub struct Wrap {
    pub nonce: [u8; 12],
    pub ct: [u8; 48],
}

/// What a wrap opens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WrapKind {
    /// The password, by way of OPAQUE's export key.
    Password,
    /// The emergency kit.
    Recovery,
}

impl WrapKind {
    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Recovery => "recovery",
        }
    }

    fn info(self) -> &'static str {
        match self {
            Self::Password => "kek/password/v1",
            Self::Recovery => "kek/recovery/v1",
        }
    }
}

/// What gives a key to wrap with.
#[derive(Clone, Copy)]
struct With<'a> {
    kind: WrapKind,
    bytes: &'a [u8],
}

impl Wrap {
    /// Takes 12 random bytes.
    ///
    /// # Errors
    /// None that can happen.
    pub fn with_password(of: &AccountKey, secret: &AccountSecret, key: &ExportKey, random: &mut Fill) -> Result<Self> {
        Self::seal(of, secret, With { kind: WrapKind::Password, bytes: key.expose() }, random)
    }

    /// Takes 12 random bytes.
    ///
    /// # Errors
    /// None that can happen.
    pub fn with_kit(of: &AccountKey, secret: &AccountSecret, kit: &KitSecret, random: &mut Fill) -> Result<Self> {
        Self::seal(of, secret, With { kind: WrapKind::Recovery, bytes: kit.expose() }, random)
    }

    /// # Errors
    /// [`Error::Wrap`]
    pub fn open_with_password(&self, of: &AccountKey, key: &ExportKey) -> Result<AccountSecret> {
        self.open(of, With { kind: WrapKind::Password, bytes: key.expose() })
    }

    /// # Errors
    /// [`Error::Wrap`]
    pub fn open_with_kit(&self, of: &AccountKey, kit: &KitSecret) -> Result<AccountSecret> {
        self.open(of, With { kind: WrapKind::Recovery, bytes: kit.expose() })
    }

    fn seal(of: &AccountKey, secret: &AccountSecret, with: With<'_>, random: &mut Fill) -> Result<Self> {
        let mut nonce = [0; 12];
        random(&mut nonce);
        let ct = aead::seal(&with.key(of), &nonce, &additional(of, with.kind), secret.expose());
        Ok(Self { nonce, ct: ct.ok_or(Error::Wrap(with.kind.name()))? })
    }

    fn open(&self, of: &AccountKey, with: With<'_>) -> Result<AccountSecret> {
        let opened = aead::open(&with.key(of), &self.nonce, &additional(of, with.kind), &self.ct);
        opened.map(|secret| AccountSecret::from_bytes(*secret)).ok_or(Error::Wrap(with.kind.name()))
    }
}

impl With<'_> {
    fn key(&self, of: &AccountKey) -> zeroize::Zeroizing<[u8; 32]> {
        derive(self.bytes, text(of.member.user).as_bytes(), self.kind.info())
    }
}

fn additional(of: &AccountKey, kind: WrapKind) -> Vec<u8> {
    let AccountKey { member, key_id, version } = of;
    canonical(
        "wrap/v1",
        &[
            text(member.organization).as_bytes(),
            text(member.user).as_bytes(),
            text(*key_id).as_bytes(),
            version.to_string().as_bytes(),
            kind.name().as_bytes(),
        ],
    )
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Member;

    #[test]
    fn the_kind_is_in_the_additional_data_and_not_in_the_key_alone() {
        let member = Member { organization: Uuid::from_u128(1), user: Uuid::from_u128(2) };
        let of = AccountKey { member, key_id: Uuid::from_u128(3), version: 1 };
        let kit = KitSecret::from_bytes([7; 32]);
        let key = With { kind: WrapKind::Recovery, bytes: kit.expose() }.key(&of);
        let sealed = |kind| Wrap {
            nonce: [1; 12],
            ct: aead::seal(&key, &[1; 12], &additional(&of, kind), &[5; 32]).expect("sealed"),
        };
        assert!(sealed(WrapKind::Recovery).open_with_kit(&of, &kit).is_ok());
        assert_eq!(sealed(WrapKind::Password).open_with_kit(&of, &kit), Err(Error::Wrap("recovery")));
    }
}
