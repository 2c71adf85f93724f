//! Pages: RFC 7644 section 3.4.2 and RFC 9865 as this service takes them.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::OrgId;

/// The largest page.
pub(crate) const LARGEST_PAGE: u32 = 1000;
/// The page where none is asked for.
pub(crate) const DEFAULT_PAGE: u32 = 100;

/// Whose resources a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    User,
    Group,
}

/// A list request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListQuery {
    /// SCIM filter; absent: all.
    pub(crate) filter: Option<String>,
    /// Attribute path; absent: by id.
    pub(crate) sort_by: Option<String>,
    pub(crate) descending: bool,
    /// Resources before the page. Not used with a cursor.
    pub(crate) offset: i64,
    /// 0 to [`LARGEST_PAGE`]; 0: the total only.
    pub(crate) limit: u32,
    /// Absent: pages by index. Empty: the first page by cursor.
    pub(crate) cursor: Option<String>,
    /// What the URIs of resources begin with; absent: no filter can be on one.
    pub(crate) base_url: Option<String>,
}

/// A resource in an ordered list, whether it still exists or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) target: Target,
    /// What the list is sorted by, as text; absent where the attribute is, and in a list by id.
    pub(crate) sort_key: Option<String>,
    pub(crate) id: Uuid,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// After so many resources.
    Rank(i64),
    /// By index, but after this one, which ended the page before.
    Continued {
        offset: i64,
        after: Position,
    },
    Cursor(Edge),
}

/// Where a page by cursor begins, and which way it goes from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The resource that the page comes after, or before; absent: from the beginning, or the end, of the list.
    pub(crate) from: Option<Position>,
    pub(crate) backwards: bool,
}

/// The ends of a page, and whether the list goes on there. By index only the last resource counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) first: Option<Position>,
    pub(crate) last: Option<Position>,
    pub(crate) before: bool,
    pub(crate) after: bool,
}

impl Ends {
    /// Where the page before this one begins, if there is one. Before an empty page stands all there is.
    pub(crate) fn previous(&self) -> Option<Edge> {
        self.before.then(|| Edge { from: self.first.clone(), backwards: true })
    }

    /// Where the next page begins, if there is one.
    pub(crate) fn next(&self) -> Option<Edge> {
        self.after.then(|| Edge { from: self.last.clone(), backwards: false })
    }
}

/// A page of a list.
#[derive(Clone, Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: i64,
    pub(crate) cursors: Cursors,
}

/// RFC 9865 as a page has it; none for pages by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursors {
    /// Absent: the first page.
    pub(crate) previous: Option<String>,
    /// Absent: the last page.
    pub(crate) next: Option<String>,
}

/// What makes two requests ask for the same list: organization, resource type, filter and order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListDigest(pub(crate) [u8; 32]);

impl ListDigest {
    /// `filter` and `sort_by` in canonical form.
    pub(crate) fn new(
        org: OrgId,
        resource_type: &str,
        filter: Option<&str>,
        sort_by: Option<&str>,
        descending: bool,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"rollcall list 2");
        hash.update(org.0.as_bytes());
        hash.update([u8::from(descending)]);
        for text in [Some(resource_type), filter, sort_by] {
            hash.update([u8::from(text.is_some())]);
            let text = text.unwrap_or_default();
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Self(hash.finalize().into())
    }

    /// Of a list made of several, some of which have nothing to give.
    pub(crate) fn of_parts(org: OrgId, parts: [Option<&Self>; 2]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"rollcall joint list 1");
        hash.update(org.0.as_bytes());
        for part in parts {
            hash.update([u8::from(part.is_some())]);
            hash.update(part.map_or([0; 32], |part| part.0));
        }
        Self(hash.finalize().into())
    }
}

impl ListQuery {
    /// `start_index` below 1 is 1; a `count` over the largest page is the largest page.
    pub(crate) fn new(filter: String, sort_by: String, descending: bool, start_index: i64, count: Option<u32>) -> Self {
        let given = |text: String| (!text.is_empty()).then_some(text);
        Self {
            filter: given(filter),
            sort_by: given(sort_by),
            descending,
            offset: start_index.max(1) - 1,
            limit: count.unwrap_or(DEFAULT_PAGE).min(LARGEST_PAGE),
            cursor: None,
            base_url: None,
        }
    }
}

/// The size of a keyset page: 0 is `default`.
pub(crate) fn page_size(asked: u32, default: u32) -> u32 {
    if asked == 0 { default } else { asked.min(LARGEST_PAGE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_told_from_every_other() {
        let org = OrgId(Uuid::from_u128(1));
        let all = [
            ListDigest::new(org, "User", None, None, false),
            ListDigest::new(OrgId(Uuid::from_u128(2)), "User", None, None, false),
            ListDigest::new(org, "Group", None, None, false),
            ListDigest::new(org, "User", Some("title pr"), None, false),
            ListDigest::new(org, "User", None, Some("title pr"), false),
            ListDigest::new(org, "User", Some("a"), Some("b"), false),
            ListDigest::new(org, "User", Some("ab"), Some(""), false),
            ListDigest::new(org, "User", Some("ab"), None, false),
            ListDigest::new(org, "User", None, None, true),
        ];
        let parts = |user: Option<usize>, group: Option<usize>| {
            ListDigest::of_parts(org, [user.map(|n| &all[n]), group.map(|n| &all[n])])
        };
        let joint = [parts(Some(0), Some(2)), parts(Some(0), None), parts(None, Some(0)), parts(None, None)];
        let all: Vec<ListDigest> = all.into_iter().chain(joint).collect();
        for (n, one) in all.iter().enumerate() {
            assert!(all[..n].iter().all(|other| other != one), "{n}");
        }
    }

    #[test]
    fn parameters_are_clamped() {
        let query = |start, count| ListQuery::new(String::new(), String::new(), false, start, count);
        assert_eq!((query(0, None).offset, query(0, None).limit), (0, 100));
        assert_eq!((query(-7, Some(0)).offset, query(-7, Some(0)).limit), (0, 0));
        assert_eq!((query(101, Some(5000)).offset, query(101, Some(5000)).limit), (100, 1000));
        assert_eq!(query(1, None).filter, None);
        assert_eq!((page_size(0, 100), page_size(7, 100), page_size(9999, 100)), (100, 7, 1000));
    }
}
