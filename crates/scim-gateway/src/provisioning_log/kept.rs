//! What the provisioning log keeps of a request's address and body: enough to see what a client meant, no secret, nothing of
//! attributes that no schema has, and only so much. A value is kept where what stands before it says that it may be: it is one of
//! a known attribute, or of a message.
//!
//! Not here: what a secret looks like, and what is left of a filter (`plain`).

use http::Uri;
use scim::{
    Object, ResourceType,
    schema::{Attribute, Returned, Types},
};
use serde_json::Value;

use super::{
    ENDPOINTS,
    plain::{self, HIDDEN, LONGEST_TEXT, plain},
};

/// Bytes of a body that are kept.
const LONGEST_BODY: usize = 4096;
const LONGEST_PATH: usize = 2000;
/// Elements of an array, attributes of an object.
const MOST: usize = 10;
const LINES: usize = 20;
const DEEPEST: usize = 8;

/// Of messages, with values of their own: RFC 7644 sections 3.4.3, 3.5.2 and 3.7.
const OF_MESSAGES: [&str; 5] = ["bulkId", "version", "failOnErrors", "startIndex", "count"];
/// Query parameters, RFC 7644 section 3.4.2. A cursor is sealed, and says nothing to anybody.
const PARAMETERS: [&str; 7] =
    ["filter", "attributes", "excludedAttributes", "sortBy", "sortOrder", "startIndex", "count"];

/// What is kept of a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// JSON, or a word about it in brackets.
    pub(super) text: String,
    /// One line for each thing it says.
    pub(super) understood: Vec<String>,
}

/// The path with its query.
pub(super) fn path(uri: &Uri, types: &Types) -> String {
    let mut text = segments(uri.path());
    let mut mark = '?';
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let known = PARAMETERS.iter().find(|known| known.eq_ignore_ascii_case(&name));
        text.push(mark);
        text.push_str(&plain::name(&name));
        text.push('=');
        text.push_str(&known.map_or_else(|| HIDDEN.to_owned(), |known| parameter(known, &value, types)));
        mark = '&';
    }
    cut(text, LONGEST_PATH)
}

/// A secret pasted into a base URL may go on behind a slash: after one only what is ours is kept.
fn segments(path: &str) -> String {
    let is_ours = |one: &str| ["", "scim", "v2", ".search"].contains(&one) || ENDPOINTS.contains(&one);
    let mut hides = false;
    let kept: Vec<String> = path
        .split('/')
        .map(|one| {
            let scheme = ["bearer", "basic"].iter().any(|scheme| one.to_ascii_lowercase().ends_with(scheme));
            let secret = plain::is_secret(one) || plain::is_of_a_secret(one);
            hides |= secret || scheme;
            if secret || hides && !scheme && !is_ours(one) { HIDDEN.to_owned() } else { plain(one) }
        })
        .collect();
    kept.join("/")
}

fn parameter(name: &str, value: &str, types: &Types) -> String {
    match name {
        "filter" => plain::expression(value, &|name| is_known(name, types)),
        "startIndex" | "count" if !value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => HIDDEN.to_owned(),
        "startIndex" | "count" => plain(value),
        _ => plain::names(value),
    }
}

/// Of a body with the schemas that its organization has.
pub(super) fn body(bytes: &[u8], types: &Types) -> Kept {
    let word = |text: String| Kept { text, understood: Vec::new() };
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return word(format!("({} bytes that are no JSON)", bytes.len()));
    };
    if !(value.is_object() || value.is_array()) {
        return word(format!("({} bytes of JSON that are no object)", bytes.len()));
    }
    let value = clean(&value, false, types, 0);
    let mut understood = Vec::new();
    if let Value::Object(object) = &value {
        match object.iter().find(|(name, _)| name.eq_ignore_ascii_case("Operations")) {
            Some((_, Value::Array(operations))) => operations.iter().for_each(|one| understood.push(operation(one))),
            _ => lines("", object, &mut understood),
        }
    }
    understood.truncate(LINES);
    Kept { text: cut(value.to_string(), LONGEST_BODY), understood }
}

/// What a client was told.
pub(super) fn told(text: &str, types: &Types) -> String {
    plain::told(text, &|name| is_known(name, types))
}

/// The userName or displayName that a body gives.
pub(super) fn name(bytes: &[u8]) -> Option<String> {
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(bytes) else { return None };
    let named = |wanted: &str| {
        let found = body.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_str()).map(plain)
    };
    named("userName").or_else(|| named("displayName"))
}

