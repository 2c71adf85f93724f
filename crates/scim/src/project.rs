//! `attributes`, `excludedAttributes` and `returned`: RFC 7644 section 3.9.

use serde_json::Value;

use crate::{
    Error, ErrorKind, Object, ResourceType,
    attr::{self, AttrPath},
    schema::{Attribute, Returned},
};

/// Which attributes a response shows. The default shows what is `returned` by default.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    mode: Mode,
    names: Vec<Name>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Default,
    Only,
    Without,
}

/// A whole extension, an attribute, or a sub-attribute; in the schema's spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    extension: Option<String>,
    attribute: Option<String>,
    sub: Option<String>,
}

impl Name {
    fn parse(rt: &ResourceType, text: &str) -> Option<Self> {
        if let Some(extension) = rt.extension(text) {
            return Some(Self { extension: Some(extension.id.clone()), attribute: None, sub: None });
        }
        let AttrPath { extension, attribute, sub } = attr::resolve(rt, text)?;
        Some(Self {
            extension: extension.map(|s| s.id.clone()),
            attribute: Some(attribute.name.clone()),
            sub: sub.map(|a| a.name.clone()),
        })
    }
}

impl Projection {
    /// Both parameters are comma-separated lists of attribute paths; unknown names are ignored. Both at once: 400
    /// `invalidValue`.
    pub fn parse(rt: &ResourceType, attributes: Option<&str>, excluded: Option<&str>) -> Result<Self, Error> {
        let given = |list: Option<&str>| list.map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned);
        let (mode, list) = match (given(attributes), given(excluded)) {
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    "Give `attributes` or `excludedAttributes`, not both.",
                ));
            }
            (Some(list), None) => (Mode::Only, list),
            (None, Some(list)) => (Mode::Without, list),
            (None, None) => return Ok(Self::default()),
        };
        Ok(Self { mode, names: list.split(',').filter_map(|name| Name::parse(rt, name.trim())).collect() })
    }

    /// True: no parameter was given, so a stored resource can be shown as it is.
    pub fn is_default(&self) -> bool {
        self.mode == Mode::Default
    }

    /// Whether a top-level core attribute (`groups`, `members`) is shown at all, so whether it need be fetched.
    pub fn shows(&self, attribute: &str) -> bool {
        let of = |name: &Name| name.extension.is_none() && name.attribute.as_deref() == Some(attribute);
        match self.mode {
            Mode::Default => true,
            Mode::Only => self.names.iter().any(of),
            Mode::Without => !self.names.iter().any(|name| of(name) && name.sub.is_none()),
        }
    }

    /// Whether a sub-attribute of a core attribute is shown.
    pub fn shows_sub(&self, attribute: &str, sub: &str) -> bool {
        let named = self.names.iter().any(|name| {
            name.extension.is_none()
                && name.attribute.as_deref() == Some(attribute)
                && name.sub.as_deref().is_none_or(|s| s == sub)
        });
        match self.mode {
            Mode::Default => true,
            Mode::Only => named,
            Mode::Without => !named,
        }
    }

    /// Drops what is not shown from a whole resource.
    pub fn apply(&self, rt: &ResourceType, resource: &mut Object) {
        let shown = std::mem::take(resource);
        for (name, value) in shown {
            if name == "schemas" {
                resource.insert(name, value);
            } else if let Some(schema) = rt.extension(&name) {
                if let Value::Object(extension) = value {
                    let kept = self.kept(Some(&schema.id), |n| schema.attribute(n), extension);
                    if !kept.is_empty() {
                        resource.insert(name, Value::Object(kept));
                    }
                }
            } else if let Some(attribute) = rt.attribute(&name)
                && let Some(value) = self.value(None, attribute, value)
            {
                resource.insert(name, value);
            }
        }
    }

    fn kept<'s>(
        &self,
        extension: Option<&str>,
        find: impl Fn(&str) -> Option<&'s Attribute>,
        object: Object,
    ) -> Object {
        let mut kept = Object::new();
        for (name, value) in object {
            if let Some(attribute) = find(&name)
                && let Some(value) = self.value(extension, attribute, value)
            {
                kept.insert(name, value);
            }
        }
        kept
    }

    fn value(&self, extension: Option<&str>, attribute: &Attribute, value: Value) -> Option<Value> {
        let matching: Vec<&Name> = self
            .names
            .iter()
            .filter(|name| {
                name.extension.as_deref() == extension
                    && name.attribute.as_deref().is_none_or(|a| a == attribute.name)
            })
            .collect();
        let whole = matching.iter().any(|name| name.sub.is_none());
        match attribute.returned {
            Returned::Always => return Some(value),
            Returned::Never => return None,
            Returned::Request if self.mode != Mode::Only || matching.is_empty() => return None,
            Returned::Request | Returned::Default => {}
        }
        match self.mode {
            Mode::Default => Some(value),
            Mode::Only if whole => Some(value),
            Mode::Only if matching.is_empty() => None,
            Mode::Without if whole => None,
            Mode::Without if matching.is_empty() => Some(value),
            mode => {
                let keep = |sub: &str| {
                    let named = matching.iter().any(|name| name.sub.as_deref() == Some(sub));
                    let always = attribute.sub(sub).is_some_and(|a| a.returned == Returned::Always);
                    always || named == (mode == Mode::Only)
                };
                subs(value, &keep)
            }
        }
    }
}

