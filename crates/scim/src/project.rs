//! `attributes`, `excludedAttributes` and `returned`: RFC 7644 section 3.9.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    Error, ErrorKind, Object, ResourceType, attr,
    schema::{Attribute, Returned},
};

/// Which attributes a response shows.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    mode: Mode,
    /// Canonical names of attributes, and URNs of extensions, that were named whole.
    whole: BTreeSet<String>,
    /// Canonical names of attributes, each with a sub-attribute that was named.
    subs: BTreeSet<(String, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Default,
    Only,
    Except,
}

impl Projection {
    /// Both parameters are comma-separated lists of attribute paths; unknown names are ignored, an empty parameter is
    /// absent. Both at once: 400 `invalidValue`.
    pub fn parse(rt: &ResourceType, attributes: Option<&str>, excluded: Option<&str>) -> Result<Self, Error> {
        let given = |list: Option<&str>| list.is_some_and(|list| !list.trim().is_empty());
        let (mode, list) = match (given(attributes), given(excluded)) {
            (false, false) => return Ok(Self::default()),
            (true, false) => (Mode::Only, attributes),
            (false, true) => (Mode::Except, excluded),
            (true, true) => {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    "attributes and excludedAttributes were both given; send only one of them.",
                ));
            }
        };
        let mut projection = Self { mode, ..Self::default() };
        for name in list.unwrap_or_default().split(',').map(str::trim) {
            if let Some(extension) = rt.extension(name) {
                projection.whole.insert(extension.id.clone());
            } else if let Some(path) = attr::resolve(rt, name) {
                let outer = attr::AttrPath { sub: None, ..path }.canonical();
                match path.sub {
                    None => projection.whole.insert(outer),
                    Some(sub) => projection.subs.insert((outer, sub.name.clone())),
                };
            }
        }
        Ok(projection)
    }

    /// True: no parameter was given, so a stored resource can be shown as it is.
    pub fn is_default(&self) -> bool {
        self.mode == Mode::Default
    }

    /// Whether a top-level core attribute (`groups`, `members`) is shown at all, so whether it need be fetched.
    pub fn shows(&self, attribute: &str) -> bool {
        let whole = self.whole.iter().any(|name| name.eq_ignore_ascii_case(attribute));
        match self.mode {
            Mode::Default => true,
            Mode::Only => whole || self.subs.iter().any(|(name, _)| name.eq_ignore_ascii_case(attribute)),
            Mode::Except => !whole,
        }
    }

    /// Whether a sub-attribute of a top-level core attribute is shown, by what was asked for alone.
    pub fn shows_sub(&self, attribute: &str, sub: &str) -> bool {
        let whole = self.whole.iter().any(|name| name.eq_ignore_ascii_case(attribute));
        let named = self
            .subs
            .iter()
            .any(|(outer, inner)| outer.eq_ignore_ascii_case(attribute) && inner.eq_ignore_ascii_case(sub));
        match self.mode {
            Mode::Default => true,
            Mode::Only => whole || named,
            Mode::Except => !(whole || named),
        }
    }

    /// Drops what is not shown from a whole resource.
    pub fn apply(&self, rt: &ResourceType, resource: &mut Object) {
        resource.retain(|name, value| {
            if name == "schemas" {
                return true;
            }
            if let Some(extension) = rt.extension(name) {
                let named = self.whole.contains(&extension.id);
                if named && self.mode == Mode::Except {
                    return false;
                }
                let Value::Object(members) = value else { return true };
                let prefix = format!("{}:", extension.id);
                members.retain(|name, value| match extension.attribute(name) {
                    Some(attribute) => self.keep(attribute, &format!("{prefix}{}", attribute.name), named, value),
                    None => self.mode != Mode::Only || named,
                });
                return !members.is_empty();
            }
            match rt.attribute(name) {
                Some(attribute) => self.keep(attribute, &attribute.name, false, value),
                None => self.mode != Mode::Only,
            }
        });
    }

    /// Whether the attribute stays; takes out sub-attributes that do not. `inherited`: its extension was asked for.
    fn keep(&self, attribute: &Attribute, canonical: &str, inherited: bool, value: &mut Value) -> bool {
        let named = self.whole.contains(canonical);
        let stays = match (attribute.returned, self.mode) {
            (Returned::Never, _) => false,
            (Returned::Always, _) => true,
            (Returned::Request, Mode::Only) => named || self.any_sub(canonical),
            (Returned::Request, _) => false,
            (Returned::Default, Mode::Default) => true,
            (Returned::Default, Mode::Only) => named || inherited || self.any_sub(canonical),
            (Returned::Default, Mode::Except) => !named,
        };
        if !stays {
            return false;
        }
        let whole = named || inherited || attribute.returned == Returned::Always;
        let sub_stays = |name: &String| {
            let Some(sub) = attribute.sub(name) else { return self.mode != Mode::Only || whole };
            let sub_named = self.subs.contains(&(canonical.to_owned(), sub.name.clone()));
            match (sub.returned, self.mode) {
                (Returned::Never, _) => false,
                (Returned::Always, _) => true,
                (Returned::Request, mode) => mode == Mode::Only && sub_named,
                (Returned::Default, Mode::Default) => true,
                (Returned::Default, Mode::Only) => whole || sub_named,
                (Returned::Default, Mode::Except) => !sub_named,
            }
        };
        match value {
            Value::Object(members) => {
                let had = !members.is_empty();
                members.retain(|name, _| sub_stays(name));
                !(had && members.is_empty())
            }
            Value::Array(items) => {
                let had = !items.is_empty();
                items.retain_mut(|item| match item {
                    Value::Object(members) => {
                        members.retain(|name, _| sub_stays(name));
                        !members.is_empty()
                    }
                    _ => true,
                });
                !(had && items.is_empty())
            }
            _ => true,
        }
    }

    fn any_sub(&self, canonical: &str) -> bool {
        self.subs.iter().any(|(outer, _)| outer == canonical)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{self, ENTERPRISE_USER};

    fn shown(attributes: Option<&str>, excluded: Option<&str>) -> Value {
        let projection = Projection::parse(schema::user(), attributes, excluded).expect("a projection");
        let mut resource = json!({
            "schemas": [schema::USER, ENTERPRISE_USER],
            "id": "1",
            "userName": "ada",
            "password": "secret",
            "name": {"givenName": "Ada", "familyName": "King"},
            "emails": [{"type": "work", "value": "a@b"}, {"value": "c@d"}],
            (ENTERPRISE_USER): {"department": "Pier", "manager": {"value": "u9", "displayName": "Bo"}},
            "meta": {"resourceType": "User", "location": "x"}
        });
        if let Value::Object(object) = &mut resource {
            projection.apply(schema::user(), object);
            object.shift_remove("schemas").expect("schemas are always returned");
            object.shift_remove("id").expect("the id is always returned");
        }
        resource
    }

    #[test]
    fn only_what_is_asked_for() {
        for (attributes, expected) in [
            ("userName", json!({"userName": "ada"})),
            (" USERNAME , nope,, ", json!({"userName": "ada"})),
            ("nope", json!({})),
            ("password", json!({})),
            ("name.givenname", json!({"name": {"givenName": "Ada"}})),
            ("name.givenName,name", json!({"name": {"givenName": "Ada", "familyName": "King"}})),
            ("emails.type", json!({"emails": [{"type": "work"}]})),
            ("emails.display", json!({})),
            ("meta.location", json!({"meta": {"location": "x"}})),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName", json!({"userName": "ada"})),
            (
                ENTERPRISE_USER,
                json!({ENTERPRISE_USER: {"department": "Pier", "manager": {"value": "u9", "displayName": "Bo"}}}),
            ),
            (
                "URN:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
                json!({ENTERPRISE_USER: {"manager": {"value": "u9"}}}),
            ),
        ] {
            assert_eq!(shown(Some(attributes), None), expected, "{attributes}");
        }
    }

    #[test]
    fn all_but_what_is_excluded() {
        let all = shown(None, None);
        assert!(all.get("password").is_none() && all.get("emails").is_some());
        assert_eq!(shown(None, Some("id,schemas,nope")), all, "always returned");
        assert_eq!(shown(Some(""), Some(" ")), all, "empty is absent");
        let some = shown(None, Some(&format!("name.familyName,emails,meta,{ENTERPRISE_USER}:manager")));
        assert_eq!(
            some,
            json!({"userName": "ada", "name": {"givenName": "Ada"}, ENTERPRISE_USER: {"department": "Pier"}})
        );
        assert!(shown(None, Some(ENTERPRISE_USER)).get(ENTERPRISE_USER).is_none());
        let both = format!("{ENTERPRISE_USER}:manager,{ENTERPRISE_USER}:department");
        assert!(shown(None, Some(&both)).get(ENTERPRISE_USER).is_none());
        assert!(shown(None, Some("emails.value,emails.type")).get("emails").is_none());
    }

    #[test]
    fn both_at_once_are_refused() {
        let error = Projection::parse(schema::user(), Some("userName"), Some("name")).expect_err("both");
        assert_eq!(error.kind, ErrorKind::InvalidValue);
    }

    #[test]
    fn what_need_be_fetched() {
        let group =
            |attributes, excluded| Projection::parse(schema::group(), attributes, excluded).expect("a projection");
        assert!(group(None, None).is_default() && group(None, None).shows("members"));
        assert!(!group(None, Some("Members")).shows("members"));
        assert!(!group(Some("displayName"), None).shows("members"));
        assert!(group(Some("members.value"), None).shows("members"));
        assert!(group(None, Some("members.value")).shows("members"));
        assert!(group(Some("members.value"), None).shows_sub("members", "value"));
        assert!(!group(Some("members.value"), None).shows_sub("members", "type"));
        assert!(!group(None, Some("members.type")).shows_sub("members", "type"));
        assert!(!group(Some("urn:ietf:params:scim:schemas:core:2.0:Group:displayName"), None).shows("members"));
    }
}