/// The attributes that were ignored and the dialect rules that were used where a body changed nothing of `resource`.
pub(super) fn notes(rt: &ResourceType, body: &[u8], resource: &[u8]) -> (Vec<String>, Vec<String>) {
    let found = || -> Result<_, scim::Error> {
        let mut current = scim::json::parse_object(resource)?;
        if let Ok(operations) = scim::patch::parse(body) {
            let outcome = scim::patch::apply(rt, &mut current, &operations)?;
            return Ok((outcome.ignored, outcome.coerced));
        }
        let accepted = scim::resource::replace(rt, scim::json::parse_object(body)?, &current)?;
        Ok((accepted.ignored, accepted.coerced))
    };
    let (ignored, coerced) = found().unwrap_or_default();
    // Names that clients gave.
    let ignored = ignored.iter().map(|name| plain::name(name)).collect();
    (ignored, coerced.into_iter().map(str::to_owned).collect())
}

fn operation(cleaned: &Value) -> String {
    let text = |name: &str| match cleaned.as_object().and_then(|o| o.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)))
    {
        Some((_, Value::String(text))) => text.clone(),
        Some((_, Value::Null)) | None => String::new(),
        Some((_, other)) => brief(other),
    };
    // Of a bulk request: its operations are requests.
    if cleaned.get("method").is_some() {
        return cut(format!("{} {}", text("method").to_uppercase(), text("path")), LONGEST_TEXT);
    }
    let (op, path) = (text("op").to_lowercase(), text("path"));
    let value = cleaned.as_object().and_then(|o| o.iter().find(|(k, _)| k.eq_ignore_ascii_case("value")));
    let line = match (path.as_str(), value) {
        ("", Some((_, value))) => format!("{op} {}", brief(value)),
        (path, Some((_, value))) => format!("{op} {path} = {}", brief(value)),
        (path, None) => format!("{op} {path}"),
    };
    cut(line, LONGEST_TEXT)
}

fn lines(prefix: &str, object: &Object, out: &mut Vec<String>) {
    for (name, value) in object {
        if name.eq_ignore_ascii_case("schemas") || name.eq_ignore_ascii_case("meta") {
            continue;
        }
        let short = name.rsplit(':').next().unwrap_or(name);
        let full = if prefix.is_empty() { short.to_owned() } else { format!("{prefix}.{short}") };
        match value {
            Value::Object(inner) if prefix.is_empty() => lines(&full, inner, out),
            other => out.push(cut(format!("{full} = {}", brief(other)), LONGEST_TEXT)),
        }
    }
}

fn brief(value: &Value) -> String {
    match value {
        Value::Array(all) => match &all[..] {
            [] => "nothing".to_owned(),
            [one] => brief(one),
            more => format!("{} values", more.len()),
        },
        Value::Object(object) => match object.get("value") {
            Some(value) => brief(value),
            None => {
                object.iter().map(|(name, value)| format!("{name}: {}", brief(value))).collect::<Vec<_>>().join(", ")
            }
        },
        other => other.to_string(),
    }
}

/// `known`: it is what an attribute holds that may be shown.
fn clean(value: &Value, known: bool, types: &Types, depth: usize) -> Value {
    match value {
        _ if depth > DEEPEST => Value::from("(nested too deeply)"),
        Value::Array(all) => {
            let mut kept: Vec<Value> = all.iter().take(MOST).map(|one| clean(one, known, types, depth + 1)).collect();
            if all.len() > MOST {
                kept.push(Value::from(format!("(and {} more)", all.len() - MOST)));
            }
            Value::Array(kept)
        }
        Value::Object(object) => {
            let value = settable(object, known, types);
            let cleaned = object.iter().take(3 * MOST).map(|(name, one)| {
                let kept = match () {
                    () if known => clean_known(name, one, value, types, depth + 1),
                    () => clean_of_message(object, name, one, value, types, depth + 1),
                };
                (plain::expression(name, &|name| is_known(name, types)), kept)
            });
            Value::Object(cleaned.collect())
        }
        Value::Null => Value::Null,
        _ if !known => Value::from(HIDDEN),
        Value::String(text) => Value::from(plain(text)),
        other => other.clone(),
    }
}

/// What an object's `value` is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settable {
    /// Of an attribute that may be shown.
    Known,
    /// Attributes with their values, or nothing that may be shown.
    Attributes,
    Hidden,
}

