//! Stored form to response body. Without a projection the stored bytes are spliced, not parsed.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{Error, ErrorKind, Object, ResourceType, project::Projection, schema};

/// What the stored form does not hold.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The resource's id.
    pub id: Uuid,
    /// `meta.created`.
    pub created: Timestamp,
    /// `meta.lastModified`.
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
    /// False: through nesting only.
    pub direct: bool,
}

/// A member is exactly value, $ref and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the two resource types")]
pub enum MemberKind {
    User,
    Group,
}

/// Appends a whole user.
pub fn user(
    stored: &[u8],
    head: &Head<'_>,
    groups: &[GroupRef],
    projection: &Projection,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let groups = (!groups.is_empty()).then(|| groups.iter().map(|g| group_ref(g, head.base_url)).collect());
    resource(schema::user(), stored, head, groups.map(|g| ("groups", g)), projection, out)?;
    out.push(b'}');
    Ok(())
}

/// Appends a group up to its members. With `members`, the next calls are [`member`]s and then [`group_close`].
/// Without, only [`group_close`].
pub fn group_open(
    stored: &[u8],
    head: &Head<'_>,
    members: bool,
    projection: &Projection,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    resource(schema::group(), stored, head, None, projection, out)?;
    if members {
        out.extend_from_slice(b",\"members\":[");
    }
    Ok(())
}

/// Appends one member, with a comma before it unless it is the first. Sub-attributes the projection hides are left out.
pub fn member(id: Uuid, kind: MemberKind, base_url: &str, first: bool, projection: &Projection, out: &mut Vec<u8>) {
    if !first {
        out.push(b',');
    }
    let (name, endpoint) = match kind {
        MemberKind::User => ("User", "Users"),
        MemberKind::Group => ("Group", "Groups"),
    };
    if projection.is_default() {
        // base_url is a URL: nothing in it needs escaping.
        let text =
            format!("{{\"value\":\"{id}\",\"$ref\":\"{base_url}/{endpoint}/{id}\",\"type\":\"{name}\"}}");
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut shown = Map::new();
    for (sub, value) in
        [("value", id.to_string()), ("$ref", format!("{base_url}/{endpoint}/{id}")), ("type", name.to_owned())]
    {
        if projection.shows_sub("members", sub) {
            shown.insert(sub.to_owned(), value.into());
        }
    }
    out.extend_from_slice(Value::Object(shown).to_string().as_bytes());
}

/// Ends what [`group_open`] began.
pub fn group_close(members: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if members { b"]}" } else { b"}" });
}

/// Appends the ListResponse up to its Resources: `schemas`, `totalResults`, `startIndex`, `itemsPerPage` (numbers).
/// The caller appends resources with commas between, then `]}`.
pub fn list_open(total: i64, start_index: i64, items: usize, out: &mut Vec<u8>) {
    let text = format!(
        "{{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:ListResponse\"],\"totalResults\":{total},\
         \"startIndex\":{start_index},\"itemsPerPage\":{items},\"Resources\":["
    );
    out.extend_from_slice(text.as_bytes());
}

/// Everything but the closing brace.
fn resource(
    rt: &ResourceType,
    stored: &[u8],
    head: &Head<'_>,
    extra: Option<(&str, Value)>,
    projection: &Projection,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let meta = meta(rt, head);
    if projection.is_default() {
        let (schemas, rest) = split_schemas(stored).ok_or_else(corrupt)?;
        out.extend_from_slice(schemas);
        out.extend_from_slice(format!(",\"id\":\"{}\"", head.id).as_bytes());
        out.extend_from_slice(rest);
        if let Some((name, value)) = extra {
            out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        }
        out.extend_from_slice(format!(",\"meta\":{meta}").as_bytes());
        return Ok(());
    }
    let stored: Object = serde_json::from_slice(stored).map_err(|_| corrupt())?;
    let mut whole = Object::new();
    for (name, value) in stored {
        let first = whole.is_empty();
        whole.insert(name, value);
        if first {
            whole.insert("id".to_owned(), head.id.to_string().into());
        }
    }
    if let Some((name, value)) = extra {
        whole.insert(name.to_owned(), value);
    }
    whole.insert("meta".to_owned(), meta);
    projection.apply(rt, &mut whole);
    let mut text = Value::Object(whole).to_string().into_bytes();
    // `id` is always shown, so the object is not empty.
    text.pop();
    out.extend_from_slice(&text);
    Ok(())
}

