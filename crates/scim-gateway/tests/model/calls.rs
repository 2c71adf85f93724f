//! Requests, answers, and what an answer must be.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use serde_json::{Value, json};

use crate::{
    harness::{self, BASE, Server},
    kinds::{Gone, Group, Kind, NOT_FOUND, Refused, STALE, User, folded},
};

/// What `If-Match` says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IfMatch {
    Any,
    Version(u64),
}

#[derive(Clone, Debug)]
pub(crate) enum Verb<K: Kind> {
    Get,
    /// With `If-None-Match`.
    GetUnless(u64),
    Put(K::Body),
    /// The second: `attributes` are asked for.
    Patch(Vec<K::Change>, bool),
    Delete,
}

#[derive(Clone, Debug)]
pub(crate) enum Ask<K: Kind> {
    Create(K::Body),
    /// By a filter on the name.
    Find(String),
    To {
        id: String,
        if_match: Option<IfMatch>,
        verb: Verb<K>,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Request {
    User(Ask<User>),
    Group(Ask<Group>),
}

/// What came back. A body is as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: String,
    pub(crate) body: Value,
}

/// A request with its answer, and when it was under way.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) client: usize,
    pub(crate) invoked: u64,
    pub(crate) returned: u64,
    pub(crate) request: Request,
    pub(crate) answer: Answer,
}

impl Request {
    pub(crate) async fn send(&self, server: &Server) -> Answer {
        match self {
            Self::User(ask) => ask.send(server).await,
            Self::Group(ask) => ask.send(server).await,
        }
    }
}

/// Method, path, headers and body.
type Parts = (&'static str, String, Vec<(&'static str, String)>, Option<Value>);

impl<K: Kind> Ask<K> {
    fn parts(&self) -> Parts {
        match self {
            Self::Create(body) => ("POST", K::ENDPOINT.to_owned(), Vec::new(), Some(K::body(body))),
            Self::Find(name) => {
                let name = name.replace(' ', "%20");
                let path = format!("{}?filter={}%20eq%20%22{name}%22", K::ENDPOINT, K::NAME);
                ("GET", path, Vec::new(), None)
            }
            Self::To { id, if_match, verb } => {
                let path = format!("{}/{id}", K::ENDPOINT);
                let mut headers = match if_match {
                    None => Vec::new(),
                    Some(IfMatch::Any) => vec![("if-match", "*".to_owned())],
                    Some(IfMatch::Version(version)) => vec![("if-match", tag(*version))],
                };
                match verb {
                    Verb::Get => ("GET", path, headers, None),
                    Verb::GetUnless(version) => {
                        headers.push(("if-none-match", tag(*version)));
                        ("GET", path, headers, None)
                    }
                    Verb::Put(body) => ("PUT", path, headers, Some(K::body(body))),
                    Verb::Patch(changes, shown) => {
                        let operations: Vec<Value> = changes.iter().map(K::operation).collect();
                        let body = json!({
                            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                            "Operations": operations,
                        });
                        let query = if *shown { "?attributes=displayName,members,meta" } else { "" };
                        ("PATCH", path + query, headers, Some(body))
                    }
                    Verb::Delete => ("DELETE", path, headers, None),
                }
            }
        }
    }

    async fn send(&self, server: &Server) -> Answer {
        let (method, path, headers, body) = self.parts();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = body.map(|body| body.to_string());
        let answer: harness::Answer = server.send(method, &path, &headers, body.as_deref()).await;
        let body = if answer.body.is_empty() { Value::Null } else { answer.json() };
        Answer { status: answer.status.as_u16(), etag: answer.header("etag").to_owned(), body }
    }
}

impl<K: Kind> Display for Ask<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, path, headers, body) = self.parts();
        write!(f, "{method} {path}")?;
        for (name, value) in headers {
            write!(f, " {name}: {value}")?;
        }
        body.map_or(Ok(()), |body| write!(f, " {body}"))
    }
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(ask) => ask.fmt(f),
            Self::Group(ask) => ask.fmt(f),
        }
    }
}

