//! Schema extensions that an organization brings: RFC 7643 sections 3.3 and 7.
//!
//! What this server cannot keep its word on is refused rather than stored and not done: values that are unique, that
//! nobody may write, or that nobody may read.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::{Attribute, Mutability, ResourceType, Returned, Schema, Type, Uniqueness, group, user};
use crate::{Error, ErrorKind, Object, discovery};

/// Attributes and sub-attributes of one extension, at most.
pub const MAX_ATTRIBUTES: usize = 100;
/// Extensions of one organization, at most.
pub const MAX_EXTENSIONS: usize = 20;
const MAX_URN: usize = 200;
const MAX_NAME: usize = 64;
const MAX_TEXT: usize = 1000;
const MAX_CHOICES: usize = 100;

/// The resource type that an extension adds attributes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the resource types")]
pub enum Extends {
    User,
    Group,
}

impl Extends {
    /// The name of the resource type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// By the name of the resource type.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "User" => Some(Self::User),
            "Group" => Some(Self::Group),
            _ => None,
        }
    }
}

/// An extension that was accepted.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Which resources have it.
    pub extends: Extends,
    /// The schema.
    pub schema: Schema,
}

impl Extension {
    /// The document that [`parse_extension`] reads back to the same extension.
    pub fn document(&self) -> Value {
        let mut document = discovery::schema(&self.schema, "");
        if let Value::Object(document) = &mut document {
            document.remove("meta");
            document.insert("resourceType".to_owned(), json!(self.extends.as_str()));
        }
        document
    }

    /// Whether the URN can stand beside another one: neither may be the other, nor begin it, since `urn:a:b:c` would be
    /// both the schema `urn:a:b:c` and the attribute `c` of `urn:a:b`.
    ///
    /// Errors are 400 `invalidValue`.
    pub fn check_beside(&self, other: &str) -> Result<(), Error> {
        let (own, other_lower) = (self.schema.id.to_ascii_lowercase(), other.to_ascii_lowercase());
        let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with(':'));
        if own == other_lower {
            return Err(invalid(format!(
                "There is a schema {other} already, and it stays as it is. Give a changed one another URN."
            )));
        }
        if begins(&own, &other_lower) || begins(&other_lower, &own) {
            return Err(invalid(format!(
                "The URN {} is too close to {other}, which is there already: neither may begin the other.",
                self.schema.id
            )));
        }
        Ok(())
    }
}

/// The resource types of one organization.
#[derive(Clone, Debug)]
pub struct Types {
    /// User and its extensions.
    pub user: ResourceType,
    /// Group and its extensions.
    pub group: ResourceType,
    extensions: usize,
}

impl Types {
    /// Those of an organization without extensions of its own.
    pub fn builtin() -> &'static Arc<Self> {
        static BUILTIN: OnceLock<Arc<Types>> = OnceLock::new();
        BUILTIN.get_or_init(|| Arc::new(Self { user: user().clone(), group: group().clone(), extensions: 0 }))
    }

    /// The built-in ones and these extensions, in this order.
    pub fn with(extensions: impl IntoIterator<Item = Extension>) -> Arc<Self> {
        let mut types = Self::clone(Self::builtin());
        for Extension { extends, schema } in extensions {
            types.extensions += 1;
            match extends {
                Extends::User => types.user.extensions.push(schema),
                Extends::Group => types.group.extensions.push(schema),
            }
        }
        if types.extensions == 0 { Arc::clone(Self::builtin()) } else { Arc::new(types) }
    }

    /// How many extensions the organization brought.
    pub fn extensions(&self) -> usize {
        self.extensions
    }
}

