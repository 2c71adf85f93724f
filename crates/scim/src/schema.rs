//! Schemas and resource types: RFC 7643 sections 2, 4, 7 and 8.7.

/// Attribute data types, RFC 7643 section 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
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
/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
    WriteOnly,
}
/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Returned {
    Always,
    Never,
    Default,
    Request,
}
/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Uniqueness {
    None,
    Server,
    Global,
}

/// One attribute and its characteristics.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Attribute {
    pub name: String,
    pub r#type: Type,
    pub multi_valued: bool,
    pub required: bool,
    pub case_exact: bool,
    pub mutability: Mutability,
    pub returned: Returned,
    pub uniqueness: Uniqueness,
    pub canonical_values: Vec<String>,
    pub reference_types: Vec<String>,
    pub description: String,
    pub sub_attributes: Vec<Attribute>,
}

/// A schema: its URN and attributes.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Schema {
    pub id: String,
    pub name: String,
    pub description: String,
    pub attributes: Vec<Attribute>,
}

/// A resource type: core schema, common attributes (`id`, `externalId`, `meta`) and extensions.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ResourceType {
    /// `User` or `Group`.
    pub name: String,
    /// `/Users` or `/Groups`.
    pub endpoint: String,
    pub description: String,
    pub schema: Schema,
    pub common: Vec<Attribute>,
    pub extensions: Vec<Schema>,
}

/// The URN of the core User schema.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The URN of the core Group schema.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The URN of the enterprise extension.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// User with the enterprise extension; built once.
pub fn user() -> &'static ResourceType {
    todo!()
}
/// Group; built once.
pub fn group() -> &'static ResourceType {
    todo!()
}
