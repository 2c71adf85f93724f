//! Lists of ids: 16 bytes each, one after another.

use bytes::{BufMut as _, Bytes, BytesMut};
use uuid::Uuid;

/// Packs ids.
pub fn pack(ids: &[Uuid]) -> Bytes {
    let mut out = BytesMut::with_capacity(ids.len() * 16);
    for id in ids {
        out.put_slice(id.as_bytes());
    }
    out.freeze()
}

/// Unpacks ids; `None` where the length is not a multiple of 16.
pub fn unpack(bytes: &[u8]) -> Option<Vec<Uuid>> {
    let (ids, rest) = bytes.as_chunks::<16>();
    rest.is_empty().then(|| ids.iter().map(|id| Uuid::from_bytes(*id)).collect())
}
