//! Resource bodies: what a POST or PUT makes of a resource, and the forms in which one is stored.
//!
//! The stored form is canonical: `schemas` first (core URN, then the extensions that have values), attribute names in
//! the schema's spelling, values exactly as sent, no null, no empty array. It never holds `id`, `meta`, `groups`,
//! `members` or `password`.

use crate::{Error, Object, ResourceType};

/// A body that was accepted.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// The stored form.
    pub resource: Object,
    /// Unknown attributes and URNs that were left out, at most 20.
    pub ignored: Vec<String>,
    /// Names of the dialect rules that were used.
    pub coerced: Vec<&'static str>,
}

/// The body of a POST. A User's `active` is true where it is omitted.
pub fn create(_rt: &ResourceType, _body: Object) -> Result<Accepted, Error> {
    todo!()
}

/// The body of a PUT over the current stored form. Omitted readWrite attributes are cleared, but a User's `active`.
pub fn replace(_rt: &ResourceType, _body: Object, _current: &Object) -> Result<Accepted, Error> {
    todo!()
}

/// What a user row holds beside the JSON, for matching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct UserKeys {
    pub user_name: String,
    pub external_id: Option<String>,
    pub active: Option<bool>,
    pub display_name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    /// All e-mail values in order.
    pub emails: Vec<String>,
    /// The one marked primary, else the first.
    pub primary_email: Option<String>,
}

/// Reads the keys out of a user's stored form. Values as sent, not folded.
pub fn user_keys(_resource: &Object) -> UserKeys {
    todo!()
}

/// The copy that filters and sorting run on: strings of attributes that are not caseExact are folded, instants are
/// integers (microseconds UTC). Same shape and names as the stored form, without `schemas`.
pub fn search_document(_rt: &ResourceType, _resource: &Object) -> Object {
    todo!()
}
