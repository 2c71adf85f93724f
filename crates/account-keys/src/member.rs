//! Whose a key is.

use uuid::Uuid;

/// Whom keys belong to. A user's id says nothing without its organization: another may have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are named after what they identify")]
pub struct Member {
    pub organization: Uuid,
    pub user: Uuid,
}

/// Which account secret of a member: each has an id that the server chose, and a version that counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are named after what they identify")]
pub struct AccountKey {
    pub member: Member,
    pub key_id: Uuid,
    pub version: u32,
}

/// What others know of a member's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublicKeys {
    /// X25519: what is for the member is sealed to it.
    pub enc: [u8; 32],
    /// Ed25519: what the member signs is verified with it.
    pub sig: [u8; 32],
}

/// An id as it stands in canonical bytes: 36 lower-case ASCII characters.
pub(crate) fn text(id: Uuid) -> String {
    id.hyphenated().to_string()
}

impl Member {
    /// Under which name OPAQUE knows the member, to itself and in the record: `ORGANIZATION/USER`.
    pub(crate) fn identifier(&self) -> String {
        format!("{}/{}", self.organization.hyphenated(), self.user.hyphenated())
    }
}
