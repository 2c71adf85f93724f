//! Users: the stored form with the keys that rows are found by, and what an event says of a change.

use std::collections::BTreeSet;

use scim::{Object, ResourceType};
use serde_json::{Value, json};
use store::Instant;
use wire::{Reason, Refusal};

use super::{GroupId, UserId, access::Access, fits, key, user_name_key};

/// A user as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) user_name: String,
    pub(crate) external_id: Option<String>,
    /// Absent: removed by a PATCH; access is denied as for false.
    pub(crate) active: Option<bool>,
    pub(crate) display_name: Option<String>,
    pub(crate) primary_email: Option<String>,
    pub(crate) version: i64,
    pub(crate) created: Instant,
    pub(crate) modified: Instant,
    /// The stored form as text.
    pub(crate) resource: String,
}

/// A group that a user is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupOfUser {
    pub(crate) id: GroupId,
    pub(crate) display_name: String,
    /// False: through nesting only.
    pub(crate) direct: bool,
}

/// What is written of a user: the stored form and everything derived from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UserContent {
    pub(crate) resource: Object,
    pub(crate) resource_text: String,
    pub(crate) search_text: String,
    pub(crate) user_name: String,
    pub(crate) user_name_key: String,
    pub(crate) external_id: Option<String>,
    pub(crate) active: Option<bool>,
    pub(crate) display_name: Option<String>,
    pub(crate) display_name_key: Option<String>,
    pub(crate) given_name_key: Option<String>,
    pub(crate) family_name_key: Option<String>,
    pub(crate) primary_email: Option<String>,
    pub(crate) primary_email_key: Option<String>,
    /// Folded, each once.
    pub(crate) email_keys: BTreeSet<String>,
}

impl UserContent {
    /// # Errors
    /// [`Reason::InvalidValue`] for a value too long to be indexed.
    pub(crate) fn new(rt: &ResourceType, resource: Object) -> Result<Self, Refusal> {
        let keys = scim::resource::user_keys(&resource);
        let folded =
            |attribute: &str, value: &Option<String>| value.as_deref().map(|value| key(attribute, value)).transpose();
        if let Some(external_id) = &keys.external_id {
            fits("externalId", external_id)?;
        }
        let search = scim::resource::search_document(rt, &resource);
        Ok(Self {
            resource_text: text_of(&resource)?,
            search_text: text_of(&search)?,
            user_name_key: user_name_key(&keys.user_name)?,
            display_name_key: folded("displayName", &keys.display_name)?,
            given_name_key: folded("name.givenName", &keys.given_name)?,
            family_name_key: folded("name.familyName", &keys.family_name)?,
            primary_email_key: folded("emails.value", &keys.primary_email)?,
            email_keys: keys.emails.iter().map(|email| key("emails.value", email)).collect::<Result<_, _>>()?,
            resource,
            user_name: keys.user_name,
            external_id: keys.external_id,
            active: keys.active,
            display_name: keys.display_name,
            primary_email: keys.primary_email,
        })
    }

    /// A lapsed plan never keeps access from being taken away.
    pub(crate) fn needs_plan(&self) -> bool {
        self.active == Some(true)
    }

    pub(crate) fn check(&self, access: Access) -> Result<(), Refusal> {
        if self.needs_plan() { access.to_change() } else { Ok(()) }
    }

    /// The user that was created with this content.
    pub(crate) fn created(&self, id: UserId, now: Instant) -> User {
        self.written(id, 1, now, now)
    }

    /// The user as it is with this content.
    pub(crate) fn written(&self, id: UserId, version: i64, created: Instant, modified: Instant) -> User {
        User {
            id,
            user_name: self.user_name.clone(),
            external_id: self.external_id.clone(),
            active: self.active,
            display_name: self.display_name.clone(),
            primary_email: self.primary_email.clone(),
            version,
            created,
            modified,
            resource: self.resource_text.clone(),
        }
    }
}

/// The folded e-mail addresses of a stored form, each once.
pub(crate) fn email_keys(resource: &Object) -> BTreeSet<String> {
    scim::resource::user_keys(resource).emails.iter().map(|email| scim::fold(email)).collect()
}

/// Reads a stored form back.
pub(crate) fn parse_stored(text: &str) -> Result<Object, Refusal> {
    // The error itself may quote what is stored.
    serde_json::from_str(text).map_err(|_| crate::error::internal(&"a stored resource is no JSON object"))
}

pub(crate) fn text_of(resource: &Object) -> Result<String, Refusal> {
    serde_json::to_string(resource).map_err(|error| crate::error::internal(&error))
}

/// The attributes that differ, before and after, and what was left out or read leniently.
pub(crate) fn delta(before: Option<&Object>, after: Option<&Object>, notes: &Notes) -> Value {
    let side = |this: Option<&Object>, other: Option<&Object>| {
        this.map(|this| {
            let differs = |name: &str, value: &Value| other.and_then(|other| other.get(name)) != Some(value);
            let changed = this.iter().filter(|(name, value)| differs(name, value));
            Value::Object(changed.map(|(name, value)| (name.clone(), value.clone())).collect())
        })
    };
    let mut delta = Object::new();
    if let Some(before) = side(before, after) {
        delta.insert("before".to_owned(), before);
    }
    if let Some(after) = side(after, before) {
        delta.insert("after".to_owned(), after);
    }
    notes.add_to(&mut delta);
    Value::Object(delta)
}

/// What a body or a PATCH held that was not stored as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) ignored: Vec<String>,
    pub(crate) coerced: Vec<&'static str>,
}

impl Notes {
    pub(crate) fn add_to(&self, delta: &mut Object) {
        if !self.ignored.is_empty() {
            delta.insert("ignored".to_owned(), json!(self.ignored));
        }
        if !self.coerced.is_empty() {
            delta.insert("coerced".to_owned(), json!(self.coerced));
        }
    }
}

/// The answer to a userName that is taken.
pub(crate) fn user_name_taken(user_name: &str) -> Refusal {
    Refusal::new(
        Reason::Uniqueness,
        format!(
            "A user with userName {user_name:?} exists in this organization; names are compared without regard to \
             case. Find it with a filter on userName and update it, or send another userName."
        ),
    )
}

pub(crate) fn user_not_found() -> Refusal {
    Refusal::new(Reason::UserNotFound, "There is no user with this id in the organization. Look it up by userName.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_holds_what_differs_and_nothing_else() {
        let object = |value: Value| value.as_object().expect("object").clone();
        let before = object(json!({"userName": "a", "active": true, "title": "x"}));
        let after = object(json!({"userName": "a", "active": false, "nickName": "n"}));
        let notes = Notes { ignored: vec!["color".to_owned()], coerced: vec![] };
        assert_eq!(
            delta(Some(&before), Some(&after), &notes),
            json!({
                "before": {"active": true, "title": "x"},
                "after": {"active": false, "nickName": "n"},
                "ignored": ["color"],
            })
        );
        assert_eq!(delta(None, Some(&after), &Notes::default()), json!({"after": after}));
    }
}
