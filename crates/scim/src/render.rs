//! Stored form to response body. Without a projection the stored bytes are spliced, not parsed.

use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Error, ErrorKind, Object, ResourceType, project::Projection};

/// What the stored form does not hold.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The resource's id.
    pub id: Uuid,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub last_modified: Timestamp,
    /// The ETag, e.g. `W/"3"`.
    pub version: &'a str,
    /// The SCIM base URL, without a slash at the end.
    pub base_url: &'a str,
}

/// A group that a user is in.
#[derive(Clone, Debug)]
pub struct GroupRef {
    /// The group's id.
    pub id: Uuid,
    /// Its displayName.
    pub display: String,
    /// A member itself, not through another group.
    pub direct: bool,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A user.
    User,
    /// A nested group.
    Group,
}

impl MemberKind {
    fn name_and_endpoint(self) -> (&'static str, &'static str) {
        match self {
            Self::User => ("User", "/Users/"),
            Self::Group => ("Group", "/Groups/"),
        }
    }
}

/// Appends a whole user, of the organization's own resource type. `groups` is left out where there are none.
pub fn user(
    rt: &ResourceType,
    stored: &[u8],
    head: &Head<'_>,
    groups: &[GroupRef],
    projection: &Projection,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    resource(rt, stored, head, groups, projection, out)?;
    out.push(b'}');
    Ok(())
}

/// Appends a group of the organization's own resource type, up to its members. With `members`, the next calls are [`member`]s and then [`group_close`].
/// Without, only [`group_close`].
pub fn group_open(
    rt: &ResourceType,
    stored: &[u8],
    head: &Head<'_>,
    members: bool,
    projection: &Projection,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    resource(rt, stored, head, &[], projection, out)?;
    if members {
        out.extend_from_slice(b",\"members\":[");
    }
    Ok(())
}

/// Appends one member, with a comma before it unless it is the first. Sub-attributes the projection hides are left
/// out, but never all of them: then `value` stays.
pub fn member(id: Uuid, kind: MemberKind, base_url: &str, first: bool, projection: &Projection, out: &mut Vec<u8>) {
    let shows = |sub| projection.is_default() || projection.shows_sub("members", sub);
    let (show_ref, show_type) = (shows("$ref"), shows("type"));
    let (name, endpoint) = kind.name_and_endpoint();
    if !first {
        out.push(b',');
    }
    let start = out.len();
    if shows("value") || !(show_ref || show_type) {
        out.extend_from_slice(b",\"value\":");
        push_string(out, &[hyphenated(id, &mut Uuid::encode_buffer())]);
    }
    if show_ref {
        out.extend_from_slice(b",\"$ref\":");
        push_string(out, &[base_url, endpoint, hyphenated(id, &mut Uuid::encode_buffer())]);
    }
    if show_type {
        out.extend_from_slice(b",\"type\":");
        push_string(out, &[name]);
    }
    if let Some(comma) = out.get_mut(start) {
        *comma = b'{';
    }
    out.push(b'}');
}

/// Ends what [`group_open`] began.
pub fn group_close(members: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if members { b"]}" } else { b"}" });
}

/// Appends the ListResponse up to its Resources: `schemas`, `totalResults`, `startIndex`, `itemsPerPage` (numbers).
/// The caller appends resources with commas between, then `]}`.
pub fn list_open(total: i64, start_index: i64, items: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:ListResponse\"],\"totalResults\":");
    out.extend_from_slice(total.to_string().as_bytes());
    out.extend_from_slice(b",\"startIndex\":");
    out.extend_from_slice(start_index.to_string().as_bytes());
    out.extend_from_slice(b",\"itemsPerPage\":");
    out.extend_from_slice(items.to_string().as_bytes());
    out.extend_from_slice(b",\"Resources\":[");
}

