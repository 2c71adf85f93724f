//! Bodies of POST and PUT, and what is shown of what they made.

use jiff::Timestamp;
use scim::{
    ErrorKind, Object, ResourceType, json,
    project::Projection,
    render::{self, Head},
    resource as resources,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    check_refusal,
    fixture::{self, types},
    parts,
    patch::{check_immutable, check_stored},
    text,
};

/// `BODY`, or `BODY TAB BODY` for a PUT over what a POST made: what is taken becomes a stored form, what is shown of it
/// is JSON.
pub fn resource(data: &[u8]) {
    let (first, second) = parts(data);
    let Some(posted) = read(first) else { return };
    let put = second.and_then(read);
    let types = types();
    for (rt, current) in [(&types.user, fixture::user()), (&types.group, fixture::group())] {
        match resources::create(rt, posted.clone()) {
            Ok(accepted) => {
                assert!(accepted.ignored.len() <= 20);
                check_stored(rt, &accepted.resource);
                check_search(rt, &accepted.resource);
                show(rt, &accepted.resource);
                let same = replace(rt, &accepted.resource, &accepted.resource);
                assert_eq!(same.as_ref().map(text), Some(text(&accepted.resource)), "a PUT of what is there");
                if let Some(put) = &put {
                    replace(rt, put, &accepted.resource);
                }
            }
            Err(error) => check_refusal(&error),
        }
        replace(rt, &posted, current);
    }
}

/// What is taken stays the same when it is written and read again.
fn read(body: &[u8]) -> Option<Object> {
    match json::parse_object(body) {
        Ok(object) => {
            let written = text(&object);
            let again = json::parse_object(written.as_bytes()).unwrap_or_else(|e| panic!("{written}: {e}"));
            assert_eq!(text(&again), written);
            Some(object)
        }
        Err(error) => {
            check_refusal(&error);
            assert_eq!(error.kind, ErrorKind::InvalidSyntax);
            None
        }
    }
}

fn replace(rt: &ResourceType, body: &Object, current: &Object) -> Option<Object> {
    match resources::replace(rt, body.clone(), current) {
        Ok(accepted) => {
            check_stored(rt, &accepted.resource);
            check_immutable(rt, current, &accepted.resource);
            let again = resources::replace(rt, body.clone(), &accepted.resource);
            assert_eq!(again.map(|again| text(&again.resource)), Ok(text(&accepted.resource)), "a PUT, sent again");
            Some(accepted.resource)
        }
        Err(error) => {
            check_refusal(&error);
            None
        }
    }
}

/// Folding is done once and for all.
fn check_search(rt: &ResourceType, stored: &Object) {
    let document = resources::search_document(rt, stored);
    assert!(document.keys().all(|key| stored.contains_key(key)), "{document:?}");
    let keys = resources::user_keys(stored);
    assert!(keys.primary_email.is_none_or(|email| keys.emails.contains(&email)));
    if let (Some(Value::String(folded)), false) = (document.get("userName"), keys.user_name.is_empty()) {
        assert_eq!(folded, &scim::user_name::key(&keys.user_name));
    }
}

fn show(rt: &ResourceType, stored: &Object) {
    let head = Head {
        id: Uuid::from_u128(1),
        created: Timestamp::UNIX_EPOCH,
        last_modified: Timestamp::UNIX_EPOCH,
        version: "W/\"1\"",
        base_url: "https://scim.example.com/scim/v2",
    };
    for names in [None, Some("emails.value,urn:xx:u:sites"), Some("name")] {
        let projection = Projection::parse(rt, names, None).unwrap_or_else(|e| panic!("{names:?}: {e}"));
        let mut out = Vec::new();
        render::user(rt, text(stored).as_bytes(), &head, &[], &projection, &mut out)
            .unwrap_or_else(|e| panic!("{}: {e}", text(stored)));
        let shown = json::parse_object(&out).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(&out)));
        assert_eq!(shown.get("id"), Some(&Value::from(head.id.to_string())));
        let known = |name: &str| matches!(name, "id" | "meta") || stored.contains_key(name);
        assert!(shown.keys().all(|name| known(name)), "{}", String::from_utf8_lossy(&out));
        assert!(
            names.is_some() || stored.iter().all(|(name, value)| hides_some(name) || shown.get(name) == Some(value))
        );
    }
}

/// These have attributes that are shown to those who ask for them.
fn hides_some(name: &str) -> bool {
    matches!(name, "urn:xx:u" | "urn:xx:g")
}
