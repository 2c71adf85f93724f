//! Entity tags: RFC 7644 section 3.14, RFC 9110 section 13.1.

use crate::{Error, ErrorKind, render::GroupRef};

/// A user's tag: its version and, where it is in groups, a digest of them; `W/"3"`, `W/"3-9f86d0819f86d081"`. A
/// membership change alters what a GET returns and so the tag, but not the version that `If-Match` compares.
pub fn user(version: i64, groups: &[GroupRef]) -> String {
    if groups.is_empty() {
        return group(version);
    }
    format!("W/\"{version}-{:016x}\"", digest(groups))
}

/// A group's tag.
pub fn group(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// FNV-1a over what is shown of the groups, in any order.
fn digest(groups: &[GroupRef]) -> u64 {
    groups
        .iter()
        .map(|group| {
            let bytes = group.id.as_bytes().iter().chain(group.display.as_bytes()).copied();
            bytes
                .chain([u8::from(group.direct)])
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        })
        .fold(0, u64::wrapping_add)
}

/// `If-Match`: `Ok(None)` absent; `Some(vec![])` for `*`; else the versions that tags name, foreign tags left out (a
/// list of only foreign tags is `Some(vec![-1])`, which no version equals). Malformed: 400 `invalidValue`; `invalidVers`
/// is about the version of the protocol (RFC 7644 table 9).
///
/// Weak tags match: RFC 7644 section 3.14 uses them with If-Match.
pub fn if_match(header: Option<&str>) -> Result<Option<Vec<i64>>, Error> {
    let Some(header) = header.map(str::trim) else {
        return Ok(None);
    };
    if header == "*" {
        return Ok(Some(Vec::new()));
    }
    let mut versions = Vec::new();
    for tag in tags(header) {
        let opaque = tag.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidValue,
                "If-Match (and `version` in a bulk operation) must be `*` or entity tags such as W/\"3\", as \
                 meta.version has them.",
            )
        })?;
        versions.extend(number(opaque));
    }
    if versions.is_empty() {
        versions.push(-1);
    }
    Ok(Some(versions))
}

/// `If-None-Match`: whether the current tag is among those named (weak comparison), or `*` is.
pub fn none_match(header: Option<&str>, current: &str) -> bool {
    let Some(header) = header.map(str::trim) else { return false };
    let current = tags(current).next().flatten();
    header == "*" || (current.is_some() && tags(header).any(|tag| tag == current))
}

/// The version that a tag names, as `If-Match` compares it: a user's groups do not count. `None`: it is no tag of ours.
pub fn version(tag: &str) -> Option<i64> {
    let mut tags = tags(tag);
    let only = tags.next().flatten().filter(|_| tags.next().is_none())?;
    number(only)
}

fn number(opaque: &str) -> Option<i64> {
    opaque.split('-').next().unwrap_or_default().parse().ok().filter(|version| *version >= 0)
}

/// The opaque parts of a comma-separated list of tags; `None` for one that is malformed.
fn tags(header: &str) -> impl Iterator<Item = Option<&str>> {
    header.split(',').map(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let opaque = tag.strip_prefix('"')?.strip_suffix('"')?;
        (!opaque.contains('"')).then_some(opaque)
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn group_ref(n: u128, display: &str) -> GroupRef {
        GroupRef { id: Uuid::from_u128(n), display: display.to_owned(), direct: true }
    }

    #[test]
    fn a_users_tag_follows_its_groups_in_any_order() {
        let (a, b) = (group_ref(1, "Ops"), group_ref(2, "Dev"));
        assert_eq!(user(3, &[]), "W/\"3\"");
        assert_eq!(user(3, &[a.clone(), b.clone()]), user(3, &[b.clone(), a.clone()]));
        assert_ne!(user(3, std::slice::from_ref(&a)), user(3, &[b]));
        assert_ne!(user(3, &[a]), user(3, &[group_ref(1, "Renamed")]));
    }

    #[test]
    fn if_match_names_versions() {
        let tag = user(3, &[group_ref(1, "Ops")]);
        assert_eq!(if_match(None).unwrap(), None);
        assert_eq!(if_match(Some("*")).unwrap(), Some(vec![]));
        assert_eq!(if_match(Some(&tag)).unwrap(), Some(vec![3]));
        assert_eq!(if_match(Some("W/\"3\", \"4\"")).unwrap(), Some(vec![3, 4]));
        assert_eq!(if_match(Some("\"abc\"")).unwrap(), Some(vec![-1]));
        assert_eq!(if_match(Some("3")).unwrap_err().kind, ErrorKind::InvalidValue);
    }

    #[test]
    fn a_tag_names_a_version() {
        assert_eq!(version(&user(3, &[group_ref(1, "Ops")])), Some(3));
        for (tag, named) in [
            ("W/\"7\"", Some(7)),
            ("\"7\"", Some(7)),
            ("7", None),
            ("W/\"x\"", None),
            ("W/\"7\", W/\"8\"", None),
            ("", None),
        ] {
            assert_eq!(version(tag), named, "{tag}");
        }
    }

    #[test]
    fn if_none_match_compares_the_whole() {
        assert!(none_match(Some("W/\"3\""), "W/\"3\""));
        assert!(none_match(Some("\"1\", \"3\""), "W/\"3\""));
        assert!(none_match(Some("*"), "W/\"3\""));
        assert!(!none_match(Some("W/\"3\""), "W/\"3-0123\""));
        assert!(!none_match(None, "W/\"3\""));
    }
}
