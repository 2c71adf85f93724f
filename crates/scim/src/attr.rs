//! Attribute paths, resolved against a resource type: RFC 7644 section 3.10.
//! An unknown name never gets past [`resolve`]: paths are an allow list.

use crate::schema::{self, Attribute, ResourceType, Schema};

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
        let mut text = String::new();
        if let Some(extension) = self.extension {
            text.push_str(&extension.id);
            text.push(':');
        }
        text.push_str(&self.attribute.name);
        if let Some(sub) = self.sub {
            text.push('.');
            text.push_str(&sub.name);
        }
        text
    }
}

/// Names are case-insensitive; core attributes may be URN-qualified. `None`: no such attribute.
pub fn resolve<'s>(rt: &'s ResourceType, text: &str) -> Option<AttrPath<'s>> {
    if let Some(rest) = strip_urn(text, &rt.schema.id) {
        let (attribute, sub) = split(rest, |name| rt.attribute(name))?;
        return Some(AttrPath { extension: None, attribute, sub });
    }
    for schema in &rt.extensions {
        if let Some(rest) = strip_urn(text, &schema.id) {
            let (attribute, sub) = split(rest, |name| schema.attribute(name))?;
            return Some(AttrPath { extension: Some(schema), attribute, sub });
        }
    }
    let (attribute, sub) = split(text, |name| rt.attribute(name))?;
    Some(AttrPath { extension: None, attribute, sub })
}

/// The same and `schemas`, which only filters name by path.
pub fn filterable<'s>(rt: &'s ResourceType, text: &str) -> Option<AttrPath<'s>> {
    let schemas = || AttrPath { extension: None, attribute: schema::schemas(), sub: None };
    resolve(rt, text).or_else(|| text.eq_ignore_ascii_case("schemas").then(schemas))
}

/// What follows `URN:`.
fn strip_urn<'t>(text: &'t str, urn: &str) -> Option<&'t str> {
    let head = text.get(..urn.len())?;
    head.eq_ignore_ascii_case(urn).then(|| text.get(urn.len()..)?.strip_prefix(':')).flatten()
}

fn split<'s>(
    text: &str,
    find: impl Fn(&str) -> Option<&'s Attribute>,
) -> Option<(&'s Attribute, Option<&'s Attribute>)> {
    match text.split_once('.') {
        None => find(text).map(|attribute| (attribute, None)),
        Some((name, sub)) => {
            let attribute = find(name)?;
            attribute.sub(sub).map(|sub| (attribute, Some(sub)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn names_resolve_in_any_case_and_with_their_urn() {
        for (text, canonical) in [
            ("USERNAME", "userName"),
            ("name.FamilyName", "name.familyName"),
            ("meta.lastmodified", "meta.lastModified"),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName", "userName"),
            ("URN:ietf:params:scim:schemas:core:2.0:user:emails.value", "emails.value"),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:Manager.value",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
            ),
        ] {
            assert_eq!(resolve(schema::user(), text).map(|p| p.canonical()).as_deref(), Some(canonical), "{text}");
        }
    }

    #[test]
    fn what_the_schema_does_not_name_is_nothing() {
        for text in ["", ".", "__proto__", "toString", "userName.x", "name.", "department", "urn:x:y:userName", "é"] {
            assert!(resolve(schema::user(), text).is_none(), "{text}");
        }
    }
}
