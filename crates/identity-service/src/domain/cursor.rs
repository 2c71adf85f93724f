//! Cursors of RFC 9865: a position in a list, sealed (XChaCha20-Poly1305), so that a client can neither read nor make one.
//! A cursor is bound to its organization by the key, and to its list by what is authenticated beside it.
//!
//! Not here: the table of the keys (`store::cursor_key`).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{Aead as _, KeyInit as _, Payload},
};
use store::Instant;
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::list::{Edge, ListDigest, Position, Target};

/// Bytes of the nonce: enough for random ones never to meet.
pub(crate) const NONCE: usize = 24;

const VERSION: u8 = 2;
/// Version and generation.
const HEAD: usize = 5;
// What a cursor is, as bits of one byte.
const BACKWARDS: u8 = 1;
const POSITION: u8 = 2;
const SORT_KEY: u8 = 4;
const GROUP: u8 = 8;
const TIMEOUT_MICROS: i64 = scim::list::CURSOR_TIMEOUT as i64 * 1_000_000;
/// The longest value that a list can be continued after, bytes: a cursor has to go into a URL.
const LONGEST_SORT_KEY: usize = 2000;
/// More than the longest cursor has.
const LONGEST: usize = 4096;

/// One generation of an organization's key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CursorKey {
    pub(crate) generation: u32,
    pub(crate) secret: [u8; 32],
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CursorKey").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What a cursor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) issued: Instant,
    /// RFC 9865 section 2.1: that of the initial query.
    pub(crate) count: u32,
    pub(crate) edge: Edge,
}

impl Cursor {
    /// The cursor as text of unreserved characters (RFC 9865 section 2). A nonce is used once.
    ///
    /// # Errors
    /// [`Reason::InvalidValue`] where the value sorted by is too long for a URL.
    pub(crate) fn seal(&self, key: &CursorKey, nonce: [u8; NONCE], list: &ListDigest) -> Result<String, Refusal> {
        let from = self.edge.from.as_ref();
        let sort_key = from.and_then(|from| from.sort_key.as_deref());
        if sort_key.is_some_and(|text| text.len() > LONGEST_SORT_KEY) {
            return Err(Refusal::new(
                Reason::InvalidValue,
                format!(
                    "A value of the sortBy attribute is longer than {LONGEST_SORT_KEY} bytes, too long to continue after \
                     by cursor. Sort by another attribute, or page by startIndex."
                ),
            ));
        }
        let mut plain = Vec::with_capacity(32 + sort_key.map_or(0, str::len));
        plain.extend_from_slice(&self.issued.as_micros().to_be_bytes());
        plain.extend_from_slice(&self.count.to_be_bytes());
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        plain.push(
            bit(self.edge.backwards, BACKWARDS)
                | bit(from.is_some(), POSITION)
                | bit(sort_key.is_some(), SORT_KEY)
                | bit(from.is_some_and(|from| from.target == Target::Group), GROUP),
        );
        plain.extend(from.iter().flat_map(|from| from.id.as_bytes()));
        plain.extend_from_slice(sort_key.unwrap_or_default().as_bytes());
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&key.generation.to_be_bytes());
        let payload = Payload { msg: &plain, aad: &list.0 };
        let cipher = XChaCha20Poly1305::new(&key.secret.into());
        let text = cipher.encrypt(&nonce.into(), payload).map_err(|error| crate::error::internal(&error))?;
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Where to continue.
    ///
    /// # Errors
    /// [`Reason::InvalidCursor`] for what was not given out for this list in this organization,
    /// [`Reason::ExpiredCursor`], [`Reason::InvalidCount`].
    pub(crate) fn open(
        text: &str,
        keys: &[CursorKey],
        list: &ListDigest,
        count: u32,
        now: Instant,
    ) -> Result<Edge, Refusal> {
        let cursor = unseal(text, keys, list).ok_or_else(invalid)?;
        if now.as_micros().saturating_sub(cursor.issued.as_micros()) > TIMEOUT_MICROS {
            let message = format!(
                "The cursor has expired: the next page has to be asked for within {} s. Start again with an empty \
                 cursor.",
                scim::list::CURSOR_TIMEOUT
            );
            return Err(Refusal::new(Reason::ExpiredCursor, message));
        }
        if cursor.count != count {
            let message = format!(
                "count must stay the same from page to page: send count={}, or start again with an empty cursor.",
                cursor.count
            );
            return Err(Refusal::new(Reason::InvalidCount, message));
        }
        Ok(cursor.edge)
    }
}

/// One answer to whatever is wrong with a cursor (RFC 9865 section 5.2).
fn invalid() -> Refusal {
    Refusal::new(
        Reason::InvalidCursor,
        "The cursor is none that this list gave out. Send nextCursor or previousCursor of a page with the same filter, sortBy \
         and sortOrder, or start again with an empty cursor.",
    )
}

