//! What has to be stored and read again is sealed (XChaCha20-Poly1305) by a key that is not in the database, and bound to the
//! row that it is of.
//!
//! Not here: where the key is kept (the `rollcall` crate).

use std::sync::Arc;

use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{Aead as _, KeyInit as _, Payload},
};
use wire::{Reason, Refusal};

use super::OrgId;

/// Bytes of the nonce: enough for random ones never to meet.
pub(crate) const NONCE: usize = 24;

const VERSION: u8 = 1;

/// Gives the key, and makes it where there is none yet. What it says when it cannot is for whoever runs the server.
pub type SealingKeySource = Arc<dyn Fn() -> Result<[u8; 32], String> + Send + Sync>;

/// Of the installation. Asked for when it is needed: most installations seal nothing.
#[derive(Clone)]
pub(crate) struct SealingKey(pub(crate) SealingKeySource);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// What a client secret belongs to. In another row, or beside another issuer or client, it cannot be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientSecretOf<'a> {
    pub(crate) org: OrgId,
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
}

impl ClientSecretOf<'_> {
    fn authenticated(&self) -> Vec<u8> {
        let mut bytes = self.org.0.as_bytes().to_vec();
        for part in [self.issuer, self.client_id] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

impl SealingKey {
    fn cipher(&self) -> Result<XChaCha20Poly1305, Refusal> {
        let key = (self.0)().map_err(|error| {
            tracing::error!(error, "the sealing key cannot be had");
            let message = "The server cannot read its sealing key, and its log says why. Until that is mended client \
                           secrets of sign-in providers can neither be set nor used.";
            Refusal::new(Reason::SignInState, message)
        })?;
        Ok(XChaCha20Poly1305::new(&key.into()))
    }

    /// Version, nonce and ciphertext. A nonce is used once.
    pub(crate) fn seal(&self, nonce: [u8; NONCE], of: &ClientSecretOf<'_>, secret: &str) -> Result<Vec<u8>, Refusal> {
        let payload = Payload { msg: secret.as_bytes(), aad: &of.authenticated() };
        let sealed = self.cipher()?.encrypt(&nonce.into(), payload);
        let sealed = sealed.map_err(|error| crate::error::internal(&error))?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// # Errors
    /// [`Reason::SignInState`]: it was sealed by another key, or for another row.
    pub(crate) fn open(&self, of: &ClientSecretOf<'_>, sealed: &[u8]) -> Result<String, Refusal> {
        let cipher = self.cipher()?;
        let opened = || {
            let (version, rest) = sealed.split_first()?;
            let (nonce, sealed) = rest.split_at_checked(NONCE)?;
            let nonce: [u8; NONCE] = nonce.try_into().ok().filter(|_| *version == VERSION)?;
            let payload = Payload { msg: sealed, aad: &of.authenticated() };
            let plain = cipher.decrypt(&nonce.into(), payload).ok()?;
            String::from_utf8(plain).ok()
        };
        opened().ok_or_else(|| {
            tracing::error!(
                organization = %of.org,
                "the client secret of a sign-in provider cannot be read: it was sealed by another --sealing-key-file"
            );
            Refusal::new(
                Reason::SignInState,
                "The client secret of the sign-in provider cannot be read any more: it was sealed by another sealing key \
                 than the server has. Give the server its key back (--sealing-key-file), or set the provider again with \
                 its client secret: rollcall sign-in set.",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const OF: ClientSecretOf<'static> =
        ClientSecretOf { org: OrgId(Uuid::from_u128(1)), issuer: "https://idp.example.com", client_id: "rollcall" };

    fn key(byte: u8) -> SealingKey {
        SealingKey(Arc::new(move || Ok([byte; 32])))
    }

    #[test]
    fn it_opens_for_its_own_row_and_key_alone() {
        let ours = key(7);
        let sealed = ours.seal([1; NONCE], &OF, "s3cret").expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        assert_eq!(ours.open(&OF, &sealed).expect("opened"), "s3cret");
        let moved = [
            ClientSecretOf { org: OrgId(Uuid::from_u128(2)), ..OF },
            ClientSecretOf { issuer: "https://idp.example.org", ..OF },
            ClientSecretOf { client_id: "other", ..OF },
            // Nothing can move from one part to the next.
            ClientSecretOf { issuer: "https://idp.example.comr", client_id: "ollcall", ..OF },
        ];
        let mut refused: Vec<_> = moved.iter().map(|of| ours.open(of, &sealed)).collect();
        refused.push(key(8).open(&OF, &sealed));
        for at in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[at] ^= 1;
            refused.push(ours.open(&OF, &wrong));
            refused.push(ours.open(&OF, &sealed[..at]));
        }
        for refused in refused {
            let refusal = refused.expect_err("refused");
            assert_eq!(refusal.reason, Reason::SignInState);
            assert!(refusal.message.contains("set the provider again"), "{refusal:?}");
        }
    }

    #[test]
    fn without_a_key_nothing_is_sealed_and_the_caller_is_not_told_where_it_should_be() {
        let none = SealingKey(Arc::new(|| Err("/var/lib/rollcall/sealing.key".to_owned())));
        let sealed = key(7).seal([1; NONCE], &OF, "s3cret").expect("sealed");
        for refused in [none.seal([1; NONCE], &OF, "s3cret").map(drop), none.open(&OF, &sealed).map(drop)] {
            let refusal = refused.expect_err("refused");
            assert_eq!(refusal.reason, Reason::SignInState);
            assert!(!refusal.message.contains("/var"), "{refusal:?}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", key(7)), "SealingKey(..)");
    }
}
