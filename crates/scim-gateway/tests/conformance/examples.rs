//! RFC 7644's own examples, sections 3.2 to 3.14, on both databases. One file in `tests/data` is one example or a few that
//! belong together, in parts that are worked through in order:
//!
//! - `@request`, `@answer`: the text of the RFC as it stands there. Ids, base URL, token and versions in it are its own; the
//!   runner puts those of the server in their place, in both.
//! - `@given user|group ID JSON`: what is there before, and what the RFC calls it. `@users N`: more of them.
//! - `@assigned TEXT`: what the server assigns, learned from the first answer that has it. `@alias TEXT = ID`: an id with
//!   dots for brevity. `@version TEXT PATH`: the version that the resource has now.
//! - `@line METHOD PATH`: the request line of a request that has none.
//! - `@mend FROM => TO -- WHY`: what keeps the next request or answer from being read; `\n` is a new line. With `@refused`
//!   the request is sent as it stands, too, and refused so.
//! - `@differs POINTER|header:NAME JSON|any|absent -- WHY`: where the answer is another than the RFC's.
//! - `@ask`, `@ours STATUS [SCIMTYPE]`: a request and an answer where the RFC has none. `@then PATH`: what a GET then has,
//!   null for nothing. `@finds`, `@finds-in-order`: the names in a list.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::harness::{Answer, BASE, SCIM_JSON, Server, text};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

/// The examples of the RFC in its order: file, requests and answers that are its own.
const EXAMPLES: [(&str, usize, usize); 38] = [
    ("3.3_create", 1, 1),
    ("3.4.1_get", 1, 1),
    ("3.4.2_query", 1, 1),
    ("3.4.2.1_root", 1, 0),
    ("3.4.2.2_case", 2, 0),
    ("3.4.2.2_filters", 17, 0),
    ("3.4.2.3_sort", 1, 0),
    ("3.4.2.4_pages", 1, 1),
    ("3.4.3_search", 1, 1),
    ("3.5.1_put", 1, 1),
    ("3.5.2_paths", 0, 0),
    ("3.5.2_structure", 1, 0),
    ("3.5.2.1_add_attributes", 1, 0),
    ("3.5.2.1_add_member", 2, 2),
    ("3.5.2.2_exchange", 1, 0),
    ("3.5.2.2_remove_all", 1, 0),
    ("3.5.2.2_remove_member", 1, 0),
    ("3.5.2.2_remove_value", 1, 0),
    ("3.5.2.2_replace_all", 1, 0),
    ("3.5.2.3_address", 1, 0),
    ("3.5.2.3_attributes", 1, 0),
    ("3.5.2.3_members", 1, 0),
    ("3.5.2.3_street", 1, 0),
    ("3.6_delete", 2, 2),
    ("3.7.1_circular", 2, 1),
    ("3.7.2_manager", 1, 0),
    ("3.7.2_member", 1, 2),
    ("3.7.3_all_fail", 1, 1),
    ("3.7.3_done", 1, 1),
    ("3.7.3_error", 1, 1),
    ("3.7.4_too_large", 1, 1),
    ("3.8_suffix", 1, 0),
    ("3.9_attributes", 1, 1),
    ("3.11_me", 0, 0),
    ("3.12_not_found", 0, 1),
    ("3.12_read_only", 0, 1),
    ("3.13_version", 0, 0),
    ("3.14_etag", 2, 1),
];

