//! OPAQUE (RFC 9807) with Ristretto255, TripleDh and SHA-512: lengths of its messages, and both sides of it.
//!
//! A side never chooses identifiers itself: a right password with other identifiers looks like a wrong one.

#[cfg(feature = "client")]
pub mod client;
pub mod server;

use opaque_ke::{Identifiers, Ristretto255, TripleDh, rand, rand::RngCore};
use opaque_ke_sha2::Sha512;

use crate::{Error, Fill, Result};

/// What a client sends to register.
pub const REGISTRATION_REQUEST: usize = 32;
/// What a server answers to it.
pub const REGISTRATION_RESPONSE: usize = 64;
/// What a client then sends, and a server stores.
pub const RECORD: usize = 192;
/// What a client sends to log in.
pub const KE1: usize = 96;
/// What a server answers to it.
pub const KE2: usize = 320;
/// What a client then sends.
pub const KE3: usize = 64;

type KeyExchange = TripleDh<Ristretto255, Sha512>;

const SERVER: &[u8] = b"rollcall";

fn identifiers(client: &str) -> Identifiers<'_> {
    Identifiers { client: Some(client.as_bytes()), server: Some(SERVER) }
}

/// The library cuts off what is too long in places; here it is an error.
fn exactly<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::Length { what, expected: N, found: bytes.len() })
}

struct Source<'a, 'b>(&'a mut Fill<'b>);

impl RngCore for Source<'_, '_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        (self.0)(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), rand::Error> {
        (self.0)(bytes);
        Ok(())
    }
}

impl rand::CryptoRng for Source<'_, '_> {}
