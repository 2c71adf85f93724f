//! Stored form to response body. Without a projection the stored bytes are spliced, not parsed.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Error, project::Projection};

/// What the stored form does not hold.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Head<'a> {
    pub id: Uuid,
    pub created: Timestamp,
    pub last_modified: Timestamp,
    /// The ETag, e.g. `W/"3"`.
    pub version: &'a str,
    /// The SCIM base URL, without a slash at the end.
    pub base_url: &'a str,
}

/// A group that a user is in.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct GroupRef {
    pub id: Uuid,
    pub display: String,
    pub direct: bool,
}

/// A member is exactly value, $ref and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MemberKind {
    User,
    Group,
}

/// Appends a whole user.
pub fn user(
    _stored: &[u8],
    _head: &Head<'_>,
    _groups: &[GroupRef],
    _projection: &Projection,
    _out: &mut Vec<u8>,
) -> Result<(), Error> {
    todo!()
}

/// Appends a group up to its members. With `members`, the next calls are [`member`]s and then [`group_close`].
/// Without, only [`group_close`].
pub fn group_open(
    _stored: &[u8],
    _head: &Head<'_>,
    _members: bool,
    _projection: &Projection,
    _out: &mut Vec<u8>,
) -> Result<(), Error> {
    todo!()
}
/// Appends one member, with a comma before it unless it is the first. Sub-attributes the projection hides are left out.
pub fn member(
    _id: Uuid,
    _kind: MemberKind,
    _base_url: &str,
    _first: bool,
    _projection: &Projection,
    _out: &mut Vec<u8>,
) {
    todo!()
}
/// Ends what [`group_open`] began.
pub fn group_close(_members: bool, _out: &mut Vec<u8>) {
    todo!()
}

/// Appends the ListResponse up to its Resources: `schemas`, `totalResults`, `startIndex`, `itemsPerPage` (numbers).
/// The caller appends resources with commas between, then `]}`.
pub fn list_open(_total: i64, _start_index: i64, _items: usize, _out: &mut Vec<u8>) {
    todo!()
}
