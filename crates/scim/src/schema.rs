//! Schemas and resource types: RFC 7643 sections 2, 4, 7 and 8.7.

mod builtin;
mod extension;

pub use builtin::{group, schemas, user};
pub use extension::{Extends, Extension, MAX_ATTRIBUTES, MAX_EXTENSIONS, Types, parse_extension};

use crate::{fold, user_name};

/// Attribute data types, RFC 7643 section 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 7643 section 2.3")]
pub enum Type {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Binary,
    Reference,
    Complex,
}

impl Type {
    /// As in a schema document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
            Self::Integer => "integer",
            Self::DateTime => "dateTime",
            Self::Binary => "binary",
            Self::Reference => "reference",
            Self::Complex => "complex",
        }
    }
}

/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 7643 section 7")]
pub enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
    WriteOnly,
}

impl Mutability {
    /// As in a schema document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnly",
            Self::ReadWrite => "readWrite",
            Self::Immutable => "immutable",
            Self::WriteOnly => "writeOnly",
        }
    }
}

/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 7643 section 7")]
pub enum Returned {
    Always,
    Never,
    Default,
    Request,
}

impl Returned {
    /// As in a schema document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Default => "default",
            Self::Request => "request",
        }
    }
}

/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 7643 section 7")]
pub enum Uniqueness {
    None,
    Server,
    Global,
}

impl Uniqueness {
    /// As in a schema document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Server => "server",
            Self::Global => "global",
        }
    }
}

/// One attribute and its characteristics.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// In the schema's spelling.
    pub name: String,
    /// Data type; of each element where multi-valued.
    pub r#type: Type,
    /// An array.
    pub multi_valued: bool,
    /// Must have a value.
    pub required: bool,
    /// Compared with regard to case.
    pub case_exact: bool,
    /// Who may write it.
    pub mutability: Mutability,
    /// When it is shown.
    pub returned: Returned,
    /// Within which bounds values are unique.
    pub uniqueness: Uniqueness,
    /// Suggested values; others are taken.
    pub canonical_values: Vec<String>,
    /// For references: what may be referred to.
    pub reference_types: Vec<String>,
    /// For people.
    pub description: String,
    /// Of a complex attribute.
    pub sub_attributes: Vec<Attribute>,
}

impl Attribute {
    /// What a value is compared by: itself, folded, or prepared as a userName.
    pub fn compared(&self, text: &str) -> String {
        match self.case_exact {
            true => text.to_owned(),
            // The one name that must be unique. An extension's attribute of that name is none.
            false if self.name == "userName" && self.uniqueness == Uniqueness::Server => user_name::key(text),
            false => fold(text),
        }
    }

    /// The sub-attribute of this name, in any case.
    pub fn sub(&self, name: &str) -> Option<&Self> {
        self.sub_attributes.iter().find(|a| a.name.eq_ignore_ascii_case(name))
    }
}

/// A schema: its URN and attributes.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The URN.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// In the order they are shown.
    pub attributes: Vec<Attribute>,
}

impl Schema {
    /// The attribute of this name, in any case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name.eq_ignore_ascii_case(name))
    }
}

/// A resource type: core schema, common attributes (`id`, `externalId`, `meta`) and extensions.
#[derive(Clone, Debug)]
pub struct ResourceType {
    /// `User` or `Group`.
    pub name: String,
    /// `/Users` or `/Groups`.
    pub endpoint: String,
    /// For people.
    pub description: String,
    /// The core schema.
    pub schema: Schema,
    /// `id`, `externalId`, `meta`: RFC 7643 section 3.1. Not part of the schema document.
    pub common: Vec<Attribute>,
    /// None is required.
    pub extensions: Vec<Schema>,
}

impl ResourceType {
    /// The core or common attribute of this name, in any case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.schema.attribute(name).or_else(|| self.common.iter().find(|a| a.name.eq_ignore_ascii_case(name)))
    }

    /// Whether an attribute is shown only to those who ask for it by name.
    pub(crate) fn has_on_request(&self) -> bool {
        let on_request = |attribute: &Attribute| attribute.returned == Returned::Request;
        let mut attributes = self.extensions.iter().flat_map(|schema| &schema.attributes);
        attributes.any(|attribute| on_request(attribute) || attribute.sub_attributes.iter().any(on_request))
    }

    /// The extension of this URN, in any case.
    pub fn extension(&self, urn: &str) -> Option<&Schema> {
        self.extensions.iter().find(|s| s.id.eq_ignore_ascii_case(urn))
    }
}

/// The URN of the core User schema.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The URN of the core Group schema.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The URN of the enterprise extension.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