/// The same for a page by cursor, RFC 9865 section 2: no `startIndex`; `previousCursor` unless it is the first page,
/// `nextCursor` unless it is the last.
pub fn cursor_list_open(total: i64, previous: Option<&str>, next: Option<&str>, items: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:ListResponse\"],\"totalResults\":");
    out.extend_from_slice(total.to_string().as_bytes());
    out.extend_from_slice(b",\"itemsPerPage\":");
    out.extend_from_slice(items.to_string().as_bytes());
    for (name, cursor) in [("previousCursor", previous), ("nextCursor", next)] {
        if let Some(cursor) = cursor {
            out.push(b',');
            push_string(out, &[name]);
            out.push(b':');
            push_string(out, &[cursor]);
        }
    }
    out.extend_from_slice(b",\"Resources\":[");
}

/// A resource less its closing brace; never empty, since `schemas` and `id` are always returned.
fn resource(
    rt: &ResourceType,
    stored: &[u8],
    head: &Head<'_>,
    groups: &[GroupRef],
    projection: &Projection,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match (projection.is_default() && !rt.has_on_request(), split(stored)) {
        (true, Some((schemas, rest))) => {
            splice(rt, schemas, rest, head, groups, out);
            Ok(())
        }
        _ => rebuild(rt, stored, head, groups, projection, out),
    }
}

fn splice(rt: &ResourceType, schemas: &[u8], rest: &[u8], head: &Head<'_>, groups: &[GroupRef], out: &mut Vec<u8>) {
    let mut buffer = Uuid::encode_buffer();
    let id = hyphenated(head.id, &mut buffer);
    out.reserve(schemas.len() + rest.len() + 400 + groups.len() * 200);
    out.extend_from_slice(schemas);
    out.extend_from_slice(b",\"id\":");
    push_string(out, &[id]);
    out.extend_from_slice(rest);
    for (i, group) in groups.iter().enumerate() {
        let mut buffer = Uuid::encode_buffer();
        let id = hyphenated(group.id, &mut buffer);
        out.extend_from_slice(if i == 0 { b",\"groups\":[{\"value\":" } else { b",{\"value\":" });
        push_string(out, &[id]);
        out.extend_from_slice(b",\"$ref\":");
        push_string(out, &[head.base_url, "/Groups/", id]);
        out.extend_from_slice(b",\"display\":");
        push_string(out, &[&group.display]);
        out.extend_from_slice(if group.direct { b",\"type\":\"direct\"}" } else { b",\"type\":\"indirect\"}" });
    }
    if !groups.is_empty() {
        out.push(b']');
    }
    out.extend_from_slice(b",\"meta\":{\"resourceType\":");
    push_string(out, &[&rt.name]);
    // Writing to a Vec cannot fail.
    let _ = write!(out, ",\"created\":\"{}\",\"lastModified\":\"{}\",\"location\":", head.created, head.last_modified);
    push_string(out, &[head.base_url, &rt.endpoint, "/", id]);
    out.extend_from_slice(b",\"version\":");
    push_string(out, &[head.version]);
    out.push(b'}');
}

fn rebuild(
    rt: &ResourceType,
    stored: &[u8],
    head: &Head<'_>,
    groups: &[GroupRef],
    projection: &Projection,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let broken =
        || Error::new(ErrorKind::Internal, "The stored resource cannot be read; ask the operator to check it.");
    let mut object: Object = serde_json::from_slice(stored).map_err(|_| broken())?;
    let id = head.id.to_string();
    let after_schemas = usize::from(object.contains_key("schemas"));
    object.shift_insert(after_schemas, "id".to_owned(), Value::String(id.clone()));
    if !groups.is_empty() && projection.shows("groups") {
        let refs = groups.iter().map(|group| {
            json!({
                "value": group.id.to_string(),
                "$ref": format!("{}/Groups/{}", head.base_url, group.id),
                "display": group.display,
                "type": if group.direct { "direct" } else { "indirect" },
            })
        });
        object.insert("groups".to_owned(), Value::Array(refs.collect()));
    }
    let meta = json!({
        "resourceType": rt.name,
        "created": head.created.to_string(),
        "lastModified": head.last_modified.to_string(),
        "location": format!("{}{}/{id}", head.base_url, rt.endpoint),
        "version": head.version,
    });
    object.insert("meta".to_owned(), meta);
    projection.apply(rt, &mut object);
    serde_json::to_writer(&mut *out, &object).map_err(|_| broken())?;
    out.pop();
    Ok(())
}