fn tag(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// The version in `W/"3"` or `W/"3-9f86d081"`.
pub(crate) fn version(tag: &str) -> Option<u64> {
    let opaque = tag.strip_prefix("W/\"")?.strip_suffix('"')?;
    opaque.split('-').next()?.parse().ok()
}

/// One resource in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) version: Option<u64>,
    /// Less what other resources and the clock decide.
    pub(crate) body: Value,
}

impl Shown {
    pub(crate) fn read(body: &Value) -> Self {
        let mut body = body.clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = text(&body["id"]);
        let version = version(&text(&body["meta"]["version"]));
        if let Some(body) = body.as_object_mut() {
            body.remove("groups");
        }
        if let Some(meta) = body.get_mut("meta").and_then(Value::as_object_mut) {
            meta.retain(|name, _| ["resourceType", "location"].contains(&name.as_str()));
        }
        Self { id, version, body }
    }

    pub(crate) fn of<K: Kind>(id: &str, version: u64, value: &K, groups: &BTreeSet<String>) -> Self {
        let mut body = value.attributes(BASE, groups);
        body.insert("schemas".to_owned(), json!([K::SCHEMA]));
        body.insert("id".to_owned(), json!(id));
        let location = format!("{BASE}{}/{id}", K::ENDPOINT);
        body.insert("meta".to_owned(), json!({"resourceType": K::TYPE, "location": location}));
        Self { id: id.to_owned(), version: Some(version), body: Value::Object(body) }
    }
}

impl Answer {
    pub(crate) fn refusal(&self) -> (u16, Option<&str>) {
        (self.status, self.body["scimType"].as_str())
    }

    /// The resources that it shows: itself, or the list.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        match self.body.get("Resources").and_then(Value::as_array) {
            Some(resources) => resources.iter().map(Shown::read).collect(),
            None if self.body.get("id").is_some() => vec![Shown::read(&self.body)],
            None => Vec::new(),
        }
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.etag)?;
        if self.body.is_null() { Ok(()) } else { write!(f, " {}", self.body) }
    }
}

/// How a resource is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life<K> {
    Unborn,
    Alive { version: u64, value: K },
    Deleted,
}

/// What must be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected<K> {
    Refused(Refused),
    /// Status, version, and the value where it is shown.
    Done(u16, Option<u64>, Option<K>),
}

/// The one rule book: what a request to a resource must be answered with, and what it leaves behind. Whether a new name is
/// taken is not asked here.
pub(crate) fn obey<K: Kind>(
    life: &Life<K>,
    gone: &Gone,
    id: &str,
    if_match: Option<IfMatch>,
    verb: &Verb<K>,
) -> (Expected<K>, Life<K>) {
    let unchanged = |refused| (Expected::Refused(refused), life.clone());
    let Life::Alive { version, value } = life else {
        return unchanged(NOT_FOUND);
    };
    if matches!(if_match, Some(IfMatch::Version(wanted)) if wanted != *version) {
        return unchanged(STALE);
    }
    let mut after = value.clone();
    let (done, shows) = match verb {
        Verb::Get => (Ok(()), true),
        Verb::GetUnless(known) if known == version => {
            return (Expected::Done(304, Some(*version), None), life.clone());
        }
        Verb::GetUnless(_) => (Ok(()), true),
        Verb::Delete => return (Expected::Done(204, None, None), Life::Deleted),
        Verb::Put(body) => (after.replace(id, body, gone), true),
        Verb::Patch(changes, shown) => {
            let done = changes.iter().try_for_each(|change| after.change(id, change, gone));
            (done, K::PATCH_SHOWS || *shown)
        }
    };
    if let Err(refused) = done {
        return unchanged(refused);
    }
    let version = version + u64::from(after != *value);
    let shown = shows.then(|| after.clone());
    let status = if shows { 200 } else { 204 };
    (Expected::Done(status, Some(version), shown), Life::Alive { version, value: after })
}

/// Whether a request would give the resource another name, so that it may be taken.
pub(crate) fn renames<K: Kind>(before: &Life<K>, after: &Life<K>) -> bool {
    match (before, after) {
        (Life::Alive { value: before, .. }, Life::Alive { value: after, .. }) => {
            folded(before.name()) != folded(after.name())
        }
        _ => false,
    }
}