/// An object's `value` may be shown where its path is one known string, whatever is spelled how, and where nothing beside it names
/// a secret.
fn settable(object: &Object, known: bool, types: &Types) -> Settable {
    let named = |wanted: &'static str| object.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted));
    let is_secret = |(name, one): (&String, &Value)| {
        !name.eq_ignore_ascii_case("value") && one.as_str().is_some_and(plain::is_of_a_secret)
    };
    if object.iter().any(is_secret) {
        return Settable::Hidden;
    }
    if known {
        return Settable::Known;
    }
    let is_known = |path: &Value| path.as_str().is_some_and(|path| path_is_known(path, types));
    match named("path").count() {
        0 => Settable::Attributes,
        1 if named("path").all(|(_, path)| is_known(path)) => Settable::Known,
        _ => Settable::Hidden,
    }
}

/// Within an attribute.
fn clean_known(name: &str, one: &Value, value: Settable, types: &Types, depth: usize) -> Value {
    let hidden = !is_known(name, types) || value == Settable::Hidden;
    if hidden { Value::from(HIDDEN) } else { clean(one, true, types, depth) }
}

/// In a resource, a message, or one of its operations.
fn clean_of_message(object: &Object, name: &str, one: &Value, value: Settable, types: &Types, depth: usize) -> Value {
    let hidden = || Value::from(HIDDEN);
    let text = |kept: &dyn Fn(&str) -> String| match one {
        Value::String(text) => Value::from(kept(text)),
        Value::Null => Value::Null,
        _ => hidden(),
    };
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    let letters = |text: &str| {
        let word = text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        if word { text.to_owned() } else { HIDDEN.to_owned() }
    };
    let of_messages = OF_MESSAGES.iter().any(|known| is(known));
    let urn = [&types.user, &types.group]
        .iter()
        .any(|rt| rt.schema.id.eq_ignore_ascii_case(name) || rt.extension(name).is_some());
    match one {
        _ if is("value") => match value {
            Settable::Known => clean(one, true, types, depth),
            Settable::Attributes => clean(one, false, types, depth),
            Settable::Hidden => hidden(),
        },
        _ if is("op") || is("method") => text(&letters),
        _ if is("path") && object.keys().any(|key| key.eq_ignore_ascii_case("method")) => {
            text(&|path| path.parse().map_or_else(|_| HIDDEN.to_owned(), |uri| self::path(&uri, types)))
        }
        _ if is("path") || is("filter") => text(&|text| plain::expression(text, &|name| is_known(name, types))),
        Value::Array(all) if is("schemas") || is("attributes") || is("excludedAttributes") => {
            let kept = all.iter().take(MOST).map(|one| one.as_str().map_or_else(hidden, |one| plain::name(one).into()));
            kept.collect()
        }
        _ if is("schemas") || is("attributes") || is("excludedAttributes") || is("sortBy") || is("sortOrder") => {
            text(&plain::names)
        }
        Value::Array(_) | Value::Object(_) if is("Operations") || is("data") || urn => clean(one, false, types, depth),
        Value::Array(_) | Value::Object(_) if of_messages => hidden(),
        _ if of_messages || path_is_known(name, types) => clean(one, true, types, depth),
        _ => hidden(),
    }
}

/// The path of a PATCH, or, as some clients have it, the name of a member.
fn path_is_known(path: &str, types: &Types) -> bool {
    plain::is_known(path, &|name| is_known(name, types))
}

/// The name of an attribute that may be shown, with those of its parents, and maybe the URN of its schema.
fn is_known(name: &str, types: &Types) -> bool {
    let resource_types = [&types.user, &types.group];
    let of_schema = |urn: &str| {
        let is = |id: &str| id.eq_ignore_ascii_case(urn);
        resource_types.iter().any(|rt| is(&rt.schema.id) || rt.extensions.iter().any(|one| is(&one.id)))
    };
    let names = match name.rsplit_once(':') {
        Some((urn, names)) if of_schema(urn) => names,
        Some(_) => return false,
        None => name,
    };
    names.split('.').all(|word| {
        let mut all = resource_types.iter().flat_map(|rt| {
            let extensions = rt.extensions.iter().map(|one| &one.attributes);
            extensions.chain([&rt.schema.attributes, &rt.common]).map(|attributes| found(attributes, word))
        });
        // One that is never returned is nobody's to see here, either.
        let (mut any, mut never) = (false, false);
        all.by_ref().flatten().for_each(|attribute| {
            any = true;
            never |= attribute.returned == Returned::Never;
        });
        any && !never && !plain::is_of_a_secret(word)
    })
}