/// Reads a Schema resource (RFC 7643 section 7) with one more member, `resourceType`: `User` (where it is absent) or
/// `Group`. Members that a schema does not have are passed over.
///
/// Errors are 400 `invalidValue` and name the attribute.
pub fn parse_extension(document: &Object) -> Result<Extension, Error> {
    let extends = match document.get("resourceType") {
        None | Some(Value::Null) => Extends::User,
        Some(Value::String(name)) => Extends::parse(name)
            .ok_or_else(|| invalid("`resourceType` must be User or Group: the resources that get the attributes."))?,
        Some(_) => return Err(invalid("`resourceType` must be a string: User or Group.")),
    };
    let urn = text(document, "id", "id")?.ok_or_else(|| {
        invalid("`id` is missing. It is the URN of the schema, such as urn:example:params:scim:acme:2.0:User.")
    })?;
    check_urn(&urn)?;
    let attributes = array(document, "attributes", "attributes")?;
    if attributes.is_empty() {
        return Err(invalid("`attributes` must have at least one attribute."));
    }
    let count: usize =
        attributes.iter().map(|one| 1 + one.get("subAttributes").and_then(Value::as_array).map_or(0, Vec::len)).sum();
    if count > MAX_ATTRIBUTES {
        return Err(invalid(format!(
            "The schema has {count} attributes and sub-attributes; at most {MAX_ATTRIBUTES} are taken."
        )));
    }
    let schema = Schema {
        name: text(document, "name", "name")?.unwrap_or_else(|| urn.clone()),
        description: text(document, "description", "description")?.unwrap_or_default(),
        attributes: all(attributes, "")?,
        id: urn,
    };
    let extension = Extension { extends, schema };
    for built_in in [user(), group()] {
        for schema in std::iter::once(&built_in.schema).chain(&built_in.extensions) {
            extension.check_beside(&schema.id)?;
        }
    }
    Ok(extension)
}

/// RFC 8141, of its characters those that can stand in an attribute path.
fn check_urn(urn: &str) -> Result<(), Error> {
    let lower = urn.to_ascii_lowercase();
    let mut parts = lower.splitn(3, ':');
    let (scheme, nid, nss) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    let nid_ok = (2..=32).contains(&nid.len())
        && nid.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
        && nid.bytes().next().is_some_and(alphanumeric)
        && nid.bytes().last().is_some_and(alphanumeric);
    let nss_ok = nss.split(':').all(|part| {
        !part.is_empty() && part.bytes().all(|byte| alphanumeric(byte) || matches!(byte, b'-' | b'.' | b'_'))
    });
    if scheme != Some("urn") || !nid_ok || !nss_ok || urn.len() > MAX_URN {
        return Err(invalid(format!(
            "`id` must be a URN of at most {MAX_URN} letters, digits, hyphens, underscores, dots and colons, such as \
             urn:example:params:scim:acme:2.0:User."
        )));
    }
    let scim = lower.strip_prefix("urn:ietf:params:scim:");
    if scim.is_some_and(|rest| !rest.starts_with("schemas:extension:")) {
        return Err(invalid(
            "`id` must not be a URN of SCIM itself. Use one of your own, or urn:ietf:params:scim:schemas:extension:....",
        ));
    }
    Ok(())
}

/// The attributes of a schema, or the sub-attributes of the attribute `parent`.
fn all(attributes: &[Value], parent: &str) -> Result<Vec<Attribute>, Error> {
    let mut accepted: Vec<Attribute> = Vec::with_capacity(attributes.len());
    for (index, value) in attributes.iter().enumerate() {
        let Value::Object(object) = value else {
            return Err(invalid(format!("Attribute {} {}must be an object.", index + 1, of(parent))));
        };
        let attribute = attribute(object, parent, index)?;
        if accepted.iter().any(|other| other.name.eq_ignore_ascii_case(&attribute.name)) {
            return Err(invalid(format!(
                "`{}` stands twice: attribute names are case-insensitive.",
                path(parent, &attribute.name)
            )));
        }
        accepted.push(attribute);
    }
    Ok(accepted)
}

