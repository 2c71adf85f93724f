//! Groups: bodies, whose members are read as a stream, and the changes that a PATCH is lowered to.

use std::collections::HashSet;

use scim::{
    filter,
    group::{self as groups, Change},
    json, patch as patches, resource,
};

use crate::{check_refusal, fixture, parts, patch};

/// `BODY TAB PATCH`, or one that is read as both.
pub fn group(data: &[u8]) {
    let (body, patch) = parts(data);
    for size in [1, 2, 7, 64] {
        check_pieces(body, size);
    }
    check_body(body);
    check_patch(patch.unwrap_or(body));
}

/// A body in pieces is the body.
fn check_pieces(body: &[u8], size: usize) {
    let whole = groups::parse(body);
    let mut reader = groups::Reader::default();
    let read = body.chunks(size).try_for_each(|piece| reader.push(piece)).and_then(|()| reader.finish());
    match (whole, read) {
        (Ok(whole), Ok(read)) => {
            assert_eq!(crate::text(&read.rest), crate::text(&whole.rest), "in pieces of {size}");
            assert_eq!(read.members, whole.members, "in pieces of {size}");
        }
        (Err(whole), Err(read)) => {
            check_refusal(&read);
            assert_eq!(read.kind, whole.kind, "{read} in pieces of {size}, but {whole}");
        }
        (Ok(_), Err(error)) => panic!("in pieces of {size}: {error}"),
        (Err(error), Ok(_)) => panic!("taken in pieces of {size}, but: {error}"),
    }
}

/// The stream takes what the strict parser takes, and nothing else; the rest is a body as any other.
fn check_body(body: &[u8]) {
    let strict = json::parse_object(body);
    let body = match groups::parse(body) {
        Ok(body) => body,
        Err(error) => return check_refusal(&error),
    };
    let mut strict = strict.unwrap_or_else(|e| panic!("only the stream takes it: {e}"));
    let key = strict.keys().find(|key| key.eq_ignore_ascii_case("members")).cloned();
    let members = key.and_then(|key| strict.shift_remove(&key));
    assert_eq!(crate::text(&body.rest), crate::text(&strict));
    assert_eq!(body.members.is_some(), members.is_some());
    let ids = body.members.unwrap_or_default();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
    let written = members.map(|members| members.to_string().to_ascii_lowercase()).unwrap_or_default();
    assert!(ids.iter().all(|id| written.contains(&id.to_string())), "{ids:?} from {written}");
    let rt = &fixture::types().group;
    match resource::create(rt, body.rest) {
        Ok(accepted) => patch::check_stored(rt, &accepted.resource),
        Err(error) => check_refusal(&error),
    }
}

fn check_patch(body: &[u8]) {
    let changes = match patches::parse(body).and_then(groups::lower) {
        Ok(changes) => changes,
        Err(error) => return check_refusal(&error),
    };
    check_changes(&changes);
    let rt = &fixture::types().group;
    let mut resource = fixture::group().clone();
    for change in changes {
        let Change::Attribute(operation) = change else { continue };
        // Nothing of the members is left in it.
        let again = groups::lower(vec![operation.clone()]);
        assert_eq!(again.as_deref(), Ok(&[Change::Attribute(operation.clone())][..]));
        let operations = [operation];
        if let Some(after) = patch::check(rt, &resource, &operations) {
            resource = after;
        }
    }
}

/// Each id once, and filters that a filter takes.
pub(crate) fn check_changes(changes: &[Change]) {
    for change in changes {
        match change {
            Change::Attribute(_) => {}
            Change::AddMembers(ids) | Change::RemoveMembers(ids) => {
                assert!(!ids.is_empty());
                assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{change:?}");
            }
            Change::ReplaceMembers(ids) => {
                assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{change:?}");
            }
            Change::RemoveMembersWhere(inner) => {
                let text = format!("members[{inner}]");
                match filter::parse(scim::schema::group(), &text) {
                    Ok(filter) => assert!(matches!(filter, filter::Filter::ValuePath { .. }), "{text:?}"),
                    // Brackets may be all that is too much.
                    Err(error) => assert!(
                        text.len() > filter::MAX_LENGTH || error.detail.contains("levels of nesting"),
                        "{text:?}: {error}"
                    ),
                }
            }
        }
    }
}