/// `{"schemas":[...]` and what follows up to the last brace. URNs hold no bracket.
fn split_schemas(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = stored.starts_with(b"{\"schemas\":[").then(|| stored.iter().position(|b| *b == b']'))??;
    let (schemas, rest) = stored.split_at(end + 1);
    Some((schemas, rest.strip_suffix(b"}")?))
}

fn meta(rt: &ResourceType, head: &Head<'_>) -> Value {
    json!({
        "resourceType": rt.name,
        "created": head.created.to_string(),
        "lastModified": head.last_modified.to_string(),
        "location": format!("{}{}/{}", head.base_url, rt.endpoint, head.id),
        "version": head.version,
    })
}

fn group_ref(group: &GroupRef, base_url: &str) -> Value {
    json!({
        "value": group.id.to_string(),
        "$ref": format!("{base_url}/Groups/{}", group.id),
        "display": group.display,
        "type": if group.direct { "direct" } else { "indirect" },
    })
}

fn corrupt() -> Error {
    Error::new(ErrorKind::Internal, "A stored resource cannot be read.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"kit","active":true}"#;
    const BASE: &str = "https://x/scim/v2";

    fn head() -> Head<'static> {
        Head {
            id: Uuid::from_u128(7),
            created: Timestamp::UNIX_EPOCH,
            last_modified: Timestamp::UNIX_EPOCH,
            version: "W/\"1\"",
            base_url: BASE,
        }
    }

    fn groups() -> Vec<GroupRef> {
        vec![GroupRef { id: Uuid::from_u128(9), display: "a \"quoted\" name".to_owned(), direct: false }]
    }

    fn rendered(projection: &Projection) -> Value {
        let mut out = Vec::new();
        user(STORED.as_bytes(), &head(), &groups(), projection, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn splicing_and_parsing_give_the_same() {
        let spliced = rendered(&Projection::default());
        assert_eq!(spliced["id"], "00000000-0000-0000-0000-000000000007");
        assert_eq!(spliced["groups"][0]["type"], "indirect");
        assert_eq!(spliced["groups"][0]["display"], "a \"quoted\" name");
        assert_eq!(spliced["meta"]["location"], format!("{BASE}/Users/00000000-0000-0000-0000-000000000007"));
        assert_eq!(spliced["meta"]["created"], "1970-01-01T00:00:00Z");
        let parsed = rendered(&Projection::parse(schema::user(), None, Some("title")).unwrap());
        assert_eq!(spliced, parsed);
    }

    #[test]
    fn a_group_is_written_around_its_members() {
        let stored = br#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Ops"}"#;
        let projection = Projection::default();
        let mut out = Vec::new();
        group_open(stored, &head(), true, &projection, &mut out).unwrap();
        member(Uuid::from_u128(1), MemberKind::User, BASE, true, &projection, &mut out);
        member(Uuid::from_u128(2), MemberKind::Group, BASE, false, &projection, &mut out);
        group_close(true, &mut out);
        let group: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            group["members"],
            json!([
                {"value": Uuid::from_u128(1), "$ref": format!("{BASE}/Users/{}", Uuid::from_u128(1)), "type": "User"},
                {"value": Uuid::from_u128(2), "$ref": format!("{BASE}/Groups/{}", Uuid::from_u128(2)), "type": "Group"},
            ])
        );
        assert_eq!(group["displayName"], "Ops");
    }
}