fn attribute(object: &Object, parent: &str, index: usize) -> Result<Attribute, Error> {
    let Some(name) = text(object, "name", "name")? else {
        return Err(invalid(format!("Attribute {} {}has no `name`.", index + 1, of(parent))));
    };
    check_name(&name, parent)?;
    let path = path(parent, &name);
    let wrong = |why: &str| invalid(format!("`{path}`: {why}"));
    let r#type = match text(object, "type", &path)?.as_deref() {
        None | Some("string") => Type::String,
        Some("boolean") => Type::Boolean,
        Some("decimal") => Type::Decimal,
        Some("integer") => Type::Integer,
        Some("dateTime") => Type::DateTime,
        Some("binary") => Type::Binary,
        Some("reference") => Type::Reference,
        Some("complex") => Type::Complex,
        Some(_) => {
            let types = "string, boolean, decimal, integer, dateTime, binary, reference or complex";
            return Err(wrong(&format!("`type` must be {types}.")));
        }
    };
    if r#type == Type::Complex && !parent.is_empty() {
        return Err(wrong("a sub-attribute cannot be complex."));
    }
    let subs = array(object, "subAttributes", &path)?;
    match (r#type, subs.is_empty()) {
        (Type::Complex, true) => return Err(wrong("a complex attribute needs `subAttributes`.")),
        (Type::Complex, false) | (_, true) => {}
        (_, false) => return Err(wrong("only a complex attribute has `subAttributes`.")),
    }
    let mutability = match text(object, "mutability", &path)?.as_deref() {
        None | Some("readWrite") => Mutability::ReadWrite,
        Some("immutable") => Mutability::Immutable,
        Some("readOnly" | "writeOnly") => {
            return Err(wrong("`mutability` must be readWrite or immutable: others could not be set or not be read."));
        }
        Some(_) => return Err(wrong("`mutability` must be readWrite or immutable.")),
    };
    let returned = match text(object, "returned", &path)?.as_deref() {
        None | Some("default") => Returned::Default,
        Some("always") => Returned::Always,
        Some("request") => Returned::Request,
        Some(_) => return Err(wrong("`returned` must be default, always or request.")),
    };
    if !matches!(text(object, "uniqueness", &path)?.as_deref(), None | Some("none")) {
        return Err(wrong("`uniqueness` must be none: values of extensions are not kept unique."));
    }
    let reference_types = texts(object, "referenceTypes", &path)?;
    match (r#type, reference_types.is_empty()) {
        (Type::Reference, true) => {
            return Err(wrong("a reference needs `referenceTypes`, such as User, external or uri."));
        }
        (Type::Reference, false) | (_, true) => {}
        (_, false) => return Err(wrong("only a reference has `referenceTypes`.")),
    }
    // RFC 7643 sections 2.3.6 and 2.3.7: always with regard to case.
    let exact = matches!(r#type, Type::Reference | Type::Binary);
    Ok(Attribute {
        r#type,
        multi_valued: flag(object, "multiValued", &path)?,
        required: flag(object, "required", &path)?,
        case_exact: flag(object, "caseExact", &path)? || exact,
        mutability,
        returned,
        uniqueness: Uniqueness::None,
        canonical_values: texts(object, "canonicalValues", &path)?,
        reference_types,
        description: text(object, "description", &path)?.unwrap_or_default(),
        sub_attributes: all(subs, &name)?,
        name,
    })
}

/// `ATTRNAME` of RFC 7643 section 2.1; `$ref` is the one name with another character.
fn check_name(name: &str, parent: &str) -> Result<(), Error> {
    let path = path(parent, name);
    if name == "$ref" && !parent.is_empty() {
        return Ok(());
    }
    let char_ok = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.len() > MAX_NAME
        || !name.starts_with(|first: char| first.is_ascii_alphabetic())
        || !name.bytes().all(char_ok)
    {
        return Err(invalid(format!(
            "`{}`: a name must begin with a letter and have at most {MAX_NAME} letters, digits, hyphens and underscores.",
            path.chars().take(2 * MAX_NAME).collect::<String>()
        )));
    }
    let reserved = ["schemas", "id", "externalId", "meta", "groups", "members", "password"];
    if parent.is_empty() && reserved.iter().any(|other| other.eq_ignore_ascii_case(name)) {
        return Err(invalid(format!("`{path}`: this name means something else in every resource. Choose another.")));
    }
    Ok(())
}

fn path(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn of(parent: &str) -> String {
    if parent.is_empty() { String::new() } else { format!("of `{parent}` ") }
}

fn text(object: &Object, key: &str, path: &str) -> Result<Option<String>, Error> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() > MAX_TEXT => {
            Err(invalid(format!("`{path}`: `{key}` is longer than {MAX_TEXT} characters.")))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(format!("`{path}`: `{key}` must be a string."))),
    }
}

fn flag(object: &Object, key: &str, path: &str) -> Result<bool, Error> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(invalid(format!("`{path}`: `{key}` must be true or false."))),
    }
}

fn array<'o>(object: &'o Object, key: &str, path: &str) -> Result<&'o [Value], Error> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(values)) => Ok(values),
        Some(_) => Err(invalid(format!("`{path}`: `{key}` must be an array."))),
    }
}

fn texts(object: &Object, key: &str, path: &str) -> Result<Vec<String>, Error> {
    let values = array(object, key, path)?;
    if values.len() > MAX_CHOICES {
        return Err(invalid(format!("`{path}`: `{key}` has more than {MAX_CHOICES} values.")));
    }
    let one = |value: &Value| match value {
        Value::String(text) if text.chars().count() <= MAX_TEXT => Ok(text.clone()),
        _ => Err(invalid(format!("`{path}`: `{key}` must hold strings of at most {MAX_TEXT} characters."))),
    };
    values.iter().map(one).collect()
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, detail)
}