/// The attributes of a name, whatever they are within.
fn found<'a>(attributes: &'a [Attribute], word: &str) -> Vec<&'a Attribute> {
    let mut all: Vec<_> = attributes.iter().filter(|one| one.name.eq_ignore_ascii_case(word)).collect();
    all.extend(attributes.iter().flat_map(|one| found(&one.sub_attributes, word)));
    all
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most - '…'.len_utf8()).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(body: Value) -> Kept {
        super::body(body.to_string().as_bytes(), Types::builtin())
    }

    #[test]
    fn a_user_is_kept_without_secrets_and_without_what_no_schema_has() {
        let kept = kept(json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "kit@example.com", "password": "hunter2hunter2", "active": true,
            "name": {"givenName": "Kit", "mood": "sunny"},
            "emails": [{"value": "kit@example.com", "primary": true}],
            "apiToken": "abc", "shoeSize": 43,
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Toys", "salary": 1},
            "urn:example:private": {"ssn": "078-05-1120"},
        }));
        for secret in ["hunter2", "sunny", "abc", "43", "salary\":1", "078-05"] {
            assert!(!kept.text.contains(secret), "{secret}: {}", kept.text);
        }
        assert!(kept.text.contains("kit@example.com") && kept.text.contains("Toys"), "{}", kept.text);
        for line in
            ["userName = \"kit@example.com\"", "active = true", "name.givenName = \"Kit\"", "password = \"(not kept)\""]
        {
            assert!(kept.understood.iter().any(|known| known == line), "{line}: {:?}", kept.understood);
        }
    }

    #[test]
    fn operations_become_lines_and_what_an_unknown_path_sets_is_hidden() {
        let kept = kept(json!({"Operations": [
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "add", "path": "emails[type eq \"work\"].value", "value": "kit@example.com"},
            {"op": "replace", "path": "favouriteSecret", "value": "s3cr3t"},
            {"op": "replace", "path": "password", "value": "s3cr3t"},
            {"op": "replace", "value": {"displayName": "Kit", "shoeSize": "43"}},
            {"op": "add", "path": "members", "value": [{"value": "a"}, {"value": "b"}]},
            {"op": "remove", "path": "members[value eq \"a\"]"},
        ]}));
        assert_eq!(
            kept.understood,
            [
                "replace active = \"False\"",
                "add emails[type eq \"work\"].value = \"kit@example.com\"",
                "replace favouriteSecret = \"(not kept)\"",
                "replace password = \"(not kept)\"",
                "replace displayName: \"Kit\", shoeSize: \"(not kept)\"",
                "add members = 2 values",
                "remove members[value eq \"a\"]",
            ]
        );
        assert!(!kept.text.contains("s3cr3t") && !kept.text.contains("43"), "{}", kept.text);
    }

    #[test]
    fn a_value_is_kept_only_where_what_stands_before_it_is_known() {
        for (body, hides) in [
            (json!({"Operations": [{"op": "replace", "path": ["password"], "value": "X-1"}]}), "X-1"),
            (json!({"Operations": [{"Path": "active", "path": "password", "value": "X-1"}]}), "X-1"),
            (json!({"Operations": [{"op": "replace", "path": null, "value": "X-1"}]}), "X-1"),
            (json!({"Operations": [{"op": "replace", "value": "X-1"}]}), "X-1"),
            (json!({"Operations": [{"op": "X-1", "path": "active", "value": true}]}), "X-1"),
            (json!({"Operations": [{"op": "remove", "path": "emails[password eq \"X-1\"].value"}]}), "X-1"),
            (json!({"Operations": [{"op": "remove", "path": "password=X-1"}]}), "X-1"),
            (json!({"Operations": [{"method": "GET", "path": "/Users?filter=password eq \"X-1\""}]}), "X-1"),
            (json!({"Operations": [{"method": "POST", "path": "/Users", "data": {"password": "X-1"}}]}), "X-1"),
            (json!("password=X-1"), "X-1"),
            (json!(["X-1", {"password": "X-1"}]), "X-1"),
            (json!({"attributes": [{"name": "password", "value": "X-1"}]}), "X-1"),
            (json!({"emails": [{"type": "password", "value": "X-1", "display": "X-1"}]}), "X-1"),
            (json!({"password:X-1": true}), "X-1"),
            (json!({"urn:ietf:params:scim:schemas:core:2.0:User": "X-1"}), "X-1"),
            (json!({"filter": "apiToken eq \"X-1\""}), "X-1"),
            (json!({"value": "X-1", "data": "X-1", "Operations": "X-1"}), "X-1"),
            (json!({"name": {"value": {"password": "X-1"}, "apiToken": "X-1"}}), "X-1"),
            (json!({"displayName": "my password: X-1"}), "X-1"),
        ] {
            let kept = kept(body);
            assert!(!kept.text.contains(hides) && !kept.understood.join("").contains(hides), "{kept:?}");
        }
        let kept = kept(json!({"Operations": [
            {"method": "PATCH", "path": "/Users/1", "bulkId": "a", "data": {"Operations": [
                {"op": "add", "path": "emails[type eq \"work\"].value", "value": "kit@example.com"},
                {"op": "add", "value": {"name.givenName": "Kit"}},
            ]}},
        ]}));
        for shown in ["kit@example.com", "\"Kit\"", "\"a\"", "[type eq \\\"work\\\"]"] {
            assert!(kept.text.contains(shown), "{shown}: {}", kept.text);
        }
        assert_eq!(kept.understood, ["PATCH /Users/1"]);
    }

    #[test]
    fn nothing_is_too_long_and_what_is_no_json_is_counted() {
        let long =
            kept(json!({"displayName": "x".repeat(10_000), "emails": vec![json!({"value": "y".repeat(500)}); 500]}));
        assert!(long.text.len() <= LONGEST_BODY && long.text.contains("(and 490 more)"), "{}", long.text);
        assert!(long.understood.iter().all(|line| line.len() <= LONGEST_TEXT));
        assert_eq!(super::body(b"userName=kit&password=x", Types::builtin()).text, "(23 bytes that are no JSON)");
        let nested = "[".repeat(100) + &"]".repeat(100);
        assert!(super::body(nested.as_bytes(), Types::builtin()).text.contains("nested too deeply"));
    }

    #[test]
    fn an_address_keeps_the_parameters_of_scim_and_no_credential() {
        let of = |text: &str| path(&text.parse().expect("a URI"), Types::builtin());
        assert_eq!(
            of("/scim/v2/Users?filter=userName%20eq%20%22kit%40example.com%22&count=1"),
            "/scim/v2/Users?filter=userName eq \"kit@example.com\"&count=1"
        );
        assert_eq!(of("/scim/v2/Users?access_token=abc"), "/scim/v2/Users?access_token=(not kept)");
        assert_eq!(of("/scim/v2/Users?filter=rc_scim_abcdefghijklmnopqrst"), "/scim/v2/Users?filter=(not kept)");
        assert_eq!(of("/rc_scim_abcdefghijklmnopqrst"), "/(not kept)");
        assert_eq!(of("/scim/v2%20rc_scim_abcdefghijklmnopqrst/Users"), "/scim/(not kept)/Users");
        assert_eq!(of("/scim/v2/Users/Bearer%20rc_scim_abcdefghijklmnopqrst"), "/scim/v2/Users/(not kept)");
        assert_eq!(of("/Bearer/hunter2/scim/v2/Users"), "/Bearer/(not kept)/scim/v2/Users");
        assert_eq!(of("/scim/v2/Users?filter=password%20eq%20%22X%22"), "/scim/v2/Users?filter=password eq (not kept)");
        assert_eq!(
            of("/scim/v2/Users?password%3DX=1&count=X"),
            "/scim/v2/Users?(not kept)=(not kept)&count=(not kept)"
        );
        assert_eq!(of("/scim/v2/Users?attributes=userName,emails"), "/scim/v2/Users?attributes=userName,emails");
        assert!(of(&format!("/scim/v2/Users?filter={}", "x".repeat(5000))).len() <= LONGEST_PATH);
    }

    #[test]
    fn a_silent_no_op_says_what_was_ignored() {
        let resource = json!({"userName": "kit", "active": true}).to_string();
        let rt = scim::schema::user();
        let put = json!({"userName": "kit", "active": "True", "shoeSize": 43}).to_string();
        let (ignored, coerced) = notes(rt, put.as_bytes(), resource.as_bytes());
        assert_eq!((ignored, coerced), (vec!["shoeSize".to_owned()], vec!["booleanAsString".to_owned()]));
        let patch = json!({"Operations": [{"op": "replace", "value": {"shoeSize": 43}}]}).to_string();
        assert_eq!(notes(rt, patch.as_bytes(), resource.as_bytes()).0, ["shoeSize"]);
    }
}
