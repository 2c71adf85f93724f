//! What the provisioning log keeps of a request's address and body: enough to see what a client meant, no secret, nothing of
//! attributes that no schema has, and only so much.

use http::Uri;
use scim::{
    Object, ResourceType,
    schema::{Attribute, Types},
};
use serde_json::Value;

/// Bytes of a body that are kept.
const LONGEST_BODY: usize = 4096;
const LONGEST_PATH: usize = 2000;
/// Characters of a text.
const LONGEST_TEXT: usize = 200;
/// Elements of an array, attributes of an object.
const MOST: usize = 10;
const LINES: usize = 20;
const DEEPEST: usize = 8;

const HIDDEN: &str = "(not kept)";

/// Names of messages and of what every resource has: RFC 7643 section 3.1, RFC 7644 sections 3.4.3, 3.5.2 and 3.7.
const ENVELOPE: [&str; 24] = [
    "schemas",
    "Operations",
    "op",
    "path",
    "value",
    "id",
    "externalId",
    "meta",
    "resourceType",
    "created",
    "lastModified",
    "location",
    "version",
    "failOnErrors",
    "method",
    "bulkId",
    "data",
    "attributes",
    "excludedAttributes",
    "filter",
    "sortBy",
    "sortOrder",
    "startIndex",
    "count",
];
/// Query parameters, RFC 7644 section 3.4.2. A cursor is sealed, and says nothing to anybody.
const PARAMETERS: [&str; 7] =
    ["filter", "attributes", "excludedAttributes", "sortBy", "sortOrder", "startIndex", "count"];
/// Words of filters that are no names.
const OPERATORS: [&str; 15] =
    ["eq", "ne", "co", "sw", "ew", "pr", "gt", "ge", "lt", "le", "and", "or", "not", "true", "false"];
/// A name that has one of these is not shown what it holds, whatever schema has it.
const SECRET: [&str; 4] = ["password", "secret", "token", "credential"];

/// What is kept of a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// JSON, or a word about it in brackets.
    pub(super) text: String,
    /// One line for each thing it says.
    pub(super) understood: Vec<String>,
}

/// The path with its query.
pub(super) fn path(uri: &Uri) -> String {
    let mut text = plain(uri.path());
    let Some(query) = uri.query() else { return cut(text, LONGEST_PATH) };
    let mut mark = '?';
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(&name));
        text.push(mark);
        text.push_str(&if known { format!("{name}={}", plain(&value)) } else { format!("{}={HIDDEN}", plain(&name)) });
        mark = '&';
    }
    cut(text, LONGEST_PATH)
}

/// Of a body with the schemas that its organization has.
pub(super) fn body(bytes: &[u8], types: &Types) -> Kept {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return Kept { text: format!("({} bytes that are no JSON)", bytes.len()), understood: Vec::new() };
    };
    let value = clean(&value, types, 0);
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

fn clean(value: &Value, types: &Types, depth: usize) -> Value {
    match value {
        _ if depth > DEEPEST => Value::from("(nested too deeply)"),
        Value::String(text) => Value::from(plain(text)),
        Value::Array(all) => {
            let mut kept: Vec<Value> = all.iter().take(MOST).map(|one| clean(one, types, depth + 1)).collect();
            if all.len() > MOST {
                kept.push(Value::from(format!("(and {} more)", all.len() - MOST)));
            }
            Value::Array(kept)
        }
        Value::Object(object) => {
            let about = |(name, value): (&String, &Value)| name.eq_ignore_ascii_case("path") && value.is_string();
            let hides = object.iter().find(|&pair| about(pair)).is_some_and(|(_, path)| !path_is_known(path, types));
            let cleaned = object.iter().take(3 * MOST).map(|(name, value)| {
                let hidden = !name_is_known(name, types) || hides && name.eq_ignore_ascii_case("value");
                (plain(name), if hidden { Value::from(HIDDEN) } else { clean(value, types, depth + 1) })
            });
            Value::Object(cleaned.collect())
        }
        other => other.clone(),
    }
}

/// A key of an object: of a message, of an attribute, the URN of an extension, or, as some clients have it, a path.
fn name_is_known(name: &str, types: &Types) -> bool {
    let urn = [&types.user, &types.group]
        .iter()
        .any(|rt| rt.schema.id.eq_ignore_ascii_case(name) || rt.extension(name).is_some());
    urn || words_are_known(name, types)
}

fn path_is_known(path: &Value, types: &Types) -> bool {
    path.as_str().is_some_and(|path| name_is_known(path, types))
}

fn words_are_known(path: &str, types: &Types) -> bool {
    // Texts within a filter hold anything: only names count.
    let outside: String = path.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let names = match outside.rfind(':') {
        Some(colon) => outside.get(colon + 1..).unwrap_or_default(),
        None => &outside,
    };
    let mut words =
        names.split(|c: char| !(c.is_ascii_alphanumeric() || "_-$".contains(c))).filter(|word| !word.is_empty());
    words.all(|word| {
        let hidden = SECRET.iter().any(|secret| word.to_ascii_lowercase().contains(secret));
        !hidden && (is_one_of(&ENVELOPE, word) || is_one_of(&OPERATORS, word) || has(types, word))
    })
}

fn is_one_of(names: &[&str], word: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(word))
}

fn has(types: &Types, word: &str) -> bool {
    fn within(attributes: &[Attribute], word: &str) -> bool {
        attributes.iter().any(|one| one.name.eq_ignore_ascii_case(word) || within(&one.sub_attributes, word))
    }
    [&types.user, &types.group].iter().any(|rt| {
        within(&rt.schema.attributes, word)
            || within(&rt.common, word)
            || rt.extensions.iter().any(|extension| within(&extension.attributes, word))
    })
}

/// Without what looks like a credential, and not too long.
pub(super) fn plain(text: &str) -> String {
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)));
    // Ours, and JSON Web Tokens.
    if words.any(|word| word.len() >= 20 && (word.starts_with("rc_") || word.starts_with("eyJ"))) {
        return HIDDEN.to_owned();
    }
    text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
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
        let of = |text: &str| path(&text.parse().expect("a URI"));
        assert_eq!(
            of("/scim/v2/Users?filter=userName%20eq%20%22kit%40example.com%22&count=1"),
            "/scim/v2/Users?filter=userName eq \"kit@example.com\"&count=1"
        );
        assert_eq!(of("/scim/v2/Users?access_token=abc"), "/scim/v2/Users?access_token=(not kept)");
        assert_eq!(of("/scim/v2/Users?filter=rc_scim_abcdefghijklmnopqrst"), "/scim/v2/Users?filter=(not kept)");
        assert_eq!(of("/rc_scim_abcdefghijklmnopqrst"), "(not kept)");
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