#[derive(Clone, Debug)]
enum Part {
    Given { endpoint: &'static str, id: String, body: Value },
    Users(usize),
    Assigned(String),
    Alias(String, String),
    Version(String, String),
    Line(String),
    Mend(String, String),
    Refused(u16, String),
    Request { verbatim: bool, text: String },
    Answer { verbatim: bool, expected: Expected },
    Then(String, Value),
    Finds { names: Vec<String>, in_order: bool },
}

#[derive(Clone, Debug, Default)]
struct Expected {
    /// As it stands in the file: it may need mending.
    text: String,
    scim_type: Option<String>,
    differences: Vec<Difference>,
}

#[derive(Clone, Debug)]
struct Difference {
    place: String,
    /// `any`, `absent` or JSON.
    ours: String,
}

/// The parts of a file, or what is wrong with it.
fn parse(file: &str) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    let mut blocks: Vec<(&str, String)> = Vec::new();
    for line in file.lines().skip(1) {
        match (line.starts_with('@'), blocks.last_mut()) {
            (true, _) => blocks.push((line, String::new())),
            (false, Some((_, block))) => *block += &format!("{line}\n"),
            (false, None) if line.is_empty() => {}
            (false, None) => return Err(format!("{line:?} belongs to nothing")),
        }
    }
    for (line, block) in blocks {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let block = block.trim_matches('\n').to_owned();
        let two = |by: &str| {
            rest.split_once(by)
                .map(|(one, other)| (one.to_owned(), other.to_owned()))
                .ok_or_else(|| format!("{line:?} has no {by:?}"))
        };
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| format!("{text}: {error}"));
        let status = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
        parts.push(match word {
            "@given" => {
                let (kind, rest) = two(" ")?;
                let (id, body) = rest.split_once(' ').ok_or_else(|| format!("{line:?} has no body"))?;
                let endpoint = if kind == "user" { "/Users" } else { "/Groups" };
                Part::Given { endpoint, id: id.to_owned(), body: json(body)? }
            }
            "@users" => Part::Users(rest.parse().map_err(|error| format!("{line}: {error}"))?),
            "@assigned" => Part::Assigned(rest.to_owned()),
            "@alias" => two(" = ").map(|(alias, id)| Part::Alias(alias, id))?,
            "@version" => two(" ").map(|(version, path)| Part::Version(version, path))?,
            "@line" => Part::Line(rest.to_owned()),
            "@mend" => {
                let (from, to) = two(" => ")?;
                let (to, why) = to.split_once(" -- ").unwrap_or_default();
                if why.is_empty() {
                    return Err(format!("{line:?} does not say why"));
                }
                Part::Mend(from.replace("\\n", "\n"), to.replace("\\n", "\n"))
            }
            "@refused" => two(" ").and_then(|(code, kind)| Ok(Part::Refused(status(&code)?, kind)))?,
            "@request" | "@ask" => Part::Request { verbatim: word == "@request", text: block },
            "@answer" => Part::Answer { verbatim: true, expected: Expected { text: block, ..Expected::default() } },
            "@ours" => {
                let (code, kind) = rest.split_once(' ').map_or((rest, None), |(code, kind)| (code, Some(kind)));
                let text = format!("HTTP/1.1 {}\n\n{block}", status(code)?);
                let scim_type = kind.map(str::to_owned);
                Part::Answer { verbatim: false, expected: Expected { text, scim_type, ..Expected::default() } }
            }
            "@differs" => {
                let (what, why) = two(" -- ")?;
                let (place, ours) = what.split_once(' ').ok_or_else(|| format!("{line:?} does not say what"))?;
                if why.is_empty() {
                    return Err(format!("{line:?} does not say why"));
                }
                let Some(Part::Answer { expected, .. }) = parts.last_mut() else {
                    return Err(format!("{line:?} follows no answer"));
                };
                expected.differences.push(Difference { place: place.to_owned(), ours: ours.to_owned() });
                continue;
            }
            "@then" => Part::Then(rest.to_owned(), json(&block)?),
            "@finds" | "@finds-in-order" => {
                let names = rest.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
                Part::Finds { names, in_order: word == "@finds-in-order" }
            }
            _ => return Err(format!("{line:?} is no part that is known")),
        });
    }
    let mut unchecked = true;
    for part in &parts {
        match part {
            Part::Request { text, .. } if unchecked && parts_before(&parts, part) => {
                return Err(format!("what comes before {text:?} asserts nothing"));
            }
            Part::Request { .. } => unchecked = true,
            Part::Answer { .. } | Part::Then(..) | Part::Finds { .. } => unchecked = false,
            _ => {}
        }
    }
    if unchecked {
        return Err("the last request is followed by no assertion".to_owned());
    }
    Ok(parts)
}