fn unseal(text: &str, keys: &[CursorKey], list: &ListDigest) -> Option<Cursor> {
    if text.len() > LONGEST {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE)?;
    let (version, generation) = head.split_first()?;
    let generation = u32::from_be_bytes(generation.try_into().ok()?);
    let key = keys.iter().find(|key| key.generation == generation).filter(|_| *version == VERSION)?;
    let nonce: [u8; NONCE] = nonce.try_into().ok()?;
    let payload = Payload { msg: sealed, aad: &list.0 };
    let plain = XChaCha20Poly1305::new(&key.secret.into()).decrypt(&nonce.into(), payload).ok()?;
    let (issued, rest) = plain.split_at_checked(8)?;
    let (count, rest) = rest.split_at_checked(4)?;
    let (flags, rest) = rest.split_first()?;
    let has = |bit: u8| flags & bit != 0;
    let from = if has(POSITION) {
        let (id, text) = rest.split_at_checked(16)?;
        Some(Position {
            target: if has(GROUP) { Target::Group } else { Target::User },
            sort_key: if has(SORT_KEY) { Some(String::from_utf8(text.to_vec()).ok()?) } else { None },
            id: Uuid::from_slice(id).ok()?,
        })
    } else {
        None
    };
    Some(Cursor {
        issued: Instant::from_micros(i64::from_be_bytes(issued.try_into().ok()?)),
        count: u32::from_be_bytes(count.try_into().ok()?),
        edge: Edge { from, backwards: has(BACKWARDS) },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Instant = Instant::from_micros(1_763_900_000_000_000);

    fn key(generation: u32) -> CursorKey {
        CursorKey { generation, secret: [u8::try_from(generation).expect("small"); 32] }
    }

    fn list(byte: u8) -> ListDigest {
        ListDigest([byte; 32])
    }

    fn cursor(sort_key: Option<&str>) -> Cursor {
        let position = Position { target: Target::User, sort_key: sort_key.map(str::to_owned), id: Uuid::from_u128(7) };
        Cursor { issued: NOW, count: 10, edge: Edge { from: Some(position), backwards: false } }
    }

    fn sealed(sort_key: Option<&str>) -> String {
        cursor(sort_key).seal(&key(1), [3; NONCE], &list(1)).expect("sealed")
    }

    fn reason(result: Result<Edge, Refusal>) -> Reason {
        result.expect_err("refused").reason
    }

    #[test]
    fn a_cursor_gives_back_what_it_was_made_of() {
        for sort_key in [None, Some(""), Some("kit@example.com"), Some("Öz\u{10ffff}")] {
            let text = sealed(sort_key);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
            let keys = [key(2), key(1)];
            assert_eq!(Cursor::open(&text, &keys, &list(1), 10, NOW), Ok(cursor(sort_key).edge));
        }
        let long = "x".repeat(LONGEST_SORT_KEY);
        assert!(sealed(Some(&long)).len() < LONGEST);
        let longer = cursor(Some(&format!("{long}x"))).seal(&key(1), [3; NONCE], &list(1));
        assert_eq!(longer.expect_err("too long").reason, Reason::InvalidValue);
    }

    #[test]
    fn it_keeps_its_direction_and_its_kind() {
        let positions = [Target::User, Target::Group].into_iter().flat_map(|target| {
            [None, Some(String::new())].map(|sort_key| Some(Position { target, sort_key, id: Uuid::from_u128(7) }))
        });
        for from in positions.chain([None]) {
            for backwards in [false, true] {
                let edge = Edge { from: from.clone(), backwards };
                let sealed = Cursor { edge: edge.clone(), ..cursor(None) }.seal(&key(1), [3; NONCE], &list(1));
                let opened = Cursor::open(&sealed.expect("sealed"), &[key(1)], &list(1), 10, NOW);
                assert_eq!(opened, Ok(edge));
            }
        }
    }

    #[test]
    fn it_is_good_for_its_list_its_organization_and_its_time_only() {
        let text = sealed(Some("a"));
        let open = |keys: &[CursorKey], digest, count, late| {
            Cursor::open(&text, keys, &list(digest), count, Instant::from_micros(NOW.as_micros() + late))
        };
        assert!(open(&[key(1)], 1, 10, TIMEOUT_MICROS).is_ok());
        assert!(open(&[key(1)], 1, 10, -5_000_000).is_ok(), "another replica's clock");
        assert_eq!(reason(open(&[key(1)], 1, 10, TIMEOUT_MICROS + 1)), Reason::ExpiredCursor);
        assert_eq!(reason(open(&[key(1)], 1, 11, 0)), Reason::InvalidCount);
        let foreign = [
            open(&[key(1)], 2, 10, 0),
            open(&[CursorKey { secret: [9; 32], ..key(1) }], 1, 10, 0),
            open(&[key(2)], 1, 10, 0),
            open(&[], 1, 10, 0),
            open(&[key(1)], 2, 11, TIMEOUT_MICROS + 1),
        ];
        for refused in foreign {
            assert_eq!(refused, Err(invalid()));
        }
    }

    #[test]
    fn no_changed_byte_passes() {
        let bytes = URL_SAFE_NO_PAD.decode(sealed(Some("a"))).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let text = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(Cursor::open(&text, &[key(1)], &list(1), 10, NOW), Err(invalid()), "byte {at}");
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..at]);
            assert_eq!(Cursor::open(&cut, &[key(1)], &list(1), 10, NOW), Err(invalid()), "{at} bytes");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", key(7)), "CursorKey { generation: 7, .. }");
    }

    proptest! {
        #[test]
        fn any_other_text_is_an_invalid_cursor(text in "\\PC{0,200}") {
            prop_assert_eq!(Cursor::open(&text, &[key(1)], &list(1), 10, NOW), Err(invalid()));
        }
    }
}
