//! The provisioning log: what clients asked for and what came of it, noted while a request runs and told to identity-service
//! in batches. What a change changed is in its event; the two have the request id in common.
//!
//! Not here: what is kept of a path and body (`kept`), of any text (`plain`), and the telling (`report`).

mod kept;
mod plain;
mod report;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::extract::FromRequestParts;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header::AUTHORIZATION, request::Parts};
pub(crate) use plain::plain;
pub(crate) use report::Log;
use scim::schema::Types;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use wire::identity::{Group, LoggedRequest, Outcome, User};

use crate::error::Told;

/// A body of more than this is not kept.
const LONGEST_BODY: usize = 64 * 1024;
/// How the secrets of SCIM clients begin.
const SECRETS: [&str; 2] = ["rc_scim_", "rc_access_"];
/// What stands below the base URL.
const ENDPOINTS: [&str; 6] = ["Users", "Groups", "ServiceProviderConfig", "Schemas", "ResourceTypes", "Bulk"];
/// Secrets of one request that are asked about.
const MOST_SECRETS: usize = 3;

/// What is known of a request so far. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    /// Of this request and no other, whatever its client calls it.
    entry_id: Option<Uuid>,
    organization: Option<Arc<str>>,
    token_id: Option<Arc<str>>,
    /// Reads are logged as well.
    watched: bool,
    types: Option<Arc<Types>>,
    changed: bool,
    subject_id: String,
    subject_name: String,
    body: Option<Bytes>,
    /// As it is stored, where nothing was changed.
    unchanged: Option<Bytes>,
    /// What the change took no notice of, and what it read leniently.
    ignored: Vec<String>,
    coerced: Vec<String>,
    /// Of a bulk request: how many operations, and how many of them were refused.
    bulk: Option<(usize, usize)>,
}

impl Trail {
    pub(crate) fn new(entry_id: Uuid) -> Self {
        let trail = Self::default();
        trail.noted().entry_id = Some(entry_id);
        trail
    }

