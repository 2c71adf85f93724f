//! Where real clients deviate from RFC 7643 and RFC 7644: one small rule each, with the client it is for.
//!
//! A rule is its name, as it stands in `coerced`. Tolerances that change nothing (`op` in any case, keys of an operation
//! that nobody knows, `$ref: null`) have no rule.

use crate::{
    ResourceType,
    attr::{self, AttrPath},
};

/// A name in a filter that the schema does not have, as clients mean it: `manager` for the attribute of the one
/// extension that has it (Microsoft Entra ID's reference check), `email` for `emails` (PingOne's documented samples).
/// Nothing is guessed where two extensions have the name.
pub(crate) fn filter_attribute<'s>(rt: &'s ResourceType, word: &str) -> Option<AttrPath<'s>> {
    if word.eq_ignore_ascii_case("email") {
        return attr::resolve(rt, "emails");
    }
    let mut found = rt.extensions.iter().filter_map(|extension| attr::resolve(rt, &format!("{}:{word}", extension.id)));
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

/// `"active": "False"`, and `primary eq "True"` in a filter.
///
/// Microsoft Entra ID without `aadOptscim062020`; its validator creates users with `"primary": "True"`
/// (scimmyjs/scimmy#86).
pub const BOOLEAN_AS_STRING: &str = "booleanAsString";

/// `"manager": "id"` for `"manager": {"value": "id"}`.
///
/// Microsoft Entra ID, on create and in PATCH (apache/directory-scimple#1242, Captain-P-Goldfish/SCIM-SDK#686).
pub const COMPLEX_AS_STRING: &str = "complexAsString";

/// `"emails": ["a@x"]` for `"emails": [{"value": "a@x"}]`.
///
/// OneLogin and other clients whose body is a template that an administrator writes.
pub const ELEMENT_AS_STRING: &str = "elementAsString";

/// `"emails": {...}` for `"emails": [{...}]`.
///
/// OneLogin body templates.
pub const SINGLE_FOR_ARRAY: &str = "singleForArray";

/// `"value": [{"$ref": null, "value": "Ana"}]` in a PATCH of a single-valued attribute.
///
/// Old builds of Microsoft Entra ID (MicrosoftDocs/azure-docs#42220).
pub const ARRAY_FOR_SINGLE: &str = "arrayForSingle";

/// `{"value": ""}`: nothing is left but labels, so there is no value.
///
/// Old builds of Microsoft Entra ID remove a manager so; OneLogin and JumpCloud send e-mails without an address.
pub const BLANK_VALUE: &str = "blankValue";

/// `remove` on `emails` with a `value`: only the elements with these values go, although RFC 7644 section 3.5.2.2 says
/// that all do.
///
/// Microsoft Entra ID, JumpCloud, authentik (ssoready/ssoready#182, goauthentik/authentik#23798).
pub const REMOVE_BY_VALUE: &str = "removeByValue";

/// `add` on `emails[type eq "work"].value` where there is no such element makes one of what the filter says.
///
/// Microsoft Entra ID (Captain-P-Goldfish/SCIM-SDK#416, thomaspoignant/scim-patch#42).
pub const ADD_TO_MISSING_ELEMENT: &str = "addToMissingElement";

/// The same with `replace`, only where the filter is `type eq` one of the schema's canonical values; all others are
/// `noTarget`, as RFC 7644 section 3.5.2.3 says.
///
/// Microsoft Entra ID (Captain-P-Goldfish/scim-for-keycloak#73).
pub const REPLACE_MISSING_ELEMENT: &str = "replaceMissingElement";

/// `"name.givenName"` or `"urn:...:User:department"` as a key of a PATCH value without path.
///
/// Microsoft Entra ID with `aadOptscim062020`.
pub const PATH_AS_KEY: &str = "pathAsKey";
