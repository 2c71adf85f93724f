//! Pages: RFC 7644 section 3.4.2 as this service takes it.

/// The largest page.
pub(crate) const LARGEST_PAGE: u32 = 1000;
/// The page where none is asked for.
pub(crate) const DEFAULT_PAGE: u32 = 100;

/// A list request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListQuery {
    /// SCIM filter; absent: all.
    pub(crate) filter: Option<String>,
    /// Attribute path; absent: by id.
    pub(crate) sort_by: Option<String>,
    pub(crate) descending: bool,
    /// Resources to skip.
    pub(crate) offset: i64,
    /// 0 to [`LARGEST_PAGE`]; 0: the total only.
    pub(crate) limit: u32,
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
    fn parameters_are_clamped() {
        let query = |start, count| ListQuery::new(String::new(), String::new(), false, start, count);
        assert_eq!((query(0, None).offset, query(0, None).limit), (0, 100));
        assert_eq!((query(-7, Some(0)).offset, query(-7, Some(0)).limit), (0, 0));
        assert_eq!((query(101, Some(5000)).offset, query(101, Some(5000)).limit), (100, 1000));
        assert_eq!(query(1, None).filter, None);
        assert_eq!((page_size(0, 100), page_size(7, 100), page_size(9999, 100)), (100, 7, 1000));
    }
}
