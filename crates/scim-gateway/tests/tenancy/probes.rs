//! Requests that name resources, for every route and method.

use scim::schema::{ENTERPRISE_USER, GROUP, USER};
use serde_json::{Value, json};

use crate::{
    filters,
    harness::{Answer, Server},
    record::recorded,
    subject::Subject,
};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// A request by somebody's names.
#[derive(Debug)]
pub(crate) struct Probe {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
    /// What it must be answered with; `None`: whatever a name that does not exist is.
    status: Option<u16>,
}

impl Probe {
    pub(crate) fn new(path: impl Into<String>, body: Option<Value>) -> Self {
        Self { path: path.into(), headers: Vec::new(), body, status: None }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn is(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

/// Every route with every method that it says it takes.
pub(crate) async fn routes(server: &Server, ours: &Subject, theirs: &Subject) {
    let nobody = theirs.nobody();
    let mut routes = Vec::new();
    for path in scim_gateway::scim_paths() {
        let allow = server.send("OPTIONS", path, &[], None).await.is(204).header("allow").to_owned();
        routes.extend(allow.split(", ").filter(|method| *method != "OPTIONS").map(|method| (path, method.to_owned())));
    }
    // What leaves something behind comes last, or it would be found by what comes after.
    routes.sort_by_key(|(path, method)| match (*path, method.as_str()) {
        ("/Users" | "/Bulk", "POST") => 2,
        (_, "GET" | "HEAD") => 0,
        (path, _) if path.ends_with("/.search") => 0,
        _ => 1,
    });
    let mut tried = 0;
    for (path, method) in &routes {
        let (foreign, missing) = (probes(path, method, ours, theirs), probes(path, method, ours, &nobody));
        assert!(!foreign.is_empty(), "{method} {path} is a route without a case in this suite: add one");
        assert_eq!(foreign.len(), missing.len(), "{method} {path}");
        for (foreign, missing) in foreign.iter().zip(&missing) {
            same(server, method, foreign, missing, theirs, &nobody).await;
            tried += 1;
        }
    }
    let least = if cfg!(feature = "mutants") { 200 } else { 600 };
    assert!(tried > least, "only {tried} requests were tried");
}

async fn same(server: &Server, method: &str, foreign: &Probe, missing: &Probe, theirs: &Subject, nobody: &Subject) {
    let (of_foreign, statements) = recorded(send(server, method, foreign)).await;
    let (of_missing, expected) = recorded(send(server, method, missing)).await;
    let what = format!("{method} {foreign:?}");
    let (seen, wanted) = (shown(&of_foreign, theirs), shown(&of_missing, nobody));
    assert_eq!(seen, wanted, "{what}: another organization's names are told from those of nobody");
    assert_eq!(statements, expected, "{what}: other statements are sent");
    if let Some(status) = foreign.status {
        assert_eq!(of_foreign.status.as_u16(), status, "{what}: {seen}");
    }
}

pub(crate) async fn send(server: &Server, method: &str, probe: &Probe) -> Answer {
    let headers: Vec<(&str, &str)> = probe.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.send(method, &probe.path, &headers, probe.body.as_ref().map(Value::to_string).as_deref()).await
}

/// Status, header fields and body, without what differs between any two requests.
pub(crate) fn shown(answer: &Answer, names: &Subject) -> String {
    let mut lines = vec![answer.status.to_string()];
    let own = ["x-request-id", "date", "location", "content-location", "etag", "content-length"];
    for (name, value) in answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    lines.sort();
    let body = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(mut body) => {
            let made = answer.status.as_u16() == 201 || body.get("Operations").is_some();
            forget(&mut body, if made { &MADE } else { &DATES });
            body.to_string()
        }
        Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    lines.push(body);
    names.anonymous(&lines.join("\n"))
}

/// What the server gives a new resource.
const MADE: [&str; 4] = ["id", "meta", "location", "version"];
/// What differs between any two requests or organizations.
const DATES: [&str; 3] = ["created", "lastModified", "version"];

fn forget(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(object) => {
            names.iter().for_each(|name| drop(object.remove(*name)));
            // Whether there is one is told.
            for name in ["nextCursor", "previousCursor"] {
                object.get_mut(name).into_iter().for_each(|cursor| *cursor = json!("<cursor>"));
            }
            object.values_mut().for_each(|value| forget(value, names));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| forget(value, names)),
        _ => {}
    }
}

fn probes(path: &str, method: &str, ours: &Subject, of: &Subject) -> Vec<Probe> {
    let (user, group) = (of.user_id(), of.group_id());
    let one = |resource: &str, id: &str| format!("/{resource}/{id}");
    match (path, method) {
        ("/Users" | "/Groups", "GET" | "HEAD") => lists(path, of),
        ("/Users", "POST") => users_posted(of),
        ("/Groups", "POST") => {
            [&user, &group, &of.inner].map(|id| Probe::new("/Groups", Some(group_body(id, &[id]))).is(400)).into()
        }
        ("/Users/{id}", "GET" | "HEAD") => {
            let path = one("Users", &user);
            let conditions = [("if-none-match", of.user_etag.as_str()), ("if-match", of.user_etag.as_str())];
            let mut all =
                vec![Probe::new(&path, None).is(404), Probe::new(path.clone() + "?attributes=groups", None).is(404)];
            all.extend(conditions.map(|(name, value)| Probe::new(&path, None).with(name, value).is(404)));
            all.push(Probe::new(one("Users", &group), None).is(404));
            all
        }
        ("/Users/{id}", "PUT") => {
            let body = json!({"schemas": [USER], "userName": of.user["userName"]});
            changes(&one("Users", &user), body, of)
        }
        ("/Users/{id}", "PATCH") => {
            let path = one("Users", &user);
            let mut all = changes(&path, patch(json!([{"op": "replace", "value": {"active": false}}])), of);
            all.extend(changes(&path, patch(json!([{"op": "remove", "path": "title"}])), of));
            let manager = format!("{ENTERPRISE_USER}:manager");
            let names = patch(json!([{"op": "add", "path": manager, "value": {"value": of.manager()}}]));
            all.push(Probe::new(one("Users", &ours.user_id()), Some(names)).is(200));
            all
        }
        ("/Users/{id}", "DELETE") => deletes(&one("Users", &user), of),
        ("/Groups/{id}", "GET" | "HEAD") => {
            let path = one("Groups", &group);
            let mut all = ["", "?excludedAttributes=members", "?attributes=members", "?attributes=displayName"]
                .map(|query| Probe::new(format!("{path}{query}"), None).is(404))
                .into_iter()
                .collect::<Vec<_>>();
            all.push(Probe::new(&path, None).with("if-none-match", &of.group_etag).is(404));
            all
        }
        ("/Groups/{id}", "PUT") => {
            let mut all = changes(&one("Groups", &group), group_body("Theirs", &[]), of);
            let own = one("Groups", &ours.group_id());
            all.push(Probe::new(&own, Some(group_body("Own", &[&user]))).is(400));
            all.push(Probe::new(&own, Some(group_body("Own", &[&of.inner]))).is(400));
            all.push(Probe::new(&own, Some(group_body("Own", &[&ours.user_id(), &user]))).is(400));
            all
        }
        ("/Groups/{id}", "PATCH") => groups_patched(ours, of),
        ("/Groups/{id}", "DELETE") => deletes(&one("Groups", &group), of),
        ("/Bulk", "POST") => bulk(ours, of),
        ("/.search" | "/Users/.search" | "/Groups/.search", "POST") => {
            let queries = lists(path, of).into_iter().map(|probe| {
                let query = probe.path.split_once('?').map_or("", |(_, query)| query);
                let pairs = form(query).into_iter().map(|(name, value)| {
                    let number = (name == "count" || name == "startIndex").then(|| value.parse::<i64>().ok()).flatten();
                    (name, number.map_or(json!(value), Value::from))
                });
                let mut body: serde_json::Map<String, Value> = pairs.collect();
                body.insert("schemas".to_owned(), json!([SEARCH]));
                Probe::new(path, Some(Value::Object(body)))
            });
            queries.collect()
        }
        ("/Schemas", "GET" | "HEAD") | ("/ResourceTypes", "GET" | "HEAD") => {
            vec![Probe::new(path, None), Probe::new(format!("{path}?count=1"), None)]
        }
        ("/Schemas/{urn}", "GET" | "HEAD") => vec![Probe::new(format!("/Schemas/{}", of.urn), None).is(404)],
        ("/ResourceTypes/{name}", "GET" | "HEAD") => {
            vec![
                Probe::new(format!("/ResourceTypes/{}", of.urn), None).is(404),
                Probe::new("/ResourceTypes/User", None),
            ]
        }
        // Nothing can be named there.
        ("/ServiceProviderConfig", "GET" | "HEAD") => vec![Probe::new(path, None)],
        _ => Vec::new(),
    }
}

fn form(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            let value = value.replace("%20", " ").replace("%22", "\"").replace("%23", "#").replace("%26", "&");
            (name.to_owned(), value.replace("%2B", "+").replace("%25", "%"))
        })
        .collect()
}

