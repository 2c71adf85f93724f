//! `/.search`: the parameters of a list in a body, RFC 7644 section 3.4.3.

use serde_json::Value;

use crate::{Error, ErrorKind, json, list::ListParams};

/// `schemas` of a request.
pub const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// Reads a SearchRequest: names in any case, `attributes` and `excludedAttributes` as arrays (or as the one text that a
/// query has), numbers as numbers. Unknown members are ignored, null is absent. 400 `invalidSyntax` for what is no
/// object, 400 `invalidValue` for a member of the wrong type; else as [`ListParams::from_query`].
pub fn parse(body: &[u8]) -> Result<ListParams, Error> {
    let mut pairs = Vec::new();
    for (name, value) in json::parse_object(body)? {
        match name.to_ascii_lowercase().as_str() {
            "schemas" => check_schemas(&value)?,
            "attributes" | "excludedattributes" => pairs.extend(names(&name, value)?.map(|value| (name, value))),
            "filter" | "sortby" | "sortorder" | "cursor" => match value {
                Value::Null => {}
                Value::String(text) => pairs.push((name, text)),
                _ => return Err(invalid(format!("{name} must be a string."))),
            },
            "startindex" | "count" => match value {
                Value::Null => {}
                Value::String(text) => pairs.push((name, text)),
                Value::Number(number) => pairs.push((name, number.to_string())),
                _ => return Err(invalid(format!("{name} must be a whole number."))),
            },
            _ => {}
        }
    }
    ListParams::from_query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn names(name: &str, value: Value) -> Result<Option<String>, Error> {
    let wrong = || invalid(format!("{name} must be an array of attribute names."));
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Array(names) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            Ok(Some(names.ok_or_else(wrong)?.join(",")))
        }
        _ => Err(wrong()),
    }
}

fn check_schemas(schemas: &Value) -> Result<(), Error> {
    let is_search = |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(REQUEST));
    let ok = match schemas {
        Value::Null => true,
        Value::Array(urns) => urns.is_empty() || urns.iter().any(is_search),
        other => is_search(other),
    };
    if ok { Ok(()) } else { Err(invalid(format!("`schemas` of a search must contain \"{REQUEST}\"."))) }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, detail)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<ListParams, Error> {
        parse(body.to_string().as_bytes())
    }

    #[test]
    fn a_body_says_what_a_query_says() {
        // RFC 7644 figure 4.
        let params = read(&json!({
            "schemas": [REQUEST],
            "attributes": ["displayName", "userName"],
            "filter": "displayName sw \"smith\"",
            "startIndex": 1,
            "count": 10
        }))
        .unwrap();
        let query = [
            ("attributes", "displayName,userName"),
            ("filter", "displayName sw \"smith\""),
            ("startIndex", "1"),
            ("count", "10"),
        ];
        assert_eq!(params, ListParams::from_query(query.into_iter()).unwrap());
        let all = json!({"ExcludedAttributes": ["a"], "sortBy": "id", "SORTORDER": "descending", "count": null, "x": {}});
        let query = [("excludedAttributes", "a"), ("sortBy", "id"), ("sortOrder", "descending")];
        assert_eq!(read(&all).unwrap(), ListParams::from_query(query.into_iter()).unwrap());
        assert_eq!(read(&json!({"cursor": ""})).unwrap().cursor.as_deref(), Some(""));
        assert_eq!(read(&json!({})).unwrap(), ListParams::default());
    }

    #[test]
    fn what_has_the_wrong_type_is_refused_by_name() {
        for (body, hint) in [
            (json!({"attributes": [1]}), "attributes"),
            (json!({"excludedAttributes": {}}), "excludedAttributes"),
            (json!({"filter": ["a"]}), "filter"),
            (json!({"count": true}), "count"),
            (json!({"startIndex": 1.5}), "startIndex"),
            (json!({"schemas": ["urn:x"]}), "SearchRequest"),
        ] {
            let error = read(&body).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidValue, "{body}");
            assert!(error.detail.contains(hint), "{error}");
        }
        for body in ["", "[]", "{", r#"{"count":1,"COUNT":2}"#] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().kind, ErrorKind::InvalidSyntax, "{body}");
        }
    }
}
