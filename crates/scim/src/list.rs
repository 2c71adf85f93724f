//! Query parameters of lists: RFC 7644 section 3.4.2, RFC 9865 section 2.

use crate::{Error, ErrorKind};

/// The largest page, `filter.maxResults`.
pub const MAX_RESULTS: u32 = 1000;
/// The page where `count` is absent.
pub const DEFAULT_COUNT: u32 = 100;
/// Seconds that a cursor is good for, `pagination.cursorTimeout`.
pub const CURSOR_TIMEOUT: u32 = 3600;

const NAMES: [&str; 8] =
    ["filter", "sortby", "sortorder", "startindex", "count", "cursor", "attributes", "excludedattributes"];

/// The parameters of a list, clamped as the RFC says. Unknown parameters are ignored, empty ones are absent but for
/// `cursor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListParams {
    /// Filter text.
    pub filter: Option<String>,
    /// Attribute path.
    pub sort_by: Option<String>,
    /// `sortOrder` is `descending`.
    pub descending: bool,
    /// At least 1.
    pub start_index: i64,
    /// 0 to [`MAX_RESULTS`].
    pub count: u32,
    /// Pages by cursor; empty: the first one. Absent: by index, the default method (RFC 9865 section 2.4).
    pub cursor: Option<String>,
    /// Comma-separated paths.
    pub attributes: Option<String>,
    /// Comma-separated paths.
    pub excluded_attributes: Option<String>,
}

impl Default for ListParams {
    fn default() -> Self {
        Self {
            filter: None,
            sort_by: None,
            descending: false,
            start_index: 1,
            count: DEFAULT_COUNT,
            cursor: None,
            attributes: None,
            excluded_attributes: None,
        }
    }
}

impl ListParams {
    /// From decoded query pairs (`+` already a space). Names are matched case-insensitively. One that comes twice is 400
    /// `invalidSyntax`; a number that is none, or an unknown `sortOrder`, is 400 `invalidValue`.
    ///
    /// With a cursor, a `count` that is no number or above [`MAX_RESULTS`] is 400 `invalidCount` (RFC 9865 section 2.1),
    /// and a `startIndex` above 1, which asks for the other method, is 400 `invalidValue`.
    pub fn from_query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut params = Self::default();
        let mut asked = None;
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in pairs {
            let name = name.to_ascii_lowercase();
            if seen.contains(&name) {
                let detail = format!("The parameter {name} stands twice. Send it once.");
                return Err(Error::new(ErrorKind::InvalidSyntax, detail));
            }
            if NAMES.contains(&name.as_str()) {
                seen.push(name.clone());
            }
            if name == "cursor" {
                params.cursor = Some(value.to_owned());
            }
            if value.is_empty() {
                continue;
            }
            match name.as_str() {
                "filter" => params.filter = Some(value.to_owned()),
                "sortby" => params.sort_by = Some(value.to_owned()),
                "sortorder" => params.descending = descending(value)?,
                "startindex" => params.start_index = integer("startIndex", value)?.max(1),
                "count" => asked = Some(integer("count", value)),
                "attributes" => params.attributes = Some(value.to_owned()),
                "excludedattributes" => params.excluded_attributes = Some(value.to_owned()),
                _ => {}
            }
        }
        match (asked, &params.cursor) {
            (Some(asked), None) => params.count = count(asked?),
            (Some(Ok(asked)), Some(_)) if asked <= i64::from(MAX_RESULTS) => params.count = count(asked),
            (Some(_), Some(_)) => {
                let detail = format!("With a cursor, count must be a whole number from 0 to {MAX_RESULTS}.");
                return Err(Error::new(ErrorKind::InvalidCount, detail));
            }
            (None, _) => {}
        }
        if params.cursor.is_some() && params.start_index > 1 {
            return Err(invalid("startIndex and cursor are two ways to page. Send only one of them."));
        }
        Ok(params)
    }
}

fn count(value: i64) -> u32 {
    u32::try_from(value.clamp(0, i64::from(MAX_RESULTS))).unwrap_or(MAX_RESULTS)
}

fn descending(value: &str) -> Result<bool, Error> {
    if value.eq_ignore_ascii_case("descending") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("ascending") {
        Ok(false)
    } else {
        Err(invalid("sortOrder must be `ascending` or `descending`."))
    }
}

/// A number past i64 is the nearest i64: it means "very many".
fn integer(name: &str, value: &str) -> Result<i64, Error> {
    let digits = value.trim().strip_prefix(['-', '+']).unwrap_or(value.trim());
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid(format!("{name} must be a whole number.")));
    }
    let limit = if value.trim().starts_with('-') { i64::MIN } else { i64::MAX };
    Ok(value.trim().parse().unwrap_or(limit))
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<ListParams, Error> {
        ListParams::from_query(pairs.iter().copied())
    }

    #[test]
    fn numbers_are_clamped_as_the_rfc_says() {
        for (pair, start_index, count) in [
            (("startIndex", "0"), 1, 100),
            (("startIndex", "-5"), 1, 100),
            (("STARTINDEX", "7"), 7, 100),
            (("startIndex", "99999999999999999999"), i64::MAX, 100),
            (("count", "-1"), 1, 0),
            (("count", "0"), 1, 0),
            (("count", "5000"), 1, 1000),
            (("count", ""), 1, 100),
            (("aadOptscim062020", "x"), 1, 100),
        ] {
            let params = parse(&[pair]).unwrap();
            assert_eq!((params.start_index, params.count), (start_index, count), "{pair:?}");
        }
    }

    #[test]
    fn a_cursor_may_be_empty_and_is_strict_about_count() {
        assert_eq!(parse(&[("count", "10")]).unwrap().cursor, None);
        for (pairs, cursor, count) in [
            (vec![("cursor", "")], "", 100),
            (vec![("count", "10"), ("Cursor", "VZUTiyhEQJ94IR")], "VZUTiyhEQJ94IR", 10),
            (vec![("cursor", ""), ("count", "-1")], "", 0),
            (vec![("cursor", ""), ("count", "1000"), ("startIndex", "1")], "", 1000),
        ] {
            let params = parse(&pairs).unwrap();
            assert_eq!((params.cursor.as_deref(), params.count), (Some(cursor), count), "{pairs:?}");
        }
        for (other, kind) in [
            (("count", "1001"), ErrorKind::InvalidCount),
            (("count", "ten"), ErrorKind::InvalidCount),
            (("startIndex", "2"), ErrorKind::InvalidValue),
        ] {
            assert_eq!(parse(&[other, ("cursor", "")]).unwrap_err().kind, kind, "{other:?}");
            assert_eq!(parse(&[("cursor", ""), other]).unwrap_err().kind, kind, "{other:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        assert!(parse(&[("filter", "a"), ("Filter", "b")]).unwrap_err().detail.contains("twice"));
        assert!(parse(&[("x", "a"), ("x", "b")]).is_ok());
        for (name, value) in [("count", "ten"), ("startIndex", "1.5"), ("count", "-"), ("sortOrder", "up")] {
            let error = parse(&[(name, value)]).unwrap_err();
            assert!(error.detail.contains(name), "{error}");
        }
    }
}