pub(crate) fn encoded(text: &str) -> String {
    let text = text.replace('%', "%25").replace(' ', "%20").replace('"', "%22");
    text.replace('#', "%23").replace('&', "%26").replace('+', "%2B")
}

fn lists(path: &str, of: &Subject) -> Vec<Probe> {
    let of_users = filters::of(scim::schema::user(), &of.user, Some((&of.urn, "badge")));
    let of_groups = filters::of(scim::schema::group(), &of.group, None);
    let filters = match path.split('/').nth(1) {
        Some("Users") => of_users,
        Some("Groups") => of_groups,
        _ => [of_users, of_groups].concat(),
    };
    let mut all: Vec<Probe> =
        filters.iter().map(|filter| Probe::new(format!("{path}?filter={}", encoded(filter)), None)).collect();
    for query in ["sortBy=displayName", "count=0", "startIndex=2&count=1", "count=1&cursor="] {
        all.push(Probe::new(format!("{path}?{query}"), None));
    }
    all.push(Probe::new(format!("{path}?count=1&cursor={}", encoded(&of.cursor)), None).is(400));
    all.retain(|probe| !probe.path.ends_with("cursor="));
    all
}

pub(crate) fn group_body(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": [GROUP], "displayName": name, "members": members})
}

pub(crate) fn patch(operations: Value) -> Value {
    json!({"schemas": [PATCH], "Operations": operations})
}

