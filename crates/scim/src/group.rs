//! Groups: their members travel apart from the rest, so that no group is ever held whole.
//! Whether a member exists is not known here.

mod body;
mod change;
mod reader;

use std::collections::HashSet;

use serde_json::Value;
use uuid::Uuid;

use crate::{Error, ErrorKind, Object, patch::Operation};

pub use reader::Reader;

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
pub fn parse(body: &[u8]) -> Result<GroupBody, Error> {
    body::parse(body)
}

/// One typed change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// On anything but members.
    Attribute(Operation),
    /// Those that are members already stay so.
    AddMembers(Vec<Uuid>),
    /// Those that are no members are left out.
    RemoveMembers(Vec<Uuid>),
    /// A filter on the sub-attributes of a member that is not plain `value eq`.
    RemoveMembersWhere(String),
    /// These and no others.
    ReplaceMembers(Vec<Uuid>),
}

/// Lowers the operations of a PATCH to changes, dialects included; adjacent adds and removes are merged. Removing a
/// `value` that cannot be an id is a no-op, adding one is 400 `invalidValue`.
pub fn lower(operations: Vec<Operation>) -> Result<Vec<Change>, Error> {
    change::lower(operations)
}

/// The name that an operation gives the group, if it does nothing else: Okta sends it, unchanged, beside changes of
/// members.
pub fn display_name(operation: &Operation) -> Option<&str> {
    change::display_name(operation)
}

/// The most unusable values that an error names.
const NAMED: usize = 10;

/// Member ids as they are found, and what was wrong with others.
#[derive(Debug, Default)]
struct Members {
    ids: Vec<Uuid>,
    read: usize,
    bad: Vec<String>,
    bad_count: usize,
    without_value: Option<usize>,
    not_a_list: bool,
}

impl Members {
    /// From an array of members, one member, or null.
    fn of(value: &Value) -> Self {
        let mut members = Self::default();
        match value {
            Value::Null => {}
            Value::Array(items) => items.iter().for_each(|item| members.element(item)),
            Value::Object(_) => members.element(value),
            _ => members.not_a_list = true,
        }
        members
    }

    fn element(&mut self, element: &Value) {
        let value = element.as_object().and_then(|members| {
            members.iter().find(|(name, _)| name.eq_ignore_ascii_case("value")).map(|(_, value)| value)
        });
        self.push(value);
    }

    /// One element that names an id.
    fn take(&mut self, id: Uuid) {
        self.read += 1;
        self.ids.push(id);
    }

    /// One element's `value`.
    fn push(&mut self, value: Option<&Value>) {
        self.read += 1;
        match value {
            None | Some(Value::Null) => {
                self.without_value.get_or_insert(self.read);
            }
            Some(value) => match value.as_str().and_then(id) {
                Some(id) => self.ids.push(id),
                None => {
                    self.bad_count += 1;
                    if self.bad.len() < NAMED {
                        let text = value.to_string();
                        let mut shown: String = text.chars().take(60).collect();
                        if shown.len() < text.len() {
                            shown.push('…');
                        }
                        self.bad.push(shown);
                    }
                }
            },
        }
    }

    /// All ids, each once; an error where one element was not usable.
    fn checked(self) -> Result<Vec<Uuid>, Error> {
        if self.bad_count > 0 {
            let more = match self.bad_count - self.bad.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            return Err(invalid(format!(
                "These members are not ids of this service: {}{more}. Send the id that the user or group was created \
                 with as `value`.",
                self.bad.join(", ")
            )));
        }
        self.known()
    }

    /// The ids, each once; what cannot be an id is nobody.
    fn known(mut self) -> Result<Vec<Uuid>, Error> {
        if self.not_a_list {
            return Err(invalid("members must be an array of objects such as {\"value\": \"<id>\"}."));
        }
        if let Some(position) = self.without_value {
            return Err(invalid(format!(
                "Member {position} of {} has no `value`; send each as {{\"value\": \"<id>\"}}.",
                self.read
            )));
        }
        once(&mut self.ids);
        Ok(self.ids)
    }
}

fn once(ids: &mut Vec<Uuid>) {
    let mut seen = HashSet::with_capacity(ids.len());
    ids.retain(|id| seen.insert(*id));
}

/// Only the form in which ids are given out.
fn id(text: &str) -> Option<Uuid> {
    if text.len() == uuid::fmt::Hyphenated::LENGTH { Uuid::try_parse(text).ok() } else { None }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, detail)
}