/// Whether a request comes before this part.
fn parts_before(parts: &[Part], part: &Part) -> bool {
    parts.iter().take_while(|other| !std::ptr::eq(*other, part)).any(|other| matches!(other, Part::Request { .. }))
}

/// What the RFC calls something, and what the server does; none yet for what it is to assign.
#[derive(Default)]
struct Names(Vec<(String, Option<String>)>);

impl Names {
    fn add(&mut self, theirs: &str, ours: Option<String>) {
        self.0.retain(|(other, _)| other != theirs);
        self.0.push((theirs.to_owned(), ours));
        self.0.sort_by_key(|(theirs, _)| std::cmp::Reverse(theirs.len()));
    }

    /// The text with everything as the server calls it.
    fn ours(&self, text: &str) -> String {
        let text = text.replace("https://example.com/v2", BASE).replace("https://example.com", BASE);
        self.0.iter().fold(text, |text, (theirs, ours)| match ours {
            // A short name stands for itself only.
            Some(ours) if theirs.len() < 8 => text.replace(&format!("\"{theirs}\""), &format!("\"{ours}\"")),
            Some(ours) => text.replace(theirs, ours),
            None => text,
        })
    }

    /// Whether the text is that of the server, and may be what it has assigned.
    fn fits(&mut self, expected: &str, actual: &str) -> bool {
        let expected = self.ours(expected);
        if expected == actual {
            return true;
        }
        for (theirs, ours) in self.0.iter_mut().filter(|(_, ours)| ours.is_none()) {
            if let Some((before, after)) = expected.split_once(theirs.as_str())
                && let Some(assigned) = actual.strip_prefix(before).and_then(|rest| rest.strip_suffix(after))
                && uuid::Uuid::try_parse(assigned).is_ok()
            {
                *ours = Some(assigned.to_owned());
                return true;
            }
        }
        false
    }

    /// Where an answer is another than expected.
    fn compare(&mut self, expected: &Value, actual: &Value, place: &str, wrong: &mut Vec<String>) {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => {
                for (name, value) in expected {
                    let place = format!("{place}/{name}");
                    match actual.get(name) {
                        Some(actual) => self.compare(value, actual, &place, wrong),
                        None => wrong.push(format!("{place} is not there, but should be {value}")),
                    }
                }
                for (name, value) in actual.iter().filter(|(name, _)| !expected.contains_key(*name)) {
                    wrong.push(format!("{place}/{name} is {value}, but should not be there"));
                }
            }
            (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
                for (n, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                    self.compare(expected, actual, &format!("{place}/{n}"), wrong);
                }
            }
            (Value::String(expected), Value::String(actual)) => {
                let fits = match place.rsplit('/').next() {
                    Some("created" | "lastModified") => actual.parse::<jiff::Timestamp>().is_ok(),
                    Some("version") => is_weak_tag(actual),
                    _ => self.fits(expected, actual),
                };
                if !fits {
                    wrong.push(format!("{place} is {actual:?}, but should be {:?}", self.ours(expected)));
                }
            }
            (expected, actual) if expected == actual => {}
            (expected, actual) => wrong.push(format!("{place} is {actual}, but should be {expected}")),
        }
    }
}

fn is_weak_tag(text: &str) -> bool {
    text.strip_prefix("W/\"").and_then(|rest| rest.strip_suffix('"')).is_some_and(|opaque| !opaque.is_empty())
}

/// Puts a value at a pointer, or takes it away.
fn put(value: &mut Value, pointer: &str, new: Option<Value>) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match value.pointer_mut(parent) {
        Some(Value::Object(object)) => match new {
            Some(new) => drop(object.insert(name.to_owned(), new)),
            None => drop(object.shift_remove(name)),
        },
        Some(Value::Array(array)) => array[name.parse::<usize>().expect("an index")] = new.expect("a value"),
        _ => panic!("the answer has no {parent}"),
    }
}