/// A change of something that is not there, with every condition on it.
fn changes(path: &str, body: Value, of: &Subject) -> Vec<Probe> {
    let plain = || Probe::new(path, Some(body.clone())).is(404);
    vec![
        plain(),
        plain().with("if-match", &of.user_etag),
        plain().with("if-match", &of.group_etag),
        plain().with("if-match", "W/\"999\""),
        plain().with("if-match", "*"),
    ]
}

fn deletes(path: &str, of: &Subject) -> Vec<Probe> {
    let plain = || Probe::new(path, None).is(404);
    vec![plain(), plain().with("if-match", &of.user_etag), plain().with("if-match", "*")]
}

/// Names that are taken elsewhere only, a manager and groups that resolve to nothing: kept as they were sent, or dropped.
fn users_posted(of: &Subject) -> Vec<Probe> {
    let name = of.user["userName"].clone();
    let manager = json!({"value": of.manager(), "$ref": format!("../Users/{}", of.manager())});
    let key = format!("key-{}", of.urn);
    vec![
        Probe::new("/Users", Some(json!({"schemas": [USER], "userName": name, "id": of.user_id()}))).is(201),
        Probe::new("/Users", Some(json!({"schemas": [USER], "userName": name}))).is(409),
        Probe::new(
            "/Users",
            Some(json!({
                "schemas": [USER, ENTERPRISE_USER],
                "userName": format!("m-{}", of.manager()),
                "externalId": of.user_id(),
                "groups": [{"value": of.group_id()}],
                ENTERPRISE_USER: {"manager": manager},
            })),
        )
        .is(201),
        Probe::new("/Users", Some(json!({"schemas": [USER], "userName": format!("k-{}", of.user_id())})))
            .with("idempotency-key", &key)
            .is(201),
        Probe::new(
            "/Users",
            Some(
                json!({"schemas": [USER, of.urn], "userName": format!("e-{}", of.user_id()), of.urn.clone(): {"badge": "1"}}),
            ),
        ),
    ]
}

