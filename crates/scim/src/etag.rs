//! Entity tags: RFC 7644 section 3.14, RFC 9110 section 13.1.

use crate::{Error, render::GroupRef};

/// A user's tag: its version and, where it is in groups, a digest of them; `W/"3"`, `W/"3-9f86d081"`.
pub fn user(_version: i64, _groups: &[GroupRef]) -> String {
    todo!()
}
/// A group's tag.
pub fn group(_version: i64) -> String {
    todo!()
}

/// `If-Match`: `Ok(None)` absent; `Some(vec![])` for `*`; else the versions that tags name, foreign tags left out (a
/// list of only foreign tags is `Some(vec![-1])`, which no version equals). Malformed: 400.
pub fn if_match(_header: Option<&str>) -> Result<Option<Vec<i64>>, Error> {
    todo!()
}
/// `If-None-Match`: whether the current tag is among those named (weak comparison), or `*` is.
pub fn none_match(_header: Option<&str>, _current: &str) -> bool {
    todo!()
}