/// The value with only the sub-attributes that are kept; nothing where none is left.
fn subs(value: Value, keep: &impl Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::Array(elements) => {
            let left: Vec<Value> = elements.into_iter().filter_map(|element| subs(element, keep)).collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        Value::Object(object) => {
            let left: Object = object.into_iter().filter(|(name, _)| keep(name)).collect();
            (!left.is_empty()).then_some(Value::Object(left))
        }
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema;

    fn shown(attributes: Option<&str>, excluded: Option<&str>) -> Value {
        let mut resource: Object = serde_json::from_value(json!({
            "schemas": [schema::USER],
            "id": "7",
            "userName": "kit",
            "name": {"givenName": "Kit", "familyName": "Moor"},
            "emails": [{"value": "kit@x", "type": "work"}, {"value": "k@y"}],
            "password": "never",
            schema::ENTERPRISE_USER: {"department": "Pier", "costCenter": "7"},
            "meta": {"resourceType": "User", "version": "1"},
        }))
        .unwrap();
        Projection::parse(schema::user(), attributes, excluded).unwrap().apply(schema::user(), &mut resource);
        resource.remove("schemas").expect("schemas are always shown");
        assert_eq!(resource.remove("id"), Some(json!("7")), "id is always shown");
        Value::Object(resource)
    }

    #[test]
    fn attributes_name_what_is_shown() {
        assert_eq!(shown(Some("USERNAME"), None), json!({"userName": "kit"}));
        assert_eq!(shown(Some("name.givenName"), None), json!({"name": {"givenName": "Kit"}}));
        assert_eq!(shown(Some("emails.type, nosuch"), None), json!({"emails": [{"type": "work"}]}));
        assert_eq!(shown(Some("meta.version"), None), json!({"meta": {"version": "1"}}));
        assert_eq!(
            shown(Some(&format!("{}:department", schema::ENTERPRISE_USER)), None),
            json!({schema::ENTERPRISE_USER: {"department": "Pier"}})
        );
        assert_eq!(
            shown(Some(schema::ENTERPRISE_USER), None),
            json!({schema::ENTERPRISE_USER: {"department": "Pier", "costCenter": "7"}})
        );
        assert_eq!(shown(Some("nosuch"), None), json!({}));
        assert_eq!(shown(Some("password"), None), json!({}));
    }

    #[test]
    fn excluded_attributes_name_what_is_not() {
        let left = shown(None, Some("name.givenName,emails,meta,id,urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"));
        assert_eq!(left, json!({"userName": "kit", "name": {"familyName": "Moor"}}));
    }

    #[test]
    fn both_at_once_are_refused() {
        let error = Projection::parse(schema::user(), Some("userName"), Some("name")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidValue);
    }

    #[test]
    fn what_is_hidden_need_not_be_fetched() {
        let of = |a, e| Projection::parse(schema::group(), a, e).unwrap();
        assert!(of(None, None).shows("members"));
        assert!(!of(None, Some("members")).shows("members"));
        assert!(of(None, Some("members.type")).shows("members"));
        assert!(!of(Some("displayName"), None).shows("members"));
        assert!(of(Some("members.value"), None).shows("members"));
        assert!(!of(Some("members.value"), None).shows_sub("members", "type"));
    }
}