fn groups_patched(ours: &Subject, of: &Subject) -> Vec<Probe> {
    let (user, group) = (of.user_id(), of.group_id());
    let own = format!("/Groups/{}", ours.group_id());
    let theirs = format!("/Groups/{group}");
    let add = |id: &str| patch(json!([{"op": "add", "path": "members", "value": [{"value": id}]}]));
    let remove = |id: &str| patch(json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]));
    let listed = |id: &str| patch(json!([{"op": "remove", "path": "members", "value": [{"value": id}]}]));
    let replace = |id: &str| patch(json!([{"op": "replace", "path": "members", "value": [{"value": id}]}]));
    let rename = patch(json!([{"op": "replace", "path": "displayName", "value": "Mine now"}]));
    let mut all = Vec::new();
    for id in [&user, &group, &of.inner] {
        all.push(Probe::new(&own, Some(add(id))).is(400));
        all.push(Probe::new(&own, Some(replace(id))).is(400));
        all.push(Probe::new(&own, Some(remove(id))).is(204));
        all.push(Probe::new(&own, Some(listed(id))).is(204));
        let removed = patch(json!([{"op": "remove", "path": format!("members[value co \"{id}\"]")}]));
        all.push(Probe::new(&own, Some(removed)).is(204));
    }
    for body in [add(&ours.user_id()), add(&user), remove(&user), listed(&user), replace(&ours.user_id()), rename] {
        all.extend(changes(&theirs, body, of));
    }
    all.extend(changes(&theirs, patch(json!([{"op": "remove", "path": "members"}])), of));
    all.extend(changes(&theirs, patch(json!([{"op": "remove", "path": "members[type eq \"User\"]"}])), of));
    all
}

/// Each of a list of operations alone, and all in one request.
fn bulk(ours: &Subject, of: &Subject) -> Vec<Probe> {
    let (user, group) = (of.user_id(), of.group_id());
    let add = patch(json!([{"op": "add", "path": "members", "value": [{"value": user}]}]));
    let inactive = patch(json!([{"op": "replace", "value": {"active": false}}]));
    let operations = vec![
        json!({"method": "PUT", "path": format!("/Users/{user}"), "data": {"schemas": [USER], "userName": "b"}}),
        json!({"method": "PATCH", "path": format!("/Users/{user}"), "data": inactive}),
        json!({"method": "PATCH", "path": format!("/Users/{user}"), "version": of.user_etag, "data": inactive}),
        json!({"method": "DELETE", "path": format!("/Users/{user}")}),
        json!({"method": "DELETE", "path": format!("/Users/{user}"), "version": of.user_etag}),
        json!({"method": "PUT", "path": format!("/Groups/{group}"), "data": group_body("b", &[])}),
        json!({"method": "PATCH", "path": format!("/Groups/{group}"), "data": add}),
        json!({"method": "DELETE", "path": format!("/Groups/{group}")}),
        json!({"method": "PATCH", "path": format!("/Groups/{}", ours.group_id()), "data": add}),
        json!({"method": "PUT", "path": format!("/Groups/{}", ours.group_id()), "data": group_body("b", &[&of.inner])}),
        json!({"method": "POST", "path": "/Groups", "bulkId": "g", "data": group_body("c", &[&user])}),
    ];
    let request = |operations: &[Value]| Some(json!({"schemas": [BULK], "Operations": operations}));
    let mut all: Vec<Probe> = operations
        .iter()
        .map(|operation| Probe::new("/Bulk", request(std::slice::from_ref(operation))).is(200))
        .collect();
    all.push(Probe::new("/Bulk", request(&operations)).is(200));
    // A reference to a resource of the request, beside a name of somebody else.
    let created = [
        json!({"method": "POST", "path": "/Users", "bulkId": "u", "data": {"schemas": [USER], "userName": format!("bulk-{user}")}}),
        json!({"method": "POST", "path": "/Groups", "bulkId": "g", "data": group_body("d", &["bulkId:u", &user])}),
    ];
    all.push(Probe::new("/Bulk", request(&created)).is(200));
    all
}
