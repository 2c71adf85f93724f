//! Groups: their members travel apart from the rest, so that no group is ever held whole.

use uuid::Uuid;

use crate::{Error, Object, patch::Operation};

/// A POST or PUT body.
#[derive(Clone, Debug, Default)]
pub struct GroupBody {
    /// The body less `members`, unchecked.
    pub rest: Object,
    /// Absent: not in the body. `[]` and null: empty.
    pub members: Option<Vec<Uuid>>,
}

/// Reads a group body, the members as a stream into ids. A member is its `value`; `$ref`, `type` and `display` are not
/// read. A `value` that cannot be an id is 400 `invalidValue`, naming the first ten.
pub fn parse(_body: &[u8]) -> Result<GroupBody, Error> {
    todo!()
}

/// One typed change.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Change {
    /// On anything but members.
    Attribute(Operation),
    AddMembers(Vec<Uuid>),
    RemoveMembers(Vec<Uuid>),
    /// A filter on the sub-attributes of a member that is not plain `value eq`.
    RemoveMembersWhere(String),
    ReplaceMembers(Vec<Uuid>),
}

/// Lowers the operations of a PATCH to changes, dialects included; adjacent adds and removes may be merged. Removing a
/// `value` that cannot be an id is a no-op, adding one is 400 `invalidValue`.
pub fn lower(_operations: Vec<Operation>) -> Result<Vec<Change>, Error> {
    todo!()
}