struct Run<'s> {
    server: &'s Server,
    names: Names,
    line: Option<String>,
    mends: Vec<(String, String)>,
    refused: Option<(u16, String)>,
    answer: Option<Answer>,
}

/// A request as it is sent.
struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Run<'_> {
    async fn part(&mut self, part: Part) {
        match part {
            Part::Given { endpoint, id, body } => {
                let body = self.names.ours(&body.to_string());
                let created = self.server.send("POST", endpoint, &[], Some(&body)).await.is(201);
                self.names.add(&id, Some(text(&created.json()["id"])));
            }
            Part::Users(count) => {
                for n in 0..count {
                    self.server.user_named(format!("user{n}")).await;
                }
            }
            Part::Assigned(id) => self.names.add(&id, None),
            Part::Alias(alias, id) => {
                let ours = self.names.ours(&id);
                if ours != id {
                    self.names.add(&alias, Some(ours));
                }
            }
            Part::Version(version, path) => {
                let found = self.server.get(&self.names.ours(&path)).await.is(200);
                let tag = found.header("etag");
                assert!(is_weak_tag(tag), "{tag:?}");
                self.names.add(&version, Some(tag[3..tag.len() - 1].to_owned()));
            }
            Part::Line(line) => self.line = Some(line),
            Part::Mend(from, to) => self.mends.push((from, to)),
            Part::Refused(status, kind) => self.refused = Some((status, kind)),
            Part::Request { text, .. } => {
                let line = self.line.take();
                if let Some((status, kind)) = self.refused.take() {
                    let answer = self.send(asked(&text, line.as_deref())).await;
                    answer.refused(status, Some(&kind), "");
                }
                let text = self.mended(&text);
                self.answer = Some(self.send(asked(&text, line.as_deref())).await);
            }
            Part::Answer { expected, .. } => {
                let text = self.mended(&expected.text);
                let answer = self.answer.as_ref().expect("a request before");
                judge(&mut self.names, &text, &expected, answer);
            }
            Part::Then(path, expected) => {
                let found = self.server.get(&self.names.ours(&path)).await.is(200).json();
                for (name, value) in expected.as_object().expect("an object") {
                    if value.is_null() {
                        assert_eq!(found.get(name), None, "{found}");
                        continue;
                    }
                    let mut wrong = Vec::new();
                    self.names.compare(value, &found[name], &format!("/{name}"), &mut wrong);
                    assert!(wrong.is_empty(), "{wrong:#?}");
                }
            }
            Part::Finds { mut names, in_order } => {
                let answer = self.answer.as_ref().expect("a request before");
                assert_eq!(answer.status, 200, "{}", answer.json());
                let list = answer.json();
                let name = |resource: &Value| text(resource.get("userName").unwrap_or(&resource["displayName"]));
                let mut found: Vec<String> = list["Resources"].as_array().expect("a list").iter().map(name).collect();
                if !in_order {
                    names.sort();
                    found.sort();
                }
                assert_eq!(found, names);
                assert_eq!(list["totalResults"], found.len());
            }
        }
    }

    fn mended(&mut self, text: &str) -> String {
        self.mends.drain(..).fold(text.to_owned(), |text, (from, to)| {
            assert!(text.contains(&from), "there is nothing to mend: {from:?} in {text}");
            text.replace(&from, &to)
        })
    }

    async fn send(&self, asked: Asked) -> Answer {
        let token = format!("Bearer {}", self.server.token);
        let mut headers: BTreeMap<String, String> = BTreeMap::from([("authorization".to_owned(), token)]);
        if !asked.body.is_empty() {
            headers.insert("content-type".to_owned(), SCIM_JSON.to_owned());
        }
        for (name, value) in asked.headers {
            let value = self.names.ours(&value);
            if name == "authorization" {
                assert_eq!(value, "Bearer h480djs93hd8", "the token of the RFC");
            } else if value != "..." {
                headers.insert(name, value);
            }
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let target = self.names.ours(&asked.target);
        let target = encoded(target.strip_prefix("/v2").filter(|rest| rest.starts_with('/')).unwrap_or(&target));
        self.server.raw(&asked.method, &target, &headers, self.names.ours(&asked.body)).await
    }
}

