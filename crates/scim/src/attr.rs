//! Attribute paths, resolved against a resource type: RFC 7644 section 3.10.
//! An unknown name never gets past [`resolve`]: paths are an allow list.

use crate::schema::{Attribute, ResourceType, Schema};

/// `name.familyName`, `urn:...:User:manager.value`, `meta.created`: found in the schema.
#[derive(Clone, Copy, Debug)]
pub struct AttrPath<'s> {
    /// Absent: core or common attribute.
    pub extension: Option<&'s Schema>,
    /// The attribute.
    pub attribute: &'s Attribute,
    /// The sub-attribute.
    pub sub: Option<&'s Attribute>,
}

impl<'s> AttrPath<'s> {
    /// The attribute the value is of: the sub-attribute if there is one.
    pub fn leaf(&self) -> &'s Attribute {
        self.sub.unwrap_or(self.attribute)
    }
    /// Canonical text, e.g. `name.familyName`.
    pub fn canonical(&self) -> String {
        todo!()
    }
}

/// Names are case-insensitive; core attributes may be URN-qualified. `None`: no such attribute.
pub fn resolve<'s>(_rt: &'s ResourceType, _text: &str) -> Option<AttrPath<'s>> {
    todo!()
}
