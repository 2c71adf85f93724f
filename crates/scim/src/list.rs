//! Query parameters of lists: RFC 7644 section 3.4.2.

use crate::Error;

/// The largest page, `filter.maxResults`.
pub const MAX_RESULTS: u32 = 1000;
/// The page where `count` is absent.
pub const DEFAULT_COUNT: u32 = 100;

/// The parameters of a list, clamped as the RFC says. Unknown parameters are ignored, empty ones are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ListParams {
    pub filter: Option<String>,
    pub sort_by: Option<String>,
    pub descending: bool,
    /// At least 1.
    pub start_index: i64,
    /// 0 to [`MAX_RESULTS`].
    pub count: u32,
    pub attributes: Option<String>,
    pub excluded_attributes: Option<String>,
}

impl ListParams {
    /// From decoded query pairs (`+` already a space). Names are matched case-insensitively.
    pub fn from_query<'a>(_pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        todo!()
    }
}