/// The stored form as `{"schemas":[...]` and what follows less the closing brace.
fn split(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    const START: &[u8] = b"{\"schemas\":[";
    let list = stored.strip_prefix(START)?;
    let (mut quoted, mut escaped) = (false, false);
    let end = list.iter().position(|byte| {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b']') => return true,
            _ => {}
        }
        false
    })?;
    let (schemas, rest) = stored.split_at_checked(START.len() + end + 1)?;
    let rest = rest.strip_suffix(b"}")?;
    (rest.is_empty() || rest.starts_with(b",")).then_some((schemas, rest))
}

fn hyphenated(id: Uuid, buffer: &mut [u8; 45]) -> &str {
    id.hyphenated().encode_lower(buffer)
}

/// A JSON string of the parts one after another.
fn push_string(out: &mut Vec<u8>, parts: &[&str]) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    out.push(b'"');
    for part in parts {
        if part.bytes().all(plain) {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        for byte in part.bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0x00..0x20 => {
                    let _ = write!(out, "\\u{byte:04x}");
                }
                _ => out.push(byte),
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    const ID: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
    const STORED: &str =
        r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a]\"da","active":true}"#;

    fn head() -> Head<'static> {
        Head {
            id: ID,
            created: Timestamp::from_microsecond(1_769_848_200_123_456).expect("an instant"),
            last_modified: Timestamp::from_microsecond(1_769_848_201_000_000).expect("an instant"),
            version: "W/\"3\"",
            base_url: "https://scim.example/scim/v2",
        }
    }

    fn refs() -> Vec<GroupRef> {
        vec![
            GroupRef { id: Uuid::from_u128(7), display: "O\"ps\n\\é".to_owned(), direct: true },
            GroupRef { id: Uuid::from_u128(8), display: "All".to_owned(), direct: false },
        ]
    }

    fn user_text(stored: &str, groups: &[GroupRef], projection: &Projection) -> String {
        let mut out = b"> ".to_vec();
        user(schema::user(), stored.as_bytes(), &head(), groups, projection, &mut out).expect("a body");
        String::from_utf8(out).expect("text").split_off(2)
    }

    fn asked(attributes: &str) -> Projection {
        Projection::parse(schema::user(), Some(attributes), None).expect("a projection")
    }

    #[test]
    fn a_user_is_spliced() {
        assert_eq!(
            user_text(STORED, &[], &Projection::default()),
            concat!(
                r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"01920000-0000-7000-8000-000000000001","#,
                r#""userName":"a]\"da","active":true,"meta":{"resourceType":"User","created":"2026-01-31T08:30:00.123456Z","#,
                r#""lastModified":"2026-01-31T08:30:01Z","location":"https://scim.example/scim/v2/Users/"#,
                r#"01920000-0000-7000-8000-000000000001","version":"W/\"3\""}}"#
            )
        );
    }

    #[test]
    fn splicing_and_rebuilding_agree() {
        let everything = Projection::parse(schema::user(), None, Some("nope")).expect("a projection");
        assert!(!everything.is_default());
        for stored in [STORED, r#"{"schemas":[]}"#, r#"{"schemas":["a]\"]\\"],"userName":"x"}"#] {
            for groups in [Vec::new(), refs()] {
                let spliced = user_text(stored, &groups, &Projection::default());
                let parsed: Value = serde_json::from_str(&spliced).expect("JSON");
                // As text again: the order of the members counts, the way a newline is escaped does not.
                assert_eq!(parsed.to_string(), user_text(stored, &groups, &everything));
                assert_eq!(parsed.get("groups").is_some(), !groups.is_empty());
            }
        }
        let spaced = r#"{ "schemas": ["a"], "userName": "x" }"#;
        assert!(user_text(spaced, &[], &Projection::default()).starts_with(r#"{"schemas":["a"],"id":"#));
    }

    #[test]
    fn a_projection_is_applied() {
        assert_eq!(
            user_text(STORED, &refs(), &asked("userName")),
            r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"01920000-0000-7000-8000-000000000001","userName":"a]\"da"}"#
        );
        let groups: Value = serde_json::from_str(&user_text(STORED, &refs(), &asked("groups.display"))).expect("JSON");
        assert_eq!(groups.get("groups"), Some(&json!([{"display": "O\"ps\n\\é"}, {"display": "All"}])));
    }

    #[test]
    fn what_is_not_json_is_an_internal_error() {
        let mut out = Vec::new();
        let error = user(schema::user(), b"\x01", &head(), &[], &Projection::default(), &mut out).expect_err("broken");
        assert_eq!((error.kind, out.len()), (ErrorKind::Internal, 0));
    }

    #[test]
    fn a_group_and_its_members() {
        let stored = br#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Ops"}"#;
        let text = |members: Option<&[MemberKind]>, projection: &Projection| {
            let mut out = Vec::new();
            group_open(schema::group(), stored, &head(), members.is_some(), projection, &mut out).expect("a group");
            for (i, kind) in members.unwrap_or_default().iter().enumerate() {
                member(Uuid::from_u128(5), *kind, "https://x\"", i == 0, projection, &mut out);
            }
            group_close(members.is_some(), &mut out);
            serde_json::from_slice::<Value>(&out).expect("JSON")
        };
        let all = Projection::default();
        let id = Uuid::from_u128(5).to_string();
        let whole = text(Some(&[MemberKind::User, MemberKind::Group]), &all);
        assert_eq!(whole.pointer("/meta/resourceType"), Some(&json!("Group")));
        assert_eq!(
            whole.get("members"),
            Some(&json!([
                {"value": id, "$ref": format!("https://x\"/Users/{id}"), "type": "User"},
                {"value": id, "$ref": format!("https://x\"/Groups/{id}"), "type": "Group"}
            ]))
        );
        assert_eq!(text(Some(&[]), &all).get("members"), Some(&json!([])));
        assert_eq!(text(None, &all).get("members"), None);
        for (attributes, expected) in [
            ("members.value", json!([{"value": id}, {"value": id}])),
            ("members.type", json!([{"type": "User"}, {"type": "User"}])),
            ("members.display", json!([{"value": id}, {"value": id}])),
        ] {
            let projection = Projection::parse(schema::group(), Some(attributes), None).expect("a projection");
            let shown = text(Some(&[MemberKind::User, MemberKind::User]), &projection);
            assert_eq!(shown.get("members"), Some(&expected), "{attributes}");
            assert_eq!(shown.get("displayName"), None);
        }
    }

    #[test]
    fn a_list_has_numbers() {
        let mut out = Vec::new();
        list_open(12, 1, 2, &mut out);
        out.extend_from_slice(b"]}");
        let list: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(
            list,
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
                "totalResults": 12, "startIndex": 1, "itemsPerPage": 2, "Resources": []
            })
        );
    }

    #[test]
    fn a_page_by_cursor_has_no_index() {
        let shown = |previous, next| {
            let mut out = Vec::new();
            cursor_list_open(100, previous, next, 10, &mut out);
            out.extend_from_slice(b"]}");
            serde_json::from_slice::<Value>(&out).expect("JSON")
        };
        let mut page = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": 100, "itemsPerPage": 10, "Resources": []
        });
        assert_eq!(shown(None, None), page);
        page["nextCursor"] = "VZUTiyhEQJ94IR".into();
        assert_eq!(shown(None, Some("VZUTiyhEQJ94IR")), page);
        page["previousCursor"] = "ze7L30kMiiLX6x".into();
        assert_eq!(shown(Some("ze7L30kMiiLX6x"), Some("VZUTiyhEQJ94IR")), page);
    }
}
