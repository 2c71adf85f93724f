//! Schemas and resource types: RFC 7643 sections 2, 4, 7 and 8.7.
//!
//! Not here: the documents that describe them to clients, see [`crate::discovery`].

mod build;
mod group;
mod user;

use std::sync::LazyLock;

/// Attribute data types, RFC 7643 section 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A number with a fraction.
    Decimal,
    /// A whole number.
    Integer,
    /// `xsd:dateTime` in a string.
    DateTime,
    /// Base64 in a string.
    Binary,
    /// A URI in a string.
    Reference,
    /// An object of sub-attributes.
    Complex,
}

impl Type {
    /// As it is written in a schema.
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

/// Who may set an attribute, RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    /// The server only.
    ReadOnly,
    /// The client, at any time.
    ReadWrite,
    /// The client, once.
    Immutable,
    /// The client; it is never shown.
    WriteOnly,
}

impl Mutability {
    /// As it is written in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnly",
            Self::ReadWrite => "readWrite",
            Self::Immutable => "immutable",
            Self::WriteOnly => "writeOnly",
        }
    }
}

/// When an attribute is shown, RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// Whatever the client asks for.
    Always,
    /// At no time.
    Never,
    /// Unless the client asks for others or excludes it.
    Default,
    /// If the client asks for it.
    Request,
}

impl Returned {
    /// As it is written in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Default => "default",
            Self::Request => "request",
        }
    }
}

/// Among what a value is unique, RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uniqueness {
    /// Nothing.
    None,
    /// The resources of the endpoint, here of one organization.
    Server,
    /// Everything everywhere.
    Global,
}

impl Uniqueness {
    /// As it is written in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Server => "server",
            Self::Global => "global",
        }
    }
}

/// One attribute and its characteristics, RFC 7643 section 7.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// In the spelling that is stored and shown; compared without regard to case.
    pub name: String,
    /// Of the value, or of each value.
    pub r#type: Type,
    /// The value is an array.
    pub multi_valued: bool,
    /// A resource cannot be without it; a sub-attribute: its attribute cannot.
    pub required: bool,
    /// Strings that differ in case differ.
    pub case_exact: bool,
    /// Who may set it.
    pub mutability: Mutability,
    /// When it is shown.
    pub returned: Returned,
    /// Among what it is unique.
    pub uniqueness: Uniqueness,
    /// Suggested values; others are taken too.
    pub canonical_values: Vec<String>,
    /// Of a reference: resource type names, `external` or `uri`.
    pub reference_types: Vec<String>,
    /// For people.
    pub description: String,
    /// Of a complex attribute; never complex themselves.
    pub sub_attributes: Vec<Attribute>,
}

impl Attribute {
    /// The sub-attribute of this name, in any case.
    pub fn sub(&self, name: &str) -> Option<&Self> {
        find(&self.sub_attributes, name)
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
    /// Without the common ones.
    pub attributes: Vec<Attribute>,
}

impl Schema {
    /// The attribute of this name, in any case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        find(&self.attributes, name)
    }
}

/// A resource type: core schema, common attributes and extensions.
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
    /// `schemas`, `id`, `externalId` and `meta`, RFC 7643 section 3.
    pub common: Vec<Attribute>,
    /// Schemas whose attributes stand in an object under their URN.
    pub extensions: Vec<Schema>,
}

impl ResourceType {
    /// The core or common attribute of this name, in any case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.schema.attribute(name).or_else(|| find(&self.common, name))
    }

    /// The extension with this URN, in any case.
    pub fn extension(&self, urn: &str) -> Option<&Schema> {
        self.extensions.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }
}

/// The URN of the core User schema.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The URN of the core Group schema.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The URN of the enterprise extension.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// User with the enterprise extension; built once.
pub fn user() -> &'static ResourceType {
    static USER_TYPE: LazyLock<ResourceType> = LazyLock::new(user::resource_type);
    &USER_TYPE
}

/// Group; built once.
pub fn group() -> &'static ResourceType {
    static GROUP_TYPE: LazyLock<ResourceType> = LazyLock::new(group::resource_type);
    &GROUP_TYPE
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line per attribute: what RFC 7643 section 8.7.1 says, but for what stands in [`deviations`].
    fn lines(schema: &Schema) -> Vec<String> {
        fn line(prefix: &str, a: &Attribute, out: &mut Vec<String>) {
            let name = format!("{prefix}{}", a.name);
            let flag = |on: bool, text: &'static str| if on { text } else { "" };
            let words = [
                name.as_str(),
                a.r#type.as_str(),
                flag(a.multi_valued, "multi"),
                flag(a.required, "required"),
                flag(a.case_exact, "exact"),
                a.mutability.as_str(),
                a.returned.as_str(),
                a.uniqueness.as_str(),
                &a.canonical_values.join("|"),
                &a.reference_types.join("|"),
            ];
            out.push(words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" "));
            for sub in &a.sub_attributes {
                line(&format!("{name}."), sub, out);
            }
        }
        let mut out = vec![schema.id.clone()];
        for attribute in &schema.attributes {
            line("", attribute, &mut out);
        }
        out
    }

    #[test]
    fn characteristics_are_those_of_the_rfc() {
        let ours = [&user().schema, &user().extensions[0], &group().schema].map(lines).concat();
        let file = include_str!("../../tests/data/rfc7643_characteristics.txt");
        let theirs: Vec<&str> = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn common_attributes_are_those_of_section_3() {
        for rt in [user(), group()] {
            let id = rt.attribute("ID").expect("id");
            assert!(id.case_exact && id.returned == Returned::Always && id.mutability == Mutability::ReadOnly);
            let external_id = rt.attribute("externalid").expect("externalId");
            assert!(external_id.case_exact && external_id.mutability == Mutability::ReadWrite);
            let meta = rt.attribute("meta").expect("meta");
            let names: Vec<&str> = meta.sub_attributes.iter().map(|sub| sub.name.as_str()).collect();
            assert_eq!(names, ["resourceType", "created", "lastModified", "location", "version"]);
            assert!(meta.sub_attributes.iter().all(|sub| sub.mutability == Mutability::ReadOnly));
        }
    }

    #[test]
    fn names_are_unique_in_any_case_and_sub_attributes_are_simple() {
        fn check(attributes: &[Attribute]) {
            for (n, a) in attributes.iter().enumerate() {
                assert!(std::ptr::eq(find(attributes, &a.name.to_uppercase()).expect("found"), a), "{n} {}", a.name);
                assert_eq!(a.r#type == Type::Complex, !a.sub_attributes.is_empty(), "{}", a.name);
                assert!(!a.description.is_empty(), "{}", a.name);
                assert!(a.sub_attributes.iter().all(|sub| sub.r#type != Type::Complex));
                check(&a.sub_attributes);
            }
        }
        for rt in [user(), group()] {
            check(&rt.common);
            check(&rt.schema.attributes);
            rt.extensions.iter().for_each(|extension| check(&extension.attributes));
        }
    }
}