/// A request in the text of the RFC, or the part of one that it shows.
fn asked(text: &str, line: Option<&str>) -> Asked {
    let (head, body) = if text.starts_with('{') { ("", text) } else { text.split_once("\n\n").unwrap_or((text, "")) };
    let method_and_target = |line: &str| {
        let (method, target) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is no request line"));
        (method.to_owned(), target.trim_end_matches("HTTP/1.1").trim().to_owned())
    };
    let Some(line) = line else {
        let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
        let (method, target) = method_and_target(first);
        return Asked { method, target, headers: headers_of(headers), body: body.to_owned() };
    };
    let (method, target) = method_and_target(line);
    let mut asked = Asked { method, target, headers: Vec::new(), body: body.to_owned() };
    if let Some((name, value)) = head.split_once('=') {
        // One parameter, in lines as long as the page allows.
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        if asked.method == "POST" {
            asked.body =
                json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], name: value}).to_string();
        } else {
            asked.target += &format!("?{name}={value}");
        }
    }
    asked
}

/// Headers, a line that is indented with the one before.
fn headers_of(text: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix(' '), headers.last_mut(), line.split_once(':')) {
            (Some(more), Some((_, value)), _) => *value += more.trim(),
            // Once a value stands in the first column, for want of room.
            (None, Some((_, value)), _) if line.starts_with('"') => *value += line,
            (_, _, Some((name, value))) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            _ => panic!("{line:?} is no header"),
        }
    }
    headers
}

/// What is no URI is made one, as the RFC does not.
fn encoded(target: &str) -> String {
    target
        .bytes()
        .map(|byte| match byte {
            b' ' | b'"' | b'\'' | b'[' | b']' | b'(' | b')' | b'@' => format!("%{byte:02X}"),
            byte => char::from(byte).to_string(),
        })
        .collect()
}

/// Holds an answer to the one expected.
#[track_caller]
fn judge(names: &mut Names, text: &str, expected: &Expected, answer: &Answer) {
    let (head, body) =
        if text.starts_with('{') { ("HTTP/1.1 200 OK", text) } else { text.split_once("\n\n").unwrap_or((text, "")) };
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let told = String::from_utf8_lossy(&answer.body);
    let status = line.split(' ').nth(1).unwrap_or_default();
    assert_eq!(answer.status.as_str(), status, "{told}");
    let difference = |place: &str| expected.differences.iter().find(|difference| difference.place == place);

    for (name, value) in headers_of(headers) {
        let actual = answer.header(&name);
        let value = value.trim_matches('"');
        let fits = match name.as_str() {
            "etag" => is_weak_tag(actual),
            "location" => names.fits(value, actual),
            _ => value == actual,
        };
        let differs =
            expected.differences.iter().any(|other| other.place.eq_ignore_ascii_case(&format!("header:{name}")));
        assert_ne!(fits, differs, "{name} is {actual:?}, the RFC has {value:?}");
    }
    let body = body.trim();
    if body.is_empty() {
        assert!(
            expected.scim_type.is_none() || answer.json()["scimType"] == expected.scim_type.as_deref().unwrap_or("")
        );
        assert!(difference("/detail").is_none());
        return;
    }
    let mut body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let actual = answer.json();
    if let Some(version) = actual.pointer("/meta/version") {
        assert_eq!(answer.header("etag"), version);
    }
    if let Some(count) = actual.get("itemsPerPage") {
        assert_eq!(Some(count), actual["Resources"].as_array().map(|all| json!(all.len())).as_ref());
    }
    for Difference { place, ours } in expected.differences.iter().filter(|other| other.place.starts_with('/')) {
        let theirs = body.pointer(place).cloned();
        let found = actual.pointer(place);
        let mut same = Vec::new();
        match (&theirs, found) {
            (Some(theirs), Some(found)) => Names(names.0.clone()).compare(theirs, found, place, &mut same),
            (None, None) => {}
            _ => same.push(String::new()),
        }
        assert!(!same.is_empty(), "{place} is as the RFC has it: {found:?}");
        let new = match ours.as_str() {
            "absent" => None,
            "any" => Some(found.unwrap_or_else(|| panic!("{place} is not there: {actual}")).clone()),
            json => Some(serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))),
        };
        put(&mut body, place, new);
    }
    let mut wrong = Vec::new();
    names.compare(&body, &actual, "", &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?} in {actual}");
}

