//! `/.search`: the parameters of a list in a body, RFC 7644 section 3.4.3; and what a filter over several resource types
//! means for one of them, section 3.4.2.1.

use serde_json::Value;

use crate::{
    Error, ErrorKind, ResourceType, attr,
    filter::{self, CompareOp, Filter, Literal},
    json,
    list::ListParams,
    schema::Schema,
};

/// `schemas` of a request.
pub const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// Reads a SearchRequest: names in any case, `attributes` and `excludedAttributes` as arrays (or as the one text that a
/// query has), numbers as numbers. Unknown members are ignored, null is absent. 400 `invalidSyntax` for what is no
/// search, 400 `invalidValue` for a member of the wrong type; else as [`ListParams::from_query`].
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

/// What a filter over several types asks of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// Every resource matches.
    All,
    /// None does.
    None,
    /// Those that match this filter, which has only attributes of the type.
    Filter(String),
}

/// The share of each type, in their order. An attribute that a type does not have has no value there. One that none of
/// them has is 400 `invalidFilter`.
pub fn shares<const N: usize>(types: [&ResourceType; N], text: &str) -> Result<[Share; N], Error> {
    let all = union(&types);
    let filter = filter::parse(&all, text)?;
    Ok(types.map(|rt| match narrow(&filter, rt) {
        Narrow::Constant(true) => Share::All,
        Narrow::Constant(false) => Share::None,
        Narrow::Rest(filter) => Share::Filter(filter.to_string()),
    }))
}

/// One type with the attributes of all. A core schema is an extension as well, so that its URN still tells whose
/// attribute is meant.
fn union(types: &[&ResourceType]) -> ResourceType {
    let mut all = ResourceType {
        name: String::new(),
        endpoint: String::new(),
        description: String::new(),
        schema: Schema { id: REQUEST.to_owned(), name: String::new(), description: String::new(), attributes: vec![] },
        common: Vec::new(),
        extensions: Vec::new(),
    };
    for rt in types {
        for attribute in rt.schema.attributes.iter().chain(&rt.common) {
            if all.attribute(&attribute.name).is_none() {
                all.schema.attributes.push(attribute.clone());
            }
        }
        all.extensions.push(rt.schema.clone());
        all.extensions.extend(rt.extensions.iter().cloned());
    }
    all
}

enum Narrow<'s> {
    Constant(bool),
    Rest(Filter<'s>),
}

fn narrow<'s>(filter: &Filter<'s>, rt: &ResourceType) -> Narrow<'s> {
    let (path, absent) = match filter {
        Filter::And(terms) => return fold(terms, rt, false, Filter::And),
        Filter::Or(terms) => return fold(terms, rt, true, Filter::Or),
        Filter::Not(inner) => {
            return match narrow(inner, rt) {
                Narrow::Constant(holds) => Narrow::Constant(!holds),
                Narrow::Rest(inner) => Narrow::Rest(Filter::Not(Box::new(inner))),
            };
        }
        Filter::Compare { path, op, literal } => {
            let null = matches!(literal, Literal::Null);
            (path, if null { *op == CompareOp::Eq } else { *op == CompareOp::Ne })
        }
        Filter::Present(path) | Filter::ValuePath { path, .. } => (path, false),
    };
    if attr::filterable(rt, &path.canonical()).is_some() {
        return Narrow::Rest(filter.clone());
    }
    Narrow::Constant(absent)
}

/// `decides`: the value of one term that decides the whole.
fn fold<'s>(
    terms: &[Filter<'s>],
    rt: &ResourceType,
    decides: bool,
    make: fn(Vec<Filter<'s>>) -> Filter<'s>,
) -> Narrow<'s> {
    let mut rest = Vec::new();
    for term in terms {
        match narrow(term, rt) {
            Narrow::Constant(holds) if holds == decides => return Narrow::Constant(decides),
            Narrow::Constant(_) => {}
            Narrow::Rest(term) => rest.push(term),
        }
    }
    match rest.len() {
        0 => Narrow::Constant(!decides),
        1 => rest.pop().map_or(Narrow::Constant(!decides), Narrow::Rest),
        _ => Narrow::Rest(make(rest)),
    }
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
    if ok {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidSyntax, format!("`schemas` of a search must contain \"{REQUEST}\".")))
    }
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
        let all =
            json!({"ExcludedAttributes": ["a"], "sortBy": "id", "SORTORDER": "descending", "count": null, "x": {}});
        let query = [("excludedAttributes", "a"), ("sortBy", "id"), ("sortOrder", "descending")];
        assert_eq!(read(&all).unwrap(), ListParams::from_query(query.into_iter()).unwrap());
        assert_eq!(read(&json!({"cursor": ""})).unwrap().cursor.as_deref(), Some(""));
        assert_eq!(read(&json!({})).unwrap(), ListParams::default());
    }

    #[test]
    fn an_attribute_that_a_type_lacks_has_no_value_there() {
        let types = [crate::schema::user(), crate::schema::group()];
        let filter = |text: &str| Share::Filter(text.to_owned());
        for (text, user, group) in [
            ("id pr", filter("id pr"), filter("id pr")),
            ("userName eq \"a\"", filter("userName eq \"a\""), Share::None),
            ("userName ne \"a\"", filter("userName ne \"a\""), Share::All),
            ("not (members pr)", Share::All, filter("not (members pr)")),
            ("userName pr and id pr", filter("userName pr and id pr"), Share::None),
            ("userName pr or id pr", filter("userName pr or id pr"), filter("id pr")),
            ("members pr or title pr", filter("title pr"), filter("members pr")),
            ("emails[type eq \"work\"]", filter("emails[type eq \"work\"]"), Share::None),
            ("members eq null", Share::All, filter("members.value eq null")),
            (
                "urn:ietf:params:scim:schemas:core:2.0:Group:displayName pr",
                Share::None,
                filter("urn:ietf:params:scim:schemas:core:2.0:Group:displayName pr"),
            ),
        ] {
            assert_eq!(shares(types, text).unwrap(), [user, group], "{text}");
        }
        for (share, rt) in shares(types, "members pr or (id pr and displayName sw \"a\")").unwrap().iter().zip(types) {
            let Share::Filter(text) = share else { panic!("{share:?}") };
            filter::parse(rt, text).unwrap();
        }
        for text in ["boat pr", "id pr and boat eq 1", "(id pr"] {
            assert_eq!(shares(types, text).unwrap_err().kind, ErrorKind::InvalidFilter, "{text}");
        }
    }

    #[test]
    fn what_has_the_wrong_type_is_refused_by_name() {
        for (body, hint) in [
            (json!({"attributes": [1]}), "attributes"),
            (json!({"excludedAttributes": {}}), "excludedAttributes"),
            (json!({"filter": ["a"]}), "filter"),
            (json!({"count": true}), "count"),
            (json!({"startIndex": 1.5}), "startIndex"),
        ] {
            let error = read(&body).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidValue, "{body}");
            assert!(error.detail.contains(hint), "{error}");
        }
        for body in ["", "[]", "{", r#"{"schemas":["urn:x"]}"#] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().kind, ErrorKind::InvalidSyntax, "{body}");
        }
    }
}
