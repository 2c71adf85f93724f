//! What tests are about: ids, members, randomness.

use account_keys::{AccountKey, Member};
use uuid::Uuid;

pub(crate) fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0198_a000_0000_7000_8000_0000_0000_0000 + number)
}

pub(crate) fn member(number: u128) -> Member {
    Member { organization: uuid(1), user: uuid(number * 10) }
}

pub(crate) fn key_of(number: u128, version: u32) -> AccountKey {
    AccountKey { member: member(number), key_id: uuid(number * 10 + 1), version }
}

/// The operating system's.
pub(crate) fn random() -> impl FnMut(&mut [u8]) {
    |bytes| getrandom::fill(bytes).expect("randomness")
}

/// The same bytes each time.
pub(crate) fn fixed(seed: u8) -> impl FnMut(&mut [u8]) {
    let mut state = u64::from(seed);
    move |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = state.to_be_bytes()[0];
        }
    }
}