    /// What joins the entry with the events of its changes.
    pub(crate) fn entry_id(&self) -> String {
        self.noted().entry_id.map(|id| id.to_string()).unwrap_or_default()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose request it is.
    pub(crate) fn of(&self, organization: &Arc<str>, token_id: &Arc<str>) {
        let mut noted = self.noted();
        noted.organization = Some(Arc::clone(organization));
        noted.token_id = Some(Arc::clone(token_id));
    }

    /// What its organization has set.
    pub(crate) fn settings(&self, watched: bool, types: &Arc<Types>) {
        let mut noted = self.noted();
        noted.watched = watched;
        noted.types = Some(Arc::clone(types));
    }

    pub(crate) fn body(&self, body: &Bytes) {
        if body.len() <= LONGEST_BODY {
            self.noted().body = Some(body.clone());
        }
    }

    /// The answer of a change.
    pub(crate) fn user(&self, user: &User) {
        self.changed(user.changed, &user.id, &user.user_name, &user.resource_json);
        self.notes(&user.ignored, &user.coerced);
    }

    /// The answer of a change.
    pub(crate) fn group(&self, group: &Group) {
        self.changed(group.changed, &group.id, &group.display_name, &group.resource_json);
        self.notes(&group.ignored, &group.coerced);
    }

    fn changed(&self, changed: bool, id: &str, name: &str, resource: &Bytes) {
        let mut noted = self.noted();
        noted.changed |= changed;
        id.clone_into(&mut noted.subject_id);
        name.clone_into(&mut noted.subject_name);
        noted.unchanged = (!changed).then(|| resource.clone());
    }

    fn notes(&self, ignored: &[String], coerced: &[String]) {
        let mut noted = self.noted();
        noted.ignored = ignored.iter().map(|name| plain::name(name)).collect();
        noted.coerced = coerced.to_vec();
    }

    /// Many operations were run.
    pub(crate) fn bulk(&self, operations: usize, refused: usize) {
        self.noted().bulk = Some((operations, refused));
    }

    /// Something was deleted. `name`: what it was called, if that will not be known any more.
    pub(crate) fn removed(&self, name: &str) {
        let mut noted = self.noted();
        noted.changed = true;
        name.clone_into(&mut noted.subject_name);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Trail {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// A request to be logged, from when it arrives.
pub(crate) struct Arrived {
    pub(crate) trail: Trail,
    method: Method,
    uri: Uri,
    user_agent: String,
    address: Option<IpAddr>,
    secrets: Vec<[u8; 32]>,
}

impl Arrived {
    pub(crate) fn new(trail: Trail, method: &Method, uri: &Uri, headers: &HeaderMap, address: Option<IpAddr>) -> Self {
        let agent = headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        Self {
            trail,
            method: method.clone(),
            uri: uri.clone(),
            user_agent: agent.unwrap_or_default().to_owned(),
            address,
            secrets: secrets(headers),
        }
    }
}

/// How a request ended.
pub(crate) struct Ended<'a> {
    pub(crate) status: StatusCode,
    pub(crate) told: Option<&'a Told>,
    pub(crate) request_id: &'a str,
    pub(crate) duration: Duration,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
}

/// The digests of what may be a client's secret, wherever in `Authorization` it stands: pasted with "Bearer" twice, without it, in
/// quotes, as a password. They tell whose log a refusal belongs to, and let nobody in.
fn secrets(headers: &HeaderMap) -> Vec<[u8; 32]> {
    let mut found = Vec::new();
    let mut look = |text: &str| {
        for word in text.split(|c: char| c.is_whitespace() || "\"':,;<>".contains(c)) {
            if found.len() < MOST_SECRETS && SECRETS.iter().any(|start| word.starts_with(start)) {
                found.push(Sha256::digest(word).into());
            }
        }
    };
    for value in headers.get_all(AUTHORIZATION) {
        let Ok(text) = value.to_str() else { continue };
        look(text);
        if let Some(("Basic" | "basic", encoded)) = text.trim().split_once(' ')
            && let Ok(decoded) = STANDARD.decode(encoded.trim())
        {
            look(&String::from_utf8_lossy(&decoded));
        }
    }
    found
}

/// A refusal's word where only its address says what is wrong: the base URL that a client was given.
fn misplaced(path: &str) -> Option<&'static str> {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let known = |word: &&str| ENDPOINTS.iter().any(|known| known.eq_ignore_ascii_case(word));
    match &words[..] {
        ["scim", "v2"] => Some("base_url_only"),
        ["scim", "v2", "scim", ..] => Some("base_url_twice"),
        ["scim", "v2", rest @ ..] => match rest.iter().filter(|word| known(word)).count() {
            0 => None,
            1 => rest
                .first()
                .filter(|first| known(first))
                .is_some_and(|first| !ENDPOINTS.contains(first))
                .then_some("base_url_case"),
            _ => Some("base_url_endpoint"),
        },
        ["scim", rest @ ..] if rest.iter().any(known) => Some("base_url_version"),
        _ if words.iter().any(known) => Some("base_url"),
        _ => None,
    }
}

fn outcome(method: &Method, path: &str, status: StatusCode, changed: bool) -> Outcome {
    // 501 says that there is no such thing here, as 404 does: nothing went wrong.
    if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED {
        return Outcome::Refused;
    }
    if status.is_server_error() {
        return Outcome::Failed;
    }
    match *method {
        _ if changed => Outcome::Changed,
        Method::POST if path.ends_with("/.search") => Outcome::Read,
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Outcome::Unchanged,
        _ => Outcome::Read,
    }
}

/// The row, but for its organization where only a secret tells that; `None`: none is wanted.
fn row(arrived: &Arrived, ended: &Ended<'_>, id: Uuid) -> (Outcome, Option<LoggedRequest>) {
    let noted = arrived.trail.noted();
    let path = arrived.uri.path();
    let mut outcome = outcome(&arrived.method, path.trim_end_matches('/'), ended.status, noted.changed);
    if outcome == Outcome::Unchanged && noted.bulk.is_some_and(|(_, refused)| refused > 0) {
        outcome = Outcome::Refused;
    }
    if outcome == Outcome::Read && !noted.watched {
        return (outcome, None);
    }
    let unbuilt = Arc::clone(Types::builtin());
    let types = noted.types.as_ref().unwrap_or(&unbuilt);
    let (resource_type, in_path) = about(path);
    let rt = if resource_type == "Group" { &types.group } else { &types.user };
    let mut reason = ended.told.map(|told| told.reason).unwrap_or_default();
    let mut detail = ended.told.map(|told| kept::told(&told.detail, types)).unwrap_or_default();
    if let Some((operations, refused @ 1..)) = noted.bulk {
        reason = "bulk";
        detail = format!("{refused} of {operations} operations were refused; the answer says why each was.");
    }
    let missed = matches!(ended.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    if missed && let Some(word) = misplaced(path) {
        reason = word;
    }
    // A change is told by its event. What it took no notice of is told here as well, so that lists can say so.
    let body = noted.body.as_ref().filter(|_| outcome != Outcome::Changed && outcome != Outcome::Read);
    let kept = body.map(|body| kept::body(body, types)).unwrap_or_default();
    let (ignored, coerced) = match (body, &noted.unchanged) {
        (Some(body), Some(resource)) => kept::notes(rt, body, resource),
        _ if outcome == Outcome::Changed && noted.bulk.is_none() => (noted.ignored.clone(), noted.coerced.clone()),
        _ => Default::default(),
    };
    let named = || body.and_then(|body| kept::name(body)).unwrap_or_default();
    let subject_id = match in_path {
        Some(id) if ended.status != StatusCode::NOT_FOUND => id,
        // It is about many.
        _ if noted.bulk.is_some() => String::new(),
        _ => noted.subject_id.clone(),
    };
    let row = LoggedRequest {
        id: id.to_string(),
        organization_id: noted.organization.as_deref().unwrap_or_default().to_owned(),
        occurred_at: Some(wire::to_timestamp(ended.at)),
        duration_us: i64::try_from(ended.duration.as_micros()).unwrap_or(i64::MAX),
        request_id: ended.request_id.to_owned(),
        token_id: noted.token_id.as_deref().unwrap_or_default().to_owned(),
        address: arrived.address.map(|address| address.to_string()).unwrap_or_default(),
        user_agent: plain(&arrived.user_agent),
        method: plain(arrived.method.as_str()).chars().take(20).collect(),
        path: kept::path(&arrived.uri, types),
        status: ended.status.as_u16().into(),
        outcome: outcome.into(),
        reason: reason.to_owned(),
        detail,
        resource_type: resource_type.to_owned(),
        subject_id,
        subject_name: match () {
            () if noted.bulk.is_some() => String::new(),
            () if noted.subject_name.is_empty() => named(),
            () => plain(&noted.subject_name),
        },
        understood: kept.understood,
        coerced,
        ignored,
        body: kept.text,
        entry_id: noted.entry_id.map(|id| id.to_string()).unwrap_or_default(),
    };
    (outcome, Some(row))
}

/// The resource type and the id of `/scim/v2/Users/{id}`.
fn about(path: &str) -> (&'static str, Option<String>) {
    let mut words = path.split('/').filter(|word| !word.is_empty()).skip(2);
    let resource_type = match words.next() {
        Some("Users") => "User",
        Some("Groups") => "Group",
        _ => "",
    };
    let id = words.next().and_then(|word| Uuid::try_parse(word).ok()).map(|id| id.to_string());
    (resource_type, id.filter(|_| !resource_type.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_it_was_pasted() {
        let digest = <[u8; 32]>::from(Sha256::digest("rc_scim_abc"));
        let basic = format!("Basic {}", STANDARD.encode("okta:rc_scim_abc"));
        for value in [
            "Bearer rc_scim_abc",
            "Bearer Bearer rc_scim_abc",
            "rc_scim_abc",
            "Token rc_scim_abc",
            "Bearer \"rc_scim_abc\"",
            "Bearer  rc_scim_abc ",
            &basic,
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().expect("a header value"));
            assert_eq!(secrets(&headers), [digest], "{value}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, "Bearer eyJabc".parse().expect("a header value"));
        assert!(secrets(&headers).is_empty());
    }

    #[test]
    fn what_is_not_there_at_all_is_refused_and_has_not_failed() {
        for (status, of_it) in [
            (StatusCode::NOT_IMPLEMENTED, Outcome::Refused),
            (StatusCode::CONFLICT, Outcome::Refused),
            (StatusCode::INTERNAL_SERVER_ERROR, Outcome::Failed),
            (StatusCode::SERVICE_UNAVAILABLE, Outcome::Failed),
            (StatusCode::OK, Outcome::Read),
        ] {
            assert_eq!(outcome(&Method::GET, "/scim/v2/Me", status, false), of_it, "{status}");
        }
    }

    #[test]
    fn a_wrong_base_url_is_told_from_the_address() {
        for (path, word) in [
            ("/Users", Some("base_url")),
            ("/api/Users", Some("base_url")),
            ("/scim/Users", Some("base_url_version")),
            ("/scim/v1/Users", Some("base_url_version")),
            ("/scim/v2/scim/v2/Users", Some("base_url_twice")),
            ("/scim/v2/Users/Users", Some("base_url_endpoint")),
            ("/scim/v2/users", Some("base_url_case")),
            ("/scim/v2", Some("base_url_only")),
            ("/scim/v2/", Some("base_url_only")),
            ("/scim/v2/Users/01a219ef-766f-789b-8b50-cb76619bc82c", None),
            ("/scim/v2/nothing", None),
            ("/favicon.ico", None),
        ] {
            assert_eq!(misplaced(path), word, "{path}");
        }
    }

    const TOKEN: &str = "rc_scim_q5kD2vR8mW1xZ7bN4cJ9hT6gF3sL0pYaEuIoQwXrMn1";
    /// Without what it begins with, which everybody knows.
    const CANARY: &str = "q5kd2vr8mw1xz7bn4cj9ht6gf3sl0pyaeuioqwxrmn1";

    /// The row of a request that was refused with whatever its body and filter are refused with, searchable.
    fn logged(method: &str, target: &str, agent: &str, body: &str) -> Option<String> {
        let uri: Uri = target.parse().ok()?;
        let mut headers = HeaderMap::new();
        headers.insert(http::header::USER_AGENT, agent.parse().ok()?);
        let arrived =
            Arrived::new(Trail::default(), &Method::from_bytes(method.as_bytes()).ok()?, &uri, &headers, None);
        arrived.trail.body(&Bytes::copy_from_slice(body.as_bytes()));
        let details = details(&uri, body);
        let mut rows = String::new();
        for detail in details {
            let told = Told { reason: "invalidValue", detail };
            let ended = Ended {
                status: StatusCode::BAD_REQUEST,
                told: Some(&told),
                request_id: "r",
                duration: Duration::ZERO,
                at: 0,
            };
            rows.push_str(&format!("{:?}", row(&arrived, &ended, Uuid::nil()).1?));
        }
        // The same, where nothing was changed.
        let resource = Bytes::from_static(br#"{"userName": "kit", "displayName": "Kit", "active": true}"#);
        arrived.trail.changed(false, "", "", &resource);
        let ended = Ended { status: StatusCode::OK, told: None, request_id: "r", duration: Duration::ZERO, at: 0 };
        rows.push_str(&format!("{:?}", row(&arrived, &ended, Uuid::nil()).1?));
        Some(rows)
    }

    /// What a client would be told of it.
    fn details(uri: &Uri, body: &str) -> Vec<String> {
        let rt = scim::schema::user();
        let mut details = vec![String::new()];
        let parameters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        for (_, value) in parameters.filter(|(name, _)| name == "filter") {
            details.extend(scim::filter::parse(rt, &value).err().map(|error| error.detail));
        }
        match scim::patch::parse(body.as_bytes()) {
            Ok(operations) => {
                let mut current = scim::json::parse_object(br#"{"userName": "kit"}"#).expect("an object");
                details.extend(scim::patch::apply(rt, &mut current, &operations).err().map(|error| error.detail));
            }
            Err(error) => details.push(error.detail),
        }
        details.extend(scim::json::parse_object(body.as_bytes()).err().map(|error| error.detail));
        details
    }

    fn percent_encoded(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

        #[test]
        fn a_token_is_in_no_entry_wherever_it_is_pasted(
            place in 0_usize..14,
            shape in 0_usize..12,
            before in "[a-zA-Z0-9 ._:/-]{0,12}",
            after in "[a-zA-Z0-9 ._:/-]{0,12}",
            name in "(userName|displayName|active|emails|password|shoeSize|value|path|op|schemas|externalId|members)",
        ) {
            let token = match shape {
                0 => TOKEN.to_owned(),
                1 => format!("{before}{TOKEN}"),
                2 => format!("Bearer_{TOKEN}"),
                3 => format!("Bearer {TOKEN}{after}"),
                4 => format!("{before}\\\"{TOKEN}\\\""),
                5 => percent_encoded(TOKEN),
                6 => percent_encoded(&percent_encoded(TOKEN)),
                7 => TOKEN.to_uppercase(),
                8 => format!("{}\u{200b}{}", &TOKEN[..6], &TOKEN[6..]),
                9 => format!("`{TOKEN}` {after}"),
                10 => format!("x[{TOKEN} eq 1]"),
                _ => format!("{TOKEN}{after}"),
            };
            let escaped = percent_encoded(&token);
            let (mut method, mut target, mut agent) = ("PATCH", "/scim/v2/Users/1".to_owned(), "x".to_owned());
            let mut body = String::new();
            match place {
                0 => target = format!("/scim/v2{escaped}/Users"),
                1 => target = format!("/scim/v2/Users/{escaped}"),
                2 => target = format!("/scim/v2%20{escaped}/Users"),
                3 => target = format!("/scim/v2/Users?filter={name}%20eq%20%22{escaped}%22"),
                4 => target = format!("/scim/v2/Users?filter={escaped}"),
                5 => target = format!("/scim/v2/Users?{escaped}=1&attributes={escaped}&count={escaped}"),
                6 => agent = token.chars().filter(char::is_ascii).collect(),
                7 => body = format!(r#"{{"{token}": "x", "{name}": "{token}"}}"#),
                8 => body = format!(r#"{{"Operations": [{{"op": "replace", "path": "{token}", "value": "{token}"}}]}}"#),
                9 => body = format!(r#"{{"Operations": [{{"op": "{token}", "path": "{name}", "value": {{"{token}": 1}}}}]}}"#),
                10 => body = format!(r#"{{"Operations": [{{"op": "add", "path": "emails[{name} eq \"{token}\"].value"}}]}}"#),
                11 => body = format!(r#""{token}""#),
                12 => body = format!(r#"{{"{name}": [{{"{name}": "{token}"}}, "{token}"]}}"#),
                _ => {
                    method = TOKEN;
                    body = format!(r#"{{"Operations": [{{"method": "{token}", "bulkId": "{token}", "path": "/Users/{token}"}}]}}"#);
                }
            }
            if let Some(rows) = logged(method, &target, &agent, &body) {
                let rows = rows.to_lowercase();
                proptest::prop_assert!(!rows.contains(CANARY), "{}", rows);
                proptest::prop_assert!(!rows.contains(&percent_encoded(TOKEN)), "{}", rows);
                proptest::prop_assert!(!rows.contains("\\u{"), "{}", rows);
            }
        }

        #[test]
        fn a_password_is_in_no_entry_wherever_a_name_says_that_it_is_one(
            place in 0_usize..12,
            secret in "X[a-z0-9!#,;@ ]{1,8}9Z",
            name in "(password|apiToken|clientSecret|PASSWORD|urn:ietf:params:scim:schemas:core:2.0:User:password)",
            known in "(userName|active|displayName|emails)",
        ) {
            let escaped = percent_encoded(&secret);
            let mut target = "/scim/v2/Users/1".to_owned();
            let mut body = String::new();
            let operation = |fields: String| format!(r#"{{"Operations": [{{"op": "replace", {fields}}}]}}"#);
            match place {
                0 => target = format!("/scim/v2/Users?filter={name}%20eq%20%22{escaped}%22%20and%20{known}%20pr"),
                1 => target = format!("/scim/v2/Users?filter={known}[{name}%20sw%20%22{escaped}%22]"),
                2 => target = format!("/scim/v2/Users?{name}={escaped}&filter={name}%3D{escaped}"),
                3 => body = format!(r#"{{"{known}": "kit", "{name}": "{secret}", "name": {{"{name}": ["{secret}"]}}}}"#),
                4 => body = operation(format!(r#""path": "{name}", "value": "{secret}""#)),
                5 => body = operation(format!(r#""path": ["{name}"], "value": "{secret}""#)),
                6 => body = operation(format!(r#""Path": "{known}", "path": "{name}", "value": "{secret}""#)),
                7 => body = operation(format!(r#""path": "emails[{name} eq \"{secret}\"].value", "value": 1"#)),
                8 => body = operation(format!(r#""path": "{name}={secret}", "value": {{"{name}": "{secret}"}}"#)),
                9 => body = format!(r#""{name}={secret}""#),
                10 => body = format!(r#"{{"attributes": [{{"name": "{name}", "value": "{secret}"}}], "{name}:{secret}": 1}}"#),
                _ => body = format!(
                    r#"{{"{known}": [{{"type": "{name}", "value": "{secret}"}}],
                        "Operations": [{{"method": "POST", "path": "/Users?filter={name} eq \"{secret}\"", "data": "{secret}"}}]}}"#
                ),
            }
            if let Some(rows) = logged("PATCH", &target, "x", &body) {
                proptest::prop_assert!(!rows.contains(&secret), "{}", rows);
                proptest::prop_assert!(!rows.contains(&escaped), "{}", rows);
            }
        }
    }
}
