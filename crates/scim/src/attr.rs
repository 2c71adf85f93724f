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
        let mut text = match self.extension {
            Some(extension) => format!("{}:{}", extension.id, self.attribute.name),
            None => self.attribute.name.clone(),
        };
        if let Some(sub) = self.sub {
            text.push('.');
            text.push_str(&sub.name);
        }
        text
    }
}

impl PartialEq for AttrPath<'_> {
    fn eq(&self, other: &Self) -> bool {
        fn key<'a>(path: &AttrPath<'a>) -> (Option<&'a str>, &'a str, Option<&'a str>) {
            (path.extension.map(|s| s.id.as_str()), &path.attribute.name, path.sub.map(|s| s.name.as_str()))
        }
        key(self) == key(other)
    }
}

/// Names are case-insensitive; core attributes may be URN-qualified. `None`: no such attribute.
pub fn resolve<'s>(rt: &'s ResourceType, text: &str) -> Option<AttrPath<'s>> {
    match schema_of(rt, text) {
        Some((_, "")) => None,
        Some((Place::Core, rest)) => in_core(rt, rest),
        Some((Place::Extension(schema), rest)) => in_extension(schema, rest),
        None => in_core(rt, text),
    }
}

/// Which schema a URN names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'s> {
    /// The core schema.
    Core,
    /// An extension.
    Extension(&'s Schema),
}

/// The schema whose URN the text is or begins with, and what follows the colon after it.
pub(crate) fn schema_of<'s, 't>(rt: &'s ResourceType, text: &'t str) -> Option<(Place<'s>, &'t str)> {
    let after = |urn: &str| {
        let (head, tail) = text.split_at_checked(urn.len())?;
        if !head.eq_ignore_ascii_case(urn) {
            return None;
        }
        if tail.is_empty() { Some("") } else { tail.strip_prefix(':').filter(|rest| !rest.is_empty()) }
    };
    if let Some(rest) = after(&rt.schema.id) {
        return Some((Place::Core, rest));
    }
    rt.extensions.iter().find_map(|schema| Some((Place::Extension(schema), after(&schema.id)?)))
}

pub(crate) fn in_core<'s>(rt: &'s ResourceType, text: &str) -> Option<AttrPath<'s>> {
    below(text, None, |name| rt.attribute(name))
}

pub(crate) fn in_extension<'s>(schema: &'s Schema, text: &str) -> Option<AttrPath<'s>> {
    below(text, Some(schema), |name| schema.attribute(name))
}

fn below<'s>(
    text: &str,
    extension: Option<&'s Schema>,
    find: impl Fn(&str) -> Option<&'s Attribute>,
) -> Option<AttrPath<'s>> {
    match text.split_once('.') {
        None => Some(AttrPath { extension, attribute: find(text)?, sub: None }),
        Some((name, sub)) => {
            let attribute = find(name)?;
            Some(AttrPath { extension, attribute, sub: Some(attribute.sub(sub)?) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    fn canonical(rt: &ResourceType, text: &str) -> Option<String> {
        resolve(rt, text).map(|path| path.canonical())
    }

    #[test]
    fn names_are_found_in_any_case_and_with_their_urn() {
        let user = schema::user();
        for (text, expected) in [
            ("USERNAME", "userName"),
            ("Name.FamilyName", "name.familyName"),
            ("meta.LastModified", "meta.lastModified"),
            ("groups.value", "groups.value"),
            ("emails.$REF", ""),
            ("groups.$Ref", "groups.$ref"),
            ("schemas", "schemas"),
            ("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", "name.givenName"),
            ("URN:IETF:params:scim:schemas:core:2.0:user:externalId", "externalId"),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:MANAGER.value",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
            ),
        ] {
            assert_eq!(canonical(user, text).as_deref().unwrap_or_default(), expected, "{text}");
        }
        assert_eq!(canonical(schema::group(), "members.VALUE").as_deref(), Some("members.value"));
    }

    #[test]
    fn all_else_is_unknown() {
        for text in [
            "",
            ".",
            "name.",
            ".name",
            "name.familyName.x",
            "__proto__",
            "toString.x",
            "userName.value",
            "department",
            "members",
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:core:2.0:User:",
            "urn:ietf:params:scim:schemas:core:2.0:User:department",
            "urn:ietf:params:scim:schemas:core:2.0:Userx:name",
            "urn:ietf:params:scim:schemas:core:2.0:User.userName",
            "urn:ietf:params:scim:schemas:core:2.0:Group:displayName",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:userName",
            "emails[type eq \"work\"]",
            " userName",
            "ünknown",
        ] {
            assert!(resolve(schema::user(), text).is_none(), "{text}");
        }
    }
}