/// The files there are, by name.
fn files() -> BTreeMap<String, Vec<Part>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(DATA).expect("tests/data") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let Some(name) = name.strip_prefix("rfc7644_") else { continue };
        let parts = parse(&std::fs::read_to_string(&path).expect("a text"));
        files.insert(name.to_owned(), parts.unwrap_or_else(|wrong| panic!("{name}: {wrong}")));
    }
    files
}

async fn behave(databases: [testkit::TestDatabase; 2]) {
    let mut server = Server::open(Arc::new(databases), |_| {}).await;
    for (n, (name, parts)) in files().into_iter().enumerate() {
        server.enroll(&format!("example-{n}")).await;
        let mut run = Run {
            server: &server,
            names: Names::default(),
            line: None,
            mends: Vec::new(),
            refused: None,
            answer: None,
        };
        // With the output of a test that fails.
        #[expect(clippy::print_stdout, reason = "which example it was")]
        for part in parts {
            println!("{name}: {part:?}");
            run.part(part).await;
        }
        assert!(run.line.is_none() && run.mends.is_empty() && run.refused.is_none(), "{name}: a part was of no use");
    }
}

#[tokio::test]
async fn the_examples_behave_on_sqlite() {
    behave([testkit::sqlite(), testkit::sqlite()]).await;
}

#[tokio::test]
async fn the_examples_behave_on_postgres() {
    behave([testkit::postgres(), testkit::postgres()]).await;
}

#[test]
fn every_example_is_there() {
    let counted: BTreeSet<(String, usize, usize)> = files()
        .into_iter()
        .map(|(name, parts)| {
            let requests = parts.iter().filter(|part| matches!(part, Part::Request { verbatim: true, .. })).count();
            let answers = parts.iter().filter(|part| matches!(part, Part::Answer { verbatim: true, .. })).count();
            (name, requests, answers)
        })
        .collect();
    let expected: BTreeSet<(String, usize, usize)> =
        EXAMPLES.iter().map(|(name, requests, answers)| ((*name).to_owned(), *requests, *answers)).collect();
    assert_eq!(counted, expected);
}

#[test]
fn a_file_asserts_something() {
    for (wrong, why) in [
        ("title\n\n@request\nGET /Users\n", "no assertion"),
        ("title\n\n@request\nGET /Users\n\n@request\nGET /Users\n\n@ours 200\n", "asserts nothing"),
        ("title\n\n@given user 1 {\"userName\":\"a\"}\n", "no assertion"),
        ("title\n\n@request\nGET /Users\n\n@answer\n{}\n@differs /a 1 -- \n", "why"),
        ("title\n\n@mend a => b\n@request\nGET /Users\n\n@ours 200\n", "why"),
        ("title\n\n@expect 200\n", "known"),
    ] {
        let told = parse(wrong).expect_err(wrong);
        assert!(told.contains(why), "{told}");
    }
    parse("title\n\n@request\nGET /Users\n\n@ours 200\n").expect("whole");
}
